//! Parameters that are computed from others: [`Parametrized`] wraps a module whose parameters go through a
//! [`Parametrization`], as `torch.nn.utils.parametrize`.

use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use cresset_core::{Result, Tensor, bail, ensure, no_grad};

use crate::module::{Forward, Module, Parameter, Visitor};

/// How a parameter is computed, and how back.
pub trait Parametrization: Module {
    /// The parameter.
    ///
    /// # Errors
    /// Those of the computation.
    fn weight(&self, originals: &[&Tensor]) -> Result<Tensor>;

    /// The tensors that give that parameter; `weight` itself, unless the parametrization says otherwise.
    ///
    /// # Errors
    /// When there are none.
    fn originals(&self, weight: &Tensor) -> Result<Vec<Tensor>> {
        Ok(vec![weight.clone()])
    }
}

/// The originals of one parameter and the parametrizations that they go through, one after the other.
#[derive(Clone)]
struct ParametrizationList {
    originals: Vec<Parameter>,
    rules: Vec<Arc<dyn Parametrization>>,
}

impl ParametrizationList {
    /// The parameter, taken from the cache while there is one.
    fn cached(&self) -> Result<Tensor> {
        let found = CACHE.with_borrow(|cache| cache.find(self));
        if let Some(weight) = found {
            return Ok(weight);
        }
        let weight = self.weight()?;
        CACHE.with_borrow_mut(|cache| cache.keep(self, &weight));
        Ok(weight)
    }

    /// Whether both compute the same from the same tensors.
    fn is(&self, other: &ParametrizationList) -> bool {
        self.originals.len() == other.originals.len()
            && self.rules.len() == other.rules.len()
            && self.originals.iter().zip(&other.originals).all(|(a, b)| a.same(b))
            && self.rules.iter().zip(&other.rules).all(|(a, b)| Arc::ptr_eq(a, b))
    }

    fn weight(&self) -> Result<Tensor> {
        let originals: Vec<&Tensor> = self.originals.iter().map(|p| &**p).collect();
        let (first, rest) = match self.rules.split_first() {
            Some(rules) => rules,
            None => bail!("a list of parametrizations is empty"),
        };
        rest.iter().try_fold(first.weight(&originals)?, |weight, rule| rule.weight(&[&weight]))
    }

    /// Sets the originals so that the parameter is `weight`.
    fn assign(&self, weight: &Tensor) -> Result<()> {
        let mut now = vec![weight.clone()];
        for rule in self.rules.iter().rev() {
            now = rule.originals(&now[0])?;
        }
        self.originals.iter().zip(&now).try_for_each(|(p, value)| p.copy_(value).map(|_| ()))
    }
}

impl Module for ParametrizationList {
    fn visit<'a>(&'a self, visitor: &mut Visitor<'a>) {
        for (i, p) in self.originals.iter().enumerate() {
            let name = if self.originals.len() == 1 { "original".into() } else { format!("original{i}") };
            visitor.parameters.push((name, p));
        }
        for (i, rule) in self.rules.iter().enumerate() {
            visitor.children.push((i.to_string(), rule));
        }
    }

    fn name(&self) -> String {
        "ParametrizationList".into()
    }

    fn is_list(&self) -> bool {
        true
    }
}

/// Parameters that were computed while a [`Cached`] lives.
struct Cache {
    guards: usize,
    weights: Vec<(ParametrizationList, Tensor)>,
}

impl Cache {
    fn find(&self, list: &ParametrizationList) -> Option<Tensor> {
        self.weights.iter().find(|(of, _)| of.is(list)).map(|(_, weight)| weight.clone())
    }

    fn keep(&mut self, list: &ParametrizationList, weight: &Tensor) {
        if self.guards > 0 {
            self.weights.push((list.clone(), weight.clone()));
        }
    }
}

thread_local! {
    static CACHE: RefCell<Cache> = const { RefCell::new(Cache { guards: 0, weights: Vec::new() }) };
}

/// Keeps computed parameters while it lives, see [`cached`].
#[must_use = "parameters are kept while the guard lives"]
pub struct Cached(PhantomData<*const ()>);

/// Computes each parametrized parameter once, on this thread, until the guard is dropped, as
/// `torch.nn.utils.parametrize.cached`: for modules that use a parameter several times, as recurrent ones do.
///
/// An original that changes meanwhile is not looked at again. Guards may be nested; the last one empties the cache.
///
/// ```
/// # use cresset_nn::{Forward, Linear, utils::{parametrizations, parametrize}};
/// # use cresset_core::{ops, Result};
/// # fn main() -> Result<()> {
/// let layer = parametrizations::orthogonal(Linear::new(4, 4)?)?;
/// let x = ops::randn([2, 4])?;
/// let _cached = parametrize::cached();
/// let y = layer.forward(&layer.forward(&x)?)?; // one factorisation, not two
/// # assert_eq!(&y.sizes()[..], [2, 4]);
/// # Ok(())
/// # }
/// ```
pub fn cached() -> Cached {
    CACHE.with_borrow_mut(|cache| cache.guards += 1);
    Cached(PhantomData)
}

impl Drop for Cached {
    fn drop(&mut self) {
        // Dropped after the borrow ends: what they hold may come back here.
        let _weights = CACHE.with_borrow_mut(|cache| {
            cache.guards -= 1;
            if cache.guards == 0 { std::mem::take(&mut cache.weights) } else { Vec::new() }
        });
    }
}

/// The lists by the name of their parameter.
#[derive(Clone, Default)]
struct Lists(Vec<(String, ParametrizationList)>);

impl Module for Lists {
    fn visit<'a>(&'a self, visitor: &mut Visitor<'a>) {
        for (name, list) in &self.0 {
            visitor.children.push((name.clone(), list));
        }
    }

    fn name(&self) -> String {
        "ModuleDict".into()
    }
}

/// A module some of whose parameters are computed. Its `state_dict` holds the originals under PyTorch's names,
/// `parametrizations.weight.original`.
#[derive(Clone)]
pub struct Parametrized<M> {
    module: M,
    lists: Lists,
}

impl<M: Module + Clone> Parametrized<M> {
    /// Without parametrizations.
    pub fn new(module: M) -> Parametrized<M> {
        Parametrized { module, lists: Lists::default() }
    }

    /// Computes the parameter of that name from now on; it keeps its value where the parametrization can be undone.
    /// Several of one parameter go one after the other.
    ///
    /// # Errors
    /// `Value` when the module itself has no such parameter, or the shape would change.
    pub fn register(mut self, name: &str, rule: impl Parametrization + 'static) -> Result<Parametrized<M>> {
        let _guard = no_grad();
        let rule: Arc<dyn Parametrization> = Arc::new(rule);
        let before = self.value(name)?;
        match self.lists.0.iter_mut().find(|(n, _)| n == name) {
            Some((_, list)) => {
                list.rules.push(rule);
                list.assign(&before)?;
            }
            None => {
                let originals = rule.originals(&before)?;
                let fresh = |t: &Tensor| Parameter::new(t.detach().clone_tensor()?);
                let originals = originals.iter().map(fresh).collect::<Result<_>>()?;
                self.lists.0.push((name.into(), ParametrizationList { originals, rules: vec![rule] }));
            }
        }
        let after = self.value(name)?;
        ensure!(
            after.sizes() == before.sizes() && after.dtype() == before.dtype(),
            Value,
            "Registering a parametrization may not change the shape or the dtype of the tensor. Shape before: {:?}, after: {:?}",
            &before.sizes()[..],
            &after.sizes()[..]
        );
        Ok(self)
    }

    /// The parameter of that name, computed if it is parametrized.
    fn value(&mut self, name: &str) -> Result<Tensor> {
        if let Some((_, list)) = self.lists.0.iter().find(|(n, _)| n == name) {
            return list.weight();
        }
        match self.module.own_parameter(name) {
            Some(p) => Ok(p.detach()),
            None => bail!(
                Value,
                "Module '{}' does not have a parameter, a buffer, or a parametrized element with name '{name}'",
                self.module.name()
            ),
        }
    }

    /// Sets the originals so that the parameter has that value.
    ///
    /// # Errors
    /// `Value` when it is not parametrized; what undoing the parametrization gives.
    pub fn assign(&self, name: &str, weight: &Tensor) -> Result<()> {
        let _guard = no_grad();
        match self.lists.0.iter().find(|(n, _)| n == name) {
            Some((_, list)) => list.assign(weight),
            None => bail!(Value, "{} does not have a parametrization on {name}", self.module.name()),
        }
    }

    /// The module with its parameters computed, for one call: gradients flow to the originals.
    ///
    /// # Errors
    /// Those of the computation.
    pub fn computed(&self) -> Result<M> {
        let mut module = self.module.clone();
        for (name, list) in &self.lists.0 {
            if let Some(p) = module.own_parameter(name) {
                *p = Parameter::computed(list.cached()?);
            }
        }
        Ok(module)
    }

    /// Ends all parametrizations: the parameters keep their computed values.
    ///
    /// # Errors
    /// Those of the computation.
    pub fn remove(mut self) -> Result<M> {
        for (name, list) in &self.lists.0 {
            let value = {
                let _guard = no_grad();
                list.weight()?.detach().clone_tensor()?
            };
            if let Some(p) = self.module.own_parameter(name) {
                *p = Parameter::new(value)?;
            }
        }
        Ok(self.module)
    }
}

impl<M: Module> Module for Parametrized<M> {
    fn visit<'a>(&'a self, visitor: &mut Visitor<'a>) {
        self.module.visit(visitor);
        visitor.parameters.retain(|(name, _)| self.lists.0.iter().all(|(n, _)| n != name));
        visitor.children.push(("parametrizations".into(), &self.lists));
    }

    fn name(&self) -> String {
        format!("Parametrized{}", self.module.name())
    }

    fn extra_repr(&self) -> String {
        self.module.extra_repr()
    }
}

impl<M: Module + Forward + Clone> Forward for Parametrized<M> {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        self.computed()?.forward(input)
    }
}

impl<M: fmt::Debug> fmt::Debug for Parametrized<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.module.fmt(f)
    }
}
