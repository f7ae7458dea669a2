//! Initialisations with structure: identities, orthogonal and sparse matrices.

use cresset_core::{DType, Result, Scalar, Tensor, bail, ensure, no_grad, ops};

use super::normal_;

/// The identity matrix, cut or padded with zeros.
///
/// # Errors
/// `Value` unless it has two dimensions.
pub fn eye_(tensor: &Tensor) -> Result<Tensor> {
    let (rows, columns) = two_dimensions(tensor)?;
    fill(tensor, (0..rows * columns).map(|i| f64::from(i / columns == i % columns)).collect())
}

fn two_dimensions(tensor: &Tensor) -> Result<(usize, usize)> {
    match tensor.sizes()[..] {
        [rows, columns] => Ok((rows as usize, columns as usize)),
        _ => bail!(Value, "Only tensors with 2 dimensions are supported"),
    }
}

/// Overwrites the tensor with values in row-major order.
fn fill(tensor: &Tensor, values: Vec<f64>) -> Result<Tensor> {
    let _guard = no_grad();
    tensor.copy_(&Tensor::from_vec(values, &tensor.sizes()[..])?)
}

/// The identity of a convolution: as many input channels as possible pass through unchanged, in each group.
///
/// # Errors
/// `Value` unless it has three to five dimensions and `groups` divides the first.
pub fn dirac_(tensor: &Tensor, groups: usize) -> Result<Tensor> {
    let sizes = tensor.sizes();
    ensure!((3..=5).contains(&sizes.len()), Value, "Only tensors with 3, 4, or 5 dimensions are supported");
    ensure!(
        groups > 0 && (sizes[0] as usize).is_multiple_of(groups),
        Value,
        "dim 0 must be divisible by groups"
    );
    let per_group = sizes[0] as usize / groups;
    let kernel: usize = sizes[2..].iter().product::<i64>() as usize;
    let centre = sizes[2..].iter().fold(0, |at, n| at * n + n / 2) as usize;
    let mut values = vec![0.0; tensor.numel()];
    for group in 0..groups {
        for d in 0..per_group.min(sizes[1] as usize) {
            let row = (group * per_group + d) * sizes[1] as usize + d;
            values[row * kernel + centre] = 1.0;
        }
    }
    fill(tensor, values)
}

/// Normal values of which a fraction per column is set to zero.
///
/// # Errors
/// `Value` unless it has two dimensions.
pub fn sparse_(tensor: &Tensor, sparsity: f64, std: f64) -> Result<Tensor> {
    let (rows, columns) = two_dimensions(tensor)?;
    let zeros = ((sparsity * rows as f64).ceil() as usize).min(rows);
    normal_(tensor, 0.0, std)?;
    let mut drop = vec![false; rows * columns];
    for column in 0..columns {
        for row in &ops::randperm(rows as i64)?.to_vec::<i64>()?[..zeros] {
            drop[*row as usize * columns + column] = true;
        }
    }
    let _guard = no_grad();
    tensor.masked_fill_(&Tensor::from_vec(drop, [rows as i64, columns as i64])?, Scalar::Int(0))
}

/// A matrix with orthonormal rows or columns, times `gain`; further dimensions count as columns.
///
/// Saxe et al. (2013); drawn uniformly as Mezzadri (2006) describes.
///
/// # Errors
/// `Value` with fewer than two dimensions.
pub fn orthogonal_(tensor: &Tensor, gain: f64) -> Result<Tensor> {
    let sizes = tensor.sizes();
    ensure!(sizes.len() >= 2, Value, "Only tensors with 2 or more dimensions are supported");
    if tensor.numel() == 0 {
        return Ok(tensor.clone());
    }
    let (rows, columns) = (sizes[0] as usize, tensor.numel() / sizes[0] as usize);
    let normal = Tensor::empty_of(&[rows as i64, columns as i64], tensor.dtype(), tensor.device())?;
    let values = normal_(&normal, 0.0, 1.0)?.to_dtype(DType::F64)?.to_vec::<f64>()?;
    let q = if rows < columns {
        let tall = transposed(&values, rows, columns);
        transposed(&orthonormal_columns(&tall, columns, rows), columns, rows)
    } else {
        orthonormal_columns(&values, rows, columns)
    };
    fill(tensor, q.into_iter().map(|x| x * gain).collect())
}

fn transposed(a: &[f64], rows: usize, columns: usize) -> Vec<f64> {
    (0..rows * columns).map(|i| a[i % rows * columns + i / rows]).collect()
}

/// The factor `Q` of the one decomposition `A = QR` whose `R` has a positive diagonal: Gram and Schmidt's process,
/// each column orthogonalised twice, which is as exact as Householder's (Giraud et al. 2005).
fn orthonormal_columns(a: &[f64], rows: usize, columns: usize) -> Vec<f64> {
    let mut q = a.to_vec();
    for column in 0..columns {
        for _ in 0..2 {
            for other in 0..column {
                let dot: f64 = (0..rows).map(|r| q[r * columns + other] * q[r * columns + column]).sum();
                (0..rows).for_each(|r| q[r * columns + column] -= dot * q[r * columns + other]);
            }
        }
        let norm = (0..rows).map(|r| q[r * columns + column].powi(2)).sum::<f64>().sqrt();
        (0..rows).for_each(|r| q[r * columns + column] /= norm);
    }
    q
}
