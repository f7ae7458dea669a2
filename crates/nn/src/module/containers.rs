//! Modules that hold modules or parameters: `Sequential`, lists and dictionaries.

use std::fmt;
use std::sync::Arc;

use cresset_core::{Result, Tensor, ensure};

use super::copying::is_deep;
use super::{Forward, Layer, Module, Parameter, Visitor};

/// Layers that run one after the other, as `torch.nn.Sequential`; named `0`, `1`, … unless names are given.
///
/// The macro [`sequential!`](crate::sequential) lists them.
///
/// Clones have the same layers.
///
/// ```
/// # use cresset_nn::{Forward, Linear, ReLU, sequential};
/// # use cresset_core::{Result, ops};
/// # fn main() -> Result<()> {
/// let model = sequential![Linear::new(8, 16)?, ReLU::new(), Linear::new(16, 2)?];
/// assert_eq!(model.forward(&ops::randn([4, 8])?)?.sizes()[..], [4, 2]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct Sequential {
    layers: Vec<(String, Arc<dyn Layer>)>,
}

impl Clone for Sequential {
    fn clone(&self) -> Self {
        let layer = |layer: &Arc<dyn Layer>| if is_deep() { (**layer).clone_layer() } else { layer.clone() };
        Sequential { layers: self.layers.iter().map(|(name, l)| (name.clone(), layer(l))).collect() }
    }
}

impl Sequential {
    /// Without layers: the output is the input.
    pub fn new() -> Sequential {
        Sequential::default()
    }

    /// Adds a layer at the end, named by its position.
    #[must_use]
    pub fn push(self, layer: impl Layer + 'static) -> Sequential {
        let name = self.layers.len().to_string();
        self.push_named(name, layer)
    }

    /// Adds a layer at the end under a name; a name that is taken has its layer replaced.
    #[must_use]
    pub fn push_named(mut self, name: impl Into<String>, layer: impl Layer + 'static) -> Sequential {
        let (name, layer): (String, Arc<dyn Layer>) = (name.into(), Arc::new(layer));
        match self.layers.iter_mut().find(|(n, _)| *n == name) {
            Some(entry) => entry.1 = layer,
            None => self.layers.push((name, layer)),
        }
        self
    }

    /// Adds a layer at the end of one that exists, as [`Sequential::push`].
    pub fn append(&mut self, layer: impl Layer + 'static) {
        *self = std::mem::take(self).push(layer);
    }

    /// Adds the layers of another at the end, named by their positions here.
    pub fn extend(&mut self, other: Sequential) {
        for (_, layer) in other.layers {
            self.layers.push((self.layers.len().to_string(), layer));
        }
    }

    /// Puts a layer before that at `index`, which may be negative; layers that are named by their positions move on.
    ///
    /// # Errors
    /// `Index` for a position that is not there.
    pub fn insert(&mut self, index: i64, layer: impl Layer + 'static) -> Result<()> {
        let n = self.layers.len() as i64;
        ensure!((-n..=n).contains(&index), Index, "Index out of range: {index}");
        let at = if index < 0 { index + n } else { index } as usize;
        for i in at..self.layers.len() {
            if self.layers[i].0 == i.to_string() {
                self.layers[i].0 = (i + 1).to_string();
            }
        }
        self.layers.insert(at, (at.to_string(), Arc::new(layer)));
        Ok(())
    }

    /// Replaces the layer at `index`, which may be negative (`model[index] = layer`); its name stays.
    ///
    /// ```
    /// # use cresset_nn::{Linear, Module, ReLU, sequential};
    /// # fn main() -> cresset_core::Result<()> {
    /// let mut model = sequential![Linear::new(8, 16)?, ReLU::new(), Linear::new(16, 1000)?];
    /// model.set(-1, Linear::new(16, 10)?)?; // other classes
    /// assert!(model.repr().contains("(2): Linear(in_features=16, out_features=10, bias=True)"));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Index` for a position that is not there.
    pub fn set(&mut self, index: i64, layer: impl Layer + 'static) -> Result<()> {
        let at = self.position(index)?;
        self.layers[at].1 = Arc::new(layer);
        Ok(())
    }

    /// Takes the layer at `index`, which may be negative, out; those that are left are named by their positions.
    ///
    /// # Errors
    /// `Index` for a position that is not there.
    pub fn pop(&mut self, index: i64) -> Result<Arc<dyn Layer>> {
        let (_, layer) = self.layers.remove(self.position(index)?);
        self.layers.iter_mut().enumerate().for_each(|(i, (name, _))| *name = i.to_string());
        Ok(layer)
    }

    fn position(&self, index: i64) -> Result<usize> {
        let n = self.layers.len() as i64;
        ensure!((-n..n).contains(&index), Index, "index {index} is out of range");
        Ok(index.rem_euclid(n) as usize)
    }

    /// The layers of a range with their names (`model[:3]`), not copied; what lies outside is left out.
    #[must_use]
    pub fn slice(&self, range: std::ops::Range<usize>) -> Sequential {
        let layers = self.layers.iter().take(range.end).skip(range.start).cloned().collect();
        Sequential { layers }
    }

    /// The layer at that position.
    pub fn get(&self, index: usize) -> Option<&dyn Layer> {
        self.layers.get(index).map(|(_, layer)| &**layer)
    }

    /// Number of layers.
    pub fn len(&self) -> usize {
        self.layers.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.layers.is_empty()
    }

    /// The layers in order.
    pub fn iter(&self) -> impl Iterator<Item = &dyn Layer> {
        self.layers.iter().map(|(_, layer)| &**layer)
    }
}

impl Module for Sequential {
    fn visit<'a>(&'a self, visitor: &mut Visitor<'a>) {
        for (name, layer) in &self.layers {
            visitor.children.push((name.clone(), layer));
        }
    }

    fn name(&self) -> String {
        "Sequential".into()
    }
}

impl Forward for Sequential {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        let mut x = input.clone();
        for (_, layer) in &self.layers {
            x = layer.forward(&x)?;
        }
        Ok(x)
    }
}

impl fmt::Display for Sequential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repr())
    }
}

/// A [`Sequential`](crate::Sequential) of the listed layers.
#[macro_export]
macro_rules! sequential {
    ($($layer:expr),* $(,)?) => { $crate::Sequential::new()$(.push($layer))* };
}

/// A list of modules is PyTorch's `ModuleList`: its members are named `0`, `1`, ….
impl<M: Module> Module for Vec<M> {
    fn visit<'a>(&'a self, visitor: &mut Visitor<'a>) {
        for (i, module) in self.iter().enumerate() {
            visitor.children.push((i.to_string(), module));
        }
    }

    fn name(&self) -> String {
        "ModuleList".into()
    }

    fn is_list(&self) -> bool {
        true
    }
}

/// Modules by name, in the order of insertion, as `torch.nn.ModuleDict`.
///
/// ```
/// # use cresset_nn::{Forward, Linear, Module, ModuleDict};
/// # use cresset_core::{Result, ops};
/// # fn main() -> Result<()> {
/// let heads: ModuleDict<Linear> =
///     [("age", Linear::new(8, 1)?), ("name", Linear::new(8, 30)?)].into_iter().collect();
/// let age = heads.get("age").unwrap().forward(&ops::randn([2, 8])?)?;
/// assert_eq!((age.sizes()[1], heads.state_dict().len()), (1, 4));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct ModuleDict<M>(Vec<(String, M)>);

impl<M> ModuleDict<M> {
    /// The module of that name.
    pub fn get(&self, name: &str) -> Option<&M> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, m)| m)
    }

    /// Adds a module, or replaces that of the same name.
    pub fn insert(&mut self, name: impl Into<String>, module: M) {
        let name = name.into();
        match self.0.iter_mut().find(|(n, _)| *n == name) {
            Some((_, m)) => *m = module,
            None => self.0.push((name, module)),
        }
    }

    /// Takes a module out.
    pub fn remove(&mut self, name: &str) -> Option<M> {
        let at = self.0.iter().position(|(n, _)| n == name)?;
        Some(self.0.remove(at).1)
    }

    /// The names, in order.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(n, _)| n.as_str())
    }

    /// The modules, in order.
    pub fn values(&self) -> impl Iterator<Item = &M> {
        self.0.iter().map(|(_, m)| m)
    }

    /// Number of modules.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The modules with their names, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &M)> {
        self.0.iter().map(|(n, m)| (n.as_str(), m))
    }
}

impl<M> Default for ModuleDict<M> {
    fn default() -> Self {
        ModuleDict(Vec::new())
    }
}

impl<N: Into<String>, M> FromIterator<(N, M)> for ModuleDict<M> {
    fn from_iter<I: IntoIterator<Item = (N, M)>>(entries: I) -> Self {
        let mut dict = ModuleDict::default();
        entries.into_iter().for_each(|(name, module)| dict.insert(name, module));
        dict
    }
}

impl<M: Module> Module for ModuleDict<M> {
    fn visit<'a>(&'a self, visitor: &mut Visitor<'a>) {
        for (name, module) in &self.0 {
            visitor.children.push((name.clone(), module));
        }
    }

    fn name(&self) -> String {
        "ModuleDict".into()
    }
}

/// Parameters named `0`, `1`, …, as `torch.nn.ParameterList`.
#[derive(Clone, Debug, Default)]
pub struct ParameterList(pub Vec<Parameter>);

impl Module for ParameterList {
    fn visit<'a>(&'a self, visitor: &mut Visitor<'a>) {
        for (i, parameter) in self.0.iter().enumerate() {
            visitor.parameters.push((i.to_string(), parameter));
        }
    }

    fn name(&self) -> String {
        "ParameterList".into()
    }

    fn extra_repr(&self) -> String {
        let line = |(i, p): (usize, &Parameter)| format!("  ({i}): {}", describe(p));
        self.0.iter().enumerate().map(line).collect::<Vec<_>>().join("\n")
    }
}

/// Parameters by name, in the order of insertion, as `torch.nn.ParameterDict`.
#[derive(Clone, Debug, Default)]
pub struct ParameterDict(pub Vec<(String, Parameter)>);

impl ParameterDict {
    /// The parameter of that name.
    pub fn get(&self, name: &str) -> Option<&Parameter> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, p)| p)
    }
}

impl<N: Into<String>> Extend<(N, Parameter)> for ParameterDict {
    /// Adds parameters, or replaces those of the same names.
    fn extend<I: IntoIterator<Item = (N, Parameter)>>(&mut self, entries: I) {
        for (name, parameter) in entries {
            let name = name.into();
            match self.0.iter_mut().find(|(n, _)| *n == name) {
                Some((_, p)) => *p = parameter,
                None => self.0.push((name, parameter)),
            }
        }
    }
}

impl Module for ParameterDict {
    fn visit<'a>(&'a self, visitor: &mut Visitor<'a>) {
        visitor.parameters.extend(self.0.iter().map(|(name, parameter)| (name.clone(), parameter)));
    }

    fn name(&self) -> String {
        "ParameterDict".into()
    }

    fn extra_repr(&self) -> String {
        let line = |(name, p): &(String, Parameter)| format!("  ({name}): {}", describe(p));
        self.0.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

fn describe(p: &Parameter) -> String {
    let sizes: Vec<String> = p.sizes().iter().map(i64::to_string).collect();
    format!("Parameter containing: [torch.{} of size {}]", p.dtype().name(), sizes.join("x"))
}
