//! Custom functions: a forward and a backward written by the user, as `torch.autograd.Function`.

use std::sync::{Arc, Mutex, PoisonError};

use super::node::{Backward, GRAPH_FREED, Gradients, Node};
use super::record::Meta;
use super::{below, records};
use crate::tensor::Creation;
use crate::{Result, Tensor, bail};

/// A function with a gradient of its own.
///
/// `forward` runs below autograd; `backward` is recorded when the backward pass is, so it differentiates again if it
/// is written in operators.
pub trait Function: Send + Sync + 'static {
    /// The name, shown as `<name>Backward`.
    fn name(&self) -> &str;

    /// The outputs; what `backward` needs is put into `ctx`.
    ///
    /// # Errors
    /// The function's own.
    fn forward(&self, ctx: &mut Context, inputs: &[Tensor]) -> Result<Vec<Tensor>>;

    /// One gradient per input from one per output.
    ///
    /// # Errors
    /// The function's own.
    fn backward(&self, ctx: &Context, grads: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>>;
}

/// What a custom function keeps from forward to backward.
#[derive(Default)]
pub struct Context {
    saved: Vec<(Tensor, u64)>,
    needs: Vec<bool>,
}

impl Context {
    /// Keeps inputs or intermediate tensors for backward; a later in-place write to one is an error there.
    pub fn save_for_backward(&mut self, tensors: &[Tensor]) {
        self.saved = tensors.iter().map(|t| (t.clone(), t.version())).collect();
    }

    /// The saved tensors.
    ///
    /// # Errors
    /// `Runtime` when one was modified in place since.
    pub fn saved_tensors(&self) -> Result<Vec<Tensor>> {
        for (t, version) in &self.saved {
            if t.version() != *version {
                bail!(
                    "one of the variables needed for gradient computation has been modified by an inplace operation: [{} {:?}] is at version {}; expected version {version} instead.",
                    t.dtype(),
                    t.sizes().as_slice(),
                    t.version()
                );
            }
        }
        Ok(self.saved.iter().map(|(t, _)| t.clone()).collect())
    }

    /// Whether the gradient of input `i` will be used.
    pub fn needs_input_grad(&self, i: usize) -> bool {
        self.needs.get(i).copied().unwrap_or(false)
    }
}

struct CustomNode {
    function: Arc<dyn Function>,
    context: Mutex<Option<Arc<Context>>>,
    inputs: usize,
}

impl Backward for CustomNode {
    fn name(&self) -> String {
        format!("{}Backward", self.function.name())
    }

    fn apply(&self, _: &Arc<Node>, grads: &[Option<Tensor>], _: &[bool]) -> Result<Gradients> {
        let context = self.context.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(context) = context else {
            bail!("{GRAPH_FREED}");
        };
        let result = self.function.backward(&context, grads)?;
        if result.len() != self.inputs {
            bail!(
                "function {} returned an incorrect number of gradients (expected {}, got {})",
                self.name(),
                self.inputs,
                result.len()
            );
        }
        Ok(result.into_iter().collect())
    }

    fn release(&self) {
        self.context.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// Calls a custom function.
///
/// # Errors
/// Those of its `forward`.
pub fn apply(function: impl Function, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
    let edges: smallvec::SmallVec<_> = inputs.iter().map(Tensor::gradient_edge).collect();
    let mut context = Context { saved: Vec::new(), needs: edges.iter().map(Option::is_some).collect() };
    let outputs = below(|| function.forward(&mut context, inputs))?;
    if !records(context.needs.contains(&true)) {
        return Ok(outputs);
    }
    let outputs: Vec<Tensor> = outputs
        .into_iter()
        .map(|o| if inputs.iter().any(|i| i.same(&o)) { returned(&o) } else { Ok(o) })
        .collect::<Result<_>>()?;
    let metas = outputs.iter().map(Meta::of).collect();
    let node = CustomNode {
        function: Arc::new(function),
        context: Mutex::new(Some(Arc::new(context))),
        inputs: inputs.len(),
    };
    let node = Node::new(Box::new(node), edges, metas);
    for (i, o) in outputs.iter().enumerate().filter(|(_, o)| o.dtype().is_differentiable()) {
        o.set_history(node.clone(), i);
    }
    Ok(outputs)
}

/// An input that is returned as it is, as a view of it: its own history must not be replaced, and a write to the view is
/// refused, as it would pass the function by.
fn returned(input: &Tensor) -> Result<Tensor> {
    if input.is_sparse() {
        return Ok(input.detach());
    }
    let view = input.alias_with(input.layout())?;
    view.set_creation(Creation::Custom);
    Ok(view)
}
