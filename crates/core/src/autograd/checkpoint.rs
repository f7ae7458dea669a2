//! Activation checkpointing: a part of the graph is recomputed in backward instead of being stored.

use super::engine::backward;
use super::function::{Context, Function, apply};
use crate::modes::enable_grad;
use crate::random::{default_generator, with_state};
use crate::{Result, Tensor};

struct Checkpoint<F> {
    run: F,
    state: Vec<u8>,
}

impl<F> Function for Checkpoint<F>
where
    F: Fn(&[Tensor]) -> Result<Vec<Tensor>> + Send + Sync + 'static,
{
    fn name(&self) -> &str {
        "CheckpointFunction"
    }

    fn forward(&self, ctx: &mut Context, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        ctx.save_for_backward(inputs);
        (self.run)(inputs)
    }

    fn backward(&self, ctx: &Context, grads: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
        let inputs: Vec<Tensor> = ctx.saved_tensors()?.iter().map(Tensor::detach).collect();
        for (i, t) in inputs.iter().enumerate() {
            if ctx.needs_input_grad(i) {
                t.set_requires_grad(true)?;
            }
        }
        let _guard = enable_grad();
        let outputs = with_state(&self.state, || (self.run)(&inputs))?;
        let (outputs, grads): (Vec<_>, Vec<_>) = outputs
            .into_iter()
            .zip(grads)
            .filter(|(o, g)| o.requires_grad() && g.is_some())
            .map(|(o, g)| (o, g.clone()))
            .unzip();
        backward(&outputs, &grads, false, false)?;
        Ok(inputs.iter().map(Tensor::grad).collect())
    }
}

/// Runs `f` without storing what its backward needs; backward runs it again first, with the same random numbers.
///
/// The gradients of tensors that `f` captures (parameters) are accumulated as usual. As with
/// `torch.utils.checkpoint(use_reentrant=True)`, at least one of `inputs` must require gradients for any to flow.
///
/// # Errors
/// Those of `f`.
pub fn checkpoint<F>(f: F, inputs: &[Tensor]) -> Result<Vec<Tensor>>
where
    F: Fn(&[Tensor]) -> Result<Vec<Tensor>> + Send + Sync + 'static,
{
    apply(Checkpoint { run: f, state: default_generator().get_state() }, inputs)
}
