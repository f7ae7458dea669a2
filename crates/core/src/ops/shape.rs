//! Views: other shapes and strides over the same elements.

use cresset_kernels::reduce::{Reduce, reduce};
use cresset_kernels::strided::Operand;
use cresset_macros::op;

use crate::autograd::Meta;
use crate::layout::Layout;
use crate::op::OpDef;
use crate::{Result, Tensor, bail, copy, op_list};

pub(crate) static OPS: &[&OpDef] = op_list![as_strided, as_strided_scatter, sum_to_size, expand];

/// A view with other sizes, strides and offset over the storage of `self`.
#[op(
    "as_strided(Tensor(a) self, SymInt[] size, SymInt[] stride, SymInt? storage_offset=None) -> Tensor(a)",
    view
)]
mod as_strided {
    fn kernel(this: &Tensor, size: &[i64], stride: &[i64], storage_offset: Option<i64>) -> Result<Tensor> {
        if size.len() != stride.len() {
            bail!("mismatch in length of strides and shape");
        }
        if stride.iter().any(|s| *s < 0) {
            bail!("as_strided: Negative strides are not supported at the moment, got strides: {stride:?}");
        }
        let offset = storage_offset.unwrap_or(this.storage_offset() as i64);
        if offset < 0 {
            bail!("Tensor: invalid storage offset {offset}");
        }
        crate::layout::checked_numel(size, this.dtype().size())?;
        this.alias_with(Layout::new(size, stride, offset as usize))
    }
    fn grad_this(
        g: &Tensor,
        this: &Meta,
        size: &[i64],
        stride: &[i64],
        storage_offset: Option<i64>,
    ) -> Result<Tensor> {
        let view = Layout::new(size, stride, 0);
        if !this.layout.is_non_overlapping_and_dense() || !view.is_non_overlapping_and_dense() {
            bail!(NotImplemented, "as_strided: the gradient of overlapping or gapped views is not supported");
        }
        let base = Tensor::empty_strided_of(this.sizes(), this.strides(), g.dtype(), g.device())?;
        let offset = storage_offset.map_or(0, |o| o - this.layout.offset as i64);
        as_strided_scatter::call(&base.zero_()?, g, size, stride, Some(offset))
    }
}

/// A copy of `self` in which the elements that `as_strided` would name are those of `src`.
#[op(
    "as_strided_scatter(Tensor self, Tensor src, SymInt[] size, SymInt[] stride, SymInt? storage_offset=None) -> Tensor"
)]
mod as_strided_scatter {
    fn kernel(
        this: &Tensor,
        src: &Tensor,
        size: &[i64],
        stride: &[i64],
        storage_offset: Option<i64>,
    ) -> Result<Tensor> {
        let out = copy::duplicate(this)?;
        let offset = storage_offset.unwrap_or(this.storage_offset() as i64);
        let part = as_strided::call(&out, size, stride, Some(offset))?;
        if part.sizes() != src.sizes() {
            bail!(
                "expected src to have a size equal to the slice of self. src size = {:?}, slice size = {:?}",
                src.sizes().as_slice(),
                part.sizes().as_slice()
            );
        }
        copy::copy_into(&part, src)?;
        Ok(out)
    }
    fn grad_this(g: &Tensor, size: &[i64], stride: &[i64], storage_offset: Option<i64>) -> Result<Tensor> {
        let zeros = copy::zeros(size, g.dtype(), g.device())?;
        as_strided_scatter::call(g, &zeros, size, stride, storage_offset)
    }
    fn grad_src(g: &Tensor, size: &[i64], stride: &[i64], storage_offset: Option<i64>) -> Result<Tensor> {
        as_strided::call(&g.contiguous_copy()?, size, stride, storage_offset)
    }
}

/// Repeats dimensions of size 1 without copying; -1 keeps a size.
#[op("expand(Tensor(a) self, SymInt[] size, *, bool implicit=False) -> Tensor(a)", view)]
mod expand {
    fn kernel(this: &Tensor, size: &[i64], implicit: bool) -> Result<Tensor> {
        let _ = implicit;
        let layout = this.layout();
        if size.len() < layout.dim() {
            bail!(
                "expand(torch.{}{{{:?}}}, size={size:?}): the number of sizes provided ({}) must be greater or equal to the number of dimensions in the tensor ({})",
                format_args!("{}Tensor", this.dtype().scalar_type()),
                layout.sizes.as_slice(),
                size.len(),
                layout.dim()
            );
        }
        let missing = size.len() - layout.dim();
        let mut sizes = crate::layout::Dims::from_slice(size);
        for (d, s) in sizes.iter_mut().enumerate().filter(|(_, s)| **s == -1) {
            match d.checked_sub(missing) {
                Some(own) => *s = layout.sizes[own],
                None => bail!(
                    "The expanded size of the tensor (-1) isn't allowed in a leading, non-existing dimension {d}"
                ),
            }
        }
        this.alias_with(copy::expanded(&layout, &sizes)?)
    }
    fn grad_this(g: &Tensor, this: &Meta) -> Result<Tensor> {
        g.sum_to_size(this.sizes())
    }
}

/// Sums the dimensions that a broadcast from `size` would have added or repeated.
#[op("sum_to_size(Tensor self, SymInt[] size) -> Tensor")]
mod sum_to_size {
    fn kernel(this: &Tensor, size: &[i64]) -> Result<Tensor> {
        let sizes = this.sizes();
        let missing = match sizes.len().checked_sub(size.len()) {
            Some(n) if (n..sizes.len()).all(|d| size[d - n] == sizes[d] || size[d - n] == 1) => n,
            _ => bail!("size {{{size:?}}} is not expandable to size {{{:?}}}.", sizes.as_slice()),
        };
        let out = Tensor::empty_of(size, this.dtype(), this.device())?;
        let mask: Vec<bool> =
            (0..sizes.len()).map(|d| d < missing || (size[d - missing] == 1 && sizes[d] != 1)).collect();
        let (o, x) = (out.raw(), this.raw());
        let mut strides = crate::layout::Dims::from_elem(0, missing);
        strides.extend_from_slice(&o.layout.strides);
        crate::storage::access([&o], [&x], |[o], [x]| {
            let output = Operand { strides: &strides, ..o.operand() };
            // SAFETY: both are locked; the output has the input's sizes with the masked ones 1.
            unsafe { reduce(Reduce::Sum, x.sizes, &mask, x.operand(), output) }
        });
        Ok(out)
    }
    fn grad_this(g: &Tensor, this: &Meta) -> Result<Tensor> {
        g.expand(this.sizes())
    }
}
