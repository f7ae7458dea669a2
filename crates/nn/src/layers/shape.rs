//! Layers that change the shape only: [`Flatten`], [`Unflatten`].

use cresset_core::{IntList, Result, Tensor};

use crate::module::{Forward, Module, tuple};

/// Makes one dimension of several, as `torch.nn.Flatten`.
///
/// # Shapes
/// `[N, *]` -> `[N, product of *]` by default.
#[derive(Clone, Copy, Debug, Module)]
#[module(repr = format!("start_dim={}, end_dim={}", self.start_dim, self.end_dim))]
pub struct Flatten {
    #[module(skip)]
    start_dim: i64,
    #[module(skip)]
    end_dim: i64,
}

impl Flatten {
    /// All but the first dimension.
    pub fn new() -> Flatten {
        Flatten::of(1, -1)
    }

    /// The dimensions from `start_dim` to `end_dim`, both included.
    pub fn of(start_dim: i64, end_dim: i64) -> Flatten {
        Flatten { start_dim, end_dim }
    }
}

impl Default for Flatten {
    fn default() -> Self {
        Flatten::new()
    }
}

impl Forward for Flatten {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        input.flatten_with(|o| o.start_dim(self.start_dim).end_dim(self.end_dim))
    }
}

/// Makes several dimensions of one, as `torch.nn.Unflatten`.
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
