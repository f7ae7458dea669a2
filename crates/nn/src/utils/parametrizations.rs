//! Weight normalisation, spectral normalisation, orthogonal matrices.

use cresset_core::{IntList, Result, Tensor, bail, ensure, no_grad, ops, options};

use super::parametrize::{Parametrization, Parametrized};
use crate::init;
use crate::module::{Buffer, Module, Training};

/// The norm over all dimensions but one (over all, if none is given), of size 1 where it was taken.
fn norm_except_dim(v: &Tensor, dim: Option<i64>) -> Result<Tensor> {
    match dim {
        None => v.linalg_vector_norm(),
        Some(dim) => {
            let kept = if dim < 0 { dim + v.dim() as i64 } else { dim };
            let others: Vec<i64> = (0..v.dim() as i64).filter(|d| *d != kept).collect();
            let dims = IntList::from(others);
            v.linalg_vector_norm_with(|o| o.dim(&dims[..]).keepdim(true))
        }
    }
}

/// Length and direction apart: `w = g v / |v|`.
#[derive(Debug, Module)]
#[module(name = "_WeightNorm")]
struct WeightNorm {
    #[module(skip)]
    dim: Option<i64>,
}

impl Parametrization for WeightNorm {
    fn forward(&self, originals: &[&Tensor]) -> Result<Tensor> {
        let [g, v] = originals else { bail!("weight_norm has two originals") };
        v.mul(&g.div(&norm_except_dim(v, self.dim)?)?)
    }

    fn right_inverse(&self, weight: &Tensor) -> Result<Option<Vec<Tensor>>> {
        Ok(Some(vec![norm_except_dim(weight, self.dim)?, weight.clone()]))
    }
}

options! {
    /// Optional settings of [`weight_norm`].
    WeightNormOptions {
        /// The parameter (default: `weight`).
        name: String = "weight".into(),
        /// The dimension that the norm is not taken over; none for one norm of all (default: 0).
        dim: Option<i64> = Some(0),
    }
}

/// Trains length and direction of `weight` apart, as `torch.nn.utils.parametrizations.weight_norm` (Salimans and Kingma
/// 2016).
///
/// ```
/// # use cresset_nn::{Linear, Module, utils::parametrizations::weight_norm};
/// # use cresset_core::Result;
/// # fn main() -> Result<()> {
/// let layer = weight_norm(Linear::new(8, 3)?)?;
/// let names: Vec<String> = layer.named_parameters().into_iter().map(|(name, _)| name).collect();
/// assert_eq!(names, ["bias", "parametrizations.weight.original0", "parametrizations.weight.original1"]);
/// # Ok(())
/// # }
/// ```
/// # Errors
/// `Value` when the module has no such parameter.
pub fn weight_norm<M: Module + Clone>(module: M) -> Result<Parametrized<M>> {
    weight_norm_with(module, |o| o)
}

/// [`weight_norm`] with optional settings.
///
/// # Errors
/// As [`weight_norm`].
pub fn weight_norm_with<M: Module + Clone>(
    module: M,
    options: impl FnOnce(WeightNormOptions) -> WeightNormOptions,
) -> Result<Parametrized<M>> {
    let o = options(WeightNormOptions::default());
    Parametrized::new(module).register(&o.name, WeightNorm { dim: o.dim })
}

/// The largest singular value divided out, by power iteration.
#[derive(Debug, Module)]
#[module(name = "_SpectralNorm")]
struct SpectralNorm {
    _u: Option<Buffer>,
    _v: Option<Buffer>,
    training: Training,
    #[module(skip)]
    iterations: usize,
    #[module(skip)]
    dim: i64,
    #[module(skip)]
    eps: f64,
}

impl SpectralNorm {
    fn new(weight: &Tensor, iterations: usize, eps: f64, dim: i64) -> Result<SpectralNorm> {
        let n = weight.dim() as i64;
        ensure!(
            (-n..n).contains(&dim),
            Index,
            "Dimension out of range (expected to be in range of [-{n}, {}] but got {dim})",
            n - 1
        );
        ensure!(
            iterations > 0,
            Value,
            "Expected n_power_iterations to be positive, but got n_power_iterations={iterations}"
        );
        let dim = if dim < 0 { dim + n } else { dim };
        let (_u, _v, training) = (None, None, Training::new());
        let mut norm = SpectralNorm { _u, _v, training, iterations, dim, eps };
        if n > 1 {
            let matrix = norm.matrix(weight)?;
            let drawn = |n: i64| -> Result<Buffer> {
                let x = init::normal_(&ops::new_empty(weight, [n])?)?;
                normalized(&x, eps).map(Buffer::new)
            };
            norm._u = Some(drawn(matrix.size(0)?)?);
            norm._v = Some(drawn(matrix.size(1)?)?);
            norm.iterate(&matrix, 15)?;
        }
        Ok(norm)
    }

    fn matrix(&self, weight: &Tensor) -> Result<Tensor> {
        let others = (0..weight.dim() as i64).filter(|d| *d != self.dim);
        let order: Vec<i64> = std::iter::once(self.dim).chain(others).collect();
        weight.permute(order)?.flatten_with(|o| o.start_dim(1))
    }

    /// Brings the buffers nearer to the first singular vectors.
    fn iterate(&self, matrix: &Tensor, times: usize) -> Result<()> {
        let _guard = no_grad();
        if let (Some(u), Some(v)) = (&self._u, &self._v) {
            for _ in 0..times {
                u.copy_(&normalized(&matrix.mv(v)?, self.eps)?)?;
                v.copy_(&normalized(&matrix.t()?.conj()?.mv(u)?, self.eps)?)?;
            }
        }
        Ok(())
    }
}

fn normalized(x: &Tensor, eps: f64) -> Result<Tensor> {
    x.div(&x.norm()?.clamp_min(eps)?)
}

impl Parametrization for SpectralNorm {
    fn forward(&self, originals: &[&Tensor]) -> Result<Tensor> {
        let weight = originals[0];
        let (Some(u), Some(v)) = (&self._u, &self._v) else { return normalized(weight, self.eps) };
        let matrix = self.matrix(weight)?;
        if self.training.is_on() {
            self.iterate(&matrix.detach(), self.iterations)?;
        }
        // The next call changes the buffers in place.
        let (u, v) = (u.clone_tensor()?, v.clone_tensor()?);
        weight.div(&u.vdot(&matrix.mv(&v)?)?)
    }

    /// The weight is divided again; that it has the norm already is left to the caller.
    fn right_inverse(&self, weight: &Tensor) -> Result<Option<Vec<Tensor>>> {
        Ok(Some(vec![weight.clone()]))
    }
}

options! {
    /// Optional settings of [`spectral_norm`].
    SpectralNormOptions {
        /// The parameter (default: `weight`).
        name: String = "weight".into(),
        /// Power iterations of each call in training mode (default: 1).
        n_power_iterations: usize = 1_usize,
        /// Least norm that is divided by (default: 1e-12).
        eps: f64 = 1e-12,
        /// The dimension of the rows of the matrix (default: 0, but 1 for transposed convolutions).
        dim: Option<i64> = None,
    }
}

/// Divides `weight` by its largest singular value, as `torch.nn.utils.parametrizations.spectral_norm` (Miyato et al.
/// 2018); each call in training mode makes a power iteration.
///
/// # Errors
/// `Value` when the module has no such parameter or for no iterations, `Index` for a dimension that it has not.
pub fn spectral_norm<M: Module + Clone>(module: M) -> Result<Parametrized<M>> {
    spectral_norm_with(module, |o| o)
}

/// [`spectral_norm`] with optional settings.
///
/// # Errors
/// As [`spectral_norm`].
pub fn spectral_norm_with<M: Module + Clone>(
    mut module: M,
    options: impl FnOnce(SpectralNormOptions) -> SpectralNormOptions,
) -> Result<Parametrized<M>> {
    let _guard = no_grad();
    let o = options(SpectralNormOptions::default());
    let weight = weight_of(&mut module, &o.name)?;
    let dim = o.dim.unwrap_or_else(|| i64::from(module.name().starts_with("ConvTranspose")));
    let norm = SpectralNorm::new(&weight, o.n_power_iterations, o.eps, dim)?;
    Parametrized::new(module).register(&o.name, norm)
}

fn weight_of<M: Module>(module: &mut M, name: &str) -> Result<Tensor> {
    match module.own_parameter(name) {
        Some(p) => Ok(p.detach()),
        None => {
            bail!(Value, "Module '{}' has no parameter or buffer with name '{name}'", module.repr())
        }
    }
}

/// How a matrix without conditions becomes an orthogonal one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OrthogonalMap {
    /// The exponential of a skew-symmetric matrix.
    MatrixExp,
    /// Cayley's transform of a skew-symmetric matrix.
    Cayley,
    /// A product of reflections.
    Householder,
}

#[derive(Debug, Module)]
#[module(name = "_Orthogonal")]
struct Orthogonal {
    base: Option<Buffer>,
    #[module(skip)]
    map: OrthogonalMap,
}

impl Orthogonal {
    fn new(weight: &Tensor, map: OrthogonalMap, use_trivialization: bool) -> Result<Orthogonal> {
        if !use_trivialization {
            return Ok(Orthogonal { base: None, map });
        }
        // `right_inverse` fills it.
        let mut sizes = tall(weight)?.sizes();
        let last = sizes.len() - 1;
        sizes[last] = sizes[last - 1];
        Ok(Orthogonal { base: Some(Buffer::new(ops::new_zeros(weight, sizes)?)), map })
    }

    /// The orthogonal matrix of a tall one.
    fn orthogonal(&self, x: &Tensor) -> Result<Tensor> {
        let (n, k) = (x.size(-2)?, x.size(-1)?);
        if self.map == OrthogonalMap::Householder {
            let a = x.tril_with(|o| o.diagonal(-1))?;
            let tau = a.mul(&a)?.sum_dim([-2])?.add_scalar(1)?.reciprocal()?.mul_scalar(2)?;
            let signs = x.diagonal_with(|o| o.dim1(-2).dim2(-1))?.trunc()?.unsqueeze(-2)?;
            return ops::linalg_householder_product(&a, &tau)?.mul(&signs);
        }
        let mut lower = x.tril()?;
        if n != k {
            let mut sizes = x.sizes();
            let last = sizes.len() - 1;
            sizes[last] = n - k;
            lower = ops::cat_with(&[lower, ops::new_zeros(x, sizes)?], |o| o.dim(-1))?;
        }
        let skew = lower.sub(&lower.transpose(-2, -1)?.conj()?)?;
        let q = match self.map {
            OrthogonalMap::Cayley => {
                let one = ops::eye_with(n, |o| o.dtype(x.dtype()))?;
                let (left, right) =
                    (one.add_with(&skew, |o| o.alpha(-0.5))?, one.add_with(&skew, |o| o.alpha(0.5))?);
                ops::linalg_solve(&left, &right)?
            }
            _ => ops::linalg_matrix_exp(&skew)?,
        };
        if n == k { Ok(q) } else { q.narrow(-1, 0, k) }
    }
}

/// With at least as many rows as columns.
fn tall(x: &Tensor) -> Result<Tensor> {
    if x.size(-2)? < x.size(-1)? { x.transpose(-2, -1) } else { Ok(x.clone()) }
}

/// A square orthogonal matrix whose first columns are those of a tall one, made orthogonal.
fn completed(q: &Tensor) -> Result<Tensor> {
    let (n, k) = (q.size(-2)?, q.size(-1)?);
    if n == k {
        return if is_orthogonal(q)? { Ok(q.clone()) } else { make_orthogonal(q) };
    }
    let mut sizes = q.sizes();
    let last = sizes.len() - 1;
    sizes[last] = n - k;
    let more = init::normal_(&ops::new_empty(q, sizes)?)?;
    make_orthogonal(&ops::cat_with(&[q.clone(), more], |o| o.dim(-1))?)
}

fn is_orthogonal(q: &Tensor) -> Result<bool> {
    let n = q.size(-1)?;
    let gram = q.transpose(-2, -1)?.conj()?.matmul(q)?;
    let one = ops::eye_with(n, |o| o.dtype(q.dtype()))?;
    let eps = if q.dtype() == cresset_core::DType::F64 { f64::EPSILON } else { f32::EPSILON.into() };
    let worst = gram.sub(&one)?.abs()?.max()?.item()?.to_f64();
    Ok(worst <= 10.0 * n as f64 * eps)
}

fn make_orthogonal(a: &Tensor) -> Result<Tensor> {
    let (x, tau) = ops::geqrf(a)?;
    let signs = x.diagonal_with(|o| o.dim1(-2).dim2(-1))?.sgn()?.unsqueeze(-2)?;
    ops::linalg_householder_product(&x, &tau)?.mul(&signs)
}

impl Parametrization for Orthogonal {
    fn forward(&self, originals: &[&Tensor]) -> Result<Tensor> {
        let x = originals[0];
        let is_wide = x.size(-2)? < x.size(-1)?;
        let mut q = self.orthogonal(&tall(x)?)?;
        if let Some(base) = &self.base {
            q = base.matmul(&q)?;
        }
        if is_wide { q.transpose(-2, -1) } else { Ok(q) }
    }

    fn right_inverse(&self, weight: &Tensor) -> Result<Option<Vec<Tensor>>> {
        if let Some(base) = &self.base {
            base.copy_(&completed(&tall(weight)?)?)?;
            // The base is the matrix; its factor is the identity, which minus the identity gives.
            let start = ops::zeros_like(weight)?;
            start.diagonal_with(|o| o.dim1(-2).dim2(-1))?.fill_(-1)?;
            return Ok(Some(vec![start]));
        }
        ensure!(
            self.map == OrthogonalMap::Householder,
            NotImplemented,
            "It is not possible to assign to the matrix exponential or the Cayley parametrizations when use_trivialization=False."
        );
        let is_wide = weight.size(-2)? < weight.size(-1)?;
        let (a, tau) = ops::geqrf(&tall(weight)?)?;
        let diagonal = a.diagonal_with(|o| o.dim1(-2).dim2(-1))?;
        diagonal.sign_()?;
        diagonal.copy_(&ops::where_self(&tau.eq_scalar(0)?, &diagonal.neg()?, &diagonal)?)?;
        Ok(Some(vec![if is_wide { a.transpose(-2, -1)? } else { a }]))
    }
}

options! {
    /// Optional settings of [`orthogonal`].
    OrthogonalOptions {
        /// The parameter (default: `weight`).
        name: String = "weight".into(),
        /// How it becomes orthogonal (default: the exponential for square matrices, reflections for others).
        orthogonal_map: Option<OrthogonalMap> = None,
        /// Whether the map is about the matrix that it is now (default: yes).
        use_trivialization: bool = true,
    }
}

/// Keeps `weight` an orthogonal matrix, as `torch.nn.utils.parametrizations.orthogonal`.
///
/// ```
/// # use cresset_nn::{Linear, utils::parametrizations::orthogonal};
/// # use cresset_core::{Result, ops};
/// # fn main() -> Result<()> {
/// let weight = orthogonal(Linear::new(4, 4)?)?.computed()?.weight.detach();
/// assert!(weight.mm(&weight.t()?)?.sub(&ops::eye(4)?)?.abs()?.max()?.item()?.to_f64() < 1e-5);
/// # Ok(())
/// # }
/// ```
/// # Errors
/// `Value` when the module has no such parameter or it is no matrix.
pub fn orthogonal<M: Module + Clone>(module: M) -> Result<Parametrized<M>> {
    orthogonal_with(module, |o| o)
}

/// [`orthogonal`] with optional settings.
///
/// # Errors
/// As [`orthogonal`], and for reflections of a complex matrix.
pub fn orthogonal_with<M: Module + Clone>(
    mut module: M,
    options: impl FnOnce(OrthogonalOptions) -> OrthogonalOptions,
) -> Result<Parametrized<M>> {
    let _guard = no_grad();
    let OrthogonalOptions { name, orthogonal_map: map, use_trivialization } =
        options(OrthogonalOptions::default());
    let weight = weight_of(&mut module, &name)?;
    ensure!(
        weight.dim() >= 2,
        Value,
        "Expected a matrix or batch of matrices. Got a tensor of {} dimensions.",
        weight.dim()
    );
    let is_square = weight.size(-2)? == weight.size(-1)?;
    let natural =
        if is_square || weight.is_complex() { OrthogonalMap::MatrixExp } else { OrthogonalMap::Householder };
    let map = map.unwrap_or(natural);
    ensure!(
        map != OrthogonalMap::Householder || !weight.is_complex(),
        Value,
        "The householder parametrization does not support complex tensors."
    );
    let rule = Orthogonal::new(&weight, map, use_trivialization)?;
    Parametrized::new(module).register(&name, rule)
}
