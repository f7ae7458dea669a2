//! Bags of rows of a table by index, each made one row: their sum, mean or largest elements.

use std::ops::Range;

use cresset_kernels::index::Bags;
use cresset_macros::op;

use super::index::{is_index, long};
use super::margin_loss::underivable;
use super::{embedding_backward, index_select, sum_dim};
use crate::autograd::Meta;
use crate::dense::{cast, dense, dense_option, float_type, slice, slice_mut};
use crate::op::{OpDef, Out};
use crate::storage::access_lists;
use crate::{DType, Device, Result, Tensor, bail, ensure, op_list, with_float};

pub(crate) static OPS: &[&OpDef] = op_list![
    embedding_bag,
    embedding_bag_padding_idx,
    _embedding_bag,
    _embedding_bag_backward,
    _embedding_bag_per_sample_weights_backward,
];

/// What becomes of a bag's rows, as PyTorch numbers it.
const SUM: i64 = 0;
const MEAN: i64 = 1;
const MAX: i64 = 2;

fn check_types(weight: &Tensor, indices: &Tensor, offsets: &Tensor) -> Result<()> {
    for (i, (name, t)) in [("indices", indices), ("offsets", offsets)].into_iter().enumerate() {
        ensure!(
            is_index(t.dtype()),
            "Expected tensor for argument #1 '{name}' to have one of the following scalar types: Long, Int; but got torch.{}Tensor instead (while checking arguments for embedding_bag)",
            t.dtype().scalar_type()
        );
        // PyTorch flattens nothing here: `functional::embedding_bag` makes a matrix of indices a vector.
        if i == 1 && t.dim() != 1 {
            bail!("offsets has to be a 1D Tensor, but got Tensor of dimension {}", t.dim());
        }
    }
    ensure!(
        weight.is_floating_point(),
        "Expected tensor for argument #1 'weight' to have one of the following scalar types: Half, BFloat16, Float, Double; but got torch.{}Tensor instead (while checking arguments for embedding_bag)",
        weight.dtype().scalar_type()
    );
    ensure!(weight.dim() == 2, "weight has to be a 2D Tensor, but got Tensor of dimension {}", weight.dim());
    ensure!(indices.dim() == 1, "input has to be a 1D Tensor, but got Tensor of dimension {}", indices.dim());
    Ok(())
}

fn check_weights(weight: &Tensor, indices: &Tensor, mode: i64, weights: Option<&Tensor>) -> Result<()> {
    ensure!((SUM..=MAX).contains(&mode), "`mode` must be sum, mean, or max.");
    let Some(w) = weights else { return Ok(()) };
    ensure!(mode == SUM, "embedding_bag: per_sample_weights only supported with mode='sum'");
    if w.dtype() != weight.dtype() {
        bail!(
            "Expected tensor for argument #1 'weight' to have the same type as tensor for argument #1 'per_sample_weights'; but type torch.{}Tensor does not equal torch.{}Tensor (while checking arguments for embedding_bag)",
            weight.dtype().scalar_type(),
            w.dtype().scalar_type()
        );
    }
    ensure!(
        w.dim() == 1 && w.numel() == indices.numel(),
        "expected per_sample_weights [{}], one for each index, got {:?}",
        indices.numel(),
        w.sizes().as_slice()
    );
    Ok(())
}

/// The indices of each bag.
fn bags(offsets: &Tensor, indices: usize, include_last: bool) -> Result<Vec<Range<usize>>> {
    let offsets: Vec<i64> = dense(offsets, DType::I64)?.to_vec()?;
    ensure!(
        !include_last || !offsets.is_empty(),
        "include_last_offset: number of offset should be at least 1"
    );
    if let Some(first) = offsets.first().filter(|first| **first != 0) {
        bail!(
            "offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start from position 0. However, got {first}"
        );
    }
    if let Some(last) = offsets.last().filter(|last| **last > indices as i64) {
        bail!("offsets[-1] can not be greater than input's length {indices} but got offsets[-1] of {last}");
    }
    ensure!(offsets.is_sorted(), "embedding_bag: expected offsets that do not decrease, got {offsets:?}");
    let number = offsets.len() - usize::from(include_last);
    let end = |i: usize| offsets.get(i + 1).map_or(indices, |end| *end as usize);
    Ok((0..number).map(|i| offsets[i] as usize..end(i)).collect())
}

fn check_rows(indices: &[i64], rows: i64) -> Result<()> {
    match indices.iter().position(|r| !(0..rows).contains(r)) {
        Some(i) => {
            bail!("Index {i} of input takes value {} which is not in the valid range [0, {rows})", indices[i])
        }
        None => Ok(()),
    }
}

/// The bag of each index.
fn bag_of_each(bags: &[Range<usize>], indices: usize) -> Vec<i64> {
    let mut all = vec![0; indices];
    for (bag, range) in bags.iter().enumerate() {
        all[range.clone()].fill(bag as i64);
    }
    all
}

/// [`embedding_bag_padding_idx`] without a row that counts for nothing.
#[op(
    "embedding_bag(Tensor weight, Tensor indices, Tensor offsets, bool scale_grad_by_freq=False, int mode=0, bool sparse=False, Tensor? per_sample_weights=None, bool include_last_offset=False) -> (Tensor, Tensor, Tensor, Tensor)",
    composite,
    no_method
)]
mod embedding_bag {
    fn kernel(
        weight: &Tensor,
        indices: &Tensor,
        offsets: &Tensor,
        scale_grad_by_freq: bool,
        mode: i64,
        sparse: bool,
        per_sample_weights: Option<&Tensor>,
        include_last_offset: bool,
    ) -> Result<(Tensor, Tensor, Tensor, Tensor)> {
        let (by_frequency, samples, last) = (scale_grad_by_freq, per_sample_weights, include_last_offset);
        embedding_bag_padding_idx::call(
            weight,
            indices,
            offsets,
            by_frequency,
            mode,
            sparse,
            samples,
            last,
            None,
        )
    }
}

/// One row for each bag of rows of `weight`: their sum (`mode` 0), mean (1) or largest elements (2). Bag `i` is
/// `indices[offsets[i]..offsets[i + 1]]`. Also returns what backward needs.
#[op(
    "embedding_bag.padding_idx(Tensor weight, Tensor indices, Tensor offsets, bool scale_grad_by_freq, int mode, bool sparse, Tensor? per_sample_weights, bool include_last_offset, int? padding_idx) -> (Tensor, Tensor, Tensor, Tensor)",
    composite,
    no_method
)]
mod embedding_bag_padding_idx {
    fn kernel(
        weight: &Tensor,
        indices: &Tensor,
        offsets: &Tensor,
        scale_grad_by_freq: bool,
        mode: i64,
        sparse: bool,
        per_sample_weights: Option<&Tensor>,
        include_last_offset: bool,
        padding_idx: Option<i64>,
    ) -> Result<(Tensor, Tensor, Tensor, Tensor)> {
        let rows = weight.sizes().first().copied().unwrap_or(0);
        let padding = match padding_idx {
            Some(i) if !(-rows..rows).contains(&i) => bail!(
                "padding_idx must be within the number of embeddings, -{rows} through {}, but got {i}",
                rows - 1
            ),
            Some(i) if i < 0 => i + rows,
            Some(i) => i,
            None => -1,
        };
        let (by_frequency, samples, last) = (scale_grad_by_freq, per_sample_weights, include_last_offset);
        let (output, members, sizes, largest) = _embedding_bag::call(
            weight,
            indices,
            offsets,
            by_frequency,
            mode,
            sparse,
            samples,
            last,
            padding,
        )?;
        if mode != SUM || !last || weight.requires_grad() {
            return Ok((output, members, sizes, largest));
        }
        // Without gradients PyTorch has a number here for each offset, the last included.
        let zeros = || crate::copy::zeros(&offsets.sizes(), sizes.dtype(), sizes.device());
        Ok((output, members, zeros()?, zeros()?))
    }
}

/// [`embedding_bag_padding_idx`]: the rows, the bag of each index, the sizes of the bags and where the largest elements are.
#[op(
    "_embedding_bag(Tensor weight, Tensor indices, Tensor offsets, bool scale_grad_by_freq=False, int mode=0, bool sparse=False, Tensor? per_sample_weights=None, bool include_last_offset=False, int padding_idx=-1) -> (Tensor, Tensor, Tensor, Tensor)",
    nondiff(indices, offsets),
    no_method,
    no_fn
)]
mod _embedding_bag {
    fn kernel(
        weight: &Tensor,
        indices: &Tensor,
        offsets: &Tensor,
        scale_grad_by_freq: bool,
        mode: i64,
        sparse: bool,
        per_sample_weights: Option<&Tensor>,
        include_last_offset: bool,
        padding_idx: i64,
    ) -> Result<(Tensor, Tensor, Tensor, Tensor)> {
        let _ = (scale_grad_by_freq, sparse); // only backward looks at these
        check_types(weight, indices, offsets)?;
        check_weights(weight, indices, mode, per_sample_weights)?;
        ensure!(
            weight.device() != Device::Meta && indices.device() != Device::Meta,
            NotImplemented,
            "embedding_bag: the shape depends on the offsets"
        );
        let rows: Vec<i64> = dense(indices, DType::I64)?.to_vec()?;
        check_rows(&rows, weight.sizes()[0])?;
        let bags = bags(offsets, rows.len(), include_last_offset)?;
        let (output, sizes, largest) = run(weight, &rows, &bags, mode, per_sample_weights, padding_idx)?;
        let both = [indices.dtype(), offsets.dtype()];
        let index_type = if both.contains(&DType::I64) { DType::I64 } else { DType::I32 };
        // PyTorch's fast path for sums leaves this to backward.
        let fast = mode == SUM && padding_idx < 0 && weight.dtype() != DType::F64 && weight.strides()[1] == 1;
        let members = if fast { Vec::new() } else { bag_of_each(&bags, rows.len()) };
        let index = |list: Vec<i64>| {
            let n = list.len() as i64;
            cast(Tensor::from_vec(list, [n])?, index_type)
        };
        let sizes = index(sizes)?;
        let largest = largest.map_or_else(|| sizes.contiguous_copy(), |t| cast(t, index_type))?;
        Ok((output, index(members)?, sizes, largest))
    }
    fn grad_weight(
        g: &Tensor,
        weight: &Meta,
        indices: &Tensor,
        offsets: &Tensor,
        out1: &Tensor,
        out2: &Tensor,
        out3: &Tensor,
        scale_grad_by_freq: bool,
        mode: i64,
        sparse: bool,
        per_sample_weights: Option<&Tensor>,
        padding_idx: i64,
    ) -> Result<Tensor> {
        _embedding_bag_backward::call(
            g,
            indices,
            offsets,
            out1,
            out2,
            out3,
            weight.sizes()[0],
            scale_grad_by_freq,
            mode,
            sparse,
            per_sample_weights,
            padding_idx,
        )
    }
    fn grad_per_sample_weights(
        g: &Tensor,
        weight: &Tensor,
        indices: &Tensor,
        offsets: &Tensor,
        out1: &Tensor,
        mode: i64,
        padding_idx: i64,
    ) -> Result<Tensor> {
        _embedding_bag_per_sample_weights_backward::call(g, weight, indices, offsets, out1, mode, padding_idx)
    }
}

/// The rows, sizes of the bags (zeros for sums) and, of the largest, where they are.
fn run(
    weight: &Tensor,
    rows: &[i64],
    bags: &[Range<usize>],
    mode: i64,
    weights: Option<&Tensor>,
    padding: i64,
) -> Result<(Tensor, Vec<i64>, Option<Tensor>)> {
    let (compute, dtype) = (float_type(weight.dtype()), weight.dtype());
    let sizes = [bags.len() as i64, weight.sizes()[1]];
    let output = Tensor::empty_of(&sizes, compute, weight.device())?;
    let largest = Tensor::empty_of(if mode == MAX { &sizes } else { &[0, 0] }, DType::I64, weight.device())?;
    // Of a table in another dtype only the rows that are wanted are converted.
    let picked: Vec<i64> = (0..rows.len() as i64).collect();
    let direct = dtype == compute && weight.is_contiguous();
    let (table, indices) = if direct {
        (weight.clone(), rows)
    } else {
        let index = Tensor::from_slice(rows, [rows.len() as i64])?;
        (dense(&index_select::kernel(weight, 0, &index, Out::New)?, compute)?, &picked[..])
    };
    let padded = |i: usize| padding >= 0 && rows[i] == padding;
    let kept: Vec<i64> = indices.iter().enumerate().map(|(i, r)| if padded(i) { -1 } else { *r }).collect();
    let bags = Bags { indices: &kept, bags, width: sizes[1] as usize, padding: Some(-1) };
    let mut ins = vec![table];
    ins.extend(dense_option(weights, compute)?);
    let views: Vec<_> = ins.iter().map(Tensor::raw).collect();
    access_lists(&[&output.raw(), &largest.raw()], &views.iter().collect::<Vec<_>>(), |o, i| {
        // SAFETY: all are locked, row-major and of the types that they are read as; the outputs are fresh.
        with_float!(compute, T => unsafe {
            let (table, out): (&[T], &mut [T]) = (slice(&i[0]), slice_mut(&o[0]));
            match mode {
                MAX => bags.largest(table, out, slice_mut(&o[1])),
                _ => bags.sums(table, i.get(1).map_or(&[], |w| slice(w)), mode == MEAN, out),
            }
        });
    });
    let counts = if mode == SUM { vec![0; bags.bags.len()] } else { bags.sizes() };
    let largest = match mode {
        MAX if direct => Some(largest),
        MAX => Some(at_rows(&largest, rows, &counts)?),
        _ => None,
    };
    Ok((cast(output, dtype)?, counts, largest))
}

/// Positions among the picked rows as rows of the table; 0 for empty bags.
fn at_rows(positions: &Tensor, rows: &[i64], counts: &[i64]) -> Result<Tensor> {
    let mut at: Vec<i64> = positions.to_vec()?;
    let width = positions.sizes()[1].max(1) as usize;
    for (bag, count) in at.chunks_mut(width).zip(counts) {
        bag.iter_mut().for_each(|i| *i = if *count > 0 { rows[*i as usize] } else { 0 });
    }
    Tensor::from_vec(at, positions.sizes())
}

/// The bag of each index, worked out where forward left it.
fn bag_of_each_index(indices: &Tensor, offsets: &Tensor, given: &Tensor) -> Result<Tensor> {
    let n = indices.numel();
    if given.numel() == n {
        return long(given);
    }
    let bags = bags(offsets, n, false)?;
    Tensor::from_vec(bag_of_each(&bags, n), [n as i64])
}

/// Gradient of [`_embedding_bag`] in `weight`.
#[op(
    "_embedding_bag_backward(Tensor grad, Tensor indices, Tensor offsets, Tensor offset2bag, Tensor bag_size, Tensor maximum_indices, SymInt num_weights, bool scale_grad_by_freq, int mode, bool sparse, Tensor? per_sample_weights, int padding_idx=-1) -> Tensor",
    composite,
    no_method,
    no_fn
)]
mod _embedding_bag_backward {
    fn kernel(
        grad: &Tensor,
        indices: &Tensor,
        offsets: &Tensor,
        offset2bag: &Tensor,
        bag_size: &Tensor,
        maximum_indices: &Tensor,
        num_weights: i64,
        scale_grad_by_freq: bool,
        mode: i64,
        sparse: bool,
        per_sample_weights: Option<&Tensor>,
        padding_idx: i64,
    ) -> Result<Tensor> {
        ensure!(grad.dim() == 2, "expected a gradient of 2 dimensions, got {:?}", grad.sizes().as_slice());
        let per_bag = || bag_size.to_dtype(grad.dtype())?.unsqueeze(1);
        if mode == MAX {
            ensure!(!sparse, "embedding_bag: max mode does not support sparse weights");
            let zeros = crate::copy::zeros(&[num_weights, grad.sizes()[1]], grad.dtype(), grad.device())?;
            return zeros.scatter_add(0, &long(maximum_indices)?, &grad.mul(&per_bag()?.sign()?)?);
        }
        let grad = if mode == MEAN { grad.div(&per_bag()?.clamp_min(1)?)? } else { grad.clone() };
        let members = bag_of_each_index(indices, offsets, offset2bag)?;
        let mut rows = grad.index_select(0, &members)?;
        if let Some(w) = per_sample_weights {
            rows = rows.mul(&w.unsqueeze(1)?)?;
        }
        embedding_backward::call(&rows, indices, num_weights, padding_idx, scale_grad_by_freq, sparse)
    }
}

/// Gradient of [`_embedding_bag`] in `per_sample_weights`; has none itself, as in PyTorch.
#[op(
    "_embedding_bag_per_sample_weights_backward(Tensor grad, Tensor weight, Tensor indices, Tensor offsets, Tensor offset2bag, int mode, int padding_idx=-1) -> Tensor",
    nondiff(indices, offsets, offset2bag),
    no_method,
    no_fn
)]
mod _embedding_bag_per_sample_weights_backward {
    fn kernel(
        grad: &Tensor,
        weight: &Tensor,
        indices: &Tensor,
        offsets: &Tensor,
        offset2bag: &Tensor,
        mode: i64,
        padding_idx: i64,
    ) -> Result<Tensor> {
        ensure!(mode == SUM, "embedding_bag_backward: per_sample_weights only supported for mode='sum'");
        let indices = long(indices)?;
        let members = bag_of_each_index(&indices, offsets, offset2bag)?;
        let (g, w) = (grad.detach().index_select(0, &members)?, weight.detach().index_select(0, &indices)?);
        let all = sum_dim::call(&g.mul(&w)?, Some(&[1]), false, None)?;
        if padding_idx < 0 { Ok(all) } else { all.masked_fill(&indices.eq_scalar(padding_idx)?, 0) }
    }
    fn grad_grad(g: &Tensor) -> Result<Tensor> {
        underivable(g, "_embedding_bag_per_sample_weights_backward")
    }
    fn grad_weight(g: &Tensor) -> Result<Tensor> {
        underivable(g, "_embedding_bag_per_sample_weights_backward")
    }
}
