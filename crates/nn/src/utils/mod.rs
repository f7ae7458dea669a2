//! `torch.nn.utils`: clipping of gradients, parameters as one vector, computed and pruned parameters, fused layers,
//! averages of weights.

mod clip;
mod fusion;
pub mod parametrizations;
pub mod parametrize;
pub mod prune;
pub mod rnn;
mod stateless;
mod swa;
mod vector;

pub use clip::{
    ClipOptions, clip_grad_norm_, clip_grad_norm_with_, clip_grad_value_, clip_grads_with_norm_,
    get_total_norm,
};
pub use fusion::{fuse_conv_bn_eval, fuse_linear_bn_eval};
pub use stateless::functional_call;
pub use swa::{Average, AverageFn, AveragedModel, update_bn};
pub use vector::{parameters_to_vector, vector_to_parameters};
