//! What to prune: a [`BasePruningMethod`] makes a mask from scores, and PyTorch's own methods.

use cresset_core::{Result, Tensor, ensure, ops};

use crate::module::{float, torch_size};

/// How much is pruned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    /// A part of what is not pruned yet, from 0 to 1.
    Part(f64),
    /// So many.
    Count(i64),
}

impl From<f64> for Amount {
    fn from(part: f64) -> Self {
        Amount::Part(part)
    }
}

impl From<i64> for Amount {
    fn from(count: i64) -> Self {
        Amount::Count(count)
    }
}

impl From<i32> for Amount {
    fn from(count: i32) -> Self {
        Amount::Count(count.into())
    }
}

impl Amount {
    /// How many of `n`.
    fn of(self, n: i64) -> Result<i64> {
        let (text, valid) = match self {
            Amount::Part(part) => (float(part), (0.0..=1.0).contains(&part)),
            Amount::Count(count) => (count.to_string(), count >= 0),
        };
        ensure!(
            valid,
            Value,
            "amount={text} should either be a float in the range [0, 1] or a non-negative integer"
        );
        let count = match self {
            Amount::Part(part) => (part * n as f64).round_ties_even() as i64,
            Amount::Count(count) => count,
        };
        ensure!(
            count <= n,
            Value,
            "amount={count} should be smaller than the number of parameters to prune={n}"
        );
        Ok(count)
    }
}

/// What a method sees of a tensor that is pruned in part already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PruningType {
    /// The elements that are left, in one dimension.
    Unstructured,
    /// The slices along a dimension that are not pruned whole.
    Structured {
        /// The dimension; negative ones count from the end.
        dim: i64,
    },
    /// All of it.
    Global,
}

/// A way to prune, as `torch.nn.utils.prune.BasePruningMethod`.
///
/// ```
/// # use cresset_nn::{Linear, utils::prune::{BasePruningMethod, Pruned, PruningType}};
/// # use cresset_core::{Result, Tensor};
/// /// Keeps what is above a threshold.
/// struct Threshold(f64);
///
/// impl BasePruningMethod for Threshold {
///     fn pruning_type(&self) -> PruningType {
///         PruningType::Unstructured
///     }
///     fn compute_mask(&self, scores: &Tensor, default_mask: &Tensor) -> Result<Tensor> {
///         scores.abs()?.gt_scalar(self.0)?.mul(default_mask)
///     }
/// }
///
/// # fn main() -> Result<()> {
/// let mut layer = Pruned::new(Linear::new(8, 3)?);
/// layer.prune("weight", &Threshold(0.1))?;
/// # Ok(())
/// # }
/// ```
pub trait BasePruningMethod {
    /// What it wants to see of a tensor that is pruned in part already.
    fn pruning_type(&self) -> PruningType;

    /// A mask of the shape of `scores`: 0 where `default_mask` is 0, and where it prunes.
    ///
    /// # Errors
    /// Its own; PyTorch's methods refuse impossible amounts.
    fn compute_mask(&self, scores: &Tensor, default_mask: &Tensor) -> Result<Tensor>;
}

/// Prunes nothing: the mask is all ones, as `torch.nn.utils.prune.Identity`.
#[derive(Clone, Copy, Debug)]
pub struct Identity;

impl BasePruningMethod for Identity {
    fn pruning_type(&self) -> PruningType {
        PruningType::Unstructured
    }

    fn compute_mask(&self, _: &Tensor, default_mask: &Tensor) -> Result<Tensor> {
        Ok(default_mask.clone())
    }
}

/// Prunes elements at random, as `torch.nn.utils.prune.RandomUnstructured`.
#[derive(Clone, Copy, Debug)]
pub struct RandomUnstructured {
    /// How many.
    pub amount: Amount,
}

impl BasePruningMethod for RandomUnstructured {
    fn pruning_type(&self) -> PruningType {
        PruningType::Unstructured
    }

    fn compute_mask(&self, scores: &Tensor, default_mask: &Tensor) -> Result<Tensor> {
        let count = self.amount.of(scores.numel() as i64)?;
        drop_elements(default_mask, count, || Ok((scores.rand_like()?, true)))
    }
}

/// Prunes the elements nearest to 0, as `torch.nn.utils.prune.L1Unstructured`.
#[derive(Clone, Copy, Debug)]
pub struct L1Unstructured {
    /// How many.
    pub amount: Amount,
}

impl BasePruningMethod for L1Unstructured {
    fn pruning_type(&self) -> PruningType {
        PruningType::Unstructured
    }

    fn compute_mask(&self, scores: &Tensor, default_mask: &Tensor) -> Result<Tensor> {
        let count = self.amount.of(scores.numel() as i64)?;
        drop_elements(default_mask, count, || Ok((scores.abs()?, false)))
    }
}

/// The mask without the `count` elements of the largest scores, or of the smallest.
fn drop_elements(
    mask: &Tensor,
    count: i64,
    scores: impl FnOnce() -> Result<(Tensor, bool)>,
) -> Result<Tensor> {
    if count == 0 {
        return Ok(mask.clone());
    }
    let (scores, largest) = scores()?;
    let (_, places) = ops::topk_with(&scores.reshape(-1)?, count, |o| o.largest(largest))?;
    mask.reshape(-1)?.index_fill(0, &places, 0)?.view(mask.sizes())
}

/// Prunes slices along a dimension at random, as `torch.nn.utils.prune.RandomStructured`.
#[derive(Clone, Copy, Debug)]
pub struct RandomStructured {
    /// How many slices.
    pub amount: Amount,
    /// The dimension.
    pub dim: i64,
}

impl BasePruningMethod for RandomStructured {
    fn pruning_type(&self) -> PruningType {
        PruningType::Structured { dim: self.dim }
    }

    fn compute_mask(&self, scores: &Tensor, default_mask: &Tensor) -> Result<Tensor> {
        drop_slices(scores, default_mask, self.dim, self.amount, |slices, count| {
            let chances = ops::rand([slices])?;
            let (threshold, _) = chances.kthvalue(count)?;
            chances.gt(&threshold)
        })
    }
}

/// Prunes the slices along a dimension of the least norm, as `torch.nn.utils.prune.LnStructured`.
#[derive(Clone, Copy, Debug)]
pub struct LnStructured {
    /// How many slices.
    pub amount: Amount,
    /// The order of the norm.
    pub n: f64,
    /// The dimension.
    pub dim: i64,
}

impl BasePruningMethod for LnStructured {
    fn pruning_type(&self) -> PruningType {
        PruningType::Structured { dim: self.dim }
    }

    fn compute_mask(&self, scores: &Tensor, default_mask: &Tensor) -> Result<Tensor> {
        drop_slices(scores, default_mask, self.dim, self.amount, |slices, count| {
            let rows = scores.transpose(0, self.dim)?.reshape([slices, -1])?;
            let norms = rows.linalg_vector_norm_with(|o| o.ord(self.n).dim([1]))?;
            let (_, kept) = norms.topk(slices - count)?;
            ops::zeros_like(&norms)?.index_fill(0, &kept, 1)
        })
    }
}

/// The mask without the slices along `dim` where `keep`, given how many there are and how many of them go, is 0.
fn drop_slices(
    scores: &Tensor,
    mask: &Tensor,
    dim: i64,
    amount: Amount,
    keep: impl FnOnce(i64, i64) -> Result<Tensor>,
) -> Result<Tensor> {
    let sizes = scores.sizes();
    let (shape, dims) = (torch_size(&sizes), sizes.len());
    ensure!(
        dims > 1,
        Value,
        "Structured pruning can only be applied to multidimensional tensors. Found tensor of shape {shape} with {dims} dims"
    );
    ensure!(dim < dims as i64, Index, "Invalid index {dim} for tensor of size {shape}");
    let slices = scores.size(dim)?;
    let count = amount.of(slices)?;
    if count == 0 {
        return Ok(mask.clone());
    }
    let mut column = vec![1; dims];
    column[0] = -1;
    mask.mul(&keep(slices, count)?.to_dtype(mask.dtype())?.reshape(column)?.transpose(0, dim)?)
}

/// Prunes where a mask is 0, as `torch.nn.utils.prune.CustomFromMask`.
#[derive(Clone, Debug)]
pub struct CustomFromMask {
    /// The mask, of the shape of the parameter.
    pub mask: Tensor,
}

impl BasePruningMethod for CustomFromMask {
    fn pruning_type(&self) -> PruningType {
        PruningType::Global
    }

    fn compute_mask(&self, _: &Tensor, default_mask: &Tensor) -> Result<Tensor> {
        let (own, shape) = (self.mask.sizes(), default_mask.sizes());
        ensure!(
            own == shape,
            "The size of tensor a {} must match the size of tensor b {}",
            torch_size(&shape),
            torch_size(&own)
        );
        default_mask.mul(&self.mask.to_dtype(default_mask.dtype())?)
    }
}

/// The mask of a method on top of one that prunes already: the method sees what its type wants to see.
pub(super) fn combine(method: &dyn BasePruningMethod, scores: &Tensor, mask: &Tensor) -> Result<Tensor> {
    let place_of = |kept: &Tensor| kept.nonzero()?.reshape(-1);
    match method.pruning_type() {
        PruningType::Global => method.compute_mask(scores, mask),
        PruningType::Unstructured => {
            let flat = mask.reshape(-1)?;
            let left = place_of(&flat.eq_scalar(1)?)?;
            let part = method
                .compute_mask(&scores.reshape(-1)?.index_select(0, &left)?, &flat.index_select(0, &left)?)?;
            flat.index_copy(0, &left, &part.to_dtype(mask.dtype())?)?.view(mask.sizes())
        }
        PruningType::Structured { dim } => {
            let slices = mask.size(dim)?;
            let sums = ops::sum_dim(&mask.transpose(0, dim)?.reshape([slices, -1])?, [1])?;
            let left = place_of(&sums.ne_scalar(0)?)?;
            let part =
                method.compute_mask(&scores.index_select(dim, &left)?, &mask.index_select(dim, &left)?)?;
            mask.index_copy(dim, &left, &part.to_dtype(mask.dtype())?)
        }
    }
}
