//! The activation whose slope below 0 is drawn anew for each element.

use cresset_macros::op;

use super::unary::zero_grad;
use super::{leaky_relu_backward, leaky_relu_with};
use crate::copy;
use crate::op::OpDef;
use crate::random::{Generator, default_generator};
use crate::supported::require;
use crate::{DType, Result, Scalar, Tensor, bail, op_list};

pub(crate) static OPS: &[&OpDef] = op_list![rrelu, rrelu_with_noise, rrelu_with_noise_backward];

/// `self` above 0, else `self` times a slope: uniform in `[lower, upper)` while training, their mean otherwise.
#[op(
    "rrelu(Tensor self, Scalar lower=0.125, Scalar upper=0.33333333333333331, bool training=False, Generator? generator=None) -> Tensor",
    inplace,
    composite
)]
mod rrelu {
    fn kernel(
        this: &Tensor,
        lower: Scalar,
        upper: Scalar,
        training: bool,
        generator: Option<&Generator>,
    ) -> Result<Tensor> {
        if lower.to_f64() > upper.to_f64() {
            bail!("Lower bound should be less than or equal to the upper bound");
        }
        let noise = copy::ones_like(this)?;
        rrelu_with_noise::call(this, &noise, lower, upper, training, generator)
    }
}

/// As [`rrelu`]; the slopes that were drawn (1 above 0) are left in `noise`.
#[op(
    "rrelu_with_noise(Tensor self, Tensor(b!) noise, Scalar lower=0.125, Scalar upper=0.33333333333333331, bool training=False, Generator? generator=None) -> Tensor",
    nondiff(noise),
    tags(random)
)]
mod rrelu_with_noise {
    fn kernel(
        this: &Tensor,
        noise: &Tensor,
        lower: Scalar,
        upper: Scalar,
        training: bool,
        generator: Option<&Generator>,
    ) -> Result<Tensor> {
        if !training {
            return leaky_relu_with(&this.detach(), |o| o.negative_slope(mean(lower, upper)));
        }
        require("rrelu_with_noise_out_cpu", this, |d| d.is_floating_point() && d != DType::F16)?;
        let slopes = draw(this, lower.to_f64(), upper.to_f64(), generator)?;
        copy::copy_into(noise, &slopes)?;
        noise.bump_version();
        this.detach().mul(&slopes)
    }
    fn grad_this(
        g: &Tensor,
        this: &Tensor,
        noise: &Tensor,
        lower: Scalar,
        upper: Scalar,
        training: bool,
    ) -> Result<Tensor> {
        rrelu_with_noise_backward(g, this, noise, lower, upper, training, false)
    }
}

/// Gradient of [`rrelu_with_noise`].
#[op(
    "rrelu_with_noise_backward(Tensor grad_output, Tensor self, Tensor noise, Scalar lower, Scalar upper, bool training, bool self_is_result) -> Tensor",
    nondiff(noise),
    no_method
)]
mod rrelu_with_noise_backward {
    fn kernel(
        grad_output: &Tensor,
        this: &Tensor,
        noise: &Tensor,
        lower: Scalar,
        upper: Scalar,
        training: bool,
        self_is_result: bool,
    ) -> Result<Tensor> {
        let grad_output = grad_output.detach();
        if training && upper.to_f64() - lower.to_f64() > 1e-6 {
            return noise.detach().mul(&grad_output);
        }
        leaky_relu_backward(&grad_output, &this.detach(), mean(lower, upper), self_is_result)
    }
    fn grad_grad_output(
        g: &Tensor,
        this: &Tensor,
        noise: &Tensor,
        lower: Scalar,
        upper: Scalar,
        training: bool,
    ) -> Result<Tensor> {
        rrelu_with_noise_backward(g, this, noise, lower, upper, training, false)
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        zero_grad(g)
    }
}

fn mean(lower: Scalar, upper: Scalar) -> Scalar {
    Scalar::Float((lower.to_f64() + upper.to_f64()) / 2.0)
}

/// Slopes for the elements that are not above 0, drawn in their order, and ones.
fn draw(x: &Tensor, lower: f64, upper: f64, generator: Option<&Generator>) -> Result<Tensor> {
    let values = x.detach().to_dtype(DType::F64)?.to_vec::<f64>()?;
    let mut engine = generator.unwrap_or_else(|| default_generator()).lock();
    let slope = |v: f64| if v <= 0.0 { engine.f64() * (upper - lower) + lower } else { 1.0 };
    let slopes: Vec<f64> = values.into_iter().map(slope).collect();
    Tensor::from_vec(slopes, x.sizes())?.to_dtype(x.dtype())
}
