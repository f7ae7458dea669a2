//! Gradients against finite differences, as `torch.autograd.gradcheck` and `gradgradcheck`.

use super::engine::{GradOptions, grad};
use crate::{C64, DType, Result, Tensor, bail, ensure};

/// Step and tolerances of a check; the defaults are PyTorch's.
#[derive(Clone, Copy, Debug)]
pub struct GradCheck {
    /// Step of the finite differences.
    pub eps: f64,
    /// Absolute tolerance.
    pub atol: f64,
    /// Relative tolerance.
    pub rtol: f64,
}

impl Default for GradCheck {
    fn default() -> Self {
        GradCheck { eps: 1e-6, atol: 1e-5, rtol: 1e-3 }
    }
}

/// Checks the gradients of `f` at `inputs` (of `float64` or `complex128`) against central differences.
///
/// # Errors
/// `Runtime` naming the first entry of a Jacobian that differs, and whatever `f` reports.
pub fn gradcheck(
    f: impl Fn(&[Tensor]) -> Result<Vec<Tensor>>,
    inputs: &[Tensor],
    options: GradCheck,
) -> Result<()> {
    let checked: Vec<usize> = (0..inputs.len()).filter(|i| inputs[*i].requires_grad()).collect();
    ensure!(
        !checked.is_empty(),
        Value,
        "gradcheck expects at least one input tensor to require gradient, but none of the them have requires_grad=True."
    );
    for (o, output) in f(inputs)?.iter().enumerate().filter(|(_, output)| output.requires_grad()) {
        let analytic = analytic_jacobian(output, inputs, &checked)?;
        for (slot, i) in checked.iter().enumerate() {
            let numeric = numeric_jacobian(&f, inputs, *i, o, options.eps)?;
            compare(&analytic[slot], &numeric, o, *i, options)?;
        }
    }
    Ok(())
}

/// Checks second derivatives of `f`: the gradients of `f`, for fixed output gradients, are themselves checked.
///
/// # Errors
/// As [`gradcheck`].
pub fn gradgradcheck(
    f: impl Fn(&[Tensor]) -> Result<Vec<Tensor>>,
    inputs: &[Tensor],
    options: GradCheck,
) -> Result<()> {
    let outputs: Vec<Tensor> = f(inputs)?;
    let mut all: Vec<Tensor> = inputs.to_vec();
    for (k, o) in outputs.iter().filter(|o| o.requires_grad()).enumerate() {
        all.push(fixed_like(o, k)?.requires_grad_(true)?);
    }
    let n = inputs.len();
    let first = |args: &[Tensor]| -> Result<Vec<Tensor>> {
        let outputs: Vec<Tensor> = f(&args[..n])?.into_iter().filter(Tensor::requires_grad).collect();
        let wrt: Vec<Tensor> = args[..n].iter().filter(|t| t.requires_grad()).cloned().collect();
        let given: Vec<Option<Tensor>> = args[n..].iter().cloned().map(Some).collect();
        let options = GradOptions { create_graph: true, allow_unused: true, ..Default::default() };
        Ok(grad(&outputs, &wrt, &given, options)?.into_iter().flatten().collect())
    };
    if first(&all)?.iter().all(|g| !g.requires_grad()) {
        return Ok(());
    }
    gradcheck(first, &all, options)
}

/// Values of order one without structure, the same at each call.
fn fixed_like(t: &Tensor, k: usize) -> Result<Tensor> {
    let value = |i: usize| (((i + 1) * 7919 + k * 104_729) as f64 * 0.618_033_988_749).fract() - 0.5;
    let n = t.numel();
    match t.dtype() {
        DType::Complex128 => {
            let v: Vec<C64> = (0..n).map(|i| C64::new(value(2 * i), value(2 * i + 1))).collect();
            Tensor::from_slice(&v, t.sizes())
        }
        DType::F64 => Tensor::from_slice(&(0..n).map(value).collect::<Vec<f64>>(), t.sizes()),
        other => bail!(Value, "gradcheck expects float64 or complex128 tensors, got {other}"),
    }
}

/// Real coordinates of a tensor: the elements, or real and imaginary parts.
fn coordinates(t: &Tensor) -> Result<Vec<f64>> {
    Ok(match t.dtype() {
        DType::F64 => t.to_vec::<f64>()?,
        DType::Complex128 => t.to_vec::<C64>()?.iter().flat_map(|z| [z.re, z.im]).collect(),
        other => bail!(Value, "gradcheck expects float64 or complex128 tensors, got {other}"),
    })
}

fn from_coordinates(like: &Tensor, x: &[f64]) -> Result<Tensor> {
    match like.dtype() {
        DType::Complex128 => {
            let v: Vec<C64> = x.chunks_exact(2).map(|p| C64::new(p[0], p[1])).collect();
            Tensor::from_slice(&v, like.sizes())
        }
        _ => Tensor::from_slice(x, like.sizes()),
    }
}

/// Row per real output coordinate, column per real input coordinate; one matrix per checked input.
fn analytic_jacobian(output: &Tensor, inputs: &[Tensor], checked: &[usize]) -> Result<Vec<Vec<Vec<f64>>>> {
    let wrt: Vec<Tensor> = checked.iter().map(|i| inputs[*i].clone()).collect();
    let rows = coordinates(&output.detach())?.len();
    let mut jacobians = vec![Vec::with_capacity(rows); wrt.len()];
    for row in 0..rows {
        let mut unit = vec![0.0; rows];
        unit[row] = 1.0;
        let g = from_coordinates(output, &unit)?;
        let options = GradOptions { retain_graph: Some(true), allow_unused: true, ..Default::default() };
        let grads = grad(std::slice::from_ref(output), &wrt, &[Some(g)], options)?;
        for (j, (g, t)) in jacobians.iter_mut().zip(grads.into_iter().zip(&wrt)) {
            j.push(match g {
                Some(g) => coordinates(&g)?,
                None => vec![0.0; coordinates(&t.detach())?.len()],
            });
        }
    }
    Ok(jacobians)
}

fn numeric_jacobian(
    f: &impl Fn(&[Tensor]) -> Result<Vec<Tensor>>,
    inputs: &[Tensor],
    i: usize,
    output: usize,
    eps: f64,
) -> Result<Vec<Vec<f64>>> {
    let x = coordinates(&inputs[i].detach())?;
    let at = |k: usize, step: f64| -> Result<Vec<f64>> {
        let mut moved = x.clone();
        moved[k] += step;
        let mut args = inputs.to_vec();
        args[i] = from_coordinates(&inputs[i], &moved)?.requires_grad_(true)?;
        coordinates(&f(&args)?[output].detach())
    };
    let mut columns = Vec::with_capacity(x.len());
    for k in 0..x.len() {
        let (high, low) = (at(k, eps)?, at(k, -eps)?);
        columns.push(high.iter().zip(&low).map(|(h, l)| (h - l) / (2.0 * eps)).collect::<Vec<f64>>());
    }
    let rows = columns.first().map_or(0, Vec::len);
    Ok((0..rows).map(|r| columns.iter().map(|c| c[r]).collect()).collect())
}

fn compare(
    analytic: &[Vec<f64>],
    numeric: &[Vec<f64>],
    output: usize,
    input: usize,
    o: GradCheck,
) -> Result<()> {
    for (r, (a, n)) in analytic.iter().zip(numeric).enumerate() {
        for (c, (a, n)) in a.iter().zip(n).enumerate() {
            let agree = (a - n).abs() <= o.atol + o.rtol * n.abs();
            if !agree {
                bail!(
                    "Jacobian mismatch for output {output} with respect to input {input}, at ({r}, {c}): numerical {n}, analytical {a}"
                );
            }
        }
    }
    Ok(())
}
