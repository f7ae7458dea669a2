//! Tensors put together, repeated and turned around.

use super::raw;
use super::view_layout as plan;
use super::*;
use crate::autograd::Meta;
use crate::layout::{Dims, Layout, wrap_dim, wrap_dims};
use crate::op::{OpDef, Out};
use crate::{Device, MemoryFormat, Result, Tensor, bail, ensure, op_list};
use cresset_macros::op;

pub(crate) static OPS: &[&OpDef] = op_list![
    cat,
    concat,
    concatenate,
    stack,
    _stack,
    hstack,
    vstack,
    row_stack,
    dstack,
    column_stack,
    block_diag,
    meshgrid,
    meshgrid_indexing,
    cartesian_prod,
    combinations,
    repeat,
    tile,
    roll,
    flip,
    fliplr,
    flipud,
    rot90,
];

/// The memory format that all of them have, or row-major.
fn common_format(tensors: &[Tensor]) -> MemoryFormat {
    let first = tensors[0].layout().suggested_format();
    let same = tensors[1..].iter().all(|t| t.layout().suggested_format() == first);
    if same { first } else { MemoryFormat::Contiguous }
}

/// Tensors one after another along `dim`; empty vectors are left out.
#[op(
    "cat(Tensor[] tensors, int dim=0) -> Tensor",
    out = "out",
    tags(core),
    autocast = "promote",
    onnx = "Concat"
)]
mod cat {
    fn kernel(tensors: &[Tensor], dim: i64, out: Out) -> Result<Tensor> {
        ensure!(!tensors.is_empty(), Value, "torch.cat(): expected a non-empty list of Tensors");
        if let Some(i) = tensors.iter().position(|t| t.dim() == 0) {
            bail!("zero-dimensional tensor (at position {i}) cannot be concatenated");
        }
        let dtype = raw::common_dtype(tensors);
        let (sizes, dim) = joined_sizes(tensors, dim)?;
        let format = common_format(tensors);
        let result = raw::place_in_format(out, &sizes, dtype, tensors[0].device(), format)?;
        raw::cat(&result, tensors, dim)?;
        Ok(result)
    }
    fn sparse(tensors: &[Tensor], dim: i64) -> Result<Tensor> {
        crate::sparse::shape::cat(tensors, dim)
    }
    fn grad_tensors(g: &Tensor, tensors: &[Meta], dim: i64) -> Result<Vec<Tensor>> {
        let d = wrap_dim(dim, g.dim())?;
        let mut start = 0;
        let part = |t: &Meta| {
            if is_skipped(t.sizes()) {
                return t.zeros();
            }
            start += t.sizes()[d];
            slice::call(g, dim, Some(start - t.sizes()[d]), Some(start), 1)
        };
        tensors.iter().map(part).collect()
    }
}

/// An empty vector, which `cat` ignores whatever the others are.
fn is_skipped(sizes: &[i64]) -> bool {
    sizes == [0]
}

fn joined_sizes(tensors: &[Tensor], dim: i64) -> Result<(Dims, usize)> {
    let shapes: Vec<Dims> = tensors.iter().map(Tensor::sizes).collect();
    let Some(first) = shapes.iter().find(|s| !is_skipped(s)) else {
        return Ok((Dims::from_elem(0, 1), wrap_dim(dim, 1)?));
    };
    let d = wrap_dim(dim, first.len())?;
    let mut sizes = first.clone();
    sizes[d] = 0;
    for (i, s) in shapes.iter().enumerate().filter(|(_, s)| !is_skipped(s)) {
        ensure!(
            s.len() == first.len(),
            "Tensors must have same number of dimensions: got {} and {}",
            first.len(),
            s.len()
        );
        if let Some(other) = (0..s.len()).find(|&o| o != d && s[o] != first[o]) {
            bail!(
                "Sizes of tensors must match except in dimension {d}. Expected size {} but got size {} for tensor number {i} in the list.",
                first[other],
                s[other]
            );
        }
        sizes[d] += s[d];
    }
    Ok((sizes, d))
}

/// [`cat`] under another name.
#[op("concat(Tensor[] tensors, int dim=0) -> Tensor", composite, out = "out")]
mod concat {
    fn kernel(tensors: &[Tensor], dim: i64) -> Result<Tensor> {
        cat::call(tensors, dim)
    }
}

/// [`cat`] under NumPy's name.
#[op("concatenate(Tensor[] tensors, int dim=0) -> Tensor", composite, out = "out")]
mod concatenate {
    fn kernel(tensors: &[Tensor], dim: i64) -> Result<Tensor> {
        cat::call(tensors, dim)
    }
}

/// Tensors of one shape side by side, along a new dimension `dim`.
#[op("stack(Tensor[] tensors, int dim=0) -> Tensor", out = "out", autocast = "promote")]
mod stack {
    fn kernel(tensors: &[Tensor], dim: i64, out: Out) -> Result<Tensor> {
        let Some(first) = tensors.first() else { bail!("stack expects a non-empty TensorList") };
        let mut sizes = first.sizes();
        let d = wrap_dim(dim, sizes.len() + 1)?;
        for (i, t) in tensors.iter().enumerate() {
            ensure!(
                t.sizes() == sizes,
                "stack expects each tensor to be equal size, but got {:?} at entry 0 and {:?} at entry {i}",
                sizes.as_slice(),
                t.sizes().as_slice()
            );
        }
        let slices: Vec<Tensor> = tensors
            .iter()
            .map(|t| raw::window(t, plan::unsqueeze(&t.layout(), d as i64)?))
            .collect::<Result<_>>()?;
        sizes.insert(d, tensors.len() as i64);
        let result = raw::place(out, &sizes, raw::common_dtype(tensors), first.device())?;
        raw::cat(&result, &slices, d)?;
        Ok(result)
    }
    fn grad_tensors(g: &Tensor, dim: i64) -> Result<Vec<Tensor>> {
        unbind::call(g, dim)
    }
}

/// [`stack`] under its name below autograd.
#[op("_stack(Tensor[] tensors, int dim=0) -> Tensor", composite, out = "out", no_fn)]
mod _stack {
    fn kernel(tensors: &[Tensor], dim: i64) -> Result<Tensor> {
        stack::call(tensors, dim)
    }
}

/// Side by side: along columns, vectors along their only dimension.
#[op("hstack(Tensor[] tensors) -> Tensor", composite, out = "out")]
mod hstack {
    fn kernel(tensors: &[Tensor]) -> Result<Tensor> {
        ensure!(!tensors.is_empty(), "hstack expects a non-empty TensorList");
        let tensors = atleast_1d_sequence::call(tensors)?;
        cat::call(&tensors, i64::from(tensors[0].dim() > 1))
    }
}

/// One above the other: along rows, vectors as rows.
#[op("vstack(Tensor[] tensors) -> Tensor", composite, out = "out")]
mod vstack {
    fn kernel(tensors: &[Tensor]) -> Result<Tensor> {
        ensure!(!tensors.is_empty(), "vstack expects a non-empty TensorList");
        cat::call(&atleast_2d_sequence::call(tensors)?, 0)
    }
}

/// [`vstack`] under another name.
#[op("row_stack(Tensor[] tensors) -> Tensor", composite, out = "out")]
mod row_stack {
    fn kernel(tensors: &[Tensor]) -> Result<Tensor> {
        vstack::call(tensors)
    }
}

/// One behind the other: along the third dimension.
#[op("dstack(Tensor[] tensors) -> Tensor", composite, out = "out")]
mod dstack {
    fn kernel(tensors: &[Tensor]) -> Result<Tensor> {
        ensure!(!tensors.is_empty(), "dstack expects a non-empty TensorList");
        cat::call(&atleast_3d_sequence::call(tensors)?, 2)
    }
}

/// Side by side, vectors as columns.
#[op("column_stack(Tensor[] tensors) -> Tensor", composite, out = "out")]
mod column_stack {
    fn kernel(tensors: &[Tensor]) -> Result<Tensor> {
        ensure!(!tensors.is_empty(), "column_stack expects a non-empty TensorList");
        let column = |t: &Tensor| if t.dim() <= 1 { t.reshape([t.numel() as i64, 1]) } else { Ok(t.clone()) };
        hstack::call(&tensors.iter().map(column).collect::<Result<Vec<_>>>()?)
    }
}

/// Matrices along the diagonal of zeros.
#[op("block_diag(Tensor[] tensors) -> Tensor")]
mod block_diag {
    fn kernel(tensors: &[Tensor]) -> Result<Tensor> {
        for (i, t) in tensors.iter().enumerate() {
            ensure!(
                t.dim() <= 2,
                "torch.block_diag: Input tensors must have 2 or fewer dimensions. Input {i} has {} dimensions",
                t.dim()
            );
        }
        let blocks: Vec<[i64; 2]> = tensors.iter().map(|t| block_sizes(&t.sizes())).collect();
        let total = |d: usize| blocks.iter().map(|b| b[d]).sum::<i64>();
        let (rows, columns) = if blocks.is_empty() { (1, 0) } else { (total(0), total(1)) };
        let dtype = if tensors.is_empty() {
            crate::promotion::get_default_dtype()
        } else {
            raw::common_dtype(tensors)
        };
        let result =
            crate::copy::zeros(&[rows, columns], dtype, tensors.first().map_or(Device::Cpu, Tensor::device))?;
        let mut at = [0, 0];
        for (t, [h, w]) in tensors.iter().zip(blocks) {
            let place = Layout::new(&[h, w], &[columns, 1], (at[0] * columns + at[1]) as usize);
            if h * w > 0 {
                raw::copy(&raw::window(&result, place)?, &t.reshape([h, w])?)?;
            }
            at = [at[0] + h, at[1] + w];
        }
        Ok(result)
    }
    fn grad_tensors(g: &Tensor, tensors: &[Meta]) -> Result<Vec<Tensor>> {
        let mut at = [0, 0];
        let part = |t: &Meta| {
            let [h, w] = block_sizes(t.sizes());
            let block = g.narrow(0, at[0], h)?.narrow(1, at[1], w)?.reshape(t.sizes());
            at = [at[0] + h, at[1] + w];
            block
        };
        tensors.iter().map(part).collect()
    }
}

fn block_sizes(sizes: &[i64]) -> [i64; 2] {
    match *sizes {
        [] => [1, 1],
        [n] => [1, n],
        [h, w, ..] => [h, w],
    }
}

/// Coordinates of a grid, one tensor for each axis (matrix indexing).
#[op("meshgrid(Tensor[] tensors) -> Tensor[]", composite)]
mod meshgrid {
    fn kernel(tensors: &[Tensor]) -> Result<Vec<Tensor>> {
        meshgrid_indexing::call(tensors, "ij")
    }
}

/// Coordinates of a grid; with `xy` the first two axes are swapped.
#[op("meshgrid.indexing(Tensor[] tensors, *, str indexing) -> Tensor[]", composite)]
mod meshgrid_indexing {
    fn kernel(tensors: &[Tensor], indexing: &str) -> Result<Vec<Tensor>> {
        ensure!(!tensors.is_empty(), "meshgrid expects a non-empty TensorList");
        for t in tensors {
            ensure!(
                t.dim() <= 1,
                "torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got: {}D tensor",
                t.dim()
            );
            ensure!(
                t.dtype() == tensors[0].dtype(),
                "torch.meshgrid expects all tensors to have the same dtype"
            );
        }
        let swap = match indexing {
            "ij" => false,
            "xy" => tensors.len() >= 2,
            _ => bail!("torch.meshgrid: indexing must be one of \"xy\" or \"ij\", but received: {indexing}"),
        };
        let mut axes: Vec<usize> = (0..tensors.len()).collect();
        if swap {
            axes.swap(0, 1);
        }
        let sizes: Vec<i64> = axes.iter().map(|&i| tensors[i].numel() as i64).collect();
        let grid = |(i, t): (usize, &Tensor)| {
            let mut shape = vec![1; sizes.len()];
            shape[axes[i]] = -1;
            t.reshape(shape)?.expand(&sizes[..])
        };
        tensors.iter().enumerate().map(grid).collect()
    }
}

/// All tuples of one element of each vector, as rows.
#[op("cartesian_prod(Tensor[] tensors) -> Tensor", composite)]
mod cartesian_prod {
    fn kernel(tensors: &[Tensor]) -> Result<Tensor> {
        for t in tensors {
            ensure!(t.dim() == 1, "Expect a 1D vector, but got shape {:?}", t.sizes().as_slice());
        }
        if tensors.len() == 1 {
            return Ok(tensors[0].clone());
        }
        let columns =
            meshgrid::call(tensors)?.iter().map(|t| flatten::call(t, 0, -1)).collect::<Result<Vec<_>>>()?;
        stack::call(&columns, 1)
    }
}

/// All combinations of `r` elements of a vector, as rows.
#[op("combinations(Tensor self, int r=2, bool with_replacement=False) -> Tensor", composite)]
mod combinations {
    fn kernel(this: &Tensor, r: i64, with_replacement: bool) -> Result<Tensor> {
        ensure!(this.dim() == 1, "Expect a 1D vector, but got shape {:?}", this.sizes().as_slice());
        ensure!(r >= 0, "Expect a non-negative number, but got {r}");
        if r == 0 {
            return new_empty::call(this, &[0], None, None);
        }
        let n = this.numel() as i64;
        check_combinations(n, r, with_replacement)?;
        let mut rows = Vec::new();
        let mut row: Vec<i64> = (0..r).map(|i| if with_replacement { 0 } else { i }).collect();
        let step = i64::from(!with_replacement);
        while row
            .iter()
            .enumerate()
            .all(|(i, &v)| v < n - if with_replacement { 0 } else { r - 1 - i as i64 })
        {
            rows.extend_from_slice(&row);
            let limit = |i: usize| n - 1 - step * (r - 1 - i as i64);
            let Some(i) = (0..row.len()).rev().find(|&i| row[i] < limit(i)) else { break };
            let start = row[i] + 1;
            (i..row.len()).for_each(|j| row[j] = start + step * (j - i) as i64);
        }
        let count = rows.len() as i64 / r;
        index_select::call(this, 0, &Tensor::from_vec(rows, [count * r])?)?.reshape([count, r])
    }
}

/// Refuses what PyTorch's grid of all tuples could not hold, or would not fit into memory.
fn check_combinations(n: i64, r: i64, with_replacement: bool) -> Result<()> {
    let grid = u32::try_from(r).ok().and_then(|r| n.checked_pow(r));
    ensure!(grid.is_some(), "numel: integer multiplication overflow");
    let from = if with_replacement { n + r - 1 } else { n };
    let count = (0..r).fold(1.0, |c, i| c * (from - i).max(0) as f64 / (i + 1) as f64);
    crate::copy::check_room((count.max(1.0) * r as f64) as i64)
}

/// The tensor repeated along each dimension; new ones in front.
#[op("repeat(Tensor self, SymInt[] repeats) -> Tensor", out = "out", tags(core))]
mod repeat {
    fn kernel(this: &Tensor, repeats: &[i64]) -> Result<Tensor> {
        let (sizes, grid, source) = repeat_grid(&this.layout(), repeats)?;
        let result = Tensor::empty_of(&sizes, this.dtype(), this.device())?;
        if result.numel() > 0 {
            raw::copy(&raw::window(&result, Layout::contiguous(&grid))?, &raw::window(this, source)?)?;
        }
        Ok(result)
    }
    fn grad_this(g: &Tensor, this: &Meta, repeats: &[i64]) -> Result<Tensor> {
        if repeats.contains(&0) {
            return this.zeros();
        }
        let (_, grid, _) = repeat_grid(&this.layout, repeats)?;
        let once: Dims = grid.iter().enumerate().map(|(i, n)| if i % 2 == 0 { 1 } else { *n }).collect();
        g.reshape(grid)?.sum_to_size(once)?.reshape(this.sizes())
    }
}

/// Sizes of the result, the same as pairs (copy, position), and the argument spread over those pairs.
fn repeat_grid(layout: &Layout, repeats: &[i64]) -> Result<(Dims, Dims, Layout)> {
    let new = repeats.len().checked_sub(layout.dim());
    let Some(new) = new else {
        bail!("Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor")
    };
    if let Some(r) = repeats.iter().find(|r| **r < 0) {
        bail!("Trying to create tensor with negative dimension {r}: {repeats:?}");
    }
    let (mut sizes, mut grid) = (Dims::new(), Dims::new());
    let mut source = Layout { sizes: Dims::new(), strides: Dims::new(), offset: layout.offset };
    for (d, &r) in repeats.iter().enumerate() {
        let (n, stride) = d.checked_sub(new).map_or((1, 0), |d| (layout.sizes[d], layout.strides[d]));
        let Some(size) = r.checked_mul(n) else {
            bail!("Storage size calculation overflowed with repeats={repeats:?}")
        };
        sizes.push(size);
        grid.extend([r, n]);
        source.sizes.extend([r, n]);
        source.strides.extend([0, stride]);
    }
    Ok((sizes, grid, source))
}

/// [`repeat`] where missing leading repeats are 1.
#[op("tile(Tensor self, SymInt[] dims) -> Tensor", composite)]
mod tile {
    fn kernel(this: &Tensor, dims: &[i64]) -> Result<Tensor> {
        let missing = this.dim().saturating_sub(dims.len());
        let repeats: Vec<i64> = std::iter::repeat_n(1, missing).chain(dims.iter().copied()).collect();
        repeat::call(this, &repeats)
    }
}

/// Positions moved along dimensions, what leaves one end entering at the other.
#[op("roll(Tensor self, SymInt[1] shifts, int[1] dims=[]) -> Tensor", out = "out")]
mod roll {
    fn kernel(this: &Tensor, shifts: &[i64], dims: &[i64]) -> Result<Tensor> {
        ensure!(!shifts.is_empty(), "`shifts` required");
        if dims.is_empty() && shifts.len() == 1 {
            return roll::call(&this.reshape(-1)?, shifts, &[0])?.reshape(this.sizes());
        }
        ensure!(
            shifts.len() == dims.len(),
            "shifts and dimensions must align. shifts: {}, dims:{}",
            shifts.len(),
            dims.len()
        );
        let mut result = this.clone();
        for (&shift, &dim) in shifts.iter().zip(dims) {
            let size = this.size(dim)?;
            let start = if size == 0 { 0 } else { (-shift).rem_euclid(size) };
            let ends = [
                slice::call(&result, dim, Some(start), None, 1)?,
                slice::call(&result, dim, Some(0), Some(start), 1)?,
            ];
            result = cat::call(&ends, dim)?;
        }
        Ok(result)
    }
    fn grad_this(g: &Tensor, shifts: &[i64], dims: &[i64]) -> Result<Tensor> {
        let back: Vec<i64> = shifts.iter().map(|s| -s).collect();
        roll::call(g, &back, dims)
    }
}

/// The order of some dimensions reversed.
#[op("flip(Tensor self, int[] dims) -> Tensor", out = "out", tags(core))]
mod flip {
    fn kernel(this: &Tensor, dims: &[i64]) -> Result<Tensor> {
        raw::flip(this, &wrap_dims(dims, this.dim())?)
    }
    fn grad_this(g: &Tensor, dims: &[i64]) -> Result<Tensor> {
        g.flip(dims)
    }
}

/// Columns in reverse order.
#[op("fliplr(Tensor self) -> Tensor", composite)]
mod fliplr {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        ensure!(this.dim() >= 2, "Input must be >= 2-d.");
        flip::call(this, &[1])
    }
}

/// Rows in reverse order.
#[op("flipud(Tensor self) -> Tensor", composite)]
mod flipud {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        ensure!(this.dim() >= 1, "Input must be >= 1-d.");
        flip::call(this, &[0])
    }
}

/// A plane turned by `k` quarter turns, from the first of `dims` towards the second.
#[op("rot90(Tensor self, int k=1, int[] dims=[0, 1]) -> Tensor", composite, out = "out")]
mod rot90 {
    fn kernel(this: &Tensor, k: i64, dims: &[i64]) -> Result<Tensor> {
        let n = this.dim() as i64;
        ensure!(dims.len() == 2, "expected total rotation dims == 2, but got dims = {}", dims.len());
        ensure!(n >= 2, "expected total dims >= 2, but got total dims = {n}");
        let (a, b) = (dims[0], dims[1]);
        ensure!(
            a != b && a.saturating_sub(b).saturating_abs() != n,
            "expected rotation dims to be different, but got dim0 = {a} and dim1 = {b}"
        );
        for (name, d) in [("0", a), ("1", b)] {
            ensure!((-n..n).contains(&d), "Rotation dim{name} out of range, dim{name} = {d}");
        }
        match k.rem_euclid(4) {
            1 => transpose::call(&flip::call(this, &[b])?, a, b),
            2 => flip::call(this, dims),
            3 => transpose::call(&flip::call(this, &[a])?, a, b),
            _ => clone_tensor::call(this, Some(MemoryFormat::Contiguous)),
        }
    }
}
