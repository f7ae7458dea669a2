//! New tensors of random numbers.

use cresset_kernels::random as kernels;
use cresset_macros::op;

use super::create::{blank, empty_like};
use crate::draw::{self, with_number};
use crate::op::{OpDef, Out};
use crate::promotion::get_default_dtype;
use crate::random::Generator;
use crate::{DType, Device, MemoryFormat, Result, Tensor, bail, ensure, op_list};

pub(crate) static OPS: &[&OpDef] = op_list![
    rand,
    rand_generator,
    rand_like,
    randn,
    randn_generator,
    randn_like,
    randint,
    randint_generator,
    randint_low,
    randint_low_generator,
    randint_like,
    randint_like_low,
    randperm,
    randperm_generator,
    normal,
    normal_tensor_float,
    normal_float_tensor,
    normal_float,
];

fn uniform(t: Tensor, generator: Option<&Generator>) -> Result<Tensor> {
    draw::uniform(&t, 0.0, 1.0, generator)?;
    Ok(t)
}

fn standard_normal(t: Tensor, generator: Option<&Generator>) -> Result<Tensor> {
    draw::normal(&t, 0.0, 1.0, generator)?;
    Ok(t)
}

fn integers(t: Tensor, low: i64, high: i64, generator: Option<&Generator>) -> Result<Tensor> {
    draw::integers(&t, low, high.into(), generator)?;
    Ok(t)
}

/// Uniform numbers of `[0, 1)`.
#[op(
    "rand(SymInt[] size, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    no_grad = "has no tensor argument",
    out = "out",
    tags(random, factory)
)]
mod rand {
    fn kernel(size: &[i64], dtype: Option<DType>, device: Option<Device>, out: Out) -> Result<Tensor> {
        uniform(blank(out, size, dtype.unwrap_or_else(get_default_dtype), device)?, None)
    }
}

/// Uniform numbers of `[0, 1)` from a generator.
#[op(
    "rand.generator(SymInt[] size, *, Generator? generator, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    no_grad = "has no tensor argument",
    tags(random, factory)
)]
mod rand_generator {
    fn kernel(
        size: &[i64],
        generator: Option<&Generator>,
        dtype: Option<DType>,
        device: Option<Device>,
    ) -> Result<Tensor> {
        uniform(blank(Out::New, size, dtype.unwrap_or_else(get_default_dtype), device)?, generator)
    }
}

/// Uniform numbers of `[0, 1)` in the shape of `self`.
#[op(
    "rand_like(Tensor self, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, MemoryFormat? memory_format=None) -> Tensor",
    no_grad = "depends on the shape only",
    tags(random)
)]
mod rand_like {
    fn kernel(
        this: &Tensor,
        dtype: Option<DType>,
        device: Option<Device>,
        memory_format: Option<MemoryFormat>,
    ) -> Result<Tensor> {
        uniform(empty_like::call(this, dtype, device, memory_format)?, None)
    }
}

/// Standard normal numbers.
#[op(
    "randn(SymInt[] size, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    no_grad = "has no tensor argument",
    out = "out",
    tags(random, factory)
)]
mod randn {
    fn kernel(size: &[i64], dtype: Option<DType>, device: Option<Device>, out: Out) -> Result<Tensor> {
        standard_normal(blank(out, size, dtype.unwrap_or_else(get_default_dtype), device)?, None)
    }
}

/// Standard normal numbers from a generator.
#[op(
    "randn.generator(SymInt[] size, *, Generator? generator, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    no_grad = "has no tensor argument",
    tags(random, factory)
)]
mod randn_generator {
    fn kernel(
        size: &[i64],
        generator: Option<&Generator>,
        dtype: Option<DType>,
        device: Option<Device>,
    ) -> Result<Tensor> {
        standard_normal(blank(Out::New, size, dtype.unwrap_or_else(get_default_dtype), device)?, generator)
    }
}

/// Standard normal numbers in the shape of `self`.
#[op(
    "randn_like(Tensor self, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, MemoryFormat? memory_format=None) -> Tensor",
    no_grad = "depends on the shape only",
    tags(random)
)]
mod randn_like {
    fn kernel(
        this: &Tensor,
        dtype: Option<DType>,
        device: Option<Device>,
        memory_format: Option<MemoryFormat>,
    ) -> Result<Tensor> {
        standard_normal(empty_like::call(this, dtype, device, memory_format)?, None)
    }
}

/// Whole numbers of `[0, high)`.
#[op(
    "randint(SymInt high, SymInt[] size, *, ScalarType? dtype=4, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    no_grad = "has no tensor argument",
    out = "out",
    tags(random, factory)
)]
mod randint {
    fn kernel(
        high: i64,
        size: &[i64],
        dtype: Option<DType>,
        device: Option<Device>,
        out: Out,
    ) -> Result<Tensor> {
        integers(blank(out, size, dtype.unwrap_or(DType::I64), device)?, 0, high, None)
    }
}

/// Whole numbers of `[0, high)` from a generator.
#[op(
    "randint.generator(SymInt high, SymInt[] size, *, Generator? generator, ScalarType? dtype=4, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    no_grad = "has no tensor argument",
    tags(random, factory)
)]
mod randint_generator {
    fn kernel(
        high: i64,
        size: &[i64],
        generator: Option<&Generator>,
        dtype: Option<DType>,
        device: Option<Device>,
    ) -> Result<Tensor> {
        integers(blank(Out::New, size, dtype.unwrap_or(DType::I64), device)?, 0, high, generator)
    }
}

/// Whole numbers of `[low, high)`.
#[op(
    "randint.low(SymInt low, SymInt high, SymInt[] size, *, ScalarType? dtype=4, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    no_grad = "has no tensor argument",
    out = "low_out",
    tags(random, factory)
)]
mod randint_low {
    fn kernel(
        low: i64,
        high: i64,
        size: &[i64],
        dtype: Option<DType>,
        device: Option<Device>,
        out: Out,
    ) -> Result<Tensor> {
        integers(blank(out, size, dtype.unwrap_or(DType::I64), device)?, low, high, None)
    }
}

/// Whole numbers of `[low, high)` from a generator.
#[op(
    "randint.low_generator(SymInt low, SymInt high, SymInt[] size, *, Generator? generator, ScalarType? dtype=4, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    no_grad = "has no tensor argument",
    tags(random, factory)
)]
mod randint_low_generator {
    fn kernel(
        low: i64,
        high: i64,
        size: &[i64],
        generator: Option<&Generator>,
        dtype: Option<DType>,
        device: Option<Device>,
    ) -> Result<Tensor> {
        integers(blank(Out::New, size, dtype.unwrap_or(DType::I64), device)?, low, high, generator)
    }
}

/// Whole numbers of `[0, high)` in the shape of `self`.
#[op(
    "randint_like(Tensor self, SymInt high, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, MemoryFormat? memory_format=None) -> Tensor",
    no_grad = "depends on the shape only",
    tags(random)
)]
mod randint_like {
    fn kernel(
        this: &Tensor,
        high: i64,
        dtype: Option<DType>,
        device: Option<Device>,
        memory_format: Option<MemoryFormat>,
    ) -> Result<Tensor> {
        integers(empty_like::call(this, dtype, device, memory_format)?, 0, high, None)
    }
}

/// Whole numbers of `[low, high)` in the shape of `self`.
#[op(
    "randint_like.low_dtype(Tensor self, SymInt low, SymInt high, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None, MemoryFormat? memory_format=None) -> Tensor",
    no_grad = "depends on the shape only",
    tags(random)
)]
mod randint_like_low {
    fn kernel(
        this: &Tensor,
        low: i64,
        high: i64,
        dtype: Option<DType>,
        device: Option<Device>,
        memory_format: Option<MemoryFormat>,
    ) -> Result<Tensor> {
        integers(empty_like::call(this, dtype, device, memory_format)?, low, high, None)
    }
}

fn permutation(t: &Tensor, n: i64, generator: Option<&Generator>) -> Result<()> {
    let most = match t.dtype() {
        DType::F16 => (1 << 11) + 1,
        DType::BF16 => (1 << 8) + 1,
        DType::F32 => (1 << 24) + 1,
        DType::F64 => (1 << 53) + 1,
        _ => i64::MAX,
    };
    ensure!(n <= most, "n cannot be greater than {most} for {} type.", t.dtype().scalar_type());
    crate::Scalar::Int(n).check_fits(t.dtype())?;
    with_number!(t.dtype(), "randperm", T => draw::fill::<T>(t, generator, kernels::randperm::<T>))
}

/// A permutation of the numbers from 0 to `n - 1`.
#[op(
    "randperm(SymInt n, *, ScalarType? dtype=4, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    no_grad = "has no tensor argument",
    out = "out",
    tags(random, factory)
)]
mod randperm {
    fn kernel(n: i64, dtype: Option<DType>, device: Option<Device>, out: Out) -> Result<Tensor> {
        let t = blank(out, &[n], dtype.unwrap_or(DType::I64), device)?;
        permutation(&t, n, None)?;
        Ok(t)
    }
}

/// A permutation of the numbers from 0 to `n - 1` from a generator.
#[op(
    "randperm.generator(SymInt n, *, Generator? generator, ScalarType? dtype=4, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    no_grad = "has no tensor argument",
    tags(random, factory)
)]
mod randperm_generator {
    fn kernel(
        n: i64,
        generator: Option<&Generator>,
        dtype: Option<DType>,
        device: Option<Device>,
    ) -> Result<Tensor> {
        let t = blank(Out::New, &[n], dtype.unwrap_or(DType::I64), device)?;
        permutation(&t, n, generator)?;
        Ok(t)
    }
}

/// Normal numbers of that shape and of deviation `factor`, times `std` plus `mean`.
fn scaled_normal(
    sizes: &[i64],
    mean: &Tensor,
    std: Option<&Tensor>,
    factor: f64,
    generator: Option<&Generator>,
    out: Out,
) -> Result<Tensor> {
    if let Some(std) = std {
        ensure!(!std.is_complex(), "normal expects standard deviation to be non-complex");
        let negative = crate::ops::raw::cast(std, DType::F64)?.to_vec::<f64>()?.iter().any(|s| *s < 0.0);
        ensure!(!negative, "normal expects all elements of std >= 0.0");
    }
    ensure!(factor >= 0.0, "normal expects std >= 0.0, but found std {}", draw::plain(factor));
    let t = blank(out, sizes, mean.dtype(), Some(mean.device()))?;
    draw::normal(&t, 0.0, factor, generator)?;
    let noise = match std {
        Some(std) => t.mul(std)?,
        None => t.clone(),
    };
    crate::copy::copy_into(&t, &noise.add(mean)?)?;
    Ok(t)
}

/// Normal numbers whose means and standard deviations are the elements of `mean` and `std`, which broadcast.
#[op(
    "normal.Tensor_Tensor(Tensor mean, Tensor std, *, Generator? generator=None) -> Tensor",
    out = "Tensor_Tensor_out",
    tags(random),
    no_method
)]
mod normal {
    fn kernel(mean: &Tensor, std: &Tensor, generator: Option<&Generator>, out: Out) -> Result<Tensor> {
        let sizes = crate::layout::broadcast_shapes(&mean.sizes(), &std.sizes())?;
        scaled_normal(&sizes, mean, Some(std), 1.0, generator, out)
    }
    fn grad_mean(g: &Tensor) -> Result<Tensor> {
        crate::copy::zeros(&g.sizes(), g.dtype(), g.device())
    }
    fn grad_std(g: &Tensor) -> Result<Tensor> {
        crate::copy::zeros(&g.sizes(), g.dtype(), g.device())
    }
}

/// Normal numbers whose means are the elements of `mean`.
#[op(
    "normal.Tensor_float(Tensor mean, float std=1., *, Generator? generator=None) -> Tensor",
    out = "Tensor_float_out",
    tags(random),
    no_method
)]
mod normal_tensor_float {
    fn kernel(mean: &Tensor, std: f64, generator: Option<&Generator>, out: Out) -> Result<Tensor> {
        scaled_normal(&mean.sizes(), mean, None, std, generator, out)
    }
    fn grad_mean(g: &Tensor) -> Result<Tensor> {
        crate::copy::zeros(&g.sizes(), g.dtype(), g.device())
    }
}

/// Normal numbers whose standard deviations are the elements of `std`.
#[op(
    "normal.float_Tensor(float mean, Tensor std, *, Generator? generator=None) -> Tensor",
    out = "float_Tensor_out",
    tags(random)
)]
mod normal_float_tensor {
    fn kernel(mean: f64, std: &Tensor, generator: Option<&Generator>, out: Out) -> Result<Tensor> {
        let mean = Tensor::scalar(mean, std.dtype())?;
        scaled_normal(&std.sizes(), &mean, Some(std), 1.0, generator, out)
    }
    fn grad_std(g: &Tensor) -> Result<Tensor> {
        crate::copy::zeros(&g.sizes(), g.dtype(), g.device())
    }
}

/// Normal numbers of one mean and standard deviation.
#[op(
    "normal.float_float(float mean, float std, SymInt[] size, *, Generator? generator=None, ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None) -> Tensor",
    no_grad = "has no tensor argument",
    out = "float_float_out",
    tags(random, factory)
)]
mod normal_float {
    fn kernel(
        mean: f64,
        std: f64,
        size: &[i64],
        generator: Option<&Generator>,
        dtype: Option<DType>,
        device: Option<Device>,
        out: Out,
    ) -> Result<Tensor> {
        let t = blank(out, size, dtype.unwrap_or_else(get_default_dtype), device)?;
        if t.dtype().is_integral_or_bool() {
            bail!(NotImplemented, "\"normal_kernel_cpu\" not implemented for '{}'", t.dtype().scalar_type());
        }
        draw::normal(&t, mean, std, generator)?;
        Ok(t)
    }
}
