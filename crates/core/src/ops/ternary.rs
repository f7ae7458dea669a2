//! Functions of three tensors: selection, limits, interpolation.

use cresset_kernels::pointwise::{Binary, Ternary, Unary};
use cresset_macros::op;

use super::binary::conj;
use super::math::{of_larger, of_smaller, share};
use crate::copy::number;
use crate::op::{OpDef, Out};
use crate::promotion::{Promotion, result_type};
use crate::supported::{inexact, require};
use crate::{DType, Result, Scalar, Tensor, bail, op_list, pointwise};

pub(crate) static OPS: &[&OpDef] = op_list![
    where_self,
    where_scalar_self,
    where_scalar_other,
    where_scalar,
    masked_fill,
    masked_fill_tensor,
    addcmul,
    addcdiv,
    lerp,
    lerp_scalar,
    clamp,
    clamp_min,
    clamp_min_tensor,
    clamp_max,
    clamp_max_tensor,
    clamp_tensor,
];

/// Elements of `self` where `condition` holds, else of `other`.
#[op(
    "where.self(Tensor condition, Tensor self, Tensor other) -> Tensor",
    out = "self_out",
    nondiff(condition),
    tags(pointwise, core),
    onnx = "Where"
)]
mod where_self {
    fn kernel(condition: &Tensor, this: &Tensor, other: &Tensor, out: Out) -> Result<Tensor> {
        if !matches!(condition.dtype(), DType::Bool | DType::U8) {
            bail!(
                "where expected condition to be a boolean tensor, but got a tensor with dtype {}",
                condition.dtype().scalar_type()
            );
        }
        pointwise::select(condition, this, other, result_type(&[this, other]), out)
    }
    fn grad_this(g: &Tensor, condition: &Tensor) -> Result<Tensor> {
        where_self(condition, g, &Tensor::wrapped(Scalar::Int(0))?)
    }
    fn grad_other(g: &Tensor, condition: &Tensor) -> Result<Tensor> {
        where_self(condition, &Tensor::wrapped(Scalar::Int(0))?, g)
    }
}

/// `self` where `condition` holds, else `other`.
#[op("where.ScalarSelf(Tensor condition, Scalar self, Tensor other) -> Tensor", composite)]
mod where_scalar_self {
    fn kernel(condition: &Tensor, this: Scalar, other: &Tensor) -> Result<Tensor> {
        where_self(condition, &Tensor::wrapped(this)?, other)
    }
}

/// `self` where `condition` holds, else `other`.
#[op("where.ScalarOther(Tensor condition, Tensor self, Scalar other) -> Tensor", composite)]
mod where_scalar_other {
    fn kernel(condition: &Tensor, this: &Tensor, other: Scalar) -> Result<Tensor> {
        where_self(condition, this, &Tensor::wrapped(other)?)
    }
}

/// `self` where `condition` holds, else `other`.
#[op("where.Scalar(Tensor condition, Scalar self, Scalar other) -> Tensor", composite)]
mod where_scalar {
    fn kernel(condition: &Tensor, this: Scalar, other: Scalar) -> Result<Tensor> {
        where_self(condition, &Tensor::wrapped(this)?, &Tensor::wrapped(other)?)
    }
}

/// `value` where the mask holds, else `this`; a new result is row-major, as PyTorch copies `this` to one.
fn fill_where(mask: &Tensor, value: &Tensor, this: &Tensor, out: Out) -> Result<Tensor> {
    let plain = mask.is_contiguous() && mask.sizes() == this.sizes();
    if plain || !matches!(out, Out::New) {
        return pointwise::select(mask, value, this, this.dtype(), out);
    }
    let sizes = crate::layout::broadcast_shapes(&this.sizes(), &mask.sizes())?;
    let result = Tensor::empty_of(&sizes, this.dtype(), this.device())?;
    pointwise::select(mask, value, this, this.dtype(), Out::Inplace(&result))
}

/// `value` where `mask` holds, else the elements of `self`.
#[op(
    "masked_fill.Scalar(Tensor self, Tensor mask, Scalar value) -> Tensor",
    inplace,
    out,
    nondiff(mask),
    tags(pointwise)
)]
mod masked_fill {
    fn kernel(this: &Tensor, mask: &Tensor, value: Scalar, out: Out) -> Result<Tensor> {
        check_mask(mask)?;
        value.check_fits(this.dtype())?;
        fill_where(mask, &Tensor::wrapped(value)?, this, out)
    }
    fn grad_this(g: &Tensor, mask: &Tensor) -> Result<Tensor> {
        g.masked_fill(mask, 0)
    }
}

/// The 0-dim `value` where `mask` holds, else the elements of `self`.
#[op(
    "masked_fill.Tensor(Tensor self, Tensor mask, Tensor value) -> Tensor",
    inplace,
    out,
    nondiff(mask),
    tags(pointwise)
)]
mod masked_fill_tensor {
    fn kernel(this: &Tensor, mask: &Tensor, value: &Tensor, out: Out) -> Result<Tensor> {
        check_mask(mask)?;
        if value.dim() != 0 {
            bail!(
                "masked_fill_ only supports a 0-dimensional value tensor, but got tensor with {} dimension(s).",
                value.dim()
            );
        }
        if !matches!(value.device(), crate::Device::Meta) {
            value.detach().item()?.check_fits(this.dtype())?;
        }
        fill_where(mask, value, this, out)
    }
    fn grad_this(g: &Tensor, mask: &Tensor) -> Result<Tensor> {
        g.masked_fill(mask, 0)
    }
    fn grad_value(g: &Tensor, mask: &Tensor) -> Result<Tensor> {
        where_self(mask, g, &Tensor::wrapped(Scalar::Int(0))?)
    }
}

/// `self + value * tensor1 * tensor2`.
#[op(
    "addcmul(Tensor self, Tensor tensor1, Tensor tensor2, *, Scalar value=1) -> Tensor",
    inplace,
    out,
    tags(pointwise)
)]
mod addcmul {
    fn kernel(this: &Tensor, tensor1: &Tensor, tensor2: &Tensor, value: Scalar, out: Out) -> Result<Tensor> {
        pointwise::ternary(
            Ternary::Addcmul { value: number(value) },
            "addcmul_cpu_out",
            [this, tensor1, tensor2],
            out,
        )
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        Ok(g.clone())
    }
    fn grad_tensor1(g: &Tensor, tensor2: &Tensor, value: Scalar) -> Result<Tensor> {
        g.mul(&tensor2.mul_scalar(value)?.conj()?)
    }
    fn grad_tensor2(g: &Tensor, tensor1: &Tensor, value: Scalar) -> Result<Tensor> {
        g.mul(&tensor1.mul_scalar(value)?.conj()?)
    }
}

/// `self + value * tensor1 / tensor2`.
#[op(
    "addcdiv(Tensor self, Tensor tensor1, Tensor tensor2, *, Scalar value=1) -> Tensor",
    inplace,
    out,
    tags(pointwise)
)]
mod addcdiv {
    fn kernel(this: &Tensor, tensor1: &Tensor, tensor2: &Tensor, value: Scalar, out: Out) -> Result<Tensor> {
        if result_type(&[tensor1, tensor2]).is_integral_or_bool() {
            bail!(
                "Integer division with addcdiv is no longer supported, and in a future  release addcdiv will perform a true division of tensor1 and tensor2. The historic addcdiv behavior can be implemented as (input + value * torch.trunc(tensor1 / tensor2)).to(input.dtype) for integer inputs and as (input + value * tensor1 / tensor2) for float inputs. The future addcdiv behavior is just the latter implementation: (input + value * tensor1 / tensor2), for all dtypes."
            );
        }
        pointwise::ternary(
            Ternary::Addcdiv { value: number(value) },
            "addcdiv_cpu_out",
            [this, tensor1, tensor2],
            out,
        )
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        Ok(g.clone())
    }
    fn grad_tensor1(g: &Tensor, tensor2: &Tensor, value: Scalar) -> Result<Tensor> {
        g.mul(&tensor2.reciprocal()?.mul_scalar(value)?.conj()?)
    }
    fn grad_tensor2(g: &Tensor, tensor1: &Tensor, tensor2: &Tensor, value: Scalar) -> Result<Tensor> {
        g.mul(&tensor1.mul_scalar(value)?.div(&tensor2.mul(tensor2)?)?.conj()?)?.neg()
    }
}

/// From `self` (weight 0) to `end` (weight 1).
#[op("lerp.Tensor(Tensor self, Tensor end, Tensor weight) -> Tensor", inplace, out, tags(pointwise))]
mod lerp {
    pub(super) fn kernel(this: &Tensor, end: &Tensor, weight: &Tensor, out: Out) -> Result<Tensor> {
        require("lerp_kernel_tensor", this, inexact)?;
        check_lerp(this, end, "end")?;
        if !weight.is_wrapped_number() {
            check_lerp(this, weight, "weight")?;
        }
        pointwise::ternary(Ternary::Lerp, "lerp_kernel_tensor", [this, end, weight], out)
    }
    fn grad_this(g: &Tensor, weight: &Tensor) -> Result<Tensor> {
        g.mul(&weight.rsub_scalar(1)?.conj()?)
    }
    fn grad_end(g: &Tensor, weight: &Tensor) -> Result<Tensor> {
        g.mul(&weight.conj()?)
    }
    fn grad_weight(g: &Tensor, this: &Tensor, end: &Tensor) -> Result<Tensor> {
        g.mul(&end.sub(this)?.conj()?)
    }
}

/// From `self` (weight 0) to `end` (weight 1), with one weight.
#[op("lerp.Scalar(Tensor self, Tensor end, Scalar weight) -> Tensor", inplace, out, tags(pointwise))]
mod lerp_scalar {
    fn kernel(this: &Tensor, end: &Tensor, weight: Scalar, out: Out) -> Result<Tensor> {
        require("lerp_kernel_scalar", this, inexact)?;
        if this.is_complex() || weight.is_complex() {
            return lerp::kernel(this, end, &Tensor::wrapped(weight)?, out);
        }
        check_lerp(this, end, "end")?;
        let op = Binary::Lerp { weight: weight.to_f64() };
        pointwise::binary(op, "lerp_kernel_scalar", this, end, out)
    }
    fn grad_this(g: &Tensor, weight: Scalar) -> Result<Tensor> {
        g.sub(&g.mul_scalar(super::conj(weight))?)
    }
    fn grad_end(g: &Tensor, weight: Scalar) -> Result<Tensor> {
        g.mul_scalar(super::conj(weight))
    }
}

/// Elements limited to `[min, max]`.
#[op("clamp(Tensor self, Scalar? min=None, Scalar? max=None) -> Tensor", inplace, out, tags(pointwise, core))]
pub(super) mod clamp {
    fn kernel(this: &Tensor, min: Option<Scalar>, max: Option<Scalar>, out: Out) -> Result<Tensor> {
        if min.is_none() && max.is_none() {
            bail!("torch.clamp: At least one of 'min' or 'max' must not be None");
        }
        limit(this, min, max, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor, min: Option<Scalar>, max: Option<Scalar>) -> Result<Tensor> {
        let inside = match (min, max) {
            (Some(min), Some(max)) => this.ge_scalar(min)?.logical_and(&this.le_scalar(max)?)?,
            (Some(min), None) => this.ge_scalar(min)?,
            (None, Some(max)) => this.le_scalar(max)?,
            (None, None) => return Ok(g.clone()),
        };
        keep(g, &inside)
    }
}

/// Elements of at least `min`.
#[op("clamp_min(Tensor self, Scalar min) -> Tensor", inplace, out, tags(pointwise))]
mod clamp_min {
    fn kernel(this: &Tensor, min: Scalar, out: Out) -> Result<Tensor> {
        limit(this, Some(min), None, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor, min: Scalar) -> Result<Tensor> {
        keep(g, &this.ge_scalar(min)?)
    }
}

/// Elements of at least those of `min`.
#[op("clamp_min.Tensor(Tensor self, Tensor min) -> Tensor", inplace, out, tags(pointwise))]
mod clamp_min_tensor {
    fn kernel(this: &Tensor, min: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::binary(Binary::Maximum, "clamp_min_cpu", this, min, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor, min: &Tensor) -> Result<Tensor> {
        of_larger(g, this, min)
    }
    fn grad_min(g: &Tensor, this: &Tensor, min: &Tensor) -> Result<Tensor> {
        of_larger(g, min, this)
    }
}

/// Elements of at most `max`.
#[op("clamp_max(Tensor self, Scalar max) -> Tensor", inplace, out, tags(pointwise))]
mod clamp_max {
    fn kernel(this: &Tensor, max: Scalar, out: Out) -> Result<Tensor> {
        limit(this, None, Some(max), out)
    }
    fn grad_this(g: &Tensor, this: &Tensor, max: Scalar) -> Result<Tensor> {
        keep(g, &this.le_scalar(max)?)
    }
}

/// Elements of at most those of `max`.
#[op("clamp_max.Tensor(Tensor self, Tensor max) -> Tensor", inplace, out, tags(pointwise))]
mod clamp_max_tensor {
    fn kernel(this: &Tensor, max: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::binary(Binary::Minimum, "clamp_max_cpu", this, max, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor, max: &Tensor) -> Result<Tensor> {
        of_smaller(g, this, max)
    }
    fn grad_max(g: &Tensor, this: &Tensor, max: &Tensor) -> Result<Tensor> {
        of_smaller(g, max, this)
    }
}

/// Elements limited to those of `min` and `max`.
#[op(
    "clamp.Tensor(Tensor self, Tensor? min=None, Tensor? max=None) -> Tensor",
    inplace,
    out,
    tags(pointwise)
)]
pub(super) mod clamp_tensor {
    fn kernel(this: &Tensor, min: Option<&Tensor>, max: Option<&Tensor>, out: Out) -> Result<Tensor> {
        match (min, max) {
            (Some(min), Some(max)) => pointwise::ternary(Ternary::Clamp, "clamp_cpu", [this, min, max], out),
            (Some(min), None) => pointwise::binary(Binary::Maximum, "clamp_min_cpu", this, min, out),
            (None, Some(max)) => pointwise::binary(Binary::Minimum, "clamp_max_cpu", this, max, out),
            (None, None) => bail!("torch.clamp: At least one of 'min' or 'max' must not be None"),
        }
    }
    fn grad_this(g: &Tensor, this: &Tensor, min: Option<&Tensor>, max: Option<&Tensor>) -> Result<Tensor> {
        match (min, max) {
            (Some(min), Some(max)) => {
                let outside = this.lt(min)?.logical_or(&this.gt(max)?)?;
                let shared = this.eq(min)?.logical_or(&this.eq(max)?)?.logical_and(&min.lt(max)?)?;
                where_self(&shared, &g.div_scalar(2)?, g)?.masked_fill(&outside, 0)
            }
            (Some(min), None) => of_larger(g, this, min),
            (None, Some(max)) => of_smaller(g, this, max),
            (None, None) => Ok(g.clone()),
        }
    }
    fn grad_min(
        g: &Tensor,
        this: &Tensor,
        min: Option<&Tensor>,
        max: Option<&Tensor>,
    ) -> Result<Option<Tensor>> {
        match (min, max) {
            (None, _) => Ok(None),
            (Some(min), None) => of_larger(g, min, this).map(Some),
            (Some(min), Some(max)) => {
                let taken = this.le(min)?.logical_and(&min.lt(max)?)?;
                keep(&share(g, this, min)?, &taken).map(Some)
            }
        }
    }
    fn grad_max(
        g: &Tensor,
        this: &Tensor,
        min: Option<&Tensor>,
        max: Option<&Tensor>,
    ) -> Result<Option<Tensor>> {
        match (min, max) {
            (_, None) => Ok(None),
            (None, Some(max)) => of_smaller(g, max, this).map(Some),
            (Some(min), Some(max)) => {
                let shared = this.eq(max)?.logical_and(&min.lt(max)?)?;
                let taken = this.gt(max)?.logical_or(&max.lt(min)?)?.logical_or(&shared)?;
                keep(&where_self(&shared, &g.div_scalar(2)?, g)?, &taken).map(Some)
            }
        }
    }
}

fn check_mask(mask: &Tensor) -> Result<()> {
    if mask.dtype() != DType::Bool {
        bail!("masked_fill_ only supports boolean masks, but got mask with dtype {}", cpp_name(mask.dtype()));
    }
    Ok(())
}

/// The name of a dtype in messages that print C++ types.
fn cpp_name(dtype: DType) -> &'static str {
    match dtype {
        DType::U8 => "unsigned char",
        DType::I8 => "signed char",
        DType::I16 => "short",
        DType::I32 => "int",
        DType::I64 => "long int",
        DType::F32 => "float",
        DType::F64 => "double",
        other => other.scalar_type(),
    }
}

fn check_lerp(this: &Tensor, other: &Tensor, name: &str) -> Result<()> {
    if this.dtype() != other.dtype() {
        bail!(
            "expected dtype {} for `{name}` but got dtype {}",
            dtype_text(this.dtype()),
            dtype_text(other.dtype())
        );
    }
    Ok(())
}

fn dtype_text(dtype: DType) -> String {
    dtype
        .scalar_type()
        .to_lowercase()
        .replace("complex", "c10::complex")
        .replace("c10::complexfloat", "c10::complex<float>")
}

/// The gradient where `mask` holds, else 0.
fn keep(g: &Tensor, mask: &Tensor) -> Result<Tensor> {
    where_self(mask, g, &Tensor::wrapped(Scalar::Int(0))?)
}

/// Clamps with numbers; a floating-point limit makes integers floating point.
fn limit(this: &Tensor, min: Option<Scalar>, max: Option<Scalar>, out: Out) -> Result<Tensor> {
    if this.is_complex() {
        bail!(NotImplemented, "clamp is not supported for complex types");
    }
    if [min, max].into_iter().flatten().any(Scalar::is_complex) {
        bail!(NotImplemented, "clamp is not supported for complex types");
    }
    let mut promotion = Promotion::default();
    promotion.tensor(this);
    [min, max].into_iter().flatten().for_each(|s| {
        promotion.number(s);
    });
    let dtype = promotion.result();
    let nan = |s: Option<Scalar>| s.is_some_and(|s| s.to_f64().is_nan());
    if nan(min) || nan(max) {
        return pointwise::binary_as(
            Binary::Maximum,
            "clamp_cpu",
            dtype,
            this,
            &Tensor::wrapped(Scalar::Float(f64::NAN))?,
            out,
        );
    }
    let op = if dtype.is_integral_or_bool() {
        Unary::ClampInt {
            low: min.map_or(i64::MIN, Scalar::to_i64),
            high: max.map_or(i64::MAX, Scalar::to_i64),
        }
    } else {
        Unary::Clamp {
            low: min.map_or(f64::NEG_INFINITY, Scalar::to_f64),
            high: max.map_or(f64::INFINITY, Scalar::to_f64),
        }
    };
    pointwise::unary_as(op, "clamp_cpu", (dtype, dtype), this, out)
}
