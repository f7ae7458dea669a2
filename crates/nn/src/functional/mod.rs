//! `torch.nn.functional`: the computations of the layers as functions of tensors.
//!
//! Most are operators of the engine and are re-exported; the others are those that PyTorch composes in Python.
//! What ends in an underscore there (`relu_`) is a method of `Tensor`.

mod attention;
mod dropout;
mod lookup;
mod norm;
mod padding;
mod pointwise;
mod pool;
mod random;
mod resize;
mod simple;
mod windows;

pub use attention::{MultiHeadAttentionSettings, multi_head_attention_forward};
pub use dropout::*;
pub(crate) use lookup::row;
pub use lookup::{
    BagLookupSettings, BagMode, EmbeddingSettings, embedding, embedding_bag, embedding_bag_with,
    embedding_with,
};
pub use norm::{
    BatchNormSettings, GroupNormSettings, InstanceNormSettings, NormalizeSettings, batch_norm,
    batch_norm_with, group_norm, group_norm_with, instance_norm, instance_norm_with, normalize,
    normalize_with,
};
pub(crate) use norm::{check_batch_norm, check_group_norm, check_instance_norm};
pub use padding::{PaddingMode, pad, pad_constant};
pub use pointwise::{HardtanhSettings, hardtanh, hardtanh_with};
pub use pool::*;
pub use random::{GumbelSoftmaxSettings, gumbel_softmax, gumbel_softmax_with};
pub(crate) use resize::resize;
pub use resize::{
    GridSampleOptions, InterpolateOptions, ScaleFactor, affine_grid, grid_sample, grid_sample_with,
    interpolate,
};
pub use simple::{logsigmoid, softmin, softsign, tanhshrink};
pub use windows::{
    BlockOptions, UnpoolSettings, fold, fold_with, fractional_max_pool2d, fractional_max_pool2d_with_indices,
    fractional_max_pool3d, fractional_max_pool3d_with_indices, local_response_norm, local_response_norm_with,
    lp_pool1d, lp_pool1d_with, lp_pool2d, lp_pool2d_with, lp_pool3d, lp_pool3d_with, max_unpool1d,
    max_unpool1d_with, max_unpool2d, max_unpool2d_with, max_unpool3d, max_unpool3d_with, unfold, unfold_with,
};
pub(crate) use windows::{check_norm_type, fractional_max_pool, lp_pool, max_unpool};

pub use crate::layers::{FractionalMaxPoolOptions, LPPoolOptions, LocalResponseNormOptions};
pub use crate::loss::functional::*;
pub use cresset_core::ops::{
    avg_pool1d, avg_pool1d_with, avg_pool2d, avg_pool2d_with, avg_pool3d, avg_pool3d_with, bilinear,
    bilinear_with, celu, celu_with, channel_shuffle, conv_tbc, conv_tbc_with, conv_transpose1d,
    conv_transpose1d_with, conv_transpose2d, conv_transpose2d_with, conv_transpose3d, conv_transpose3d_with,
    conv1d, conv1d_with, conv2d, conv2d_with, conv3d, conv3d_with, cosine_similarity, cosine_similarity_with,
    elu, elu_with, gelu, gelu_with, glu, glu_with, hardshrink, hardshrink_with, hardsigmoid, hardswish,
    layer_norm, layer_norm_with, leaky_relu, leaky_relu_with, linear, linear_with, log_softmax,
    log_softmax_with, max_pool1d, max_pool1d_with, max_pool1d_with_indices, max_pool1d_with_indices_with,
    max_pool2d, max_pool2d_with, max_pool2d_with_indices, max_pool2d_with_indices_with, max_pool3d,
    max_pool3d_with, max_pool3d_with_indices, max_pool3d_with_indices_with, mish, native_channel_shuffle,
    one_hot, one_hot_with, pairwise_distance, pairwise_distance_with, pdist, pdist_with, pixel_shuffle,
    pixel_unshuffle, prelu, relu, relu6, rms_norm, rms_norm_with, rrelu, rrelu_with,
    scaled_dot_product_attention, scaled_dot_product_attention_with, selu, sigmoid, silu, softmax,
    softmax_with, softplus, softplus_with, softshrink, softshrink_with, tanh, threshold,
};
