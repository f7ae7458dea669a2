//! Operands of strided loops.

use crate::dtype::DType;

/// One operand: address of its first element, element type, strides in elements.
#[derive(Clone, Copy, Debug)]
pub struct Operand<'a> {
    /// Address of the element at index 0 of every dimension.
    pub ptr: *mut u8,
    /// Type of the elements.
    pub dtype: DType,
    /// Step of each dimension, in elements; 0 repeats, negative runs backwards.
    pub strides: &'a [i64],
}

// SAFETY: an operand is an address; the loops that read or write through it say what they need.
unsafe impl Send for Operand<'_> {}
// SAFETY: as above.
unsafe impl Sync for Operand<'_> {}
