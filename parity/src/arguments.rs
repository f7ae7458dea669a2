//! The arguments of a Python function by name, as the types of Rust take them.
//!
//! A value of another type than the one asked for is noted, in PyTorch's words where it has some, and the default stands in for it, so
//! that a call can be written without looking at each argument; whoever makes it asks [`Refusal::take`] afterwards.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use cresset_core::{DType, Error, IntList, Scalar, StorageLayout, Tensor};
use cresset_nn::functional::PaddingMode;
use cresset_nn::{BagMode, OutputSize, Padding, Reduction};

use crate::array::named;
use crate::call::tensor;
use crate::failure::Failure;
use crate::kit::{Pack, Reason};
use crate::value::V;

/// The error for the first argument that had no value of its type.
#[derive(Clone, Debug, Default)]
pub struct Refusal(Rc<RefCell<Option<Error>>>);

impl Refusal {
    /// The error, if there is one.
    pub fn take(&self) -> Option<Error> {
        self.0.take()
    }

    fn note(&self, e: Error) {
        self.0.borrow_mut().get_or_insert(e);
    }
}

/// Arguments by name.
pub struct Arguments<'a> {
    values: BTreeMap<String, V>,
    pack: &'a Pack,
    refusal: Refusal,
}

impl<'a> Arguments<'a> {
    /// Gives the positional ones their names.
    ///
    /// # Errors
    /// When there is no such argument.
    pub fn bind(
        names: &[&str],
        positional: impl Iterator<Item = V>,
        named: impl Iterator<Item = (String, V)>,
        pack: &'a Pack,
    ) -> Result<Arguments<'a>, Reason> {
        let mut values = BTreeMap::new();
        for (i, value) in positional.enumerate() {
            values.insert((*names.get(i).ok_or("too many arguments")?).to_string(), value);
        }
        values.extend(named);
        match values.keys().find(|k| !names.contains(&k.as_str())) {
            Some(key) => Err(format!("no argument {key} here")),
            None => Ok(Arguments { values, pack, refusal: Refusal::default() }),
        }
    }

    /// Notes values of wrong types there.
    pub fn refusing(mut self, refusal: &Refusal) -> Self {
        self.refusal = refusal.clone();
        self
    }

    /// Where values of wrong types are noted.
    pub fn refusal(&self) -> &Refusal {
        &self.refusal
    }

    /// Notes what PyTorch says about an argument that has no place in the types of the function.
    pub fn refuse(&self, e: Error) {
        self.refusal.note(e);
    }

    /// What a name stands for; notes that it stands for nothing.
    fn known<T>(&self, found: cresset_core::Result<T>, default: T) -> T {
        found.unwrap_or_else(|e| {
            self.refusal.note(e);
            default
        })
    }

    fn wrong(&self, name: &str, wanted: &str, v: &V) {
        let got = v.python_type();
        self.refuse(Error::type_error(format!("{name} should be of type {wanted}, got: {got}")));
    }

    /// The value as Python passes it.
    pub fn get(&self, name: &str) -> Option<&V> {
        self.values.get(name)
    }

    /// Refuses values that are not of exactly that type of Python's.
    pub fn exactly(&self, name: &str, wanted: &str) {
        match self.get(name) {
            Some(v) if v.python_type() != wanted => self.wrong(name, wanted, v),
            _ => {}
        }
    }

    /// An integer.
    pub fn int(&self, name: &str, default: i64) -> i64 {
        if self.get(name).is_some_and(V::is_none) {
            self.wrong(name, "int", &V::None);
        }
        self.opt_int(name).unwrap_or(default)
    }

    /// An integer that may be absent.
    pub fn opt_int(&self, name: &str) -> Option<i64> {
        let v = self.get(name).filter(|v| !v.is_none())?;
        if v.integer().is_none() {
            self.wrong(name, "int", v);
        }
        v.integer()
    }

    /// A float.
    pub fn float(&self, name: &str, default: f64) -> f64 {
        self.opt_float(name, Some(default)).unwrap_or(default)
    }

    /// A float that may be `None`.
    pub fn opt_float(&self, name: &str, default: Option<f64>) -> Option<f64> {
        let Some(v) = self.get(name) else { return default };
        if !v.is_none() && v.real().is_none() {
            self.wrong(name, "float", v);
        }
        v.real()
    }

    /// A number that keeps its kind.
    pub fn number(&self, name: &str, default: impl Into<Scalar>) -> Scalar {
        match self.get(name) {
            Some(V::Float(x)) => Scalar::Float(*x),
            Some(V::None) | None => default.into(),
            Some(v) => v.integer().map_or_else(
                || {
                    self.wrong(name, "float", v);
                    default.into()
                },
                Scalar::Int,
            ),
        }
    }

    /// A boolean; other values are as true as Python finds them.
    pub fn flag(&self, name: &str, default: bool) -> bool {
        self.get(name).map_or(default, V::is_true)
    }

    /// One integer or several.
    pub fn ints(&self, name: &str, default: i64) -> IntList {
        self.opt_ints(name).unwrap_or(default.into())
    }

    /// One integer or several, or none.
    pub fn opt_ints(&self, name: &str) -> Option<IntList> {
        match self.get(name)? {
            V::Int(i) => Some((*i).into()),
            V::Ints(list) => Some(list.clone().into()),
            V::List(list) => {
                let ints: Option<Vec<i64>> = list.iter().map(V::integer).collect();
                if ints.is_none() {
                    self.wrong(name, "tuple of ints", &self.values[name]);
                }
                Some(ints?.into())
            }
            V::None => None,
            other => {
                self.wrong(name, "int", other);
                None
            }
        }
    }

    /// The size of an adaptive layer.
    pub fn output_size(&self) -> Result<OutputSize, Reason> {
        match self.get("output_size") {
            Some(V::Int(i)) => Ok((*i).into()),
            Some(V::Ints(list)) => Ok(OutputSize::from(list.iter().copied().map(Some).collect::<Vec<_>>())),
            Some(V::List(list)) => Ok(OutputSize::from(list.iter().map(V::integer).collect::<Vec<_>>())),
            other => Err(format!("output_size: {other:?}")),
        }
    }

    /// One float or several, or none.
    pub fn opt_floats(&self, name: &str) -> Option<Vec<f64>> {
        match self.get(name)? {
            V::Ints(list) => Some(list.iter().map(|i| *i as f64).collect()),
            V::List(list) => list.iter().map(V::real).collect(),
            one => one.real().map(|x| vec![x]),
        }
    }

    /// A boolean that may be absent.
    pub fn opt_flag(&self, name: &str) -> Option<bool> {
        self.get(name).filter(|v| !v.is_none()).map(V::is_true)
    }

    /// A text.
    pub fn word(&self, name: &str, default: &str) -> String {
        match self.get(name) {
            Some(V::Str(s)) => s.clone(),
            _ => default.into(),
        }
    }

    /// A function by its name.
    pub fn function(&self, name: &str, default: &str) -> String {
        match self.get(name) {
            Some(V::Function(f) | V::Str(f)) => f.clone(),
            _ => default.into(),
        }
    }

    /// Whether a word is the second of two, `error` being that for any other word.
    pub fn second(&self, name: &str, words: [&str; 2], error: impl FnOnce(&str) -> Error) -> bool {
        let word = self.word(name, words[0]);
        let found = words.iter().position(|w| *w == word).ok_or_else(|| error(&word));
        self.known(found, 0) == 1
    }

    /// The padding of a convolution.
    pub fn padding(&self) -> Padding {
        match self.get("padding") {
            Some(V::Str(name)) => self.known(Padding::parse(name), Padding::Valid),
            _ => Padding::Sizes(self.ints("padding", 0)),
        }
    }

    /// What stands in the padding.
    pub fn padding_mode(&self) -> PaddingMode {
        self.known(PaddingMode::parse(&self.word("padding_mode", "zeros")), PaddingMode::Zeros)
    }

    /// What becomes of the rows of a bag.
    pub fn bag_mode(&self) -> BagMode {
        self.known(BagMode::parse(&self.word("mode", "mean")), BagMode::Mean)
    }

    /// What becomes of losses.
    pub fn reduction(&self) -> Reduction {
        self.known(Reduction::parse(&self.word("reduction", "mean")), Reduction::Mean)
    }

    /// What becomes of losses, for the functions that say less about a name that stands for nothing.
    pub fn reduction_briefly(&self) -> Reduction {
        let name = self.word("reduction", "mean");
        let found = Reduction::parse(&name).map_err(|_| Error::value(format!("{name} is not valid")));
        self.known(found, Reduction::Mean)
    }

    /// A dtype that may be absent.
    pub fn dtype(&self, name: &str) -> Option<DType> {
        match self.get(name)? {
            V::DType(dtype) => named(dtype).ok(),
            _ => None,
        }
    }

    /// A layout.
    pub fn layout(&self, name: &str) -> StorageLayout {
        match self.get(name) {
            Some(V::Layout(layout)) if layout == "sparse_coo" => StorageLayout::SparseCoo,
            _ => StorageLayout::Strided,
        }
    }

    /// A tensor that must be there.
    ///
    /// # Errors
    /// [`Failure::Argument`] when there is none.
    pub fn given(&self, name: &str) -> Result<Tensor, Failure> {
        let text = match self.get(name) {
            Some(V::Tensor(reference)) => return Ok(tensor(reference, self.pack)?),
            Some(v) => format!("argument '{name}' must be Tensor, not {}", v.python_type()),
            None => format!("missing 1 required positional argument: '{name}'"),
        };
        Err(Failure::Argument(Error::type_error(text)))
    }

    /// A tensor that may be absent.
    pub fn tensor(&self, name: &str) -> Result<Option<Tensor>, Reason> {
        match self.get(name) {
            Some(V::Tensor(reference)) => tensor(reference, self.pack).map(Some),
            _ => Ok(None),
        }
    }
}
