//! Layers that pad: with zeros, a constant, the reflected, the repeated or the opposite border.

use cresset_core::{IntList, Result, Scalar, Tensor, ensure};

use crate::functional::{PaddingMode, pad, pad_constant};
use crate::module::{Forward, Module, number, tuple};

/// Both ends of `D` dimensions, last dimension first.
fn both_ends<const D: usize>(padding: IntList) -> Result<Vec<i64>> {
    let padding = if padding.len() == 1 { vec![padding[0]; 2 * D] } else { padding.to_vec() };
    ensure!(
        padding.len() == 2 * D,
        Value,
        "padding: expected one number or {}, got {}",
        2 * D,
        padding.len()
    );
    Ok(padding)
}

/// Leaves the check of the dimensions to the operator.
fn any(_dims: usize, _padded: usize) -> Result<()> {
    Ok(())
}

/// Refuses inputs with other dimensions than the padded ones, channels and perhaps a batch.
fn batch_or_sample(dims: usize, padded: usize) -> Result<()> {
    let (sample, batch) = (padded + 1, padded + 2);
    ensure!(
        dims == sample || dims == batch,
        Value,
        "expected {sample}D or {batch}D input (got {dims}D input)"
    );
    Ok(())
}

macro_rules! pads {
    ($($(#[$doc:meta])* $name:ident ($one:ident, $two:ident, $three:ident), $text:literal, $mode:ident, $check:expr;)*) => { $(
        $(#[$doc])*
        ///
        /// # Shapes
        /// `[N, C, spatial…]` or `[C, spatial…]` -> the same with larger (or, for negative padding, smaller) spatial sizes.
        #[derive(Clone, Debug, Module)]
        #[module(name = format!("{}{D}d", $text), repr = tuple(&self.padding))]
        pub struct $name<const D: usize> {
            #[module(skip)]
            padding: Vec<i64>,
        }

        #[doc = concat!("[`", stringify!($name), "`] of one dimension.")]
        pub type $one = $name<1>;
        #[doc = concat!("[`", stringify!($name), "`] of two dimensions.")]
        pub type $two = $name<2>;
        #[doc = concat!("[`", stringify!($name), "`] of three dimensions.")]
        pub type $three = $name<3>;

        impl<const D: usize> $name<D> {
            /// By one number at all ends, or `[left, right, top, bottom, …]`.
            ///
            /// # Errors
            /// `Value` for another number of numbers.
            pub fn new(padding: impl Into<IntList>) -> Result<Self> {
                Ok($name { padding: both_ends::<D>(padding.into())? })
            }
        }

        impl<const D: usize> Forward for $name<D> {
            fn forward(&self, input: &Tensor) -> Result<Tensor> {
                $check(input.dim(), D)?;
                pad(input, &self.padding, PaddingMode::$mode)
            }
        }
    )* };
}

pads! {
    /// Pads with zeros, as `torch.nn.ZeroPad2d` and its siblings.
    ZeroPad(ZeroPad1d, ZeroPad2d, ZeroPad3d), "ZeroPad", Zeros, any;
    /// Pads with the reflection at the border, as `torch.nn.ReflectionPad2d` and its siblings.
    ReflectionPad(ReflectionPad1d, ReflectionPad2d, ReflectionPad3d), "ReflectionPad", Reflect, any;
    /// Pads by repeating the border, as `torch.nn.ReplicationPad2d` and its siblings.
    ReplicationPad(ReplicationPad1d, ReplicationPad2d, ReplicationPad3d), "ReplicationPad", Replicate, any;
    /// Pads with the opposite border, as `torch.nn.CircularPad2d` and its siblings.
    CircularPad(CircularPad1d, CircularPad2d, CircularPad3d), "CircularPad", Circular, batch_or_sample;
}

/// Pads with a number, as `torch.nn.ConstantPad2d` and its siblings.
#[derive(Clone, Debug, Module)]
#[module(name = format!("ConstantPad{D}d"), repr = format!("padding={}, value={}", tuple(&self.padding), number(self.value)))]
pub struct ConstantPad<const D: usize> {
    #[module(skip)]
    padding: Vec<i64>,
    #[module(skip)]
    value: Scalar,
}

/// [`ConstantPad`] of one dimension.
pub type ConstantPad1d = ConstantPad<1>;
/// [`ConstantPad`] of two dimensions.
pub type ConstantPad2d = ConstantPad<2>;
/// [`ConstantPad`] of three dimensions.
pub type ConstantPad3d = ConstantPad<3>;

impl<const D: usize> ConstantPad<D> {
    /// By one number of elements at all ends, or `[left, right, top, bottom, …]`.
    ///
    /// # Errors
    /// `Value` for another number of numbers.
    pub fn new(padding: impl Into<IntList>, value: impl Into<Scalar>) -> Result<Self> {
        Ok(ConstantPad { padding: both_ends::<D>(padding.into())?, value: value.into() })
    }
}

impl<const D: usize> Forward for ConstantPad<D> {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        pad_constant(input, &self.padding, self.value.to_f64())
    }
}
