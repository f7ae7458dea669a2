//! [`Hooked`]: functions called around the `forward`, the `backward` and the `state_dict` of a module.

mod gate;

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use cresset_core::{Result, Tensor};

use super::{Forward, IncompatibleKeys, Module, StateDict, Tensors, Visitor, copying};
use gate::Gate;

type PreHook<M> = Arc<dyn Fn(&M, &[Tensor]) -> Result<Option<Vec<Tensor>>> + Send + Sync>;
type Hook<M> = Arc<dyn Fn(&M, &[Tensor], &[Tensor]) -> Result<Option<Vec<Tensor>>> + Send + Sync>;
type BackwardPreHook<M> =
    Arc<dyn Fn(&M, &[Option<Tensor>]) -> Result<Option<Vec<Option<Tensor>>>> + Send + Sync>;
type BackwardHook<M> = Arc<
    dyn Fn(&M, &[Option<Tensor>], &[Option<Tensor>]) -> Result<Option<Vec<Option<Tensor>>>> + Send + Sync,
>;

type StatePreHook<M> = Arc<dyn Fn(&M, &str) + Send + Sync>;

/// Changes the entries of a `state_dict`; the second argument stands before the module's names.
pub type StateHook = Arc<dyn Fn(&mut StateDict, &str) + Send + Sync>;
/// Changes what loading a `state_dict` reports.
pub type LoadHook = Arc<dyn Fn(&mut IncompatibleKeys) + Send + Sync>;

/// Hooks of one kind, in the order of registration.
struct Hooks<H>(Arc<Mutex<Vec<(u64, H)>>>);

impl<H: Clone + Send + 'static> Hooks<H> {
    fn add(&self, hook: H) -> RemovableHandle {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((id, hook));
        let hooks = self.0.clone();
        RemovableHandle(Box::new(move || {
            hooks.lock().unwrap_or_else(PoisonError::into_inner).retain(|(i, _)| *i != id);
        }))
    }
}

impl<H: Clone> Hooks<H> {
    /// Those of now: a hook may register and remove others.
    fn list(&self) -> Vec<H> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().map(|(_, hook)| hook.clone()).collect()
    }
}

impl<H> Default for Hooks<H> {
    fn default() -> Self {
        Hooks(Arc::default())
    }
}

impl<H: Clone> Clone for Hooks<H> {
    /// The same hooks; in a deep copy, ones that are added and removed apart.
    fn clone(&self) -> Self {
        if !copying::is_deep() {
            return Hooks(self.0.clone());
        }
        let hooks = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Hooks(Arc::new(Mutex::new(hooks)))
    }
}

/// Removes a hook on request, as `torch.utils.hooks.RemovableHandle`; dropping it leaves the hook where it is.
pub struct RemovableHandle(Box<dyn Fn() + Send + Sync>);

impl RemovableHandle {
    /// Removes the hook.
    pub fn remove(&self) {
        (self.0)();
    }
}

/// A module with hooks. Names, state and printed form are those of the module inside; its clones share the hooks.
///
/// What PyTorch registers on any module, Rust puts around the one that is observed, so that layers without hooks pay
/// nothing. A module from one tensor to one tensor is called by `forward`, any other by [`Hooked::call`], with its
/// arguments in any arrangement of [`Tensors`]:
///
/// ```
/// # use cresset_nn::{Hooked, LSTM};
/// # use cresset_core::{ops, Result};
/// # fn main() -> Result<()> {
/// let lstm = Hooked::new(LSTM::new(3, 5)?);
/// lstm.register_forward_hook(|_, args, output| {
///     assert_eq!((args.len(), output.len()), (1, 3)); // the input without states; output, h and c
///     Ok(None)
/// });
/// let (y, (_h, _c)) = lstm.call((ops::randn([4, 2, 3])?,), |lstm, (x,)| lstm.forward(&x, None))?;
/// assert_eq!(&y.sizes()[..], [4, 2, 5]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Hooked<M> {
    /// The module inside.
    pub module: M,
    forward_pre: Hooks<PreHook<M>>,
    forward: Hooks<Hook<M>>,
    backward_pre: Hooks<BackwardPreHook<M>>,
    backward: Hooks<BackwardHook<M>>,
    state_pre: Hooks<StatePreHook<M>>,
    state: Hooks<StateHook>,
    load_pre: Hooks<StateHook>,
    load: Hooks<LoadHook>,
}

impl<M: 'static> Hooked<M> {
    /// Without hooks.
    pub fn new(module: M) -> Hooked<M> {
        Hooked {
            module,
            forward_pre: Hooks::default(),
            forward: Hooks::default(),
            backward_pre: Hooks::default(),
            backward: Hooks::default(),
            state_pre: Hooks::default(),
            state: Hooks::default(),
            load_pre: Hooks::default(),
            load: Hooks::default(),
        }
    }

    /// Calls `hook(module, args)` before each call; what it returns replaces the arguments.
    pub fn register_forward_pre_hook(
        &self,
        hook: impl Fn(&M, &[Tensor]) -> Result<Option<Vec<Tensor>>> + Send + Sync + 'static,
    ) -> RemovableHandle {
        self.forward_pre.add(Arc::new(hook))
    }

    /// Calls `hook(module, args, output)` after each call; what it returns replaces the output.
    pub fn register_forward_hook(
        &self,
        hook: impl Fn(&M, &[Tensor], &[Tensor]) -> Result<Option<Vec<Tensor>>> + Send + Sync + 'static,
    ) -> RemovableHandle {
        self.forward.add(Arc::new(hook))
    }

    /// Calls `hook(module, grad_output)` in backward, before the module's gradients are computed; what it returns replaces
    /// the gradients of the output.
    pub fn register_full_backward_pre_hook(
        &self,
        hook: impl Fn(&M, &[Option<Tensor>]) -> Result<Option<Vec<Option<Tensor>>>> + Send + Sync + 'static,
    ) -> RemovableHandle {
        self.backward_pre.add(Arc::new(hook))
    }

    /// Calls `hook(module, grad_input, grad_output)` in backward, with nothing in the place of arguments that need no
    /// gradient; what it returns replaces the gradients of the arguments.
    pub fn register_full_backward_hook(
        &self,
        hook: impl Fn(&M, &[Option<Tensor>], &[Option<Tensor>]) -> Result<Option<Vec<Option<Tensor>>>>
        + Send
        + Sync
        + 'static,
    ) -> RemovableHandle {
        self.backward.add(Arc::new(hook))
    }

    /// Calls `hook` with the module and what stands before its names, before each `state_dict` is taken.
    pub fn register_state_dict_pre_hook(
        &self,
        hook: impl Fn(&M, &str) + Send + Sync + 'static,
    ) -> RemovableHandle {
        self.state_pre.add(Arc::new(hook))
    }

    /// Calls `hook` with each `state_dict` that holds this module's entries, and what stands before their names.
    pub fn register_state_dict_post_hook(
        &self,
        hook: impl Fn(&mut StateDict, &str) + Send + Sync + 'static,
    ) -> RemovableHandle {
        self.state.add(Arc::new(hook))
    }

    /// Calls `hook` with a copy of each state before it is loaded, and what stands before this module's names.
    pub fn register_load_state_dict_pre_hook(
        &self,
        hook: impl Fn(&mut StateDict, &str) + Send + Sync + 'static,
    ) -> RemovableHandle {
        self.load_pre.add(Arc::new(hook))
    }

    /// Calls `hook` with the keys that a state lacks or has too many, before they are complained about.
    pub fn register_load_state_dict_post_hook(
        &self,
        hook: impl Fn(&mut IncompatibleKeys) + Send + Sync + 'static,
    ) -> RemovableHandle {
        self.load.add(Arc::new(hook))
    }
}

impl<M: Module> Module for Hooked<M> {
    fn visit<'a>(&'a self, visitor: &mut Visitor<'a>) {
        self.module.visit(visitor);
        for hook in self.state_pre.list() {
            visitor.state_pre_hooks.push(Box::new(move |prefix| hook(&self.module, prefix)));
        }
        visitor.state_hooks.extend(self.state.list());
        visitor.load_pre_hooks.extend(self.load_pre.list());
        visitor.load_hooks.extend(self.load.list());
    }

    fn name(&self) -> String {
        self.module.name()
    }

    fn own_parameter(&mut self, name: &str) -> Option<&mut super::Parameter> {
        self.module.own_parameter(name)
    }

    fn extra_repr(&self) -> String {
        self.module.extra_repr()
    }

    fn is_list(&self) -> bool {
        self.module.is_list()
    }
}

impl<M: Module + Clone + 'static> Hooked<M> {
    /// Calls the module by `forward`, with the hooks around it; settings that are no tensors are captured by `forward`.
    ///
    /// # Errors
    /// Those of the module and of the hooks, and `Type` when a hook returns another number of tensors.
    pub fn call<A: Tensors, R: Tensors>(
        &self,
        args: A,
        forward: impl FnOnce(&M, A) -> Result<R>,
    ) -> Result<R> {
        let mut args = args;
        for hook in self.forward_pre.list() {
            if let Some(new) = hook(&self.module, &args.tensors())? {
                args = args.with_tensors(new)?;
            }
        }
        let seen = args.tensors();
        let gate = Gate::new(&self.module, self.backward_pre.list(), self.backward.list());
        let args = match &gate {
            Some(gate) => args.with_tensors(gate.enter(&seen)?)?,
            None => args,
        };
        let mut output = forward(&self.module, args)?;
        for hook in self.forward.list() {
            if let Some(new) = hook(&self.module, &seen, &output.tensors())? {
                output = output.with_tensors(new)?;
            }
        }
        match gate {
            Some(gate) => {
                let left = gate.leave(&output.tensors())?;
                output.with_tensors(left)
            }
            None => Ok(output),
        }
    }
}

impl<M: Module + Forward + Clone + 'static> Forward for Hooked<M> {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        self.call(input.clone(), |module, input| module.forward(&input))
    }
}

impl<M: fmt::Debug> fmt::Debug for Hooked<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.module.fmt(f)
    }
}
