//! Layers that learn the size of their input from the first one: [`Lazy`] and its forms.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use cresset_core::{IntList, Result, Tensor, bail};

use super::{
    BatchNorm, BatchNormOptions, Conv, ConvOptions, ConvTranspose, ConvTransposeOptions, InstanceNorm,
    InstanceNormOptions, Linear, LinearOptions,
};
use crate::module::{Forward, Module, Visitor};

/// Makes the layer for an input.
type Make<L> = dyn Fn(&Tensor) -> Result<L> + Send + Sync;

/// A layer without its size, as `torch.nn.LazyLinear` and its kin: the first input decides it, and from then on this is
/// that layer. Until then it has no parameters.
pub struct Lazy<L> {
    layer: OnceLock<L>,
    make: Arc<Make<L>>,
    /// Held while the layer is made, so that one thread makes it.
    making: Mutex<()>,
    /// The printed form before the first input: name and settings.
    text: (String, String),
}

/// [`Linear`] that learns `in_features`.
pub type LazyLinear = Lazy<Linear>;
/// [`Conv1d`](super::Conv1d) that learns `in_channels`.
pub type LazyConv1d = Lazy<Conv<1>>;
/// [`Conv2d`](super::Conv2d) that learns `in_channels`.
pub type LazyConv2d = Lazy<Conv<2>>;
/// [`Conv3d`](super::Conv3d) that learns `in_channels`.
pub type LazyConv3d = Lazy<Conv<3>>;
/// [`ConvTranspose1d`](super::ConvTranspose1d) that learns `in_channels`.
pub type LazyConvTranspose1d = Lazy<ConvTranspose<1>>;
/// [`ConvTranspose2d`](super::ConvTranspose2d) that learns `in_channels`.
pub type LazyConvTranspose2d = Lazy<ConvTranspose<2>>;
/// [`ConvTranspose3d`](super::ConvTranspose3d) that learns `in_channels`.
pub type LazyConvTranspose3d = Lazy<ConvTranspose<3>>;
/// [`BatchNorm1d`](super::BatchNorm1d) that learns `num_features`.
pub type LazyBatchNorm1d = Lazy<BatchNorm<1>>;
/// [`BatchNorm2d`](super::BatchNorm2d) that learns `num_features`.
pub type LazyBatchNorm2d = Lazy<BatchNorm<2>>;
/// [`BatchNorm3d`](super::BatchNorm3d) that learns `num_features`.
pub type LazyBatchNorm3d = Lazy<BatchNorm<3>>;
/// [`InstanceNorm1d`](super::InstanceNorm1d) that learns `num_features`.
pub type LazyInstanceNorm1d = Lazy<InstanceNorm<1>>;
/// [`InstanceNorm2d`](super::InstanceNorm2d) that learns `num_features`.
pub type LazyInstanceNorm2d = Lazy<InstanceNorm<2>>;
/// [`InstanceNorm3d`](super::InstanceNorm3d) that learns `num_features`.
pub type LazyInstanceNorm3d = Lazy<InstanceNorm<3>>;

impl<L: Module> Lazy<L> {
    /// A layer that `make` builds for its first input. `blank` is the layer for an input without features, of which
    /// only the printed form is used.
    fn of(blank: &L, make: impl Fn(&Tensor) -> Result<L> + Send + Sync + 'static) -> Lazy<L> {
        let text = (format!("Lazy{}", blank.name()), blank.extra_repr());
        Lazy { layer: OnceLock::new(), make: Arc::new(make), making: Mutex::new(()), text }
    }

    /// The layer, once it has seen an input.
    pub fn layer(&self) -> Option<&L> {
        self.layer.get()
    }

    /// The layer, made for `input` if it is not there yet.
    ///
    /// # Errors
    /// `Runtime` when no layer can be made for that input; the next one may be right.
    pub fn materialize(&self, input: &Tensor) -> Result<&L> {
        if let Some(layer) = self.layer.get() {
            return Ok(layer);
        }
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if self.layer.get().is_none() {
            let layer = (self.make)(input)?;
            return Ok(self.layer.get_or_init(|| layer));
        }
        self.materialize(input)
    }
}

impl<L: Clone> Clone for Lazy<L> {
    fn clone(&self) -> Self {
        let (layer, make) = (self.layer.clone(), self.make.clone());
        Lazy { layer, make, making: Mutex::new(()), text: self.text.clone() }
    }
}

impl<L: Module> Module for Lazy<L> {
    fn visit<'a>(&'a self, visitor: &mut Visitor<'a>) {
        if let Some(layer) = self.layer.get() {
            layer.visit(visitor);
        }
    }

    fn name(&self) -> String {
        self.layer.get().map_or_else(|| self.text.0.clone(), Module::name)
    }

    fn extra_repr(&self) -> String {
        self.layer.get().map_or_else(|| self.text.1.clone(), Module::extra_repr)
    }
}

impl<L: Module> fmt::Debug for Lazy<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repr())
    }
}

impl<L: Module + Forward> Forward for Lazy<L> {
    fn forward(&self, input: &Tensor) -> Result<Tensor> {
        self.materialize(input)?.forward(input)
    }
}

/// The size of the channels of an input with `spatial` further dimensions, batched or not.
fn channels(name: &str, input: &Tensor, spatial: usize) -> Result<i64> {
    let sizes = input.sizes();
    match sizes.len() {
        n if n == spatial + 2 => Ok(sizes[1]),
        n if n == spatial + 1 => Ok(sizes[0]),
        _ => bail!(
            "Expected {}D (unbatched) or {}D (batched) input to {name}, but got input of size: torch.Size({:?})",
            spatial + 1,
            spatial + 2,
            &sizes[..]
        ),
    }
}

/// The size of dimension 1.
fn features(input: &Tensor) -> Result<i64> {
    input.size(1)
}

impl Lazy<Linear> {
    /// A linear layer with `out_features` outputs.
    ///
    /// # Errors
    /// `Runtime` for a negative size.
    pub fn new(out_features: i64) -> Result<Lazy<Linear>> {
        Self::with(out_features, |o| o)
    }

    /// With optional settings.
    ///
    /// # Errors
    /// `Runtime` for a negative size.
    pub fn with(
        out_features: i64,
        options: impl FnOnce(LinearOptions) -> LinearOptions,
    ) -> Result<Lazy<Linear>> {
        let o = options(LinearOptions::default());
        let again = o.clone();
        let blank = blank(|| Linear::with(0, out_features, |_| o))?;
        Ok(Lazy::of(&blank, move |x| Linear::with(x.size(-1)?, out_features, |_| again.clone())))
    }
}

/// Builds a layer that is only printed, without moving the random generator.
fn blank<L>(make: impl FnOnce() -> Result<L>) -> Result<L> {
    let generator = cresset_core::random::default_generator();
    let state = generator.get_state();
    let layer = make();
    generator.set_state(&state)?;
    layer
}

macro_rules! lazy_convolutions {
    ($($layer:ident $options:ident;)*) => { $(
        impl<const D: usize> Lazy<$layer<D>> {
            /// A convolution with `out_channels` outputs.
            ///
            /// # Errors
            /// `Value` for impossible sizes.
            pub fn new(out_channels: i64, kernel_size: impl Into<IntList>) -> Result<Self> {
                Self::with(out_channels, kernel_size, |o| o)
            }

            /// With optional settings.
            ///
            /// # Errors
            /// `Value` for settings that contradict each other.
            pub fn with(
                out_channels: i64,
                kernel_size: impl Into<IntList>,
                options: impl FnOnce($options) -> $options,
            ) -> Result<Self> {
                let (o, kernel) = (options($options::default()), kernel_size.into());
                let (again, size) = (o.clone(), kernel.clone());
                let blank = blank(|| $layer::<D>::with(0, out_channels, kernel, |_| o))?;
                let name = format!("Lazy{}", blank.name());
                Ok(Lazy::of(&blank, move |x| {
                    $layer::with(channels(&name, x, D)?, out_channels, size.clone(), |_| again.clone())
                }))
            }
        }
    )* };
}

lazy_convolutions! {
    Conv ConvOptions;
    ConvTranspose ConvTransposeOptions;
}

macro_rules! lazy_norms {
    ($($layer:ident $options:ident;)*) => { $(
        impl<const D: usize> Lazy<$layer<D>> {
            /// An affine normalisation that keeps running statistics.
            ///
            /// # Errors
            /// None.
            pub fn new() -> Result<Self> {
                Self::with(|o| o)
            }

            /// With optional settings.
            ///
            /// # Errors
            /// None for PyTorch's settings.
            pub fn with(options: impl FnOnce($options) -> $options) -> Result<Self> {
                let o = options($options::default().affine(true).track_running_stats(true));
                let again = o.clone();
                let blank = $layer::<D>::with(0, |_| o)?;
                Ok(Lazy::of(&blank, move |x| $layer::with(features(x)?, |_| again.clone())))
            }
        }
    )* };
}

lazy_norms! {
    BatchNorm BatchNormOptions;
    InstanceNorm InstanceNormOptions;
}
