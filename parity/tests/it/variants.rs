//! The derived forms of an operator, in place and into a given tensor, do what the functional one does.

use cresset_core::library::{self, OpRef};
use cresset_core::op::{Tag, Variant};
use cresset_core::{Tensor, Value};
use cresset_parity::call::Arguments;
use cresset_parity::compare::Tolerance;

use crate::sample::{Sample, assert_none, for_each, has, same};

const EXACT: Tolerance = Tolerance { rtol: 0.0, atol: 0.0 };

/// The other form of the sample's operator, if it is derived.
fn derived(sample: &Sample<'_>, variant: Variant) -> Option<OpRef> {
    library::all().find(|op| std::ptr::eq(op.op, sample.op.op) && op.variant == variant)
}

#[test]
fn in_place_equals_functional() {
    assert_none(for_each(Variant::Functional, |sample| {
        let Some(inplace) = derived(sample, Variant::Inplace) else { return Ok(()) };
        let Ok(want) = sample.call(&sample.op, &sample.arguments()) else { return Ok(()) };
        let args = sample.arguments();
        let (Some(Value::Tensor(this)), [Value::Tensor(result)]) =
            (args.first().map(|a| a.1.clone()), &want[..])
        else {
            return Ok(());
        };
        if this.sizes() != result.sizes() || this.dtype() != result.dtype() {
            return Ok(());
        }
        let got = sample.call(&inplace, &args).map_err(|e| format!("{e:?}"))?;
        match got.first() {
            Some(Value::Tensor(t)) if t.same(&this) => same(&[Value::Tensor(this)], &want, EXACT),
            _ => Err("does not return its first argument".into()),
        }
    }));
}

#[test]
fn out_equals_functional() {
    assert_none(for_each(Variant::Functional, |sample| {
        let Some(out) = derived(sample, Variant::Out) else { return Ok(()) };
        if sample.depends_on_layout() {
            return Ok(());
        }
        let Ok(want) = sample.call(&sample.op, &sample.arguments()) else { return Ok(()) };
        let fitting = |t: &Tensor| Tensor::empty_of(&t.sizes(), t.dtype(), t.device()).unwrap();
        let empty = |t: &Tensor| Tensor::empty_of(&[0], t.dtype(), t.device()).unwrap();
        check_out(sample, &out, &want, fitting).map_err(|e| format!("into a fitting tensor: {e}"))?;
        if !sample.is_random() {
            check_out(sample, &out, &want, transposed)
                .map_err(|e| format!("into a transposed tensor: {e}"))?;
        }
        check_out(sample, &out, &want, empty).map_err(|e| format!("into an empty tensor: {e}"))
    }));
}

/// A tensor of the same sizes whose memory lies column by column.
fn transposed(like: &Tensor) -> Tensor {
    let sizes = like.sizes();
    let mut strides = vec![1; sizes.len()];
    for d in 1..sizes.len() {
        strides[d] = strides[d - 1] * sizes[d - 1].max(1);
    }
    Tensor::empty_strided_of(&sizes, &strides, like.dtype(), like.device()).unwrap()
}

fn check_out(
    sample: &Sample<'_>,
    out: &OpRef,
    want: &[Value],
    make: impl Fn(&Tensor) -> Tensor,
) -> Result<(), String> {
    let schema = out.schema();
    let mut args: Arguments =
        sample.arguments().into_iter().filter(|(n, _)| schema.position(n).is_some()).collect();
    let outs: Option<Vec<Tensor>> = want.iter().map(|v| v.as_tensor().map(&make)).collect();
    let Some(outs) = outs else { return Ok(()) };
    let names = out.op.out.as_ref().map_or(&[][..], |o| o.names);
    if names.len() != outs.len() {
        return Ok(());
    }
    args.extend(names.iter().zip(&outs).map(|(name, t)| (name.to_string(), Value::Tensor(t.clone()))));
    sample.call(out, &args).map_err(|e| format!("{e:?}"))?;
    let outs: Vec<Value> = outs.into_iter().map(Value::Tensor).collect();
    same(&outs, want, EXACT)
}

#[test]
fn random_operators_draw_the_same_in_every_form() {
    assert_none(for_each(Variant::Functional, |sample| {
        if !has(&sample.op, Tag::Random) || sample.case.seed.is_none() || sample.depends_on_layout() {
            return Ok(());
        }
        let first = sample.call(&sample.op, &sample.arguments()).map_err(|e| format!("{e:?}"))?;
        let second = sample.call(&sample.op, &sample.arguments()).map_err(|e| format!("{e:?}"))?;
        same(&first, &second, EXACT)
    }));
}
