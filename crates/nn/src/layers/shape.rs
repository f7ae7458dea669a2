//! Layers that change the shape only: [`Flatten`], [`Unflatten`].

use cresset_core::{IntList, Result, Tensor, options};

use crate::module::{Forward, Module, tuple};

/// Makes one dimension of several, as `torch.nn.Flatten`.
///
/// ```
/// # use cresset_nn::{Flatten, Forward};
/// # use cresset_core::{Result, ops};
/// # fn main() -> Result<()> {
/// assert_eq!(Flatten::new().forward(&ops::randn([2, 3, 4, 5])?)?.sizes()[..], [2, 60]);
/// # Ok(())
/// # }
/// ```
/// # Shapes
/// `[N, *]` -> `[N, product of *]` by default.
#[derive(Clone, Debug, Default, Module)]
#[module(repr = format!("start_dim={}, end_dim={}", self.options.start_dim, self.options.end_dim))]
pub struct Flatten {
    #[module(skip)]
    options: FlattenOptions,
}

options! {
    /// Optional settings of [`Flatten`].
    FlattenOptions {
        /// The first of the dimensions (default: 1).
        start_dim: i64 = 1,
        /// The last of the dimensions (default: -1).
        end_dim: i64 = -1,
    }
}

impl Flatten {
    /// All but the first dimension.
    pub fn new() -> Flatten {
        Flatten::default()
    }

    /// With optional settings.
    pub fn with(options: impl FnOnce(FlattenOptions) -> FlattenOptions) -> Flatten {
        Flatten { options: options(FlattenOptions::default()) }
    }
}

impl Forward for Flatten {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let FlattenOptions { start_dim, end_dim } = self.options;
        input.flatten_with(|o| o.start_dim(start_dim).end_dim(end_dim))
    }
}

/// Makes several dimensions of one, as `torch.nn.Unflatten`.
///
/// ```
/// # use cresset_nn::{Forward, Unflatten};
/// # use cresset_core::{Result, ops};
/// # fn main() -> Result<()> {
/// assert_eq!(Unflatten::new(1, [3, 4, 5]).forward(&ops::randn([2, 60])?)?.sizes()[..], [2, 3, 4, 5]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Module)]
#[module(repr = format!("dim={}, unflattened_size={}", self.dim, tuple(&self.unflattened_size)))]
pub struct Unflatten {
    #[module(skip)]
    dim: i64,
    #[module(skip)]
    unflattened_size: IntList,
}

impl Unflatten {
    /// Splits `dim` into dimensions of those sizes; one of them may be -1.
    pub fn new(dim: i64, unflattened_size: impl Into<IntList>) -> Unflatten {
        Unflatten { dim, unflattened_size: unflattened_size.into() }
    }
}

impl Forward for Unflatten {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        input.unflatten(self.dim, &self.unflattened_size[..])
    }
}
