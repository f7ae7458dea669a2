//! Group norm.

// `N`, `C` and `HxW` are the names in PyTorch's schemas.
#![allow(non_snake_case)]

use cresset_kernels::norm::{self as kernels, GroupShape};
use cresset_kernels::rows::by_rows;
use cresset_macros::op;

use crate::dense::{dense, dense_option, float_type, rows, slice, slice_mut};
use crate::layout::checked_numel;
use crate::op::{Grad, Grads, Needs, OpDef};
use crate::ops::norm::{
    Given, asked, centred, check_count, check_float, check_mixed, check_sizes, given, optional, over,
    statistics_type, wanted,
};
use crate::reduction::scale;
use crate::second::differentiate;
use crate::storage::access_lists;
use crate::{Result, Tensor, bail, op_list, with_float};

pub(crate) static OPS: &[&OpDef] = op_list![group_norm, native_group_norm, native_group_norm_backward];

/// Group norm of `[N, C, *]`: each of `num_groups` groups of neighbouring channels is normalised by itself.
#[op(
    "group_norm(Tensor input, int num_groups, Tensor? weight=None, Tensor? bias=None, float eps=1.0000000000000001e-05, bool cudnn_enabled=True) -> Tensor",
    composite
)]
mod group_norm {
    fn kernel(
        input: &Tensor,
        num_groups: i64,
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
        eps: f64,
        cudnn_enabled: bool,
    ) -> Result<Tensor> {
        let _ = cudnn_enabled;
        let sizes = input.sizes();
        if sizes.len() < 2 {
            bail!("Expected at least 2 dimensions for input tensor but received {}", sizes.len());
        }
        let (n, c, s) = (sizes[0], sizes[1], sizes[2..].iter().product());
        check_groups(&sizes, num_groups, weight, bias)?;
        Ok(native_group_norm::call(input, weight, bias, n, c, s, num_groups, eps)?.0)
    }
}

fn check_groups(sizes: &[i64], groups: i64, weight: Option<&Tensor>, bias: Option<&Tensor>) -> Result<()> {
    let c = sizes[1];
    if groups <= 0 {
        bail!("Expected num groups to be greater than 0, got {groups}");
    }
    if c == 0 {
        bail!("Expected number of channels to be greater than 0, got 0");
    }
    if c % groups != 0 {
        bail!(
            "Expected number of channels in input to be divisible by num_groups, but got input of shape {sizes:?} and num_groups={groups}"
        );
    }
    for (name, t) in [("weight", weight), ("bias", bias)] {
        if let Some(t) = t.filter(|t| t.sizes().as_slice() != [c]) {
            bail!(
                "Expected {name} to be a vector of size equal to the number of channels in input, but got {name} of shape {:?} and input of shape {sizes:?}",
                t.sizes().as_slice()
            );
        }
    }
    Ok(())
}

fn group_shape(n: i64, c: i64, s: i64, groups: i64) -> GroupShape {
    GroupShape { n: n as usize, c: c as usize, s: s as usize, groups: groups as usize }
}

/// The sizes are those of the input.
fn check_elements(input: &Tensor, sizes: [i64; 3]) -> Result<()> {
    let n = checked_numel(&sizes, 1)?;
    if input.numel() != n {
        bail!("Expected input of {n} elements, but got {}", input.numel());
    }
    Ok(())
}

/// Group norm, with the mean and reciprocal standard deviation of each group, `[N, group]`.
#[op(
    "native_group_norm(Tensor input, Tensor? weight, Tensor? bias, SymInt N, SymInt C, SymInt HxW, int group, float eps) -> (Tensor, Tensor, Tensor)",
    wrt(input, weight, bias),
    tags(core)
)]
mod native_group_norm {
    fn kernel(
        input: &Tensor,
        weight: Option<&Tensor>,
        bias: Option<&Tensor>,
        N: i64,
        C: i64,
        HxW: i64,
        group: i64,
        eps: f64,
    ) -> Result<(Tensor, Tensor, Tensor)> {
        check_groups(&[N, C, HxW], group, weight, bias)?;
        check_mixed(input, [weight, bias])?;
        check_float("GroupNormKernelImpl", input)?;
        check_elements(input, [N, C, HxW])?;
        let compute = float_type(input.dtype());
        let x = dense(input, input.dtype())?;
        let (w, b) = (dense_option(weight, compute)?, dense_option(bias, compute)?);
        let y = Tensor::empty_of(&x.sizes(), x.dtype(), x.device())?;
        let saved = statistics_type(input, [weight, bias]);
        let statistics = || Tensor::empty_of(&[N, group], saved, x.device());
        let (mean, rstd) = (statistics()?, statistics()?);
        let mut ins = vec![x.raw()];
        ins.extend([&w, &b].into_iter().flatten().map(|t| t.raw()));
        let outs = [y.raw(), mean.raw(), rstd.raw()];
        let shape = group_shape(N, C, HxW, group);
        access_lists(&outs.each_ref(), &ins.iter().collect::<Vec<_>>(), |o, i| {
            let (x, [y, mean, rstd]) = (rows(&i[0], shape.n), [0, 1, 2].map(|k| rows(&o[k], shape.n)));
            // SAFETY: all are locked and row-major, weight and bias of the compute type; the outputs are fresh.
            with_float!(compute, T => unsafe {
                let weight = optional::<T>(w.is_some(), i.get(1));
                let bias = optional::<T>(b.is_some(), i.last());
                by_rows::<T, 1, 3>(shape.n, [x], [y, mean, rstd], |_, [x], [y, mean, rstd]| {
                    let shape = GroupShape { n: mean.len() / shape.groups, ..shape };
                    kernels::group_norm(shape, eps, x, weight, bias, y, mean, rstd);
                });
            });
        });
        Ok((crate::copy::like_format(y, input)?, mean, rstd))
    }
    fn grad(
        g: &Tensor,
        g1: Option<&Tensor>,
        g2: Option<&Tensor>,
        input: &Tensor,
        weight: Option<&Tensor>,
        N: i64,
        C: i64,
        HxW: i64,
        group: i64,
        out1: &Tensor,
        out2: &Tensor,
        needs: Needs,
    ) -> Result<Grads> {
        let mask = [needs.get(0), needs.get(1), needs.get(2)];
        let (x, w, b) =
            native_group_norm_backward::call(g, input, out1, out2, weight, N, C, HxW, group, &mask)?;
        let x = match x {
            Some(x) => Some(with_statistics(x, [g1, g2], input, out1, out2)?),
            None => None,
        };
        Ok(vec![x.into(), w.into(), b.into()])
    }
}

/// Adds the gradients that come through mean and reciprocal deviation to `gx`.
fn with_statistics(
    gx: Tensor,
    grads: [Option<&Tensor>; 2],
    input: &Tensor,
    mean: &Tensor,
    rstd: &Tensor,
) -> Result<Tensor> {
    let rows = |t: &Tensor| t.reshape([t.numel() as i64, 1]);
    let groups = mean.numel();
    let width = input.numel() / groups.max(1);
    let x = input.reshape([groups as i64, width as i64])?;
    let share = 1.0 / width as f64;
    let mut total = gx;
    if let Some(g) = grads[0] {
        let part = scale(&rows(g)?, share)?.expand(x.sizes())?;
        total = total.add(&part.reshape(input.sizes())?)?;
    }
    if let Some(g) = grads[1] {
        let cube = rows(&rstd.mul(rstd)?.mul(rstd)?.mul(g)?)?;
        let part = scale(&x.sub(&rows(mean)?)?.mul(&cube)?, -share)?;
        total = total.add(&part.reshape(input.sizes())?)?;
    }
    Ok(total)
}

/// Gradients of [`native_group_norm`] for input, weight and bias, as far as `output_mask` asks for them.
#[op(
    "native_group_norm_backward(Tensor grad_out, Tensor input, Tensor mean, Tensor rstd, Tensor? weight, SymInt N, SymInt C, SymInt HxW, int group, bool[3] output_mask) -> (Tensor, Tensor, Tensor)",
    wrt(grad_out, input, mean, rstd, weight),
    no_method
)]
mod native_group_norm_backward {
    fn kernel(
        grad_out: &Tensor,
        input: &Tensor,
        mean: &Tensor,
        rstd: &Tensor,
        weight: Option<&Tensor>,
        N: i64,
        C: i64,
        HxW: i64,
        group: i64,
        output_mask: &[bool],
    ) -> Result<Given> {
        check_float("GroupNormBackwardKernelImpl", input)?;
        check_groups(&[N, C, HxW], group, weight, None)?;
        check_elements(input, [N, C, HxW])?;
        check_sizes("native_group_norm_backward: grad_out", grad_out, &input.sizes())?;
        for (name, t) in [("mean", mean), ("rstd", rstd)] {
            check_count(&format!("native_group_norm_backward: {name}"), t, (N * group) as usize)?;
        }
        let compute = float_type(input.dtype());
        let (g, x) = (dense(grad_out, compute)?, dense(input, compute)?);
        let (mean, rstd, w) = (dense(mean, compute)?, dense(rstd, compute)?, dense_option(weight, compute)?);
        let gx = wanted(output_mask, 0, &x.sizes(), compute, &x)?;
        let (gw, gb) =
            (wanted(output_mask, 1, &[C], compute, &x)?, wanted(output_mask, 2, &[C], compute, &x)?);
        let mut ins = vec![g.raw(), x.raw(), mean.raw(), rstd.raw()];
        ins.extend(w.iter().map(|t| t.raw()));
        let (outs, shape) = ([gx.raw(), gw.raw(), gb.raw()], group_shape(N, C, HxW, group));
        access_lists(&outs.each_ref(), &ins.iter().collect::<Vec<_>>(), |o, i| {
            // SAFETY: all are locked, row-major and of the compute type; the outputs are fresh.
            with_float!(compute, T => unsafe {
                kernels::group_norm_backward::<T>(
                    shape, slice(&i[0]), slice(&i[1]), slice(&i[2]), slice(&i[3]), optional(w.is_some(), i.get(4)),
                    slice_mut(&o[0]), slice_mut(&o[1]), slice_mut(&o[2]),
                );
            });
        });
        let parameter = weight.map_or(input.dtype(), Tensor::dtype);
        given(output_mask, [gx, gw, gb], [input.dtype(), parameter, parameter])
    }
    fn grad(
        grads: &[Option<Tensor>],
        grad_out: &Tensor,
        input: &Tensor,
        mean: &Tensor,
        rstd: &Tensor,
        weight: Option<&Tensor>,
        N: i64,
        C: i64,
        HxW: i64,
        group: i64,
        output_mask: &[bool],
    ) -> Result<Grads> {
        let mut inputs = vec![grad_out, input, mean, rstd];
        inputs.extend(weight);
        let mut found = differentiate(&inputs, &asked(grads, output_mask), |v| {
            let grouped = [N, group, C / group, HxW];
            let (g, x) = (v[0].reshape(grouped)?, v[1].reshape(grouped)?);
            let (mean, rstd) = (v[2].reshape([N, group, 1, 1])?, v[3].reshape([N, group, 1, 1])?);
            let xhat = x.sub(&mean)?.mul(&rstd)?;
            let gw = match v.get(4) {
                Some(w) => g.mul(&w.reshape([1, group, C / group, 1])?)?,
                None => g.clone(),
            };
            let gx = centred(&gw, &xhat, &[2, 3])?.mul(&rstd)?.reshape(input.sizes())?;
            Ok(vec![gx, over(&g.mul(&xhat)?, &[0, 3])?.reshape([C])?, over(&g, &[0, 3])?.reshape([C])?])
        })?;
        found.resize(5, None);
        Ok(found.into_iter().map(Grad::from).collect())
    }
}
