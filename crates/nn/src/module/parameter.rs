//! What a module holds besides other modules: parameters, buffers, and whether it trains.

use std::fmt;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};

use cresset_core::{Result, Tensor};

use super::copying::clone_of;

/// A tensor that is trained, as `torch.nn.Parameter`: it requires gradients and is found by the module that holds it.
///
/// It is used as the tensor that it is. Clones are the same parameter, but for those of [`Module::deep_copy`](super::Module::deep_copy).
///
/// ```
/// # use cresset_nn::{Linear, Parameter};
/// # use cresset_core::{Result, ops, tensor};
/// # fn main() -> Result<()> {
/// let scale = Parameter::new(ops::ones([3])?)?;
/// assert!(scale.requires_grad());
/// assert!(scale.mul_scalar(2)?.sum()?.requires_grad()); // a tensor in all else
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Parameter(Tensor);

impl Clone for Parameter {
    fn clone(&self) -> Self {
        Parameter(clone_of(&self.0))
    }
}

impl Parameter {
    /// A parameter with the elements of `data`; it requires gradients if its dtype can have them.
    ///
    /// # Errors
    /// `Runtime` when `data` has a history and therefore is not a leaf.
    pub fn new(data: Tensor) -> Result<Parameter> {
        let on = data.is_floating_point() || data.is_complex();
        data.set_requires_grad(on)?;
        Ok(Parameter(data))
    }
}

impl Parameter {
    /// A tensor in the place of a parameter: computed from others, with a history.
    pub(crate) fn computed(tensor: Tensor) -> Parameter {
        Parameter(tensor)
    }
}

impl Deref for Parameter {
    type Target = Tensor;
    fn deref(&self) -> &Tensor {
        &self.0
    }
}

impl From<Parameter> for Tensor {
    fn from(parameter: Parameter) -> Tensor {
        parameter.0
    }
}

impl From<&Parameter> for Tensor {
    fn from(parameter: &Parameter) -> Tensor {
        parameter.0.clone()
    }
}

/// A tensor that belongs to a module's state but is not trained, such as running statistics.
///
/// ```
/// # use cresset_nn::{Buffer, Module};
/// # use cresset_core::{Result, ops};
/// # fn main() -> Result<()> {
/// #[derive(Debug, Module)]
/// struct Counter {
///     steps: Buffer,   // in the state_dict
///     scratch: Buffer, // not in it
/// }
///
/// let counter = Counter { steps: Buffer::new(ops::zeros([])?), scratch: Buffer::transient(ops::zeros([8])?) };
/// assert_eq!(counter.state_dict().keys().collect::<Vec<_>>(), ["steps"]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Buffer {
    tensor: Tensor,
    persistent: bool,
    optional: bool,
}

impl Clone for Buffer {
    fn clone(&self) -> Self {
        Buffer { tensor: clone_of(&self.tensor), ..*self }
    }
}

impl Buffer {
    /// A buffer that is part of the `state_dict`.
    pub fn new(tensor: Tensor) -> Buffer {
        Buffer { tensor, persistent: true, optional: false }
    }

    /// A buffer that moves with the module but is not part of the `state_dict`.
    pub fn transient(tensor: Tensor) -> Buffer {
        Buffer { tensor, persistent: false, optional: false }
    }

    /// A buffer that older files lack: when they are loaded it keeps its value.
    pub fn optional(tensor: Tensor) -> Buffer {
        Buffer { tensor, persistent: true, optional: true }
    }

    /// Whether it is part of the `state_dict`.
    pub fn is_persistent(&self) -> bool {
        self.persistent
    }

    /// Whether a `state_dict` without it is complete.
    pub fn is_optional(&self) -> bool {
        self.optional
    }
}

impl Deref for Buffer {
    type Target = Tensor;
    fn deref(&self) -> &Tensor {
        &self.tensor
    }
}

/// Whether a module is in training mode; `train` and `eval` of any module above it set it.
pub struct Training {
    on: AtomicBool,
    /// Whether running statistics average over all batches, whatever their momentum.
    cumulative: AtomicBool,
}

impl Training {
    /// In training mode.
    pub fn new() -> Training {
        Training { on: AtomicBool::new(true), cumulative: AtomicBool::new(false) }
    }

    /// Whether it is in training mode.
    pub fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// Switches training mode on or off.
    pub fn set(&self, on: bool) {
        self.on.store(on, Ordering::Relaxed);
    }

    pub(crate) fn is_cumulative(&self) -> bool {
        self.cumulative.load(Ordering::Relaxed)
    }

    pub(crate) fn set_cumulative(&self, on: bool) {
        self.cumulative.store(on, Ordering::Relaxed);
    }
}

impl Default for Training {
    fn default() -> Self {
        Training::new()
    }
}

impl Clone for Training {
    fn clone(&self) -> Self {
        let copy = Training::new();
        copy.set(self.is_on());
        copy.set_cumulative(self.is_cumulative());
        copy
    }
}

impl fmt::Debug for Training {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.is_on())
    }
}
