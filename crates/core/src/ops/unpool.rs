//! The opposite of maximum pooling.

use cresset_kernels::dtype::{bf16, f16};
use cresset_kernels::pool::unpool;
use cresset_macros::op;

use crate::copy::{copy_into, empty_of_format};
use crate::dense::{dense, slice, slice_mut};
use crate::layout::Dims;
use crate::op::OpDef;
use crate::storage::access;
use crate::{DType, MemoryFormat, Result, Tensor, bail, ensure, op_list, pooling};

pub(crate) static OPS: &[&OpDef] = op_list![max_unpool2d, max_unpool3d];

/// Checks what both operators ask of their arguments; gives the sizes of the result.
fn check(rank: usize, this: &Tensor, indices: &Tensor, output: &[i64]) -> Result<Dims> {
    let (shape, op) = (this.sizes(), format!("max_unpooling{rank}d"));
    ensure!(
        indices.dtype() == DType::I64,
        "elements in indices should be type int64 but got: {}",
        indices.dtype().scalar_type()
    );
    ensure!(
        shape.len() == rank + 1 || shape.len() == rank + 2,
        "Input to {op} should be a {}d or {}d Tensor, but got a tensor with {} dimensions.",
        rank + 1,
        rank + 2,
        shape.len()
    );
    ensure!(
        shape == indices.sizes(),
        "Expected shape of indices to be same as that of the input tensor ({:?}) but got indices tensor with shape: {:?}",
        shape.as_slice(),
        indices.sizes().as_slice()
    );
    let first = if rank == 2 { 1 } else { shape.len() - 4 };
    if let Some(d) = (first..shape.len()).find(|d| shape[*d] == 0) {
        bail!(
            "{op}_forward_out_cpu(): Expected input to have non-zero size for non-batch dimensions, but input has sizes {:?} with dimension {d} being empty",
            shape.as_slice()
        );
    }
    ensure!(
        output.iter().all(|n| *n >= 0),
        "{op}(): output_size must contain non-negative spatial dimensions, but got output_size={output:?}"
    );
    Ok(Dims::from_slice(&[&shape[..shape.len() - rank], output].concat()))
}

/// Zeros of those sizes but for the elements of `this`, each at its index in the plane.
fn spread(rank: usize, this: &Tensor, indices: &Tensor, sizes: &[i64]) -> Result<Tensor> {
    let (x, at) = (dense(this, this.dtype())?, dense(indices, DType::I64)?);
    let y = Tensor::empty_of(sizes, this.dtype(), this.device())?;
    let count = |sizes: &[i64]| sizes[sizes.len() - rank..].iter().product::<i64>() as usize;
    let (plane, results) = (count(&this.sizes()), count(sizes));
    let (o, x, i) = (y.raw(), x.raw(), at.raw());
    let outside = access([&o], [&x, &i], |[o], [x, i]| {
        // SAFETY: all are locked, row-major and of the type that they are read as; the output is fresh.
        unsafe {
            let at = slice(&i);
            match o.dtype {
                DType::F16 => unpool::<f16>(plane, results, slice(&x), at, slice_mut(&o)),
                DType::BF16 => unpool::<bf16>(plane, results, slice(&x), at, slice_mut(&o)),
                DType::F64 => unpool::<f64>(plane, results, slice(&x), at, slice_mut(&o)),
                _ => unpool::<f32>(plane, results, slice(&x), at, slice_mut(&o)),
            }
        }
    });
    if let Some(index) = outside {
        let volume: Vec<String> = sizes[sizes.len() - rank..].iter().map(i64::to_string).collect();
        bail!("Found an invalid max index: {index} (output volumes are of size {})", volume.join("x"));
    }
    Ok(y)
}

fn check_dtype(rank: usize, this: &Tensor) -> Result<()> {
    if !this.is_floating_point() {
        let name = this.dtype().scalar_type();
        bail!(NotImplemented, "\"max_unpool{rank}d\" not implemented for '{name}'");
    }
    Ok(())
}

/// Planes of size `output_size` that are zero but for the elements of `self`, each at its index in the plane.
#[op(
    "max_unpool2d(Tensor self, Tensor indices, SymInt[2] output_size) -> Tensor",
    autocast = "fp32",
    nondiff(indices),
    out = "out",
    no_method,
    onnx = "MaxUnpool"
)]
mod max_unpool2d {
    fn kernel(this: &Tensor, indices: &Tensor, output_size: &[i64]) -> Result<Tensor> {
        ensure!(
            output_size.len() == 2,
            "There should be exactly two elements (height, width) in output_size, but got {} elements.",
            output_size.len()
        );
        let sizes = check(2, this, indices, output_size)?;
        check_dtype(2, this)?;
        let y = spread(2, this, indices, &sizes)?;
        let format = this.layout().suggested_format();
        if format == MemoryFormat::Contiguous {
            return Ok(y);
        }
        let out = empty_of_format(&sizes, y.dtype(), y.device(), format)?;
        copy_into(&out, &y)?;
        Ok(out)
    }
    fn grad_this(g: &Tensor, indices: &Tensor) -> Result<Tensor> {
        pooling::pick(g, indices, 2)
    }
}

/// Volumes of size `output_size` that are zero but for the elements of `self`, each at its index in the volume.
#[op(
    "max_unpool3d(Tensor self, Tensor indices, SymInt[3] output_size, int[3] stride, int[3] padding) -> Tensor",
    autocast = "fp32",
    nondiff(indices),
    out = "out",
    no_method
)]
mod max_unpool3d {
    fn kernel(
        this: &Tensor,
        indices: &Tensor,
        output_size: &[i64],
        stride: &[i64],
        padding: &[i64],
    ) -> Result<Tensor> {
        let what = "There should be exactly three elements (depth, height, width) in";
        ensure!(output_size.len() == 3, "{what} output_size, but got {} elements.", output_size.len());
        ensure!(stride.len() == 3, "{what} stride, but got: {} elements.", stride.len());
        ensure!(padding.len() == 3, "{what} padding, but got: {} elements.", padding.len());
        ensure!(
            stride.iter().all(|s| *s > 0),
            "strides should be greater than zero, but got stride: {stride:?}"
        );
        let sizes = check(3, this, indices, output_size)?;
        check_dtype(3, this)?;
        spread(3, this, indices, &sizes)
    }
    fn grad_this(g: &Tensor, indices: &Tensor) -> Result<Tensor> {
        pooling::pick(g, indices, 3)
    }
}
