//! In-place draws: the elements become random numbers of a distribution.

use cresset_kernels::random as kernels;
use cresset_macros::op;

use crate::draw::{self, plain, with_number, with_real};
use crate::op::OpDef;
use crate::random::Generator;
use crate::{DType, Result, Tensor, bail, copy, ensure, op_list};

pub(crate) static OPS: &[&OpDef] = op_list![
    uniform_,
    normal_,
    random_,
    random_from_,
    random_to_,
    bernoulli_,
    bernoulli_tensor_,
    exponential_,
    geometric_,
    cauchy_,
    log_normal_,
];

/// The gradient of what was overwritten.
fn nothing(g: &Tensor) -> Result<Tensor> {
    copy::zeros(&g.sizes(), g.dtype(), g.device())
}

/// Largest finite number of a floating-point type.
fn largest(dtype: DType) -> f64 {
    match dtype.to_real() {
        DType::F16 => 65504.0,
        DType::BF16 => 3.389_531_389_251_535_5e38,
        DType::F32 => f64::from(f32::MAX),
        _ => f64::MAX,
    }
}

/// Uniform numbers of `[from, to)`.
#[op(
    "uniform_(Tensor(a!) self, float from=0., float to=1., *, Generator? generator=None) -> Tensor(a!)",
    tags(random)
)]
mod uniform_ {
    fn kernel(this: &Tensor, from: f64, to: f64, generator: Option<&Generator>) -> Result<Tensor> {
        if this.is_floating_point() || this.is_complex() {
            let max = largest(this.dtype());
            let name = draw::c_name(this.dtype().to_real());
            ensure!(from.abs() <= max, "from is out of bounds for {name}");
            ensure!(to.abs() <= max, "to is out of bounds for {name}");
            ensure!(
                from <= to,
                "uniform_ expects to return a [from, to) range, but found from={} > to={}",
                plain(from),
                plain(to)
            );
            ensure!(
                to - from <= max,
                "uniform_ expects to-from <= std::numeric_limits<{}>::max(), but found to={} and from={} which result in to-from to exceed the limit",
                this.dtype().to_real().scalar_type(),
                plain(to),
                plain(from)
            );
        }
        draw::uniform(this, from, to, generator)?;
        Ok(this.clone())
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        nothing(g)
    }
}

/// Normal numbers.
#[op(
    "normal_(Tensor(a!) self, float mean=0., float std=1., *, Generator? generator=None) -> Tensor(a!)",
    tags(random)
)]
mod normal_ {
    fn kernel(this: &Tensor, mean: f64, std: f64, generator: Option<&Generator>) -> Result<Tensor> {
        draw::normal(this, mean, std, generator)?;
        Ok(this.clone())
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        nothing(g)
    }
}

/// Whole numbers from 0 to the largest of the dtype; for floating-point ones, up to where all of them exist.
#[op("random_(Tensor(a!) self, *, Generator? generator=None) -> Tensor(a!)", tags(random))]
mod random_ {
    fn kernel(this: &Tensor, generator: Option<&Generator>) -> Result<Tensor> {
        with_number!(this.dtype(), "random_kernel_cpu", T => {
            draw::fill::<T>(this, generator, kernels::random::<T>)
        })?;
        Ok(this.clone())
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        nothing(g)
    }
}

/// Whole numbers of `[from, to)`, or from `from` to the largest of the dtype.
#[op(
    "random_.from(Tensor(a!) self, int from, int? to, *, Generator? generator=None) -> Tensor(a!)",
    tags(random)
)]
mod random_from_ {
    fn kernel(this: &Tensor, from: i64, to: Option<i64>, generator: Option<&Generator>) -> Result<Tensor> {
        match to {
            Some(to) => draw::integers(this, from, to.into(), generator)?,
            None if from > i64::MIN => draw::integers(this, from, last(this.dtype()) + 1, generator)?,
            None => whole_range(this, generator)?,
        }
        Ok(this.clone())
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        nothing(g)
    }
}

/// The largest number that is drawn when no end is given.
fn last(dtype: DType) -> i128 {
    match dtype {
        DType::Bool => 1,
        DType::U8 => u8::MAX.into(),
        DType::I8 => i8::MAX.into(),
        DType::I16 => i16::MAX.into(),
        DType::I32 => i32::MAX.into(),
        DType::F16 => 1 << 11,
        DType::BF16 => 1 << 8,
        DType::F32 => 1 << 24,
        DType::F64 => 1 << 53,
        _ => i64::MAX.into(),
    }
}

/// Any number of 64 bits.
fn whole_range(this: &Tensor, generator: Option<&Generator>) -> Result<()> {
    if !matches!(this.dtype(), DType::I64 | DType::F64 | DType::F32 | DType::BF16) {
        bail!("random_full_64_bits_range_kernel_cpu handles only int64, double, float and bfloat16");
    }
    with_number!(this.dtype(), "random_full_64_bits_range_kernel_cpu", T => {
        draw::fill::<T>(this, generator, kernels::random_full_range::<T>)
    })
}

/// Whole numbers of `[0, to)`.
#[op("random_.to(Tensor(a!) self, int to, *, Generator? generator=None) -> Tensor(a!)", tags(random))]
mod random_to_ {
    fn kernel(this: &Tensor, to: i64, generator: Option<&Generator>) -> Result<Tensor> {
        draw::integers(this, 0, to.into(), generator)?;
        Ok(this.clone())
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        nothing(g)
    }
}

/// 1 with probability `p`, else 0.
#[op(
    "bernoulli_.float(Tensor(a!) self, float p=0.5, *, Generator? generator=None) -> Tensor(a!)",
    tags(random)
)]
mod bernoulli_ {
    fn kernel(this: &Tensor, p: f64, generator: Option<&Generator>) -> Result<Tensor> {
        draw::bernoulli(this, p, generator)?;
        Ok(this.clone())
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        nothing(g)
    }
}

/// 1 with the probability that `p`, which broadcasts, has for the element, else 0.
#[op(
    "bernoulli_.Tensor(Tensor(a!) self, Tensor p, *, Generator? generator=None) -> Tensor(a!)",
    tags(random)
)]
mod bernoulli_tensor_ {
    fn kernel(this: &Tensor, p: &Tensor, generator: Option<&Generator>) -> Result<Tensor> {
        draw::bernoulli_each(this, p, generator)?;
        Ok(this.clone())
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        nothing(g)
    }
    fn grad_p(p: &crate::autograd::Meta) -> Result<Tensor> {
        copy::zeros(p.sizes(), p.dtype(), crate::Device::Cpu)
    }
}

/// Exponential numbers of rate `lambd`.
#[op(
    "exponential_(Tensor(a!) self, float lambd=1., *, Generator? generator=None) -> Tensor(a!)",
    tags(random)
)]
mod exponential_ {
    fn kernel(this: &Tensor, lambd: f64, generator: Option<&Generator>) -> Result<Tensor> {
        ensure!(lambd > 0.0, "exponential_ expects lambda > 0.0, but found lambda={}", plain(lambd));
        ensure!(
            this.is_floating_point(),
            "Exponential distribution is a continuous probability distribution. dtype must be a floating point but you specified {}",
            this.dtype().scalar_type()
        );
        with_real!(this.dtype(), "exponential_cpu", T => {
            draw::fill::<T>(this, generator, |g, out| kernels::exponential(g, out, lambd))
        })?;
        Ok(this.clone())
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        nothing(g)
    }
}

/// The number of throws up to the first success of probability `p`.
#[op("geometric_(Tensor(a!) self, float p, *, Generator? generator=None) -> Tensor(a!)", tags(random))]
mod geometric_ {
    fn kernel(this: &Tensor, p: f64, generator: Option<&Generator>) -> Result<Tensor> {
        ensure!(0.0 < p && p < 1.0, "geometric_ expects p to be in (0, 1), but got p={}", plain(p));
        if this.dtype() == DType::Bool {
            return draw::unsupported("geometric_cpu", DType::Bool);
        }
        with_number!(this.dtype(), "geometric_cpu", T => {
            draw::fill::<T>(this, generator, |g, out| kernels::geometric(g, out, p))
        })?;
        Ok(this.clone())
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        nothing(g)
    }
}

/// Cauchy numbers.
#[op(
    "cauchy_(Tensor(a!) self, float median=0., float sigma=1., *, Generator? generator=None) -> Tensor(a!)",
    tags(random)
)]
mod cauchy_ {
    fn kernel(this: &Tensor, median: f64, sigma: f64, generator: Option<&Generator>) -> Result<Tensor> {
        ensure!(sigma > 0.0, "cauchy_ expects sigma > 0.0, but found sigma={}", plain(sigma));
        ensure!(
            this.is_floating_point(),
            "Cauchy distribution is a continuous probability distribution. dtype must be a floating point but you specified {}",
            draw::c_name(this.dtype())
        );
        with_real!(this.dtype(), "cauchy_cpu", T => {
            draw::fill::<T>(this, generator, |g, out| kernels::cauchy(g, out, median, sigma))
        })?;
        Ok(this.clone())
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        nothing(g)
    }
}

/// Numbers whose logarithm is normal.
#[op(
    "log_normal_(Tensor(a!) self, float mean=1., float std=2., *, Generator? generator=None) -> Tensor(a!)",
    tags(random)
)]
mod log_normal_ {
    fn kernel(this: &Tensor, mean: f64, std: f64, generator: Option<&Generator>) -> Result<Tensor> {
        ensure!(std > 0.0, "log_normal_ expects std > 0.0, but found std={}", plain(std));
        if !this.is_floating_point() {
            return draw::unsupported("log_normal_cpu", this.dtype());
        }
        with_real!(this.dtype(), "log_normal_cpu", T => {
            draw::fill::<T>(this, generator, |g, out| kernels::log_normal(g, out, mean, std))
        })?;
        Ok(this.clone())
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        nothing(g)
    }
}
