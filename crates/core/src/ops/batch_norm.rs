//! Batch norm and instance norm.

use cresset_kernels::norm::{self as kernels, BatchShape};
use cresset_kernels::rows::by_rows;
use cresset_macros::op;

use crate::copy::{copy_into, like_format};
use crate::dense::{cast, dense, dense_option, float_type, rows, slice, slice_mut};
use crate::op::{Grad, Grads, Needs, OpDef};
use crate::ops::norm::{
    Given, asked, centred, check_count, check_sizes, given, normalised, optional, over, statistics_type,
    wanted,
};
use crate::reduction::scale;
use crate::second::differentiate;
use crate::storage::{access, access_lists};
use crate::{DType, Result, Tensor, bail, op_list, with_float};

pub(crate) static OPS: &[&OpDef] =
    op_list![batch_norm, native_batch_norm, native_batch_norm_backward, instance_norm,];

/// Statistics that batch norm keeps, weight and bias.
#[derive(Clone, Copy)]
struct Parameters<'a> {
    weight: Option<&'a Tensor>,
    bias: Option<&'a Tensor>,
    mean: Option<&'a Tensor>,
    var: Option<&'a Tensor>,
}

impl Parameters<'_> {
    /// Checks their sizes, and gives the shape of the batch.
    fn check(&self, input: &Tensor, training: bool) -> Result<BatchShape> {
        let sizes = input.sizes();
        if sizes.len() < 2 {
            bail!("batch_norm: expected an input of at least 2 dimensions, got {:?}", sizes.as_slice());
        }
        let c = sizes[1];
        for (name, t) in [
            ("running_mean", self.mean),
            ("running_var", self.var),
            ("weight", self.weight),
            ("bias", self.bias),
        ] {
            match t {
                Some(t) if t.numel() as i64 != c => {
                    bail!("{name} should contain {c} elements not {}", t.numel())
                }
                Some(t) if t.dim() != 1 => bail!("expected 1 dims but tensor has {}", t.dim()),
                None if !training && name.starts_with("running") => {
                    bail!("{name} must be defined in evaluation mode")
                }
                _ => {}
            }
        }
        if !input.is_floating_point() {
            bail!(NotImplemented, "\"batch_norm\" not implemented for '{}'", input.dtype().scalar_type());
        }
        let s = sizes[2..].iter().product::<i64>() as usize;
        Ok(BatchShape { n: sizes[0] as usize, c: c as usize, s })
    }
}

/// Mean and biased variance of each channel, in `f64`.
fn statistics(x: &Tensor, shape: BatchShape) -> Result<(Tensor, Tensor)> {
    let c = [shape.c as i64];
    let mean = Tensor::empty_of(&c, DType::F64, x.device())?;
    let var = Tensor::empty_of(&c, DType::F64, x.device())?;
    let (m, v, from) = (mean.raw(), var.raw(), x.raw());
    access([&m, &v], [&from], |[m, v], [i]| {
        // SAFETY: all are locked and row-major; the outputs are fresh.
        unsafe { kernels::batch_statistics(shape, i.ptr, i.dtype, slice_mut(&m), slice_mut(&v)) }
    });
    Ok((mean, var))
}

/// Moves running statistics towards those of the batch.
///
/// As in PyTorch this is no write that a saved tensor notices: a network may see two batches before one backward pass.
fn update(running: Option<&Tensor>, batch: &Tensor, momentum: f64) -> Result<()> {
    let Some(running) = running else { return Ok(()) };
    let next = scale(batch, momentum)?.add(&scale(&running.to_dtype(DType::F64)?, 1.0 - momentum)?)?;
    copy_into(running, &next)
}

/// Normalised input, mean and reciprocal deviation of each channel.
fn forward(
    input: &Tensor,
    p: Parameters,
    training: bool,
    momentum: f64,
    eps: f64,
) -> Result<(Tensor, Tensor, Tensor)> {
    let shape = p.check(input, training)?;
    let compute = float_type(input.dtype());
    let x = dense(input, input.dtype())?;
    let (mean, var) = match (training, p.mean, p.var) {
        (false, Some(mean), Some(var)) => (dense(mean, DType::F64)?, dense(var, DType::F64)?),
        _ => statistics(&x, shape)?,
    };
    if training {
        let n = (shape.n * shape.s) as f64;
        update(p.mean, &mean, momentum)?;
        update(p.var, &scale(&var, n / (n - 1.0))?, momentum)?;
    }
    let rstd = crate::reduction::offset(&var, eps)?.rsqrt()?;
    let gain = p.weight.map_or_else(|| Ok(rstd.clone()), |w| rstd.mul(&w.to_dtype(DType::F64)?))?;
    let shift = mean.mul(&gain)?.neg()?;
    let shift = p.bias.map_or_else(|| Ok(shift.clone()), |b| shift.add(&b.to_dtype(DType::F64)?))?;
    let (gain, shift) = (dense(&gain, compute)?, dense(&shift, compute)?);
    let y = Tensor::empty_of(&x.sizes(), x.dtype(), x.device())?;
    let (o, i, a, b) = (y.raw(), x.raw(), gain.raw(), shift.raw());
    access([&o], [&i, &a, &b], |[o], [x, a, b]| {
        // A row is what has one gain, or all channels where that would be one element.
        let count = if shape.s == 1 { shape.n } else { shape.n * shape.c };
        let (x, o) = (rows(&x, count), rows(&o, count));
        // SAFETY: all are locked and row-major, gain and shift of the compute type; the output is fresh.
        with_float!(compute, T => unsafe {
            let (a, b) = (slice::<T>(&a), slice::<T>(&b));
            by_rows::<T, 1, 1>(count, [x], [o], |first, [x], [y]| kernels::batch_norm(shape, first, x, a, b, y));
        })
    });
    let saved = statistics_type(input, [p.weight, p.mean]);
    let y = like_format(y, input)?;
    if training {
        return Ok((y, cast(mean, saved)?, cast(rstd, saved)?));
    }
    let none = || Tensor::empty_of(&[0], saved, x.device());
    Ok((y, none()?, none()?))
}

/// Batch norm of `[N, C, *]`: by the batch's statistics in training, else by the running ones.
#[op(
    "batch_norm(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, bool training, float momentum, float eps, bool cudnn_enabled) -> Tensor",
    composite,
    onnx = "BatchNormalization"
)]
mod batch_norm {
    fn kernel(
        input: &Tensor,
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
        running_mean: Option<&Tensor>,
        running_var: Option<&Tensor>,
        training: bool,
        momentum: f64,
        eps: f64,
        cudnn_enabled: bool,
    ) -> Result<Tensor> {
        let _ = cudnn_enabled;
        if input.numel() == 0 {
            // Nothing to normalise, but the result still depends on its arguments.
            let gain = weight.map_or_else(|| Ok(input.clone()), |w| input.mul(&w.narrow(0, 0, 1)?))?;
            return bias.map_or_else(|| Ok(gain.clone()), |b| gain.add(&b.narrow(0, 0, 1)?));
        }
        Ok(native_batch_norm::call(input, weight, bias, running_mean, running_var, training, momentum, eps)?
            .0)
    }
}

/// Batch norm, with the mean and reciprocal deviation of each channel in training; updates the running statistics.
#[op(
    "native_batch_norm(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, bool training, float momentum, float eps) -> (Tensor, Tensor, Tensor)",
    wrt(input, weight, bias),
    nondiff(running_mean, running_var),
    out("out", out, save_mean, save_invstd)
)]
mod native_batch_norm {
    fn kernel(
        input: &Tensor,
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
        running_mean: Option<&Tensor>,
        running_var: Option<&Tensor>,
        training: bool,
        momentum: f64,
        eps: f64,
    ) -> Result<(Tensor, Tensor, Tensor)> {
        let p = Parameters { weight, bias, mean: running_mean, var: running_var };
        forward(input, p, training, momentum, eps)
    }
    fn grad(
        g: &Tensor,
        input: &Tensor,
        weight: Option<&Tensor>,
        running_mean: Option<&Tensor>,
        running_var: Option<&Tensor>,
        training: bool,
        eps: f64,
        out1: &Tensor,
        out2: &Tensor,
        needs: Needs,
    ) -> Result<Grads> {
        let mask = [needs.get(0), needs.get(1), needs.get(2)];
        // In training the running statistics are written and play no part in gradients.
        let (rm, rv) = if training { (None, None) } else { (running_mean, running_var) };
        let (x, w, b) = native_batch_norm_backward::call(
            g,
            input,
            weight,
            rm,
            rv,
            Some(out1),
            Some(out2),
            training,
            eps,
            &mask,
        )?;
        Ok(vec![x.into(), w.into(), b.into()])
    }
}

/// Mean and reciprocal deviation that the forward used.
fn used(
    train: bool,
    running: (Option<&Tensor>, Option<&Tensor>),
    saved: (Option<&Tensor>, Option<&Tensor>),
    eps: f64,
) -> Result<(Tensor, Tensor)> {
    match (train, running, saved) {
        (true, _, (Some(mean), Some(rstd))) => Ok((dense(mean, DType::F64)?, dense(rstd, DType::F64)?)),
        (false, (Some(mean), Some(var)), _) => {
            let rstd = crate::reduction::offset(&dense(var, DType::F64)?, eps)?.rsqrt()?;
            Ok((dense(mean, DType::F64)?, rstd))
        }
        _ => {
            bail!("native_batch_norm_backward: expected saved statistics in training, running ones otherwise")
        }
    }
}

/// Gradients of [`native_batch_norm`] for input, weight and bias, as far as `output_mask` asks for them.
#[op(
    "native_batch_norm_backward(Tensor grad_out, Tensor input, Tensor? weight, Tensor? running_mean, Tensor? running_var, Tensor? save_mean, Tensor? save_invstd, bool train, float eps, bool[3] output_mask) -> (Tensor, Tensor, Tensor)",
    wrt(grad_out, input, weight),
    nondiff(running_mean, running_var, save_mean, save_invstd),
    no_method
)]
mod native_batch_norm_backward {
    fn kernel(
        grad_out: &Tensor,
        input: &Tensor,
        weight: Option<&Tensor>,
        running_mean: Option<&Tensor>,
        running_var: Option<&Tensor>,
        save_mean: Option<&Tensor>,
        save_invstd: Option<&Tensor>,
        train: bool,
        eps: f64,
        output_mask: &[bool],
    ) -> Result<Given> {
        let shape =
            Parameters { weight, bias: None, mean: running_mean, var: running_var }.check(input, train)?;
        check_sizes("native_batch_norm_backward: grad_out", grad_out, &input.sizes())?;
        for (name, t) in [("save_mean", save_mean), ("save_invstd", save_invstd)] {
            if let Some(t) = t.filter(|_| train) {
                check_count(&format!("native_batch_norm_backward: {name}"), t, shape.c)?;
            }
        }
        let compute = float_type(input.dtype());
        let (g, x, w) = (dense(grad_out, compute)?, dense(input, compute)?, dense_option(weight, compute)?);
        let (mean, rstd) = used(train, (running_mean, running_var), (save_mean, save_invstd), eps)?;
        let c = [shape.c as i64];
        let gx = wanted(output_mask, 0, &x.sizes(), compute, &x)?;
        let (gw, gb) = (wanted(output_mask, 1, &c, compute, &x)?, wanted(output_mask, 2, &c, compute, &x)?);
        let mut ins = vec![g.raw(), x.raw(), mean.raw(), rstd.raw()];
        ins.extend(w.iter().map(|t| t.raw()));
        let outs = [gx.raw(), gw.raw(), gb.raw()];
        access_lists(&outs.each_ref(), &ins.iter().collect::<Vec<_>>(), |o, i| {
            // SAFETY: all are locked, row-major and of the types that they are read as; the outputs are fresh.
            with_float!(compute, T => unsafe {
                kernels::batch_norm_backward::<T>(
                    shape, train, slice(&i[0]), slice(&i[1]), slice(&i[2]), slice(&i[3]),
                    optional(w.is_some(), i.get(4)), slice_mut(&o[0]), slice_mut(&o[1]), slice_mut(&o[2]),
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
        weight: Option<&Tensor>,
        running_mean: Option<&Tensor>,
        running_var: Option<&Tensor>,
        save_mean: Option<&Tensor>,
        save_invstd: Option<&Tensor>,
        train: bool,
        eps: f64,
        output_mask: &[bool],
    ) -> Result<Grads> {
        let (mean, rstd) = used(train, (running_mean, running_var), (save_mean, save_invstd), eps)?;
        let mut wide = vec![1; input.dim()];
        wide[1] = input.sizes()[1];
        let dims: Vec<i64> = (0..input.dim() as i64).filter(|d| *d != 1).collect();
        let (mean, rstd) =
            (mean.to_dtype(input.dtype())?.reshape(&wide)?, rstd.to_dtype(input.dtype())?.reshape(&wide)?);
        let mut inputs = vec![grad_out, input];
        inputs.extend(weight);
        let mut found = differentiate(&inputs, &asked(grads, output_mask), |v| {
            let (g, x) = (&v[0], &v[1]);
            let gw = v.get(2).map_or_else(|| Ok(g.clone()), |w| g.mul(&w.reshape(&wide)?))?;
            let (xhat, gx) = if train {
                let (xhat, rstd) = normalised(x, &rstd, &dims)?;
                let gx = centred(&gw, &xhat, &dims)?.mul(&rstd)?;
                (xhat, gx)
            } else {
                (x.sub(&mean)?.mul(&rstd)?, gw.mul(&rstd)?)
            };
            Ok(vec![gx, over(&g.mul(&xhat)?, &dims)?, over(g, &dims)?])
        })?;
        found.resize(3, None);
        Ok(found.into_iter().map(Grad::from).collect())
    }
}

/// Instance norm of `[N, C, *]`: every channel of every sample by its own statistics, or by the running ones.
#[op(
    "instance_norm(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, bool use_input_stats, float momentum, float eps, bool cudnn_enabled) -> Tensor",
    composite,
    onnx = "InstanceNormalization"
)]
mod instance_norm {
    fn kernel(
        input: &Tensor,
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
        running_mean: Option<&Tensor>,
        running_var: Option<&Tensor>,
        use_input_stats: bool,
        momentum: f64,
        eps: f64,
        cudnn_enabled: bool,
    ) -> Result<Tensor> {
        let sizes = input.sizes();
        if !use_input_stats && (running_mean.is_none() || running_var.is_none()) {
            bail!("Expected running_mean and running_var to be defined when use_input_stats is false");
        }
        for (name, t) in
            [("weight", weight), ("bias", bias), ("running_mean", running_mean), ("running_var", running_var)]
        {
            if let Some(t) = t.filter(|t| sizes.len() < 2 || t.numel() as i64 != sizes[1]) {
                bail!("{name} should contain {} elements not {}", sizes.get(1).unwrap_or(&0), t.numel());
            }
        }
        let &[n, c, ..] = sizes.as_slice() else {
            bail!(
                Index,
                "Dimension out of range (expected to be in range of [-{0}, {1}], but got 1)",
                sizes.len().max(1),
                sizes.len().max(1) - 1
            )
        };
        let mut joined = sizes.clone();
        (joined[0], joined[1]) = (1, n * c);
        let repeat = |t: Option<&Tensor>| t.map(|t| t.repeat([n])).transpose();
        let (w, b, mean, var) = (repeat(weight)?, repeat(bias)?, repeat(running_mean)?, repeat(running_var)?);
        let y = batch_norm::call(
            &input.contiguous()?.view(&joined)?,
            w.as_ref(),
            b.as_ref(),
            mean.as_ref(),
            var.as_ref(),
            use_input_stats,
            momentum,
            eps,
            cudnn_enabled,
        )?;
        for (kept, all) in [(running_mean, mean), (running_var, var)] {
            if let (Some(kept), Some(all)) = (kept, all) {
                let next = crate::ops::mean_dim::call(&all.view([n, c])?, Some(&[0]), false, None)?;
                copy_into(kept, &next)?;
            }
        }
        y.view(&sizes)
    }
}
