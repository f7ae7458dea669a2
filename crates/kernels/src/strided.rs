//! temporary
use crate::dtype::DType;
/// One operand: address of its first element, element type, strides in elements.
#[derive(Clone, Copy)]
pub struct Operand<'a> {
    /// Address of the first element.
    pub ptr: *mut u8,
    /// Element type.
    pub dtype: DType,
    /// Strides in elements.
    pub strides: &'a [i64],
}
