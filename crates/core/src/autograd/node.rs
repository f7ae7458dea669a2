//! The graph: [`Node`]s with edges to the nodes that made their inputs.

use std::cell::RefCell;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use smallvec::SmallVec;

use super::BoxedHook;
use super::record::Meta;
use crate::tensor::TensorImpl;
use crate::{Result, Tensor};

/// Gradients, one per input or output; `None` where none flows.
pub(crate) type Gradients = SmallVec<[Option<Tensor>; 2]>;

/// What a second pass through a freed graph is told.
pub(crate) const GRAPH_FREED: &str = "Trying to backward through the graph a second time (or directly access saved tensors after they have already been freed). Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). Specify retain_graph=True if you need to backward through the graph a second time or if you need to access saved tensors after calling backward.";

/// What a node does with the gradients of its outputs.
pub(crate) trait Backward: Send + Sync {
    /// The name, such as `MulBackward0`.
    fn name(&self) -> String;

    /// Gradients of the inputs from those of the outputs; `needs` says which will be used.
    fn apply(&self, node: &Arc<Node>, grads: &[Option<Tensor>], needs: &[bool]) -> Result<Gradients>;

    /// Frees what was saved; applying again is an error from now on.
    fn release(&self) {}
}

/// One recorded call.
pub struct Node {
    pub(crate) sequence: u64,
    pub(crate) backward: Box<dyn Backward>,
    pub(crate) edges: SmallVec<[Option<Edge>; 2]>,
    pub(crate) outputs: SmallVec<[Meta; 1]>,
    hooks: Arc<Hooks>,
    /// Where the forward call was made, kept in anomaly mode.
    pub(crate) forward_trace: Option<String>,
}

/// Output `index` of a node.
#[derive(Clone)]
pub struct Edge {
    /// The node.
    pub node: Arc<Node>,
    /// Which of its outputs.
    pub index: usize,
}

static SEQUENCE: AtomicU64 = AtomicU64::new(0);

impl Node {
    pub(crate) fn new(
        backward: Box<dyn Backward>,
        edges: SmallVec<[Option<Edge>; 2]>,
        outputs: SmallVec<[Meta; 1]>,
    ) -> Arc<Node> {
        let sequence = SEQUENCE.fetch_add(1, Ordering::Relaxed);
        let forward_trace = crate::modes::is_anomaly_enabled()
            .then(|| std::backtrace::Backtrace::force_capture().to_string());
        Arc::new(Node { sequence, backward, edges, outputs, hooks: Arc::default(), forward_trace })
    }

    /// The accumulator of a leaf runs before all other nodes that are ready.
    pub(crate) fn accumulate(backward: Accumulate, hooks: Arc<Hooks>) -> Arc<Node> {
        let outputs = smallvec::smallvec![backward.meta.clone()];
        let backward = Box::new(backward);
        Arc::new(Node {
            sequence: u64::MAX,
            backward,
            edges: SmallVec::new(),
            outputs,
            hooks,
            forward_trace: None,
        })
    }

    /// The name, such as `MulBackward0`.
    pub fn name(&self) -> String {
        self.backward.name()
    }

    /// The nodes that its gradients go to, with the output that they belong to.
    pub fn next_functions(&self) -> Vec<Option<Edge>> {
        self.edges.to_vec()
    }

    /// The hooks on the gradients of its outputs.
    pub(crate) fn hooks(&self) -> &Arc<Hooks> {
        &self.hooks
    }

    /// Calls `hook` with the gradient of output 0 before each run; what it returns replaces the gradient.
    pub fn register_prehook(
        &self,
        hook: impl Fn(&Tensor) -> Result<Option<Tensor>> + Send + Sync + 'static,
    ) -> HookHandle {
        self.hooks.add(0, hook)
    }
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}>", self.name())
    }
}

impl fmt::Debug for Edge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({:?}, {})", self.node, self.index)
    }
}

thread_local! {
    /// What dropped nodes held. A node hands over its parts instead of dropping them, so that a long chain is taken
    /// down in a loop and not by recursion.
    static REMAINS: RefCell<Option<Vec<Remains>>> = const { RefCell::new(None) };
}

type Remains = (Box<dyn Backward>, SmallVec<[Option<Edge>; 2]>);

impl Drop for Node {
    fn drop(&mut self) {
        let remains =
            (std::mem::replace(&mut self.backward, Box::new(Gone)), std::mem::take(&mut self.edges));
        let first = REMAINS.try_with(|cell| {
            let mut queue = cell.borrow_mut();
            match queue.as_mut() {
                Some(queue) => {
                    queue.push(remains);
                    false
                }
                None => {
                    *queue = Some(vec![remains]);
                    true
                }
            }
        });
        if !matches!(first, Ok(true)) {
            return;
        }
        while let Some(remains) = REMAINS.with_borrow_mut(|q| q.as_mut().and_then(Vec::pop)) {
            drop(remains);
        }
        REMAINS.with_borrow_mut(|q| *q = None);
    }
}

struct Gone;

impl Backward for Gone {
    fn name(&self) -> String {
        String::new()
    }
    fn apply(&self, _: &Arc<Node>, _: &[Option<Tensor>], _: &[bool]) -> Result<Gradients> {
        Ok(Gradients::new())
    }
}

/// A function of a gradient that may replace it.
pub(crate) type Hook = dyn Fn(&Tensor) -> Result<Option<Tensor>> + Send + Sync;

/// Hooks on gradients, by output, in the order of registration.
#[derive(Default)]
pub(crate) struct Hooks(Mutex<Vec<(u64, usize, Arc<BoxedHook>)>>);

/// Removes a hook on request.
pub struct HookHandle {
    hooks: Weak<Hooks>,
    id: u64,
}

impl HookHandle {
    /// Removes the hook.
    pub fn remove(&self) {
        if let Some(hooks) = self.hooks.upgrade() {
            hooks.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|(id, ..)| *id != self.id);
        }
    }
}

impl Hooks {
    pub(crate) fn add(
        self: &Arc<Self>,
        index: usize,
        hook: impl Fn(&Tensor) -> Result<Option<Tensor>> + Send + Sync + 'static,
    ) -> HookHandle {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let entry = (id, index, Arc::new(Box::new(hook) as BoxedHook));
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
        HookHandle { hooks: Arc::downgrade(self), id }
    }

    /// Runs the hooks on the gradients of a node's outputs.
    pub(crate) fn run(&self, grads: &mut [Option<Tensor>]) -> Result<()> {
        let hooks = {
            let guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if guard.is_empty() {
                return Ok(());
            }
            guard.clone()
        };
        for (_, index, hook) in &hooks {
            if let Some(Some(g)) = grads.get(*index)
                && let Some(replaced) = hook(g)?
            {
                grads[*index] = Some(replaced);
            }
        }
        Ok(())
    }
}

/// Adds what arrives to the `grad` of a leaf.
pub(crate) struct Accumulate {
    leaf: Weak<TensorImpl>,
    pub(super) meta: Meta,
}

impl Accumulate {
    pub(super) fn new(leaf: &Tensor) -> Accumulate {
        Accumulate { leaf: leaf.downgrade(), meta: Meta::of(leaf) }
    }
}

impl Backward for Accumulate {
    fn name(&self) -> String {
        "AccumulateGrad".into()
    }

    fn apply(&self, _: &Arc<Node>, grads: &[Option<Tensor>], _: &[bool]) -> Result<Gradients> {
        let (Some(leaf), Some(Some(g))) = (self.leaf.upgrade().map(Tensor), grads.first()) else {
            return Ok(Gradients::new());
        };
        let sum = match leaf.grad() {
            Some(old) if crate::modes::is_grad_enabled() || old.is_sparse() => {
                super::engine::sum_of(&old, g)?
            }
            Some(old) => old.add_(g)?,
            // The gradient is kept as it is if nobody else holds it, else copied: users write to `.grad`.
            None if crate::modes::is_grad_enabled() => g.clone(),
            None => super::engine::owned(g)?,
        };
        leaf.autograd_mut().get_or_insert_default().grad = Some(sum);
        Ok(Gradients::new())
    }
}
