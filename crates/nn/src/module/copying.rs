//! Deep copies of modules: Python's `copy.deepcopy`.
//!
//! A module's `Clone` gives further handles to the same tensors. While a deep copy is made, the clone of a parameter or
//! buffer is a tensor of its own instead, and the same one wherever the same tensor is met again: so tied weights stay tied,
//! and whatever implements `Clone` can be copied without a second function. A call with other parameters is the same with
//! the copies given.

use std::cell::RefCell;

use cresset_core::{Error, Result, Tensor, bail};

/// The tensors met so far, each with its copy, and the first failure.
#[derive(Default)]
struct Copies {
    made: Vec<(Tensor, Tensor)>,
    /// Whether tensors that are not among those are kept.
    keep_others: bool,
    error: Option<Error>,
}

thread_local! {
    static COPIES: RefCell<Option<Copies>> = const { RefCell::new(None) };
}

/// Whether clones are to be deep.
pub(super) fn is_deep() -> bool {
    COPIES.with_borrow(Option::is_some)
}

/// What stands for `t` in the clone of a module.
pub(super) fn clone_of(t: &Tensor) -> Tensor {
    COPIES.with_borrow_mut(|copies| {
        let Some(copies) = copies else { return t.clone() };
        if let Some((_, copy)) = copies.made.iter().find(|(seen, _)| seen.same(t)) {
            return copy.clone();
        }
        if copies.keep_others {
            return t.clone();
        }
        match duplicate(t) {
            Ok(copy) => {
                copies.made.push((t.clone(), copy.clone()));
                copy
            }
            Err(error) => {
                copies.error.get_or_insert(error);
                t.clone()
            }
        }
    })
}

/// A leaf with the same elements and gradient.
fn duplicate(t: &Tensor) -> Result<Tensor> {
    if !t.is_leaf() {
        bail!(
            "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the moment.  If you were attempting to deepcopy a module, this may be because of a torch.nn.utils.weight_norm usage, see https://github.com/pytorch/pytorch/pull/103001"
        );
    }
    let copy = t.detach().clone_tensor()?;
    copy.set_requires_grad(t.requires_grad())?;
    if let Some(grad) = t.grad() {
        copy.set_grad(Some(grad.detach().clone_tensor()?))?;
    }
    Ok(copy)
}

/// A clone with tensors of its own.
pub(super) fn deep_copy<M: Clone>(module: &M) -> Result<M> {
    clone_with(module, Copies::default())
}

/// A clone with the second tensor of each pair in the place of the first.
pub(crate) fn substituted<M: Clone>(module: &M, pairs: Vec<(Tensor, Tensor)>) -> Result<M> {
    clone_with(module, Copies { made: pairs, keep_others: true, error: None })
}

fn clone_with<M: Clone>(module: &M, copies: Copies) -> Result<M> {
    /// Ends the copying, whatever happens.
    struct Guard;
    impl Drop for Guard {
        fn drop(&mut self) {
            COPIES.set(None);
        }
    }
    COPIES.set(Some(copies));
    let guard = Guard;
    let copy = module.clone();
    let error = COPIES.with_borrow_mut(|copies| copies.as_mut().and_then(|c| c.error.take()));
    drop(guard);
    error.map_or(Ok(copy), Err)
}
