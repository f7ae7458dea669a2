//! Indexing with several tensors of indices and with masks.

use super::index::{apart, target_in_order};
use super::raw::{self, Indexed, Visit};
use super::*;
use crate::autograd::Meta;
use crate::layout::{Dims, broadcast_shapes};
use crate::op::{OpDef, Out};
use crate::{DType, Result, Scalar, Tensor, bail, ensure, op_list};
use cresset_kernels::index::Combine;
use cresset_macros::op;

pub(crate) static OPS: &[&OpDef] = op_list![
    index_tensor,
    index_put,
    _unsafe_masked_index,
    _unsafe_masked_index_put_accumulate,
    masked_select,
    masked_scatter,
    masked_scatter_backward,
    nonzero,
    nonzero_numpy,
    nonzero_static,
    argwhere,
    where_indices,
];

/// The loop of an advanced indexing expression: dimensions before the indexed ones, those of the broadcast indices, and
/// the rest; if indexed dimensions are apart, those of the indices come first.
struct Plan {
    sizes: Dims,
    strides: Dims,
    indices: Vec<Tensor>,
    /// Dimension of the tensor that each of `indices` is for.
    dims: Vec<usize>,
    /// Where the dimensions of the indices are in the loop.
    start: usize,
    shape: Dims,
}

impl Plan {
    fn new(this: &Tensor, indices: &[Option<Tensor>]) -> Result<Plan> {
        let (indices, dims) = expand_masks(this, indices)?;
        let mut shape = Dims::new();
        for index in &indices {
            shape = match broadcast_shapes(&shape, &index.sizes()) {
                Ok(shape) => shape,
                Err(_) => bail!(
                    Index,
                    "shape mismatch: indexing tensors could not be broadcast together with shapes {}",
                    shapes(&indices)
                ),
            };
        }
        let together = dims.windows(2).all(|w| w[1] == w[0] + 1);
        let start = if together { dims.first().copied().unwrap_or(0) } else { 0 };
        let (mut sizes, mut strides) = (Dims::new(), Dims::new());
        let (all, steps) = (this.sizes(), this.strides());
        let kept: Vec<usize> = (0..all.len()).filter(|d| !dims.contains(d)).collect();
        for &d in &kept {
            sizes.push(all[d]);
            strides.push(steps[d]);
        }
        for (i, &n) in shape.iter().enumerate() {
            sizes.insert(start + i, n);
            strides.insert(start + i, 0);
        }
        if dims.iter().any(|&d| all[d] == 0) && !sizes.contains(&0) {
            bail!(Index, "index is out of bounds for dimension with size 0");
        }
        Ok(Plan { sizes, strides, indices, dims, start, shape })
    }

    fn indexed(&self, this: &Tensor) -> Vec<Indexed<'_>> {
        let (sizes, steps) = (this.sizes(), this.strides());
        let of = |(indices, &d): (&'_ Tensor, &usize)| {
            let mut strides = Dims::from_elem(0, self.sizes.len());
            let (own, have) = (indices.strides(), indices.sizes());
            let first = self.start + self.shape.len() - have.len();
            (0..have.len()).filter(|&i| have[i] != 1).for_each(|i| strides[first + i] = own[i]);
            (strides, sizes[d], steps[d])
        };
        let specs = self.indices.iter().zip(&self.dims).map(of);
        specs
            .zip(&self.indices)
            .map(|((strides, size, stride), indices)| Indexed { indices, strides, size, stride, low: -size })
            .collect()
    }

    fn check(&self, this: &Tensor, bad: Option<(usize, i64)>) -> Result<()> {
        match bad {
            Some((n, i)) => {
                let d = self.dims[n];
                bail!(Index, "index {i} is out of bounds for dimension {d} with size {}", this.sizes()[d])
            }
            None => Ok(()),
        }
    }
}

fn shapes(tensors: &[Tensor]) -> String {
    tensors.iter().map(|t| format!("{:?}", t.sizes().as_slice())).collect::<Vec<_>>().join(", ")
}

/// The indices as `int64`, each with its dimension; a mask becomes the coordinates of its true elements.
fn expand_masks(this: &Tensor, indices: &[Option<Tensor>]) -> Result<(Vec<Tensor>, Vec<usize>)> {
    let (n, sizes) = (this.dim(), this.sizes());
    let (mut out, mut dims, mut d) = (Vec::new(), Vec::new(), 0);
    for index in indices {
        let Some(index) = index else {
            d += 1;
            continue;
        };
        match index.dtype() {
            DType::Bool | DType::U8 => {
                let shape = index.sizes();
                if d + shape.len() > n {
                    bail!(Index, "too many indices for tensor of dimension {n}");
                }
                if let Some(j) = (0..shape.len()).find(|&j| shape[j] != sizes[d + j]) {
                    bail!(
                        Index,
                        "The shape of the mask {:?} at index {j} does not match the shape of the indexed tensor {:?} at index {}",
                        shape.as_slice(),
                        sizes.as_slice(),
                        d + j
                    );
                }
                let rows = nonzero::kernel(index)?;
                for column in 0..shape.len() as i64 {
                    out.push(raw::window(&rows, view_layout::select(&rows.layout(), 1, column)?)?);
                    dims.push(d);
                    d += 1;
                }
            }
            DType::I64 | DType::I32 => {
                out.push(super::index::long(index)?);
                dims.push(d);
                d += 1;
            }
            _ => bail!(Index, "tensors used as indices must be long, int, byte or bool tensors"),
        }
    }
    ensure!(d <= n, Index, "too many indices for tensor of dimension {n}");
    Ok((out, dims))
}

/// Elements by the indices given for the leading dimensions; dimensions with `None` are kept whole.
#[op(
    "index.Tensor(Tensor self, Tensor?[] indices) -> Tensor",
    nondiff(indices),
    out = "Tensor_out",
    tags(core, dynamic_shape)
)]
mod index_tensor {
    fn kernel(this: &Tensor, indices: &[Option<Tensor>], out: Out) -> Result<Tensor> {
        let plan = Plan::new(this, indices)?;
        let result = raw::output(out, &plan.sizes, this)?;
        let source = apart(this, &result)?;
        let bad = raw::visit(
            Visit::Get,
            &plan.sizes,
            (&result, &result.strides()),
            (&source, &plan.strides),
            &plan.indexed(&source),
        );
        plan.check(this, bad).map(|()| result)
    }
    fn grad_this(g: &Tensor, this: &Meta, indices: &[Option<Tensor>]) -> Result<Tensor> {
        index_put::call(&this.zeros()?, indices, g, true)
    }
}

/// Overwrites, or adds to, the elements that [`index_tensor`] would return with `values`, which broadcast.
#[op(
    "index_put(Tensor self, Tensor?[] indices, Tensor values, bool accumulate=False) -> Tensor",
    inplace,
    out = "out",
    nondiff(indices),
    tags(core)
)]
mod index_put {
    fn kernel(
        this: &Tensor,
        indices: &[Option<Tensor>],
        values: &Tensor,
        accumulate: bool,
        out: Out,
    ) -> Result<Tensor> {
        ensure!(
            this.dtype() == values.dtype(),
            "Index put requires the source and destination dtypes match, got {} for the destination and {} for the source.",
            this.dtype().scalar_type(),
            values.dtype().scalar_type()
        );
        let plan = Plan::new(this, indices)?;
        let result = target_in_order(this, out)?;
        let values = apart(values, &result)?.to_dtype(result.dtype())?;
        let spread = spread(&values, &plan.sizes)?;
        let how = if accumulate { Visit::Combine(Combine::Sum) } else { Visit::Put };
        let plan = if result.strides() == this.strides() { plan } else { Plan::new(&result, indices)? };
        let bad = raw::visit(
            how,
            &plan.sizes,
            (&result, &plan.strides),
            (&values, &spread),
            &plan.indexed(&result),
        );
        plan.check(this, bad).map(|()| result)
    }
    fn grad_this(g: &Tensor, indices: &[Option<Tensor>], values: &Meta, accumulate: bool) -> Result<Tensor> {
        if accumulate { Ok(g.clone()) } else { index_put::call(g, indices, &values.zeros()?, false) }
    }
    fn grad_values(g: &Tensor, indices: &[Option<Tensor>]) -> Result<Tensor> {
        index_tensor::call(g, indices)
    }
}

/// Strides that broadcast `values` to the loop; leading dimensions of size 1 may be too many.
fn spread(values: &Tensor, sizes: &[i64]) -> Result<Dims> {
    let layout = values.layout();
    let extra = layout.dim().saturating_sub(sizes.len());
    let have = &layout.sizes[extra..];
    let first = sizes.len() - have.len();
    let fits = layout.sizes[..extra].iter().all(|n| *n == 1)
        && have.iter().zip(&sizes[first..]).all(|(a, b)| a == b || *a == 1);
    if !fits {
        bail!(
            "shape mismatch: value tensor of shape {:?} cannot be broadcast to indexing result of shape {sizes:?}",
            layout.sizes.as_slice()
        );
    }
    let mut strides = Dims::from_elem(0, sizes.len());
    (0..have.len()).filter(|&i| have[i] != 1).for_each(|i| strides[first + i] = layout.strides[extra + i]);
    Ok(strides)
}

/// The indices clamped into range.
fn clamped(this: &Tensor, indices: &[Option<Tensor>]) -> Result<Vec<Option<Tensor>>> {
    let sizes = this.sizes();
    let clamp = |(d, index): (usize, &Option<Tensor>)| {
        let size = sizes.get(d).copied().unwrap_or(1);
        index
            .as_ref()
            .map(|i| clamp::call(i, Some(Scalar::Int(-size)), Some(Scalar::Int(size - 1))))
            .transpose()
    };
    indices.iter().enumerate().map(clamp).collect()
}

/// [`index_tensor`] with indices clamped into range and `fill` where the mask is false.
#[op("_unsafe_masked_index(Tensor self, Tensor mask, Tensor?[] indices, Scalar fill) -> Tensor", composite)]
mod _unsafe_masked_index {
    fn kernel(this: &Tensor, mask: &Tensor, indices: &[Option<Tensor>], fill: Scalar) -> Result<Tensor> {
        if this.numel() == 0 {
            return new_full::call(this, &mask.sizes(), fill, None, None);
        }
        index_tensor::call(this, &clamped(this, indices)?)?.masked_fill(&mask.logical_not()?, fill)
    }
}

/// [`index_put`] adding `values` where the mask is true, with indices clamped into range.
#[op(
    "_unsafe_masked_index_put_accumulate(Tensor self, Tensor mask, Tensor?[] indices, Tensor values) -> Tensor",
    composite
)]
mod _unsafe_masked_index_put_accumulate {
    fn kernel(this: &Tensor, mask: &Tensor, indices: &[Option<Tensor>], values: &Tensor) -> Result<Tensor> {
        if this.numel() == 0 {
            return this.clone_tensor();
        }
        index_put::call(this, &clamped(this, indices)?, &values.masked_fill(&mask.logical_not()?, 0)?, true)
    }
}

/// `this` and a mask broadcast to one shape.
fn with_mask(this: &Tensor, mask: &Tensor) -> Result<(Tensor, Vec<bool>)> {
    let sizes = broadcast_shapes(&this.sizes(), &mask.sizes())?;
    let wide = |t: &Tensor| raw::window(t, crate::copy::expanded(&t.layout(), &sizes)?);
    Ok((wide(this)?, raw::mask_bits(&wide(mask)?)?))
}

/// The elements where the mask, which broadcasts, is true.
#[op("masked_select(Tensor self, Tensor mask) -> Tensor", out = "out", nondiff(mask), tags(dynamic_shape))]
mod masked_select {
    fn kernel(this: &Tensor, mask: &Tensor, out: Out) -> Result<Tensor> {
        ensure!(mask.dtype() == DType::Bool, "masked_select: expected BoolTensor for mask");
        let (this, mask) = with_mask(this, mask)?;
        let picked = raw::mask_select(&this, &mask)?;
        match out {
            Out::New => Ok(picked),
            other => {
                let result = raw::output(other, &picked.sizes(), &picked)?;
                raw::copy(&result, &picked)?;
                Ok(result)
            }
        }
    }
    fn grad_this(g: &Tensor, this: &Meta, mask: &Tensor) -> Result<Tensor> {
        let sizes = broadcast_shapes(this.sizes(), &mask.sizes())?;
        crate::copy::zeros(&sizes, g.dtype(), g.device())?.masked_scatter(mask, g)
    }
}

/// Overwrites the elements where the mask, which broadcasts, is true with those of `source`, in order.
#[op("masked_scatter(Tensor self, Tensor mask, Tensor source) -> Tensor", inplace, nondiff(mask))]
mod masked_scatter {
    fn kernel(this: &Tensor, mask: &Tensor, source: &Tensor) -> Result<Tensor> {
        ensure!(
            mask.dtype() == DType::Bool,
            "masked_scatter_ only supports boolean masks, but got mask with dtype {}",
            mask.dtype().scalar_type()
        );
        ensure!(
            this.dtype() == source.dtype(),
            "masked_scatter: expected self and source to have same dtypes but got{} and {}",
            this.dtype().scalar_type(),
            source.dtype().scalar_type()
        );
        let (wide, mask) = with_mask(this, mask)?;
        let result = raw::dense_copy(&wide)?;
        raw::mask_scatter(&result, source, &mask)?;
        Ok(result)
    }
    fn grad_this(g: &Tensor, mask: &Tensor) -> Result<Tensor> {
        g.masked_scatter(mask, &crate::copy::zeros(&g.sizes(), g.dtype(), g.device())?)
    }
    fn grad_source(g: &Tensor, mask: &Tensor, source: &Meta) -> Result<Tensor> {
        masked_scatter_backward::call(g, mask, source.sizes())
    }
}

/// Gradient of [`masked_scatter`]: the elements where the mask is true, then zeros, as a tensor of `sizes`.
#[op("masked_scatter_backward(Tensor grad_output, Tensor mask, SymInt[] sizes) -> Tensor", composite)]
mod masked_scatter_backward {
    fn kernel(grad_output: &Tensor, mask: &Tensor, sizes: &[i64]) -> Result<Tensor> {
        let picked = grad_output.masked_select(mask)?;
        let missing = crate::layout::checked_numel(sizes, 1)? as i64 - picked.numel() as i64;
        if missing <= 0 {
            return picked.reshape(sizes);
        }
        let rest = crate::copy::zeros(&[missing], picked.dtype(), picked.device())?;
        cat::call(&[picked, rest], 0)?.reshape(sizes)
    }
}

/// The coordinates of the elements that are not zero, as rows.
#[op(
    "nonzero(Tensor self) -> Tensor",
    out = "out",
    no_grad = "integers",
    tags(core, dynamic_shape),
    onnx = "NonZero"
)]
mod nonzero {
    pub(super) fn kernel(this: &Tensor) -> Result<Tensor> {
        let mask = if this.dtype() == DType::Bool { this.clone() } else { raw::cast(this, DType::Bool)? };
        raw::positions(&raw::mask_bits(&mask)?, &this.sizes())
    }
}

/// The coordinates of the elements that are not zero, one tensor for each dimension.
#[op("nonzero_numpy(Tensor self) -> Tensor[]", composite)]
mod nonzero_numpy {
    fn kernel(this: &Tensor) -> Result<Vec<Tensor>> {
        let this = if this.dim() == 0 { this.unsqueeze(0)? } else { this.clone() };
        unbind::call(&nonzero::call(&this)?, 1)
    }
}

/// The first `size` rows of [`nonzero`], missing ones filled with `fill_value`.
#[op("nonzero_static(Tensor self, *, SymInt size, int fill_value=-1) -> Tensor", no_grad = "integers")]
mod nonzero_static {
    fn kernel(this: &Tensor, size: i64, fill_value: i64) -> Result<Tensor> {
        ensure!(size >= 0, "nonzero_static: 'size' must be an non-negative integer");
        let rows = nonzero::kernel(this)?;
        let rank = this.dim() as i64;
        let result = crate::copy::full(&[size, rank], Scalar::Int(fill_value), DType::I64, this.device())?;
        let n = rows.sizes()[0].min(size);
        let head = |t: &Tensor| raw::window(t, view_layout::slice(&t.layout(), 0, None, Some(n), 1)?);
        raw::copy(&head(&result)?, &head(&rows)?)?;
        Ok(result)
    }
}

/// [`nonzero`] under NumPy's name.
#[op("argwhere(Tensor self) -> Tensor", composite)]
mod argwhere {
    fn kernel(this: &Tensor) -> Result<Tensor> {
        nonzero::call(this)
    }
}

/// [`nonzero_numpy`] under NumPy's name.
#[op("where(Tensor condition) -> Tensor[]", composite, no_method)]
mod where_indices {
    fn kernel(condition: &Tensor) -> Result<Vec<Tensor>> {
        nonzero_numpy::call(condition)
    }
}
