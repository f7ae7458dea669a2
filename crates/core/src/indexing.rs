//! Python's square brackets: `x.i((.., 1..3, -1, NewAxis, &mask))` reads what `x[:, 1:3, -1, None, mask]` does, and
//! `x.set(index, value)` writes there.
//!
//! Integers and ranges make views; tensors of indices and masks make copies. As in PyTorch an integer takes its
//! dimension away before the tensors are looked at. Rust's `..` is Python's `:`; Python's `...` is [`Ellipsis`].

use std::ops::{Range, RangeFrom, RangeFull, RangeInclusive, RangeTo, RangeToInclusive};

use crate::ops::{index_put, index_tensor, select, slice, unsqueeze};
use crate::{DType, Result, Scalar, Tensor, bail, ensure};

/// What stands for one or more dimensions between the brackets.
#[derive(Clone, Debug)]
pub enum Index {
    /// One position, negative ones from the end; the dimension goes.
    At(i64),
    /// A Python slice.
    Slice {
        /// The first position; from the beginning if absent.
        start: Option<i64>,
        /// The position before which it ends; at the end if absent.
        end: Option<i64>,
        /// The distance of positions, at least 1.
        step: i64,
    },
    /// A new dimension of size 1.
    NewAxis,
    /// As many whole dimensions as are left.
    Ellipsis,
    /// Positions (`int64`, `int32`) or a mask (`bool`).
    Tensor(Tensor),
    /// A new dimension, of size 1 or 0.
    Bool(bool),
}

/// A new dimension of size 1: Python's `None`.
#[derive(Clone, Copy, Debug)]
pub struct NewAxis;

/// As many whole dimensions as are left: Python's `...`.
#[derive(Clone, Copy, Debug)]
pub struct Ellipsis;

/// Every `step`-th position of a range: `every(1..9, 2)` is Python's `1:9:2`.
pub fn every(range: impl Into<Index>, step: i64) -> Index {
    match range.into() {
        Index::Slice { start, end, .. } => Index::Slice { start, end, step },
        other => other,
    }
}

fn part(start: Option<i64>, end: Option<i64>) -> Index {
    Index::Slice { start, end, step: 1 }
}

/// The end after an included last position; -1 is the last one of all.
fn past(last: i64) -> Option<i64> {
    if last == -1 { None } else { last.checked_add(1) }
}

macro_rules! index_from {
    ($($ty:ty => |$x:ident| $e:expr;)*) => {
        $(impl From<$ty> for Index { fn from($x: $ty) -> Index { $e } })*
    };
}

index_from! {
    i64 => |i| Index::At(i);
    i32 => |i| Index::At(i.into());
    usize => |i| Index::At(i as i64);
    bool => |b| Index::Bool(b);
    NewAxis => |_x| Index::NewAxis;
    Ellipsis => |_x| Index::Ellipsis;
    RangeFull => |_r| part(None, None);
    Range<i64> => |r| part(Some(r.start), Some(r.end));
    RangeFrom<i64> => |r| part(Some(r.start), None);
    RangeTo<i64> => |r| part(None, Some(r.end));
    RangeInclusive<i64> => |r| part(Some(*r.start()), past(*r.end()));
    RangeToInclusive<i64> => |r| part(None, past(r.end));
    Tensor => |t| Index::Tensor(t);
    &Tensor => |t| Index::Tensor(t.clone());
    &Index => |i| i.clone();
}

/// One index or a tuple of them.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot index a tensor",
    note = "use an integer, a range of i64, `..`, `NewAxis`, `Ellipsis`, a tensor, `every(range, step)`, or a tuple of them"
)]
pub trait Indices {
    /// The indices in order.
    fn indices(self) -> Vec<Index>;
}

impl<T: Into<Index>> Indices for T {
    fn indices(self) -> Vec<Index> {
        vec![self.into()]
    }
}

impl Indices for &[Index] {
    fn indices(self) -> Vec<Index> {
        self.to_vec()
    }
}

impl Indices for Vec<Index> {
    fn indices(self) -> Vec<Index> {
        self
    }
}

macro_rules! tuples {
    ($(($($name:ident)*))*) => {
        $(impl<$($name: Into<Index>),*> Indices for ($($name,)*) {
            #[allow(non_snake_case)]
            fn indices(self) -> Vec<Index> {
                let ($($name,)*) = self;
                vec![$($name.into()),*]
            }
        })*
    };
}
tuples! { (A) (A B) (A B C) (A B C D) (A B C D E) (A B C D E F) (A B C D E F G) (A B C D E F G H) }

/// What is written to indexed places: a tensor that broadcasts, or a number.
#[derive(Clone, Debug)]
pub enum Content {
    /// A tensor of the same dtype where tensors index, of any dtype elsewhere.
    Tensor(Tensor),
    /// A number.
    Scalar(Scalar),
}

impl From<Tensor> for Content {
    fn from(t: Tensor) -> Content {
        Content::Tensor(t)
    }
}

impl From<&Tensor> for Content {
    fn from(t: &Tensor) -> Content {
        Content::Tensor(t.clone())
    }
}

macro_rules! content_from {
    ($($ty:ty)*) => { $(impl From<$ty> for Content { fn from(x: $ty) -> Content { Content::Scalar(x.into()) } })* };
}
content_from! { bool i32 i64 f32 f64 crate::C64 Scalar }

impl Tensor {
    /// The elements at `index`, as Python's `x[index]`: a view if no tensor indexes.
    ///
    /// # Errors
    /// `Index` when a position or the number of indices is out of range.
    pub fn get(&self, index: impl Indices) -> Result<Tensor> {
        let (view, tensors) = sliced(self, index.indices())?;
        if tensors.is_empty() { Ok(view) } else { index_tensor::call(&view, &tensors) }
    }

    /// [`Tensor::get`] for where the index is right by construction.
    ///
    /// # Panics
    /// Where `get` is an error, with its message.
    #[track_caller]
    pub fn i(&self, index: impl Indices) -> Tensor {
        match self.get(index) {
            Ok(t) => t,
            Err(e) => panic!("{e}"),
        }
    }

    /// Overwrites the elements at `index`, as Python's `x[index] = value`; `value` broadcasts.
    ///
    /// # Errors
    /// As [`Tensor::get`], and `Runtime` when the shape of `value` does not broadcast.
    pub fn set(&self, index: impl Indices, value: impl Into<Content>) -> Result<()> {
        let (view, tensors) = sliced(self, index.indices())?;
        let value = match value.into() {
            Content::Tensor(t) => t,
            Content::Scalar(s) => Tensor::scalar(s, self.dtype())?,
        };
        if tensors.is_empty() {
            view.copy_(&without_leading_ones(&value, view.dim())?)?;
        } else {
            index_put::call_(&view, &tensors, &value, false)?;
        }
        Ok(())
    }
}

/// The value without dimensions of size 1 that the target has not.
fn without_leading_ones(value: &Tensor, dims: usize) -> Result<Tensor> {
    let sizes = value.sizes();
    let extra = sizes.len().saturating_sub(dims);
    let ones = sizes[..extra].iter().take_while(|n| **n == 1).count();
    if ones == 0 { Ok(value.clone()) } else { value.reshape(&sizes[ones..]) }
}

/// How many dimensions an index is for.
fn consumed(index: &Index) -> usize {
    match index {
        Index::At(_) | Index::Slice { .. } => 1,
        Index::NewAxis | Index::Ellipsis | Index::Bool(_) => 0,
        Index::Tensor(t) if is_mask(t) => t.dim(),
        Index::Tensor(_) => 1,
    }
}

fn is_mask(t: &Tensor) -> bool {
    matches!(t.dtype(), DType::Bool | DType::U8)
}

/// The view that integers and ranges make, and the tensors left to index it with, by dimension.
fn sliced(this: &Tensor, indices: Vec<Index>) -> Result<(Tensor, Vec<Option<Tensor>>)> {
    let n = this.dim();
    let used: usize = indices.iter().map(consumed).sum();
    ensure!(used <= n, Index, "too many indices for tensor of dimension {n}");
    let (mut view, mut dim, mut tensors) = (this.clone(), 0, Vec::new());
    for index in indices {
        match index {
            Index::At(i) => view = at(&view, dim, i)?,
            Index::Slice { start, end, step } => {
                ensure!(step > 0, Value, "step must be greater than zero");
                view = slice::call(&view, dim as i64, start, end, step)?;
                dim += 1;
            }
            Index::Ellipsis => dim += n - used,
            Index::NewAxis => {
                view = unsqueeze::call(&view, dim as i64)?;
                dim += 1;
            }
            Index::Bool(b) => dim = record(&mut view, dim, truth(b)?, &mut tensors)?,
            Index::Tensor(t) if t.dim() == 0 && is_mask(&t) => {
                dim = record(&mut view, dim, truth(t.item()?.to_bool())?, &mut tensors)?;
            }
            Index::Tensor(t) if t.dim() == 0 && t.dtype().is_integral_or_bool() => {
                view = at(&view, dim, t.item()?.to_i64())?;
            }
            Index::Tensor(t) => {
                tensors.resize(dim, None);
                dim += if is_mask(&t) { t.dim() } else { 1 };
                tensors.push(Some(t));
            }
        }
    }
    Ok((view, tensors))
}

/// Adds a dimension that a boolean keeps or empties.
fn record(
    view: &mut Tensor,
    dim: usize,
    positions: Tensor,
    tensors: &mut Vec<Option<Tensor>>,
) -> Result<usize> {
    *view = unsqueeze::call(view, dim as i64)?;
    tensors.resize(dim, None);
    tensors.push(Some(positions));
    Ok(dim + 1)
}

fn truth(b: bool) -> Result<Tensor> {
    Tensor::from_slice(if b { &[0_i64][..] } else { &[] }, [i64::from(b)])
}

fn at(view: &Tensor, dim: usize, i: i64) -> Result<Tensor> {
    ensure!(
        view.dim() > 0,
        Index,
        "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ to convert a 0-dim tensor to a number"
    );
    let size = view.sizes()[dim];
    if i < -size || i >= size {
        bail!(Index, "index {i} is out of bounds for dimension {dim} with size {size}");
    }
    select::call(view, dim as i64, i)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cube() -> Tensor {
        crate::ops::arange(24).unwrap().reshape([2, 3, 4]).unwrap()
    }

    fn ints(t: &Tensor) -> Vec<i64> {
        t.to_vec().unwrap()
    }

    #[test]
    fn integers_and_ranges_make_views() {
        let x = cube();
        assert_eq!(ints(&x.i((1, -1, ..))), [20, 21, 22, 23]);
        assert_eq!(ints(&x.i((.., 1..3, -1))), [7, 11, 19, 23]);
        assert_eq!(ints(&x.i((0, every(.., 2), every(1.., 2)))), [1, 3, 9, 11]);
        assert_eq!(ints(&x.i((Ellipsis, 0))), [0, 4, 8, 12, 16, 20]);
        assert_eq!(x.i((.., NewAxis, ..=1, 0)).sizes().as_slice(), [2, 1, 2]);
        assert!(x.i(0).shares_storage_with(&x));
    }

    #[test]
    fn tensors_and_masks_choose_elements() {
        let x = cube();
        let rows = crate::tensor![2, 0];
        assert_eq!(ints(&x.i((0, &rows, 1))), [9, 1]);
        assert_eq!(x.i((&crate::tensor![0, 1], .., &crate::tensor![0, 1])).sizes().as_slice(), [2, 3]);
        let mask = crate::tensor![[true, false, false], [false, true, true]];
        assert_eq!(ints(&x.i((&mask, 0))), [0, 16, 20]);
        assert_eq!(x.i(true).sizes().as_slice(), [1, 2, 3, 4]);
        assert_eq!(x.i(false).sizes().as_slice(), [0, 2, 3, 4]);
    }

    #[test]
    fn assignment_writes_through() {
        let x = cube();
        x.set((0, .., 0), 100).unwrap();
        x.set((1, &crate::tensor![0, 2]), -1).unwrap();
        x.set((1, 1), crate::tensor![[[7, 8, 9, 10]]]).unwrap();
        assert_eq!(ints(&x.i((.., .., 0))), [100, 100, 100, -1, 7, -1]);
        let mask = crate::tensor![false, true];
        x.set(&mask, 0).unwrap();
        assert_eq!(ints(&x.i((1, 1))), [0; 4]);
    }

    #[test]
    fn errors_are_those_of_pytorch() {
        let x = cube();
        let message = |r: Result<Tensor>| r.err().map(|e| e.message().to_owned()).unwrap_or_default();
        assert_eq!(message(x.get(5)), "index 5 is out of bounds for dimension 0 with size 2");
        assert_eq!(message(x.get((0, 0, 0, 0))), "too many indices for tensor of dimension 3");
        assert_eq!(message(x.get(every(.., -1))), "step must be greater than zero");
        assert_eq!(message(x.get(crate::tensor![3])), "index 3 is out of bounds for dimension 0 with size 2");
    }
}
