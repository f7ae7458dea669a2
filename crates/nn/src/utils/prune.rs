//! Pruning: parameters some of whose elements are held at 0 by a mask, as `torch.nn.utils.prune`.

use std::fmt;

use cresset_core::{Result, Tensor, ensure, no_grad, ops};

use crate::module::{Buffer, Forward, Module, Parameter, Visitor};

/// How much is pruned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Amount {
    /// A part of what is not pruned yet, from 0 to 1.
    Part(f64),
    /// So many.
    Count(usize),
}

impl From<f64> for Amount {
    fn from(part: f64) -> Self {
        Amount::Part(part)
    }
}

impl From<usize> for Amount {
    fn from(count: usize) -> Self {
        Amount::Count(count)
    }
}

impl Amount {
    /// How many of `n`.
    fn of(self, n: usize) -> Result<usize> {
        match self {
            Amount::Part(part) => {
                ensure!(
                    (0.0..=1.0).contains(&part),
                    Value,
                    "amount={part} should either be a float in the range [0.0, 1.0] or a non-negative integer"
                );
                Ok((part * n as f64).round_ties_even() as usize)
            }
            Amount::Count(count) => {
                ensure!(
                    count <= n,
                    Value,
                    "amount={count} should be smaller than the number of parameters to prune={n}"
                );
                Ok(count)
            }
        }
    }
}

/// Which elements are pruned.
#[derive(Clone, Debug)]
pub enum Method {
    /// None: the mask is all ones.
    Identity,
    /// Elements at random.
    RandomUnstructured(Amount),
    /// The elements nearest to 0.
    L1Unstructured(Amount),
    /// Slices along a dimension at random.
    RandomStructured(Amount, i64),
    /// The slices along a dimension of the least norm of an order.
    LnStructured(Amount, f64, i64),
    /// Where this mask is 0.
    Custom(Tensor),
}

impl Method {
    /// The mask for `scores`, of which `mask` leaves some; what it does not leave stays pruned.
    fn mask(&self, scores: &Tensor, mask: &Tensor) -> Result<Tensor> {
        match self {
            Method::Identity => Ok(mask.clone()),
            Method::Custom(custom) => {
                ensure!(
                    custom.sizes() == mask.sizes(),
                    Value,
                    "the mask has another shape than the parameter"
                );
                mask.mul(&custom.to_dtype(mask.dtype())?)
            }
            Method::RandomUnstructured(amount) => {
                drop_elements(mask, *amount, |left| ops::rand([left.numel() as i64])?.neg())
            }
            Method::L1Unstructured(amount) => {
                let scores = scores.abs()?.reshape(-1)?;
                drop_elements(mask, *amount, move |left| scores.index_select(0, left))
            }
            Method::RandomStructured(amount, dim) => {
                drop_slices(mask, *amount, *dim, |left| ops::rand([left.numel() as i64]))
            }
            Method::LnStructured(amount, order, dim) => {
                let norms = rows(scores, *dim)?.linalg_vector_norm_with(|o| o.ord(*order).dim([1]))?;
                drop_slices(mask, *amount, *dim, move |left| norms.index_select(0, left))
            }
        }
    }
}

/// Prunes so many of the elements that `mask` leaves: those of the least score, which `score` gives by position.
fn drop_elements(
    mask: &Tensor,
    amount: Amount,
    score: impl FnOnce(&Tensor) -> Result<Tensor>,
) -> Result<Tensor> {
    let left = mask.reshape(-1)?.nonzero()?.reshape(-1)?;
    let flat = mask.clone_tensor()?.reshape(-1)?;
    drop_least(&flat, &left, amount, 0, score)?.view(mask.sizes())
}

/// Prunes so many of the slices along `dim` that `mask` does not prune whole.
fn drop_slices(
    mask: &Tensor,
    amount: Amount,
    dim: i64,
    score: impl FnOnce(&Tensor) -> Result<Tensor>,
) -> Result<Tensor> {
    let left = rows(mask, dim)?.ne_scalar(0)?.any_dim(1)?.nonzero()?.reshape(-1)?;
    drop_least(&mask.clone_tensor()?, &left, amount, dim, score)
}

/// Writes 0 to those of the positions `left` of `dim` that have the least score.
fn drop_least(
    mask: &Tensor,
    left: &Tensor,
    amount: Amount,
    dim: i64,
    score: impl FnOnce(&Tensor) -> Result<Tensor>,
) -> Result<Tensor> {
    let count = amount.of(left.numel())?;
    if count == 0 {
        return Ok(mask.clone());
    }
    let (_, worst) = ops::topk_with(&score(left)?, count as i64, |o| o.largest(false))?;
    mask.index_fill_(dim, &left.index_select(0, &worst)?, 0)
}

/// The slices along `dim` as rows.
fn rows(t: &Tensor, dim: i64) -> Result<Tensor> {
    let n = t.size(dim)?;
    t.transpose(0, dim)?.reshape([n, -1])
}

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
    fn new(name: &str, weight: &Tensor) -> Result<Entry> {
        Ok(Entry {
            name: name.into(),
            original_name: format!("{name}_orig"),
            mask_name: format!("{name}_mask"),
            original: Parameter::new(weight.detach().clone_tensor()?)?,
            mask: Buffer::new(ops::ones_like(weight)?),
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

impl<M: Module + Clone> Pruned<M> {
    /// Nothing is pruned at first.
    pub fn new(module: M) -> Pruned<M> {
        Pruned { module, entries: Vec::new() }
    }

    /// Prunes the parameter of that name, in addition to what is pruned of it already.
    ///
    /// # Errors
    /// `Attribute` when there is no such parameter, `Value` for impossible amounts.
    pub fn prune(&mut self, name: &str, method: &Method) -> Result<()> {
        let _guard = no_grad();
        let entry = self.entry(name)?;
        let mask = method.mask(&entry.original.detach(), &entry.mask)?;
        entry.mask.copy_(&mask).map(|_| ())
    }

    /// The pruned parameter of that name, made one if it is not.
    fn entry(&mut self, name: &str) -> Result<&mut Entry> {
        if let Some(i) = self.entries.iter().position(|e| e.name == name) {
            return Ok(&mut self.entries[i]);
        }
        let Some(p) = self.module.own_parameter(name) else {
            cresset_core::bail!(Attribute, "'{}' object has no attribute '{name}'", self.module.name())
        };
        self.entries.push(Entry::new(name, p)?);
        let last = self.entries.len() - 1;
        Ok(&mut self.entries[last])
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
            cresset_core::bail!(
                Value,
                "Parameter '{name}' of module {} has to be pruned before pruning can be removed",
                self.module.name()
            )
        };
        let entry = self.entries.remove(i);
        let _guard = no_grad();
        let weight = Parameter::new(entry.original.detach().mul(&entry.mask)?)?;
        if let Some(p) = self.module.own_parameter(name) {
            *p = weight;
        }
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

/// A pruned module of any type, for [`global_unstructured`].
pub trait Prunable {
    /// Original and mask of the parameter of that name, which is pruned from now on.
    ///
    /// # Errors
    /// `Attribute` when there is no such parameter.
    fn original_and_mask(&mut self, name: &str) -> Result<(Tensor, Tensor)>;
}

impl<M: Module + Clone> Prunable for Pruned<M> {
    fn original_and_mask(&mut self, name: &str) -> Result<(Tensor, Tensor)> {
        let entry = self.entry(name)?;
        Ok((entry.original.detach(), Tensor::clone(&entry.mask)))
    }
}

/// Prunes elements of several parameters as if they were one, with a method for elements.
///
/// # Errors
/// `Type` for a method for slices; as [`Pruned::prune`].
pub fn global_unstructured(parameters: &mut [(&mut dyn Prunable, &str)], method: &Method) -> Result<()> {
    let _guard = no_grad();
    ensure!(
        !matches!(method, Method::RandomStructured(..) | Method::LnStructured(..)),
        Type,
        "Only \"unstructured\" PRUNING_TYPE supported for the `pruning_method`."
    );
    let parts: Vec<(Tensor, Tensor)> =
        parameters.iter_mut().map(|(module, name)| module.original_and_mask(name)).collect::<Result<_>>()?;
    let flat = |pick: fn(&(Tensor, Tensor)) -> &Tensor| {
        let flat: Vec<Tensor> = parts.iter().map(|p| pick(p).reshape(-1)).collect::<Result<_>>()?;
        ops::cat(&flat)
    };
    let mask = method.mask(&flat(|p| &p.0)?, &flat(|p| &p.1)?)?;
    let mut start = 0;
    for (_, own) in &parts {
        let n = own.numel() as i64;
        own.copy_(&mask.narrow(0, start, n)?.view(own.sizes())?)?;
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
