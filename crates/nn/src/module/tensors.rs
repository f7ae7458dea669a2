//! [`Tensors`]: the tensors of an argument list or of a result, whatever their arrangement.

use cresset_core::{Result, Tensor, ensure};

use crate::utils::rnn::PackedSequence;

/// Tensors in some arrangement: one, an optional one, a tuple, a list or an array of arrangements.
///
/// Hooks see the tensors one after the other and may replace them; the arrangement stays.
pub trait Tensors: Sized {
    /// Appends handles to the tensors, in order.
    fn collect(&self, all: &mut Vec<Tensor>);

    /// The same arrangement with the next tensors of `new`; those that are left where `new` ends.
    #[must_use]
    fn replace(self, new: &mut dyn Iterator<Item = Tensor>) -> Self;

    /// Handles to the tensors, in order.
    fn tensors(&self) -> Vec<Tensor> {
        let mut all = Vec::new();
        self.collect(&mut all);
        all
    }

    /// The same arrangement with other tensors.
    ///
    /// # Errors
    /// `Type` unless there are as many as before.
    fn with_tensors(self, new: Vec<Tensor>) -> Result<Self> {
        let n = self.tensors().len();
        ensure!(new.len() == n, Type, "a hook returned {} tensors in place of {n}", new.len());
        Ok(self.replace(&mut new.into_iter()))
    }
}

impl Tensors for Tensor {
    fn collect(&self, all: &mut Vec<Tensor>) {
        all.push(self.clone());
    }

    fn replace(self, new: &mut dyn Iterator<Item = Tensor>) -> Self {
        new.next().unwrap_or(self)
    }
}

impl Tensors for PackedSequence {
    fn collect(&self, all: &mut Vec<Tensor>) {
        all.push(self.data.clone());
    }

    fn replace(self, new: &mut dyn Iterator<Item = Tensor>) -> Self {
        PackedSequence { data: self.data.replace(new), ..self }
    }
}

impl<T: Tensors> Tensors for Option<T> {
    fn collect(&self, all: &mut Vec<Tensor>) {
        self.iter().for_each(|t| t.collect(all));
    }

    fn replace(self, new: &mut dyn Iterator<Item = Tensor>) -> Self {
        self.map(|t| t.replace(new))
    }
}

impl<T: Tensors> Tensors for Vec<T> {
    fn collect(&self, all: &mut Vec<Tensor>) {
        self.iter().for_each(|t| t.collect(all));
    }

    fn replace(self, new: &mut dyn Iterator<Item = Tensor>) -> Self {
        self.into_iter().map(|t| t.replace(new)).collect()
    }
}

impl<T: Tensors, const N: usize> Tensors for [T; N] {
    fn collect(&self, all: &mut Vec<Tensor>) {
        self.iter().for_each(|t| t.collect(all));
    }

    fn replace(self, new: &mut dyn Iterator<Item = Tensor>) -> Self {
        self.map(|t| t.replace(new))
    }
}

macro_rules! tuples {
    ($($($name:ident $i:tt),*;)*) => { $(
        impl<$($name: Tensors),*> Tensors for ($($name,)*) {
            fn collect(&self, all: &mut Vec<Tensor>) {
                $(self.$i.collect(all);)*
            }

            fn replace(self, new: &mut dyn Iterator<Item = Tensor>) -> Self {
                ($(self.$i.replace(new),)*)
            }
        }
    )* };
}

tuples! {
    A 0;
    A 0, B 1;
    A 0, B 1, C 2;
    A 0, B 1, C 2, D 3;
    A 0, B 1, C 2, D 3, E 4;
}
