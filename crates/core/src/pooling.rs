//! Between pooling operators and their kernels: window sizes with PyTorch's checks, planes in and out.

use cresset_kernels::pool::{Average, Windows, average_pool, average_pool_backward};
use cresset_kernels::rows::by_rows;

use crate::copy::like_format;
use crate::dense::{cast, dense, rows, slice, slice_mut};
use crate::layout::{Dims, wrap_dim};
use crate::storage::access;
use crate::{DType, Result, Tensor, bail, with_float};

/// The arguments that all poolings share, one entry per pooled dimension (or one for all, or none for the default).
#[derive(Clone, Copy)]
pub(crate) struct Sizes<'a> {
    pub kernel: &'a [i64],
    pub stride: &'a [i64],
    pub padding: &'a [i64],
    pub dilation: &'a [i64],
    pub ceil: bool,
}

/// `list` repeated to `n` entries, behind ones to fill three.
fn three(op: &str, name: &str, list: &[i64], n: usize, fill: i64) -> Result<[i64; 3]> {
    let mut all = [fill; 3];
    match list {
        [one] => all[3 - n..].fill(*one),
        many if many.len() == n => all[3 - n..].copy_from_slice(many),
        _ => {
            let how = if name == "stride" { "omitted, a single int" } else { "a single int" };
            let tuple = ["", "int", "two ints", "three ints"][n];
            let (either, be) = if name == "dilation" { ("be either", "") } else { ("either be", "") };
            bail!("{op}: {name} must {either}{be} {how}, or a tuple of {tuple}")
        }
    }
    Ok(all)
}

/// The number of windows along one dimension.
pub(crate) fn output_size(
    input: i64,
    kernel: i64,
    padding: i64,
    stride: i64,
    dilation: i64,
    ceil: bool,
) -> Result<i64> {
    if stride == 0 {
        bail!("stride should not be zero");
    }
    if padding < 0 {
        bail!("pad must be non-negative, but got pad: {padding}");
    }
    let reach = kernel.saturating_sub(1).checked_mul(dilation).and_then(|r| r.checked_add(1));
    let Some(reach) = reach else {
        bail!("effective kernel size overflows, but got kernel_size={kernel} and dilation={dilation}")
    };
    if padding > reach / 2 {
        bail!(
            "pad should be at most half of effective kernel size, but got pad={padding}, kernel_size={kernel} and dilation={dilation}"
        );
    }
    let extra = if ceil { stride.saturating_sub(1) } else { 0 };
    let left = input.saturating_add(2 * padding).saturating_sub(reach);
    let size = left.saturating_add(extra).wrapping_div_euclid(stride).saturating_add(1);
    let beyond = size.saturating_sub(1).saturating_mul(stride) >= input.saturating_add(padding);
    Ok(if ceil && beyond { size.saturating_sub(1) } else { size })
}

fn positive(what: &str, values: &[i64], names: &[&str]) -> Result<()> {
    if values.iter().all(|v| *v > 0) {
        return Ok(());
    }
    let list: Vec<String> = names.iter().zip(values).map(|(n, v)| format!("{n}: {v}")).collect();
    bail!("{what} should be greater than zero, but got {}", list.join(" "))
}

/// The windows of a pooling over the last `n` dimensions of `this`, and the sizes of the result.
pub(crate) fn windows(op: &str, this: &Tensor, n: usize, sizes: Sizes) -> Result<(Windows, Dims)> {
    let kernel = three(op, "kernel_size", sizes.kernel, n, 1)?;
    let stride = if sizes.stride.is_empty() { kernel } else { three(op, "stride", sizes.stride, n, 1)? };
    let padding = three(op, "padding", sizes.padding, n, 0)?;
    let dilation = three(op, "dilation", sizes.dilation, n, 1)?;
    let shape = this.sizes();
    if shape.len() != n + 1 && shape.len() != n + 2 {
        return bad_shape(op, n, &shape);
    }
    let mut input = [1; 3];
    input[3 - n..].copy_from_slice(&shape[shape.len() - n..]);
    let mut output = [1; 3];
    for d in 3 - n..3 {
        output[d] = output_size(input[d], kernel[d], padding[d], stride[d], dilation[d], sizes.ceil)?;
    }
    let (names, strides) = (["kT", "kH", "kW"], ["dT", "dH", "dW"]);
    positive("kernel size", &kernel[3 - n..], &names[3 - n..])?;
    positive("stride", &stride[3 - n..], &strides[3 - n..])?;
    positive("dilation", &dilation[3 - n..], &["dilationT", "dilationH", "dilationW"][3 - n..])?;
    if shape[shape.len() - n - 1..].contains(&0) {
        return bad_shape(op, n, &shape);
    }
    check_output(&shape[shape.len() - n - 1..], &output[3 - n..])?;
    let mut result = Dims::from_slice(&shape[..shape.len() - n]);
    result.extend_from_slice(&output[3 - n..]);
    let natural = |list: [i64; 3]| list.map(|v| v as usize);
    let windows = Windows {
        input: natural(input),
        output: natural(output),
        kernel: natural(kernel),
        stride: natural(stride),
        padding: natural(padding),
        dilation: natural(dilation),
    };
    Ok((windows, result))
}

/// Refuses sizes that have another number of dimensions than `n` and one or two, or nothing in them.
fn bad_shape<T>(op: &str, n: usize, shape: &[i64]) -> Result<T> {
    let (average, fits) = (op.starts_with("avg"), shape.len() == n + 1 || shape.len() == n + 2);
    if average && n == 2 {
        wrap_dim(-3, shape.len())?;
    }
    if !fits && (n == 3 || !average) {
        bail!("non-empty {}D or {}D (batch mode) tensor expected for input", n + 1, n + 2);
    }
    if n == 2 {
        bail!(
            "Expected 3D or 4D (batch mode) tensor with optional 0 dim batch size for input, but got:{shape:?}"
        );
    }
    let name = if average { op.to_string() } else { format!("{op}_out_cpu_template") };
    let first = shape.len() - n - 1;
    let empty = (first..shape.len()).find(|d| shape[*d] == 0).unwrap_or(first);
    bail!(
        "{name}(): Expected input to have non-zero size for non-batch dimensions, but input has sizes {shape:?} with dimension {empty} being empty"
    )
}

fn check_output(input: &[i64], output: &[i64]) -> Result<()> {
    if output.iter().all(|n| *n >= 1) {
        return Ok(());
    }
    let list = |first: i64, rest: &[i64]| {
        std::iter::once(&first).chain(rest).map(i64::to_string).collect::<Vec<_>>().join("x")
    };
    bail!(
        "Given input size: ({}). Calculated output size: ({}). Output size is too small",
        list(input[0], &input[1..]),
        list(input[0], output)
    )
}

/// The type in which extremes of `dtype` are looked for.
pub(crate) fn ordered_type(dtype: DType) -> DType {
    match dtype {
        DType::F16 | DType::BF16 => DType::F32,
        DType::F32 | DType::F64 | DType::I64 => dtype,
        _ => DType::I64,
    }
}

/// Largest element of every window and its index in the plane.
pub(crate) fn max(this: &Tensor, windows: &Windows, sizes: &[i64]) -> Result<(Tensor, Tensor)> {
    let compute = ordered_type(this.dtype());
    let x = dense(this, compute)?;
    let values = Tensor::empty_of(sizes, compute, x.device())?;
    let indices = Tensor::empty_of(sizes, DType::I64, x.device())?;
    let (v, i, from) = (values.raw(), indices.raw(), x.raw());
    access([&v, &i], [&from], |[v, i], [x]| {
        // SAFETY: all are locked and row-major; the outputs are fresh.
        unsafe {
            use cresset_kernels::pool::max_pool;
            match compute {
                DType::F32 => max_pool::<f32>(windows, slice(&x), slice_mut(&v), slice_mut(&i)),
                DType::F64 => max_pool::<f64>(windows, slice(&x), slice_mut(&v), slice_mut(&i)),
                _ => max_pool::<i64>(windows, slice(&x), slice_mut(&v), slice_mut(&i)),
            }
        }
    });
    let values = like_format(cast(values, this.dtype())?, this)?;
    Ok((values, like_format(indices, this)?))
}

/// Adds each gradient to the element that its index names; `rank` trailing dimensions make a plane.
pub(crate) fn max_backward(g: &Tensor, this: &Tensor, indices: &Tensor, rank: usize) -> Result<Tensor> {
    if g.sizes() != indices.sizes() {
        bail!(
            "Expected tensor for argument grad_output to have the sizes of indices {:?}, but got {:?}",
            indices.sizes().as_slice(),
            g.sizes().as_slice()
        );
    }
    if this.dim() <= rank
        || this.dim() != g.dim()
        || this.sizes()[..this.dim() - rank] != g.sizes()[..g.dim() - rank]
    {
        bail!(
            "max pooling: the gradient {:?} does not fit the input {:?}",
            g.sizes().as_slice(),
            this.sizes().as_slice()
        );
    }
    let compute = crate::dense::float_type(this.dtype());
    let (grad, at) = (dense(g, compute)?, dense(indices, DType::I64)?);
    let result = Tensor::empty_of(&this.sizes(), compute, this.device())?;
    let plane = |t: &Tensor| t.sizes()[t.dim() - rank..].iter().product::<i64>() as usize;
    let (input, output) = (plane(this), plane(g));
    let (o, grad, at) = (result.raw(), grad.raw(), at.raw());
    let inside = access([&o], [&grad, &at], |[o], [g, at]| {
        // SAFETY: all are locked and row-major; the output is fresh.
        let at: &[i64] = unsafe { slice(&at) };
        if !at.iter().all(|i| (0..input as i64).contains(i)) {
            return Some(());
        }
        // SAFETY: as above.
        with_float!(compute, T => unsafe {
            cresset_kernels::pool::scatter_gradient::<T>(input, output, slice(&g), at, slice_mut(&o));
        });
        None
    });
    if inside.is_some() {
        bail!("max pooling: an index lies outside of its plane");
    }
    like_format(cast(result, this.dtype())?, this)
}

/// The values at pooled indices, for gradients of gradients.
pub(crate) fn pick(g: &Tensor, indices: &Tensor, rank: usize) -> Result<Tensor> {
    let flat = |t: &Tensor| -> Result<Tensor> {
        let mut sizes = Dims::from_slice(&t.sizes()[..t.dim() - rank]);
        sizes.push(t.sizes()[t.dim() - rank..].iter().product());
        t.reshape(&sizes)
    };
    flat(g)?.gather(-1, &flat(indices)?)?.reshape(indices.sizes())
}

/// Average of every window.
pub(crate) fn average(this: &Tensor, windows: &Windows, how: Average, sizes: &[i64]) -> Result<Tensor> {
    let compute = average_type(this)?;
    let x = dense(this, this.dtype())?;
    let y = Tensor::empty_of(sizes, x.dtype(), x.device())?;
    let (o, i, planes) = (y.raw(), x.raw(), x.numel() / windows.plane());
    access([&o], [&i], |[y], [x]| {
        let (x, y) = (rows(&x, planes), rows(&y, planes));
        // SAFETY: both are locked and row-major; the output is fresh.
        with_float!(compute, T => unsafe {
            by_rows::<T, 1, 1>(planes, [x], [y], |_, [x], [y]| average_pool(windows, how, x, y));
        })
    });
    // PyTorch's averages of volumes are row-major whatever the input is.
    if this.dim() == 4 { like_format(y, this) } else { Ok(y) }
}

/// A gradient has the sizes of the result.
pub(crate) fn check_gradient(g: &Tensor, result: &[i64]) -> Result<()> {
    let sizes = g.sizes();
    if sizes.len() != result.len() {
        bail!(
            "Expected a tensor of dimension {} but got a tensor of dimension {}",
            result.len(),
            sizes.len()
        );
    }
    match (0..result.len()).find(|d| sizes[*d] != result[*d]) {
        None => Ok(()),
        Some(d) => bail!(
            "Expected a tensor of dimension {} and tensor.size[{d}] == {} but got: dimension {} and tensor.size[{d}] = {}",
            result.len(),
            result[d],
            sizes.len(),
            sizes[d]
        ),
    }
}

/// Gradient of [`average`].
pub(crate) fn average_backward(g: &Tensor, this: &Tensor, windows: &Windows, how: Average) -> Result<Tensor> {
    let compute = average_type(this)?;
    let g = dense(g, g.dtype())?;
    let result = Tensor::empty_of(&this.sizes(), this.dtype(), this.device())?;
    let (o, g, planes) = (result.raw(), g.raw(), this.numel() / windows.plane());
    access([&o], [&g], |[o], [g]| {
        let (g, o) = (rows(&g, planes), rows(&o, planes));
        // SAFETY: both are locked and row-major; the output is fresh.
        with_float!(compute, T => unsafe {
            by_rows::<T, 1, 1>(planes, [g], [o], |_, [g], [o]| average_pool_backward(windows, how, g, o));
        })
    });
    Ok(result)
}

/// The type in which averages are computed; integers are averaged as `f64` and truncated.
pub(crate) fn average_type(this: &Tensor) -> Result<DType> {
    match this.dtype() {
        DType::F16 | DType::BF16 | DType::F32 => Ok(DType::F32),
        DType::F64 | DType::I64 => Ok(DType::F64),
        other => bail!(NotImplemented, "\"avg_pool_out\" not implemented for '{}'", other.scalar_type()),
    }
}
