//! Resizing and sampling: `interpolate`, `grid_sample`, `affine_grid`.

use cresset_core::value::OptIntList;
use cresset_core::{Result, Tensor, bail, ensure, ops, options};

/// Factors for the sizes: one for all dimensions, or one for each.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScaleFactor(pub(crate) Option<Vec<f64>>);

impl From<f64> for ScaleFactor {
    fn from(factor: f64) -> Self {
        ScaleFactor(Some(vec![factor]))
    }
}

impl<const N: usize> From<[f64; N]> for ScaleFactor {
    fn from(factors: [f64; N]) -> Self {
        ScaleFactor(Some(factors.to_vec()))
    }
}

impl From<Option<Vec<f64>>> for ScaleFactor {
    fn from(factors: Option<Vec<f64>>) -> Self {
        ScaleFactor(factors)
    }
}

options! {
    /// Settings of [`interpolate`]: exactly one of `size` and `scale_factor` is needed.
    InterpolateOptions {
        /// Size of the result: one number for all dimensions, or one for each.
        size: OptIntList = None.into(),
        /// Factor from input to result: one for all dimensions, or one for each.
        scale_factor: ScaleFactor = ScaleFactor(None),
        /// `nearest`, `nearest-exact`, `linear`, `bilinear`, `bicubic`, `trilinear`, `lanczos` or `area` (default: `nearest`).
        mode: String = "nearest".into(),
        /// Whether the corners of input and result coincide; not for `nearest` and `area` (default: no).
        align_corners: Option<bool> = None,
        /// Whether the factors are derived anew from the rounded sizes (default: no).
        recompute_scale_factor: bool = false,
        /// Whether shrinking widens the filter; images in `bilinear`, `bicubic` and `lanczos` only (default: no).
        antialias: bool = false,
    }
}

/// One entry for each of `n` dimensions, if there are as many or one for all.
fn spread<T: Copy>(values: &[T], n: usize) -> Option<Vec<T>> {
    match values {
        [one] => Some(vec![*one; n]),
        many => (many.len() == n).then(|| many.to_vec()),
    }
}

/// The size of the result, or the factors.
type Target = (Option<Vec<i64>>, Option<Vec<f64>>);

/// What is asked for, with PyTorch's checks.
fn target(input: &Tensor, o: &InterpolateOptions) -> Result<Target> {
    let sizes = input.sizes();
    let spatial = sizes.get(2..).unwrap_or(&[]);
    match (o.size.as_deref(), &o.scale_factor.0) {
        (Some(_), Some(_)) => bail!(Value, "only one of size or scale_factor should be defined"),
        (None, None) => bail!(Value, "either size or scale_factor should be defined"),
        (Some(size), None) => {
            ensure!(
                !o.recompute_scale_factor,
                Value,
                "recompute_scale_factor is not meaningful with an explicit size."
            );
            match spread(size, spatial.len()) {
                Some(size) => Ok((Some(size), None)),
                None => bail!(
                    Value,
                    "Input and output must have the same number of spatial dimensions, but got input with spatial dimensions of {spatial:?} and output size of {size:?}. Please provide input tensor in (N, C, d1, d2, ...,dK) format and output size in (o1, o2, ...,oK) format."
                ),
            }
        }
        (None, Some(factors)) => {
            let Some(factors) = spread(factors, spatial.len()) else {
                bail!(
                    Value,
                    "Input and scale_factor must have the same number of spatial dimensions, but got input with spatial dimensions of {spatial:?} and scale_factor of shape {factors:?}. Please provide input tensor in (N, C, d1, d2, ...,dK) format and scale_factor in (s1, s2, ...,sK) format."
                )
            };
            if !o.recompute_scale_factor && o.mode != "area" {
                return Ok((None, Some(factors)));
            }
            Ok((Some(spatial.iter().zip(&factors).map(|(n, f)| (*n as f64 * f) as i64).collect()), None))
        }
    }
}

/// Resizes the last dimensions of `[N, C, …]`, as `torch.nn.functional.interpolate`.
///
/// ```
/// # use cresset_core::{ops, Tensor, Result};
/// # fn main() -> Result<()> {
/// let x = Tensor::from_slice(&[1.0_f32, 2.0, 3.0, 4.0], [1, 1, 2, 2])?;
/// let y = cresset_nn::functional::interpolate(&x, |o| o.scale_factor(2.0).mode("bilinear"))?;
/// assert_eq!(&y.sizes()[..], [1, 1, 4, 4]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// `Value` for settings that contradict each other, `NotImplemented` for a mode that is not for so many dimensions,
/// with PyTorch's texts.
pub fn interpolate(
    input: &Tensor,
    options: impl FnOnce(InterpolateOptions) -> InterpolateOptions,
) -> Result<Tensor> {
    resize(input, &options(InterpolateOptions::default()))
}

/// [`interpolate`] with options that are kept.
pub(crate) fn resize(input: &Tensor, o: &InterpolateOptions) -> Result<Tensor> {
    let mode = o.mode.as_str();
    ensure!(
        o.align_corners.is_none() || !matches!(mode, "nearest" | "area" | "nearest-exact"),
        Value,
        "align_corners option can only be set with the interpolating modes: linear | bilinear | bicubic | trilinear"
    );
    let (size, factors) = target(input, o)?;
    ensure!(
        !o.antialias || (matches!(mode, "bilinear" | "bicubic" | "lanczos") && input.dim() == 4),
        Value,
        "Anti-alias option is restricted to bilinear, bicubic, and lanczos modes and requires a 4-D tensor as input"
    );
    let (s, f, align) = (size.as_deref(), factors.as_deref(), o.align_corners.unwrap_or(false));
    match (input.dim(), mode, o.antialias) {
        (3, "nearest", _) => ops::upsample_nearest1d_vec(input, s, f),
        (4, "nearest", _) => ops::upsample_nearest2d_vec(input, s, f),
        (5, "nearest", _) => ops::upsample_nearest3d_vec(input, s, f),
        (3, "nearest-exact", _) => ops::_upsample_nearest_exact1d_vec(input, s, f),
        (4, "nearest-exact", _) => ops::_upsample_nearest_exact2d_vec(input, s, f),
        (5, "nearest-exact", _) => ops::_upsample_nearest_exact3d_vec(input, s, f),
        (3, "area", _) => ops::adaptive_avg_pool1d(input, s.unwrap_or_default()),
        (4, "area", _) => ops::adaptive_avg_pool2d(input, s.unwrap_or_default()),
        (5, "area", _) => ops::adaptive_avg_pool3d(input, s.unwrap_or_default()),
        (3, "linear", _) => ops::upsample_linear1d_vec(input, s, align, f),
        (4, "bilinear", false) => ops::upsample_bilinear2d_vec(input, s, align, f),
        (4, "bilinear", true) => ops::_upsample_bilinear2d_aa_vec(input, s, align, f),
        (5, "trilinear", _) => ops::upsample_trilinear3d_vec(input, s, align, f),
        (4, "bicubic", false) => ops::upsample_bicubic2d_vec(input, s, align, f),
        (4, "bicubic", true) => ops::_upsample_bicubic2d_aa_vec(input, s, align, f),
        (4, "lanczos", true) => ops::_upsample_lanczos2d_aa_vec(input, s, align, f),
        (dims, mode, _) => refuse(dims, mode),
    }
}

/// PyTorch's error for a mode that is not for so many dimensions.
fn refuse(dims: usize, mode: &str) -> Result<Tensor> {
    let needs = match mode {
        "linear" => 3,
        "bilinear" => 4,
        "trilinear" => 5,
        _ => 0,
    };
    if needs != 0 && matches!(dims, 3..=5) {
        bail!(NotImplemented, "Got {dims}D input, but {mode} mode needs {needs}D input");
    }
    bail!(
        NotImplemented,
        "Input Error: Only 3D, 4D and 5D input Tensors supported (got {dims}D) for the modes: nearest | linear | bilinear | bicubic | trilinear | lanczos | area | nearest-exact (got {mode})"
    )
}

options! {
    /// Optional settings of [`grid_sample_with`].
    GridSampleOptions {
        /// `bilinear`, `nearest` or `bicubic` (default: `bilinear`).
        mode: String = "bilinear".into(),
        /// What lies outside: `zeros`, `border` or `reflection` (default: `zeros`).
        padding_mode: String = "zeros".into(),
        /// Whether -1 and 1 are the centres of the outer elements rather than their edges (default: no).
        align_corners: bool = false,
    }
}

/// Values of `input` `[N, C, H, W]` at the points of `grid` `[N, Ho, Wo, 2]` (or of volumes), between neighbours.
///
/// # Errors
/// `Runtime` when the shapes do not fit.
pub fn grid_sample(input: &Tensor, grid: &Tensor) -> Result<Tensor> {
    grid_sample_with(input, grid, |o| o)
}

/// [`grid_sample`] with optional settings.
///
/// # Errors
/// `Value` for an unknown mode, `Runtime` when the shapes do not fit.
pub fn grid_sample_with(
    input: &Tensor,
    grid: &Tensor,
    options: impl FnOnce(GridSampleOptions) -> GridSampleOptions,
) -> Result<Tensor> {
    let o = options(GridSampleOptions::default());
    let number = |names: [&str; 3], name: &str| names.iter().position(|n| *n == name).map(|n| n as i64);
    let Some(mode) = number(["bilinear", "nearest", "bicubic"], &o.mode) else {
        bail!(
            Value,
            "nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic', but got: '{}'",
            o.mode
        )
    };
    let Some(padding) = number(["zeros", "border", "reflection"], &o.padding_mode) else {
        bail!(
            Value,
            "nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or 'reflection', but got: '{}'",
            o.padding_mode
        )
    };
    ops::grid_sampler(input, grid, mode, padding, o.align_corners)
}

/// The grid of size `size` (`[N, C, H, W]` or `[N, C, D, H, W]`) under affine maps `theta` (`[N, 2, 3]` or `[N, 3, 4]`),
/// for [`grid_sample`].
///
/// # Errors
/// `Value` and `NotImplemented` with PyTorch's texts when the shapes do not fit.
pub fn affine_grid(theta: &Tensor, size: &[i64], align_corners: bool) -> Result<Tensor> {
    ensure!(
        theta.is_floating_point(),
        Value,
        "Expected theta to have floating point type, but got {}",
        theta.dtype()
    );
    let (rank, shape) = (size.len() as i64 - 2, theta.sizes());
    ensure!(
        rank == 2 || rank == 3,
        NotImplemented,
        "affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms, respectively. Got size {size:?}."
    );
    ensure!(
        shape.len() == 3 && shape[1] == rank && shape[2] == rank + 1,
        Value,
        "Expected a batch of {rank}D affine matrices of shape Nx{rank}x{} for size {size:?}. Got torch.Size({:?}).",
        rank + 1,
        &shape[..]
    );
    ensure!(size.iter().all(|n| *n > 0), Value, "Expected non-zero, positive output size. Got {size:?}");
    ops::affine_grid_generator(theta, size, align_corners)
}
