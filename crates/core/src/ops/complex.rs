//! Complex numbers: their parts, conjugates, angles.

use cresset_kernels::dtype::C64;
use cresset_kernels::pointwise::{Binary, Unary};
use cresset_macros::op;

use super::unary::zero_grad;
use super::where_self;
use crate::layout::{Dims, Layout};
use crate::op::{OpDef, Out};
use crate::{DType, Result, Scalar, Tensor, bail, op_list, pointwise};

pub(crate) static OPS: &[&OpDef] = op_list![
    real,
    imag,
    conj_physical,
    conj,
    resolve_conj,
    resolve_neg,
    _conj_physical,
    angle,
    complex,
    polar,
];

/// A view of the real parts; the tensor itself if it is real.
#[op("real(Tensor(a) self) -> Tensor(a)", view)]
mod real {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        if this.is_complex() { parts(this, 0) } else { this.alias_with(this.layout()) }
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        Ok(g.clone())
    }
}

/// A view of the imaginary parts.
#[op("imag(Tensor(a) self) -> Tensor(a)", view)]
mod imag {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        if !this.is_complex() {
            bail!(Type, "imag is not implemented for tensors with non-complex dtypes.");
        }
        parts(this, 1)
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        g.mul_scalar(C64::new(0.0, 1.0))
    }
}

/// Complex conjugate; a real tensor itself.
#[op("conj_physical(Tensor self) -> Tensor", inplace, out, composite)]
mod conj_physical {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        if this.is_complex() { _conj_physical(this) } else { Ok(this.clone()) }
    }
}

/// Complex conjugate; a real tensor itself. (PyTorch sets a bit and conjugates when the elements are read.)
#[op("conj(Tensor(a) self) -> Tensor(a)", composite)]
mod conj {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        this.conj_physical()
    }
}

/// The tensor itself: conjugates are never left pending.
#[op("resolve_conj(Tensor(a) self) -> Tensor(a)", composite)]
mod resolve_conj {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        Ok(this.clone())
    }
}

/// The tensor itself: signs are never left pending.
#[op("resolve_neg(Tensor(a) self) -> Tensor(a)", composite)]
mod resolve_neg {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        Ok(this.clone())
    }
}

/// Complex conjugate with storage of its own.
#[op("_conj_physical(Tensor self) -> Tensor", tags(pointwise, keeps_zero), no_method)]
mod _conj_physical {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::unary(Unary::Conj, "conj_cpu", this, out)
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        g.conj()
    }
}

/// Phase of complex numbers, in radians; 0 or pi of real ones.
#[op("angle(Tensor self) -> Tensor", out, tags(pointwise))]
mod angle {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        if this.is_complex() {
            return pointwise::real_unary(Unary::Angle, "angle_cpu", this, out);
        }
        pointwise::float_unary(Unary::Angle, "angle_cpu", this, out)
    }
    fn grad_this(g: &Tensor, this: &Tensor) -> Result<Tensor> {
        if !this.is_complex() {
            return zero_grad(g);
        }
        // The angle turns with i z / |z|^2.
        let (re, im) = (this.real()?, this.imag()?);
        let square = re.mul(&re)?.add(&im.mul(&im)?)?;
        let turn = complex(&im.neg()?.div(&square)?, &re.div(&square)?)?;
        where_self(&this.eq_scalar(0)?, &Tensor::wrapped(Scalar::Int(0))?, &turn.mul(g)?)
    }
}

/// Complex numbers from their parts.
#[op("complex(Tensor real, Tensor imag) -> Tensor", out, tags(pointwise))]
mod complex {
    fn kernel(real: &Tensor, imag: &Tensor, out: Out) -> Result<Tensor> {
        combine(Binary::Complex, "complex_cpu", real, imag, out)
    }
    fn grad_real(g: &Tensor) -> Result<Tensor> {
        g.real()
    }
    fn grad_imag(g: &Tensor) -> Result<Tensor> {
        g.imag()
    }
}

/// Complex numbers from modulus and phase.
#[op("polar(Tensor abs, Tensor angle) -> Tensor", autocast = "fp32", out, tags(pointwise))]
mod polar {
    fn kernel(abs: &Tensor, angle: &Tensor, out: Out) -> Result<Tensor> {
        combine(Binary::Polar, "polar_cpu", abs, angle, out)
    }
    fn grad_abs(g: &Tensor, angle: &Tensor) -> Result<Tensor> {
        g.real()?.mul(&angle.cos()?)?.add(&g.imag()?.mul(&angle.sin()?)?)
    }
    fn grad_angle(g: &Tensor, abs: &Tensor, angle: &Tensor) -> Result<Tensor> {
        g.imag()?.mul(&angle.cos()?)?.sub(&g.real()?.mul(&angle.sin()?)?)?.mul(abs)
    }
}

/// The layout of complex numbers in units of their parts, beginning at part `index` of the first.
fn part(layout: &Layout, index: usize) -> Layout {
    let strides: Dims = layout.strides.iter().map(|s| s * 2).collect();
    Layout::new(&layout.sizes, &strides, layout.offset * 2 + index)
}

fn parts(t: &Tensor, index: usize) -> Result<Tensor> {
    t.alias_with_dtype(part(&t.layout(), index), t.dtype().to_real())
}

fn combine(op: Binary, name: &str, a: &Tensor, b: &Tensor, out: Out) -> Result<Tensor> {
    let allowed = |t: &Tensor| matches!(t.dtype(), DType::F32 | DType::F64 | DType::F16);
    if !allowed(a) || !allowed(b) {
        bail!(
            NotImplemented,
            "Expected both inputs to be Half, Float or Double tensors but got {} and {}",
            a.dtype().scalar_type(),
            b.dtype().scalar_type()
        );
    }
    if a.dtype() != b.dtype() {
        bail!(
            "Expected object of scalar type {} but got scalar type {} for second argument",
            a.dtype().scalar_type(),
            b.dtype().scalar_type()
        );
    }
    let dtype = a.dtype().to_complex();
    if let Out::Into([t]) = out
        && t.dtype() != dtype
    {
        bail!(
            "Expected object of scalar type {} but got scalar type {} for argument 'out'",
            dtype.scalar_type(),
            t.dtype().scalar_type()
        );
    }
    pointwise::binary_as(op, name, dtype, a, b, out)
}
