//! `torch.nn.functional`: the computations of the layers as functions of tensors.
//!
//! Most are operators of the engine and are re-exported; the others are those that PyTorch composes in Python.

mod padding;

pub use padding::{PaddingMode, pad, pad_constant};

pub use crate::loss::functional::*;
pub use cresset_core::ops::{
    adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d, avg_pool1d, avg_pool2d, avg_pool3d,
    bilinear, celu, conv_transpose1d, conv_transpose2d, conv_transpose3d, conv1d, conv2d, conv3d, dropout,
    elu, gelu, glu, group_norm, hardshrink, hardsigmoid, hardswish, hardtanh, layer_norm, leaky_relu, linear,
    log_sigmoid, log_softmax, max_pool1d, max_pool2d, max_pool3d, mish, prelu, relu, relu6, rms_norm,
    scaled_dot_product_attention, selu, sigmoid, silu, softmax, softplus, softshrink, tanh, threshold,
};
