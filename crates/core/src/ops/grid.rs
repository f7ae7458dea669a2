//! Sampling at the points of a grid, and affine grids.

use crate::autograd::Meta;
use crate::grid_sampling::{self as sampling, sampler};
use crate::op::{Grad, Grads, Needs, OpDef};
use crate::ops::norm::asked;
use crate::second::differentiate;
use crate::{DType, Result, Tensor, bail, ensure, op_list};
use cresset_macros::op;

pub(crate) static OPS: &[&OpDef] = op_list![
    grid_sampler,
    grid_sampler_2d,
    grid_sampler_2d_backward,
    grid_sampler_3d,
    grid_sampler_3d_backward,
    affine_grid_generator,
    affine_grid_generator_backward,
];

/// Values of `input` at the points of `grid`, whose coordinates run from -1 to 1 over the input.
#[op(
    "grid_sampler(Tensor input, Tensor grid, int interpolation_mode, int padding_mode, bool align_corners) -> Tensor",
    autocast = "fp32",
    composite,
    onnx = "GridSample"
)]
mod grid_sampler {
    fn kernel(
        input: &Tensor,
        grid: &Tensor,
        interpolation_mode: i64,
        padding_mode: i64,
        align_corners: bool,
    ) -> Result<Tensor> {
        sampling::check_common(input, grid)?;
        match input.dim() {
            5 => grid_sampler_3d::call(input, grid, interpolation_mode, padding_mode, align_corners),
            _ => grid_sampler_2d::call(input, grid, interpolation_mode, padding_mode, align_corners),
        }
    }
}

/// Declares sampling over so many dimensions, and its gradients.
macro_rules! samplers {
    ($($dims:literal $what:literal: $sampler:ident, $backward:ident: $schema:literal, $backward_schema:literal;)*) => { $(
        #[doc = concat!("[`grid_sampler`] of ", $what, ".")]
        #[op(
            $schema,
            autocast = "fp32",
            wrt(input, grid)
        )]
        mod $sampler {
            fn kernel(
                input: &Tensor,
                grid: &Tensor,
                interpolation_mode: i64,
                padding_mode: i64,
                align_corners: bool,
            ) -> Result<Tensor> {
                sampling::forward(sampler($dims, interpolation_mode, padding_mode, align_corners)?, input, grid)
            }
            fn grad(
                g: &Tensor,
                input: &Tensor,
                grid: &Tensor,
                interpolation_mode: i64,
                padding_mode: i64,
                align_corners: bool,
                needs: Needs,
            ) -> Result<Grads> {
                let mask = [needs.get(0), needs.get(1)];
                let (mode, padding) = (interpolation_mode, padding_mode);
                let (x, p) = $backward::call(g, input, grid, mode, padding, align_corners, &mask)?;
                Ok(vec![x.into(), p.into()])
            }
        }

        #[doc = concat!("Gradients of [`", stringify!($sampler), "`] for the input, if the mask asks for it, and for the grid.")]
        #[op(
            $backward_schema,
            wrt(grad_output, input, grid),
            no_method
        )]
        mod $backward {
            fn kernel(
                grad_output: &Tensor,
                input: &Tensor,
                grid: &Tensor,
                interpolation_mode: i64,
                padding_mode: i64,
                align_corners: bool,
                output_mask: &[bool],
            ) -> Result<(Option<Tensor>, Tensor)> {
                let sampler = sampler($dims, interpolation_mode, padding_mode, align_corners)?;
                sampling::backward(sampler, [grad_output, input, grid], output_mask.first() == Some(&true))
            }
            fn grad(
                grads: &[Option<Tensor>],
                grad_output: &Tensor,
                input: &Tensor,
                grid: &Tensor,
                interpolation_mode: i64,
                padding_mode: i64,
                align_corners: bool,
                output_mask: &[bool],
            ) -> Result<Grads> {
                let sampler = sampler($dims, interpolation_mode, padding_mode, align_corners)?;
                let mask = [output_mask.first() == Some(&true), true];
                let found = differentiate(&[grad_output, input, grid], &asked(grads, &mask), |v| {
                    let (x, p) = sampling::composed(sampler, [&v[0], &v[1], &v[2]])?;
                    Ok(vec![x, p])
                })?;
                Ok(found.into_iter().map(Grad::from).collect())
            }
        }
    )* };
}

samplers! {
    2 "planes": grid_sampler_2d, grid_sampler_2d_backward:
        "grid_sampler_2d(Tensor input, Tensor grid, int interpolation_mode, int padding_mode, bool align_corners) -> Tensor",
        "grid_sampler_2d_backward(Tensor grad_output, Tensor input, Tensor grid, int interpolation_mode, int padding_mode, bool align_corners, bool[2] output_mask) -> (Tensor, Tensor)";
    3 "volumes": grid_sampler_3d, grid_sampler_3d_backward:
        "grid_sampler_3d(Tensor input, Tensor grid, int interpolation_mode, int padding_mode, bool align_corners) -> Tensor",
        "grid_sampler_3d_backward(Tensor grad_output, Tensor input, Tensor grid, int interpolation_mode, int padding_mode, bool align_corners, bool[2] output_mask) -> (Tensor, Tensor)";
}

/// Coordinates from -1 to 1 of `steps` elements: of their centres, or with the outer ones at the ends.
fn coordinates(steps: i64, align_corners: bool, like: &Tensor) -> Result<Tensor> {
    let dtype = if like.is_floating_point() { like.dtype() } else { DType::F32 };
    let line = match (steps, align_corners) {
        (..=1, _) => return crate::copy::zeros(&[steps], dtype, like.device()),
        _ => super::linspace_with(-1.0, 1.0, steps, |o| o.dtype(dtype).device(like.device()))?,
    };
    let shrink = (steps - 1) as f64 / steps as f64;
    if align_corners { Ok(line) } else { crate::reduction::scale(&line, shrink) }
}

/// The points `[H W, 3]` or `[D H W, 4]` of a grid with sizes `size`, as x, y, (z,) 1.
fn base_grid(size: &[i64], align_corners: bool, like: &Tensor) -> Result<Tensor> {
    let spatial = &size[2..];
    let rank = spatial.len();
    let mut columns = Vec::with_capacity(rank + 1);
    for d in (0..rank).rev() {
        let mut shape = vec![1; rank];
        shape[d] = spatial[d];
        columns.push(coordinates(spatial[d], align_corners, like)?.view(&shape)?.expand(spatial)?);
    }
    columns.push(crate::copy::full(spatial, crate::Scalar::Int(1), columns[0].dtype(), like.device())?);
    super::stack::call(&columns, -1)?.view([-1, rank as i64 + 1])
}

/// Checks the sizes of a call; gives the number of spatial dimensions.
fn spatial(size: &[i64]) -> Result<i64> {
    if size.len() != 4 && size.len() != 5 {
        bail!("AffineGridGenerator needs 4d (spatial) or 5d (volumetric) inputs.");
    }
    let numbers = size.iter().try_fold(4_i64, |n, s| n.checked_mul(s.max(&1).to_owned()));
    ensure!(
        size.iter().all(|s| *s >= 0) && numbers.is_some(),
        "affine_grid_generator: invalid size {size:?}"
    );
    Ok(size.len() as i64 - 2)
}

/// The points that affine maps `theta` (`[N, 2, 3]` or `[N, 3, 4]`) make of a regular grid.
#[op(
    "affine_grid_generator(Tensor theta, SymInt[] size, bool align_corners) -> Tensor",
    out = "out",
    no_method
)]
mod affine_grid_generator {
    fn kernel(theta: &Tensor, size: &[i64], align_corners: bool) -> Result<Tensor> {
        let rank = spatial(size)?;
        let base = base_grid(size, align_corners, theta)?.to_dtype(theta.dtype())?;
        let base = base.unsqueeze(0)?.expand([&[size[0]], base.sizes().as_slice()].concat())?;
        let grid = base.bmm(&theta.transpose(1, 2)?)?;
        grid.view([&size[..1], &size[2..], &[rank]].concat())
    }
    fn grad_theta(g: &Tensor, size: &[i64], align_corners: bool) -> Result<Tensor> {
        affine_grid_generator_backward::call(g, size, align_corners)
    }
}

/// Gradient of [`affine_grid_generator`].
#[op("affine_grid_generator_backward(Tensor grad, SymInt[] size, bool align_corners) -> Tensor", no_method)]
mod affine_grid_generator_backward {
    fn kernel(grad: &Tensor, size: &[i64], align_corners: bool) -> Result<Tensor> {
        let rank = spatial(size)?;
        let base = base_grid(size, align_corners, grad)?.to_dtype(grad.dtype())?;
        let base = base.unsqueeze(0)?.expand([&[size[0]], base.sizes().as_slice()].concat())?;
        let points = grad.reshape([size[0], -1, rank])?;
        base.transpose(1, 2)?.bmm(&points)?.transpose(1, 2)
    }
    fn grad_grad(g: &Tensor, grad: &Meta, size: &[i64], align_corners: bool) -> Result<Tensor> {
        let _ = grad;
        affine_grid_generator::call(g, size, align_corners)
    }
}
