//! Calls with other tensors in the place of a module's own, as `torch.func.functional_call`.

use cresset_core::{Result, Tensor, ensure};

use crate::module::{Module, substituted};

/// Calls `module` by `forward` with other tensors in the place of the parameters and buffers of those names; gradients flow
/// to them. What is tied within the module stays tied.
///
/// ```
/// # use cresset_core::{tensor, Result};
/// # use cresset_nn::{Forward, Linear, utils::functional_call};
/// # fn main() -> Result<()> {
/// let layer = Linear::with(1, 1, |o| o.bias(false))?;
/// let weight = tensor![[3.0]].requires_grad_(true)?;
/// let y = functional_call(&layer, &[("weight", weight.clone())], |m| m.forward(&tensor![[2.0]]))?;
/// y.sum()?.backward()?;
/// assert_eq!((y.item()?.to_f64(), weight.grad().unwrap().item()?.to_f64()), (6.0, 2.0));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// `Runtime` for a name that the module has not; those of `forward`.
pub fn functional_call<M: Module + Clone, R>(
    module: &M,
    tensors: &[(&str, Tensor)],
    forward: impl FnOnce(&M) -> Result<R>,
) -> Result<R> {
    let mut own: Vec<(String, Tensor)> =
        module.named_parameters().iter().map(|(n, p)| (n.clone(), Tensor::clone(p))).collect();
    own.extend(module.named_buffers().iter().map(|(n, b)| (n.clone(), Tensor::clone(b))));
    let unexpected: Vec<&str> =
        tensors.iter().map(|(n, _)| *n).filter(|n| own.iter().all(|(o, _)| o != n)).collect();
    ensure!(unexpected.is_empty(), "Unexpected key(s): {}.", unexpected.join(", "));
    let find = |name: &str| own.iter().find(|(n, _)| n == name).map(|(_, t)| t.clone());
    let pairs = tensors.iter().filter_map(|(name, t)| Some((find(name)?, t.clone()))).collect();
    forward(&substituted(module, pairs)?)
}
