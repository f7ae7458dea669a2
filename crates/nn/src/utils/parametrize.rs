//! Parameters that are computed from others: [`Parametrized`] wraps a module whose parameters go through a
//! [`Parametrization`], as `torch.nn.utils.parametrize`.

use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;

use cresset_core::{Error, ErrorKind, Result, Tensor, bail, ensure, no_grad};

use crate::module::{Forward, Module, Parameter, Visitor, torch_size};

/// How a parameter is computed, and how back.
///
/// ```
/// # use cresset_nn::{Linear, Module, utils::parametrize::{Parametrization, Parametrized}};
/// # use cresset_core::{Result, Tensor};
/// /// Makes a matrix symmetric.
/// #[derive(Debug, Module)]
/// struct Symmetric;
///
/// impl Parametrization for Symmetric {
///     fn forward(&self, originals: &[&Tensor]) -> Result<Tensor> {
///         let upper = originals[0].triu()?;
///         upper.add(&upper.triu_with(|o| o.diagonal(1))?.t()?)
///     }
/// }
///
/// # fn main() -> Result<()> {
/// let layer = Parametrized::new(Linear::new(3, 3)?).register("weight", Symmetric)?;
/// let weight = layer.computed()?.weight.clone();
/// assert!(weight.equal(&weight.t()?)?);
/// let keys: Vec<String> = layer.named_parameters().into_iter().map(|(name, _)| name).collect();
/// assert_eq!(keys, ["bias", "parametrizations.weight.original"]);
/// # Ok(())
/// # }
/// ```
pub trait Parametrization: Module {
    /// The parameter.
    ///
    /// # Errors
    /// Those of the computation.
    fn forward(&self, originals: &[&Tensor]) -> Result<Tensor>;

    /// The tensors that give that parameter; nothing if there is no way back.
    ///
    /// # Errors
    /// Those of the computation.
    fn right_inverse(&self, weight: &Tensor) -> Result<Option<Vec<Tensor>>> {
        let _ = weight;
        Ok(None)
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
        rest.iter().try_fold(first.forward(&originals)?, |weight, rule| rule.forward(&[&weight]))
    }

    /// Sets the originals so that the parameter is `weight`.
    fn assign(&self, weight: &Tensor) -> Result<()> {
        let mut now = vec![weight.clone()];
        for rule in self.rules.iter().rev() {
            ensure!(now.len() == 1, Value, "`right_inverse` should return a tensor. Got list");
            now = match rule.right_inverse(&now[0])? {
                Some(originals) => originals,
                None => bail!("parametrization {} does not implement right_inverse.", rule.name()),
            };
        }
        let want = self.originals.len();
        ensure!(
            now.len() == want,
            Value,
            "'right_inverse' must return a sequence of tensors of length {want}. Got a sequence of length {}.",
            now.len()
        );
        self.originals.iter().zip(&now).try_for_each(|(p, value)| p.detach().copy_(value).map(|_| ()))
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

    /// Computes the parameter of that name from now on; it keeps its value where the parametrization has a way back.
    /// Several of one parameter go one after the other.
    ///
    /// A single original is the parameter itself, so an optimizer that has it goes on with it.
    ///
    /// # Errors
    /// `Value` when the module itself has no such parameter, or its shape or dtype would change.
    pub fn register(mut self, name: &str, rule: impl Parametrization + 'static) -> Result<Parametrized<M>> {
        let _guard = no_grad();
        let rule: Arc<dyn Parametrization> = Arc::new(rule);
        rule.set_training(self.module.is_training());
        match self.lists.0.iter_mut().find(|(n, _)| n == name) {
            Some((_, list)) => {
                let now = list.weight()?;
                check_same_kind(Some(name), &now, &rule.forward(&[&now])?)?;
                list.rules.push(rule);
            }
            None => {
                let list = self.first(name, rule)?;
                self.lists.0.push((name.into(), list));
            }
        }
        Ok(self)
    }

    /// The list of a parameter that was not parametrized.
    fn first(&mut self, name: &str, rule: Arc<dyn Parametrization>) -> Result<ParametrizationList> {
        let Some(parameter) = self.module.own_parameter(name) else {
            bail!(
                Value,
                "Module '{}' does not have a parameter, a buffer, or a parametrized element with name '{name}'",
                self.module.repr()
            )
        };
        let weight = parameter.detach();
        let values = match rule.right_inverse(&weight) {
            // This one has no way back from here: what it computes is new.
            Err(error) if error.kind() == ErrorKind::NotImplemented => None,
            values => values?,
        };
        let values = values.unwrap_or_else(|| vec![weight.clone()]);
        let computed = rule.forward(&values.iter().collect::<Vec<_>>())?;
        check_same_kind(None, &weight, &computed)?;
        let originals = match &values[..] {
            [value] => {
                if !value.same(&weight) {
                    parameter.set_data(value)?;
                }
                vec![parameter.clone()]
            }
            several => several.iter().map(|t| Parameter::new(t.clone_tensor()?)).collect::<Result<_>>()?,
        };
        Ok(ParametrizationList { originals, rules: vec![rule] })
    }

    /// Whether the parameter of that name is computed.
    pub fn is_parametrized(&self, name: &str) -> bool {
        self.list(name).is_ok()
    }

    fn list(&self, name: &str) -> Result<&ParametrizationList> {
        match self.lists.0.iter().find(|(n, _)| n == name) {
            Some((_, list)) => Ok(list),
            None => bail!(Value, "Module {} does not have a parametrization on {name}", self.repr()),
        }
    }

    /// Sets the originals so that the parameter has that value.
    ///
    /// # Errors
    /// `Value` when it is not parametrized, `Runtime` when a parametrization has no way back.
    pub fn assign(&self, name: &str, weight: &Tensor) -> Result<()> {
        let _guard = no_grad();
        self.list(name)?.assign(weight)
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

    /// Ends the parametrizations of one parameter, as `torch.nn.utils.parametrize.remove_parametrizations`: it has its
    /// computed value from now on, or that of its original.
    ///
    /// # Errors
    /// `Value` when it is not parametrized, or has several originals that are to stay as they are.
    pub fn remove_parametrizations(&mut self, name: &str, leave_parametrized: bool) -> Result<()> {
        let _guard = no_grad();
        let list = self.list(name)?;
        let parameter = match &list.originals[..] {
            [original] => {
                if leave_parametrized {
                    original.set_data(&list.weight()?.clone_tensor()?)?;
                }
                original.clone()
            }
            _ if leave_parametrized => Parameter::new(list.weight()?.clone_tensor()?)?,
            _ => bail!(
                Value,
                "Cannot leave unparametrized (`leave_parametrized=False`) a tensor that is parametrized in terms of a sequence of tensors."
            ),
        };
        if let Some(own) = self.module.own_parameter(name) {
            *own = parameter;
        }
        self.lists.0.retain(|(n, _)| n != name);
        Ok(())
    }

    /// Ends all parametrizations: the parameters keep their computed values.
    ///
    /// # Errors
    /// Those of the computation.
    pub fn remove(mut self) -> Result<M> {
        while let Some((name, _)) = self.lists.0.first().cloned() {
            self.remove_parametrizations(&name, true)?;
        }
        Ok(self.module)
    }
}

/// That a parametrization keeps shape and dtype of the parameter; `more` is the name of one that has others already.
fn check_same_kind(more: Option<&str>, before: &Tensor, after: &Tensor) -> Result<()> {
    let complain = |what: &str, old: String, new: String| {
        let (flag, old_name, new_name) = match more {
            None => ("", "unparametrized ".into(), "parametrized ".into()),
            Some(name) => ("the ", format!("module.{name}."), format!("parametrization(module.{name}).")),
        };
        Error::value(format!(
            "Registering a parametrization may not change the {what} of the tensor, unless {flag}`unsafe` flag is enabled.\n{old_name}{what}: {old}\n{new_name}{what}: {new}"
        ))
    };
    if before.dtype() != after.dtype() {
        let [before, after] = [before, after].map(|t| format!("torch.{}", t.dtype().name()));
        return Err(complain("dtype", before, after));
    }
    if before.sizes() != after.sizes() {
        return Err(complain("shape", torch_size(&before.sizes()), torch_size(&after.sizes())));
    }
    Ok(())
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
