//! `torch.nn.utils`: clipping of gradients, parameters as one vector.

mod clip;
mod vector;

pub use clip::{clip_grad_norm_, clip_grad_value_, get_total_norm};
pub use vector::{parameters_to_vector, vector_to_parameters};
