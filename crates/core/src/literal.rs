//! Tensors from nested array literals, with `torch.tensor`'s typing: [`tensor!`](crate::tensor!).

use crate::promotion::get_default_dtype;
use crate::{C64, DType, Result, Tensor, copy};

/// An element that `torch.tensor` would take, or an array of them.
pub trait Literal {
    /// Appends the sizes.
    fn sizes(&self, sizes: &mut Vec<i64>);
    /// Appends the elements in row-major order.
    fn elements(&self, into: &mut Elements);
}

/// The elements of a literal, by kind.
#[derive(Default)]
pub struct Elements {
    bools: Vec<bool>,
    ints: Vec<i64>,
    floats: Vec<f64>,
    complex: Vec<C64>,
}

macro_rules! leaf {
    ($($ty:ty => $field:ident: $kind:ty),*) => {
        $(impl Literal for $ty {
            fn sizes(&self, _: &mut Vec<i64>) {}
            fn elements(&self, into: &mut Elements) { into.$field.push(<$kind>::from(*self)) }
        })*
    };
}

leaf! { bool => bools: bool, i32 => ints: i64, i64 => ints: i64, u8 => ints: i64, f32 => floats: f64, f64 => floats: f64, C64 => complex: C64 }

impl<T: Literal, const N: usize> Literal for [T; N] {
    fn sizes(&self, sizes: &mut Vec<i64>) {
        sizes.push(N as i64);
        if let Some(first) = self.first() {
            first.sizes(sizes);
        }
    }
    fn elements(&self, into: &mut Elements) {
        self.iter().for_each(|x| x.elements(into));
    }
}

/// A tensor of a nested array: floats have the default dtype, integers `int64`, as with `torch.tensor`.
///
/// # Errors
/// `OutOfMemory` when the system refuses.
pub fn tensor(literal: impl Literal) -> Result<Tensor> {
    let (mut sizes, mut elements) = (Vec::new(), Elements::default());
    literal.sizes(&mut sizes);
    literal.elements(&mut elements);
    let Elements { bools, ints, floats, complex } = elements;
    if !complex.is_empty() {
        return as_dtype(&Tensor::from_slice(&complex, sizes)?, get_default_dtype().to_complex());
    }
    if !bools.is_empty() {
        return Tensor::from_slice(&bools, sizes);
    }
    if !ints.is_empty() {
        return Tensor::from_slice(&ints, sizes);
    }
    as_dtype(&Tensor::from_slice(&floats, sizes)?, get_default_dtype())
}

fn as_dtype(t: &Tensor, dtype: DType) -> Result<Tensor> {
    let out = Tensor::empty_of(&t.sizes(), dtype, t.device())?;
    copy::copy_into(&out, t)?;
    Ok(out)
}

/// A tensor from a list: `tensor![1.0, 2.0]` is `torch.tensor([1., 2.])`, `tensor![[1.0, 2.0], [3.0, 4.0]]` is
/// `torch.tensor([[1., 2.], [3., 4.]])`. For a 0-dim tensor call [`tensor`](crate::literal::tensor).
///
/// # Panics
/// If memory runs out.
#[macro_export]
macro_rules! tensor {
    () => { $crate::literal::expect($crate::literal::tensor([0.0; 0])) };
    ($($x:expr),+ $(,)?) => { $crate::literal::expect($crate::literal::tensor([$($x),+])) };
}

/// The tensor of a literal.
///
/// # Panics
/// If memory ran out.
#[doc(hidden)]
#[track_caller]
pub fn expect(t: Result<Tensor>) -> Tensor {
    t.unwrap_or_else(|e| panic!("{e}"))
}
