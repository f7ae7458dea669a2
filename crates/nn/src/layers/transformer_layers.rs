//! Layers of transformers: [`TransformerEncoderLayer`] and [`TransformerDecoderLayer`].

use std::fmt;
use std::sync::Arc;

use cresset_core::{DType, Result, Tensor, ops, options};

use super::{Dropout, LayerNorm, Linear, MultiheadAttention};
use crate::module::{Forward, Module};

type Function = dyn Fn(&Tensor) -> Result<Tensor> + Send + Sync;

/// The function between the two linear layers.
#[derive(Clone)]
pub struct Activation(Arc<Function>);

impl Activation {
    /// Any function.
    pub fn new(f: impl Fn(&Tensor) -> Result<Tensor> + Send + Sync + 'static) -> Activation {
        Activation(Arc::new(f))
    }

    /// `relu`.
    pub fn relu() -> Activation {
        Activation::new(Tensor::relu)
    }

    /// `gelu`.
    pub fn gelu() -> Activation {
        Activation::new(ops::gelu)
    }
}

impl fmt::Debug for Activation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Activation")
    }
}

options! {
    /// Optional settings of the layers of a transformer.
    TransformerLayerOptions {
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

impl TransformerLayerOptions {
    pub(super) fn norm(&self, d_model: i64) -> Result<LayerNorm> {
        LayerNorm::with(d_model, |n| n.eps(self.layer_norm_eps).bias(self.bias).dtype(self.dtype))
    }

    fn attention(&self, d_model: i64, nhead: i64) -> Result<MultiheadAttention> {
        MultiheadAttention::with(d_model, nhead, |a| {
            let a = a.dropout(self.dropout).batch_first(self.batch_first);
            a.bias(self.bias).dtype(self.dtype)
        })
    }

    fn linear(&self, from: i64, to: i64) -> Result<Linear> {
        Linear::with(from, to, |l| l.bias(self.bias).dtype(self.dtype))
    }
}

options! {
    /// Optional arguments of [`TransformerEncoderLayer::forward`]: masks as of [`MultiheadAttention`].
    EncoderMasks {
        /// Which positions see which (default: all).
        mask: Option<Tensor> = None,
        /// Which positions are padding (default: none).
        key_padding_mask: Option<Tensor> = None,
        /// A hint that `mask` is that of causality (default: no).
        is_causal: bool = false,
    }
}

/// Attention of a sequence to itself and two linear layers, as
/// [`torch.nn.TransformerEncoderLayer`](https://pytorch.org/docs/stable/generated/torch.nn.TransformerEncoderLayer.html).
///
/// # Shapes
/// `[S, N, d_model]` -> the same; `N` may be left out, and comes first with `batch_first`.
#[derive(Clone, Debug, Module)]
pub struct TransformerEncoderLayer {
    /// Attention.
    pub self_attn: MultiheadAttention,
    /// The first linear layer.
    pub linear1: Linear,
    /// Between the linear layers.
    pub dropout: Dropout,
    /// The second linear layer.
    pub linear2: Linear,
    /// Normalisation at attention.
    pub norm1: LayerNorm,
    /// Normalisation at the linear layers.
    pub norm2: LayerNorm,
    /// After attention.
    pub dropout1: Dropout,
    /// After the linear layers.
    pub dropout2: Dropout,
    #[module(skip)]
    options: TransformerLayerOptions,
}

impl TransformerEncoderLayer {
    /// Of that many elements, shared among that many heads.
    ///
    /// # Errors
    /// As [`MultiheadAttention::new`].
    pub fn new(d_model: i64, nhead: i64) -> Result<Self> {
        Self::with(d_model, nhead, |o| o)
    }

    /// With optional settings.
    ///
    /// # Errors
    /// As [`MultiheadAttention::new`], and `Value` for a dropout outside 0 to 1.
    pub fn with(
        d_model: i64,
        nhead: i64,
        options: impl FnOnce(TransformerLayerOptions) -> TransformerLayerOptions,
    ) -> Result<Self> {
        let options = options(TransformerLayerOptions::default());
        let o = &options;
        Ok(TransformerEncoderLayer {
            self_attn: o.attention(d_model, nhead)?,
            linear1: o.linear(d_model, o.dim_feedforward)?,
            dropout: Dropout::new(o.dropout)?,
            linear2: o.linear(o.dim_feedforward, d_model)?,
            norm1: o.norm(d_model)?,
            norm2: o.norm(d_model)?,
            dropout1: Dropout::new(o.dropout)?,
            dropout2: Dropout::new(o.dropout)?,
            options,
        })
    }

    /// The sequence after the layer, with masks.
    ///
    /// # Errors
    /// `Runtime` when shapes do not fit.
    pub fn forward_with(
        &self,
        src: &Tensor,
        masks: impl FnOnce(EncoderMasks) -> EncoderMasks,
    ) -> Result<Tensor> {
        let m = masks(EncoderMasks::default());
        if self.options.norm_first {
            let x = src.add(&self.attend(&self.norm1.forward(src)?, &m)?)?;
            return x.add(&self.feed(&self.norm2.forward(&x)?)?);
        }
        let x = self.norm1.forward(&src.add(&self.attend(src, &m)?)?)?;
        self.norm2.forward(&x.add(&self.feed(&x)?)?)
    }

    fn attend(&self, x: &Tensor, m: &EncoderMasks) -> Result<Tensor> {
        let (out, _) = self.self_attn.forward_with(x, x, x, |o| {
            let o = o.attn_mask(m.mask.clone()).key_padding_mask(m.key_padding_mask.clone());
            o.need_weights(false).is_causal(m.is_causal)
        })?;
        self.dropout1.forward(&out)
    }

    fn feed(&self, x: &Tensor) -> Result<Tensor> {
        let inner = (self.options.activation.0)(&self.linear1.forward(x)?)?;
        self.dropout2.forward(&self.linear2.forward(&self.dropout.forward(&inner)?)?)
    }
}

impl Forward for TransformerEncoderLayer {
    fn forward(&self, src: &Tensor) -> Result<Tensor> {
        self.forward_with(src, |o| o)
    }
}

options! {
    /// Optional arguments of [`TransformerDecoderLayer::forward`]: masks as of [`MultiheadAttention`].
    DecoderMasks {
        /// Which positions see which (default: all).
        tgt_mask: Option<Tensor> = None,
        /// Which positions see which of the memory (default: all).
        memory_mask: Option<Tensor> = None,
        /// Which positions are padding (default: none).
        tgt_key_padding_mask: Option<Tensor> = None,
        /// Which positions of the memory are padding (default: none).
        memory_key_padding_mask: Option<Tensor> = None,
        /// A hint that `tgt_mask` is that of causality (default: no).
        tgt_is_causal: bool = false,
        /// A hint that `memory_mask` is that of causality (default: no).
        memory_is_causal: bool = false,
    }
}

/// Attention of a sequence to itself and to a memory, and two linear layers, as
/// [`torch.nn.TransformerDecoderLayer`](https://pytorch.org/docs/stable/generated/torch.nn.TransformerDecoderLayer.html).
///
/// # Shapes
/// `[T, N, d_model]` and memory `[S, N, d_model]` -> `[T, N, d_model]`; `N` may be left out, and comes first with `batch_first`.
#[derive(Clone, Debug, Module)]
pub struct TransformerDecoderLayer {
    /// Attention to the sequence itself.
    pub self_attn: MultiheadAttention,
    /// Attention to the memory.
    pub multihead_attn: MultiheadAttention,
    /// The first linear layer.
    pub linear1: Linear,
    /// Between the linear layers.
    pub dropout: Dropout,
    /// The second linear layer.
    pub linear2: Linear,
    /// Normalisation at attention to itself.
    pub norm1: LayerNorm,
    /// Normalisation at attention to the memory.
    pub norm2: LayerNorm,
    /// Normalisation at the linear layers.
    pub norm3: LayerNorm,
    /// After attention to itself.
    pub dropout1: Dropout,
    /// After attention to the memory.
    pub dropout2: Dropout,
    /// After the linear layers.
    pub dropout3: Dropout,
    #[module(skip)]
    options: TransformerLayerOptions,
}

impl TransformerDecoderLayer {
    /// Of that many elements, shared among that many heads.
    ///
    /// # Errors
    /// As [`MultiheadAttention::new`].
    pub fn new(d_model: i64, nhead: i64) -> Result<Self> {
        Self::with(d_model, nhead, |o| o)
    }

    /// With optional settings.
    ///
    /// # Errors
    /// As [`TransformerEncoderLayer::with`].
    pub fn with(
        d_model: i64,
        nhead: i64,
        options: impl FnOnce(TransformerLayerOptions) -> TransformerLayerOptions,
    ) -> Result<Self> {
        let options = options(TransformerLayerOptions::default());
        let o = &options;
        Ok(TransformerDecoderLayer {
            self_attn: o.attention(d_model, nhead)?,
            multihead_attn: o.attention(d_model, nhead)?,
            linear1: o.linear(d_model, o.dim_feedforward)?,
            dropout: Dropout::new(o.dropout)?,
            linear2: o.linear(o.dim_feedforward, d_model)?,
            norm1: o.norm(d_model)?,
            norm2: o.norm(d_model)?,
            norm3: o.norm(d_model)?,
            dropout1: Dropout::new(o.dropout)?,
            dropout2: Dropout::new(o.dropout)?,
            dropout3: Dropout::new(o.dropout)?,
            options,
        })
    }

    /// The sequence after the layer.
    ///
    /// # Errors
    /// `Runtime` when shapes do not fit.
    pub fn forward(&self, tgt: &Tensor, memory: &Tensor) -> Result<Tensor> {
        self.forward_with(tgt, memory, |o| o)
    }

    /// The sequence after the layer, with masks.
    ///
    /// # Errors
    /// As [`TransformerDecoderLayer::forward`].
    pub fn forward_with(
        &self,
        tgt: &Tensor,
        memory: &Tensor,
        masks: impl FnOnce(DecoderMasks) -> DecoderMasks,
    ) -> Result<Tensor> {
        let m = masks(DecoderMasks::default());
        if self.options.norm_first {
            let x = tgt.add(&self.attend(&self.norm1.forward(tgt)?, &m)?)?;
            let x = x.add(&self.recall(&self.norm2.forward(&x)?, memory, &m)?)?;
            return x.add(&self.feed(&self.norm3.forward(&x)?)?);
        }
        let x = self.norm1.forward(&tgt.add(&self.attend(tgt, &m)?)?)?;
        let x = self.norm2.forward(&x.add(&self.recall(&x, memory, &m)?)?)?;
        self.norm3.forward(&x.add(&self.feed(&x)?)?)
    }

    fn attend(&self, x: &Tensor, m: &DecoderMasks) -> Result<Tensor> {
        let (out, _) = self.self_attn.forward_with(x, x, x, |o| {
            let o = o.attn_mask(m.tgt_mask.clone()).key_padding_mask(m.tgt_key_padding_mask.clone());
            o.need_weights(false).is_causal(m.tgt_is_causal)
        })?;
        self.dropout1.forward(&out)
    }

    fn recall(&self, x: &Tensor, memory: &Tensor, m: &DecoderMasks) -> Result<Tensor> {
        let (out, _) = self.multihead_attn.forward_with(x, memory, memory, |o| {
            let o = o.attn_mask(m.memory_mask.clone()).key_padding_mask(m.memory_key_padding_mask.clone());
            o.need_weights(false).is_causal(m.memory_is_causal)
        })?;
        self.dropout2.forward(&out)
    }

    fn feed(&self, x: &Tensor) -> Result<Tensor> {
        let inner = (self.options.activation.0)(&self.linear1.forward(x)?)?;
        self.dropout3.forward(&self.linear2.forward(&self.dropout.forward(&inner)?)?)
    }
}
