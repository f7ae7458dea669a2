//! Creation, copies and casts.

use cresset_macros::op;

use crate::autograd::Meta;
use crate::op::{OpDef, Out};
use crate::{DType, MemoryFormat, Result, Scalar, Tensor, copy, op_list};

pub(crate) static OPS: &[&OpDef] = op_list![copy_, zero, clone_tensor, to_dtype, _to_copy];

/// Overwrites the elements with those of `src`, which broadcasts, converting them.
#[op("copy_(Tensor(a!) self, Tensor src, bool non_blocking=False) -> Tensor(a!)")]
mod copy_ {
    fn kernel(this: &Tensor, src: &Tensor, non_blocking: bool) -> Result<Tensor> {
        // Copies within main memory are always finished on return.
        let _ = non_blocking;
        copy::copy_into(this, src)?;
        Ok(this.clone())
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        copy::zeros(&g.sizes(), g.dtype(), g.device())
    }
    fn grad_src(g: &Tensor) -> Result<Tensor> {
        Ok(g.clone())
    }
}

/// Zeros of the same shape; in place, overwrites the elements with zeros.
#[op("zero(Tensor self) -> Tensor", inplace, out = "out")]
mod zero {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        let t = crate::pointwise::output(out, &this.sizes(), this.dtype(), &[this])?;
        copy::fill(&t, Scalar::Int(0));
        Ok(t)
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        copy::zeros(&g.sizes(), g.dtype(), g.device())
    }
}

/// A copy with storage of its own, as `torch.clone`; Rust's `clone` is another handle to the same tensor.
#[op("clone(Tensor self, *, MemoryFormat? memory_format=None) -> Tensor")]
mod clone_tensor {
    fn kernel(this: &Tensor, memory_format: Option<MemoryFormat>) -> Result<Tensor> {
        let out = copy::empty_in_format(this, this.dtype(), memory_format.unwrap_or(MemoryFormat::Preserve))?;
        copy::copy_into(&out, this)?;
        Ok(out)
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        Ok(g.clone())
    }
}

/// A copy in another dtype; the tensor itself if it has that dtype already.
#[op(
    "to.dtype(Tensor(a) self, ScalarType dtype, bool non_blocking=False, bool copy=False, MemoryFormat? memory_format=None) -> Tensor(a)",
    composite
)]
mod to_dtype {
    fn kernel(
        this: &Tensor,
        dtype: DType,
        non_blocking: bool,
        copy: bool,
        memory_format: Option<MemoryFormat>,
    ) -> Result<Tensor> {
        let format = memory_format.unwrap_or(MemoryFormat::Preserve);
        let same = this.dtype() == dtype && (format == MemoryFormat::Preserve || this.is_contiguous());
        if same && !copy {
            return Ok(this.clone());
        }
        _to_copy::call(this, Some(dtype), non_blocking, Some(format))
    }
}

/// A copy in another dtype or memory format.
#[op(
    "_to_copy(Tensor self, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, bool non_blocking=False, MemoryFormat? memory_format=None) -> Tensor",
    no_method,
    no_fn
)]
mod _to_copy {
    fn kernel(
        this: &Tensor,
        dtype: Option<DType>,
        non_blocking: bool,
        memory_format: Option<MemoryFormat>,
    ) -> Result<Tensor> {
        // Copies within main memory are always finished on return.
        let _ = non_blocking;
        let format = memory_format.unwrap_or(MemoryFormat::Preserve);
        let out = copy::empty_in_format(this, dtype.unwrap_or(this.dtype()), format)?;
        copy::copy_into(&out, this)?;
        Ok(out)
    }
    fn grad_this(g: &Tensor, this: &Meta) -> Result<Tensor> {
        g.to_dtype(this.dtype())
    }
}
