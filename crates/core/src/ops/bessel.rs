//! Bessel and Airy functions.

use cresset_kernels::math::bessel;
use cresset_macros::op;

use super::where_self;
use crate::op::{OpDef, Out};
use crate::{Result, Scalar, Tensor, op_list, pointwise};

pub(crate) static OPS: &[&OpDef] = op_list![
    special_airy_ai,
    special_bessel_j0,
    special_bessel_j1,
    special_bessel_y0,
    special_bessel_y1,
    special_modified_bessel_i0,
    special_modified_bessel_i1,
    special_modified_bessel_k0,
    special_modified_bessel_k1,
    special_scaled_modified_bessel_k0,
    special_scaled_modified_bessel_k1,
    special_spherical_bessel_j0,
];

/// `slope`, but `limit` where `x` is 0.
fn unless_zero(x: &Tensor, limit: f64, slope: &Tensor) -> Result<Tensor> {
    where_self(&x.eq_scalar(0)?, &Tensor::wrapped(Scalar::Float(limit))?, slope)
}

/// Solution of `y'' = x y` that vanishes at infinity.
#[op("special_airy_ai(Tensor x) -> Tensor", out, tags(pointwise), no_grad = "PyTorch has none")]
mod special_airy_ai {
    fn kernel(x: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::real_map1("airy_ai_cpu", x, out, (bessel::airy_ai, bessel::airy_ai))
    }
}

/// Bessel function of the first kind of order 0.
#[op("special_bessel_j0(Tensor self) -> Tensor", out, tags(pointwise))]
mod special_bessel_j0 {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::real_map1("bessel_j0_cpu", this, out, (bessel::bessel_j0, bessel::bessel_j0))
    }
    fn grad_this(g: &Tensor, this: &Tensor) -> Result<Tensor> {
        g.mul(&this.special_bessel_j1()?)?.neg()
    }
}

/// Bessel function of the first kind of order 1.
#[op("special_bessel_j1(Tensor self) -> Tensor", out, tags(pointwise))]
mod special_bessel_j1 {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::real_map1("bessel_j1_cpu", this, out, (bessel::bessel_j1, bessel::bessel_j1))
    }
    fn grad_this(g: &Tensor, this: &Tensor, out: &Tensor) -> Result<Tensor> {
        // J1' = J0 - J1 / x.
        g.mul(&unless_zero(this, 0.5, &this.special_bessel_j0()?.sub(&out.div(this)?)?)?)
    }
}

/// Bessel function of the second kind of order 0.
#[op("special_bessel_y0(Tensor self) -> Tensor", out, tags(pointwise))]
mod special_bessel_y0 {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::real_map1("bessel_y0_cpu", this, out, (bessel::bessel_y0, bessel::bessel_y0))
    }
    fn grad_this(g: &Tensor, this: &Tensor) -> Result<Tensor> {
        g.mul(&this.special_bessel_y1()?)?.neg()
    }
}

/// Bessel function of the second kind of order 1.
#[op("special_bessel_y1(Tensor self) -> Tensor", out, tags(pointwise))]
mod special_bessel_y1 {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::real_map1("bessel_y1_cpu", this, out, (bessel::bessel_y1, bessel::bessel_y1))
    }
    fn grad_this(g: &Tensor, this: &Tensor, out: &Tensor) -> Result<Tensor> {
        // Y1' = Y0 - Y1 / x.
        g.mul(&unless_zero(this, f64::INFINITY, &this.special_bessel_y0()?.sub(&out.div(this)?)?)?)
    }
}

/// Modified Bessel function of the first kind of order 0.
#[op("special_modified_bessel_i0(Tensor self) -> Tensor", out, tags(pointwise))]
mod special_modified_bessel_i0 {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::real_map1(
            "modified_bessel_i0_cpu",
            this,
            out,
            (bessel::modified_bessel_i0, bessel::modified_bessel_i0),
        )
    }
    fn grad_this(g: &Tensor, this: &Tensor) -> Result<Tensor> {
        g.mul(&this.special_modified_bessel_i1()?)
    }
}

/// Modified Bessel function of the first kind of order 1.
#[op("special_modified_bessel_i1(Tensor self) -> Tensor", out, tags(pointwise))]
mod special_modified_bessel_i1 {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::real_map1(
            "modified_bessel_i1_cpu",
            this,
            out,
            (bessel::modified_bessel_i1, bessel::modified_bessel_i1),
        )
    }
    fn grad_this(g: &Tensor, this: &Tensor, out: &Tensor) -> Result<Tensor> {
        // I1' = I0 - I1 / x.
        g.mul(&unless_zero(this, 0.5, &this.special_modified_bessel_i0()?.sub(&out.div(this)?)?)?)
    }
}

/// Modified Bessel function of the second kind of order 0.
#[op("special_modified_bessel_k0(Tensor self) -> Tensor", out, tags(pointwise))]
mod special_modified_bessel_k0 {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::real_map1(
            "modified_bessel_k0_cpu",
            this,
            out,
            (bessel::modified_bessel_k0, bessel::modified_bessel_k0),
        )
    }
    fn grad_this(g: &Tensor, this: &Tensor) -> Result<Tensor> {
        g.mul(&this.special_modified_bessel_k1()?)?.neg()
    }
}

/// Modified Bessel function of the second kind of order 1.
#[op("special_modified_bessel_k1(Tensor self) -> Tensor", out, tags(pointwise))]
mod special_modified_bessel_k1 {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::real_map1(
            "modified_bessel_k1_cpu",
            this,
            out,
            (bessel::modified_bessel_k1, bessel::modified_bessel_k1),
        )
    }
    fn grad_this(g: &Tensor, this: &Tensor, out: &Tensor) -> Result<Tensor> {
        // K1' = -(K0 + K1 / x).
        g.mul(&this.special_modified_bessel_k0()?.add(&out.div(this)?)?)?.neg()
    }
}

/// `e^x` times the modified Bessel function of the second kind of order 0.
#[op(
    "special_scaled_modified_bessel_k0(Tensor x) -> Tensor",
    out,
    tags(pointwise),
    no_grad = "PyTorch has none"
)]
mod special_scaled_modified_bessel_k0 {
    fn kernel(x: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::real_map1(
            "scaled_modified_bessel_k0_cpu",
            x,
            out,
            (bessel::scaled_modified_bessel_k0, bessel::scaled_modified_bessel_k0),
        )
    }
}

/// `e^x` times the modified Bessel function of the second kind of order 1.
#[op(
    "special_scaled_modified_bessel_k1(Tensor x) -> Tensor",
    out,
    tags(pointwise),
    no_grad = "PyTorch has none"
)]
mod special_scaled_modified_bessel_k1 {
    fn kernel(x: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::real_map1(
            "scaled_modified_bessel_k1_cpu",
            x,
            out,
            (bessel::scaled_modified_bessel_k1, bessel::scaled_modified_bessel_k1),
        )
    }
}

/// Spherical Bessel function of the first kind of order 0: `sin(x) / x`.
#[op("special_spherical_bessel_j0(Tensor x) -> Tensor", out, tags(pointwise), no_grad = "PyTorch has none")]
mod special_spherical_bessel_j0 {
    fn kernel(x: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::real_map1(
            "spherical_bessel_j0_cpu",
            x,
            out,
            (bessel::spherical_bessel_j0, bessel::spherical_bessel_j0),
        )
    }
}
