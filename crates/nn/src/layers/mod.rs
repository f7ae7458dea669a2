//! Layers, one family per file.

mod activation;
mod attention;
mod batch_norm;
mod blocks;
mod conv;
mod conv_transpose;
mod distance;
mod dropout;
mod embedding;
mod embedding_bag;
mod instance_norm;
mod lazy;
mod linear;
mod local_response;
mod normalization;
mod padding;
mod pool;
mod pool_adaptive;
mod pool_other;
mod resize;
mod rnn;
mod rnn_cell;
mod rrelu;
mod shape;
mod softmax;
mod transformer;
mod transformer_layers;

pub use activation::*;
pub use attention::{AttentionOptions, MultiheadAttention, MultiheadAttentionOptions, OutputProjection};
pub use batch_norm::{BatchNorm, BatchNorm1d, BatchNorm2d, BatchNorm3d, BatchNormOptions, SyncBatchNorm};
pub use blocks::{ChannelShuffle, Fold, PixelShuffle, PixelUnshuffle, Unfold};
pub use conv::{Conv, Conv1d, Conv2d, Conv3d, ConvOptions, Padding};
pub use conv_transpose::{
    ConvTranspose, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d, ConvTransposeOptions,
};
pub use distance::{CosineSimilarity, CosineSimilarityOptions};
pub use dropout::{
    AlphaDropout, Dropout, Dropout1d, Dropout2d, Dropout3d, DropoutOptions, FeatureAlphaDropout,
};
pub use embedding::{Embedding, EmbeddingOptions};
pub use embedding_bag::{BagOptions, EmbeddingBag, EmbeddingBagOptions};
pub use instance_norm::{InstanceNorm, InstanceNorm1d, InstanceNorm2d, InstanceNorm3d, InstanceNormOptions};
pub use lazy::{
    Featured, Lazy, LazyBatchNorm1d, LazyBatchNorm2d, LazyBatchNorm3d, LazyConv1d, LazyConv2d, LazyConv3d,
    LazyConvTranspose1d, LazyConvTranspose2d, LazyConvTranspose3d, LazyInstanceNorm1d, LazyInstanceNorm2d,
    LazyInstanceNorm3d, LazyLinear,
};
pub use linear::{Bilinear, Identity, Linear, LinearOptions};
pub use local_response::{CrossMapLRN2d, CrossMapLRN2dOptions, LocalResponseNorm, LocalResponseNormOptions};
pub use normalization::{GroupNorm, GroupNormOptions, LayerNorm, LayerNormOptions, RMSNorm, RMSNormOptions};
pub use padding::*;
pub use pool::{
    AvgPool, AvgPool1d, AvgPool2d, AvgPool3d, AvgPoolOptions, MaxPool, MaxPool1d, MaxPool2d, MaxPool3d,
    MaxPoolOptions,
};
pub use pool_adaptive::{
    AdaptiveAvgPool, AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveAvgPool3d, AdaptiveMaxPool,
    AdaptiveMaxPool1d, AdaptiveMaxPool2d, AdaptiveMaxPool3d,
};
pub use pool_other::{
    FractionalMaxPool, FractionalMaxPool2d, FractionalMaxPool3d, FractionalMaxPoolOptions, LPPool, LPPool1d,
    LPPool2d, LPPool3d, LPPoolOptions, MaxUnpool, MaxUnpool1d, MaxUnpool2d, MaxUnpool3d, MaxUnpoolOptions,
};
pub use resize::{Upsample, UpsampleOptions, UpsamplingBilinear2d, UpsamplingNearest2d};
pub use rnn::{GRU, LSTM, RNN, RNNOptions, Recurrent};
pub use rnn_cell::{GRUCell, LSTMCell, RNNCell, RNNCellOptions};
pub use rrelu::{RReLU, RReLUOptions};
pub use shape::{Flatten, FlattenOptions, Unflatten};
pub use softmax::{LogSoftmax, Softmax, Softmax2d, Softmin};
pub use transformer::{
    StackOptions, Transformer, TransformerDecoder, TransformerEncoder, TransformerMasks, TransformerOptions,
};
pub use transformer_layers::{
    Activation, DecoderMasks, EncoderMasks, TransformerDecoderLayer, TransformerEncoderLayer,
    TransformerLayerOptions,
};

pub use crate::functional::{BagMode, OutputSize};

use cresset_core::{DType, Device, Result, Tensor, bail};

use crate::module::Parameter;

/// A parameter whose elements are to be set.
fn parameter(sizes: &[i64], dtype: DType) -> Result<Parameter> {
    Parameter::new(Tensor::empty_of(sizes, dtype, Device::Cpu)?)
}

/// An empty list with room for `n` parts: an absurd number is refused before the first of them is made.
fn room<T>(n: i64) -> Result<Vec<T>> {
    let mut list = Vec::new();
    match list.try_reserve_exact(usize::try_from(n).unwrap_or(0)) {
        Ok(()) => Ok(list),
        Err(_) => bail!(OutOfMemory, "DefaultCPUAllocator: can't allocate memory for {n} layers"),
    }
}

/// The size of a dimension for the printed form, 0 where a weight was replaced by one without that dimension.
fn size(t: &Tensor, dim: usize) -> i64 {
    t.sizes().get(dim).copied().unwrap_or(0)
}

/// The sizes from the third dimension on: those of a kernel.
fn kernel_sizes(weight: &Tensor) -> Vec<i64> {
    weight.sizes().iter().skip(2).copied().collect()
}

/// One number for all dimensions, or one for each.
fn expand<const D: usize>(what: &str, values: &[i64]) -> Result<[i64; D]> {
    match values {
        [one] => Ok([*one; D]),
        many => match many.try_into() {
            Ok(values) => Ok(values),
            Err(_) => bail!(Value, "{what}: expected one number or {D}, got {many:?}"),
        },
    }
}
