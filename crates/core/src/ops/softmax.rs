//! Softmax, its logarithm and relatives.

use cresset_kernels::rows::by_lines;
use cresset_kernels::softmax as kernels;
use cresset_macros::op;

use crate::dense::{along, dense, float_type, rows};
use crate::layout::{shape, wrap_dim};
use crate::op::OpDef;
use crate::storage::access;
use crate::supported::{floats, require};
use crate::{DType, Result, Tensor, bail, op_list, with_float};

pub(crate) static OPS: &[&OpDef] = op_list![
    _softmax,
    _log_softmax,
    _softmax_backward_data,
    _log_softmax_backward_data,
    softmax,
    log_softmax,
    special_softmax,
    special_log_softmax,
    _safe_softmax,
    _masked_softmax,
    _masked_softmax_backward,
];

/// What a float is softmaxed in, and the dtype of the result.
fn forward(log: bool, this: &Tensor, dim: i64, half_to_float: bool) -> Result<Tensor> {
    let d = wrap_dim(dim, this.dim())?;
    if !this.is_floating_point() {
        let last = d + 1 >= this.dim();
        let name = match (log, last) {
            (false, true) => "softmax_lastdim_kernel_impl",
            (true, true) => "log_softmax_lastdim_kernel_impl",
            (false, false) => "softmax_kernel_impl",
            (true, false) => "log_softmax_kernel_impl",
        };
        bail!(NotImplemented, "\"{name}\" not implemented for '{}'", this.dtype().scalar_type());
    }
    if half_to_float {
        bail!("softmax with half to float conversion is not supported on CPU");
    }
    let compute = float_type(this.dtype());
    let x = dense(this, this.dtype())?;
    let y = Tensor::empty_of(&x.sizes(), x.dtype(), x.device())?;
    let (o, i, shape) = (y.raw(), x.raw(), along(&x.sizes(), d));
    access([&o], [&i], |[y], [x]| {
        let (x, y) = (rows(&x, shape.outer), rows(&y, shape.outer));
        // SAFETY: both are locked and row-major, the output is fresh.
        with_float!(compute, T => unsafe {
            by_lines::<T, 1, 1>(shape, [x], [y], |part, [x], [y]| kernels::softmax(log, part, x, y));
        })
    });
    Ok(y)
}

fn backward(log: bool, grad: &Tensor, output: &Tensor, dim: i64, dtype: DType) -> Result<Tensor> {
    let d = wrap_dim(dim, output.dim())?;
    let name = if log { "log_softmax_backward" } else { "softmax_backward" };
    if grad.sizes() != output.sizes() {
        bail!(
            "Expected tensor for argument #1 'grad' to have same size as tensor for argument #2 'output'; but {} does not equal {} (while checking arguments for {name})",
            shape(&grad.sizes()),
            shape(&output.sizes())
        );
    }
    let lastdim = if d + 1 >= output.dim() { "lastdim_" } else { "" };
    require(&format!("{name}_{lastdim}kernel_impl"), grad, floats)?;
    let narrow = grad.dtype() == DType::F32 && dtype == DType::F16;
    let dtype = if narrow { dtype } else { grad.dtype() };
    let compute = float_type(output.dtype());
    let (g, y) = (dense(grad, grad.dtype())?, dense(output, output.dtype())?);
    let result = Tensor::empty_of(&y.sizes(), dtype, y.device())?;
    let (o, g, y, lines) = (result.raw(), g.raw(), y.raw(), along(&y.sizes(), d));
    access([&o], [&g, &y], |[o], [g, y]| {
        let [o, g, y] = [o, g, y].map(|raw| rows(&raw, lines.outer));
        // SAFETY: all are locked and row-major, the output is fresh.
        with_float!(compute, T => unsafe {
            by_lines::<T, 2, 1>(lines, [g, y], [o], |part, [g, y], [o]| {
                kernels::softmax_backward(log, part, g, y, o);
            });
        })
    });
    Ok(result)
}

fn sum(t: &Tensor, dim: i64) -> Result<Tensor> {
    crate::ops::sum_dim::call(t, Some(&[dim]), true, None)
}

/// Softmax along `dim`; `half_to_float` is for other devices.
#[op("_softmax(Tensor self, int dim, bool half_to_float) -> Tensor", out = "out", tags(core))]
mod _softmax {
    fn kernel(this: &Tensor, dim: i64, half_to_float: bool) -> Result<Tensor> {
        forward(false, this, dim, half_to_float)
    }
    fn grad_this(g: &Tensor, dim: i64, out: &Tensor) -> Result<Tensor> {
        _softmax_backward_data::call(g, out, dim, out.dtype())
    }
}

/// Logarithm of softmax along `dim`.
#[op("_log_softmax(Tensor self, int dim, bool half_to_float) -> Tensor", out = "out", tags(core))]
mod _log_softmax {
    fn kernel(this: &Tensor, dim: i64, half_to_float: bool) -> Result<Tensor> {
        forward(true, this, dim, half_to_float)
    }
    fn grad_this(g: &Tensor, dim: i64, out: &Tensor) -> Result<Tensor> {
        _log_softmax_backward_data::call(g, out, dim, out.dtype())
    }
}

/// Gradient of [`_softmax`] from that of its result: `output (grad - sum(grad output))`.
#[op(
    "_softmax_backward_data(Tensor grad_output, Tensor output, int dim, ScalarType input_dtype) -> Tensor",
    out("out", grad_input)
)]
mod _softmax_backward_data {
    fn kernel(grad_output: &Tensor, output: &Tensor, dim: i64, input_dtype: DType) -> Result<Tensor> {
        backward(false, grad_output, output, dim, input_dtype)
    }
    fn grad_grad_output(g: &Tensor, output: &Tensor, dim: i64, input_dtype: DType) -> Result<Tensor> {
        _softmax_backward_data::call(g, output, dim, input_dtype)
    }
    fn grad_output(g: &Tensor, grad_output: &Tensor, output: &Tensor, dim: i64) -> Result<Tensor> {
        let direct = g.mul(grad_output)?.sub(&g.mul(&sum(&output.mul(grad_output)?, dim)?)?)?;
        direct.sub(&grad_output.mul(&sum(&g.mul(output)?, dim)?)?)
    }
}

/// Gradient of [`_log_softmax`] from that of its result: `grad - exp(output) sum(grad)`.
#[op(
    "_log_softmax_backward_data(Tensor grad_output, Tensor output, int dim, ScalarType input_dtype) -> Tensor",
    out = "out"
)]
mod _log_softmax_backward_data {
    fn kernel(grad_output: &Tensor, output: &Tensor, dim: i64, input_dtype: DType) -> Result<Tensor> {
        backward(true, grad_output, output, dim, input_dtype)
    }
    fn grad_grad_output(g: &Tensor, output: &Tensor, dim: i64) -> Result<Tensor> {
        g.sub(&sum(&g.mul(&output.exp()?)?, dim)?)
    }
    fn grad_output(g: &Tensor, grad_output: &Tensor, output: &Tensor, dim: i64) -> Result<Tensor> {
        g.mul(&output.exp()?)?.mul(&sum(grad_output, dim)?)?.neg()
    }
}

/// The input converted to the dtype asked for.
fn converted(this: &Tensor, dtype: Option<DType>) -> Result<Tensor> {
    dtype.map_or_else(|| Ok(this.clone()), |d| this.to_dtype(d))
}

/// Softmax along `dim`: exponentials over their sum.
#[op(
    "softmax.int(Tensor self, int dim, ScalarType? dtype=None) -> Tensor",
    composite,
    out = "int_out",
    onnx = "Softmax"
)]
mod softmax {
    fn kernel(this: &Tensor, dim: i64, dtype: Option<DType>) -> Result<Tensor> {
        _softmax::call(&converted(this, dtype)?, dim, false)
    }
}

/// Logarithm of softmax along `dim`, without overflow.
#[op(
    "log_softmax.int(Tensor self, int dim, ScalarType? dtype=None) -> Tensor",
    composite,
    out = "int_out",
    onnx = "LogSoftmax"
)]
mod log_softmax {
    fn kernel(this: &Tensor, dim: i64, dtype: Option<DType>) -> Result<Tensor> {
        _log_softmax::call(&converted(this, dtype)?, dim, false)
    }
}

/// As [`softmax`].
#[op("special_softmax(Tensor self, int dim, ScalarType? dtype=None) -> Tensor", composite)]
mod special_softmax {
    fn kernel(this: &Tensor, dim: i64, dtype: Option<DType>) -> Result<Tensor> {
        softmax::call(this, dim, dtype)
    }
}

/// As [`log_softmax`].
#[op("special_log_softmax(Tensor self, int dim, *, ScalarType? dtype=None) -> Tensor", composite)]
mod special_log_softmax {
    fn kernel(this: &Tensor, dim: i64, dtype: Option<DType>) -> Result<Tensor> {
        log_softmax::call(this, dim, dtype)
    }
}

/// [`softmax`] that gives zeros, not NaN, where a whole row is `-inf`.
#[op("_safe_softmax(Tensor self, int dim, ScalarType? dtype=None) -> Tensor")]
mod _safe_softmax {
    fn kernel(this: &Tensor, dim: i64, dtype: Option<DType>) -> Result<Tensor> {
        let y = softmax::call(this, dim, dtype)?;
        let masked = crate::ops::all_dim::call(&this.eq_scalar(f64::NEG_INFINITY)?, dim, true)?;
        y.masked_fill(&masked, 0)
    }
    fn grad_this(g: &Tensor, dim: i64, out: &Tensor) -> Result<Tensor> {
        _softmax_backward_data::call(g, out, dim, out.dtype())
    }
}

/// The mask in the shape of `x`: of that shape already, or, of four dimensions, `[length, length]` (type 0) or
/// `[batch, length]` (type 1).
fn full_mask(x: &Tensor, mask: &Tensor, mask_type: Option<i64>) -> Result<Tensor> {
    if mask.dtype() != DType::Bool {
        bail!("Mask should be a boolean tensor");
    }
    let (sizes, given) = (x.sizes(), mask.sizes());
    let kind = if sizes.len() == 4 && given.len() == 2 { mask_type.unwrap_or(2) } else { 2 };
    match kind {
        0 if given[0] == sizes[2] && given[1] == sizes[2] => mask.expand(&sizes[..]),
        0 => bail!("For mask_type == 0 mask shape should be (L, L)"),
        1 if given[0] == sizes[0] && given[1] == sizes[2] => {
            mask.reshape([sizes[0], 1, 1, sizes[2]])?.expand(&sizes[..])
        }
        1 => bail!("For mask_type == 1 mask shape should be (B, L)"),
        2 if given == sizes => Ok(mask.clone()),
        2 => bail!("For mask_type == 2 mask shape should match input shape"),
        _ => bail!("Mask Type should be 0 (src_mask), 1 (src_key_padding_mask), or 2 (default_mask)"),
    }
}

/// [`softmax`] over the elements where `mask` is false; the others become 0.
#[op(
    "_masked_softmax(Tensor self, Tensor mask, int? dim=None, int? mask_type=None) -> Tensor",
    nondiff(mask),
    no_method,
    no_fn
)]
mod _masked_softmax {
    fn kernel(this: &Tensor, mask: &Tensor, dim: Option<i64>, mask_type: Option<i64>) -> Result<Tensor> {
        if !this.is_floating_point() {
            bail!(NotImplemented, "\"masked_softmax\" not implemented for '{}'", this.dtype().scalar_type());
        }
        let x = this.detach();
        let mask = full_mask(&x, mask, mask_type)?;
        forward(false, &x.masked_fill(&mask, f64::NEG_INFINITY)?, dim.unwrap_or(-1), false)
    }
    fn grad_this(
        g: &Tensor,
        mask: &Tensor,
        dim: Option<i64>,
        mask_type: Option<i64>,
        out: &Tensor,
    ) -> Result<Tensor> {
        _masked_softmax_backward::call(g, out, &full_mask(out, mask, mask_type)?, dim)
    }
}

/// Gradient of [`_masked_softmax`] from its output; 0 where `mask` is true.
#[op(
    "_masked_softmax_backward(Tensor grad_output, Tensor output, Tensor mask, int? dim=None) -> Tensor",
    composite,
    no_method,
    no_fn
)]
mod _masked_softmax_backward {
    fn kernel(grad_output: &Tensor, output: &Tensor, mask: &Tensor, dim: Option<i64>) -> Result<Tensor> {
        let mask = full_mask(output, mask, Some(1))?;
        let grad = _softmax_backward_data::call(grad_output, output, dim.unwrap_or(-1), output.dtype())?;
        grad.masked_fill(&mask, 0)
    }
}
