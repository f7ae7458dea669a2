//! Layer and root-mean-square norm.

use cresset_kernels::norm as kernels;
use cresset_kernels::rows::{Rows, by_rows};
use cresset_macros::op;

use crate::dense::{cast, dense, dense_option, float_type, rows, slice, slice_mut};
use crate::layout::Dims;
use crate::op::{Grad, Grads, Needs, OpDef};
use crate::ops::{mean_dim, sum_dim};
use crate::reduction::offset;
use crate::second::differentiate;
use crate::storage::{Raw, access_lists};
use crate::{DType, Result, Tensor, bail, op_list, with_float};

pub(crate) static OPS: &[&OpDef] =
    op_list![layer_norm, native_layer_norm, native_layer_norm_backward, rms_norm];

/// Checks the shapes of a norm over the trailing dimensions and gives their number of elements.
fn check_normalized(
    input: &Tensor,
    shape: &[i64],
    weight: Option<&Tensor>,
    bias: Option<&Tensor>,
    comma: &str,
) -> Result<usize> {
    if shape.is_empty() {
        bail!(
            "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one element, but got normalized_shape = []"
        );
    }
    for (name, t) in [("weight", weight), ("bias", bias)] {
        if let Some(t) = t.filter(|t| t.sizes().as_slice() != shape) {
            bail!(
                "Expected {name} to be of same shape as normalized_shape, but got {name} of shape {:?} and normalized_shape = {shape:?}",
                t.sizes().as_slice()
            );
        }
    }
    let sizes = input.sizes();
    if sizes.len() < shape.len() || sizes[sizes.len() - shape.len()..] != *shape {
        let list: Vec<String> = shape.iter().map(i64::to_string).collect();
        bail!(
            "Given normalized_shape={shape:?}, expected input with shape [*{comma}{}], but got input of size{:?}",
            list.join(", "),
            sizes.as_slice()
        );
    }
    Ok(shape.iter().product::<i64>() as usize)
}

/// Refuses parameters of another dtype than the input, but for `float32` beside half inputs.
pub(crate) fn check_mixed(input: &Tensor, parameters: [Option<&Tensor>; 2]) -> Result<()> {
    let given = parameters.into_iter().flatten();
    if given.clone().all(|p| p.dtype() == input.dtype()) {
        return Ok(());
    }
    if given.into_iter().any(|p| p.dtype() != DType::F32) {
        bail!("mixed dtype (CPU): expect parameter to have scalar type of Float");
    }
    if !matches!(input.dtype(), DType::F16 | DType::BF16) {
        bail!("mixed dtype (CPU): all inputs must share same datatype.");
    }
    Ok(())
}

/// Refuses what is not floating point.
pub(crate) fn check_float(name: &str, input: &Tensor) -> Result<()> {
    if !input.is_floating_point() {
        bail!(NotImplemented, "\"{name}\" not implemented for '{}'", input.dtype().scalar_type());
    }
    Ok(())
}

/// The dtype of saved statistics: that of the input, or `float32` beside half inputs with wider parameters.
pub(crate) fn statistics_type(input: &Tensor, parameters: [Option<&Tensor>; 2]) -> DType {
    let mixed = parameters.into_iter().flatten().any(|p| p.dtype() != input.dtype());
    if mixed { float_type(input.dtype()) } else { input.dtype() }
}

/// The elements of an optional operand, none if it is missing.
///
/// # Safety
/// As [`slice`].
pub(crate) unsafe fn optional<'a, T: cresset_kernels::dtype::Element>(
    present: bool,
    raw: Option<&Raw<'_>>,
) -> &'a [T] {
    match raw {
        // SAFETY: as the caller promises.
        Some(raw) if present => unsafe { slice(raw) },
        _ => &[],
    }
}

/// Layer norm over the trailing dimensions `normalized_shape`, with optional weight and bias of that shape.
#[op(
    "layer_norm(Tensor input, SymInt[] normalized_shape, Tensor? weight=None, Tensor? bias=None, float eps=1.0000000000000001e-05, bool cudnn_enable=True) -> Tensor",
    composite
)]
mod layer_norm {
    fn kernel(
        input: &Tensor,
        normalized_shape: &[i64],
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
        eps: f64,
        cudnn_enable: bool,
    ) -> Result<Tensor> {
        let _ = cudnn_enable;
        Ok(native_layer_norm::call(input, normalized_shape, weight, bias, eps)?.0)
    }
}

/// Layer norm, with the mean and reciprocal standard deviation of each row.
#[op(
    "native_layer_norm(Tensor input, SymInt[] normalized_shape, Tensor? weight, Tensor? bias, float eps) -> (Tensor, Tensor, Tensor)",
    wrt(input, weight, bias),
    tags(core)
)]
mod native_layer_norm {
    fn kernel(
        input: &Tensor,
        normalized_shape: &[i64],
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
        eps: f64,
    ) -> Result<(Tensor, Tensor, Tensor)> {
        let n = check_normalized(input, normalized_shape, weight, bias, ", ")?;
        check_mixed(input, [weight, bias])?;
        check_float("LayerNormKernelImpl", input)?;
        let compute = float_type(input.dtype());
        let x = dense(input, input.dtype())?;
        let (w, b) = (dense_option(weight, compute)?, dense_option(bias, compute)?);
        let y = Tensor::empty_of(&x.sizes(), x.dtype(), x.device())?;
        let mut sizes = Dims::from_slice(&x.sizes()[..x.dim() - normalized_shape.len()]);
        sizes.resize(x.dim(), 1);
        let saved = statistics_type(input, [weight, bias]);
        let (mean, rstd) =
            (Tensor::empty_of(&sizes, saved, x.device())?, Tensor::empty_of(&sizes, saved, x.device())?);
        let mut ins = vec![x.raw()];
        ins.extend([&w, &b].into_iter().flatten().map(|t| t.raw()));
        let (outs, count) = ([y.raw(), mean.raw(), rstd.raw()], mean.numel());
        access_lists(&outs.each_ref(), &ins.iter().collect::<Vec<_>>(), |o, i| {
            let (x, y) = (rows(&i[0], count), rows(&o[0], count));
            let [mean, rstd] = [1, 2].map(|k| Rows { width: 1, ..rows(&o[k], 1) });
            // SAFETY: all are locked and row-major, weight and bias of the compute type; the outputs are fresh.
            with_float!(compute, T => unsafe {
                let weight = optional::<T>(w.is_some(), i.get(1));
                let bias = optional::<T>(b.is_some(), i.last());
                by_rows::<T, 1, 3>(count, [x], [y, mean, rstd], |_, [x], [y, mean, rstd]| {
                    kernels::layer_norm(n, eps, x, weight, bias, y, mean, rstd);
                });
            });
        });
        Ok((y, mean, rstd))
    }
    fn grad(
        g: &Tensor,
        input: &Tensor,
        normalized_shape: &[i64],
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
        out1: &Tensor,
        out2: &Tensor,
        needs: Needs,
    ) -> Result<Grads> {
        let mask = [needs.get(0), needs.get(1), needs.get(2)];
        let (x, w, b) =
            native_layer_norm_backward::call(g, input, normalized_shape, out1, out2, weight, bias, &mask)?;
        Ok(vec![x.into(), w.into(), b.into()])
    }
}

/// An uninitialised gradient of that shape if it was asked for, else one without elements.
pub(crate) fn wanted(mask: &[bool], i: usize, sizes: &[i64], dtype: DType, like: &Tensor) -> Result<Tensor> {
    Tensor::empty_of(if asks(mask, i) { sizes } else { &[0] }, dtype, like.device())
}

fn asks(mask: &[bool], i: usize) -> bool {
    mask.get(i).copied().unwrap_or(false)
}

/// Gradients for input, weight and bias, as far as they were asked for.
pub(crate) type Given = (Option<Tensor>, Option<Tensor>, Option<Tensor>);

/// The gradients that were asked for, in the dtypes of their arguments.
pub(crate) fn given(mask: &[bool], grads: [Tensor; 3], dtypes: [DType; 3]) -> Result<Given> {
    let [a, b, c] = grads;
    let one = |i: usize, t: Tensor| if asks(mask, i) { cast(t, dtypes[i]).map(Some) } else { Ok(None) };
    Ok((one(0, a)?, one(1, b)?, one(2, c)?))
}

/// An argument has those sizes.
pub(crate) fn check_sizes(what: &str, t: &Tensor, sizes: &[i64]) -> Result<()> {
    if t.sizes().as_slice() == sizes {
        return Ok(());
    }
    bail!("{what}: expected a tensor of shape {sizes:?}, got {:?}", t.sizes().as_slice())
}

/// An argument has that many elements.
pub(crate) fn check_count(what: &str, t: &Tensor, n: usize) -> Result<()> {
    if t.numel() == n {
        return Ok(());
    }
    bail!("{what}: expected {n} elements, got {}", t.numel())
}

/// Gradients of [`native_layer_norm`] for input, weight and bias, as far as `output_mask` asks for them.
#[op(
    "native_layer_norm_backward(Tensor grad_out, Tensor input, SymInt[] normalized_shape, Tensor mean, Tensor rstd, Tensor? weight, Tensor? bias, bool[3] output_mask) -> (Tensor, Tensor, Tensor)",
    wrt(grad_out, input, weight),
    nondiff(mean, rstd, bias),
    no_method
)]
mod native_layer_norm_backward {
    fn kernel(
        grad_out: &Tensor,
        input: &Tensor,
        normalized_shape: &[i64],
        mean: &Tensor,
        rstd: &Tensor,
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
        output_mask: &[bool],
    ) -> Result<Given> {
        let n = check_normalized(input, normalized_shape, weight, bias, ", ")?;
        check_float("LayerNormBackwardKernelImpl", input)?;
        check_sizes("native_layer_norm_backward: grad_out", grad_out, &input.sizes())?;
        let rows = input.numel() / n.max(1);
        check_count("native_layer_norm_backward: mean", mean, rows)?;
        check_count("native_layer_norm_backward: rstd", rstd, rows)?;
        let compute = float_type(input.dtype());
        let (g, x) = (dense(grad_out, compute)?, dense(input, compute)?);
        let (mean, rstd, w) = (dense(mean, compute)?, dense(rstd, compute)?, dense_option(weight, compute)?);
        let gx = wanted(output_mask, 0, &x.sizes(), compute, &x)?;
        let gw = wanted(output_mask, 1, normalized_shape, compute, &x)?;
        let gb = wanted(output_mask, 2, normalized_shape, compute, &x)?;
        let mut ins = vec![g.raw(), x.raw(), mean.raw(), rstd.raw()];
        ins.extend(w.iter().map(|t| t.raw()));
        let outs = [gx.raw(), gw.raw(), gb.raw()];
        access_lists(&outs.each_ref(), &ins.iter().collect::<Vec<_>>(), |o, i| {
            // SAFETY: all are locked, row-major and of the compute type; the outputs are fresh.
            with_float!(compute, T => unsafe {
                kernels::layer_norm_backward::<T>(
                    n, slice(&i[0]), slice(&i[1]), slice(&i[2]), slice(&i[3]), optional(w.is_some(), i.get(4)),
                    slice_mut(&o[0]), slice_mut(&o[1]), slice_mut(&o[2]),
                );
            });
        });
        let parameter = weight.map_or(input.dtype(), Tensor::dtype);
        given(output_mask, [gx, gw, gb], [input.dtype(), parameter, parameter])
    }
    fn grad(
        grads: &[Option<Tensor>],
        grad_out: &Tensor,
        input: &Tensor,
        normalized_shape: &[i64],
        rstd: &Tensor,
        weight: Option<&Tensor>,
        output_mask: &[bool],
    ) -> Result<Grads> {
        let dims: Vec<i64> =
            (0..normalized_shape.len() as i64).map(|d| d - normalized_shape.len() as i64).collect();
        let rows: Vec<i64> = (0..(input.dim() - normalized_shape.len()) as i64).collect();
        let mut inputs = vec![grad_out, input];
        inputs.extend(weight);
        let given = asked(grads, output_mask);
        let mut found = differentiate(&inputs, &given, |v| {
            let (g, x) = (&v[0], &v[1]);
            let (xhat, rstd) = normalised(x, rstd, &dims)?;
            let gw = v.get(2).map_or_else(|| Ok(g.clone()), |w| g.mul(w))?;
            let gx = centred(&gw, &xhat, &dims)?.mul(&rstd)?;
            Ok(vec![gx, over(&g.mul(&xhat)?, &rows)?, over(g, &rows)?])
        })?;
        found.resize(3, None);
        Ok(found.into_iter().map(Grad::from).collect())
    }
}

/// The gradient of each of three outputs, of which only those asked for exist.
pub(crate) fn asked(grads: &[Option<Tensor>], mask: &[bool]) -> Vec<Option<Tensor>> {
    let mut existing = grads.iter().cloned();
    mask.iter().map(|m| if *m { existing.next().flatten() } else { None }).collect()
}

/// The sum over `dims`, which may be none.
pub(crate) fn over(t: &Tensor, dims: &[i64]) -> Result<Tensor> {
    if dims.is_empty() { Ok(t.clone()) } else { sum_dim::call(t, Some(dims), false, None) }
}

/// `x` less its mean over `dims` times the reciprocal deviation, and that; `rstd` is its value, which says what was added
/// to the variance.
pub(crate) fn normalised(x: &Tensor, rstd: &Tensor, dims: &[i64]) -> Result<(Tensor, Tensor)> {
    let d = x.sub(&mean_dim::call(x, Some(dims), true, None)?)?;
    let var = mean_dim::call(&d.mul(&d)?, Some(dims), true, None)?;
    let rstd = rstd.detach().to_dtype(x.dtype())?;
    let eps = rstd.mul(&rstd)?.reciprocal()?.sub(&var.detach())?;
    let rstd = var.add(&eps)?.rsqrt()?;
    Ok((d.mul(&rstd)?, rstd))
}

/// `g - mean(g) - xhat mean(g xhat)` over `dims`.
pub(crate) fn centred(g: &Tensor, xhat: &Tensor, dims: &[i64]) -> Result<Tensor> {
    let along = mean_dim::call(&g.mul(xhat)?, Some(dims), true, None)?;
    g.sub(&mean_dim::call(g, Some(dims), true, None)?)?.sub(&xhat.mul(&along)?)
}

/// Divides by the root mean square over the trailing dimensions `normalized_shape`; `eps` defaults to the dtype's.
#[op(
    "rms_norm(Tensor input, SymInt[] normalized_shape, Tensor? weight=None, float? eps=None) -> Tensor",
    composite
)]
mod rms_norm {
    fn kernel(
        input: &Tensor,
        normalized_shape: &[i64],
        weight: Option<&Tensor>,
        eps: Option<f64>,
    ) -> Result<Tensor> {
        check_normalized(input, normalized_shape, weight, None, "")?;
        let wide = match input.dtype() {
            DType::F16 | DType::BF16 => input.to_dtype(DType::F32)?,
            _ => input.clone(),
        };
        let exact = matches!(wide.dtype(), DType::F64 | DType::Complex128);
        let eps = eps.unwrap_or(if exact { f64::EPSILON } else { f64::from(f32::EPSILON) });
        let dims: Vec<i64> =
            (0..normalized_shape.len() as i64).map(|d| d - normalized_shape.len() as i64).collect();
        let mean = mean_dim::call(&wide.mul(&wide)?, Some(&dims), true, None)?;
        let y = wide.mul(&offset(&mean, eps)?.rsqrt()?)?;
        let y = match weight {
            Some(w) => y.mul(w)?,
            None => y,
        };
        y.to_dtype(input.dtype())
    }
}
