//! Datasets side by side.

use cresset_core::{Result, ensure};

use crate::Dataset;

/// Datasets of equal length side by side: a sample is the tuple of theirs, as `torch.utils.data.StackDataset`.
#[derive(Clone, Debug)]
pub struct StackDataset<T>(T);

macro_rules! stacks {
    ($(($($D:ident $at:tt),*);)*) => {$(
        impl<$($D: Dataset),*> StackDataset<($($D,)*)> {
            /// The datasets of a tuple side by side.
            ///
            /// # Errors
            /// `Value` unless they have the same length.
            pub fn new(datasets: ($($D,)*)) -> Result<Self> {
                let lengths = [$(datasets.$at.len()),*];
                ensure!(lengths.iter().all(|n| *n == lengths[0]), Value, "Size mismatch between datasets");
                Ok(StackDataset(datasets))
            }
        }

        impl<$($D: Dataset),*> Dataset for StackDataset<($($D,)*)> {
            type Sample = ($($D::Sample,)*);

            fn len(&self) -> usize {
                (self.0).0.len()
            }

            fn get(&self, index: usize) -> Result<Self::Sample> {
                Ok(($((self.0).$at.get(index)?,)*))
            }
        }
    )*};
}

// The constructors differ by the type of the tuple only.
stacks! {
    (A 0, B 1);
    (A 0, B 1, C 2);
    (A 0, B 1, C 2, D 3);
}
