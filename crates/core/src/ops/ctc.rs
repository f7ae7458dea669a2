//! Connectionist temporal classification.

use cresset_kernels::loss::ctc::Ctc;
use cresset_macros::op;

use super::margin_loss::underivable;
use super::nll::{MEAN, NONE};
use super::where_self;
use crate::dense::{dense, slice, slice_mut};
use crate::op::OpDef;
use crate::storage::{Raw, access};
use crate::{DType, Element, Result, Tensor, bail, ensure, op_list, with_float};

pub(crate) static OPS: &[&OpDef] = op_list![
    ctc_loss,
    ctc_loss_tensor,
    _ctc_loss,
    _ctc_loss_tensor,
    _ctc_loss_backward,
    _ctc_loss_backward_tensor,
];

const CHECKED: &str = "(while checking arguments for ctc_loss_allocate_outputs)";

/// A checked call: where each sequence's labels are, and the row-major operands.
struct Call<'a> {
    log_probs: Tensor,
    targets: Tensor,
    spans: Vec<(usize, usize)>,
    input_lengths: &'a [i64],
    blank: usize,
    states: usize,
}

impl<'a> Call<'a> {
    fn new(
        log_probs: &Tensor,
        targets: &Tensor,
        input_lengths: &'a [i64],
        target_lengths: &[i64],
        blank: i64,
    ) -> Result<Call<'a>> {
        check_types(log_probs, targets)?;
        let sizes = log_probs.sizes();
        let (time, batch) = (sizes[0], sizes[1] as usize);
        ensure!((0..sizes[2]).contains(&blank), "blank must be in label range");
        ensure!(input_lengths.len() == batch, "input_lengths must be of size batch_size");
        ensure!(target_lengths.len() == batch, "target_lengths must be of size batch_size");
        check_range("target_lengths", target_lengths, None)?;
        let spans = spans(targets, target_lengths)?;
        check_range("input_lengths", input_lengths, Some(time))?;
        let longest = target_lengths.iter().copied().max().unwrap_or(0) as usize;
        Ok(Call {
            log_probs: dense(log_probs, log_probs.dtype())?,
            targets: dense(targets, DType::I64)?,
            spans,
            input_lengths,
            blank: blank as usize,
            states: 2 * longest + 1,
        })
    }

    /// The kernel's view of it.
    ///
    /// # Safety
    /// As [`slice`], for both operands.
    unsafe fn ctc<T: Element>(&'a self, log_probs: &Raw<'_>, targets: &Raw<'_>) -> Ctc<'a, T> {
        let [time, batch, classes] = [0, 1, 2].map(|d| log_probs.sizes[d] as usize);
        // SAFETY: the caller's promise.
        let (log_probs, targets) = unsafe { (slice(log_probs), slice(targets)) };
        let Call { spans, input_lengths, blank, states, .. } = self;
        let (blank, states) = (*blank, *states);
        Ctc { log_probs, time, batch, classes, targets, spans, input_lengths, blank, states }
    }
}

fn check_types(log_probs: &Tensor, targets: &Tensor) -> Result<()> {
    ensure!(log_probs.numel() > 0, "log_probs tensor must not be empty");
    if !matches!(log_probs.dtype(), DType::F32 | DType::F64) {
        bail!(NotImplemented, "\"ctc_loss_cpu\" not implemented for '{}'", log_probs.dtype().scalar_type());
    }
    if !matches!(targets.dtype(), DType::I32 | DType::I64) {
        bail!(
            "Expected tensor for argument #2 'targets' to have scalar type Int; but got torch.{}Tensor instead {CHECKED}",
            targets.dtype().scalar_type()
        );
    }
    if log_probs.dim() != 3 {
        bail!(
            "Expected 3-dimensional tensor, but got {}-dimensional tensor for argument #1 'log_probs' {CHECKED}",
            log_probs.dim()
        );
    }
    if !(1..=2).contains(&targets.dim()) {
        bail!(
            "Expected 1 to 2 dimensions, but got {}-dimensional tensor for argument #2 'targets' {CHECKED}",
            targets.dim()
        );
    }
    Ok(())
}

fn check_range(name: &str, lengths: &[i64], most: Option<i64>) -> Result<()> {
    if let Some(n) = lengths.iter().find(|n| **n < 0) {
        bail!("Expected {name} to have value at least 0, but got value {n} {CHECKED}");
    }
    match most.and_then(|most| Some((most, lengths.iter().find(|n| **n > most)?))) {
        Some((most, n)) => {
            bail!("Expected {name} to have value at most {most}, but got value {n} {CHECKED}")
        }
        None => Ok(()),
    }
}

/// Start and number of each sequence's labels: one after another, or a row each.
fn spans(targets: &Tensor, lengths: &[i64]) -> Result<Vec<(usize, usize)>> {
    let sizes = targets.sizes();
    let wanted = match sizes.len() {
        1 => lengths.iter().fold(0_i64, |sum, n| sum.saturating_add(*n)),
        _ => lengths.len() as i64,
    };
    if sizes[0] != wanted {
        bail!(
            "Expected tensor to have size {wanted} at dimension 0, but got size {} for argument #2 'targets' {CHECKED}",
            sizes[0]
        );
    }
    let longest = lengths.iter().copied().max().unwrap_or(0);
    if let Some(width) = sizes.get(1).filter(|width| **width < longest) {
        bail!(
            "Expected tensor to have size at least {longest} at dimension 1, but got size {width} for argument #2 'targets' {CHECKED}"
        );
    }
    let mut next = 0;
    let span = |(b, n): (usize, &i64)| {
        let n = *n as usize;
        let start = sizes.get(1).map_or(next, |width| b * *width as usize);
        next += n;
        (start, n)
    };
    Ok(lengths.iter().enumerate().map(span).collect())
}

/// Lengths out of an integral tensor.
fn lengths(t: &Tensor, name: &str) -> Result<Vec<i64>> {
    ensure!(t.dtype().is_integral_or_bool() && t.dtype() != DType::Bool, "{name} must be integral");
    dense(t, DType::I64)?.to_vec()
}

fn no_class(label: i64, classes: i64) -> Result<()> {
    bail!(Index, "ctc_loss: expected labels below {classes}, got {label}")
}

/// Loss of label sequences under `log_probs` (`[time, batch, classes]` or `[time, classes]`), by the sum over all ways to stretch
/// them to the time steps; `targets` has a row each, or all one after another.
#[op(
    "ctc_loss.IntList(Tensor log_probs, Tensor targets, int[] input_lengths, int[] target_lengths, int blank=0, int reduction=1, bool zero_infinity=False) -> Tensor",
    composite,
    autocast = "fp32",
    no_method
)]
mod ctc_loss {
    fn kernel(
        log_probs: &Tensor,
        targets: &Tensor,
        input_lengths: &[i64],
        target_lengths: &[i64],
        blank: i64,
        reduction: i64,
        zero_infinity: bool,
    ) -> Result<Tensor> {
        let batched = log_probs.dim() == 3;
        let log_probs = if batched { log_probs.clone() } else { log_probs.unsqueeze(1)? };
        let targets = targets.to_dtype(DType::I64)?;
        let (mut loss, _) =
            _ctc_loss::call(&log_probs, &targets, input_lengths, target_lengths, blank, zero_infinity)?;
        if zero_infinity {
            let zero = crate::copy::zeros(&[], loss.dtype(), loss.device())?;
            loss = where_self(&loss.eq_scalar(f64::INFINITY)?, &zero, &loss)?;
        }
        match reduction {
            MEAN => {
                let lengths: Vec<i64> = target_lengths.iter().map(|n| (*n).max(1)).collect();
                let lengths = Tensor::from_vec(lengths, [target_lengths.len() as i64])?;
                loss.div(&lengths.to_dtype(loss.dtype())?)?.mean()
            }
            NONE if batched => Ok(loss),
            NONE => loss.squeeze_dim(0),
            _ => loss.sum(),
        }
    }
}

/// [`ctc_loss`] with the lengths in tensors.
#[op(
    "ctc_loss.Tensor(Tensor log_probs, Tensor targets, Tensor input_lengths, Tensor target_lengths, int blank=0, int reduction=1, bool zero_infinity=False) -> Tensor",
    composite,
    autocast = "fp32",
    no_method
)]
mod ctc_loss_tensor {
    fn kernel(
        log_probs: &Tensor,
        targets: &Tensor,
        input_lengths: &Tensor,
        target_lengths: &Tensor,
        blank: i64,
        reduction: i64,
        zero_infinity: bool,
    ) -> Result<Tensor> {
        let steps = lengths(input_lengths, "input_lengths")?;
        let labels = lengths(target_lengths, "target_lengths")?;
        ctc_loss::call(log_probs, targets, &steps, &labels, blank, reduction, zero_infinity)
    }
}

/// The loss of each sequence, and the logarithms of the forward variable that backward reads.
#[op(
    "_ctc_loss(Tensor log_probs, Tensor targets, int[] input_lengths, int[] target_lengths, int blank=0, bool zero_infinity=False) -> (Tensor, Tensor)",
    nondiff(targets),
    no_method,
    no_fn
)]
mod _ctc_loss {
    fn kernel(
        log_probs: &Tensor,
        targets: &Tensor,
        input_lengths: &[i64],
        target_lengths: &[i64],
        blank: i64,
        zero_infinity: bool,
    ) -> Result<(Tensor, Tensor)> {
        let _ = zero_infinity; // only backward looks at it
        let call = Call::new(log_probs, targets, input_lengths, target_lengths, blank)?;
        let (x, t) = (call.log_probs.raw(), call.targets.raw());
        let [time, batch, classes] = [0, 1, 2].map(|d| x.layout.sizes[d]);
        let loss = Tensor::empty_of(&[batch], x.dtype, log_probs.device())?;
        let alpha = Tensor::empty_of(&[batch, time, call.states as i64], x.dtype, log_probs.device())?;
        let bad = access([&loss.raw(), &alpha.raw()], [&x, &t], |[loss, alpha], [x, t]| {
            // SAFETY: all are locked, row-major and of the types that they are read as; the outputs are fresh.
            with_float!(x.dtype, T => unsafe {
                let ctc = call.ctc::<T>(&x, &t);
                let bad = ctc.bad_label();
                if bad.is_none() {
                    ctc.forward(slice_mut(&loss), slice_mut(&alpha));
                }
                bad
            })
        });
        bad.map_or(Ok(()), |label| no_class(label, classes))?;
        Ok((loss, alpha))
    }
    fn grad_log_probs(
        g: &Tensor,
        log_probs: &Tensor,
        targets: &Tensor,
        input_lengths: &[i64],
        target_lengths: &[i64],
        out0: &Tensor,
        out1: &Tensor,
        blank: i64,
        zero_infinity: bool,
    ) -> Result<Tensor> {
        let (steps, labels) = (input_lengths, target_lengths);
        _ctc_loss_backward::call(g, log_probs, targets, steps, labels, out0, out1, blank, zero_infinity)
    }
}

/// [`_ctc_loss`] with the lengths in tensors.
#[op(
    "_ctc_loss.Tensor(Tensor log_probs, Tensor targets, Tensor input_lengths, Tensor target_lengths, int blank=0, bool zero_infinity=False) -> (Tensor, Tensor)",
    composite,
    no_method,
    no_fn
)]
mod _ctc_loss_tensor {
    fn kernel(
        log_probs: &Tensor,
        targets: &Tensor,
        input_lengths: &Tensor,
        target_lengths: &Tensor,
        blank: i64,
        zero_infinity: bool,
    ) -> Result<(Tensor, Tensor)> {
        let steps = lengths(input_lengths, "input_lengths")?;
        let labels = lengths(target_lengths, "target_lengths")?;
        _ctc_loss::call(log_probs, targets, &steps, &labels, blank, zero_infinity)
    }
}

/// Gradient of [`_ctc_loss`]; has none itself, as in PyTorch.
#[op(
    "_ctc_loss_backward(Tensor grad, Tensor log_probs, Tensor targets, int[] input_lengths, int[] target_lengths, Tensor neg_log_likelihood, Tensor log_alpha, int blank, bool zero_infinity=False) -> Tensor",
    nondiff(targets, neg_log_likelihood, log_alpha),
    no_method,
    no_fn
)]
mod _ctc_loss_backward {
    fn kernel(
        grad: &Tensor,
        log_probs: &Tensor,
        targets: &Tensor,
        input_lengths: &[i64],
        target_lengths: &[i64],
        neg_log_likelihood: &Tensor,
        log_alpha: &Tensor,
        blank: i64,
        zero_infinity: bool,
    ) -> Result<Tensor> {
        let call = Call::new(log_probs, targets, input_lengths, target_lengths, blank)?;
        let sizes = log_probs.sizes();
        let states = [sizes[1], sizes[0], call.states as i64];
        if log_alpha.sizes().as_slice() != states || neg_log_likelihood.sizes().as_slice() != [sizes[1]] {
            bail!(
                "ctc_loss_backward: expected a loss {:?} and a forward variable {states:?}, got {:?} and {:?}",
                [sizes[1]],
                neg_log_likelihood.sizes().as_slice(),
                log_alpha.sizes().as_slice()
            );
        }
        let dtype = log_probs.dtype();
        let result = Tensor::empty_of(&sizes, dtype, log_probs.device())?;
        let (g, loss) = (dense(&grad.expand([sizes[1]])?, dtype)?, dense(neg_log_likelihood, dtype)?);
        let alpha = dense(log_alpha, dtype)?;
        let ins = [call.log_probs.raw(), call.targets.raw(), g.raw(), loss.raw(), alpha.raw()];
        let bad = access([&result.raw()], ins.each_ref(), |[o], [x, t, g, loss, alpha]| {
            // SAFETY: as in the forward.
            with_float!(dtype, T => unsafe {
                let ctc = call.ctc::<T>(&x, &t);
                let bad = ctc.bad_label();
                if bad.is_none() {
                    ctc.backward(slice(&g), slice(&loss), slice(&alpha), zero_infinity, slice_mut(&o));
                }
                bad
            })
        });
        bad.map_or(Ok(()), |label| no_class(label, sizes[2]))?;
        Ok(result)
    }
    fn grad_grad(g: &Tensor) -> Result<Tensor> {
        underivable(g, "_ctc_loss_backward")
    }
    fn grad_log_probs(g: &Tensor) -> Result<Tensor> {
        underivable(g, "_ctc_loss_backward")
    }
}

/// [`_ctc_loss_backward`] with the lengths in tensors.
#[op(
    "_ctc_loss_backward.Tensor(Tensor grad, Tensor log_probs, Tensor targets, Tensor input_lengths, Tensor target_lengths, Tensor neg_log_likelihood, Tensor log_alpha, int blank, bool zero_infinity=False) -> Tensor",
    composite,
    no_method,
    no_fn
)]
mod _ctc_loss_backward_tensor {
    fn kernel(
        grad: &Tensor,
        log_probs: &Tensor,
        targets: &Tensor,
        input_lengths: &Tensor,
        target_lengths: &Tensor,
        neg_log_likelihood: &Tensor,
        log_alpha: &Tensor,
        blank: i64,
        zero_infinity: bool,
    ) -> Result<Tensor> {
        let steps = lengths(input_lengths, "input_lengths")?;
        let labels = lengths(target_lengths, "target_lengths")?;
        let (loss, alpha) = (neg_log_likelihood, log_alpha);
        _ctc_loss_backward::call(grad, log_probs, targets, &steps, &labels, loss, alpha, blank, zero_infinity)
    }
}
