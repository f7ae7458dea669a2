//! [`Optimizer`]: groups of parameters with their hyper-parameters and states, for any algorithm.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};

use cresset_core::value::Value;
use cresset_core::{Result, Tensor, bail, enable_grad, ensure, no_grad, options};

use crate::display::not_capturable;
use crate::hyper::{Hyper, HyperValue};
use crate::state::{OptimizerState, State, adopted};

/// An algorithm: its hyper-parameters, and how it updates.
pub trait Update {
    /// What can be set per group.
    type Options: Hyper + Default;

    /// Whether the state of the first parameter is that of all.
    const SHARED_STATE: bool = false;

    /// Whether gradients may be sparse.
    const TAKES_SPARSE: bool = false;

    /// Settles hyper-parameters that follow from others.
    fn complete(options: &mut Self::Options) {
        let _ = options;
    }

    /// Refuses parameters of the group of that number.
    ///
    /// # Errors
    /// `Value` with PyTorch's text.
    fn check_params(params: &[Tensor], group: usize) -> Result<()> {
        let _ = (params, group);
        Ok(())
    }

    /// Makes the states of parameters before their first gradient; most algorithms do it at the first update.
    ///
    /// # Errors
    /// None for tensors that can be allocated.
    fn prepare(param: &Tensor, state: &mut State, options: &Self::Options) -> Result<()> {
        let _ = (param, state, options);
        Ok(())
    }

    /// Updates the parameters of a group that have a gradient, in place. Gradients are switched off.
    ///
    /// # Errors
    /// `Key` for states that another algorithm wrote.
    fn update(items: Vec<Item<'_>>, options: &Self::Options) -> Result<()>;

    /// Updates all groups with a closure that computes the loss and its gradients; most algorithms call it once.
    ///
    /// # Errors
    /// Those of the closure, and as [`Update::update`].
    fn step_with(
        groups: &mut [Group<Self::Options>],
        closure: &mut dyn FnMut() -> Result<Tensor>,
    ) -> Result<Tensor> {
        let loss = {
            let _guard = enable_grad();
            closure()?
        };
        groups.iter_mut().try_for_each(Group::step::<Self>)?;
        Ok(loss)
    }
}

options! {
    /// Optional settings of [`Optimizer::zero_grad_with`].
    ZeroGradOptions {
        /// Whether gradients are dropped (default), else set to zeros.
        set_to_none: bool = true,
    }
}

/// A parameter that has a gradient, with its state.
pub struct Item<'a> {
    /// The parameter.
    pub param: Tensor,
    /// Its gradient.
    pub grad: Tensor,
    /// Its state.
    pub state: &'a mut State,
}

/// Parameters with the hyper-parameters that they share.
#[derive(Clone, Debug)]
pub struct Group<O> {
    params: Vec<Tensor>,
    states: Vec<State>,
    /// What can be set.
    pub options: O,
    /// What schedules note here, such as `initial_lr`.
    notes: Vec<(String, f64)>,
}

impl<O: Hyper> Group<O> {
    /// Hyper-parameters and notes under PyTorch's names.
    pub(crate) fn entries(&self) -> Vec<(String, Value)> {
        let options = self.options.entries().into_iter().map(|(k, v)| (k.to_string(), v));
        options.chain(self.notes.iter().map(|(k, v)| (k.clone(), v.to_value()))).collect()
    }

    /// Updates the parameters that have a gradient.
    fn step<U: Update<Options = O> + ?Sized>(&mut self) -> Result<()> {
        let params = self.params.iter().zip(&mut self.states);
        let item = |(p, state)| Tensor::grad(p).map(|grad| Item { param: Tensor::clone(p), grad, state });
        let items: Vec<Item<'_>> = params.filter_map(item).collect();
        if items.is_empty() {
            return Ok(());
        }
        if self.options.flag("capturable") == Some(true) {
            bail!(Assertion, "{}", not_capturable(name_of::<U>()));
        }
        if !U::TAKES_SPARSE && items.iter().any(|item| item.grad.is_sparse()) {
            let name = name_of::<U>();
            let instead = if name.starts_with("Adam") { ", please consider SparseAdam instead" } else { "" };
            bail!("{name} does not support sparse gradients{instead}");
        }
        U::update(items, &self.options)
    }
}

impl<O> Group<O> {
    /// The parameters.
    pub fn params(&self) -> &[Tensor] {
        &self.params
    }

    /// The parameters, and the state of the first of them, if there is one.
    pub(crate) fn params_and_first_state(&mut self) -> (&[Tensor], Option<&mut State>) {
        (&self.params, self.states.first_mut())
    }
}

/// An optimizer with the algorithm `U`, such as [`SGD`](crate::SGD).
///
/// # Examples
/// ```
/// use cresset_core::{Result, tensor};
/// use cresset_optim::{AdamW, OptimizerState};
///
/// # fn main() -> Result<()> {
/// let (w, b) = (tensor![1.0].requires_grad_(true)?, tensor![0.5].requires_grad_(true)?);
/// let mut optimizer = AdamW::with([w.clone()], 0.1, |o| o.betas((0.9, 0.99)))?;
/// optimizer.add_param_group([b.clone()], |o| o.lr(0.01).weight_decay(0.0))?;
/// let loss = optimizer.step_with(|| {
///     let loss = w.mul_scalar(2)?.add(&b)?.square()?.sum()?;
///     loss.backward()?;
///     Ok(loss)
/// })?;
/// assert_eq!(loss.item()?.to_f64(), 6.25);
/// optimizer.groups_mut()[0].options.lr = 0.05;
/// // What torch.save would write, and back.
/// let file = cresset_io::PyValue::try_from(&optimizer.state_dict())?;
/// optimizer.load_state_dict(&OptimizerState::try_from(&file)?)?;
/// # Ok(())
/// # }
/// ```
pub struct Optimizer<U: Update> {
    groups: Vec<Group<U::Options>>,
    defaults: U::Options,
    /// Whether it has been stepped, once a schedule wants to know.
    stepped: Option<bool>,
    /// Tells it from the others of the process.
    id: u64,
    algorithm: PhantomData<fn() -> U>,
}

impl<U: Update> Optimizer<U> {
    /// One group of those parameters, with that learning rate and PyTorch's defaults.
    ///
    /// # Errors
    /// `Value` without parameters, for parameters that are no leaves or occur twice, and for an impossible rate.
    pub fn new<P: Into<Tensor>>(params: impl IntoIterator<Item = P>, lr: f64) -> Result<Self> {
        Self::with(params, lr, |o| o)
    }

    /// [`Optimizer::new`] with other hyper-parameters.
    ///
    /// # Errors
    /// As [`Optimizer::new`], and `Value` for impossible hyper-parameters.
    pub fn with<P: Into<Tensor>>(
        params: impl IntoIterator<Item = P>,
        lr: f64,
        options: impl FnOnce(U::Options) -> U::Options,
    ) -> Result<Self> {
        let mut optimizer = Self::without_params(lr, options)?;
        let params: Vec<Tensor> = params.into_iter().map(Into::into).collect();
        ensure!(!params.is_empty(), Value, "optimizer got an empty parameter list");
        optimizer.add_param_group(params, |o| o)?;
        Ok(optimizer)
    }

    /// The defaults of groups that [`Optimizer::add_param_group`] is to add.
    ///
    /// # Errors
    /// `Value` for impossible hyper-parameters.
    pub fn without_params(lr: f64, options: impl FnOnce(U::Options) -> U::Options) -> Result<Self> {
        let mut defaults = U::Options::default();
        defaults.set_lr(lr);
        let mut defaults = options(defaults);
        U::complete(&mut defaults);
        defaults.check()?;
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        Ok(Optimizer { groups: Vec::new(), defaults, stepped: None, id, algorithm: PhantomData })
    }

    /// Adds a group whose hyper-parameters are the optimizer's, changed by `options`.
    ///
    /// # Errors
    /// As [`Optimizer::with`]; a group may be empty.
    pub fn add_param_group<P: Into<Tensor>>(
        &mut self,
        params: impl IntoIterator<Item = P>,
        options: impl FnOnce(U::Options) -> U::Options,
    ) -> Result<()> {
        let params: Vec<Tensor> = params.into_iter().map(Into::into).collect();
        let mut options = options(self.defaults.clone());
        U::complete(&mut options);
        options.check()?;
        for (i, p) in params.iter().enumerate() {
            ensure!(p.is_leaf() || p.retains_grad(), Value, "can't optimize a non-leaf Tensor");
            let earlier = self.groups.iter().flat_map(|g| &g.params).any(|q| q.same(p));
            ensure!(
                !earlier && !params[..i].iter().any(|q| q.same(p)),
                Value,
                "some parameters appear in more than one parameter group"
            );
        }
        U::check_params(&params, self.groups.len())?;
        let mut states = vec![State::default(); params.len()];
        let _guard = no_grad();
        params.iter().zip(&mut states).try_for_each(|(p, state)| U::prepare(p, state, &options))?;
        self.groups.push(Group { params, states, options, notes: Vec::new() });
        Ok(())
    }

    /// The number of the optimizer in this process.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    /// The groups.
    pub fn groups(&self) -> &[Group<U::Options>] {
        &self.groups
    }

    /// The groups, whose hyper-parameters can be set.
    pub fn groups_mut(&mut self) -> &mut [Group<U::Options>] {
        &mut self.groups
    }

    /// Updates all parameters that have a gradient.
    ///
    /// # Errors
    /// `Key` when a loaded state is of another algorithm.
    pub fn step(&mut self) -> Result<()> {
        let _guard = no_grad();
        self.stepped = self.stepped.map(|_| true);
        self.groups.iter_mut().try_for_each(Group::step::<U>)
    }

    /// Computes the loss and its gradients with `closure`, then updates; returns the loss. [`LBFGS`](crate::LBFGS) calls
    /// the closure as often as its search asks.
    ///
    /// # Errors
    /// Those of the closure, and as [`Optimizer::step`].
    pub fn step_with(&mut self, mut closure: impl FnMut() -> Result<Tensor>) -> Result<Tensor> {
        let _guard = no_grad();
        self.stepped = self.stepped.map(|_| true);
        U::step_with(&mut self.groups, &mut closure)
    }

    /// Clears the gradients of all parameters.
    pub fn zero_grad(&self) {
        for p in self.groups.iter().flat_map(|g| &g.params) {
            // Clearing cannot fail: only a gradient that does not fit is refused.
            let _ = p.set_grad(None);
        }
    }

    /// [`Optimizer::zero_grad`] that leaves zeros, if it is told so.
    ///
    /// # Errors
    /// None for gradients of backward.
    pub fn zero_grad_with(&self, options: impl FnOnce(ZeroGradOptions) -> ZeroGradOptions) -> Result<()> {
        if options(ZeroGradOptions::default()).set_to_none {
            self.zero_grad();
            return Ok(());
        }
        let _guard = no_grad();
        let mut grads = self.groups.iter().flat_map(|g| &g.params).filter_map(Tensor::grad);
        grads.try_for_each(|grad| grad.detach_()?.zero_().map(|_| ()))
    }

    /// What the optimizer remembers, under PyTorch's keys. The tensors are the optimizer's, not copies.
    pub fn state_dict(&self) -> OptimizerState {
        let mut dict = OptimizerState::default();
        let mut next = 0;
        for group in &self.groups {
            let numbers: Vec<i64> = (next..).take(group.params.len()).map(|i| i as i64).collect();
            let states = group.states.iter().enumerate().filter(|(_, s)| !s.is_empty());
            dict.state.extend(states.map(|(i, s)| (next + i, s.clone())));
            next += group.params.len();
            let mut entries = group.entries();
            entries.push(("params".into(), Value::Ints(numbers)));
            dict.param_groups.push(entries);
        }
        dict
    }

    /// Continues from what another optimizer with groups of the same sizes remembered. Nothing is changed when it fails.
    ///
    /// # Errors
    /// `Value` with PyTorch's text when the groups differ, `Type` for hyper-parameters of another kind, `Runtime` for
    /// states of another shape than their parameter.
    pub fn load_state_dict(&mut self, dict: &OptimizerState) -> Result<()> {
        ensure!(
            dict.param_groups.len() == self.groups.len(),
            Value,
            "loaded state dict has a different number of parameter groups"
        );
        let mut groups = self.groups.clone();
        for (group, saved) in groups.iter_mut().zip(&dict.param_groups) {
            let numbers = load_group(group, saved)?;
            for (i, number) in numbers.into_iter().enumerate() {
                let state = dict.state.iter().find(|(n, _)| *n as i64 == number);
                let limit = match U::SHARED_STATE {
                    true => usize::MAX,
                    false => group.params[i].numel().max(1),
                };
                group.states[i] =
                    state.map_or(Ok(State::default()), |(_, s)| load_state(&group.params[i], s, limit))?;
            }
        }
        self.groups = groups;
        Ok(())
    }
}

/// Sets a group's hyper-parameters; the numbers of its parameters.
fn load_group<O: Hyper>(group: &mut Group<O>, saved: &[(String, Value)]) -> Result<Vec<i64>> {
    let mut numbers = Vec::new();
    for (key, value) in saved {
        match (key.as_str(), value) {
            ("params", Value::Ints(list)) => numbers.clone_from(list),
            ("params", other) => {
                bail!(Type, "expected param_groups['params'] to be a list of ints, got {}", other.kind())
            }
            _ if group.options.set(key, value)? => {}
            _ => {
                if let Ok(number) = f64::from_value(value) {
                    note(&mut group.notes, key, number);
                }
            }
        }
    }
    ensure!(
        numbers.len() == group.params.len(),
        Value,
        "loaded state dict contains a parameter group that doesn't match the size of optimizer's group"
    );
    Ok(numbers)
}

fn load_state(param: &Tensor, saved: &State, limit: usize) -> Result<State> {
    let mut state = State::default();
    for (key, value) in saved.entries() {
        if let Value::Tensor(t) = value {
            ensure!(
                t.dim() == 0 || t.numel() <= limit,
                "the optimizer's state '{key}' has shape {:?}, its parameter {:?}",
                &t.sizes()[..],
                &param.sizes()[..]
            );
        }
        state.insert(key, adopted(param, key, value)?);
    }
    Ok(state)
}

fn note(notes: &mut Vec<(String, f64)>, key: &str, value: f64) {
    match notes.iter_mut().find(|(k, _)| k == key) {
        Some((_, v)) => *v = value,
        None => notes.push((key.into(), value)),
    }
}

/// The groups of any optimizer, as schedules see them.
pub trait ParamGroups {
    /// Number of groups.
    fn group_count(&self) -> usize;

    /// A hyper-parameter or note of a group, such as `lr`, if it is a number.
    fn get(&self, group: usize, key: &str) -> Option<f64>;

    /// Sets a hyper-parameter of a group, or notes a number that the algorithm does not know.
    ///
    /// # Errors
    /// `Index` when there is no such group.
    fn set(&mut self, group: usize, key: &str, value: f64) -> Result<()>;

    /// From now on it is noted when the optimizer is stepped: a schedule begins.
    fn watch_steps(&mut self);

    /// Whether the optimizer has been stepped since a schedule began.
    fn has_stepped(&self) -> bool;

    /// The decay rates of a group, if the algorithm has some.
    fn betas(&self, group: usize) -> Option<(f64, f64)>;

    /// Sets the decay rates of a group.
    ///
    /// # Errors
    /// `Value` when the algorithm has none.
    fn set_betas(&mut self, group: usize, betas: (f64, f64)) -> Result<()>;
}

impl<U: Update> ParamGroups for Optimizer<U> {
    fn group_count(&self) -> usize {
        self.groups.len()
    }

    fn get(&self, group: usize, key: &str) -> Option<f64> {
        let group = self.groups.get(group)?;
        let entry = group.options.entries().into_iter().find(|(k, _)| *k == key);
        match entry {
            Some((_, value)) => f64::from_value(&value).ok(),
            None => group.notes.iter().find(|(k, _)| k == key).map(|(_, v)| *v),
        }
    }

    fn set(&mut self, group: usize, key: &str, value: f64) -> Result<()> {
        let Some(group) = self.groups.get_mut(group) else {
            bail!(Index, "there is no parameter group {group}")
        };
        if !group.options.set(key, &Value::Float(value))? {
            note(&mut group.notes, key, value);
        }
        Ok(())
    }

    fn watch_steps(&mut self) {
        self.stepped.get_or_insert(false);
    }

    fn has_stepped(&self) -> bool {
        self.stepped.unwrap_or_default()
    }

    fn betas(&self, group: usize) -> Option<(f64, f64)> {
        let entries = self.groups.get(group)?.options.entries();
        let (_, value) = entries.into_iter().find(|(k, _)| *k == "betas")?;
        HyperValue::from_value(&value).ok()
    }

    fn set_betas(&mut self, group: usize, betas: (f64, f64)) -> Result<()> {
        let Some(group) = self.groups.get_mut(group) else {
            bail!(Index, "there is no parameter group {group}")
        };
        ensure!(group.options.set("betas", &betas.to_value())?, Value, "the optimizer has no betas");
        Ok(())
    }
}

/// PyTorch's name of an algorithm.
pub(crate) fn name_of<U: ?Sized>() -> &'static str {
    std::any::type_name::<U>().rsplit("::").next().unwrap_or_default().trim_end_matches("Update")
}
