//! All parameters as one vector, and back.

use cresset_core::{Result, Tensor, ensure, no_grad, ops};

use crate::module::Parameter;

/// The elements of all parameters, one after the other.
///
/// ```
/// # use cresset_nn::{Linear, Module, utils::{parameters_to_vector, vector_to_parameters}};
/// # use cresset_core::Result;
/// # fn main() -> Result<()> {
/// let layer = Linear::new(3, 2)?;
/// let vector = parameters_to_vector(&layer.parameters())?;
/// assert_eq!(vector.numel(), 8);
/// vector_to_parameters(&vector.mul_scalar(0.5)?.detach(), &layer.parameters())?;
/// # Ok(())
/// # }
/// ```
/// # Errors
/// `Runtime` without parameters.
pub fn parameters_to_vector(parameters: &[Parameter]) -> Result<Tensor> {
    let flat: Vec<Tensor> = parameters.iter().map(|p| p.reshape([-1])).collect::<Result<_>>()?;
    ops::cat(&flat)
}

/// Overwrites the parameters with consecutive parts of the vector.
///
/// # Errors
/// `Runtime` when the vector has too few elements.
pub fn vector_to_parameters(vector: &Tensor, parameters: &[Parameter]) -> Result<()> {
    let _guard = no_grad();
    let mut start = 0;
    for p in parameters {
        let n = p.numel() as i64;
        ensure!(
            start + n <= vector.numel() as i64,
            "vector_to_parameters: the vector ends before the parameters"
        );
        p.copy_(&vector.narrow(0, start, n)?.view(&p.sizes()[..])?)?;
        start += n;
    }
    Ok(())
}
