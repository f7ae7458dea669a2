//! How a tensor lies in memory, or that it has no memory at all, changes no result.

use cresset_core::layout::Layout;
use cresset_core::op::{Tag, Variant};
use cresset_core::storage::Storage;
use cresset_core::{Device, ErrorKind, Tensor, Value};
use cresset_parity::call::flat;

use crate::sample::{Sample, assert_none, for_each, has, map_tensors, same};

/// The same numbers with the dimensions stored in reverse order, behind an offset and with a gap after each element.
fn scattered(t: &Tensor) -> Tensor {
    let sizes = t.sizes();
    let mut strides = vec![2; sizes.len()];
    for d in 1..sizes.len() {
        strides[d] = strides[d - 1] * sizes[d - 1].max(1);
    }
    let room = 3 + 2 * t.numel().max(1);
    let storage = Storage::new(room * t.dtype().size(), t.device()).unwrap();
    let moved = Tensor::from_storage(storage, Layout::new(&sizes, &strides, 3), t.dtype()).unwrap();
    moved.copy_(t).unwrap();
    moved
}

#[test]
fn strided_inputs_equal_contiguous_ones() {
    assert_none(for_each(Variant::Functional, |sample| {
        if sample.depends_on_layout() || sample.is_random() || has(&sample.op, Tag::View) {
            return Ok(());
        }
        let Ok(want) = sample.call(&sample.op, &sample.arguments()) else { return Ok(()) };
        let mut args = sample.arguments();
        map_tensors(&mut args, |_, t| if t.is_wrapped_number() { t.clone() } else { scattered(t) });
        match sample.call(&sample.op, &args) {
            Ok(got) => same(&got, &want, sample.case.tolerance()),
            // Not every view can be taken of every layout.
            Err(e) if e.message().starts_with("view size is not compatible") => Ok(()),
            Err(e) => Err(format!("{e:?}")),
        }
    }));
}

/// Errors that say that a result's shape cannot be known without its data.
fn needs_data(sample: &Sample<'_>, e: &cresset_core::Error) -> bool {
    has(&sample.op, Tag::DynamicShape) || e.kind() == ErrorKind::NotImplemented
}

#[test]
fn meta_shapes_equal_real_ones() {
    assert_none(for_each(Variant::Functional, |sample| {
        let Ok(want) = sample.call(&sample.op, &sample.arguments()) else { return Ok(()) };
        let mut args = sample.arguments();
        let on_meta = |t: &Tensor| {
            let meta = Tensor::empty_strided_of(&t.sizes(), &t.strides(), t.dtype(), Device::Meta);
            meta.expect("a meta tensor of any size")
        };
        map_tensors(&mut args, |_, t| on_meta(t));
        // A shape is known without data, so it comes as an ordinary tensor.
        let about_shape = sample.op.name() == "_shape_as_tensor";
        if about_shape || !args.iter().any(|(_, v)| matches!(v, Value::Tensor(_) | Value::Tensors(_))) {
            return Ok(());
        }
        match sample.op.call(&args) {
            Ok(got) => same_shapes(&flat(got), &want),
            Err(e) if needs_data(sample, &e) => Ok(()),
            Err(e) => Err(format!("{e:?}")),
        }
    }));
}

fn same_shapes(got: &[Value], want: &[Value]) -> Result<(), String> {
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        let (Value::Tensor(got), Value::Tensor(want)) = (got, want) else { continue };
        if got.sizes() != want.sizes() || got.dtype() != want.dtype() {
            let (a, b) = ((got.sizes(), got.dtype()), (want.sizes(), want.dtype()));
            return Err(format!("output {i}: {a:?}, expected {b:?}"));
        }
        if got.device() != Device::Meta {
            return Err(format!("output {i} is not on the meta device"));
        }
    }
    Ok(())
}
