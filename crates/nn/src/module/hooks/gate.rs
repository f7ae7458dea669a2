//! The two places of the graph between which a module lies: the gradients that pass them go through the backward hooks.

use std::sync::{Arc, Mutex, PoisonError};

use cresset_core::autograd::{self, Context, Function};
use cresset_core::{Result, Tensor, ensure, is_grad_enabled};

use super::{BackwardHook, BackwardPreHook};

type Gradients = Vec<Option<Tensor>>;

/// The hooks of one call and what arrived at its output.
struct Passage<M> {
    module: M,
    before: Vec<BackwardPreHook<M>>,
    after: Vec<BackwardHook<M>>,
    /// Which arguments need gradients; none before the call.
    inputs: Mutex<Vec<bool>>,
    /// Gradients of the output, between the output's place and that of the arguments.
    arrived: Mutex<Option<Gradients>>,
}

/// The two places of one call.
pub(super) struct Gate<M>(Arc<Passage<M>>);

impl<M: Clone + Send + Sync + 'static> Gate<M> {
    /// Nothing, if there are no hooks or no gradients.
    pub(super) fn new(
        module: &M,
        before: Vec<BackwardPreHook<M>>,
        after: Vec<BackwardHook<M>>,
    ) -> Option<Gate<M>> {
        let needed = is_grad_enabled() && !(before.is_empty() && after.is_empty());
        needed.then(|| {
            let (inputs, arrived) = (Mutex::default(), Mutex::default());
            Gate(Arc::new(Passage { module: module.clone(), before, after, inputs, arrived }))
        })
    }

    /// The arguments behind their place.
    pub(super) fn enter(&self, args: &[Tensor]) -> Result<Vec<Tensor>> {
        let needs: Vec<bool> = args.iter().map(Tensor::requires_grad).collect();
        *self.0.inputs.lock().unwrap_or_else(PoisonError::into_inner) = needs;
        if self.0.after.is_empty() {
            return Ok(args.to_vec());
        }
        let passage = self.0.clone();
        through(args, move |grads| passage.gradients_of_inputs(grads))
    }

    /// The outputs behind their place.
    pub(super) fn leave(&self, outputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let (passage, needs) =
            (self.0.clone(), outputs.iter().map(Tensor::requires_grad).collect::<Vec<_>>());
        through(outputs, move |grads| passage.gradients_of_outputs(spread(grads, &needs)))
    }
}

impl<M> Passage<M> {
    fn gradients_of_outputs(&self, mut grads: Gradients) -> Result<Gradients> {
        for hook in &self.before {
            if let Some(new) = hook(&self.module, &grads)? {
                ensure!(
                    new.len() == grads.len(),
                    "Backward pre hook returned an invalid number of grad_output, got {}, but expected {}",
                    new.len(),
                    grads.len()
                );
                grads = new;
            }
        }
        let inputs = self.inputs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if !inputs.contains(&true) {
            let none = vec![None; inputs.len()];
            for hook in &self.after {
                let new = hook(&self.module, &none, &grads)?;
                ensure!(
                    new.is_none_or(|new| new.iter().all(Option::is_none)),
                    "Backward hook for Modules where no input requires gradient should always return None or None for all gradients."
                );
            }
            return Ok(grads);
        }
        *self.arrived.lock().unwrap_or_else(PoisonError::into_inner) = Some(grads.clone());
        Ok(grads)
    }

    fn gradients_of_inputs(&self, grads: &[Option<Tensor>]) -> Result<Gradients> {
        let needs = self.inputs.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut grads = spread(grads, &needs);
        // Gradients that did not pass the output's place, as in a second backward pass, are not the module's.
        let Some(outputs) = self.arrived.lock().unwrap_or_else(PoisonError::into_inner).take() else {
            return Ok(grads);
        };
        for hook in &self.after {
            if let Some(new) = hook(&self.module, &grads, &outputs)? {
                ensure!(
                    new.len() == grads.len(),
                    "Backward hook returned an invalid number of grad_input, got {}, but expected {}",
                    new.len(),
                    grads.len()
                );
                grads = new;
            }
        }
        Ok(grads)
    }
}

/// Gradients of all tensors from those of the ones that need them.
fn spread(grads: &[Option<Tensor>], needs: &[bool]) -> Gradients {
    let mut grads = grads.iter().cloned();
    needs.iter().map(|needed| if *needed { grads.next().flatten() } else { None }).collect()
}

/// The tensors behind a place of the graph where gradients go through `pass`: from those of the tensors that need
/// gradients to those of all.
fn through(
    tensors: &[Tensor],
    pass: impl Fn(&[Option<Tensor>]) -> Result<Gradients> + Send + Sync + 'static,
) -> Result<Vec<Tensor>> {
    let needs: Vec<bool> = tensors.iter().map(Tensor::requires_grad).collect();
    let needing: Vec<Tensor> = tensors.iter().filter(|t| t.requires_grad()).cloned().collect();
    if needing.is_empty() {
        return Ok(tensors.to_vec());
    }
    let mut passed = autograd::apply(Identity { pass, needs: needs.clone() }, &needing)?.into_iter();
    let pick =
        |(t, needed): (&Tensor, bool)| if needed { passed.next() } else { None }.unwrap_or_else(|| t.clone());
    Ok(tensors.iter().zip(needs).map(pick).collect())
}

/// Hands tensors on, and gradients through a function.
struct Identity<F> {
    pass: F,
    needs: Vec<bool>,
}

impl<F> Function for Identity<F>
where
    F: Fn(&[Option<Tensor>]) -> Result<Gradients> + Send + Sync + 'static,
{
    fn name(&self) -> &str {
        "BackwardHookFunction"
    }

    fn forward(&self, _: &mut Context, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        Ok(inputs.to_vec())
    }

    fn backward(&self, _: &Context, grads: &[Option<Tensor>]) -> Result<Gradients> {
        let all = (self.pass)(grads)?;
        Ok(all.into_iter().zip(&self.needs).filter_map(|(g, needed)| needed.then_some(g)).collect())
    }
}
