//! Initialisations with structure: identities, orthogonal and sparse matrices.

use cresset_core::random::Generator;
use cresset_core::{Device, Result, Tensor, ensure, no_grad, ops, options};

use super::around;

/// The identity matrix, cut or padded with zeros.
///
/// # Errors
/// `Value` unless it has two dimensions.
pub fn eye_(tensor: &Tensor) -> Result<Tensor> {
    check_matrix(tensor)?;
    let _guard = no_grad();
    tensor.zero_()?.diagonal()?.fill_(1)?;
    Ok(tensor.clone())
}

fn check_matrix(tensor: &Tensor) -> Result<()> {
    ensure!(tensor.dim() == 2, Value, "Only tensors with 2 dimensions are supported");
    Ok(())
}

options! {
    /// Optional settings of [`dirac_with_`].
    DiracOptions {
        /// Groups of the convolution (default: 1).
        groups: i64 = 1,
    }
}

/// The identity of a convolution: as many input channels as possible pass through unchanged.
///
/// # Shapes
/// `[C_out, C_in, kernel…]` with one to three dimensions of the kernel.
/// # Errors
/// `Value` with fewer or more dimensions.
pub fn dirac_(tensor: &Tensor) -> Result<Tensor> {
    dirac_with_(tensor, |o| o)
}

/// The identity of a convolution in each of its groups.
///
/// # Errors
/// `Value` unless it has three to five dimensions and `groups` divides the first.
pub fn dirac_with_(tensor: &Tensor, options: impl FnOnce(DiracOptions) -> DiracOptions) -> Result<Tensor> {
    let groups = options(DiracOptions::default()).groups;
    ensure!((3..=5).contains(&tensor.dim()), Value, "Only tensors with 3, 4, or 5 dimensions are supported");
    let sizes = tensor.sizes();
    ensure!(groups > 0 && sizes[0] % groups == 0, Value, "dim 0 must be divisible by groups");
    let _guard = no_grad();
    tensor.zero_()?;
    if tensor.numel() == 0 {
        return Ok(tensor.clone());
    }
    let centre = sizes[2..].iter().try_fold(tensor.clone(), |t, n| t.select(2, n / 2))?;
    for rows in centre.tensor_split(groups)? {
        rows.diagonal()?.fill_(1)?;
    }
    Ok(tensor.clone())
}

options! {
    /// Optional settings of [`sparse_with_`].
    SparseOptions {
        /// The standard deviation of what is not zero (default: 0.01).
        std: f64 = 0.01,
        /// What to draw the values from; places come from the one of all (default: the one of all).
        generator: Option<Generator> = None,
    }
}

/// Normal values of which a fraction per column is set to zero (Martens 2010).
///
/// # Errors
/// `Value` unless it has two dimensions.
pub fn sparse_(tensor: &Tensor, sparsity: f64) -> Result<Tensor> {
    sparse_with_(tensor, sparsity, |o| o)
}

/// [`sparse_`] with optional settings.
///
/// # Errors
/// As there.
pub fn sparse_with_(
    tensor: &Tensor,
    sparsity: f64,
    options: impl FnOnce(SparseOptions) -> SparseOptions,
) -> Result<Tensor> {
    let o = options(SparseOptions::default());
    check_matrix(tensor)?;
    if tensor.device() == Device::Meta {
        return Ok(tensor.clone());
    }
    let (rows, columns) = (tensor.size(0)?, tensor.size(1)?);
    let zeros = (sparsity * rows as f64).ceil() as i64;
    around(tensor, 0.0, o.std, o.generator.as_ref())?;
    let _guard = no_grad();
    for column in 0..columns {
        // As a slice of Python: a negative number counts from the end.
        let places = ops::randperm(rows)?.slice_with(|s| s.end(zeros))?;
        tensor.select(1, column)?.index_fill_(0, &places, 0)?;
    }
    Ok(tensor.clone())
}

options! {
    /// Optional settings of [`orthogonal_with_`].
    OrthogonalOptions {
        /// A factor (default: 1).
        gain: f64 = 1.0,
        /// What to draw from (default: the one of all).
        generator: Option<Generator> = None,
    }
}

/// A matrix with orthonormal rows or columns; further dimensions count as columns.
///
/// Saxe et al. (2013); drawn uniformly as Mezzadri (2006) describes.
///
/// ```
/// # use cresset_nn::{init::orthogonal_};
/// # use cresset_core::{Result, ops};
/// # fn main() -> Result<()> {
/// let w = orthogonal_(&ops::empty([3, 5])?)?;
/// assert!(w.mm(&w.t()?)?.sub(&ops::eye(3)?)?.abs()?.max()?.item()?.to_f64() < 1e-5);
/// # Ok(())
/// # }
/// ```
/// # Errors
/// `Value` with fewer than two dimensions.
pub fn orthogonal_(tensor: &Tensor) -> Result<Tensor> {
    orthogonal_with_(tensor, |o| o)
}

/// [`orthogonal_`] with optional settings.
///
/// # Errors
/// As there.
pub fn orthogonal_with_(
    tensor: &Tensor,
    options: impl FnOnce(OrthogonalOptions) -> OrthogonalOptions,
) -> Result<Tensor> {
    let o = options(OrthogonalOptions::default());
    ensure!(tensor.dim() >= 2, Value, "Only tensors with 2 or more dimensions are supported");
    if tensor.numel() == 0 || tensor.device() == Device::Meta {
        return Ok(tensor.clone());
    }
    let _guard = no_grad();
    let rows = tensor.size(0)?;
    let columns = tensor.numel() as i64 / rows;
    let normal = around(&tensor.new_empty([rows, columns])?, 0.0, 1.0, o.generator.as_ref())?;
    let wide = rows < columns;
    let (q, r) = ops::linalg_qr(&if wide { normal.t()? } else { normal })?;
    // The one factor whose triangle has a positive diagonal is uniform.
    let q = q.mul(&r.diagonal()?.sign()?)?;
    let q = if wide { q.t()? } else { q };
    tensor.copy_(&q.reshape(&tensor.sizes()[..])?)?.mul_scalar_(o.gain)
}
