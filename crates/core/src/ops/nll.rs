//! Negative log likelihood and cross entropy.

use cresset_kernels::nll::Nll;
use cresset_macros::op;

use crate::autograd::Meta;
use crate::dense::{cast, dense, dense_option, float_type, slice, slice_mut};
use crate::op::OpDef;
use crate::reduction::{offset, scale};
use crate::storage::access_lists;
use crate::supported::{floats, require};
use crate::{DType, Result, Tensor, bail, ensure, op_list, with_float};

pub(crate) static OPS: &[&OpDef] = op_list![
    nll_loss_forward,
    nll_loss_backward,
    nll_loss,
    nll_loss2d_forward,
    nll_loss2d_backward,
    nll_loss2d,
    nll_loss_nd,
    cross_entropy_loss,
];

/// How losses become the result, as PyTorch numbers it.
pub(crate) const NONE: i64 = 0;
/// The mean.
pub(crate) const MEAN: i64 = 1;

fn check(this: &Tensor, target: &Tensor, weight: Option<&Tensor>) -> Result<()> {
    let (x, t) = (this.sizes(), target.sizes());
    let class = usize::from(x.len() > 1);
    if x.len() <= 2 {
        if t.len() > 1 {
            bail!("0D or 1D target tensor expected, multi-target not supported");
        }
        if x.is_empty() {
            bail!("input tensor should be 1D or 2D");
        }
        if x.len() == 2 && (t.len() != 1 || t[0] != x[0]) || x.len() == 1 && target.numel() != 1 {
            bail!("size mismatch (got input: {:?}, target: {:?})", x.as_slice(), t.as_slice());
        }
    } else {
        if t.len() != 3 {
            bail!(
                "only batches of spatial targets supported (3D tensors) but got targets of dimension: {}",
                t.len()
            );
        }
        if x.len() != 4 {
            bail!(
                "only batches of spatial inputs supported (4D tensors), but got input of dimension: {}",
                x.len()
            );
        }
        if [x[0], x[2], x[3]] != *t.as_slice() {
            bail!("size mismatch (got input: {:?} , target: {:?}", x.as_slice(), t.as_slice());
        }
    }
    if let Some(w) = weight.filter(|w| w.dim() != 1 || w.numel() as i64 != x[class]) {
        bail!(
            "weight tensor should be defined either for all {} classes or no classes but got weight tensor of shape: {:?}",
            x[class],
            w.sizes().as_slice()
        );
    }
    match target.dtype() {
        DType::I64 | DType::U8 => {}
        other => bail!("expected target dtype to be Long or Byte, but got {}", other.scalar_type()),
    }
    match weight.map(Tensor::dtype).filter(|w| *w != this.dtype()) {
        Some(w) => bail!("expected scalar type {} but found {}", this.dtype().scalar_type(), w.scalar_type()),
        None => Ok(()),
    }
}

/// Number of classes and of targets of one sample.
fn extent(sizes: &[i64]) -> (usize, usize) {
    match sizes {
        [c] => (*c as usize, 1),
        [_, c, rest @ ..] => (*c as usize, rest.iter().product::<i64>() as usize),
        [] => (0, 1),
    }
}

fn forward(
    this: &Tensor,
    target: &Tensor,
    weight: Option<&Tensor>,
    reduction: i64,
    ignore: i64,
) -> Result<(Tensor, Tensor)> {
    check(this, target, weight)?;
    let compute = float_type(this.dtype());
    let (x, t, w) = (dense(this, compute)?, dense(target, DType::I64)?, dense_option(weight, compute)?);
    let losses = if reduction == NONE { t.sizes() } else { [].into() };
    let (output, total) =
        (Tensor::empty_of(&losses, compute, x.device())?, Tensor::empty_of(&[], compute, x.device())?);
    let mut ins = vec![x.raw(), t.raw()];
    ins.extend(w.iter().map(|t| t.raw()));
    let ((classes, inner), outs) = (extent(&x.sizes()), [output.raw(), total.raw()]);
    let batched = this.dim() > 1;
    let bad = access_lists(&outs.each_ref(), &ins.iter().collect::<Vec<_>>(), |o, i| {
        // SAFETY: all are locked, row-major and of the types that they are read as; the outputs are fresh.
        with_float!(compute, T => unsafe {
            let weight: &[T] = i.get(2).map_or(&[], |w| slice(w));
            let nll = Nll { classes, inner: inner.max(1), target: slice(&i[1]), weight, ignore };
            let (out, all): (&mut [T], &mut [T]) = (slice_mut(&o[0]), slice_mut(&o[1]));
            all[0] = 0.0;
            match nll.bad_target() {
                Some(bad) => return Some(bad),
                None if reduction == NONE && batched => nll.losses(slice(&i[0]), out),
                None => {
                    let (sum, count) = nll.total(slice(&i[0]));
                    out[0] = (if reduction == MEAN { sum / count } else { sum }) as T;
                    all[0] = count as T;
                }
            }
        });
        None
    });
    if let Some(bad) = bad {
        bail!(Index, "Target {bad} is out of bounds.");
    }
    Ok((cast(output, this.dtype())?, cast(total, this.dtype())?))
}

fn backward(
    grad: &Tensor,
    this: &Tensor,
    target: &Tensor,
    weight: Option<&Tensor>,
    reduction: i64,
    ignore: i64,
    total: &Tensor,
) -> Result<Tensor> {
    check(this, target, weight)?;
    let grads = if reduction == NONE { target.numel() } else { 1 };
    if grad.numel() != grads || total.numel() != 1 {
        bail!(
            "Expected a gradient of {grads} elements and a total weight of one, but got {:?} and {:?}",
            grad.sizes().as_slice(),
            total.sizes().as_slice()
        );
    }
    let compute = float_type(this.dtype());
    let (g, t, w) = (dense(grad, compute)?, dense(target, DType::I64)?, dense_option(weight, compute)?);
    let (all, result) = (dense(total, compute)?, Tensor::empty_of(&this.sizes(), compute, this.device())?);
    let mut ins = vec![g.raw(), t.raw(), all.raw()];
    ins.extend(w.iter().map(|t| t.raw()));
    let ((classes, inner), out) = (extent(&this.sizes()), result.raw());
    let bad = access_lists(&[&out], &ins.iter().collect::<Vec<_>>(), |o, i| {
        // SAFETY: all are locked, row-major and of the types that they are read as; the output is fresh.
        with_float!(compute, T => unsafe {
            let weight: &[T] = i.get(3).map_or(&[], |w| slice(w));
            let nll = Nll { classes, inner: inner.max(1), target: slice(&i[1]), weight, ignore };
            let (g, all): (&[T], &[T]) = (slice(&i[0]), slice(&i[2]));
            let (gx, one): (&mut [T], T) = (slice_mut(&o[0]), if reduction == MEAN { 1.0 / all[0] } else { 1.0 });
            match nll.bad_target() {
                Some(bad) => return Some(bad),
                None if reduction == NONE => nll.backward(|k| g[k], gx),
                None => nll.backward(|_| g[0] * one, gx),
            }
        });
        None
    });
    if let Some(bad) = bad {
        bail!(Index, "Target {bad} is out of bounds.");
    }
    cast(result, this.dtype())
}

fn check_vectors(dims: usize) -> Result<()> {
    ensure!(dims <= 2, "input tensor should be 1D or 2D");
    Ok(())
}

fn check_images(dims: usize) -> Result<()> {
    ensure!(
        dims == 4,
        "only batches of spatial inputs supported (4D tensors), but got input of dimension: {dims}"
    );
    Ok(())
}

/// Declares the loss of inputs of certain shapes: with the sum of the weights, its gradient, and alone. After their schemas
/// stand the names of the loops in errors, and the check of the input.
macro_rules! likelihoods {
    ($($shapes:literal $loss:ident, $forward:ident, $backward:ident:
        $schema:literal, $forward_schema:literal, $backward_schema:literal,
        $forward_frame:literal, $backward_frame:literal, $check:ident;)*) => { $(
        #[doc = concat!("Negative log likelihood of ", $shapes, ", and the sum of the weights that took part.")]
        #[op(
            $forward_schema,
            nondiff(target, weight),
            no_method
        )]
        mod $forward {
            fn kernel(
                this: &Tensor,
                target: &Tensor,
                weight: Option<&Tensor>,
                reduction: i64,
                ignore_index: i64,
            ) -> Result<(Tensor, Tensor)> {
                require($forward_frame, this, floats)?;
                $check(this.dim())?;
                forward(this, target, weight, reduction, ignore_index)
            }
            fn grad_this(
                g: &Tensor,
                this: &Tensor,
                target: &Tensor,
                weight: Option<&Tensor>,
                reduction: i64,
                ignore_index: i64,
                out1: &Tensor,
            ) -> Result<Tensor> {
                $backward::call(g, this, target, weight, reduction, ignore_index, out1)
            }
        }

        #[doc = concat!("Gradient of [`", stringify!($forward), "`].")]
        #[op(
            $backward_schema,
            nondiff(target, weight, total_weight),
            no_method
        )]
        mod $backward {
            fn kernel(
                grad_output: &Tensor,
                this: &Tensor,
                target: &Tensor,
                weight: Option<&Tensor>,
                reduction: i64,
                ignore_index: i64,
                total_weight: &Tensor,
            ) -> Result<Tensor> {
                require($backward_frame, this, floats)?;
                backward(grad_output, this, target, weight, reduction, ignore_index, total_weight)
            }
            fn grad_this(this: &Meta) -> Result<Tensor> {
                this.zeros()
            }
            fn grad_grad_output(
                g: &Tensor,
                target: &Tensor,
                weight: Option<&Tensor>,
                reduction: i64,
                ignore_index: i64,
            ) -> Result<Tensor> {
                Ok($forward::call(g, target, weight, reduction, ignore_index)?.0)
            }
        }

        #[doc = concat!("Negative log likelihood of ", $shapes, ".")]
        #[op(
            $schema,
            composite,
            out = "out",
            autocast = "fp32",
            no_method
        )]
        mod $loss {
            fn kernel(
                this: &Tensor,
                target: &Tensor,
                weight: Option<&Tensor>,
                reduction: i64,
                ignore_index: i64,
            ) -> Result<Tensor> {
                Ok($forward::call(this, target, weight, reduction, ignore_index)?.0)
            }
        }
    )* };
}

likelihoods! {
    "`[N, C]` with targets `[N]`" nll_loss, nll_loss_forward, nll_loss_backward:
        "nll_loss(Tensor self, Tensor target, Tensor? weight=None, int reduction=Mean, SymInt ignore_index=-100) -> Tensor",
        "nll_loss_forward(Tensor self, Tensor target, Tensor? weight, int reduction, SymInt ignore_index) -> (Tensor output, Tensor total_weight)",
        "nll_loss_backward(Tensor grad_output, Tensor self, Tensor target, Tensor? weight, int reduction, SymInt ignore_index, Tensor total_weight) -> Tensor",
        "nll_loss_out_frame", "nll_loss_backward_out_frame", check_vectors;
    "`[N, C, H, W]` with targets `[N, H, W]`" nll_loss2d, nll_loss2d_forward, nll_loss2d_backward:
        "nll_loss2d(Tensor self, Tensor target, Tensor? weight=None, int reduction=Mean, SymInt ignore_index=-100) -> Tensor",
        "nll_loss2d_forward(Tensor self, Tensor target, Tensor? weight, int reduction, SymInt ignore_index) -> (Tensor output, Tensor total_weight)",
        "nll_loss2d_backward(Tensor grad_output, Tensor self, Tensor target, Tensor? weight, int reduction, SymInt ignore_index, Tensor total_weight) -> Tensor",
        "nll_loss2d_forward_out_frame", "nll_loss2d_backward_out_frame", check_images;
}

/// Negative log likelihood of `[N, C, *]` with targets `[N, *]`, or of `[C]` with one target.
#[op(
    "nll_loss_nd(Tensor self, Tensor target, Tensor? weight=None, int reduction=1, SymInt ignore_index=-100) -> Tensor",
    composite,
    no_method
)]
mod nll_loss_nd {
    fn kernel(
        this: &Tensor,
        target: &Tensor,
        weight: Option<&Tensor>,
        reduction: i64,
        ignore_index: i64,
    ) -> Result<Tensor> {
        let (x, t) = (this.sizes(), target.sizes());
        if x.is_empty() {
            bail!(Value, "Expected 1 or more dimensions (got 0)");
        }
        if x.len() == 1 && t.len() == 1 && t[0] != 1 {
            bail!(Value, "For 1D input, 1D target must have size 1, but got target size: {}", t[0]);
        }
        if x.len() != 1 && (t.is_empty() || x[0] != t[0]) {
            let got = t.first().copied().unwrap_or(0);
            bail!(Value, "Expected input batch_size ({}) to match target batch_size ({got}).", x[0]);
        }
        match x.len() {
            1 | 2 => nll_loss::call(this, target, weight, reduction, ignore_index),
            4 => nll_loss2d::call(this, target, weight, reduction, ignore_index),
            _ => {
                let mut expected = x.clone();
                expected.remove(1);
                if t != expected {
                    bail!("Expected target size {:?}, got {:?}", expected.as_slice(), t.as_slice());
                }
                let flat: i64 = x[2..].iter().product();
                let (this, target) = (this.reshape([x[0], x[1], 1, flat])?, target.reshape([x[0], 1, flat])?);
                let loss = nll_loss2d::call(&this, &target, weight, reduction, ignore_index)?;
                if reduction == NONE { loss.view(&expected) } else { Ok(loss) }
            }
        }
    }
}

/// Cross entropy between scores `[N, C, *]` and classes `[N, *]`, or class probabilities of the scores' shape.
#[op(
    "cross_entropy_loss(Tensor self, Tensor target, Tensor? weight=None, int reduction=1, SymInt ignore_index=-100, float label_smoothing=0.) -> Tensor",
    composite,
    autocast = "fp32",
    no_method
)]
mod cross_entropy_loss {
    fn kernel(
        this: &Tensor,
        target: &Tensor,
        weight: Option<&Tensor>,
        reduction: i64,
        ignore_index: i64,
        label_smoothing: f64,
    ) -> Result<Tensor> {
        if !(0.0..=1.0).contains(&label_smoothing) {
            bail!("label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}");
        }
        let class = if this.dim() == 1 { 0 } else { 1 };
        let x = super::log_softmax(this, class, this.dtype())?;
        if this.sizes() == target.sizes() {
            if !target.is_floating_point() {
                bail!(
                    "Expected floating point type for target with class probabilities, got {}",
                    target.dtype().scalar_type()
                );
            }
            if ignore_index >= 0 {
                bail!("ignore_index is not supported for floating point target");
            }
            return with_probabilities(&x, target, weight, reduction, label_smoothing, class);
        }
        let loss = nll_loss_nd::call(&x, target, weight, reduction, ignore_index)?;
        if label_smoothing == 0.0 {
            return Ok(loss);
        }
        let smooth = smoothed(&x, target, weight, reduction, ignore_index, class)?;
        let share = label_smoothing / this.size(class)? as f64;
        scale(&loss, 1.0 - label_smoothing)?.add(&scale(&smooth, share)?)
    }
}

fn log_softmax(this: &Tensor, class: i64, dtype: DType) -> Result<Tensor> {
    crate::ops::log_softmax_with(this, class, |o| o.dtype(dtype))
}

/// A weight for each class, shaped to multiply scores.
fn class_weights(x: &Tensor, weight: Option<&Tensor>, class: i64) -> Result<Option<Tensor>> {
    let Some(w) = weight else { return Ok(None) };
    let mut sizes = vec![1; x.dim()];
    sizes[class as usize] = w.numel() as i64;
    Ok(Some(w.view(&sizes)?))
}

fn with_probabilities(
    x: &Tensor,
    target: &Tensor,
    weight: Option<&Tensor>,
    reduction: i64,
    smoothing: f64,
    class: i64,
) -> Result<Tensor> {
    let classes = x.size(class)?;
    let target = match smoothing {
        0.0 => target.clone(),
        s => offset(&scale(target, 1.0 - s)?, s / classes as f64)?,
    };
    if let Some(w) = weight.filter(|w| w.dim() != 1 || w.numel() as i64 != classes) {
        bail!(
            "cross_entropy: weight tensor should be defined either for all {classes} classes or no classes but got weight tensor of shape: {:?}",
            w.sizes().as_slice()
        );
    }
    let mut product = x.mul(&target)?;
    if let Some(w) = class_weights(x, weight, class)? {
        product = product.mul(&w)?;
    }
    match reduction {
        NONE => crate::ops::sum_dim::call(&product, Some(&[class]), false, None)?.neg(),
        MEAN => scale(&product.sum()?, -(classes as f64) / x.numel() as f64),
        _ => product.sum()?.neg(),
    }
}

/// The loss against equal probabilities of all classes, times their number.
fn smoothed(
    x: &Tensor,
    target: &Tensor,
    weight: Option<&Tensor>,
    reduction: i64,
    ignore: i64,
    class: i64,
) -> Result<Tensor> {
    let weighted = match class_weights(x, weight, class)? {
        Some(w) => x.mul(&w)?,
        None => x.clone(),
    };
    let ignored = target.eq_scalar(ignore)?;
    let loss = crate::ops::sum_dim::call(&weighted, Some(&[class]), false, None)?.neg()?;
    let loss = loss.masked_fill(&ignored, 0)?;
    match reduction {
        NONE => Ok(loss),
        MEAN => {
            let counted = ignored.logical_not()?;
            let number = match weight {
                Some(w) => {
                    let classes = target.masked_fill(&ignored, 0)?.flatten()?;
                    w.gather(0, &classes)?.mul(&counted.flatten()?)?.sum()?
                }
                None => counted.sum()?,
            };
            loss.sum()?.div(&number)
        }
        _ => loss.sum(),
    }
}
