//! Layers joined with the batch normalisation behind them, for inference.

use cresset_core::{Result, Tensor, ensure, no_grad};

use crate::layers::{BatchNorm, Conv, Linear};
use crate::module::{Module, Parameter};

/// A convolution that computes what `conv` and then `bn` compute in evaluation mode, as
/// `torch.nn.utils.fusion.fuse_conv_bn_eval`.
///
/// ```
/// # use cresset_nn::{BatchNorm2d, Conv2d, Forward, Module, utils::fuse_conv_bn_eval};
/// # use cresset_core::{Result, ops};
/// # fn main() -> Result<()> {
/// let (conv, bn) = (Conv2d::new(3, 8, 3)?, BatchNorm2d::new(8)?);
/// bn.eval();
/// let (x, fused) = (ops::randn([1, 3, 8, 8])?, fuse_conv_bn_eval(&conv, &bn)?);
/// let difference = fused.forward(&x)?.sub(&bn.forward(&conv.forward(&x)?)?)?;
/// assert!(difference.abs()?.max()?.item()?.to_f64() < 1e-5);
/// # Ok(())
/// # }
/// ```
/// # Errors
/// `Runtime` in training mode or without running statistics.
pub fn fuse_conv_bn_eval<const D: usize>(conv: &Conv<D>, bn: &BatchNorm<D>) -> Result<Conv<D>> {
    let mut fused = conv.clone();
    let (weight, bias) = joined(&conv.weight, conv.bias.as_deref(), bn)?;
    (fused.weight, fused.bias) = (weight, Some(bias));
    Ok(fused)
}

/// An affine map that computes what `linear` and then `bn` compute in evaluation mode, as
/// `torch.nn.utils.fusion.fuse_linear_bn_eval`.
///
/// # Errors
/// `Runtime` in training mode, without running statistics, or when the features differ.
pub fn fuse_linear_bn_eval(linear: &Linear, bn: &BatchNorm<1>) -> Result<Linear> {
    let mut fused = linear.clone();
    let (weight, bias) = joined(&linear.weight, linear.bias.as_deref(), bn)?;
    (fused.weight, fused.bias) = (weight, Some(bias));
    Ok(fused)
}

/// Weight and bias, each output scaled and shifted.
fn joined<const D: usize>(
    weight: &Tensor,
    bias: Option<&Tensor>,
    bn: &BatchNorm<D>,
) -> Result<(Parameter, Parameter)> {
    let _guard = no_grad();
    ensure!(!bn.is_training(), "Fusion only for eval!");
    let (scale, shift) = bn.scale_and_shift()?;
    ensure!(
        weight.size(0)? == scale.size(0)?,
        "To fuse, layer.out_features == bn.num_features or bn.num_features == 1"
    );
    let mut sizes = vec![1; weight.dim()];
    sizes[0] = -1;
    let fused = weight.detach().mul(&scale.reshape(sizes)?)?.to_dtype(weight.dtype())?;
    let shift = match bias {
        Some(bias) => bias.detach().mul(&scale)?.add(&shift)?,
        None => shift,
    };
    Ok((Parameter::new(fused)?, Parameter::new(shift.to_dtype(weight.dtype())?)?))
}
