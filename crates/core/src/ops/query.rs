//! Questions about tensors and dtypes, callable by name like any operator.

use crate::op::OpDef;
use crate::promotion::{Promotion, can_cast as castable, result_type as common};
use crate::{DType, Result, Scalar, Tensor, bail, op_list};
use cresset_macros::op;

pub(crate) static OPS: &[&OpDef] = op_list![
    is_complex,
    is_floating_point,
    is_signed,
    is_nonzero,
    is_same_size,
    is_contiguous,
    numel,
    dim,
    item,
    can_cast,
    result_type,
    result_type_scalar,
    result_type_scalar_tensor,
    result_type_scalar_scalar,
    _shape_as_tensor,
    equal,
    promote_types,
];

/// Whether the dtype is complex.
#[op("is_complex(Tensor self) -> bool", no_grad = "not a tensor", no_method)]
mod is_complex {
    fn kernel(this: &Tensor) -> Result<bool> {
        Ok(this.dtype().is_complex())
    }
}

/// Whether the dtype is a floating-point one.
#[op("is_floating_point(Tensor self) -> bool", no_grad = "not a tensor", no_method)]
mod is_floating_point {
    fn kernel(this: &Tensor) -> Result<bool> {
        Ok(this.dtype().is_floating_point())
    }
}

/// Whether the dtype has negative numbers.
#[op("is_signed(Tensor self) -> bool", no_grad = "not a tensor")]
mod is_signed {
    fn kernel(this: &Tensor) -> Result<bool> {
        Ok(!matches!(this.dtype(), DType::Bool | DType::U8))
    }
}

/// Whether the one element is not zero.
#[op("is_nonzero(Tensor self) -> bool", no_grad = "not a tensor")]
mod is_nonzero {
    fn kernel(this: &Tensor) -> Result<bool> {
        match this.numel() {
            0 => bail!("Boolean value of Tensor with no values is ambiguous"),
            1 => Ok(this.item()?.to_bool()),
            _ => bail!("Boolean value of Tensor with more than one value is ambiguous"),
        }
    }
}

/// Whether the sizes are the same.
#[op("is_same_size(Tensor self, Tensor other) -> bool", no_grad = "not a tensor")]
mod is_same_size {
    fn kernel(this: &Tensor, other: &Tensor) -> Result<bool> {
        Ok(this.sizes() == other.sizes())
    }
}

/// Whether the elements lie in row-major order without gaps.
#[op("is_contiguous(Tensor self) -> bool", no_grad = "not a tensor", no_method)]
mod is_contiguous {
    fn kernel(this: &Tensor) -> Result<bool> {
        Ok(this.is_contiguous())
    }
}

/// The number of elements.
#[op("numel(Tensor self) -> int", no_grad = "not a tensor", no_method)]
mod numel {
    fn kernel(this: &Tensor) -> Result<i64> {
        Ok(this.numel() as i64)
    }
}

/// The number of dimensions.
#[op("dim(Tensor self) -> int", no_grad = "not a tensor", no_method)]
mod dim {
    fn kernel(this: &Tensor) -> Result<i64> {
        Ok(this.dim() as i64)
    }
}

/// The one element as a number.
#[op("item(Tensor self) -> Scalar", no_grad = "not a tensor", no_method)]
mod item {
    fn kernel(this: &Tensor) -> Result<Scalar> {
        this.item()
    }
}

/// Whether PyTorch casts implicitly from one dtype to the other.
#[op("can_cast(ScalarType from_, ScalarType to) -> bool", no_grad = "not a tensor")]
mod can_cast {
    fn kernel(from_: DType, to: DType) -> Result<bool> {
        Ok(castable(from_, to))
    }
}

/// The dtype of arithmetic between two tensors.
#[op("result_type.Tensor(Tensor tensor, Tensor other) -> ScalarType", no_grad = "not a tensor", no_method)]
mod result_type {
    fn kernel(tensor: &Tensor, other: &Tensor) -> Result<DType> {
        Ok(common(&[tensor, other]))
    }
}

/// The dtype of arithmetic between a tensor and a number.
#[op("result_type.Scalar(Tensor tensor, Scalar other) -> ScalarType", no_grad = "not a tensor", no_method)]
mod result_type_scalar {
    fn kernel(tensor: &Tensor, other: Scalar) -> Result<DType> {
        Ok(Promotion::default().tensor(tensor).number(other).result())
    }
}

/// The dtype of arithmetic between a number and a tensor.
#[op(
    "result_type.Scalar_Tensor(Scalar scalar, Tensor tensor) -> ScalarType",
    no_grad = "not a tensor",
    no_method
)]
mod result_type_scalar_tensor {
    fn kernel(scalar: Scalar, tensor: &Tensor) -> Result<DType> {
        Ok(Promotion::default().tensor(tensor).number(scalar).result())
    }
}

/// The dtype of arithmetic between two numbers.
#[op("result_type.Scalar_Scalar(Scalar scalar1, Scalar scalar2) -> ScalarType", no_grad = "not a tensor")]
mod result_type_scalar_scalar {
    fn kernel(scalar1: Scalar, scalar2: Scalar) -> Result<DType> {
        Ok(Promotion::default().number(scalar1).number(scalar2).result())
    }
}

/// The sizes as a tensor of integers.
#[op("_shape_as_tensor(Tensor self) -> Tensor", no_grad = "integers", no_method)]
mod _shape_as_tensor {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        Tensor::from_slice(&this.sizes(), [this.dim() as i64])
    }
}

/// Whether both tensors have the same sizes and elements.
#[op("equal(Tensor self, Tensor other) -> bool", no_grad = "not a tensor")]
mod equal {
    fn kernel(this: &Tensor, other: &Tensor) -> Result<bool> {
        Ok(this.sizes() == other.sizes() && this.eq(other)?.to_vec::<bool>()?.iter().all(|same| *same))
    }
}

/// The dtype that two dtypes promote to.
#[op("promote_types(ScalarType type1, ScalarType type2) -> ScalarType", no_grad = "not a tensor")]
mod promote_types {
    fn kernel(type1: DType, type2: DType) -> Result<DType> {
        Ok(crate::promotion::promote_types(type1, type2))
    }
}
