//! Stacks of layers, and the whole [`Transformer`].

use cresset_core::{DType, Result, Tensor, ensure, ops, options};

use super::{
    Activation, DecoderMasks, EncoderMasks, LayerNorm, TransformerDecoderLayer, TransformerEncoderLayer,
    TransformerLayerOptions, room,
};
use crate::init;
use crate::module::{Forward, Module};

options! {
    /// Optional settings of [`TransformerEncoder`] and [`TransformerDecoder`].
    StackOptions {
        /// Normalisation at the end (default: none).
        norm: Option<LayerNorm> = None,
    }
}

/// That many copies of a layer, with parameters of their own.
fn copies<M: Module + Clone>(layer: &M, number: i64) -> Result<Vec<M>> {
    let mut layers = room(number)?;
    (0..number).try_for_each(|_| layer.deep_copy().map(|copy| layers.push(copy)))?;
    Ok(layers)
}

/// Encoder layers on top of each other, as `torch.nn.TransformerEncoder`.
///
/// ```
/// # use cresset_nn::{Forward, TransformerEncoder, TransformerEncoderLayer};
/// # use cresset_core::{Result, ops};
/// # fn main() -> Result<()> {
/// let layer = TransformerEncoderLayer::with(16, 4, |o| o.dim_feedforward(32).batch_first(true))?;
/// let encoder = TransformerEncoder::new(&layer, 2)?;
/// assert_eq!(encoder.forward(&ops::randn([2, 5, 16])?)?.sizes()[..], [2, 5, 16]);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Module)]
pub struct TransformerEncoder {
    /// The layers.
    pub layers: Vec<TransformerEncoderLayer>,
    /// Normalisation at the end.
    pub norm: Option<LayerNorm>,
}

impl TransformerEncoder {
    /// That many copies of a layer.
    ///
    /// # Errors
    /// `OutOfMemory` when the system refuses.
    pub fn new(layer: &TransformerEncoderLayer, num_layers: i64) -> Result<Self> {
        Self::with(layer, num_layers, |o| o)
    }

    /// With optional settings.
    ///
    /// # Errors
    /// `OutOfMemory` when the system refuses.
    pub fn with(
        layer: &TransformerEncoderLayer,
        num_layers: i64,
        options: impl FnOnce(StackOptions) -> StackOptions,
    ) -> Result<Self> {
        let norm = options(StackOptions::default()).norm;
        let layers = copies(layer, num_layers)?;
        Ok(TransformerEncoder { layers, norm })
    }

    /// The sequence after all layers, with masks.
    ///
    /// # Errors
    /// `Runtime` when shapes do not fit.
    pub fn forward_with(
        &self,
        src: &Tensor,
        masks: impl FnOnce(EncoderMasks) -> EncoderMasks,
    ) -> Result<Tensor> {
        let masks = masks(EncoderMasks::default());
        let mut x = src.clone();
        for layer in &self.layers {
            x = layer.forward_with(&x, |_| masks.clone())?;
        }
        self.norm.forward(&x)
    }
}

impl Forward for TransformerEncoder {
    fn forward(&self, src: &Tensor) -> Result<Tensor> {
        self.forward_with(src, |o| o)
    }
}

/// Decoder layers on top of each other, as `torch.nn.TransformerDecoder`.
#[derive(Clone, Debug, Module)]
pub struct TransformerDecoder {
    /// The layers.
    pub layers: Vec<TransformerDecoderLayer>,
    /// Normalisation at the end.
    pub norm: Option<LayerNorm>,
}

impl TransformerDecoder {
    /// That many copies of a layer.
    ///
    /// # Errors
    /// `OutOfMemory` when the system refuses.
    pub fn new(layer: &TransformerDecoderLayer, num_layers: i64) -> Result<Self> {
        Self::with(layer, num_layers, |o| o)
    }

    /// With optional settings.
    ///
    /// # Errors
    /// `OutOfMemory` when the system refuses.
    pub fn with(
        layer: &TransformerDecoderLayer,
        num_layers: i64,
        options: impl FnOnce(StackOptions) -> StackOptions,
    ) -> Result<Self> {
        let norm = options(StackOptions::default()).norm;
        let layers = copies(layer, num_layers)?;
        Ok(TransformerDecoder { layers, norm })
    }

    /// The sequence after all layers.
    ///
    /// # Errors
    /// `Runtime` when shapes do not fit.
    pub fn forward(&self, tgt: &Tensor, memory: &Tensor) -> Result<Tensor> {
        self.forward_with(tgt, memory, |o| o)
    }

    /// The sequence after all layers, with masks.
    ///
    /// # Errors
    /// As [`TransformerDecoder::forward`].
    pub fn forward_with(
        &self,
        tgt: &Tensor,
        memory: &Tensor,
        masks: impl FnOnce(DecoderMasks) -> DecoderMasks,
    ) -> Result<Tensor> {
        let masks = masks(DecoderMasks::default());
        let mut x = tgt.clone();
        for layer in &self.layers {
            x = layer.forward_with(&x, memory, |_| masks.clone())?;
        }
        self.norm.forward(&x)
    }
}

options! {
    /// Optional settings of [`Transformer`].
    TransformerOptions {
        /// Elements of a position (default: 512).
        d_model: i64 = 512,
        /// Heads of attention (default: 8).
        nhead: i64 = 8,
        /// Layers of the encoder (default: 6).
        num_encoder_layers: i64 = 6,
        /// Layers of the decoder (default: 6).
        num_decoder_layers: i64 = 6,
        /// Elements between the two linear layers (default: 2048).
        dim_feedforward: i64 = 2048,
        /// Dropout while training (default: 0.1).
        dropout: f64 = 0.1,
        /// The function between the two linear layers (default: `relu`).
        activation: Activation = Activation::relu(),
        /// Added to variances (default: 1e-5).
        layer_norm_eps: f64 = 1e-5,
        /// Whether tensors are `[batch, length, elements]` (default: no).
        batch_first: bool = false,
        /// Whether inputs of the parts are normalised rather than their sums (default: no).
        norm_first: bool = false,
        /// Whether linear layers and normalisations have biases (default: yes).
        bias: bool = true,
        /// The element type (default: `float32`).
        dtype: DType = DType::F32,
    }
}

impl TransformerOptions {
    fn layer(&self) -> TransformerLayerOptions {
        TransformerLayerOptions::default()
            .dim_feedforward(self.dim_feedforward)
            .dropout(self.dropout)
            .activation(self.activation.clone())
            .layer_norm_eps(self.layer_norm_eps)
            .batch_first(self.batch_first)
            .norm_first(self.norm_first)
            .bias(self.bias)
            .dtype(self.dtype)
    }
}

options! {
    /// Optional arguments of [`Transformer::forward`]: masks as of [`MultiheadAttention`](super::MultiheadAttention).
    TransformerMasks {
        /// Which positions of the source see which (default: all).
        src_mask: Option<Tensor> = None,
        /// Which positions of the target see which (default: all).
        tgt_mask: Option<Tensor> = None,
        /// Which positions of the target see which of the memory (default: all).
        memory_mask: Option<Tensor> = None,
        /// Which positions of the source are padding (default: none).
        src_key_padding_mask: Option<Tensor> = None,
        /// Which positions of the target are padding (default: none).
        tgt_key_padding_mask: Option<Tensor> = None,
        /// Which positions of the memory are padding (default: none).
        memory_key_padding_mask: Option<Tensor> = None,
    }
}

/// An encoder and a decoder (Vaswani et al. 2017), as
/// [`torch.nn.Transformer`](https://pytorch.org/docs/stable/generated/torch.nn.Transformer.html).
///
/// ```
/// # use cresset_nn::{Transformer};
/// # use cresset_core::{Result, ops};
/// # fn main() -> Result<()> {
/// let model = Transformer::with(|o| o.d_model(16).nhead(4).num_encoder_layers(1).num_decoder_layers(1))?;
/// let (source, target) = (ops::randn([7, 2, 16])?, ops::randn([5, 2, 16])?);
/// assert_eq!(model.forward(&source, &target)?.sizes()[..], [5, 2, 16]);
/// # Ok(())
/// # }
/// ```
/// # Shapes
/// Source `[S, N, d_model]` and target `[T, N, d_model]` -> `[T, N, d_model]`; `N` may be left out, and comes first with
/// `batch_first`.
#[derive(Clone, Debug, Module)]
pub struct Transformer {
    /// The encoder.
    pub encoder: TransformerEncoder,
    /// The decoder.
    pub decoder: TransformerDecoder,
    #[module(skip)]
    d_model: i64,
    #[module(skip)]
    batch_first: bool,
}

impl Transformer {
    /// With PyTorch's defaults.
    ///
    /// # Errors
    /// `OutOfMemory` when the system refuses.
    pub fn new() -> Result<Self> {
        Self::with(|o| o)
    }

    /// With optional settings.
    ///
    /// # Errors
    /// As [`TransformerEncoderLayer::with`].
    pub fn with(options: impl FnOnce(TransformerOptions) -> TransformerOptions) -> Result<Self> {
        let o = options(TransformerOptions::default());
        let layer = TransformerEncoderLayer::with(o.d_model, o.nhead, |_| o.layer())?;
        let norm = o.layer().norm(o.d_model)?;
        let encoder = TransformerEncoder::with(&layer, o.num_encoder_layers, |o| o.norm(norm))?;
        let layer = TransformerDecoderLayer::with(o.d_model, o.nhead, |_| o.layer())?;
        let norm = o.layer().norm(o.d_model)?;
        let decoder = TransformerDecoder::with(&layer, o.num_decoder_layers, |o| o.norm(norm))?;
        let model = Transformer { encoder, decoder, d_model: o.d_model, batch_first: o.batch_first };
        for p in model.parameters().iter().filter(|p| p.dim() > 1) {
            init::xavier_uniform_(p)?;
        }
        Ok(model)
    }

    /// The target after encoder and decoder.
    ///
    /// # Errors
    /// `Runtime` when shapes do not fit.
    pub fn forward(&self, src: &Tensor, tgt: &Tensor) -> Result<Tensor> {
        self.forward_with(src, tgt, |o| o)
    }

    /// The target after encoder and decoder, with masks.
    ///
    /// # Errors
    /// As [`Transformer::forward`].
    pub fn forward_with(
        &self,
        src: &Tensor,
        tgt: &Tensor,
        masks: impl FnOnce(TransformerMasks) -> TransformerMasks,
    ) -> Result<Tensor> {
        let m = masks(TransformerMasks::default());
        let batch = usize::from(!self.batch_first);
        ensure!(
            src.dim() != 3 || tgt.dim() != 3 || src.sizes()[batch] == tgt.sizes()[batch],
            "the batch number of src and tgt must be equal"
        );
        ensure!(
            src.size(-1)? == self.d_model && tgt.size(-1)? == self.d_model,
            "the feature number of src and tgt must be equal to d_model"
        );
        let memory = self
            .encoder
            .forward_with(src, |e| e.mask(m.src_mask).key_padding_mask(m.src_key_padding_mask))?;
        self.decoder.forward_with(tgt, &memory, |d| {
            let d = d.tgt_mask(m.tgt_mask).memory_mask(m.memory_mask);
            let d = d.tgt_key_padding_mask(m.tgt_key_padding_mask);
            d.memory_key_padding_mask(m.memory_key_padding_mask)
        })
    }

    /// `-inf` above the diagonal: position `i` sees those up to `i`.
    ///
    /// # Errors
    /// `Runtime` for a negative size.
    pub fn generate_square_subsequent_mask(size: i64) -> Result<Tensor> {
        ops::triu_with(&ops::full([size, size], f64::NEG_INFINITY)?, |o| o.diagonal(1))
    }
}
