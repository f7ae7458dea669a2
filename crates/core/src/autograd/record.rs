//! Recording a call of a declared operator: what its formulas need is saved, and a [`Node`] is put behind its outputs.

use std::cell::OnceCell;
use std::sync::{Arc, Mutex, PoisonError};

use smallvec::SmallVec;

use super::Edge;
use super::node::{Backward, GRAPH_FREED, Gradients, Node};
use crate::layout::Layout;
use crate::op::{Autograd, Formula, Grad, Needs, OpDef, Variant};
use crate::value::{Args, FromValue, Outputs, Value};
use crate::{DType, Device, Result, Tensor, bail};

/// A tensor without its bytes: sizes, strides, dtype and device.
#[derive(Clone, Debug, PartialEq)]
pub struct Meta {
    /// Where the elements lay.
    pub layout: Layout,
    /// The dtype.
    pub dtype: DType,
    /// The device.
    pub device: Device,
}

impl Meta {
    /// That of `t`.
    pub fn of(t: &Tensor) -> Meta {
        Meta { layout: t.layout(), dtype: t.dtype(), device: t.device() }
    }

    /// The length of each dimension.
    pub fn sizes(&self) -> &[i64] {
        &self.layout.sizes
    }

    /// The step of each dimension.
    pub fn strides(&self) -> &[i64] {
        &self.layout.strides
    }

    /// The number of dimensions.
    pub fn dim(&self) -> usize {
        self.layout.dim()
    }

    /// The number of elements.
    pub fn numel(&self) -> usize {
        self.layout.numel()
    }

    /// The dtype.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Zeros of that shape and dtype.
    ///
    /// # Errors
    /// `OutOfMemory` when the system refuses.
    pub fn zeros(&self) -> Result<Tensor> {
        crate::copy::zeros(self.sizes(), self.dtype, self.device)
    }
}

#[derive(Debug)]
enum ArgMeta {
    None,
    One(Meta),
    List(Vec<Meta>),
}

impl ArgMeta {
    fn of(v: &Value) -> ArgMeta {
        match v {
            Value::Tensor(t) => ArgMeta::One(Meta::of(t)),
            Value::Tensors(list) => ArgMeta::List(list.iter().map(Meta::of).collect()),
            _ => ArgMeta::None,
        }
    }
}

/// A tensor kept for backward: remembers the version, and drops the history of an output to avoid a cycle.
struct SavedTensor {
    tensor: Tensor,
    version: u64,
    output: Option<usize>,
}

impl SavedTensor {
    fn input(t: &Tensor) -> SavedTensor {
        SavedTensor { tensor: t.clone(), version: t.version(), output: None }
    }

    fn output(t: &Tensor, index: usize) -> SavedTensor {
        SavedTensor { tensor: t.detach(), version: t.version(), output: Some(index) }
    }

    fn unpack(&self, node: &Arc<Node>) -> Result<Tensor> {
        let current = self.tensor.version();
        if current != self.version && !self.tensor.is_inference() {
            return Err(self.stale(current, node));
        }
        match self.output {
            None => Ok(self.tensor.clone()),
            Some(index) => {
                let t = self.tensor.detach();
                t.set_history(node.clone(), index);
                Ok(t)
            }
        }
    }

    #[cold]
    fn stale(&self, current: u64, node: &Arc<Node>) -> crate::Error {
        let t = &self.tensor;
        let mut message = format!(
            "one of the variables needed for gradient computation has been modified by an inplace operation: [torch.{} {:?}]",
            tensor_type(t.dtype()),
            t.sizes().as_slice()
        );
        match self.output {
            Some(i) => message += &format!(", which is output {i} of {},", node.name()),
            None if t.grad_fn().is_some() => {
                let edge = super::inplace::history(t);
                let (name, index) = edge.map_or((String::new(), 0), |e| (e.node.name(), e.index));
                message += &format!(", which is output {index} of {name},");
            }
            None => {}
        }
        message += &format!(" is at version {current}; expected version {} instead.", self.version);
        message += if crate::modes::is_anomaly_enabled() {
            " Hint: the backtrace further above shows the operation that failed to compute its gradient. The variable in question was changed in there or anywhere later. Good luck!"
        } else {
            " Hint: enable anomaly detection to find the operation that failed to compute its gradient, with torch.autograd.set_detect_anomaly(True)."
        };
        crate::Error::runtime(message)
    }
}

fn tensor_type(dtype: DType) -> String {
    format!("{}Tensor", dtype.scalar_type())
}

enum Saved {
    Plain(Value),
    Tensor(SavedTensor),
    List(Vec<SavedTensor>),
    OptList(Vec<Option<SavedTensor>>),
}

impl Saved {
    fn of(v: &Value, full: bool) -> Saved {
        match v {
            Value::Tensor(_) | Value::Tensors(_) | Value::OptTensors(_) if !full => Saved::Plain(Value::None),
            Value::Tensor(t) => Saved::Tensor(SavedTensor::input(t)),
            Value::Tensors(l) => Saved::List(l.iter().map(SavedTensor::input).collect()),
            Value::OptTensors(l) => {
                Saved::OptList(l.iter().map(|t| t.as_ref().map(SavedTensor::input)).collect())
            }
            other => Saved::Plain(other.clone()),
        }
    }

    fn unpack(&self, node: &Arc<Node>) -> Result<Value> {
        Ok(match self {
            Saved::Plain(v) => v.clone(),
            Saved::Tensor(t) => Value::Tensor(t.unpack(node)?),
            Saved::List(list) => Value::Tensors(list.iter().map(|t| t.unpack(node)).collect::<Result<_>>()?),
            Saved::OptList(list) => {
                let unpack = |t: &Option<SavedTensor>| t.as_ref().map(|t| t.unpack(node)).transpose();
                Value::OptTensors(list.iter().map(unpack).collect::<Result<_>>()?)
            }
        })
    }
}

struct SavedCall {
    args: SmallVec<[Saved; 4]>,
    outs: SmallVec<[Option<SavedTensor>; 2]>,
}

/// A gradient slot of the node: argument position and, in a list argument, the element.
#[derive(Clone, Copy)]
struct Slot {
    arg: usize,
    element: Option<usize>,
}

struct OpNode {
    op: &'static OpDef,
    formulas: &'static [Formula],
    slots: SmallVec<[Slot; 2]>,
    metas: SmallVec<[ArgMeta; 4]>,
    saved: Mutex<Option<SavedCall>>,
}

/// Puts a node behind the outputs of a call. `args` are those of the call; of an in-place call, `self` as it was.
pub(crate) fn record(
    op: &'static OpDef,
    variant: Variant,
    formulas: &'static [Formula],
    args: &[Value],
    original_self: Option<&Tensor>,
    outputs: &Outputs,
) -> Option<Arc<Node>> {
    let (slots, edges) = collect_edges(formulas, args);
    if edges.iter().all(Option::is_none) {
        return None;
    }
    let active = |f: &&Formula| {
        f.wrt.iter().any(|w| slots.iter().zip(&edges).any(|(s, e)| s.arg == *w && e.is_some()))
    };
    let mut save_args: SmallVec<[bool; 8]> = SmallVec::from_elem(false, args.len());
    let mut save_outs = 0_u64;
    for f in formulas.iter().filter(active) {
        f.saves.iter().for_each(|i| save_args[*i] = true);
        f.saves_outputs.iter().for_each(|i| save_outs |= 1 << i);
    }
    let saved_args = args.iter().enumerate().map(|(i, v)| match original_self {
        Some(t) if i == 0 && save_args[0] => Saved::Tensor(SavedTensor::input(t)),
        _ => Saved::of(v, save_args[i]),
    });
    let tensors: SmallVec<[Tensor; 2]> = flat_tensors(outputs);
    let outs = tensors
        .iter()
        .enumerate()
        .map(|(i, t)| (save_outs >> i.min(63) & 1 == 1).then(|| SavedTensor::output(t, i)));
    let saved = SavedCall { args: saved_args.collect(), outs: outs.collect() };
    let mut metas: SmallVec<[ArgMeta; 4]> = args.iter().map(ArgMeta::of).collect();
    if let Some(t) = original_self {
        metas[0] = ArgMeta::One(Meta::of(t));
    }
    let out_metas = tensors.iter().map(Meta::of).collect();
    let node = OpNode { op, formulas, slots, metas, saved: Mutex::new(Some(saved)) };
    let node = Node::new(Box::new(node), edges, out_metas);
    if variant == Variant::Functional && !op.schema().arguments.first().is_some_and(|a| a.is_written()) {
        let reads = formulas.iter().fold(0, |mask, f| mask | f.reads);
        for (i, t) in tensors.iter().enumerate() {
            if t.dtype().is_differentiable() && reads >> i.min(63) & 1 == 1 {
                t.set_history(node.clone(), i);
            }
        }
    }
    Some(node)
}

pub(crate) fn flat_tensors(outputs: &Outputs) -> SmallVec<[Tensor; 2]> {
    let mut flat = SmallVec::new();
    outputs.iter().for_each(|v| v.for_each_tensor(|t| flat.push(t.clone())));
    flat
}

fn collect_edges(formulas: &[Formula], args: &[Value]) -> (SmallVec<[Slot; 2]>, SmallVec<[Option<Edge>; 2]>) {
    let mut slots = SmallVec::new();
    let mut edges = SmallVec::new();
    let mut wrt: SmallVec<[usize; 4]> = formulas.iter().flat_map(|f| f.wrt.iter().copied()).collect();
    wrt.sort_unstable();
    for arg in wrt {
        match &args[arg] {
            Value::Tensor(t) => {
                slots.push(Slot { arg, element: None });
                edges.push(t.gradient_edge());
            }
            Value::Tensors(list) => {
                for (i, t) in list.iter().enumerate() {
                    slots.push(Slot { arg, element: Some(i) });
                    edges.push(t.gradient_edge());
                }
            }
            _ => {}
        }
    }
    (slots, edges)
}

impl OpNode {
    fn meta(&self, slot: Slot) -> Option<&Meta> {
        match (&self.metas[slot.arg], slot.element) {
            (ArgMeta::One(m), None) => Some(m),
            (ArgMeta::List(l), Some(i)) => l.get(i),
            _ => None,
        }
    }

    fn unpack(&self, node: &Arc<Node>) -> Result<(Args, Gradients)> {
        let guard = self.saved.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(saved) = guard.as_ref() else {
            bail!("{GRAPH_FREED}");
        };
        let args = saved.args.iter().map(|s| s.unpack(node)).collect::<Result<_>>()?;
        let outs = saved
            .outs
            .iter()
            .map(|s| s.as_ref().map(|s| s.unpack(node)).transpose())
            .collect::<Result<_>>()?;
        Ok((args, outs))
    }
}

impl Backward for OpNode {
    fn name(&self) -> String {
        backward_name(self.op)
    }

    fn apply(&self, node: &Arc<Node>, grads: &[Option<Tensor>], needs: &[bool]) -> Result<Gradients> {
        let mut result: Gradients = SmallVec::from_elem(None, self.slots.len());
        if grads.iter().all(Option::is_none) {
            return Ok(result);
        }
        let (args, outs) = self.unpack(node)?;
        for formula in self.formulas {
            let needed = |w: &usize| self.slots.iter().zip(needs).any(|(s, n)| s.arg == *w && *n);
            let wanted: SmallVec<[bool; 4]> = formula.wrt.iter().map(needed).collect();
            if !wanted.contains(&true) {
                continue;
            }
            let ctx = GradCtx {
                grads,
                args: &args,
                metas: &self.metas,
                outs: &outs,
                out_metas: &node.outputs,
                needs: &wanted,
                zeros: OnceCell::new(),
            };
            let computed = (formula.apply)(&ctx).map_err(|e| e.with_op(self.op.name))?;
            for (w, grad) in formula.wrt.iter().zip(computed) {
                self.distribute(*w, grad, &mut result)?;
            }
        }
        Ok(result)
    }

    fn release(&self) {
        self.saved.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl OpNode {
    /// Puts the gradient of one argument into its slots, with broadcasting and promotion undone.
    fn distribute(&self, arg: usize, grad: Grad, result: &mut Gradients) -> Result<()> {
        let list = match grad {
            Grad::None => return Ok(()),
            Grad::One(t) => vec![Some(t)],
            Grad::List(list) => list,
        };
        let slots = self.slots.iter().enumerate().filter(|(_, s)| s.arg == arg);
        for ((i, slot), g) in slots.zip(list) {
            result[i] = match (g, self.meta(*slot)) {
                (Some(g), Some(meta)) => Some(reduce_to(g, meta)?),
                (g, _) => g,
            };
        }
        Ok(())
    }
}

/// Sums a gradient over broadcast dimensions and casts it to the dtype of the argument.
pub(super) fn reduce_to(g: Tensor, meta: &Meta) -> Result<Tensor> {
    let g = if g.sizes() == meta.layout.sizes { g } else { g.sum_to_size(meta.sizes())? };
    if g.dtype() == meta.dtype {
        return Ok(g);
    }
    g.to_dtype(meta.dtype)
}

/// `mul` becomes `MulBackward0`, `native_layer_norm` becomes `NativeLayerNormBackward0`.
fn backward_name(op: &OpDef) -> String {
    let mut name = String::new();
    for part in op.name.split('_').filter(|p| !p.is_empty()) {
        let mut letters = part.chars();
        name.extend(letters.next().map(|c| c.to_ascii_uppercase()));
        name.push_str(letters.as_str());
    }
    // PyTorch numbers the overloads of a name that have formulas of their own.
    let index = crate::library::formula_index(op);
    format!("{name}Backward{index}")
}

/// What a gradient formula can ask for.
pub struct GradCtx<'a> {
    grads: &'a [Option<Tensor>],
    args: &'a [Value],
    metas: &'a [ArgMeta],
    outs: &'a [Option<Tensor>],
    out_metas: &'a [Meta],
    needs: &'a [bool],
    zeros: OnceCell<Tensor>,
}

impl<'a> GradCtx<'a> {
    /// The gradient of output 0; zeros if only other outputs have one.
    ///
    /// # Errors
    /// `OutOfMemory` when zeros are needed and cannot be had.
    pub fn g(&'a self) -> Result<&'a Tensor> {
        if let Some(Some(g)) = self.grads.first() {
            return Ok(g);
        }
        if self.zeros.get().is_none() {
            let _ = self.zeros.set(self.out_metas[0].zeros()?);
        }
        Ok(self.zeros.get().expect("set above"))
    }

    /// The gradient of output `n`.
    pub fn grad_of(&self, n: usize) -> Option<&Tensor> {
        self.grads.get(n).and_then(Option::as_ref)
    }

    /// The gradients of all outputs.
    pub fn grads(&self) -> &[Option<Tensor>] {
        self.grads
    }

    /// Which arguments of the formula need their gradient.
    pub fn needs(&self) -> Needs<'_> {
        Needs(self.needs)
    }

    /// The argument at a schema position.
    ///
    /// # Errors
    /// `Type` when it is of another kind.
    pub fn arg<T: FromArg<'a>>(&'a self, position: usize) -> Result<T> {
        T::from_arg(self, position)
    }

    /// Output `n`.
    ///
    /// # Errors
    /// `Runtime` when it was not saved.
    pub fn out<T: FromOut<'a>>(&'a self, n: usize) -> Result<T> {
        T::from_out(self, n)
    }
}

/// Reads a formula's parameter from a saved argument.
pub trait FromArg<'a>: Sized {
    /// The parameter.
    ///
    /// # Errors
    /// `Type` when the argument is of another kind.
    fn from_arg(ctx: &'a GradCtx<'a>, position: usize) -> Result<Self>;
}

impl<'a> FromArg<'a> for &'a Meta {
    fn from_arg(ctx: &'a GradCtx<'a>, i: usize) -> Result<Self> {
        match &ctx.metas[i] {
            ArgMeta::One(m) => Ok(m),
            _ => bail!(Type, "expected a Tensor argument at position {i}"),
        }
    }
}

impl<'a> FromArg<'a> for Option<&'a Meta> {
    fn from_arg(ctx: &'a GradCtx<'a>, i: usize) -> Result<Self> {
        match &ctx.metas[i] {
            ArgMeta::One(m) => Ok(Some(m)),
            _ => Ok(None),
        }
    }
}

impl<'a> FromArg<'a> for &'a [Meta] {
    fn from_arg(ctx: &'a GradCtx<'a>, i: usize) -> Result<Self> {
        match &ctx.metas[i] {
            ArgMeta::List(list) => Ok(list),
            _ => bail!(Type, "expected a list of Tensors at position {i}"),
        }
    }
}

macro_rules! from_arg {
    ($($ty:ty),* $(,)?) => {
        $(impl<'a> FromArg<'a> for $ty {
            fn from_arg(ctx: &'a GradCtx<'a>, i: usize) -> Result<Self> {
                <$ty as FromValue<'a>>::from_value(&ctx.args[i])
            }
        })*
    };
}

use crate::random::Generator;
use crate::{MemoryFormat, Scalar, StorageLayout};
from_arg! {
    &'a Tensor, Option<&'a Tensor>, &'a [Tensor], &'a [Option<Tensor>], bool, Option<bool>, i64, Option<i64>, f64,
    Option<f64>, Scalar, Option<Scalar>, &'a [i64], Option<&'a [i64]>, &'a [f64], Option<&'a [f64]>, &'a [bool],
    &'a [Scalar], &'a str, Option<&'a str>, DType, Option<DType>, StorageLayout, Option<StorageLayout>, Device,
    Option<Device>, MemoryFormat, Option<MemoryFormat>, &'a Generator, Option<&'a Generator>,
}

/// Reads a formula's parameter from a saved output.
pub trait FromOut<'a>: Sized {
    /// The parameter.
    ///
    /// # Errors
    /// `Runtime` when it was not saved.
    fn from_out(ctx: &'a GradCtx<'a>, n: usize) -> Result<Self>;
}

impl<'a> FromOut<'a> for &'a Tensor {
    fn from_out(ctx: &'a GradCtx<'a>, n: usize) -> Result<Self> {
        match ctx.outs.get(n) {
            Some(Some(t)) => Ok(t),
            _ => bail!("output {n} was not saved for backward"),
        }
    }
}

impl<'a> FromOut<'a> for &'a Meta {
    fn from_out(ctx: &'a GradCtx<'a>, n: usize) -> Result<Self> {
        match ctx.out_metas.get(n) {
            Some(m) => Ok(m),
            None => bail!("there is no output {n}"),
        }
    }
}

/// The formulas of an operator, if it has any.
pub(crate) fn formulas(op: &'static OpDef) -> Option<&'static [Formula]> {
    match &op.autograd {
        Autograd::Formulas(f) => Some(f),
        _ => None,
    }
}

/// A copy of `self` for formulas of an in-place call that read it as it was.
pub(crate) fn original_self(op: &'static OpDef, args: &[Value]) -> Result<Option<Tensor>> {
    let reads_self = formulas(op).is_some_and(|f| f.iter().any(|f| f.saves.contains(&0)));
    match &args[0] {
        // Recorded, so that second gradients flow through it.
        Value::Tensor(t) if reads_self => t.clone_tensor().map(Some),
        _ => Ok(None),
    }
}
