//! Layers that learn the size of their input from the first one: [`Lazy`] and its forms.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use cresset_core::{IntList, Result, Tensor, bail};

use super::{
    BatchNorm, BatchNormOptions, Conv, ConvOptions, ConvTranspose, ConvTransposeOptions, InstanceNorm,
    InstanceNormOptions, Linear, LinearOptions,
};
use crate::module::{Forward, Module, StateDict, Uninitialized, Visitor};

/// Makes the layer for so many features.
type Make<L> = dyn Fn(i64) -> Result<L> + Send + Sync;

/// A layer whose parameters depend on the features of its input.
pub trait Featured: Module + Sized {
    /// The features of an input; `name` is what the error calls the layer.
    ///
    /// # Errors
    /// For an input of too few or too many dimensions.
    fn features_of_input(input: &Tensor, name: &str) -> Result<i64>;

    /// The features of a layer with these settings whose parameter of that name has these sizes.
    fn features_of_parameter(&self, name: &str, sizes: &[i64]) -> Option<i64>;
}

/// A layer without its size, as `torch.nn.LazyLinear` and its kin: the first input, or the first state that is loaded,
/// decides it, and from then on this is that layer. Until then it has no parameters; mode, dtype and `requires_grad` that
/// are set before are those of the layer.
///
/// ```
/// # use cresset_nn::{Forward, LazyLinear, Module};
/// # use cresset_core::{ops, Result};
/// # fn main() -> Result<()> {
/// let layer = LazyLinear::new(3)?;
/// assert_eq!(layer.repr(), "LazyLinear(in_features=0, out_features=3, bias=True)");
/// layer.forward(&ops::randn([2, 8])?)?;
/// assert_eq!(layer.repr(), "Linear(in_features=8, out_features=3, bias=True)");
/// # Ok(())
/// # }
/// ```
pub struct Lazy<L> {
    layer: OnceLock<L>,
    make: Arc<Make<L>>,
    /// Held while the layer is made, so that one thread makes it.
    making: Mutex<()>,
    /// The layer of no features: what is set before the layer is there is set on it.
    blank: L,
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

impl<L: Featured> Lazy<L> {
    /// A layer that `make` builds.
    fn of(make: impl Fn(i64) -> Result<L> + Send + Sync + 'static) -> Result<Lazy<L>> {
        let blank = without_drawing(|| make(0))?;
        Ok(Lazy { layer: OnceLock::new(), make: Arc::new(make), making: Mutex::new(()), blank })
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
        self.materialize_with(|| {
            // Nothing depends on the features of a layer without tensors, and PyTorch leaves them 0.
            let fields = self.blank.fields();
            if fields.parameters.is_empty() && fields.buffers.is_empty() {
                return Ok(0);
            }
            L::features_of_input(input, &self.name())
        })
    }

    fn materialize_with(&self, features: impl FnOnce() -> Result<i64>) -> Result<&L> {
        if let Some(layer) = self.layer.get() {
            return Ok(layer);
        }
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(layer) = self.layer.get() {
            return Ok(layer);
        }
        let layer = (self.make)(features()?)?;
        self.settle(&layer)?;
        Ok(self.layer.get_or_init(|| layer))
    }

    /// Gives a new layer what was set before it was there.
    fn settle(&self, layer: &L) -> Result<()> {
        layer.set_training(self.blank.is_training());
        let settings = self.blank.parameters();
        if let Some(first) = settings.first().filter(|p| p.is_floating_point() || p.is_complex()) {
            layer.to_dtype(first.dtype())?;
        }
        let both = layer.parameters().into_iter().zip(&settings);
        both.into_iter().try_for_each(|(own, blank)| own.set_requires_grad(blank.requires_grad()))
    }
}

impl<L: Clone> Clone for Lazy<L> {
    fn clone(&self) -> Self {
        let (layer, make) = (self.layer.clone(), self.make.clone());
        Lazy { layer, make, making: Mutex::new(()), blank: self.blank.clone() }
    }
}

impl<L: Featured> Module for Lazy<L> {
    fn visit<'a>(&'a self, visitor: &mut Visitor<'a>) {
        match self.layer.get() {
            Some(layer) => layer.visit(visitor),
            None => {
                visitor.training.extend(self.blank.fields().training);
                visitor.uninitialized.push(self);
            }
        }
    }

    fn name(&self) -> String {
        self.layer.get().map_or_else(|| format!("Lazy{}", self.blank.name()), Module::name)
    }

    fn extra_repr(&self) -> String {
        self.layer.get().unwrap_or(&self.blank).extra_repr()
    }
}

impl<L: Featured> Uninitialized for Lazy<L> {
    fn settings(&self) -> &dyn Module {
        &self.blank
    }

    fn adopt(&self, state: &StateDict, prefix: &str) -> Result<()> {
        for (name, _) in self.blank.fields().parameters {
            let Some(tensor) = state.get(&format!("{prefix}{name}")) else { continue };
            if let Some(features) = self.blank.features_of_parameter(&name, &tensor.sizes()) {
                return without_drawing(|| self.materialize_with(|| Ok(features)).map(|_| ()));
            }
        }
        Ok(())
    }
}

impl<L: Featured> fmt::Debug for Lazy<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.repr())
    }
}

impl<L: Featured + Forward> Forward for Lazy<L> {
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

impl Featured for Linear {
    fn features_of_input(input: &Tensor, _: &str) -> Result<i64> {
        input.size(-1)
    }

    fn features_of_parameter(&self, name: &str, sizes: &[i64]) -> Option<i64> {
        if name == "weight" { sizes.get(1).copied() } else { None }
    }
}

impl<const D: usize> Featured for Conv<D> {
    fn features_of_input(input: &Tensor, name: &str) -> Result<i64> {
        channels(name, input, D)
    }

    fn features_of_parameter(&self, name: &str, sizes: &[i64]) -> Option<i64> {
        if name == "weight" { sizes.get(1)?.checked_mul(self.groups()) } else { None }
    }
}

impl<const D: usize> Featured for ConvTranspose<D> {
    fn features_of_input(input: &Tensor, name: &str) -> Result<i64> {
        channels(name, input, D)
    }

    fn features_of_parameter(&self, name: &str, sizes: &[i64]) -> Option<i64> {
        if name == "weight" { sizes.first().copied() } else { None }
    }
}

macro_rules! featured_norms {
    ($($layer:ident),*) => { $(
        impl<const D: usize> Featured for $layer<D> {
            fn features_of_input(input: &Tensor, _: &str) -> Result<i64> {
                input.size(1)
            }

            fn features_of_parameter(&self, _: &str, sizes: &[i64]) -> Option<i64> {
                sizes.first().copied()
            }
        }
    )* };
}

featured_norms!(BatchNorm, InstanceNorm);

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
        Lazy::of(move |features| Linear::with(features, out_features, |_| o.clone()))
    }
}

/// Builds a layer whose values do not matter: the random generator stays where it is.
fn without_drawing<L>(make: impl FnOnce() -> Result<L>) -> Result<L> {
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
                Lazy::of(move |features| $layer::with(features, out_channels, kernel.clone(), |_| o.clone()))
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
                Lazy::of(move |features| $layer::with(features, |_| o.clone()))
            }
        }
    )* };
}

lazy_norms! {
    BatchNorm BatchNormOptions;
    InstanceNorm InstanceNormOptions;
}
