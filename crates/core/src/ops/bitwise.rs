//! Operators on the bits of integers, and common divisors.

use cresset_kernels::pointwise::{Binary, Unary};
use cresset_macros::op;

use crate::op::{OpDef, Out};
use crate::{Result, Scalar, Tensor, op_list, pointwise};

pub(crate) static OPS: &[&OpDef] = op_list![
    bitwise_and,
    bitwise_and_scalar,
    bitwise_and_scalar_tensor,
    __and__,
    __and_scalar,
    bitwise_or,
    bitwise_or_scalar,
    bitwise_or_scalar_tensor,
    __or__,
    __or_scalar,
    bitwise_xor,
    bitwise_xor_scalar,
    bitwise_xor_scalar_tensor,
    __xor__,
    __xor_scalar,
    bitwise_left_shift,
    bitwise_left_shift_scalar,
    bitwise_left_shift_scalar_tensor,
    __lshift__,
    __lshift_scalar,
    bitwise_right_shift,
    bitwise_right_shift_scalar,
    bitwise_right_shift_scalar_tensor,
    __rshift__,
    __rshift_scalar,
    bitwise_not,
    gcd,
    lcm,
];

/// Bits set in both elements.
#[op(
    "bitwise_and.Tensor(Tensor self, Tensor other) -> Tensor",
    inplace,
    out,
    tags(pointwise),
    no_grad = "integers have no gradient"
)]
mod bitwise_and {
    fn kernel(this: &Tensor, other: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::binary(Binary::BitwiseAnd, "bitwise_and_cpu", this, other, out)
    }
}

/// Bits set in both elements.
#[op("bitwise_and.Scalar(Tensor self, Scalar other) -> Tensor", inplace, out, composite)]
mod bitwise_and_scalar {
    fn kernel(this: &Tensor, other: Scalar) -> Result<Tensor> {
        this.bitwise_and(&Tensor::wrapped(other)?)
    }
}

/// Bits set in both elements.
#[op("bitwise_and.Scalar_Tensor(Scalar self, Tensor other) -> Tensor", out, composite)]
mod bitwise_and_scalar_tensor {
    fn kernel(this: Scalar, other: &Tensor) -> Result<Tensor> {
        Tensor::wrapped(this)?.bitwise_and(other)
    }
}

/// Alias of [`bitwise_and`].
#[op("__and__.Tensor(Tensor self, Tensor other) -> Tensor", composite)]
mod __and__ {
    fn kernel(this: &Tensor, other: &Tensor) -> Result<Tensor> {
        this.bitwise_and(other)
    }
}

/// Alias of [`bitwise_and`] with a number.
#[op("__and__.Scalar(Tensor self, Scalar other) -> Tensor", composite)]
mod __and_scalar {
    fn kernel(this: &Tensor, other: Scalar) -> Result<Tensor> {
        this.bitwise_and(&Tensor::wrapped(other)?)
    }
}

/// Bits set in one of the elements.
#[op(
    "bitwise_or.Tensor(Tensor self, Tensor other) -> Tensor",
    inplace,
    out,
    tags(pointwise),
    no_grad = "integers have no gradient"
)]
mod bitwise_or {
    fn kernel(this: &Tensor, other: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::binary(Binary::BitwiseOr, "bitwise_or_cpu", this, other, out)
    }
}

/// Bits set in one of the elements.
#[op("bitwise_or.Scalar(Tensor self, Scalar other) -> Tensor", inplace, out, composite)]
mod bitwise_or_scalar {
    fn kernel(this: &Tensor, other: Scalar) -> Result<Tensor> {
        this.bitwise_or(&Tensor::wrapped(other)?)
    }
}

/// Bits set in one of the elements.
#[op("bitwise_or.Scalar_Tensor(Scalar self, Tensor other) -> Tensor", out, composite)]
mod bitwise_or_scalar_tensor {
    fn kernel(this: Scalar, other: &Tensor) -> Result<Tensor> {
        Tensor::wrapped(this)?.bitwise_or(other)
    }
}

/// Alias of [`bitwise_or`].
#[op("__or__.Tensor(Tensor self, Tensor other) -> Tensor", composite)]
mod __or__ {
    fn kernel(this: &Tensor, other: &Tensor) -> Result<Tensor> {
        this.bitwise_or(other)
    }
}

/// Alias of [`bitwise_or`] with a number.
#[op("__or__.Scalar(Tensor self, Scalar other) -> Tensor", composite)]
mod __or_scalar {
    fn kernel(this: &Tensor, other: Scalar) -> Result<Tensor> {
        this.bitwise_or(&Tensor::wrapped(other)?)
    }
}

/// Bits set in exactly one of the elements.
#[op(
    "bitwise_xor.Tensor(Tensor self, Tensor other) -> Tensor",
    inplace,
    out,
    tags(pointwise),
    no_grad = "integers have no gradient"
)]
mod bitwise_xor {
    fn kernel(this: &Tensor, other: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::binary(Binary::BitwiseXor, "bitwise_xor_cpu", this, other, out)
    }
}

/// Bits set in exactly one of the elements.
#[op("bitwise_xor.Scalar(Tensor self, Scalar other) -> Tensor", inplace, out, composite)]
mod bitwise_xor_scalar {
    fn kernel(this: &Tensor, other: Scalar) -> Result<Tensor> {
        this.bitwise_xor(&Tensor::wrapped(other)?)
    }
}

/// Bits set in exactly one of the elements.
#[op("bitwise_xor.Scalar_Tensor(Scalar self, Tensor other) -> Tensor", out, composite)]
mod bitwise_xor_scalar_tensor {
    fn kernel(this: Scalar, other: &Tensor) -> Result<Tensor> {
        Tensor::wrapped(this)?.bitwise_xor(other)
    }
}

/// Alias of [`bitwise_xor`].
#[op("__xor__.Tensor(Tensor self, Tensor other) -> Tensor", composite)]
mod __xor__ {
    fn kernel(this: &Tensor, other: &Tensor) -> Result<Tensor> {
        this.bitwise_xor(other)
    }
}

/// Alias of [`bitwise_xor`] with a number.
#[op("__xor__.Scalar(Tensor self, Scalar other) -> Tensor", composite)]
mod __xor_scalar {
    fn kernel(this: &Tensor, other: Scalar) -> Result<Tensor> {
        this.bitwise_xor(&Tensor::wrapped(other)?)
    }
}

/// Bits moved up by `other` places.
#[op(
    "bitwise_left_shift.Tensor(Tensor self, Tensor other) -> Tensor",
    inplace,
    out,
    tags(pointwise),
    no_grad = "integers have no gradient"
)]
mod bitwise_left_shift {
    fn kernel(this: &Tensor, other: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::binary(Binary::ShiftLeft, "lshift_cpu", this, other, out)
    }
}

/// Bits moved up by `other` places.
#[op("bitwise_left_shift.Tensor_Scalar(Tensor self, Scalar other) -> Tensor", inplace, out, composite)]
mod bitwise_left_shift_scalar {
    fn kernel(this: &Tensor, other: Scalar) -> Result<Tensor> {
        this.bitwise_left_shift(&Tensor::wrapped(other)?)
    }
}

/// Bits moved up by `other` places.
#[op("bitwise_left_shift.Scalar_Tensor(Scalar self, Tensor other) -> Tensor", out, composite)]
mod bitwise_left_shift_scalar_tensor {
    fn kernel(this: Scalar, other: &Tensor) -> Result<Tensor> {
        Tensor::wrapped(this)?.bitwise_left_shift(other)
    }
}

/// Alias of [`bitwise_left_shift`].
#[op("__lshift__.Tensor(Tensor self, Tensor other) -> Tensor", composite)]
mod __lshift__ {
    fn kernel(this: &Tensor, other: &Tensor) -> Result<Tensor> {
        this.bitwise_left_shift(other)
    }
}

/// Alias of [`bitwise_left_shift`] with a number.
#[op("__lshift__.Scalar(Tensor self, Scalar other) -> Tensor", composite)]
mod __lshift_scalar {
    fn kernel(this: &Tensor, other: Scalar) -> Result<Tensor> {
        this.bitwise_left_shift(&Tensor::wrapped(other)?)
    }
}

/// Bits moved down by `other` places, the sign kept.
#[op(
    "bitwise_right_shift.Tensor(Tensor self, Tensor other) -> Tensor",
    inplace,
    out,
    tags(pointwise),
    no_grad = "integers have no gradient"
)]
mod bitwise_right_shift {
    fn kernel(this: &Tensor, other: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::binary(Binary::ShiftRight, "rshift_cpu", this, other, out)
    }
}

/// Bits moved down by `other` places, the sign kept.
#[op("bitwise_right_shift.Tensor_Scalar(Tensor self, Scalar other) -> Tensor", inplace, out, composite)]
mod bitwise_right_shift_scalar {
    fn kernel(this: &Tensor, other: Scalar) -> Result<Tensor> {
        this.bitwise_right_shift(&Tensor::wrapped(other)?)
    }
}

/// Bits moved down by `other` places, the sign kept.
#[op("bitwise_right_shift.Scalar_Tensor(Scalar self, Tensor other) -> Tensor", out, composite)]
mod bitwise_right_shift_scalar_tensor {
    fn kernel(this: Scalar, other: &Tensor) -> Result<Tensor> {
        Tensor::wrapped(this)?.bitwise_right_shift(other)
    }
}

/// Alias of [`bitwise_right_shift`].
#[op("__rshift__.Tensor(Tensor self, Tensor other) -> Tensor", composite)]
mod __rshift__ {
    fn kernel(this: &Tensor, other: &Tensor) -> Result<Tensor> {
        this.bitwise_right_shift(other)
    }
}

/// Alias of [`bitwise_right_shift`] with a number.
#[op("__rshift__.Scalar(Tensor self, Scalar other) -> Tensor", composite)]
mod __rshift_scalar {
    fn kernel(this: &Tensor, other: Scalar) -> Result<Tensor> {
        this.bitwise_right_shift(&Tensor::wrapped(other)?)
    }
}

/// Bits inverted; `logical_not` of bool.
#[op(
    "bitwise_not(Tensor self) -> Tensor",
    inplace,
    out,
    tags(pointwise),
    no_grad = "integers have no gradient"
)]
mod bitwise_not {
    fn kernel(this: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::unary(Unary::BitwiseNot, "bitwise_not_cpu", this, out)
    }
}

/// Greatest common divisor.
#[op(
    "gcd(Tensor self, Tensor other) -> Tensor",
    inplace,
    out,
    tags(pointwise),
    no_grad = "integers have no gradient"
)]
mod gcd {
    fn kernel(this: &Tensor, other: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::binary(Binary::Gcd, "gcd_cpu", this, other, out)
    }
}

/// Least common multiple.
#[op(
    "lcm(Tensor self, Tensor other) -> Tensor",
    inplace,
    out,
    tags(pointwise),
    no_grad = "integers have no gradient"
)]
mod lcm {
    fn kernel(this: &Tensor, other: &Tensor, out: Out) -> Result<Tensor> {
        pointwise::binary(Binary::Lcm, "lcm_cpu", this, other, out)
    }
}
