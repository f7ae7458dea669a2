//! Reverse-mode differentiation: the graph that calls record ([`node`]), what they save ([`record`]), the traversal
//! ([`engine`]), and what in-place writes do to history ([`inplace`]).
//!
//! Gradients are computed by ordinary operators, so with `create_graph` they are recorded like any other call and
//! differentiate again.

mod checkpoint;
mod engine;
mod function;
mod gradcheck;
mod inplace;
mod node;
mod record;

use std::sync::{Arc, Weak};

pub use checkpoint::checkpoint;
pub use engine::{GradOptions, backward, grad};
pub use function::{Context, Function, apply};
pub use gradcheck::{GradCheck, gradcheck, gradgradcheck};
pub(crate) use inplace::{check_inplace, forget_history, rebase};
pub use node::{Edge, HookHandle, Node};
pub use record::{GradCtx, Meta};
pub(crate) use record::{flat_tensors, formulas, original_self, record};

use crate::modes::is_grad_enabled;
use crate::tensor::NEEDS_GRAD;
use crate::{Result, Tensor, bail};
use node::{Accumulate, Hook};

/// The autograd state of one tensor.
#[derive(Default)]
pub(crate) struct AutogradMeta {
    /// Set by the user on a leaf.
    pub requires_grad: bool,
    pub grad: Option<Tensor>,
    pub grad_fn: Option<Edge>,
    /// The node that accumulates into `grad`, kept alive by the graphs that use it.
    pub accumulator: Weak<Node>,
    /// The version at which `grad_fn` of a view was right.
    pub view_version: u64,
    pub retains_grad: bool,
    /// Hooks of a leaf; those of other tensors are on their node.
    pub hooks: Arc<node::Hooks>,
}

impl Tensor {
    /// Whether calls on it are recorded.
    #[inline]
    pub fn requires_grad(&self) -> bool {
        self.flags() & NEEDS_GRAD != 0 || self.inherits_grad()
    }

    /// What keeps a call on this tensor from going straight to the kernel: needing gradients, and being sparse.
    #[inline]
    pub(crate) fn door_flags(&self) -> u8 {
        let flags = self.flags();
        if flags & NEEDS_GRAD == 0 && self.inherits_grad() { flags | NEEDS_GRAD } else { flags }
    }

    /// A view whose base came to require gradients by an in-place write after the view was made.
    fn inherits_grad(&self) -> bool {
        use crate::tensor::Creation;
        self.base().is_some_and(|b| b.flags() & NEEDS_GRAD != 0)
            && matches!(self.creation(), Creation::Default | Creation::MultiOutput)
            && self.dtype().is_differentiable()
    }

    /// Asks for gradients of this leaf, or no longer.
    ///
    /// # Errors
    /// `Runtime` for integer and boolean tensors, for tensors that have a history, and for inference tensors.
    pub fn set_requires_grad(&self, on: bool) -> Result<()> {
        if on && !self.dtype().is_differentiable() {
            bail!("only Tensors of floating point and complex dtype can require gradients");
        }
        if on && self.is_inference() && !crate::modes::is_inference() {
            bail!("Setting requires_grad=True on inference tensor outside InferenceMode is not allowed.");
        }
        if !self.is_leaf() {
            if on {
                return Ok(());
            }
            bail!(
                "you can only change requires_grad flags of leaf variables. If you want to use a computed variable in a subgraph that doesn't require differentiation use var_no_grad = var.detach()."
            );
        }
        self.autograd_mut().get_or_insert_default().requires_grad = on;
        self.set_needs_grad(on);
        Ok(())
    }

    /// [`Tensor::set_requires_grad`] in chaining form.
    ///
    /// # Errors
    /// As [`Tensor::set_requires_grad`].
    pub fn requires_grad_(&self, on: bool) -> Result<Tensor> {
        self.set_requires_grad(on)?;
        Ok(self.clone())
    }

    /// Whether it has no history: made by the user, or not requiring gradients.
    pub fn is_leaf(&self) -> bool {
        self.grad_fn().is_none()
    }

    /// The accumulated gradient.
    pub fn grad(&self) -> Option<Tensor> {
        self.autograd().as_ref().and_then(|m| m.grad.clone())
    }

    /// Replaces the accumulated gradient; `None` clears it.
    ///
    /// # Errors
    /// `Runtime` when shape or dtype differ from the tensor's.
    pub fn set_grad(&self, grad: Option<Tensor>) -> Result<()> {
        if let Some(g) = &grad {
            if g.dtype() != self.dtype() {
                bail!(
                    "attempting to assign a gradient with dtype '{}' to a tensor with grad_dtype '{}'. The gradient must match the tensor's grad_dtype (defaults to the tensor's dtype).",
                    g.dtype().name(),
                    self.dtype().name()
                );
            }
            if g.sizes() != self.sizes() {
                bail!(
                    "assigned grad has data of a different size (expected {:?}, got {:?})",
                    self.sizes().as_slice(),
                    g.sizes().as_slice()
                );
            }
        }
        self.autograd_mut().get_or_insert_default().grad = grad;
        Ok(())
    }

    /// The node that made this tensor, `None` for a leaf.
    pub fn grad_fn(&self) -> Option<Arc<Node>> {
        inplace::history(self).map(|e| e.node)
    }

    /// Whether the gradient of this non-leaf tensor is kept ([`Tensor::retain_grad`]).
    pub fn retains_grad(&self) -> bool {
        self.autograd().as_ref().is_some_and(|meta| meta.retains_grad)
    }

    /// Keeps the gradient of this non-leaf tensor in `grad` at the next backward pass.
    ///
    /// # Errors
    /// `Runtime` when it does not require gradients.
    pub fn retain_grad(&self) -> Result<()> {
        if !self.requires_grad() {
            bail!("can't retain_grad on Tensor that has requires_grad=False");
        }
        let Some(edge) = inplace::history(self) else { return Ok(()) };
        let mut meta = self.autograd_mut();
        let meta = meta.get_or_insert_default();
        if std::mem::replace(&mut meta.retains_grad, true) {
            return Ok(());
        }
        let weak = self.downgrade();
        edge.node.hooks().add(edge.index, move |g| {
            if let Some(t) = weak.upgrade().map(Tensor) {
                t.set_grad(Some(g.clone()))?;
            }
            Ok(None)
        });
        Ok(())
    }

    /// Calls `hook` with the gradient of this tensor at each backward pass; what it returns replaces the gradient.
    ///
    /// # Errors
    /// `Runtime` when it does not require gradients.
    pub fn register_hook(
        &self,
        hook: impl Fn(&Tensor) -> Result<Option<Tensor>> + Send + Sync + 'static,
    ) -> Result<HookHandle> {
        if !self.requires_grad() {
            bail!("cannot register a hook on a tensor that doesn't require gradient");
        }
        match inplace::history(self) {
            Some(edge) => Ok(edge.node.hooks().add(edge.index, hook)),
            None => Ok(self.leaf_hooks().add(0, hook)),
        }
    }

    fn leaf_hooks(&self) -> Arc<node::Hooks> {
        self.autograd_mut().get_or_insert_default().hooks.clone()
    }

    /// Where gradients of this tensor go: its node, or the accumulator of a leaf that requires them.
    pub(crate) fn gradient_edge(&self) -> Option<Edge> {
        if !self.requires_grad() {
            return None;
        }
        if let Some(edge) = inplace::history(self) {
            return Some(edge);
        }
        let mut meta = self.autograd_mut();
        let meta = meta.get_or_insert_default();
        if let Some(node) = meta.accumulator.upgrade() {
            return Some(Edge { node, index: 0 });
        }
        let node = Node::accumulate(Accumulate::new(self), meta.hooks.clone());
        meta.accumulator = Arc::downgrade(&node);
        Some(Edge { node, index: 0 })
    }

    /// Makes the tensor the output `index` of `node`.
    pub(crate) fn set_history(&self, node: Arc<Node>, index: usize) {
        let version = self.version();
        let mut meta = self.autograd_mut();
        let meta = meta.get_or_insert_default();
        meta.grad_fn = Some(Edge { node, index });
        meta.requires_grad = false;
        meta.view_version = version;
        self.set_needs_grad(true);
    }

    /// An alias without history that shares the version counter, as `torch.Tensor.detach`.
    pub fn detach(&self) -> Tensor {
        self.alias_detached(false)
    }

    /// Forgets the history of this tensor in place.
    ///
    /// # Errors
    /// `Runtime` for a view.
    pub fn detach_(&self) -> Result<Tensor> {
        if self.base().is_some() {
            bail!(
                "Can't detach views in-place. Use detach() instead. If you are using DistributedDataParallel (DDP) for training, and gradient_as_bucket_view is set as True, gradients are views of DDP buckets, and hence detach_() cannot be called on these gradients. To fix this error, please refer to the Optimizer.zero_grad() function in torch/optim/optimizer.py as a solution."
            );
        }
        *self.autograd_mut() = None;
        self.set_needs_grad(false);
        Ok(self.clone())
    }

    /// An alias without history and with a version counter of its own, as `torch.Tensor.data`.
    pub fn data(&self) -> Tensor {
        self.alias_detached(true)
    }

    /// Accumulates the gradients of this one-element tensor into the leaves that it depends on.
    ///
    /// # Errors
    /// `Runtime` when it has more elements or does not require gradients, and whatever a gradient formula reports.
    pub fn backward(&self) -> Result<()> {
        backward(std::slice::from_ref(self), &[None], false, false)
    }

    /// [`Tensor::backward`] with the gradient of this tensor given.
    ///
    /// # Errors
    /// As [`Tensor::backward`], and `Runtime` when the shapes differ.
    pub fn backward_with(&self, gradient: &Tensor) -> Result<()> {
        backward(std::slice::from_ref(self), &[Some(gradient.clone())], false, false)
    }
}

/// Whether a call on tensors that do or do not need gradients is recorded.
pub(crate) fn records(needs_grad: bool) -> bool {
    needs_grad && is_grad_enabled()
}

/// Runs `f` below autograd: what it calls is not recorded.
pub(crate) fn below<T>(f: impl FnOnce() -> T) -> T {
    let _guard = crate::modes::below_autograd();
    f()
}

type BoxedHook = Box<Hook>;
