//! `a + b`, `a * 2.0`, `-a`: operators on tensors and numbers.
//!
//! They return a tensor and panic where the named method returns an error, with the same message.

use std::ops::{Add, Div, Mul, Neg, Rem, Sub};

use crate::{Result, Scalar, Tensor};

#[track_caller]
fn value(result: Result<Tensor>) -> Tensor {
    result.unwrap_or_else(|e| panic!("{e}"))
}

#[track_caller]
fn number(x: impl Into<Scalar>) -> Tensor {
    value(Tensor::wrapped(x.into()))
}

macro_rules! binary {
    ($($trait:ident $method:ident $call:ident $doc:literal;)*) => {
        $(
            #[doc = $doc]
            ///
            /// # Panics
            /// As the method of that name returns errors: shapes that do not broadcast, dtypes without the operation.
            impl $trait<&Tensor> for &Tensor {
                type Output = Tensor;
                #[track_caller]
                fn $method(self, other: &Tensor) -> Tensor { value(Tensor::$call(self, other)) }
            }
            impl $trait<Tensor> for &Tensor {
                type Output = Tensor;
                #[track_caller]
                fn $method(self, other: Tensor) -> Tensor { value(Tensor::$call(self, &other)) }
            }
            impl $trait<&Tensor> for Tensor {
                type Output = Tensor;
                #[track_caller]
                fn $method(self, other: &Tensor) -> Tensor { value(Tensor::$call(&self, other)) }
            }
            impl $trait<Tensor> for Tensor {
                type Output = Tensor;
                #[track_caller]
                fn $method(self, other: Tensor) -> Tensor { value(Tensor::$call(&self, &other)) }
            }
            // One float and one integer type, so that literals need no suffix.
            numbers!($trait $method $call: f64, i64);
        )*
    };
}

macro_rules! numbers {
    ($trait:ident $method:ident $call:ident: $($ty:ty),*) => {
        $(
            impl $trait<$ty> for &Tensor {
                type Output = Tensor;
                #[track_caller]
                fn $method(self, other: $ty) -> Tensor { value(Tensor::$call(self, &number(other))) }
            }
            impl $trait<$ty> for Tensor {
                type Output = Tensor;
                #[track_caller]
                fn $method(self, other: $ty) -> Tensor { value(Tensor::$call(&self, &number(other))) }
            }
            impl $trait<&Tensor> for $ty {
                type Output = Tensor;
                #[track_caller]
                fn $method(self, other: &Tensor) -> Tensor { value(Tensor::$call(&number(self), other)) }
            }
            impl $trait<Tensor> for $ty {
                type Output = Tensor;
                #[track_caller]
                fn $method(self, other: Tensor) -> Tensor { value(Tensor::$call(&number(self), &other)) }
            }
        )*
    };
}

binary! {
    Add add add "Adds elementwise.";
    Sub sub sub "Subtracts elementwise.";
    Mul mul mul "Multiplies elementwise.";
    Div div div "Divides elementwise.";
    Rem rem remainder "The remainder of the elementwise division, of the sign of the divisor.";
}

/// Negates elementwise.
///
/// # Panics
/// For boolean tensors.
impl Neg for &Tensor {
    type Output = Tensor;
    #[track_caller]
    fn neg(self) -> Tensor {
        value(Tensor::neg(self))
    }
}

impl Neg for Tensor {
    type Output = Tensor;
    #[track_caller]
    fn neg(self) -> Tensor {
        value(Tensor::neg(&self))
    }
}
