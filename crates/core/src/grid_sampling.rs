//! Between grid sampling operators and their kernels; and the same mathematics in ordinary operators, for second gradients.

use cresset_kernels::grid::{self as kernels, Grid, Interpolation, Padding, Sampler};

use crate::dense::{cast, dense, float_type, slice, slice_mut};
use crate::layout::Dims;
use crate::ops::clamp;
use crate::reduction::{offset, scale};
use crate::storage::access;
use crate::{DType, Result, Scalar, Tensor, bail, ensure, with_float};

/// The sampler that PyTorch's numbers name.
///
/// # Errors
/// `Runtime` for other numbers.
pub(crate) fn sampler(rank: usize, interpolation: i64, padding: i64, align_corners: bool) -> Result<Sampler> {
    let interpolation = match interpolation {
        0 => Interpolation::Linear,
        1 => Interpolation::Nearest,
        2 => Interpolation::Cubic,
        _ => bail!("grid_sampler(): unknown interpolation mode {interpolation}"),
    };
    let padding = match padding {
        0 => Padding::Zeros,
        1 => Padding::Border,
        2 => Padding::Reflection,
        _ => bail!("grid_sampler(): unknown padding mode {padding}"),
    };
    Ok(Sampler { interpolation, padding, align_corners, rank })
}

/// Checks what input and grid have in common, whatever their dimensions.
pub(crate) fn check_common(input: &Tensor, grid: &Tensor) -> Result<()> {
    let (x, g) = (input.sizes(), grid.sizes());
    let (Some(n), Some(m), Some(last)) = (x.first(), g.first(), g.last()) else {
        bail!(Index, "Dimension specified as 0 but tensor has no dimensions")
    };
    ensure!(
        n == m,
        "grid_sampler(): expected grid and input to have same batch size, but got input with sizes {:?} and grid with sizes {:?}",
        x.as_slice(),
        g.as_slice()
    );
    ensure!(
        *last == x.len() as i64 - 2,
        "grid_sampler(): expected grid to have size {} in last dimension, but got grid with sizes {:?}",
        x.len() as i64 - 2,
        g.as_slice()
    );
    if let Some(d) = (2..x.len()).find(|d| x[*d] == 0) {
        bail!(
            "grid_sampler(): expected input to have non-empty spatial dimensions, but input has sizes {:?} with dimension {d} being empty",
            x.as_slice()
        );
    }
    Ok(())
}

/// Checks input and grid for planes of `rank` dimensions; gives the sizes of the loop.
fn check(rank: usize, input: &Tensor, grid: &Tensor) -> Result<Grid> {
    check_common(input, grid)?;
    let (x, g) = (input.sizes(), grid.sizes());
    ensure!(
        x.len() == rank + 2 && g.len() == x.len(),
        "grid_sampler(): expected {}D input and grid with same number of dimensions, but got input with sizes {:?} and grid with sizes {:?}",
        rank + 2,
        x.as_slice(),
        g.as_slice()
    );
    if !input.is_floating_point() {
        let name = if rank == 2 { "grid_sampler_2d_cpu_kernel_impl" } else { "grid_sampler3d_cpu" };
        bail!(NotImplemented, "\"{name}\" not implemented for '{}'", input.dtype().scalar_type());
    }
    ensure!(
        input.dtype() == grid.dtype(),
        "expected scalar type {} but found {}",
        input.dtype().scalar_type(),
        grid.dtype().scalar_type()
    );
    let mut plane = [1; 3];
    (0..rank).for_each(|d| plane[3 - rank + d] = x[2 + d] as usize);
    let elements = plane.iter().try_fold(1_usize, |n, s| n.checked_mul(*s));
    ensure!(
        elements.is_some_and(|n| n < u32::MAX as usize),
        "grid_sampler(): planes of more than {} elements are not supported",
        u32::MAX
    );
    let points = g[1..=rank].iter().product::<i64>() as usize;
    Ok(Grid { n: x[0] as usize, c: x[1] as usize, plane, points })
}

fn output_sizes(input: &Tensor, grid: &Tensor) -> Dims {
    let (x, g) = (input.sizes(), grid.sizes());
    Dims::from_slice(&[&x[..2], &g[1..g.len() - 1]].concat())
}

/// Samples `input` at the points of `grid`.
///
/// # Errors
/// `Runtime` with PyTorch's texts when the shapes do not fit, `NotImplemented` when the dtype is not floating point.
pub(crate) fn forward(sampler: Sampler, input: &Tensor, grid: &Tensor) -> Result<Tensor> {
    let sizes = check(sampler.rank, input, grid)?;
    let compute = float_type(input.dtype());
    let (x, points) = (dense(input, compute)?, dense(grid, compute)?);
    let y = Tensor::empty_of(&output_sizes(input, grid), compute, input.device())?;
    let (o, x, p) = (y.raw(), x.raw(), points.raw());
    access([&o], [&x, &p], |[o], [x, p]| {
        // SAFETY: all are locked, row-major and of the compute type; the output is fresh.
        with_float!(compute, T => unsafe {
            kernels::sample::<T>(&sampler, sizes, slice(&x), slice(&p), slice_mut(&o));
        })
    });
    cast(y, input.dtype())
}

/// Gradients of [`forward`] for the input, if asked for, and for the grid.
///
/// # Errors
/// As [`forward`]; `Value` when the gradient has not the sizes of the output.
pub(crate) fn backward(
    sampler: Sampler,
    [g, input, grid]: [&Tensor; 3],
    for_input: bool,
) -> Result<(Option<Tensor>, Tensor)> {
    let sizes = check(sampler.rank, input, grid)?;
    let expected = output_sizes(input, grid);
    if g.sizes() != expected {
        bail!(
            Value,
            "grid_sampler(): expected grad_output to have sizes {:?} but got grad_output with sizes {:?}",
            expected.as_slice(),
            g.sizes().as_slice()
        );
    }
    let compute = float_type(input.dtype());
    let (g, x, p) = (dense(g, compute)?, dense(input, compute)?, dense(grid, compute)?);
    let gx = Tensor::empty_of(
        if for_input { input.sizes() } else { Dims::from_slice(&[0]) }.as_slice(),
        compute,
        x.device(),
    )?;
    let gp = Tensor::empty_of(&grid.sizes(), compute, x.device())?;
    let (a, b) = (gx.raw(), gp.raw());
    let ins = [g.raw(), x.raw(), p.raw()];
    access([&a, &b], ins.each_ref(), |[a, b], [g, x, p]| {
        // SAFETY: all are locked, row-major and of the compute type; the outputs are fresh.
        with_float!(compute, T => unsafe {
            if for_input {
                kernels::sample_input_grad::<T>(&sampler, sizes, slice(&g), slice(&p), slice_mut(&a));
            }
            kernels::sample_grid_grad::<T>(&sampler, sizes, slice(&g), slice(&x), slice(&p), slice_mut(&b));
        })
    });
    let gx = if for_input { Some(cast(gx, input.dtype())?) } else { None };
    Ok((gx, cast(gp, grid.dtype())?))
}

/// One of the elements that points touch along a dimension: its index, 1 where that is inside, weight, derivative of that.
#[derive(Clone)]
struct Tap {
    index: Tensor,
    inside: Tensor,
    weight: Tensor,
    slope: Tensor,
}

fn tap(position: &Tensor, size: i64, weight: Tensor, slope: Tensor) -> Result<Tap> {
    let (zero, last) = (Scalar::Float(0.0), Scalar::Float((size - 1) as f64));
    let nearest = clamp::call(position, Some(zero), Some(last))?;
    let inside = position.eq(&nearest)?.to_dtype(position.dtype())?;
    Ok(Tap { index: nearest.to_dtype(DType::I64)?, inside, weight, slope })
}

/// Clamped positions, and 1 where that changed nothing.
fn clip(x: &Tensor, size: i64) -> Result<(Tensor, Tensor)> {
    let last = Scalar::Float((size - 1) as f64);
    let inside = x.gt_scalar(0.0)?.logical_and(&x.lt_scalar(last)?)?.to_dtype(x.dtype())?;
    Ok((clamp::call(x, Some(Scalar::Float(0.0)), Some(last))?, inside))
}

/// Positions brought inside, and the derivative of that; neither has a history.
fn pad(sampler: &Sampler, x: &Tensor, size: i64) -> Result<(Tensor, Tensor)> {
    match sampler.padding {
        Padding::Zeros => Ok((x.clone(), crate::copy::ones_like(x)?)),
        Padding::Border => clip(x, size),
        Padding::Reflection => {
            let (start, span) =
                if sampler.align_corners { (0.0, (size - 1) as f64) } else { (-0.5, size as f64) };
            if span == 0.0 {
                let zeros = scale(x, 0.0)?;
                return Ok((zeros.clone(), zeros));
            }
            let d = offset(x, -start)?;
            let sign = offset(&scale(&d.lt_scalar(0.0)?.to_dtype(x.dtype())?, -2.0)?, 1.0)?;
            let flips = scale(&d.abs()?, 1.0 / span)?.floor()?;
            let rest = d.abs()?.sub(&scale(&flips, span)?)?;
            let odd = flips.sub(&scale(&scale(&flips, 0.5)?.floor()?, 2.0)?)?;
            // 1 on the way there, -1 on the way back.
            let turn = offset(&scale(&odd, -2.0)?, 1.0)?;
            let mirrored = offset(&rest.mul(&turn)?.add(&scale(&odd, span)?)?, start)?;
            let (clipped, inside) = clip(&mirrored, size)?;
            Ok((clipped, sign.mul(&turn)?.mul(&inside)?))
        }
    }
}

/// `((a x + b) x + c) x + d`.
fn polynomial(x: &Tensor, [a, b, c, d]: [f64; 4]) -> Result<Tensor> {
    let inner = offset(&scale(x, a)?, b)?.mul(x)?;
    offset(&offset(&inner, c)?.mul(x)?, d)
}

/// Cubic convolution with parameter -0.75 at distance `x`, below 1 or from 1 to 2, and its derivative.
fn convolution(x: &Tensor, far: bool) -> Result<(Tensor, Tensor)> {
    let [a, b, c, d] = if far { [-0.75, 3.75, -6.0, 3.0] } else { [1.25, -2.25, 0.0, 1.0] };
    Ok((polynomial(x, [a, b, c, d])?, polynomial(x, [0.0, 3.0 * a, 2.0 * b, c])?))
}

/// The elements that coordinates `x` touch along a dimension of `size`, with histories down to `x`.
fn taps(sampler: &Sampler, x: &Tensor, size: i64) -> Result<Vec<Tap>> {
    let n = size as f64;
    let (factor, shift) =
        if sampler.align_corners { ((n - 1.0) / 2.0, (n - 1.0) / 2.0) } else { (n / 2.0, (n - 1.0) / 2.0) };
    let raw = offset(&scale(x, factor)?, shift)?;
    let fixed = raw.detach();
    if sampler.interpolation == Interpolation::Cubic {
        let low = fixed.floor()?;
        let t = raw.sub(&low)?;
        let other = offset(&t.neg()?, 1.0)?;
        let parts = [
            (offset(&t, 1.0)?, true, 1.0),
            (t, false, 1.0),
            (other.clone(), false, -1.0),
            (offset(&other, 1.0)?, true, -1.0),
        ];
        let each = parts.iter().enumerate().map(|(k, (x, far, sign))| {
            let (weight, slope) = convolution(x, *far)?;
            let position = pad(sampler, &offset(&low, k as f64 - 1.0)?, size)?.0.trunc()?;
            tap(&position, size, weight, scale(&slope, sign * factor)?)
        });
        return each.collect();
    }
    let (place, turn) = pad(sampler, &fixed, size)?;
    if sampler.interpolation == Interpolation::Nearest {
        // Constant, but not without a history: the gradient of a grid is zero, not absent.
        let none = scale(&raw, 0.0)?;
        let ones = offset(&none, 1.0)?;
        return Ok(vec![tap(&place.round()?, size, ones, none)?]);
    }
    let low = place.floor()?;
    let t = raw.sub(&fixed)?.mul(&turn)?.add(&place.sub(&low)?)?;
    let slope = scale(&turn, factor)?;
    let next = offset(&low, 1.0)?;
    Ok(vec![tap(&low, size, offset(&t.neg()?, 1.0)?, slope.neg()?)?, tap(&next, size, t, slope)?])
}

/// [`backward`] in ordinary operators.
///
/// # Errors
/// Those of the operators.
pub(crate) fn composed(sampler: Sampler, [g, input, grid]: [&Tensor; 3]) -> Result<(Tensor, Tensor)> {
    let (rank, sizes) = (sampler.rank, input.sizes());
    let (n, c, plane) = (sizes[0], sizes[1], sizes[2..].iter().product::<i64>());
    let points = grid.sizes()[1..=rank].iter().product::<i64>();
    let (x, g) = (input.reshape([n, c, plane])?, g.reshape([n, c, points])?);
    let coordinates = grid.reshape([n, points, rank as i64])?;
    // Along x, y and z, as the coordinates are in that order.
    let axes = (0..rank).map(|d| taps(&sampler, &coordinates.select(-1, d as i64)?, sizes[rank + 1 - d]));
    let axes = axes.collect::<Result<Vec<_>>>()?;
    let (mut gx, mut gp) = (scale(&x.detach(), 0.0)?, vec![None; rank]);
    for combination in 0..axes[0].len().pow(rank as u32) {
        let chosen: Vec<&Tap> =
            (0..rank).map(|d| &axes[d][combination / axes[d].len().pow(d as u32) % axes[d].len()]).collect();
        let mut index = chosen[rank - 1].index.clone();
        for d in (0..rank - 1).rev() {
            index = index.mul_scalar(sizes[rank + 1 - d])?.add(&chosen[d].index)?;
        }
        let index = index.unsqueeze(1)?.expand([n, c, points])?;
        let inside = product(chosen.iter().map(|t| &t.inside))?;
        let weight = product(chosen.iter().map(|t| &t.weight))?.mul(&inside)?;
        gx = gx.scatter_add(2, &index, &g.mul(&weight.unsqueeze(1)?)?)?;
        let seen = crate::ops::sum_dim::call(&g.mul(&x.gather(2, &index)?)?, Some(&[1]), false, None)?
            .mul(&inside)?;
        for (d, sum) in gp.iter_mut().enumerate() {
            let slope =
                product(chosen.iter().enumerate().map(|(i, t)| if i == d { &t.slope } else { &t.weight }))?;
            let term = seen.mul(&slope)?;
            *sum = Some(match sum.take() {
                Some(before) => term.add(&before)?,
                None => term,
            });
        }
    }
    let gp: Vec<Tensor> = gp.into_iter().flatten().collect();
    Ok((gx.reshape(&sizes)?, crate::ops::stack::call(&gp, -1)?.reshape(grid.sizes())?))
}

fn product<'a>(mut factors: impl Iterator<Item = &'a Tensor>) -> Result<Tensor> {
    let Some(first) = factors.next() else { bail!("a product of nothing") };
    factors.try_fold(first.clone(), |product, f| product.mul(f))
}
