//! The one door: every call of an operator, typed or by name, passes here on its way to the kernel.
//!
//! Modes see it first, then autograd, then the kernel. A typed call that nobody wants to see ([`direct`]) skips the
//! boxing of its arguments and goes straight to the kernel.

use crate::autograd::{self, below};
use crate::library::OpRef;
use crate::modes;
use crate::op::{Autograd, OpDef, Out, Tag, Variant};
use crate::tensor::{Creation, NEEDS_GRAD};
use crate::value::{Args, Outputs, Value};
use crate::{DType, Result, Tensor, bail};

/// Whether a call whose tensors have those flags can go straight to the kernel.
#[inline]
pub(crate) fn direct(flags: u8) -> bool {
    !modes::any() && (flags == 0 || flags == NEEDS_GRAD && !modes::is_grad_enabled())
}

/// Arguments that may hold tensors that the door must see.
pub(crate) trait Flagged {
    /// What keeps a call on any tensor in it from going straight to the kernel, see [`Tensor::door_flags`].
    fn door_flags(&self) -> u8;
}

impl Flagged for &Tensor {
    fn door_flags(&self) -> u8 {
        Tensor::door_flags(self)
    }
}

impl Flagged for Option<&Tensor> {
    fn door_flags(&self) -> u8 {
        self.map_or(0, Tensor::door_flags)
    }
}

impl Flagged for &[Tensor] {
    fn door_flags(&self) -> u8 {
        self.iter().fold(0, |flags, t| flags | t.door_flags())
    }
}

impl Flagged for &[Option<Tensor>] {
    fn door_flags(&self) -> u8 {
        self.iter().flatten().fold(0, |flags, t| flags | t.door_flags())
    }
}

/// Calls an operator with boxed arguments in schema order; `outs` are the `out=` tensors of that variant.
///
/// # Errors
/// Those of the operator, noted with its name.
pub(crate) fn call(op: &'static OpDef, variant: Variant, args: Args, outs: &[Tensor]) -> Result<Outputs> {
    let result = if modes::any() {
        let all: Args = args.into_iter().chain(outs.iter().cloned().map(Value::Tensor)).collect();
        let n = op.schema().arguments.len();
        modes::through(OpRef { op, variant }, &all, &mut |args| {
            let outs: Vec<Tensor> = args[n..].iter().cloned().flat_map(Value::into_tensors).collect();
            dispatch(op, variant, &args[..n], &outs)
        })
    } else {
        dispatch(op, variant, &args, outs)
    };
    result.map_err(|e| e.with_op(op.name))
}

fn dispatch(op: &'static OpDef, variant: Variant, args: &[Value], outs: &[Tensor]) -> Result<Outputs> {
    match variant {
        Variant::Functional if op.is_mutating() && matches!(args.first(), Some(Value::Tensors(_))) => {
            write_lists(op, args)
        }
        Variant::Functional if op.is_mutating() => inplace(op, variant, args),
        Variant::Functional => functional(op, args),
        Variant::Inplace => inplace(op, variant, args),
        Variant::Out => into(op, args, outs),
    }
}

/// Whether an argument that the formulas differentiate needs gradients.
fn needs_grad(op: &'static OpDef, args: &[Value]) -> bool {
    let Some(formulas) = autograd::formulas(op) else { return false };
    let mut any = false;
    for i in formulas.iter().flat_map(|f| f.wrt) {
        args[*i].for_each_tensor(|t| any |= t.requires_grad());
    }
    any
}

fn functional(op: &'static OpDef, args: &[Value]) -> Result<Outputs> {
    let outputs = match op.autograd {
        Autograd::Composite => return run(op, args, Out::New),
        _ if autograd::records(needs_grad(op, args)) => {
            let outputs = below(|| run(op, args, Out::New))?;
            if let Some(formulas) = autograd::formulas(op) {
                autograd::record(op, Variant::Functional, formulas, args, None, &outputs);
            }
            outputs
        }
        _ => below(|| run(op, args, Out::New))?,
    };
    if op.has_tag(Tag::View) {
        mark_multiple_views(&outputs);
    }
    Ok(outputs)
}

/// In-place writes to one of several views of one call are refused, as in PyTorch.
fn mark_multiple_views(outputs: &Outputs) {
    if let [Value::Tensors(views)] = outputs.as_slice() {
        for view in views.iter().filter(|v| v.creation() == Creation::Default) {
            view.set_creation(Creation::MultiOutput);
        }
    }
}

fn inplace(op: &'static OpDef, variant: Variant, args: &[Value]) -> Result<Outputs> {
    let Some(target) = args.first().and_then(Value::as_tensor) else {
        bail!(Type, "{}: expected a Tensor to write to", op.name);
    };
    if matches!(op.autograd, Autograd::Composite) {
        return composite_inplace(op, variant, args, target);
    }
    let recording = autograd::records(needs_grad(op, args)) && target.dtype().is_differentiable();
    autograd::check_inplace(target, recording)?;
    if matches!(op.autograd, Autograd::NoGrad(_)) && autograd::records(target.requires_grad()) {
        bail!(NotImplemented, "the derivative for '{}' is not implemented.", op.name);
    }
    let original = match op.has_tag(Tag::View) {
        true => recording.then(|| target.detach()),
        false if recording => autograd::original_self(op, args)?,
        false => None,
    };
    below(|| write_inplace(op, variant, args, target))?;
    target.bump_version();
    let outputs: Outputs = smallvec::smallvec![Value::Tensor(target.clone())];
    if let (true, Some(formulas)) = (recording, autograd::formulas(op))
        && let Some(node) =
            autograd::record(op, Variant::Inplace, formulas, args, original.as_ref(), &outputs)
    {
        match op.has_tag(Tag::View) && target.base().is_some() {
            // No element was written: the history is made anew from that of the base.
            true => autograd::forget_history(target),
            false => autograd::rebase(target, node, 0),
        }
    }
    Ok(outputs)
}

fn involves_sparse(args: &[Value]) -> bool {
    let mut any = false;
    args.iter().for_each(|v| v.for_each_tensor(|t| any |= t.is_sparse()));
    any
}

/// Runs the body of an operator: that for sparse tensors if an argument is one. What that one returns for an in-place
/// call is stored in the target unless it is the target.
fn run(op: &'static OpDef, args: &[Value], out: Out<'_>) -> Result<Outputs> {
    if !involves_sparse(args) {
        return (op.kernel)(args, out);
    }
    match op.sparse {
        Some(body) => body(args, out),
        None if matches!(op.autograd, Autograd::Composite) => (op.kernel)(args, out),
        None if op.has_tag(Tag::KeepsZero) => crate::sparse::on_values(op, args),
        None => Err(crate::sparse::unsupported(op)),
    }
}

/// A call that writes to lists of tensors, such as a step of an optimizer; none of them is differentiable.
fn write_lists(op: &'static OpDef, args: &[Value]) -> Result<Outputs> {
    if matches!(op.autograd, Autograd::Composite) {
        return run(op, args, Out::New);
    }
    let is_written = |(argument, _): &(&crate::schema::Argument, &Value)| argument.is_written();
    let written: Vec<Tensor> = op
        .schema()
        .arguments
        .iter()
        .zip(args)
        .filter(is_written)
        .flat_map(|(_, value)| value.clone().into_tensors())
        .collect();
    for t in &written {
        autograd::check_inplace(t, autograd::records(t.requires_grad()))?;
        if autograd::records(t.requires_grad()) {
            bail!(NotImplemented, "the derivative for '{}' is not implemented.", op.name);
        }
    }
    let outputs = below(|| run(op, args, Out::New))?;
    written.iter().for_each(Tensor::bump_version);
    Ok(outputs)
}

/// A composite in-place call: the operators that it is made of are recorded one by one.
fn composite_inplace(
    op: &'static OpDef,
    variant: Variant,
    args: &[Value],
    target: &Tensor,
) -> Result<Outputs> {
    if variant == Variant::Functional || op.writes_out {
        run(op, args, Out::Inplace(target))?;
        return Ok(smallvec::smallvec![Value::Tensor(target.clone())]);
    }
    let mut args: Args = args.iter().cloned().collect();
    if autograd::records(target.requires_grad()) {
        // What the operators inside save of `self` is its value before the write.
        args[0] = Value::Tensor(target.clone_tensor()?);
    }
    let result = single(op, &run(op, &args, Out::New)?)?;
    check_castable(result.dtype(), target)?;
    check_inplace_shape(&result.sizes(), target)?;
    target.copy_(&result)?;
    Ok(smallvec::smallvec![Value::Tensor(target.clone())])
}

fn write_inplace(op: &'static OpDef, variant: Variant, args: &[Value], target: &Tensor) -> Result<()> {
    let sparse = involves_sparse(args);
    if !sparse && (variant == Variant::Functional || op.writes_out) {
        return run(op, args, Out::Inplace(target)).map(|_| ());
    }
    let out = if sparse { Out::Inplace(target) } else { Out::New };
    let result = single(op, &run(op, args, out)?)?;
    if result.same(target) {
        return Ok(());
    }
    check_castable(result.dtype(), target)?;
    check_inplace_shape(&result.sizes(), target)?;
    if sparse { crate::sparse::store(target, &result) } else { crate::copy::copy_into(target, &result) }
}

fn single(op: &OpDef, outputs: &Outputs) -> Result<Tensor> {
    match outputs.as_slice() {
        [Value::Tensor(t)] => Ok(t.clone()),
        _ => bail!("{}: expected one tensor to write in place", op.name),
    }
}

/// Whether a result of dtype `from` may be written to `target`, in PyTorch's words.
pub(crate) fn check_castable(from: DType, target: &Tensor) -> Result<()> {
    if !crate::promotion::can_cast(from, target.dtype()) {
        bail!(
            "result type {} can't be cast to the desired output type {}",
            from.scalar_type(),
            target.dtype().scalar_type()
        );
    }
    Ok(())
}

/// The parts of a composite are recorded, and so is the copy to the given tensors.
fn composite_into(op: &'static OpDef, args: &[Value], outs: &[Tensor]) -> Result<Outputs> {
    let results = run(op, args, Out::New)?;
    for (result, out) in autograd::flat_tensors(&results).iter().zip(outs) {
        check_castable(result.dtype(), out)?;
        crate::copy::resize_output(out, &result.sizes())?;
        out.copy_(result)?;
    }
    Ok(outs.iter().cloned().map(Value::Tensor).collect())
}

/// Whether a result of those sizes may replace the elements of `target`, in PyTorch's words.
pub(crate) fn check_inplace_shape(sizes: &[i64], target: &Tensor) -> Result<()> {
    if target.sizes().as_slice() != sizes {
        bail!(
            "output with shape {:?} doesn't match the broadcast shape {sizes:?}",
            target.sizes().as_slice()
        );
    }
    Ok(())
}

fn into(op: &'static OpDef, args: &[Value], outs: &[Tensor]) -> Result<Outputs> {
    if matches!(op.autograd, Autograd::Composite) && !op.writes_out {
        return composite_into(op, args, outs);
    }
    let mut any = outs.iter().any(Tensor::requires_grad);
    args.iter().for_each(|v| v.for_each_tensor(|t| any |= t.requires_grad()));
    if autograd::records(any) {
        bail!(
            "{}(): functions with out=... arguments don't support automatic differentiation, but one of the arguments requires grad.",
            op.name
        );
    }
    let sparse = involves_sparse(args) || outs.iter().any(Tensor::is_sparse);
    if op.writes_out && !sparse {
        below(|| run(op, args, Out::Into(outs)))?;
    } else {
        let results = below(|| run(op, args, Out::New))?;
        for (i, (result, out)) in autograd::flat_tensors(&results).iter().zip(outs).enumerate() {
            if i > 0 && result.dtype() == DType::I64 {
                // Positions, which no cast may spoil.
                crate::ops::raw::check_out_dtype(out, DType::I64)?;
            }
            check_castable(result.dtype(), out)?;
            match sparse {
                true => crate::sparse::store(out, result)?,
                false => {
                    crate::copy::resize_output(out, &result.sizes())?;
                    crate::copy::copy_into(out, result)?;
                }
            }
        }
    }
    outs.iter().for_each(Tensor::bump_version);
    Ok(outs.iter().cloned().map(Value::Tensor).collect())
}
