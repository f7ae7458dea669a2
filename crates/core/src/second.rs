//! Gradients of fused backward operators: the same mathematics written in ordinary operators, differentiated.

use crate::autograd::{GradOptions, grad};
use crate::modes::{enable_grad, is_grad_enabled};
use crate::{Result, Tensor};

/// Gradients for `inputs` of `f(inputs)`, whose results have the gradients `cotangents`.
///
/// If gradients are being recorded, so are these, down to the histories of `inputs`.
pub(crate) fn differentiate(
    inputs: &[&Tensor],
    cotangents: &[Option<Tensor>],
    f: impl FnOnce(&[Tensor]) -> Result<Vec<Tensor>>,
) -> Result<Vec<Option<Tensor>>> {
    let create_graph = is_grad_enabled();
    let _recording = enable_grad();
    let stand_in = |t: &&Tensor| {
        // An alias has the history of its tensor but is none of its descendants' ancestors, so the gradient stops there.
        if create_graph && t.requires_grad() { t.alias() } else { t.detach().requires_grad_(true) }
    };
    let inputs = inputs.iter().map(stand_in).collect::<Result<Vec<_>>>()?;
    let all = f(&inputs)?;
    let (mut outputs, mut given) = (Vec::new(), Vec::new());
    for (output, cotangent) in all.into_iter().zip(cotangents) {
        if let Some(c) = cotangent {
            outputs.push(output);
            given.push(Some(c.clone()));
        }
    }
    if outputs.is_empty() {
        return Ok(vec![None; inputs.len()]);
    }
    grad(&outputs, &inputs, &given, GradOptions { create_graph, allow_unused: true, ..Default::default() })
}
