//! Pruning: parameters some of whose elements are held at 0 by a mask, as `torch.nn.utils.prune`.
//!
//! ```
//! # use cresset_nn::{Forward, Linear, Module, utils::prune::{self, Pruned}};
//! # use cresset_core::{ops, Result};
//! # fn main() -> Result<()> {
//! let mut layer = Pruned::new(Linear::new(8, 3)?);
//! prune::l1_unstructured(&mut layer, "weight", 0.5)?; // half of the elements
//! prune::ln_structured(&mut layer, "weight", 1, 2.0, 0)?; // one more row
//! layer.forward(&ops::randn([4, 8])?)?;
//! assert_eq!(layer.state_dict().keys().collect::<Vec<_>>(), ["bias", "weight_orig", "weight_mask"]);
//! layer.remove("weight")?; // for good
//! assert_eq!(layer.state_dict().keys().collect::<Vec<_>>(), ["weight", "bias"]);
//! # Ok(())
//! # }
//! ```

mod methods;

use std::fmt;

use cresset_core::{Result, Tensor, bail, ensure, no_grad, ops, options};

use crate::module::{Buffer, Forward, Module, Parameter, Visitor, torch_size};
pub use methods::{
    Amount, BasePruningMethod, CustomFromMask, Identity, L1Unstructured, LnStructured, PruningType,
    RandomStructured, RandomUnstructured,
};

/// A parameter that is pruned.
#[derive(Clone)]
struct Entry {
    name: String,
    original_name: String,
    mask_name: String,
    original: Parameter,
    mask: Buffer,
}

impl Entry {
    fn new(name: &str, weight: &Tensor, mask: Tensor) -> Result<Entry> {
        Ok(Entry {
            name: name.into(),
            original_name: format!("{name}_orig"),
            mask_name: format!("{name}_mask"),
            original: Parameter::new(weight.clone_tensor()?)?,
            mask: Buffer::new(mask),
        })
    }
}

/// A module some of whose parameters are pruned. Its `state_dict` holds `weight_orig` and `weight_mask` for a pruned
/// `weight`, as PyTorch's does.
#[derive(Clone)]
pub struct Pruned<M> {
    module: M,
    entries: Vec<Entry>,
}

options! {
    /// Optional settings of pruning by scores.
    ImportanceOptions {
        /// What says how important an element is, of the shape of the parameter (default: the parameter).
        importance_scores: Option<Tensor> = None,
    }
}

impl<M: Module + Clone> Pruned<M> {
    /// Nothing is pruned at first.
    pub fn new(module: M) -> Pruned<M> {
        Pruned { module, entries: Vec::new() }
    }

    /// Prunes the parameter of that name, in addition to what is pruned of it already. Nothing is changed when it fails.
    ///
    /// # Errors
    /// `Attribute` when there is no such parameter; those of the method.
    pub fn prune(&mut self, name: &str, method: &dyn BasePruningMethod) -> Result<()> {
        self.prune_with(name, method, |o| o)
    }

    /// [`Pruned::prune`] with optional settings.
    ///
    /// # Errors
    /// As there, and `Assertion` for scores of another shape.
    pub fn prune_with(
        &mut self,
        name: &str,
        method: &dyn BasePruningMethod,
        options: impl FnOnce(ImportanceOptions) -> ImportanceOptions,
    ) -> Result<()> {
        let _guard = no_grad();
        let (weight, mask) = self.weight_and_mask(name)?;
        let scores =
            options(ImportanceOptions::default()).importance_scores.unwrap_or_else(|| weight.clone());
        ensure!(
            scores.sizes() == weight.sizes(),
            Assertion,
            "importance_scores should have the same shape as parameter {name} of {}, got {} vs {}",
            self.repr(),
            torch_size(&scores.sizes()),
            torch_size(&weight.sizes())
        );
        let mask = match mask {
            Some(mask) => methods::combine(method, &scores, &mask)?,
            None => method.compute_mask(&scores, &ops::ones_like(&weight)?)?,
        };
        self.set_mask(name, &mask)
    }

    /// The parameter of that name as it is now, and its mask if it is pruned.
    fn weight_and_mask(&mut self, name: &str) -> Result<(Tensor, Option<Tensor>)> {
        if let Some(entry) = self.entries.iter().find(|e| e.name == name) {
            return Ok((entry.original.detach().mul(&entry.mask)?, Some(Tensor::clone(&entry.mask))));
        }
        match self.module.own_parameter(name) {
            Some(p) => Ok((p.detach(), None)),
            None => bail!(Attribute, "'{}' object has no attribute '{name}'", self.module.name()),
        }
    }

    fn set_mask(&mut self, name: &str, mask: &Tensor) -> Result<()> {
        if let Some(entry) = self.entries.iter().find(|e| e.name == name) {
            return entry.mask.copy_(mask).map(|_| ());
        }
        let (weight, _) = self.weight_and_mask(name)?;
        let mask = ops::ones_like(&weight)?.copy_(mask)?;
        self.entries.push(Entry::new(name, &weight, mask)?);
        Ok(())
    }

    /// The mask of a pruned parameter.
    pub fn mask(&self, name: &str) -> Option<&Tensor> {
        self.entries.iter().find(|e| e.name == name).map(|e| &*e.mask)
    }

    /// Whether anything is pruned.
    pub fn is_pruned(&self) -> bool {
        !self.entries.is_empty()
    }

    /// Makes the pruning of that parameter permanent: it is a plain parameter again, with zeros.
    ///
    /// # Errors
    /// `Value` when it is not pruned.
    pub fn remove(&mut self, name: &str) -> Result<()> {
        let Some(i) = self.entries.iter().position(|e| e.name == name) else {
            bail!(
                Value,
                "Parameter '{name}' of module {} has to be pruned before pruning can be removed",
                self.repr()
            )
        };
        let _guard = no_grad();
        let entry = &self.entries[i];
        let weight = Parameter::new(entry.original.detach().mul(&entry.mask)?)?;
        if let Some(p) = self.module.own_parameter(name) {
            *p = weight;
        }
        self.entries.remove(i);
        Ok(())
    }

    /// The module with its masks applied, for one call: gradients flow to what is left.
    ///
    /// # Errors
    /// None for tensors that can be multiplied.
    pub fn computed(&self) -> Result<M> {
        let mut module = self.module.clone();
        for entry in &self.entries {
            if let Some(p) = module.own_parameter(&entry.name) {
                *p = Parameter::computed(entry.original.mul(&entry.mask)?);
            }
        }
        Ok(module)
    }
}

/// Prunes nothing, but makes the parameter one that can be pruned, as `torch.nn.utils.prune.identity`.
///
/// # Errors
/// `Attribute` when there is no such parameter.
pub fn identity<M: Module + Clone>(module: &mut Pruned<M>, name: &str) -> Result<()> {
    module.prune(name, &Identity)
}

/// Prunes elements at random, as `torch.nn.utils.prune.random_unstructured`.
///
/// # Errors
/// `Attribute` when there is no such parameter, `Value` for an impossible amount.
pub fn random_unstructured<M: Module + Clone>(
    module: &mut Pruned<M>,
    name: &str,
    amount: impl Into<Amount>,
) -> Result<()> {
    module.prune(name, &RandomUnstructured { amount: amount.into() })
}

/// Prunes the elements nearest to 0, as `torch.nn.utils.prune.l1_unstructured`.
///
/// # Errors
/// `Attribute` when there is no such parameter, `Value` for an impossible amount.
pub fn l1_unstructured<M: Module + Clone>(
    module: &mut Pruned<M>,
    name: &str,
    amount: impl Into<Amount>,
) -> Result<()> {
    module.prune(name, &L1Unstructured { amount: amount.into() })
}

/// Prunes slices along `dim` at random, as `torch.nn.utils.prune.random_structured`.
///
/// ```
/// # use cresset_nn::{Linear, utils::prune::{self, Pruned}};
/// # fn main() -> cresset_core::Result<()> {
/// let mut layer = Pruned::new(Linear::new(4, 6)?);
/// cresset_core::random::manual_seed(3); // the mask is PyTorch's
/// prune::random_unstructured(&mut layer, "weight", 0.3)?;
/// prune::random_structured(&mut layer, "weight", 2, 0)?;
/// let mask = layer.mask("weight").unwrap();
/// assert_eq!(mask.select(0, 1)?.to_vec::<f32>()?, [1.0, 1.0, 0.0, 1.0]);
/// assert_eq!(mask.select(0, 3)?.to_vec::<f32>()?, [1.0; 4]);
/// assert_eq!(mask.narrow(0, 4, 2)?.to_vec::<f32>()?, [0.0; 8]);
/// prune::random_unstructured(&mut layer, "weight", 5)?; // of what is left
/// let mask = layer.mask("weight").unwrap();
/// assert_eq!(mask.select(0, 0)?.to_vec::<f32>()?, [1.0, 0.0, 1.0, 1.0]);
/// assert_eq!(mask.select(0, 3)?.to_vec::<f32>()?, [0.0; 4]);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// `Attribute` when there is no such parameter, `Value` for an impossible amount or one dimension, `Index` for a dimension
/// that is not there.
pub fn random_structured<M: Module + Clone>(
    module: &mut Pruned<M>,
    name: &str,
    amount: impl Into<Amount>,
    dim: i64,
) -> Result<()> {
    module.prune(name, &RandomStructured { amount: amount.into(), dim })
}

/// Prunes the slices along `dim` whose norm of order `n` is least, as `torch.nn.utils.prune.ln_structured`.
///
/// # Errors
/// As [`random_structured`].
pub fn ln_structured<M: Module + Clone>(
    module: &mut Pruned<M>,
    name: &str,
    amount: impl Into<Amount>,
    n: f64,
    dim: i64,
) -> Result<()> {
    module.prune(name, &LnStructured { amount: amount.into(), n, dim })
}

/// Prunes where `mask` is 0, as `torch.nn.utils.prune.custom_from_mask`.
///
/// # Errors
/// `Attribute` when there is no such parameter, `Runtime` for a mask of another shape.
pub fn custom_from_mask<M: Module + Clone>(module: &mut Pruned<M>, name: &str, mask: &Tensor) -> Result<()> {
    module.prune(name, &CustomFromMask { mask: mask.clone() })
}

/// A pruned module of any type, for [`global_unstructured`].
pub trait Prunable {
    /// The parameter of that name as it is now, and its mask if it is pruned.
    ///
    /// # Errors
    /// `Attribute` when there is no such parameter.
    fn weight_and_mask(&mut self, name: &str) -> Result<(Tensor, Option<Tensor>)>;

    /// Sets the mask of the parameter, which is pruned from now on.
    ///
    /// # Errors
    /// As [`Prunable::weight_and_mask`], and `Runtime` for a mask of another shape.
    fn set_mask(&mut self, name: &str, mask: &Tensor) -> Result<()>;
}

impl<M: Module + Clone> Prunable for Pruned<M> {
    fn weight_and_mask(&mut self, name: &str) -> Result<(Tensor, Option<Tensor>)> {
        Pruned::weight_and_mask(self, name)
    }

    fn set_mask(&mut self, name: &str, mask: &Tensor) -> Result<()> {
        Pruned::set_mask(self, name, mask)
    }
}

/// Prunes elements of several parameters as if they were one, as `torch.nn.utils.prune.global_unstructured`.
///
/// ```
/// # use cresset_nn::{Linear, utils::prune::{L1Unstructured, Pruned, global_unstructured}};
/// # fn main() -> cresset_core::Result<()> {
/// let (mut a, mut b) = (Pruned::new(Linear::new(8, 3)?), Pruned::new(Linear::new(3, 2)?));
/// let method = L1Unstructured { amount: 10.into() };
/// global_unstructured(&mut [(&mut a, "weight"), (&mut b, "weight")], &method)?;
/// let left = |layer: &Pruned<Linear>| layer.mask("weight").unwrap().sum()?.item().map(|s| s.to_f64());
/// assert_eq!(left(&a)? + left(&b)?, 24.0 + 6.0 - 10.0);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// `Type` for a method for slices; as [`Pruned::prune`].
pub fn global_unstructured(
    parameters: &mut [(&mut dyn Prunable, &str)],
    method: &dyn BasePruningMethod,
) -> Result<()> {
    let _guard = no_grad();
    let kind = method.pruning_type();
    ensure!(
        kind == PruningType::Unstructured,
        Type,
        "Only \"unstructured\" PRUNING_TYPE supported for the `pruning_method`. Found method of type {kind:?}"
    );
    let (mut weights, mut masks) = (Vec::new(), Vec::new());
    for (module, name) in parameters.iter_mut() {
        let (weight, mask) = module.weight_and_mask(name)?;
        let mask = mask.map_or_else(|| ops::ones_like(&weight), Ok)?;
        weights.push(weight.reshape(-1)?);
        masks.push(mask.reshape(-1)?);
    }
    let mask = methods::combine(method, &ops::cat(&weights)?, &ops::cat(&masks)?)?;
    let mut start = 0;
    for ((module, name), weight) in parameters.iter_mut().zip(&weights) {
        let (whole, _) = module.weight_and_mask(name)?;
        let n = weight.numel() as i64;
        module.set_mask(name, &mask.narrow(0, start, n)?.view(whole.sizes())?)?;
        start += n;
    }
    Ok(())
}

impl<M: Module> Module for Pruned<M> {
    fn visit<'a>(&'a self, visitor: &mut Visitor<'a>) {
        self.module.visit(visitor);
        visitor.parameters.retain(|(name, _)| self.entries.iter().all(|e| e.name != *name));
        for entry in &self.entries {
            visitor.parameters.push((entry.original_name.clone(), &entry.original));
            visitor.buffers.push((entry.mask_name.clone(), &entry.mask));
        }
    }

    fn name(&self) -> String {
        self.module.name()
    }

    fn extra_repr(&self) -> String {
        self.module.extra_repr()
    }
}

impl<M: Module + Forward + Clone> Forward for Pruned<M> {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        self.computed()?.forward(input)
    }
}

impl<M: fmt::Debug> fmt::Debug for Pruned<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.module.fmt(f)
    }
}
