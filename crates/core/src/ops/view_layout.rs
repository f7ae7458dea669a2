//! The arithmetic of views: sizes, strides and offsets, with PyTorch's checks and texts.

use crate::layout::{Dims, Layout, shape, wrap_dim};
use crate::{Result, bail, ensure};

/// Replaces a `-1` in `sizes` by what `numel` elements leave for it.
pub(crate) fn infer_size(sizes: &[i64], numel: usize) -> Result<Dims> {
    let mut out = Dims::from_slice(sizes);
    let (mut known, mut hole) = (1_i64, None);
    for (i, &size) in sizes.iter().enumerate() {
        match size {
            -1 if hole.is_some() => bail!("only one dimension can be inferred"),
            -1 => hole = Some(i),
            0.. => known = known.saturating_mul(size),
            _ => bail!("invalid shape dimension {size} at index {i} of shape {}", shape(sizes)),
        }
    }
    let n = numel as i64;
    if n != known && !(hole.is_some() && known > 0 && n % known == 0) {
        bail!("shape '{}' is invalid for input of size {n}", shape(sizes));
    }
    if let Some(i) = hole {
        ensure!(
            known != 0,
            "cannot reshape tensor of 0 elements into shape {} because the unspecified dimension size -1 can be any value and is ambiguous",
            shape(sizes)
        );
        out[i] = n / known;
    }
    Ok(out)
}

/// Strides that show the elements of `layout` with other sizes; `None` if that takes a copy.
pub(crate) fn view_strides(layout: &Layout, sizes: &[i64]) -> Option<Dims> {
    if layout.sizes.is_empty() {
        return Some(Dims::from_elem(1, sizes.len()));
    }
    if layout.numel() == 0 {
        return Some(if layout.sizes.as_slice() == sizes {
            layout.strides.clone()
        } else {
            crate::layout::contiguous_strides(sizes)
        });
    }
    let (old, steps) = (&layout.sizes, &layout.strides);
    let mut strides = Dims::from_elem(0, sizes.len());
    let mut next = sizes.len();
    let (mut base, mut chunk, mut covered) = (steps[old.len() - 1], 1, 1);
    for d in (0..old.len()).rev() {
        chunk *= old[d];
        if d > 0 && (old[d - 1] == 1 || steps[d - 1] == chunk * base) {
            continue;
        }
        // Dimensions `d..` end a run of elements at equal distance: the new dimensions must fill it exactly.
        while next > 0 && (covered < chunk || sizes[next - 1] == 1) {
            next -= 1;
            strides[next] = covered * base;
            covered *= sizes[next];
        }
        if covered != chunk {
            return None;
        }
        if d > 0 {
            (base, chunk, covered) = (steps[d - 1], 1, 1);
        }
    }
    (next == 0).then_some(strides)
}

/// The layout of `layout` broadcast to `sizes`, where `-1` keeps a size; `typename` is for the error text.
pub(crate) fn expand(layout: &Layout, sizes: &[i64], typename: &str) -> Result<Layout> {
    let (n, old) = (sizes.len(), layout.sizes.len());
    if n < old {
        bail!(
            "expand({typename}{{{}}}, size={}): the number of sizes provided ({n}) must be greater or equal to the number of dimensions in the tensor ({old})",
            shape(&layout.sizes),
            shape(sizes)
        );
    }
    let mut out = Layout::new(sizes, &vec![0; n], layout.offset);
    for i in (0..n).rev() {
        let from = (i + old).checked_sub(n);
        let size = from.map_or(1, |d| layout.sizes[d]);
        let inner = if i + 1 < n { out.sizes[i + 1] * out.strides[i + 1] } else { 1 };
        out.strides[i] = from.map_or(inner, |d| layout.strides[d]);
        if sizes[i] == -1 {
            ensure!(
                from.is_some(),
                "The expanded size of the tensor (-1) isn't allowed in a leading, non-existing dimension {i}"
            );
            out.sizes[i] = size;
        } else if sizes[i] != size {
            if size != 1 || sizes[i] < 0 {
                bail!(
                    "The expanded size of the tensor ({}) must match the existing size ({size}) at non-singleton dimension {i}.  Target sizes: {}.  Tensor sizes: {}",
                    sizes[i],
                    shape(sizes),
                    shape(&layout.sizes)
                );
            }
            out.strides[i] = 0;
        }
    }
    Ok(out)
}

/// Dimensions in the order of `dims`.
pub(crate) fn permute(layout: &Layout, dims: &[i64]) -> Result<Layout> {
    let n = layout.dim();
    if dims.len() != n {
        bail!(
            "permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired ordering of dimensions i.e. input.dim() = {n} is not equal to len(dims) = {}",
            dims.len()
        );
    }
    let mut out = Layout { sizes: Dims::new(), strides: Dims::new(), offset: layout.offset };
    let mut seen = vec![false; n];
    for &d in dims {
        let d = wrap_dim(d, n)?;
        ensure!(!std::mem::replace(&mut seen[d], true), "permute(): duplicate dims are not allowed.");
        out.sizes.push(layout.sizes[d]);
        out.strides.push(layout.strides[d]);
    }
    Ok(out)
}

/// Two dimensions swapped.
pub(crate) fn transpose(layout: &Layout, dim0: i64, dim1: i64) -> Result<Layout> {
    let n = layout.dim();
    let (a, b) = (wrap_dim(dim0, n)?, wrap_dim(dim1, n)?);
    let mut out = layout.clone();
    if n > 0 {
        out.sizes.swap(a, b);
        out.strides.swap(a, b);
    }
    Ok(out)
}

/// Without those of the dimensions that have size 1 for which `drop` says so.
pub(crate) fn squeeze(layout: &Layout, drop: impl Fn(usize) -> bool) -> Layout {
    let keep = |d: &usize| layout.sizes[*d] != 1 || !drop(*d);
    let pick = |x: &Dims| (0..layout.dim()).filter(keep).map(|d| x[d]).collect();
    Layout { sizes: pick(&layout.sizes), strides: pick(&layout.strides), offset: layout.offset }
}

/// With a dimension of size 1 before `dim`.
pub(crate) fn unsqueeze(layout: &Layout, dim: i64) -> Result<Layout> {
    let n = layout.dim();
    let d = wrap_dim(dim, n + 1)?;
    let mut out = layout.clone();
    out.sizes.insert(d, 1);
    out.strides.insert(d, if d < n { layout.sizes[d] * layout.strides[d] } else { 1 });
    Ok(out)
}

/// One position of one dimension.
pub(crate) fn select(layout: &Layout, dim: i64, index: i64) -> Result<Layout> {
    ensure!(layout.dim() > 0, Index, "select() cannot be applied to a 0-dim tensor.");
    let d = wrap_dim(dim, layout.dim())?;
    let size = layout.sizes[d];
    if index < -size || index >= size {
        bail!(
            Index,
            "select(): index {index} out of range for tensor of size {} at dimension {dim}",
            shape(&layout.sizes)
        );
    }
    let mut out = layout.clone();
    out.offset += (layout.strides[d] * index.rem_euclid(size)) as usize;
    out.sizes.remove(d);
    out.strides.remove(d);
    Ok(out)
}

/// Start and end of a Python slice within a dimension of `size`.
pub(crate) fn slice_bounds(size: i64, start: Option<i64>, end: Option<i64>) -> (i64, i64) {
    let clamp = |x: i64| (if x < 0 { x.saturating_add(size) } else { x }).clamp(0, size);
    let start = clamp(start.unwrap_or(0));
    (start, clamp(end.unwrap_or(i64::MAX)).max(start))
}

/// Every `step`-th position of a range of one dimension.
pub(crate) fn slice(
    layout: &Layout,
    dim: i64,
    start: Option<i64>,
    end: Option<i64>,
    step: i64,
) -> Result<Layout> {
    ensure!(layout.dim() > 0, Index, "slice() cannot be applied to a 0-dim tensor.");
    let d = wrap_dim(dim, layout.dim())?;
    ensure!(step > 0, "slice step must be positive");
    let (start, end) = slice_bounds(layout.sizes[d], start, end);
    let mut out = layout.clone();
    out.offset += (start * layout.strides[d]) as usize;
    out.sizes[d] = (end - start).unsigned_abs().div_ceil(step as u64) as i64;
    out.strides[d] = layout.strides[d].saturating_mul(step);
    Ok(out)
}

/// The diagonal of two dimensions, as the last dimension.
pub(crate) fn diagonal(layout: &Layout, offset: i64, dim1: i64, dim2: i64) -> Result<Layout> {
    let n = layout.dim();
    let (a, b) = (wrap_dim(dim1, n)?, wrap_dim(dim2, n)?);
    ensure!(a != b, "diagonal dimensions cannot be identical {dim1}, {dim2}");
    let (rows, columns) = (layout.sizes[a], layout.sizes[b]);
    let size = if offset >= 0 {
        rows.min(columns.saturating_sub(offset))
    } else {
        rows.saturating_add(offset).min(columns)
    }
    .max(0);
    let mut out = layout.clone();
    if size > 0 {
        let skip = if offset >= 0 { offset * layout.strides[b] } else { -offset * layout.strides[a] };
        out.offset += skip as usize;
    }
    for d in [a.max(b), a.min(b)] {
        out.sizes.remove(d);
        out.strides.remove(d);
    }
    out.sizes.push(size);
    out.strides.push(layout.strides[a] + layout.strides[b]);
    Ok(out)
}

/// Windows of `size` every `step` positions of one dimension, as a new last dimension.
pub(crate) fn unfold(layout: &Layout, dim: i64, size: i64, step: i64) -> Result<Layout> {
    let d = wrap_dim(dim, layout.dim())?;
    let (length, stride) = if layout.dim() == 0 { (1, 1) } else { (layout.sizes[d], layout.strides[d]) };
    ensure!(size >= 0, "size is {size} but must be >= 0");
    ensure!(size <= length, "maximum size for tensor at dimension {d} is {length} but size is {size}");
    ensure!(step > 0, "step is {step} but must be > 0");
    let mut out = layout.clone();
    if layout.dim() > 0 {
        out.sizes[d] = (length - size) / step + 1;
        out.strides[d] = step * stride;
    }
    out.sizes.push(size);
    out.strides.push(stride);
    Ok(out)
}
