//! Powers.

use cresset_kernels::pointwise::{Binary, Unary};
use cresset_macros::op;

use super::unary::zero_grad;
use super::where_self;
use crate::op::{OpDef, Out};
use crate::promotion::result_type;
use crate::{DType, Result, Scalar, Tensor, bail, op_list, pointwise};

pub(crate) static OPS: &[&OpDef] = op_list![
    pow,
    pow_scalar,
    pow_scalar_self,
    pow_,
    pow_scalar_,
    float_power,
    float_power_scalar,
    float_power_scalar_self,
    float_power_,
    float_power_scalar_,
];

/// Power, element by element: `self ^ exponent`.
#[op("pow.Tensor_Tensor(Tensor self, Tensor exponent) -> Tensor", out, tags(pointwise, core), onnx = "Pow")]
mod pow {
    fn kernel(this: &Tensor, exponent: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::binary(Binary::Pow, "pow", this, exponent, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor, exponent: &Tensor) -> Result<Tensor> {
        let slope = exponent.mul(&this.pow(&exponent.sub_scalar(1)?)?)?.conj()?;
        where_self(&exponent.eq_scalar(0)?, &Tensor::wrapped(Scalar::Int(0))?, &g.mul(&slope)?)
    }
    fn grad_exponent(g: &Tensor, this: &Tensor, exponent: &Tensor, out: &Tensor) -> Result<Tensor> {
        let flat = this.eq_scalar(0)?.logical_and(&not_negative(exponent)?)?;
        let slope = out.mul(&this.log()?)?.conj()?;
        where_self(&flat, &Tensor::wrapped(Scalar::Int(0))?, &g.mul(&slope)?)
    }
}

/// Power with one exponent.
#[op("pow.Tensor_Scalar(Tensor self, Scalar exponent) -> Tensor", out, tags(pointwise, core))]
mod pow_scalar {
    fn kernel(this: &Tensor, exponent: Scalar, out: Out) -> Result<Tensor> {
        if this.dtype().is_integral_or_bool() && matches!(exponent, Scalar::Int(e) if e < 0) {
            bail!("Integers to negative integer powers are not allowed.");
        }
        let exponent_tensor = Tensor::wrapped(exponent)?;
        let same =
            result_type(&[this, &exponent_tensor]) == this.dtype() && !this.dtype().is_integral_or_bool();
        match root(exponent) {
            Some((op, name)) if same => pointwise::unary(op, name, this, out),
            _ => pointwise::binary(Binary::Pow, "pow", this, &exponent_tensor, out),
        }
    }
    fn sparse(this: &Tensor, exponent: Scalar) -> Result<Tensor> {
        crate::sparse::math::with_values(&this.coalesce()?, |v| v.pow_scalar(exponent))
    }
    fn grad_this(g: &Tensor, this: &Tensor, exponent: Scalar) -> Result<Tensor> {
        if !exponent.to_bool() {
            return zero_grad(g);
        }
        let less = match exponent {
            Scalar::Bool(_) | Scalar::Int(_) => Scalar::Int(exponent.to_i64() - 1),
            Scalar::Float(e) => Scalar::Float(e - 1.0),
            Scalar::Complex(e) => Scalar::Complex(e - 1.0),
        };
        g.mul(&this.pow_scalar(less)?.mul_scalar(exponent)?.conj()?)
    }
}

/// Power of one base: `self ^ exponent`.
#[op("pow.Scalar(Scalar self, Tensor exponent) -> Tensor", out, tags(pointwise))]
mod pow_scalar_self {
    fn kernel(this: Scalar, exponent: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::binary(Binary::Pow, "pow", &Tensor::wrapped(this)?, exponent, out)
    }
    fn grad_exponent(g: &Tensor, this: Scalar, exponent: &Tensor, out: &Tensor) -> Result<Tensor> {
        let log = Tensor::wrapped(this)?.to_dtype(out.dtype())?.log()?;
        let grad = g.mul(&out.mul(&log)?.conj()?)?;
        if this.to_bool() {
            return Ok(grad);
        }
        where_self(&not_negative(exponent)?, &Tensor::wrapped(Scalar::Int(0))?, &grad)
    }
}

/// Power, in place.
#[op("pow_.Tensor(Tensor(a!) self, Tensor exponent) -> Tensor(a!)", composite)]
mod pow_ {
    fn kernel(this: &Tensor, exponent: &Tensor) -> Result<Tensor> {
        write(this, &before(this)?.pow(exponent)?)
    }
}

/// Power with one exponent, in place.
#[op("pow_.Scalar(Tensor(a!) self, Scalar exponent) -> Tensor(a!)", composite)]
mod pow_scalar_ {
    fn kernel(this: &Tensor, exponent: Scalar) -> Result<Tensor> {
        write(this, &before(this)?.pow_scalar(exponent)?)
    }
}

/// Power in double precision.
#[op("float_power.Tensor_Tensor(Tensor self, Tensor exponent) -> Tensor", out, composite)]
mod float_power {
    fn kernel(this: &Tensor, exponent: &Tensor) -> Result<Tensor> {
        let dtype = double(this.is_complex() || exponent.is_complex());
        this.to_dtype(dtype)?.pow(&exponent.to_dtype(dtype)?)
    }
}

/// Power with one exponent in double precision.
#[op("float_power.Tensor_Scalar(Tensor self, Scalar exponent) -> Tensor", out, composite)]
mod float_power_scalar {
    fn kernel(this: &Tensor, exponent: Scalar) -> Result<Tensor> {
        this.to_dtype(double(this.is_complex() || exponent.is_complex()))?.pow_scalar(exponent)
    }
}

/// Power of one base in double precision.
#[op("float_power.Scalar(Scalar self, Tensor exponent) -> Tensor", out, composite)]
mod float_power_scalar_self {
    fn kernel(this: Scalar, exponent: &Tensor) -> Result<Tensor> {
        let dtype = double(this.is_complex() || exponent.is_complex());
        pow_scalar_self(this, &exponent.to_dtype(dtype)?)
    }
}

/// Power in double precision, in place.
#[op("float_power_.Tensor(Tensor(a!) self, Tensor exponent) -> Tensor(a!)", composite)]
mod float_power_ {
    fn kernel(this: &Tensor, exponent: &Tensor) -> Result<Tensor> {
        check_double(this, double(this.is_complex() || exponent.is_complex()))?;
        write(this, &before(this)?.float_power(exponent)?)
    }
}

/// Power with one exponent in double precision, in place.
#[op("float_power_.Scalar(Tensor(a!) self, Scalar exponent) -> Tensor(a!)", composite)]
mod float_power_scalar_ {
    fn kernel(this: &Tensor, exponent: Scalar) -> Result<Tensor> {
        check_double(this, double(this.is_complex() || exponent.is_complex()))?;
        write(this, &before(this)?.float_power_scalar(exponent)?)
    }
}

/// The function that a common exponent stands for.
fn root(exponent: Scalar) -> Option<(Unary, &'static str)> {
    if exponent.is_complex() {
        return None;
    }
    match exponent.to_f64() {
        2.0 => Some((Unary::Square, "square_cpu")),
        0.5 => Some((Unary::Sqrt, "sqrt_cpu")),
        -0.5 => Some((Unary::Rsqrt, "rsqrt_cpu")),
        -1.0 => Some((Unary::Reciprocal, "reciprocal_cpu")),
        _ => None,
    }
}

/// Where the real part of an exponent is not negative: 0 to that power is constant.
fn not_negative(exponent: &Tensor) -> Result<Tensor> {
    if exponent.is_complex() {
        return exponent.real()?.ge_scalar(0)?.logical_and(&exponent.imag()?.eq_scalar(0)?);
    }
    exponent.ge_scalar(0)
}

/// Overwrites a tensor with a result that its dtype can hold.
pub(super) fn write(target: &Tensor, result: &Tensor) -> Result<Tensor> {
    crate::door::check_castable(result.dtype(), target)?;
    if result.sizes() != target.sizes() {
        bail!(
            "output with shape {:?} doesn't match the broadcast shape {:?}",
            target.sizes().as_slice(),
            result.sizes().as_slice()
        );
    }
    target.copy_(result)
}

fn double(complex: bool) -> DType {
    if complex { DType::Complex128 } else { DType::F64 }
}

fn check_double(base: &Tensor, dtype: DType) -> Result<()> {
    if base.dtype() != dtype {
        bail!(
            "the base given to float_power_ has dtype {} but the operation's result requires dtype {}",
            base.dtype().scalar_type(),
            dtype.scalar_type()
        );
    }
    Ok(())
}

/// A tensor as it is before it is overwritten: a copy if its value is needed for gradients.
pub(super) fn before(t: &Tensor) -> Result<Tensor> {
    if crate::autograd::records(t.requires_grad()) { t.clone_tensor() } else { Ok(t.clone()) }
}
