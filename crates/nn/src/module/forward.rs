//! The call of a module that takes one tensor and returns one.

use std::sync::Arc;

use cresset_core::{Result, Tensor};

use super::Module;

/// A computation from one tensor to one tensor.
///
/// It is apart from [`Module`] because recurrent and attention layers have other signatures; those have a `forward` of
/// their own.
pub trait Forward {
    /// Computes the output.
    ///
    /// # Errors
    /// As the type says; wrong shapes have PyTorch's text.
    fn forward(&self, input: &Tensor) -> Result<Tensor>;
}

/// A module that goes into a [`Sequential`](super::Sequential).
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be a layer of a `Sequential`",
    note = "a layer implements `Forward` and derives `Clone`, `Debug` and `Module`"
)]
pub trait Layer: Module + Forward + std::fmt::Debug {
    /// Its clone.
    fn clone_layer(&self) -> Arc<dyn Layer>;
}

impl<T: Module + Forward + std::fmt::Debug + Clone + 'static> Layer for T {
    fn clone_layer(&self) -> Arc<dyn Layer> {
        Arc::new(self.clone())
    }
}

impl<T: Forward + ?Sized> Forward for Box<T> {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        (**self).forward(input)
    }
}

impl<T: Forward + ?Sized> Forward for Arc<T> {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        (**self).forward(input)
    }
}

impl<T: Forward> Forward for Option<T> {
    /// `None` passes the input through.
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        self.as_ref().map_or_else(|| Ok(input.clone()), |layer| layer.forward(input))
    }
}
