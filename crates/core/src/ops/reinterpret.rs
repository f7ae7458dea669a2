//! The same bytes as elements of another dtype.

use crate::op::OpDef;
use crate::{DType, Result, Tensor, bail, ensure, op_list};
use cresset_macros::op;

pub(crate) static OPS: &[&OpDef] = op_list![view_as_real, view_as_complex, view_dtype,];

/// Complex numbers as pairs of real ones, in a new last dimension of size 2.
#[op("view_as_real(Tensor(a) self) -> Tensor(a)", view)]
mod view_as_real {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        ensure!(this.is_complex(), Type, "view_as_real is only supported for complex tensors");
        let mut l = this.layout();
        l.strides.iter_mut().for_each(|s| *s *= 2);
        l.sizes.push(2);
        l.strides.push(1);
        l.offset *= 2;
        this.alias_with_dtype(l, this.dtype().to_real())
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        g.contiguous()?.view_as_complex()
    }
}

/// Pairs of real numbers in the last dimension as complex ones.
#[op("view_as_complex(Tensor(a) self) -> Tensor(a)", autocast = "fp32", view)]
mod view_as_complex {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        let dtype = this.dtype();
        if !matches!(dtype, DType::F32 | DType::F64) {
            bail!(
                NotImplemented,
                "view_as_complex is only supported for half, float and double tensors, but got a tensor of scalar type: {}",
                dtype.scalar_type()
            );
        }
        let mut l = this.layout();
        ensure!(l.sizes.pop() == Some(2), "Tensor must have a last dimension of size 2");
        ensure!(l.strides.pop() == Some(1), "Tensor must have a last dimension with stride 1");
        ensure!(
            l.strides.iter().all(|s| s % 2 == 0),
            "Tensor must have a stride divisible by 2 for all but last dimension"
        );
        ensure!(l.offset.is_multiple_of(2), "Tensor must have a storage_offset divisible by 2");
        l.strides.iter_mut().for_each(|s| *s /= 2);
        l.offset /= 2;
        this.alias_with_dtype(l, dtype.to_complex())
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        g.view_as_real()
    }
}

/// The same bytes as elements of another dtype; the last dimension grows or shrinks with the element size.
#[op("view.dtype(Tensor(a) self, ScalarType dtype) -> Tensor(a)", view, no_grad = "bytes are not numbers")]
mod view_dtype {
    fn kernel(this: &Tensor, dtype: DType) -> Result<Tensor> {
        let (old, new) = (this.dtype().size() as i64, dtype.size() as i64);
        let mut l = this.layout();
        if old == new {
            return this.alias_with_dtype(l, dtype);
        }
        let Some((&size, &stride)) = l.sizes.last().zip(l.strides.last()) else {
            bail!(
                "self.dim() cannot be 0 to view {} as {} (different element sizes)",
                this.dtype().scalar_type(),
                dtype.scalar_type()
            )
        };
        let names = format!(
            "view {} as {} (different element sizes)",
            this.dtype().scalar_type(),
            dtype.scalar_type()
        );
        ensure!(stride == 1, "self.stride(-1) must be 1 to {names}, but got {stride}");
        let last = l.sizes.len() - 1;
        if old > new {
            let ratio = old / new;
            l.strides[..last].iter_mut().for_each(|s| *s *= ratio);
            l.sizes[last] = size * ratio;
            l.offset *= ratio as usize;
        } else {
            let ratio = new / old;
            ensure!(
                size % ratio == 0,
                "self.size(-1) must be divisible by {ratio} to {names}, but got {size}"
            );
            ensure!(
                l.offset as i64 % ratio == 0,
                "self.storage_offset() must be divisible by {ratio} to {names}, but got {}",
                l.offset
            );
            for (d, s) in l.strides[..last].iter().enumerate() {
                ensure!(
                    s % ratio == 0,
                    "self.stride({d}) must be divisible by {ratio} to {names}, but got {s}"
                );
            }
            l.strides[..last].iter_mut().for_each(|s| *s /= ratio);
            l.sizes[last] = size / ratio;
            l.offset /= ratio as usize;
        }
        this.alias_with_dtype(l, dtype)
    }
}
