//! Sliding windows that PyTorch composes in Python: `fold`, `unfold`, `lp_pool*`, `max_unpool*`, `fractional_max_pool*`,
//! `local_response_norm`.

use cresset_core::{IntList, Result, Scalar, Tensor, bail, ensure, ops};

use crate::options::options;

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
    ensure!(p != 0.0, Value, "norm_type must be a non-zero value, but got {norm_type}");
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
    ($($name:ident $dims:literal $what:literal;)*) => { $(
        #[doc = concat!("The `norm_type`-norm of windows over the last ", $what, "; the step is the window's size unless given.")]
        ///
        /// # Errors
        /// `Value` when `norm_type` is 0, `Runtime` when the sizes do not fit.
        pub fn $name(
            input: &Tensor,
            norm_type: impl Into<Scalar>,
            kernel_size: impl Into<IntList>,
            stride: Option<&[i64]>,
            ceil_mode: bool,
        ) -> Result<Tensor> {
            lp_pool(input, $dims, norm_type.into(), &kernel_size.into(), stride, ceil_mode)
        }
    )* };
}

lp_pools! {
    lp_pool1d 1 "dimension";
    lp_pool2d 2 "two dimensions";
    lp_pool3d 3 "three dimensions";
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

macro_rules! max_unpools {
    ($($name:ident $dims:literal;)*) => { $(
        #[doc = concat!("The opposite of `max_pool", $dims, "d` with indices: zeros but for the elements that it chose.")]
        ///
        /// # Errors
        /// `Value` when `output_size` is none that pooling may have had, `Runtime` when shapes do not fit or an index
        /// lies outside.
        pub fn $name(
            input: &Tensor,
            indices: &Tensor,
            kernel_size: impl Into<IntList>,
            stride: Option<&[i64]>,
            padding: impl Into<IntList>,
            output_size: Option<&[i64]>,
        ) -> Result<Tensor> {
            let (kernel, padding) = (kernel_size.into(), padding.into());
            max_unpool($dims, input, indices, [&kernel, stride.unwrap_or(&kernel), &padding], output_size)
        }
    )* };
}

max_unpools! {
    max_unpool1d 1;
    max_unpool2d 2;
    max_unpool3d 3;
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
pub fn local_response_norm(input: &Tensor, size: i64, alpha: f64, beta: f64, k: f64) -> Result<Tensor> {
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
