//! Draws whose parameters are tensors.

use cresset_kernels::random as kernels;
use cresset_kernels::random::{Mt19937, Real};
use cresset_macros::op;

use crate::draw::{self, parameters, with_real};
use crate::op::{OpDef, Out};
use crate::random::Generator;
use crate::supported::{require, wide_floats};
use crate::{DType, Result, Tensor, copy, ensure, op_list};

pub(crate) static OPS: &[&OpDef] = op_list![
    bernoulli,
    bernoulli_p,
    poisson,
    binomial,
    standard_gamma,
    standard_gamma_grad,
    sample_dirichlet,
    dirichlet_grad,
    multinomial
];

/// 1 with the probability that is the element, else 0.
#[op("bernoulli(Tensor self, *, Generator? generator=None) -> Tensor", out = "out", tags(random))]
mod bernoulli {
    fn kernel(this: &Tensor, generator: Option<&Generator>, out: Out) -> Result<Tensor> {
        let t = match out {
            Out::New => Tensor::empty_of(&this.sizes(), this.dtype(), this.device())?,
            _ => crate::ops::raw::place(out, &this.sizes(), this.dtype(), this.device())?,
        };
        draw::bernoulli_each(&t, this, generator)?;
        Ok(t)
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        copy::zeros(&g.sizes(), g.dtype(), g.device())
    }
}

/// 1 with probability `p`, else 0, in the shape of `self`.
#[op(
    "bernoulli.p(Tensor self, float p, *, Generator? generator=None) -> Tensor",
    no_grad = "depends on the shape only",
    tags(random)
)]
mod bernoulli_p {
    fn kernel(this: &Tensor, p: f64, generator: Option<&Generator>) -> Result<Tensor> {
        let t = Tensor::empty_of(&this.sizes(), this.dtype(), this.device())?;
        draw::bernoulli(&t, p, generator)?;
        Ok(t)
    }
}

/// A row-major tensor of `values`, rounded to the dtype of `like`.
fn from_values(like: &Tensor, values: impl Iterator<Item = f64>) -> Result<Tensor> {
    with_real!(like.dtype(), "random", T => Tensor::from_vec(values.map(T::from_f64).collect(), like.sizes()))
}

/// The generator's engine, or the default one's.
fn engine(generator: Option<&Generator>) -> std::sync::MutexGuard<'_, Mt19937> {
    generator.unwrap_or(crate::random::default_generator()).lock()
}

/// Poisson numbers whose rates are the elements.
#[op("poisson(Tensor self, Generator? generator=None) -> Tensor", tags(random))]
mod poisson {
    fn kernel(this: &Tensor, generator: Option<&Generator>) -> Result<Tensor> {
        let dense = copy::contiguous_copy(this)?;
        let rates = parameters(&dense, "poisson_cpu")?;
        ensure!(
            rates.iter().all(|rate| *rate >= 0.0),
            "invalid Poisson rate, expected rate to be non-negative"
        );
        let mut engine = engine(generator);
        from_values(this, rates.into_iter().map(|rate| kernels::poisson(&mut engine, rate) as f64))
    }
    fn grad_this(g: &Tensor) -> Result<Tensor> {
        copy::zeros(&g.sizes(), g.dtype(), g.device())
    }
}

/// The number of successes in `count` throws of probability `prob`.
#[op(
    "binomial(Tensor count, Tensor prob, Generator? generator=None) -> Tensor",
    no_grad = "the numbers are whole",
    tags(random),
    no_method
)]
mod binomial {
    fn kernel(count: &Tensor, prob: &Tensor, generator: Option<&Generator>) -> Result<Tensor> {
        require("binomial_cpu", count, wide_floats)?;
        for (name, t) in [("count", count), ("prob", prob)] {
            ensure!(
                t.is_floating_point(),
                Value,
                "binomial only supports floating-point dtypes for {name}, got: {}",
                t.dtype().scalar_type()
            );
        }
        ensure!(
            count.dtype() == prob.dtype(),
            "Found dtype {} but expected {}",
            prob.dtype().scalar_type(),
            count.dtype().scalar_type()
        );
        let sizes = crate::layout::broadcast_shapes(&count.sizes(), &prob.sizes())?;
        let t = Tensor::empty_of(&sizes, count.dtype(), count.device())?;
        let along = |other: &Tensor| -> Result<Vec<f64>> {
            draw::values_along::<f64>(&crate::ops::raw::cast(other, DType::F64)?, &t)
        };
        let pairs = along(count)?.into_iter().zip(along(prob)?);
        let mut engine = engine(generator);
        match count.dtype() {
            DType::F64 => from_values(&t, pairs.map(|(n, p)| kernels::binomial_f64(&mut engine, n, p))),
            _ => from_values(
                &t,
                pairs.map(|(n, p)| f64::from(kernels::binomial_f32(&mut engine, n as f32, p as f32))),
            ),
        }
    }
}

/// Gamma numbers of scale 1 whose shapes are the elements.
#[op("_standard_gamma(Tensor self, Generator? generator=None) -> Tensor", tags(random), no_method)]
mod standard_gamma {
    fn kernel(this: &Tensor, generator: Option<&Generator>) -> Result<Tensor> {
        require("gamma_cpu", this, wide_floats)?;
        let dense = copy::contiguous_copy(this)?;
        let shapes = parameters(&dense, "gamma_cpu")?;
        let mut engine = engine(generator);
        if this.dtype() == DType::F64 {
            let draw = |alpha: f64| kernels::standard_gamma_f64(&mut engine, alpha).max(f64::MIN_POSITIVE);
            return from_values(this, shapes.into_iter().map(draw));
        }
        let least = smallest_normal(this.dtype());
        let draw = |alpha: f64| f64::from(kernels::standard_gamma_f32(&mut engine, alpha as f32)).max(least);
        from_values(this, shapes.into_iter().map(draw))
    }
    fn grad_this(g: &Tensor, this: &Tensor, out: &Tensor) -> Result<Tensor> {
        g.mul(&standard_gamma_grad::call(this, out)?)
    }
}

/// The derivative of gamma numbers `output` by their shapes `self`.
#[op(
    "_standard_gamma_grad(Tensor self, Tensor output) -> Tensor",
    no_grad = "PyTorch has no second derivative of it either",
    no_method
)]
mod standard_gamma_grad {
    fn kernel(this: &Tensor, output: &Tensor) -> Result<Tensor> {
        require("_standard_gamma_grad_cpu", this, wide_floats)?;
        let sizes = crate::layout::broadcast_shapes(&this.sizes(), &output.sizes())?;
        let t = Tensor::empty_of(&sizes, this.dtype(), this.device())?;
        let along = |other: &Tensor| -> Result<Vec<f64>> {
            draw::values_along::<f64>(&crate::ops::raw::cast(other, DType::F64)?, &t)
        };
        let pairs = along(this)?.into_iter().zip(along(output)?);
        from_values(&t, pairs.map(|(alpha, x)| kernels::standard_gamma_gradient(alpha, x)))
    }
}

fn smallest_normal(dtype: DType) -> f64 {
    match dtype {
        DType::F16 => 6.103_515_625e-5,
        DType::F64 => f64::MIN_POSITIVE,
        _ => f64::from(f32::MIN_POSITIVE),
    }
}

/// Dirichlet numbers: along the last dimension they add up to 1.
#[op(
    "_sample_dirichlet(Tensor self, Generator? generator=None) -> Tensor",
    no_grad = "the reparameterised gradient does not exist yet",
    tags(random),
    no_method
)]
mod sample_dirichlet {
    fn kernel(this: &Tensor, generator: Option<&Generator>) -> Result<Tensor> {
        require("dirichlet", this, wide_floats)?;
        let dense = copy::contiguous_copy(this)?;
        let shapes = parameters(&dense, "dirichlet")?;
        let mut engine = engine(generator);
        let draws: Vec<f64> =
            shapes.into_iter().map(|a| kernels::standard_gamma_f64(&mut engine, a)).collect();
        let last = this.sizes().last().copied().unwrap_or(1).max(1) as usize;
        let (least, most) = (smallest_normal(this.dtype()), below_one(this.dtype()));
        let shares = draws.chunks(last).flat_map(|row| {
            let sum: f64 = row.iter().sum();
            row.iter().map(move |x| (x / sum).clamp(least, most))
        });
        from_values(this, shares)
    }
}

/// The largest number below 1.
fn below_one(dtype: DType) -> f64 {
    match dtype {
        DType::F16 => 1.0 - 4.882_812_5e-4,
        DType::BF16 => 1.0 - 3.906_25e-3,
        DType::F32 => 1.0 - f64::from(f32::EPSILON) / 2.0,
        _ => 1.0 - f64::EPSILON / 2.0,
    }
}

/// Indices of the last dimension, drawn by weight.
#[op(
    "multinomial(Tensor self, SymInt num_samples, bool replacement=False, *, Generator? generator=None) -> Tensor",
    no_grad = "the result is made of indices",
    tags(random),
    out = "out"
)]
mod multinomial {
    fn kernel(
        this: &Tensor,
        num_samples: i64,
        replacement: bool,
        generator: Option<&Generator>,
        out: Out,
    ) -> Result<Tensor> {
        if let Out::Into(outs) = out {
            let dtype = outs[0].dtype();
            ensure!(dtype == DType::I64, "multinomial expects Long tensor out, got: {}", dtype.scalar_type());
        }
        check_multinomial(this, num_samples, replacement)?;
        let categories = this.size(-1)? as usize;
        let samples = num_samples as usize;
        let indices = match replacement && num_samples != 1 {
            true => with_replacement(this, categories, samples, generator)?,
            false => without_replacement(this, categories, samples, generator)?,
        };
        let mut sizes = this.sizes();
        let last = sizes.len() - 1;
        sizes[last] = num_samples;
        let drawn = Tensor::from_vec(indices, &*sizes)?;
        match out {
            Out::New => Ok(drawn),
            _ => {
                let t = crate::ops::raw::place(out, &sizes, DType::I64, this.device())?;
                copy::copy_into(&t, &drawn)?;
                Ok(t)
            }
        }
    }
}

fn check_multinomial(this: &Tensor, num_samples: i64, replacement: bool) -> Result<()> {
    ensure!(matches!(this.dim(), 1 | 2), "prob_dist must be 1 or 2 dim");
    ensure!(
        this.is_floating_point(),
        "multinomial only supports floating-point dtypes for input, got: {}",
        this.dtype().scalar_type()
    );
    ensure!(num_samples > 0, "cannot sample n_sample <= 0 samples");
    ensure!(
        replacement || num_samples <= this.size(-1)?,
        "cannot sample n_sample > prob_dist.size(-1) samples without replacement"
    );
    // Indices must be exact in single precision.
    ensure!(this.size(-1)? <= 1 << 24, "number of categories cannot exceed 2^24");
    Ok(())
}

/// For each row: the running sums of the weights, then one search for each index.
fn with_replacement(
    this: &Tensor,
    categories: usize,
    samples: usize,
    generator: Option<&Generator>,
) -> Result<Vec<i64>> {
    let rows = this.numel() / categories.max(1);
    let mut indices = vec![0; rows * samples];
    let mut engine = engine(generator);
    if this.dtype() == DType::F64 {
        let weights = this.to_vec::<f64>()?;
        let mut sums = vec![0.0; categories];
        for (row, out) in weights.chunks(categories).zip(indices.chunks_mut(samples)) {
            kernels::cumulative_from_weights(row, &mut sums).map_err(crate::Error::runtime)?;
            kernels::sample_cumulative(&mut engine, &sums, out);
        }
        return Ok(indices);
    }
    let weights = crate::ops::raw::cast(this, DType::F32)?.to_vec::<f32>()?;
    let mut sums = vec![0.0; categories];
    for (row, out) in weights.chunks(categories).zip(indices.chunks_mut(samples)) {
        kernels::cumulative_from_weights(row, &mut sums).map_err(crate::Error::runtime)?;
        kernels::sample_cumulative(&mut engine, &sums, out);
    }
    Ok(indices)
}

/// The positions of the largest quotients of weight and exponential number.
fn without_replacement(
    this: &Tensor,
    categories: usize,
    samples: usize,
    generator: Option<&Generator>,
) -> Result<Vec<i64>> {
    let weights: Vec<f64> = crate::ops::raw::cast(this, DType::F64)?.to_vec()?;
    ensure!(
        weights.iter().all(|w| w.is_finite() && *w >= 0.0),
        "probability tensor contains either `inf`, `nan` or element < 0"
    );
    ensure!(
        weights.chunks(categories.max(1)).all(|row| row.iter().any(|w| *w > 0.0)),
        "invalid multinomial distribution (sum of probabilities <= 0)"
    );
    let q = copy::empty_like(this, this.dtype())?;
    let quotients: Vec<f64> = with_real!(this.dtype(), "exponential_cpu", T => {
        draw::fill::<T>(&q, generator, |g, out| kernels::exponential(g, out, 1.0))?;
        let exponentials = q.to_vec::<T>()?;
        Ok(weights.iter().zip(exponentials).map(|(w, e)| T::from_f64(w / e.to_f64()).to_f64()).collect())
    })?;
    Ok(quotients.chunks(categories.max(1)).flat_map(|row| largest(row, samples)).collect())
}

/// The positions of the `count` largest values, largest first; of equal ones the first.
fn largest(values: &[f64], count: usize) -> Vec<i64> {
    if count == 1 {
        let best = (0..values.len()).reduce(|best, i| if values[i] > values[best] { i } else { best });
        return vec![best.unwrap_or(0) as i64];
    }
    let mut order: Vec<i64> = (0..values.len() as i64).collect();
    order.sort_by(|a, b| values[*b as usize].total_cmp(&values[*a as usize]));
    order.truncate(count);
    order
}

/// The scaled derivative of Dirichlet numbers `x` by their shapes `alpha`, which add up to `total`.
#[op(
    "_dirichlet_grad(Tensor x, Tensor alpha, Tensor total) -> Tensor",
    no_grad = "PyTorch has no second derivative of it either",
    out = "out",
    no_method
)]
mod dirichlet_grad {
    fn kernel(x: &Tensor, alpha: &Tensor, total: &Tensor) -> Result<Tensor> {
        require("_dirichlet_grad_cpu", x, wide_floats)?;
        let shapes = crate::layout::broadcast_shapes(&alpha.sizes(), &total.sizes())?;
        let sizes = crate::layout::broadcast_shapes(&x.sizes(), &shapes)?;
        let t = Tensor::empty_of(&sizes, x.dtype(), x.device())?;
        let along = |other: &Tensor| -> Result<Vec<f64>> {
            ensure!(
                other.dtype() == x.dtype(),
                "Found dtype {} but expected {}",
                other.dtype().scalar_type(),
                x.dtype().scalar_type()
            );
            draw::values_along::<f64>(&crate::ops::raw::cast(other, DType::F64)?, &t)
        };
        let triples = along(x)?.into_iter().zip(along(alpha)?).zip(along(total)?);
        from_values(&t, triples.map(|((x, alpha), total)| kernels::dirichlet_gradient(x, alpha, total)))
    }
}
