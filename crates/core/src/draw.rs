//! Filling tensors from a generator, in the order in which PyTorch visits the elements.
//!
//! PyTorch's loops over one tensor go through memory, whatever the order of its dimensions: the dimension of the
//! smallest stride is the innermost. The order decides which element gets which number.

use cresset_kernels::random::{self, FromDraw, Mt19937, Real};

use crate::layout::Layout;
use crate::random::{Generator, default_generator};
use crate::storage::access;
use crate::{DType, Element, Result, Scalar, Tensor, bail, copy};

/// Runs `$body` with `$T` bound to the element type if that is a floating-point one, else returns PyTorch's error for
/// the kernel of that name. Complex tensors take `f32` and `f64`: their real view is filled.
macro_rules! with_real {
    ($dtype:expr, $name:expr, $T:ident => $body:expr) => {
        match $dtype {
            crate::DType::F16 => {
                type $T = crate::f16;
                $body
            }
            crate::DType::BF16 => {
                type $T = crate::bf16;
                $body
            }
            crate::DType::F32 | crate::DType::Complex64 => {
                type $T = f32;
                $body
            }
            crate::DType::F64 | crate::DType::Complex128 => {
                type $T = f64;
                $body
            }
            other => crate::draw::unsupported($name, other),
        }
    };
}

/// Runs `$body` with `$T` bound to the element type unless that is a complex one, else returns PyTorch's error.
macro_rules! with_number {
    ($dtype:expr, $name:expr, $T:ident => $body:expr) => {
        match $dtype {
            crate::DType::Bool => {
                type $T = bool;
                $body
            }
            crate::DType::U8 => {
                type $T = u8;
                $body
            }
            crate::DType::I8 => {
                type $T = i8;
                $body
            }
            crate::DType::I16 => {
                type $T = i16;
                $body
            }
            crate::DType::I32 => {
                type $T = i32;
                $body
            }
            crate::DType::I64 => {
                type $T = i64;
                $body
            }
            crate::DType::F16 => {
                type $T = crate::f16;
                $body
            }
            crate::DType::BF16 => {
                type $T = crate::bf16;
                $body
            }
            crate::DType::F32 => {
                type $T = f32;
                $body
            }
            crate::DType::F64 => {
                type $T = f64;
                $body
            }
            other => crate::draw::unsupported($name, other),
        }
    };
}

pub(crate) use {with_number, with_real};

/// PyTorch's error for a dtype that a kernel lacks.
#[cold]
pub(crate) fn unsupported<T>(kernel: &str, dtype: DType) -> Result<T> {
    bail!(NotImplemented, "\"{kernel}\" not implemented for '{}'", dtype.scalar_type())
}

/// Fills the elements of `t` (the parts of complex ones) with what `fill` draws.
pub(crate) fn fill<T: Element>(
    t: &Tensor,
    generator: Option<&Generator>,
    fill: impl Fn(&mut Mt19937, &mut [T]),
) -> Result<()> {
    fill_bytes(t, generator, &|engine, start, bytes| {
        // SAFETY: `start` is that of so many bytes of elements of `t`, which nobody else uses; they are `T`, or its complex type.
        let slice = unsafe { std::slice::from_raw_parts_mut(start.cast::<T>(), bytes / size_of::<T>()) };
        fill(engine, slice);
    })
}

/// Draws the bytes of dense elements, from an address on.
type FillBytes<'a> = &'a dyn Fn(&mut Mt19937, *mut u8, usize);

/// [`fill`] for any type and way to draw: compiled once.
fn fill_bytes(t: &Tensor, generator: Option<&Generator>, fill: FillBytes) -> Result<()> {
    let layout = t.layout();
    if layout.is_non_overlapping_and_dense() {
        fill_dense(t, generator, fill);
        return Ok(());
    }
    let ordered = in_memory_order(t)?;
    let dense = Tensor::empty_of(&ordered.sizes(), t.dtype(), t.device())?;
    fill_dense(&dense, generator, fill);
    copy::copy_into(&ordered, &dense)
}

fn fill_dense(t: &Tensor, generator: Option<&Generator>, fill: FillBytes) {
    let view = t.raw();
    let bytes = view.layout.numel() * t.dtype().size();
    if bytes == 0 {
        return;
    }
    // The elements are dense and strides are not negative, so all bytes follow the first element; the storage is locked for
    // writing.
    access([&view], [], |[out], []| {
        fill(&mut generator.unwrap_or(default_generator()).lock(), out.cast::<u8>(), bytes);
    });
}

/// The same elements with the dimensions in the order of their strides, largest first.
pub(crate) fn in_memory_order(t: &Tensor) -> Result<Tensor> {
    reordered(t, &memory_order(&t.layout()))
}

/// `t` with its dimensions in that order.
fn reordered(t: &Tensor, order: &[usize]) -> Result<Tensor> {
    let layout = t.layout();
    let pick = |values: &[i64]| order.iter().map(|d| values[*d]).collect::<Vec<_>>();
    t.alias_with(Layout::new(&pick(&layout.sizes), &pick(&layout.strides), layout.offset))
}

fn memory_order(layout: &Layout) -> Vec<usize> {
    let mut order: Vec<usize> = (0..layout.dim()).collect();
    order.sort_by_key(|d| std::cmp::Reverse(layout.strides[*d]));
    order
}

/// The elements of `other`, which broadcasts to `t`, in the order in which those of `t` are filled.
pub(crate) fn values_along<T: Element>(other: &Tensor, t: &Tensor) -> Result<Vec<T>> {
    let expanded = other.alias_with(copy::expanded(&other.layout(), &t.sizes())?)?;
    reordered(&expanded, &memory_order(&t.layout()))?.to_vec()
}

/// Uniform numbers of `[from, to)`.
pub(crate) fn uniform(t: &Tensor, from: f64, to: f64, generator: Option<&Generator>) -> Result<()> {
    with_real!(t.dtype(), "check_uniform_bounds", T => fill::<T>(t, generator, |g, out| random::uniform(g, out, from, to)))
}

/// Normal numbers.
pub(crate) fn normal(t: &Tensor, mean: f64, std: f64, generator: Option<&Generator>) -> Result<()> {
    crate::ensure!(std >= 0.0, "normal expects std >= 0.0, but found std {std}");
    // A complex number of variance 1 has parts of variance 1/2.
    let std = if t.is_complex() { std / std::f64::consts::SQRT_2 } else { std };
    let blocks = t.is_contiguous();
    with_real!(t.dtype(), "normal_kernel_cpu", T => fill::<T>(t, generator, |g, out| match blocks {
        true => random::normal(g, out, mean, std),
        false => random::normal_serial(g, out, mean, std),
    }))
}

/// Whole numbers of `[from, to)`; `to` may be one more than the largest `i64`.
pub(crate) fn integers(t: &Tensor, from: i64, to: i128, generator: Option<&Generator>) -> Result<()> {
    if t.is_complex() {
        bail!("check_random_bounds handles only integral, floating-point and boolean types");
    }
    crate::ensure!(
        i128::from(from) < to,
        "random_ expects 'from' to be less than 'to', but got from={from} >= to={to}"
    );
    check_bounds("from", i128::from(from), t.dtype())?;
    check_bounds("to - 1", to - 1, t.dtype())?;
    let range = (to - i128::from(from)) as u64;
    with_number!(t.dtype(), "random_from_to_kernel_cpu", T => {
        fill::<T>(t, generator, |g, out| random::random_from(g, out, range, from))
    })
}

fn check_bounds(name: &str, value: i128, dtype: DType) -> Result<()> {
    let (min, max) = bounds(dtype);
    crate::ensure!((min..=max).contains(&value), "{name} is out of bounds for {}", c_name(dtype));
    Ok(())
}

/// Smallest and largest whole number that a tensor may be asked for.
fn bounds(dtype: DType) -> (i128, i128) {
    match dtype {
        DType::Bool => (0, 1),
        DType::U8 => (0, u8::MAX.into()),
        DType::I8 => (i8::MIN.into(), i8::MAX.into()),
        DType::I16 => (i16::MIN.into(), i16::MAX.into()),
        DType::I32 => (i32::MIN.into(), i32::MAX.into()),
        DType::F16 => (-65504, 65504),
        _ => (i64::MIN.into(), i64::MAX.into()),
    }
}

/// C++'s name of the type, which PyTorch prints here.
pub(crate) fn c_name(dtype: DType) -> &'static str {
    match dtype {
        DType::Bool => "bool",
        DType::U8 => "unsigned char",
        DType::I8 => "signed char",
        DType::I16 => "short",
        DType::I32 => "int",
        DType::I64 => "long int",
        DType::F16 => "c10::Half",
        DType::BF16 => "c10::BFloat16",
        DType::F32 => "float",
        DType::F64 => "double",
        DType::Complex64 => "c10::complex<float>",
        DType::Complex128 => "c10::complex<double>",
    }
}

/// 1 with probability `p`, else 0.
pub(crate) fn bernoulli(t: &Tensor, p: f64, generator: Option<&Generator>) -> Result<()> {
    crate::ensure!((0.0..=1.0).contains(&p), "bernoulli_ expects p to be in [0, 1], but got p={p}");
    with_number!(t.dtype(), "bernoulli_scalar_cpu_", T => {
        fill::<T>(t, generator, |g, out| random::bernoulli(g, out, p, T::from_draw(0), T::from_draw(1)))
    })
}

/// `1 / keep` with probability `keep`, else 0, in the order of the elements of `t`: the noise of dropout.
pub(crate) fn dropout_noise(t: &Tensor, keep: f64) -> Result<()> {
    with_real!(t.dtype(), "bernoulli_scalar_cpu_", T => {
        let one = match t.dtype() {
            DType::F64 => T::from_f64(1.0 / keep),
            _ => T::from_f32(1.0 / keep as f32),
        };
        fill::<T>(t, None, |g, out| random::bernoulli(g, out, keep, T::from_f32(0.0), one))
    })
}

/// 1 with the probability that `p` (which broadcasts) has for each element, else 0.
pub(crate) fn bernoulli_each(t: &Tensor, p: &Tensor, generator: Option<&Generator>) -> Result<()> {
    if !p.is_floating_point() {
        return unsupported("bernoulli_tensor_cpu_p_", p.dtype());
    }
    let wide = p.dtype() == DType::F64;
    let p = if wide { p.clone() } else { crate::ops::raw::cast(p, DType::F32)? };
    let (narrow_p, wide_p) = match wide {
        true => (Vec::new(), values_along::<f64>(&p, t)?),
        false => (values_along::<f32>(&p, t)?, Vec::new()),
    };
    let valid =
        narrow_p.iter().all(|p| (0.0..=1.0).contains(p)) && wide_p.iter().all(|p| (0.0..=1.0).contains(p));
    crate::ensure!(
        valid,
        "Expected p_in >= 0 && p_in <= 1 to be true, but got false.  (Could this error message be improved?  If so, \
         please report an enhancement request to PyTorch.)"
    );
    with_number!(t.dtype(), "bernoulli_tensor_cpu_self_", T => fill::<T>(t, generator, |g, out| match wide {
        true => random::bernoulli_each_f64(g, out, &wide_p),
        false => random::bernoulli_each(g, out, &narrow_p),
    }))
}

/// The elements of a floating-point tensor in the order in which they are drawn for, as `f64`.
pub(crate) fn parameters(t: &Tensor, kernel: &str) -> Result<Vec<f64>> {
    with_real!(t.dtype(), kernel, T => match t.is_complex() {
        true => unsupported(kernel, t.dtype()),
        false => Ok(in_memory_order(t)?.to_vec::<T>()?.into_iter().map(Real::to_f64).collect()),
    })
}

/// How PyTorch prints a float in messages: as C++ streams do.
pub(crate) fn plain(x: f64) -> Scalar {
    if x.fract() == 0.0 && x.abs() < 1e6 { Scalar::Int(x as i64) } else { Scalar::Float(x) }
}
