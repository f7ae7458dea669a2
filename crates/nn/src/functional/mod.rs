//! `torch.nn.functional`: the computations of the layers as functions of tensors.
//!
//! Most are operators of the engine and are re-exported; the others are those that PyTorch composes in Python.

mod norm;
mod padding;
mod pointwise;
mod pool;
mod resize;
mod windows;

pub use norm::{
    BatchNormSettings, GroupNormSettings, InstanceNormSettings, batch_norm, group_norm, group_norm_with,
    instance_norm,
};
pub(crate) use norm::{check_batch_norm, check_group_norm, check_instance_norm};
pub use padding::{PaddingMode, pad, pad_constant};
pub use pointwise::{HardtanhSettings, dropout, hardtanh, hardtanh_with};
pub use pool::*;
pub(crate) use resize::resize;
pub use resize::{
    GridSampleOptions, InterpolateOptions, ScaleFactor, affine_grid, grid_sample, grid_sample_with,
    interpolate,
};
pub use windows::{
    BlockOptions, fold, fold_with, local_response_norm, lp_pool1d, lp_pool2d, lp_pool3d, max_unpool1d,
    max_unpool2d, max_unpool3d, unfold, unfold_with,
};
pub(crate) use windows::{fractional_max_pool, lp_pool, max_unpool};

pub use crate::loss::functional::*;
pub use cresset_core::ops::{
    avg_pool1d, avg_pool2d, avg_pool3d, bilinear, celu, channel_shuffle, conv_transpose1d, conv_transpose2d,
    conv_transpose3d, conv1d, conv2d, conv3d, cosine_similarity, elu, gelu, glu, hardshrink, hardsigmoid,
    hardswish, layer_norm, leaky_relu, linear, log_sigmoid, log_softmax, max_pool1d, max_pool2d, max_pool3d,
    mish, pairwise_distance, pixel_shuffle, pixel_unshuffle, prelu, relu, relu6, rms_norm, rrelu,
    scaled_dot_product_attention, selu, sigmoid, silu, softmax, softplus, softshrink, tanh, threshold,
};
