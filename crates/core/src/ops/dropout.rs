//! Dropout and its kin: elements, or whole channels, are zeroed at random and the rest is scaled up.

use cresset_macros::op;

use crate::op::OpDef;
use crate::{DType, Result, Scalar, Tensor, copy, draw, ensure, op_list};

pub(crate) static OPS: &[&OpDef] = op_list![
    dropout,
    dropout_,
    feature_dropout,
    feature_dropout_,
    alpha_dropout,
    alpha_dropout_,
    feature_alpha_dropout,
    feature_alpha_dropout_,
    native_dropout,
    native_dropout_backward,
];

/// What the elements are multiplied by, and what is added then.
enum Noise {
    /// Nothing changes.
    Identity,
    Times(Tensor),
    Affine(Tensor, Tensor),
}

/// Draws the noise for `input`; `features`: one number for each channel of each sample.
fn noise(input: &Tensor, p: f64, train: bool, features: bool, alpha: bool) -> Result<Noise> {
    ensure!(
        (0.0..=1.0).contains(&p),
        "dropout probability has to be between 0 and 1, but got {}",
        draw::plain(p)
    );
    if p == 0.0 || !train || input.numel() == 0 {
        return Ok(Noise::Identity);
    }
    if p == 1.0 {
        return Ok(Noise::Times(copy::zeros(&[], input.dtype(), input.device())?));
    }
    let t = match features {
        true => Tensor::empty_of(&feature_sizes(input)?, input.dtype().to_real(), input.device())?,
        false => copy::empty_like(input, input.dtype().to_real())?,
    };
    if !alpha {
        draw::dropout_noise(&t, 1.0 - p)?;
        return Ok(Noise::Times(t));
    }
    draw::bernoulli(&t, 1.0 - p, None)?;
    alpha_noise(&t, p)
}

/// The sizes of the noise for whole channels: `[N, C, 1, …]`.
fn feature_sizes(input: &Tensor) -> Result<Vec<i64>> {
    let sizes = input.sizes();
    ensure!(sizes.len() >= 2, "Feature dropout requires at least 2 dimensions in the input");
    Ok(sizes.iter().enumerate().map(|(d, size)| if d < 2 { *size } else { 1 }).collect())
}

/// Noise that keeps mean and variance of what SELU gives: dropped elements become its negative limit.
fn alpha_noise(kept: &Tensor, p: f64) -> Result<Noise> {
    // Scale times alpha of SELU.
    const ALPHA: f64 = 1.758_099_340_847_376_6;
    let a = 1.0 / ((ALPHA * ALPHA * p + 1.0) * (1.0 - p)).sqrt();
    let number = |x: f64| Tensor::wrapped(Scalar::Float(x));
    let shift = kept.add(&number(-1.0)?)?.mul(&number(ALPHA * a)?)?.add(&number(ALPHA * a * p)?)?;
    Ok(Noise::Affine(kept.mul(&number(a)?)?, shift))
}

fn applied(input: &Tensor, noise: Noise) -> Result<Tensor> {
    match noise {
        Noise::Identity => Ok(input.clone()),
        Noise::Times(factor) => input.mul(&factor),
        Noise::Affine(factor, shift) => input.mul(&factor)?.add(&shift),
    }
}

fn applied_in_place(input: &Tensor, noise: Noise) -> Result<Tensor> {
    match noise {
        Noise::Identity => Ok(input.clone()),
        Noise::Times(factor) => input.mul_(&factor),
        Noise::Affine(factor, shift) => input.mul_(&factor)?.add_(&shift),
    }
}

/// Zeroes each element with probability `p` and divides the others by `1 - p`; nothing unless `train`.
#[op("dropout(Tensor input, float p, bool train) -> Tensor", composite, tags(random), no_method)]
mod dropout {
    fn kernel(input: &Tensor, p: f64, train: bool) -> Result<Tensor> {
        applied(input, noise(input, p, train, false, false)?)
    }
}

/// [`dropout`] in place.
#[op("dropout_(Tensor(a!) self, float p, bool train) -> Tensor(a!)", composite, tags(random), no_method)]
mod dropout_ {
    fn kernel(this: &Tensor, p: f64, train: bool) -> Result<Tensor> {
        applied_in_place(this, noise(this, p, train, false, false)?)
    }
}

/// Zeroes each channel of each sample with probability `p` and divides the others by `1 - p`.
#[op("feature_dropout(Tensor input, float p, bool train) -> Tensor", composite, tags(random), no_method)]
mod feature_dropout {
    fn kernel(input: &Tensor, p: f64, train: bool) -> Result<Tensor> {
        applied(input, noise(input, p, train, true, false)?)
    }
}

/// [`feature_dropout`] in place.
#[op(
    "feature_dropout_(Tensor(a!) self, float p, bool train) -> Tensor(a!)",
    composite,
    tags(random),
    no_method
)]
mod feature_dropout_ {
    fn kernel(this: &Tensor, p: f64, train: bool) -> Result<Tensor> {
        applied_in_place(this, noise(this, p, train, true, false)?)
    }
}

/// Dropout that keeps mean and variance of self-normalising networks.
#[op("alpha_dropout(Tensor input, float p, bool train) -> Tensor", composite, tags(random), no_method)]
mod alpha_dropout {
    fn kernel(input: &Tensor, p: f64, train: bool) -> Result<Tensor> {
        applied(input, noise(input, p, train, false, true)?)
    }
}

/// [`alpha_dropout`] in place.
#[op(
    "alpha_dropout_(Tensor(a!) self, float p, bool train) -> Tensor(a!)",
    composite,
    tags(random),
    no_method
)]
mod alpha_dropout_ {
    fn kernel(this: &Tensor, p: f64, train: bool) -> Result<Tensor> {
        applied_in_place(this, noise(this, p, train, false, true)?)
    }
}

/// [`alpha_dropout`] of whole channels.
#[op(
    "feature_alpha_dropout(Tensor input, float p, bool train) -> Tensor",
    composite,
    tags(random),
    no_method
)]
mod feature_alpha_dropout {
    fn kernel(input: &Tensor, p: f64, train: bool) -> Result<Tensor> {
        applied(input, noise(input, p, train, true, true)?)
    }
}

/// [`feature_alpha_dropout`] in place.
#[op(
    "feature_alpha_dropout_(Tensor(a!) self, float p, bool train) -> Tensor(a!)",
    composite,
    tags(random),
    no_method
)]
mod feature_alpha_dropout_ {
    fn kernel(this: &Tensor, p: f64, train: bool) -> Result<Tensor> {
        applied_in_place(this, noise(this, p, train, true, true)?)
    }
}

/// What remains is divided by the probability to remain; nothing remains with probability 0.
fn kept_scale(p: f64) -> f64 {
    if p == 1.0 { 0.0 } else { 1.0 / (1.0 - p) }
}

/// Dropout that also returns which elements were kept.
#[op("native_dropout(Tensor input, float p, bool? train) -> (Tensor, Tensor)", tags(random), no_method)]
mod native_dropout {
    fn kernel(input: &Tensor, p: f64, train: Option<bool>) -> Result<(Tensor, Tensor)> {
        if input.numel() == 0 {
            return Ok((copy::duplicate(input)?, copy::empty_like(input, input.dtype())?));
        }
        let mask = copy::empty_like(input, DType::Bool)?;
        if train == Some(false) {
            copy::fill(&mask, Scalar::Bool(true));
            return Ok((copy::duplicate(input)?, mask));
        }
        draw::bernoulli(&mask, 1.0 - p, None)?;
        let scale = Tensor::wrapped(Scalar::Float(kept_scale(p)))?;
        Ok((input.mul(&mask)?.mul(&scale)?, mask))
    }
    fn grad_input(g: &Tensor, out1: &Tensor, p: f64, train: Option<bool>) -> Result<Tensor> {
        let scale = if train == Some(false) { 1.0 } else { kept_scale(p) };
        native_dropout_backward(g, out1, scale)
    }
}

/// The gradient of [`native_dropout`]: `grad_output * mask * scale`.
#[op("native_dropout_backward(Tensor grad_output, Tensor mask, float scale) -> Tensor", no_method)]
mod native_dropout_backward {
    fn kernel(grad_output: &Tensor, mask: &Tensor, scale: f64) -> Result<Tensor> {
        grad_output.mul(mask)?.mul(&Tensor::wrapped(Scalar::Float(scale))?)
    }
    fn grad_grad_output(g: &Tensor, mask: &Tensor, scale: f64) -> Result<Tensor> {
        native_dropout_backward(g, mask, scale)
    }
    fn grad_mask(g: &Tensor, grad_output: &Tensor, scale: f64) -> Result<Tensor> {
        g.mul(grad_output)?.mul(&Tensor::wrapped(Scalar::Float(scale))?)
    }
}
