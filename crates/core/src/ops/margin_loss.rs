//! Margins between the scores of right and wrong classes.

use cresset_kernels::loss::margin::{MultiLabel, MultiMargin};
use cresset_macros::op;

use super::loss::reduced;
use super::nll::{MEAN, NONE};
use crate::dense::{dense, dense_option, slice, slice_mut};
use crate::op::OpDef;
use crate::storage::{access, access_lists};
use crate::{DType, Result, Scalar, Tensor, bail, op_list, with_float};

pub(crate) static OPS: &[&OpDef] = op_list![
    multi_margin_loss,
    multi_margin_loss_backward,
    multilabel_margin_loss,
    multilabel_margin_loss_forward,
    multilabel_margin_loss_backward,
];

/// Rows and classes of the scores.
fn extent(this: &Tensor) -> Result<(usize, usize)> {
    let sizes = this.sizes();
    if sizes.len() > 2 || sizes.last() == Some(&0) {
        bail!(
            "Expected non-empty vector or matrix with optional 0-dim batch size, but got: {:?}",
            sizes.as_slice()
        );
    }
    Ok(match *sizes.as_slice() {
        [n, c] => (n as usize, c as usize),
        [c] => (1, c as usize),
        _ => (1, 1),
    })
}

fn check_type(this: &Tensor, target: &Tensor, name: &str) -> Result<()> {
    if !matches!(this.dtype(), DType::F32 | DType::F64) {
        bail!(NotImplemented, "\"{name}\" not implemented for '{}'", this.dtype().scalar_type());
    }
    if target.dtype() != DType::I64 {
        bail!("expected scalar type Long but found {}", target.dtype().scalar_type());
    }
    Ok(())
}

/// The gradient of each row's loss.
fn share(grad: &Tensor, rows: usize, reduction: i64) -> Result<Tensor> {
    let grad =
        if reduction == MEAN { crate::reduction::scale(grad, 1.0 / rows as f64)? } else { grad.clone() };
    if reduction == NONE && grad.dim() > 0 { Ok(grad) } else { grad.expand([rows as i64]) }
}

/// What [`multi_margin_loss`] checks; gives rows and classes.
fn check_multi_margin(
    this: &Tensor,
    target: &Tensor,
    p: Scalar,
    weight: Option<&Tensor>,
) -> Result<(usize, usize)> {
    if ![1.0, 2.0].contains(&p.to_f64()) {
        bail!("only p == 1 and p == 2 supported");
    }
    let (n, c) = extent(this)?;
    let (x, t) = (this.sizes(), target.sizes());
    if t.len() > 1 || target.numel() != n {
        bail!(
            "multi_margin_loss: target tensor should be 1-D with size equal to the number of input samples (batch size). Expected target size [{n}], but got {:?}. Input has shape {:?}.",
            t.as_slice(),
            x.as_slice()
        );
    }
    if let Some(w) = weight.filter(|w| w.numel() != c || w.dim() > 1) {
        bail!("inconsistent weight size, expected {c} but got {:?}", w.sizes().as_slice());
    }
    check_type(this, target, "multi_margin_loss_cpu_kernel")?;
    Ok((n, c))
}

/// Losses of rows, or their mean or sum; a single row without a batch has a 0-dim loss.
fn finished(losses: &Tensor, single: bool, reduction: i64) -> Result<Tensor> {
    reduced(&if single { losses.reshape([])? } else { losses.clone() }, reduction)
}

/// How far the scores of other classes come within `margin` of the target's, to the power `p`.
#[op(
    "multi_margin_loss(Tensor self, Tensor target, Scalar p=1, Scalar margin=1, Tensor? weight=None, int reduction=1) -> Tensor",
    autocast = "fp32",
    nondiff(target, weight),
    out = "out",
    no_method
)]
mod multi_margin_loss {
    fn kernel(
        this: &Tensor,
        target: &Tensor,
        p: Scalar,
        margin: Scalar,
        weight: Option<&Tensor>,
        reduction: i64,
    ) -> Result<Tensor> {
        let (n, _) = check_multi_margin(this, target, p, weight)?;
        let losses = Tensor::empty_of(&[n as i64], this.dtype(), this.device())?;
        run_multi_margin(this, target, (p, margin), weight, &losses, None)?;
        finished(&losses, target.dim() == 0, reduction)
    }
    fn grad_this(
        g: &Tensor,
        this: &Tensor,
        target: &Tensor,
        p: Scalar,
        margin: Scalar,
        weight: Option<&Tensor>,
        reduction: i64,
    ) -> Result<Tensor> {
        multi_margin_loss_backward::call(g, this, target, p, margin, weight, reduction)
    }
}

/// Gradient of [`multi_margin_loss`]; has none itself, as in PyTorch.
#[op(
    "multi_margin_loss_backward(Tensor grad_output, Tensor self, Tensor target, Scalar p, Scalar margin, Tensor? weight=None, int reduction=1) -> Tensor",
    nondiff(target, weight),
    out("grad_input", grad_input),
    no_method
)]
mod multi_margin_loss_backward {
    fn kernel(
        grad_output: &Tensor,
        this: &Tensor,
        target: &Tensor,
        p: Scalar,
        margin: Scalar,
        weight: Option<&Tensor>,
        reduction: i64,
    ) -> Result<Tensor> {
        let (n, _) = check_multi_margin(this, target, p, weight)?;
        let result = Tensor::empty_of(&this.sizes(), this.dtype(), this.device())?;
        let grad = share(grad_output, n, reduction)?;
        run_multi_margin(this, target, (p, margin), weight, &result, Some(&grad))?;
        Ok(result)
    }
    fn grad_grad_output(g: &Tensor) -> Result<Tensor> {
        underivable(g, "multi_margin_loss_backward")
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        underivable(g, "multi_margin_loss_backward")
    }
}

/// Writes the losses of all rows or, given their gradients, the gradient of the scores to `out`.
fn run_multi_margin(
    this: &Tensor,
    target: &Tensor,
    (p, margin): (Scalar, Scalar),
    weight: Option<&Tensor>,
    out: &Tensor,
    grad: Option<&Tensor>,
) -> Result<()> {
    let (dtype, (_, classes)) = (this.dtype(), extent(this)?);
    let mut ins = vec![dense(this, dtype)?, dense(target, DType::I64)?];
    ins.extend(grad.map(|g| dense(g, dtype)).transpose()?);
    ins.extend(dense_option(weight, dtype)?);
    let views: Vec<_> = ins.iter().map(Tensor::raw).collect();
    let valid = access_lists(&[&out.raw()], &views.iter().collect::<Vec<_>>(), |o, i| {
        // SAFETY: all are locked, row-major and of the types that they are read as; the output is fresh.
        with_float!(dtype, T => unsafe {
            let weight: &[T] = if weight.is_some() { slice(&i[i.len() - 1]) } else { &[] };
            let (squared, margin) = (p.to_f64() == 2.0, margin.to_f64() as T);
            let rows = MultiMargin { classes, target: slice(&i[1]), weight, squared, margin };
            if !rows.target.iter().all(|t| (0..classes as i64).contains(t)) {
                return Some(());
            }
            if grad.is_some() {
                let g: &[T] = slice(&i[2]);
                rows.backward(|row| g[row], slice(&i[0]), slice_mut(&o[0]));
            } else {
                rows.losses(slice(&i[0]), slice_mut(&o[0]));
            }
            None
        })
    });
    if valid.is_some() {
        bail!("target out of range");
    }
    Ok(())
}

/// The error of a gradient that PyTorch does not define either.
pub(super) fn underivable(_: &Tensor, name: &str) -> Result<Tensor> {
    bail!("derivative for aten::{name} is not implemented")
}

/// What [`multilabel_margin_loss`] checks; gives rows and classes.
fn check_multilabel(this: &Tensor, target: &Tensor) -> Result<(usize, usize)> {
    let (n, c) = extent(this)?;
    let (x, t) = (this.sizes(), target.sizes());
    let fits = if x.len() == 2 { t == x } else { t.len() <= 1 && target.numel() == c };
    if !fits {
        bail!("inconsistent target size: {:?} for input of size: {:?}", t.as_slice(), x.as_slice());
    }
    check_type(this, target, "multilabel_margin_loss_forward_out_frame")?;
    Ok((n, c))
}

/// How far the scores of wrong classes come within 1 of those of the right classes, which `target` lists up to the
/// first -1.
#[op(
    "multilabel_margin_loss(Tensor self, Tensor target, int reduction=1) -> Tensor",
    autocast = "fp32",
    composite,
    out = "out",
    no_method
)]
mod multilabel_margin_loss {
    fn kernel(this: &Tensor, target: &Tensor, reduction: i64) -> Result<Tensor> {
        Ok(multilabel_margin_loss_forward::call(this, target, reduction)?.0)
    }
}

/// [`multilabel_margin_loss`], and 1 for each right class.
#[op(
    "multilabel_margin_loss_forward(Tensor self, Tensor target, int reduction) -> (Tensor output, Tensor is_target)",
    autocast = "fp32",
    nondiff(target),
    out("output", output, is_target),
    no_method
)]
mod multilabel_margin_loss_forward {
    fn kernel(this: &Tensor, target: &Tensor, reduction: i64) -> Result<(Tensor, Tensor)> {
        let (n, classes) = check_multilabel(this, target)?;
        let (dtype, device) = (this.dtype(), this.device());
        let losses = Tensor::empty_of(&[n as i64], dtype, device)?;
        let is_target = Tensor::empty_of(&target.sizes(), dtype, device)?;
        let (x, t) = (dense(this, dtype)?, dense(target, DType::I64)?);
        let outs = [losses.raw(), is_target.raw()];
        let invalid = access(outs.each_ref(), [&x.raw(), &t.raw()], |[losses, is_target], [x, t]| {
            // SAFETY: all are locked, row-major and of the types that they are read as; the outputs are fresh.
            with_float!(dtype, T => unsafe {
                let rows = MultiLabel { classes, target: slice(&t) };
                if !rows.is_valid() {
                    return Some(());
                }
                let marks: &mut [T] = slice_mut(&is_target);
                rows.mark(marks);
                rows.losses(slice(&x), marks, slice_mut(&losses));
                None
            })
        });
        if invalid.is_some() {
            bail!("argument #2 'target' is out of range");
        }
        Ok((finished(&losses, this.dim() < 2, reduction)?, is_target))
    }
    fn grad_this(
        g: &Tensor,
        this: &Tensor,
        target: &Tensor,
        reduction: i64,
        out1: &Tensor,
    ) -> Result<Tensor> {
        multilabel_margin_loss_backward::call(g, this, target, reduction, out1)
    }
}

/// Gradient of [`multilabel_margin_loss`]; has none itself, as in PyTorch.
#[op(
    "multilabel_margin_loss_backward(Tensor grad_output, Tensor self, Tensor target, int reduction, Tensor is_target) -> Tensor",
    nondiff(target, is_target),
    out("grad_input", grad_input),
    no_method
)]
mod multilabel_margin_loss_backward {
    fn kernel(
        grad_output: &Tensor,
        this: &Tensor,
        target: &Tensor,
        reduction: i64,
        is_target: &Tensor,
    ) -> Result<Tensor> {
        let (n, classes) = check_multilabel(this, target)?;
        if is_target.sizes() != target.sizes() {
            bail!("inconsistent is_target size: {:?}", is_target.sizes().as_slice());
        }
        let dtype = this.dtype();
        let result = Tensor::empty_of(&this.sizes(), dtype, this.device())?;
        let g = dense(&share(grad_output, n, reduction)?, dtype)?;
        let (x, t, marks) = (dense(this, dtype)?, dense(target, DType::I64)?, dense(is_target, dtype)?);
        let ins = [g.raw(), x.raw(), t.raw(), marks.raw()];
        let invalid = access([&result.raw()], ins.each_ref(), |[o], [g, x, t, marks]| {
            // SAFETY: as in the forward.
            with_float!(dtype, T => unsafe {
                let (g, rows): (&[T], _) = (slice(&g), MultiLabel { classes, target: slice(&t) });
                if !rows.is_valid() {
                    return Some(());
                }
                rows.backward(|row| g[row], slice(&x), slice(&marks), slice_mut(&o));
                None
            })
        });
        if invalid.is_some() {
            bail!("argument #2 'target' is out of range");
        }
        Ok(result)
    }
    fn grad_grad_output(g: &Tensor) -> Result<Tensor> {
        underivable(g, "multilabel_margin_loss_backward")
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        underivable(g, "multilabel_margin_loss_backward")
    }
}
