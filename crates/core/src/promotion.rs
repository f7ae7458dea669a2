//! Type promotion, as `torch.result_type`: dimensioned tensors outrank 0-dim ones, which outrank Python numbers; a
//! lower rank changes the result only if its kind (bool, integer, float, complex) is higher.

use crate::{DType, Scalar, Tensor};
use std::sync::RwLock;

static DEFAULT: RwLock<DType> = RwLock::new(DType::F32);

/// The dtype of float literals, `float32` at the start.
pub fn get_default_dtype() -> DType {
    *DEFAULT.read().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// Sets the dtype of float literals.
///
/// # Errors
/// `Type` unless it is a floating-point dtype.
pub fn set_default_dtype(dtype: DType) -> crate::Result<()> {
    crate::ensure!(
        dtype.is_floating_point(),
        Type,
        "only floating-point types are supported as the default type"
    );
    *DEFAULT.write().unwrap_or_else(std::sync::PoisonError::into_inner) = dtype;
    Ok(())
}

/// The smallest dtype that both convert to, as `torch.promote_types`.
pub fn promote_types(a: DType, b: DType) -> DType {
    use DType::{BF16, Bool, Complex64, Complex128, F16, F32, F64, I8, I16, U8};
    if a == b {
        return a;
    }
    let (low, high) = if a < b { (a, b) } else { (b, a) };
    match (low, high) {
        (Bool, other) => other,
        (U8, I8) => I16,
        (F16, BF16) => F32,
        (F64, Complex64) => Complex128,
        (_, Complex64 | Complex128 | F64 | F32 | F16 | BF16) => high,
        // U8 < I8 < I16 < I32 < I64 in the declaration; U8 with a wider integer gives that one.
        (U8, other) if other >= I16 => other,
        _ => high,
    }
}

/// Whether a result of dtype `from` may be written to `to`: the kind must not go down.
pub fn can_cast(from: DType, to: DType) -> bool {
    !(from.is_complex() && !to.is_complex())
        && !(from.is_floating_point() && to.is_integral_or_bool())
        && !(from != DType::Bool && to == DType::Bool)
}

/// The dtypes met so far, by rank.
#[derive(Clone, Copy, Debug, Default)]
pub struct Promotion {
    dims: Option<DType>,
    zero_dim: Option<DType>,
    numbers: Option<DType>,
}

fn join(slot: &mut Option<DType>, dtype: DType) {
    *slot = Some(slot.map_or(dtype, |d| promote_types(d, dtype)));
}

impl Promotion {
    /// Takes a tensor into account.
    pub fn tensor(&mut self, t: &Tensor) -> &mut Self {
        let slot = if t.is_wrapped_number() {
            return self.number_of(t.dtype());
        } else if t.dim() == 0 {
            &mut self.zero_dim
        } else {
            &mut self.dims
        };
        join(slot, t.dtype());
        self
    }

    /// Takes a Python number into account.
    pub fn number(&mut self, s: Scalar) -> &mut Self {
        self.number_of(s.dtype())
    }

    fn number_of(&mut self, dtype: DType) -> &mut Self {
        let dtype = match dtype {
            d if d.is_complex() => get_default_dtype().to_complex(),
            d if d.is_floating_point() => get_default_dtype(),
            d => d,
        };
        join(&mut self.numbers, dtype);
        self
    }

    /// The result; `float32`-like default when nothing was met.
    pub fn result(&self) -> DType {
        let zero = combine(self.zero_dim, self.numbers);
        combine(self.dims, zero).unwrap_or_else(get_default_dtype)
    }
}

fn kind(d: DType) -> u8 {
    match d {
        d if d.is_complex() => 3,
        d if d.is_floating_point() => 2,
        DType::Bool => 0,
        _ => 1,
    }
}

/// `higher` unless `lower` is of a higher kind.
fn combine(higher: Option<DType>, lower: Option<DType>) -> Option<DType> {
    match (higher, lower) {
        (Some(h), Some(l)) if kind(l) > kind(h) => Some(promote_types(h, l)),
        (Some(h), _) => Some(h),
        (None, l) => l,
    }
}

/// The dtype of an operation on those tensors, as `torch.result_type`.
pub fn result_type(tensors: &[&Tensor]) -> DType {
    // Most calls have tensors of one dtype.
    if let [a, b] = tensors
        && a.dtype() == b.dtype()
        && !a.is_wrapped_number()
        && !b.is_wrapped_number()
    {
        return a.dtype();
    }
    let mut p = Promotion::default();
    tensors.iter().for_each(|t| {
        p.tensor(t);
    });
    p.result()
}
