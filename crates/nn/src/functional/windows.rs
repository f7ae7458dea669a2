//! Sliding windows that PyTorch composes in Python: `fold`, `unfold`, `lp_pool*`, `max_unpool*`, `fractional_max_pool*`,
//! `local_response_norm`.

use cresset_core::value::OptIntList;
use cresset_core::{IntList, Result, Scalar, Tensor, bail, ensure, ops, options};

use crate::layers::{FractionalMaxPoolOptions, LPPoolOptions, LocalResponseNormOptions};
use crate::module::number;

options! {
    /// Optional settings of [`fold_with`] and [`unfold_with`].
    BlockOptions {
        /// Distance of the block's elements (default: 1).
        dilation: IntList = 1.into(),
        /// How far blocks reach over the ends (default: 0).
        padding: IntList = 0.into(),
        /// Step of the block (default: 1).
        stride: IntList = 1.into(),
    }
}

/// One number for both dimensions, or one for each.
pub(crate) fn pair(values: &[i64]) -> Vec<i64> {
    match values {
        [one] => vec![*one; 2],
        many => many.to_vec(),
    }
}

/// Sums blocks `[N, C kh kw, L]` to images `[N, C, *output_size]`.
///
/// # Errors
/// `Runtime` with PyTorch's text when the sizes do not fit.
pub fn fold(
    input: &Tensor,
    output_size: impl Into<IntList>,
    kernel_size: impl Into<IntList>,
) -> Result<Tensor> {
    fold_with(input, output_size, kernel_size, |o| o)
}

/// [`fold`] with optional settings.
///
/// # Errors
/// As [`fold`].
pub fn fold_with(
    input: &Tensor,
    output_size: impl Into<IntList>,
    kernel_size: impl Into<IntList>,
    options: impl FnOnce(BlockOptions) -> BlockOptions,
) -> Result<Tensor> {
    let (o, size, kernel) = (options(BlockOptions::default()), output_size.into(), kernel_size.into());
    ops::col2im(input, pair(&size), pair(&kernel), pair(&o.dilation), pair(&o.padding), pair(&o.stride))
}

/// Blocks of images `[N, C, H, W]` as columns `[N, C kh kw, L]`.
///
/// ```
/// # use cresset_nn::{functional as F};
/// # use cresset_core::{Result, ops};
/// # fn main() -> Result<()> {
/// let x = ops::arange(16)?.view([1, 1, 4, 4])?.to_dtype(cresset_core::DType::F32)?;
/// let blocks = F::unfold(&x, 2)?; // each of 9 blocks is a column
/// assert_eq!(blocks.sizes()[..], [1, 4, 9]);
/// assert_eq!(F::fold(&blocks, [4, 4], 2)?.sizes()[..], [1, 1, 4, 4]);
/// # Ok(())
/// # }
/// ```
/// # Errors
/// `Runtime` with PyTorch's text when the sizes do not fit.
pub fn unfold(input: &Tensor, kernel_size: impl Into<IntList>) -> Result<Tensor> {
    unfold_with(input, kernel_size, |o| o)
}

/// [`unfold`] with optional settings.
///
/// # Errors
/// As [`unfold`].
pub fn unfold_with(
    input: &Tensor,
    kernel_size: impl Into<IntList>,
    options: impl FnOnce(BlockOptions) -> BlockOptions,
) -> Result<Tensor> {
    let (o, kernel) = (options(BlockOptions::default()), kernel_size.into());
    ops::im2col(input, pair(&kernel), pair(&o.dilation), pair(&o.padding), pair(&o.stride))
}

/// That a `norm_type`-norm of windows exists.
pub(crate) fn check_norm_type(norm_type: Scalar) -> Result<()> {
    ensure!(
        norm_type.to_f64() != 0.0,
        Value,
        "norm_type must be a non-zero value, but got {}",
        number(norm_type)
    );
    Ok(())
}

/// The `p`-norm of windows over the last `dims` dimensions.
pub(crate) fn lp_pool(
    input: &Tensor,
    dims: usize,
    norm_type: Scalar,
    kernel: &[i64],
    stride: Option<&[i64]>,
    ceil_mode: bool,
) -> Result<Tensor> {
    let p = norm_type.to_f64();
    check_norm_type(norm_type)?;
    let stride = stride.unwrap_or(kernel);
    macro_rules! pool {
        ($one:ident, $two:ident, $three:ident, $x:expr) => {
            match dims {
                1 => ops::$one($x, kernel, |o| o.stride(stride).ceil_mode(ceil_mode)),
                2 => ops::$two($x, kernel, |o| o.stride(stride).ceil_mode(ceil_mode)),
                _ => ops::$three($x, kernel, |o| o.stride(stride).ceil_mode(ceil_mode)),
            }
        };
    }
    if p == f64::INFINITY {
        return pool!(max_pool1d_with, max_pool2d_with, max_pool3d_with, &input.abs()?);
    }
    if p == f64::NEG_INFINITY {
        return pool!(max_pool1d_with, max_pool2d_with, max_pool3d_with, &input.abs()?.neg()?)?.neg();
    }
    let mean = pool!(avg_pool1d_with, avg_pool2d_with, avg_pool3d_with, &input.pow_scalar(norm_type)?)?;
    let count: i64 = if let [one] = kernel { one.pow(dims as u32) } else { kernel.iter().product() };
    mean.sign()?.mul(&mean.abs()?.relu()?)?.mul_scalar(count)?.pow_scalar(1.0 / p)
}

macro_rules! lp_pools {
    ($($name:ident, $with:ident $dims:literal $what:literal;)*) => { $(
        #[doc = concat!("The `norm_type`-norm of windows, side by side, over the last ", $what, ".")]
        ///
        /// # Errors
        /// `Value` when `norm_type` is 0, `Runtime` when the sizes do not fit.
        pub fn $name(
            input: &Tensor,
            norm_type: impl Into<Scalar>,
            kernel_size: impl Into<IntList>,
        ) -> Result<Tensor> {
            $with(input, norm_type, kernel_size, |o| o)
        }

        #[doc = concat!("[`", stringify!($name), "`] with optional settings.")]
        ///
        /// # Errors
        /// As there.
        pub fn $with(
            input: &Tensor,
            norm_type: impl Into<Scalar>,
            kernel_size: impl Into<IntList>,
            options: impl FnOnce(LPPoolOptions) -> LPPoolOptions,
        ) -> Result<Tensor> {
            let o = options(LPPoolOptions::default());
            lp_pool(input, $dims, norm_type.into(), &kernel_size.into(), o.stride.as_deref(), o.ceil_mode)
        }
    )* };
}

lp_pools! {
    lp_pool1d, lp_pool1d_with 1 "dimension";
    lp_pool2d, lp_pool2d_with 2 "two dimensions";
    lp_pool3d, lp_pool3d_with 3 "three dimensions";
}

/// The sizes that max pooling with these windows may have had; `output_size` chooses among them.
fn unpooled_size(
    input: &Tensor,
    dims: usize,
    [kernel, stride, padding]: [&[i64]; 3],
    output_size: Option<&[i64]>,
) -> Result<Vec<i64>> {
    let sizes = input.sizes();
    ensure!(sizes.len() > dims, "max_unpool{dims}d: expected at least {} dimensions", dims + 1);
    let at = |list: &[i64], d: usize| list.get(d).or(list.first()).copied().unwrap_or(1);
    let default: Vec<i64> = (0..dims)
        .map(|d| {
            let steps = (sizes[sizes.len() - dims + d] - 1).saturating_mul(at(stride, d));
            steps.saturating_add(at(kernel, d)).saturating_sub(at(padding, d).saturating_mul(2))
        })
        .collect();
    let Some(given) = output_size else { return Ok(default) };
    let size = if given.len() == dims + 2 { &given[2..] } else { given };
    ensure!(
        size.len() == dims,
        Value,
        "output_size should be a sequence containing {dims} or {} elements, but it has a length of '{}'",
        dims + 2,
        given.len()
    );
    for d in 0..dims {
        let (least, most) =
            (default[d].saturating_sub(at(stride, d)), default[d].saturating_add(at(stride, d)));
        ensure!(
            least < size[d] && size[d] < most,
            Value,
            "invalid output_size \"{size:?}\" (dim {d} must be between {least} and {most})"
        );
    }
    Ok(size.to_vec())
}

/// Puts the results of max pooling over the last `dims` dimensions back to where they were.
pub(crate) fn max_unpool(
    dims: usize,
    input: &Tensor,
    indices: &Tensor,
    [kernel, stride, padding]: [&[i64]; 3],
    output_size: Option<&[i64]>,
) -> Result<Tensor> {
    let mut size = unpooled_size(input, dims, [kernel, stride, padding], output_size)?;
    let three = |list: &[i64]| if let [one] = list { vec![*one; 3] } else { list.to_vec() };
    match dims {
        1 => {
            size.push(1);
            ops::max_unpool2d(&input.unsqueeze(-1)?, &indices.unsqueeze(-1)?, size)?.squeeze_dim(-1)
        }
        2 => ops::max_unpool2d(input, indices, size),
        _ => ops::max_unpool3d(input, indices, size, three(stride), three(padding)),
    }
}

options! {
    /// Optional settings of [`max_unpool2d`] and its siblings.
    UnpoolSettings {
        /// Step of the window (default: its size).
        stride: OptIntList = None.into(),
        /// The padding that the pool had (default: 0).
        padding: IntList = 0.into(),
        /// The size that the pool's input had, where several are possible (default: the one without a remainder).
        output_size: OptIntList = None.into(),
    }
}

macro_rules! max_unpools {
    ($($name:ident, $with:ident $dims:literal;)*) => { $(
        #[doc = concat!("The opposite of `max_pool", $dims, "d` with indices: zeros but for the elements that it chose.")]
        ///
        /// # Errors
        /// `Runtime` when shapes do not fit or an index lies outside.
        pub fn $name(input: &Tensor, indices: &Tensor, kernel_size: impl Into<IntList>) -> Result<Tensor> {
            $with(input, indices, kernel_size, |o| o)
        }

        #[doc = concat!("[`", stringify!($name), "`] with optional settings.")]
        ///
        /// # Errors
        /// As there, and `Value` when `output_size` is none that the pool's input may have had.
        pub fn $with(
            input: &Tensor,
            indices: &Tensor,
            kernel_size: impl Into<IntList>,
            options: impl FnOnce(UnpoolSettings) -> UnpoolSettings,
        ) -> Result<Tensor> {
            let (o, kernel) = (options(UnpoolSettings::default()), kernel_size.into());
            let stride = o.stride.as_deref().unwrap_or(&kernel);
            max_unpool($dims, input, indices, [&kernel, stride, &o.padding], o.output_size.as_deref())
        }
    )* };
}

max_unpools! {
    max_unpool1d, max_unpool1d_with 1;
    max_unpool2d, max_unpool2d_with 2;
    max_unpool3d, max_unpool3d_with 3;
}

macro_rules! fractional_max_pools {
    ($($name:ident, $with_indices:ident $dims:literal $what:literal;)*) => { $(
        #[doc = concat!("The largest element of windows at random places over the last ", $what, " dimensions; exactly one of")]
        /// `output_size` and `output_ratio` is needed.
        ///
        /// # Errors
        /// `Value` with neither size nor ratio, `Runtime` when the sizes do not fit.
        pub fn $name(
            input: &Tensor,
            kernel_size: impl Into<IntList>,
            options: impl FnOnce(FractionalMaxPoolOptions) -> FractionalMaxPoolOptions,
        ) -> Result<Tensor> {
            Ok($with_indices(input, kernel_size, options)?.0)
        }

        #[doc = concat!("[`", stringify!($name), "`], and the indices of the elements in each plane.")]
        ///
        /// # Errors
        /// As there.
        pub fn $with_indices(
            input: &Tensor,
            kernel_size: impl Into<IntList>,
            options: impl FnOnce(FractionalMaxPoolOptions) -> FractionalMaxPoolOptions,
        ) -> Result<(Tensor, Tensor)> {
            let o = options(FractionalMaxPoolOptions::default());
            let (size, ratio) = (o.output_size.as_deref(), o.output_ratio.0.as_deref());
            fractional_max_pool($dims, input, &kernel_size.into(), size, ratio, o.random_samples.as_ref())
        }
    )* };
}

fractional_max_pools! {
    fractional_max_pool2d, fractional_max_pool2d_with_indices 2 "two";
    fractional_max_pool3d, fractional_max_pool3d_with_indices 3 "three";
}

/// Max pooling over `dims` dimensions with windows at random places, and the indices of the elements.
pub(crate) fn fractional_max_pool(
    dims: usize,
    input: &Tensor,
    kernel: &[i64],
    output_size: Option<&[i64]>,
    output_ratio: Option<&[f64]>,
    samples: Option<&Tensor>,
) -> Result<(Tensor, Tensor)> {
    let sizes = input.sizes();
    ensure!(
        sizes.len() > dims,
        "fractional_max_pool{dims}d(): Expected {}D or {}D tensor, but got: {:?}",
        dims + 1,
        dims + 2,
        &sizes[..]
    );
    let all = |list: &[i64]| if let [one] = list { vec![*one; dims] } else { list.to_vec() };
    let size = match (output_size, output_ratio) {
        (Some(size), _) => all(size),
        (None, Some(ratio)) => (0..dims)
            .map(|d| {
                let r = ratio.get(d).or(ratio.first()).copied().unwrap_or(1.0);
                (sizes[sizes.len() - dims + d] as f64 * r) as i64
            })
            .collect(),
        (None, None) => bail!(
            Value,
            "fractional_max_pool{dims}d requires specifying either an output_size or an output_ratio"
        ),
    };
    let drawn;
    let samples = match samples {
        Some(samples) => samples,
        None => {
            let batch = if sizes.len() == dims + 1 { 1 } else { sizes[0] };
            let shape = [batch, sizes[sizes.len() - dims - 1], dims as i64];
            drawn = ops::rand_with(shape, |o| o.dtype(input.dtype()).device(input.device()))?;
            &drawn
        }
    };
    match dims {
        2 => ops::fractional_max_pool2d(input, all(kernel), size, samples),
        _ => ops::fractional_max_pool3d(input, all(kernel), size, samples),
    }
}

/// Divides by a power of the mean square of `size` neighbouring channels: `x / (k + alpha mean(x^2))^beta`.
///
/// # Errors
/// `Value` for fewer than three dimensions.
pub fn local_response_norm(input: &Tensor, size: i64) -> Result<Tensor> {
    local_response_norm_with(input, size, |o| o)
}

/// [`local_response_norm`] with optional settings.
///
/// # Errors
/// As [`local_response_norm`].
pub fn local_response_norm_with(
    input: &Tensor,
    size: i64,
    options: impl FnOnce(LocalResponseNormOptions) -> LocalResponseNormOptions,
) -> Result<Tensor> {
    let LocalResponseNormOptions { alpha, beta, k } = options(LocalResponseNormOptions::default());
    let shape = input.sizes();
    ensure!(
        shape.len() >= 3,
        Value,
        "Expected 3D or higher dimensionality                          input (got {} dimensions)",
        shape.len()
    );
    if input.numel() == 0 {
        return Ok(input.clone());
    }
    let (before, after) = (size / 2, (size - 1) / 2);
    let square = input.mul(input)?;
    let mean = if shape.len() == 3 {
        let padded = ops::constant_pad_nd(&square.unsqueeze(1)?, [0, 0, before, after])?;
        ops::avg_pool2d_with(&padded, [size, 1], |o| o.stride(1))?.squeeze_dim(1)?
    } else {
        let volume = square.reshape([shape[0], 1, shape[1], shape[2], -1])?;
        let padded = ops::constant_pad_nd(&volume, [0, 0, 0, 0, before, after])?;
        ops::avg_pool3d_with(&padded, [size, 1, 1], |o| o.stride(1))?.squeeze_dim(1)?.reshape(&shape[..])?
    };
    input.div(&mean.mul_scalar(alpha)?.add_scalar(k)?.pow_scalar(beta)?)
}
