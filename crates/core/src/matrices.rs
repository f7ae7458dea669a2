//! What linear algebra on batches of matrices shares: shapes, checks in PyTorch's words, calls of the kernels.

use cresset_kernels::linalg::Batch;

use crate::layout::{Dims, broadcast_shapes};
use crate::storage::{Raw, access_lists};
use crate::{DType, Error, ErrorKind, Result, Tensor, bail, copy};

/// The shape of a tensor of matrices, `[.., rows, cols]`.
pub(crate) struct Stack {
    /// The leading sizes.
    pub batch: Dims,
    pub rows: i64,
    pub cols: i64,
}

impl Stack {
    /// That of `t`, which has at least two dimensions.
    pub(crate) fn of(t: &Tensor) -> Stack {
        let sizes = t.sizes();
        let n = sizes.len();
        Stack { batch: Dims::from_slice(&sizes[..n - 2]), rows: sizes[n - 2], cols: sizes[n - 1] }
    }

    /// The length of the diagonals.
    pub(crate) fn steps(&self) -> i64 {
        self.rows.min(self.cols)
    }

    /// The leading sizes, followed by `last`.
    pub(crate) fn sizes(&self, last: &[i64]) -> Dims {
        let mut sizes = self.batch.clone();
        sizes.extend_from_slice(last);
        sizes
    }

    /// The kernels' description of matrices of that many rows and columns.
    pub(crate) fn kernel(&self, dtype: DType, rows: i64, cols: i64) -> Batch {
        let items = self.batch.iter().product::<i64>() as usize;
        Batch { dtype, items, rows: rows as usize, cols: cols as usize }
    }

    /// An uninitialised tensor with these leading sizes.
    pub(crate) fn empty(&self, last: &[i64], dtype: DType, like: &Tensor) -> Result<Tensor> {
        Tensor::empty_of(&self.sizes(last), dtype, like.device())
    }

    /// Zeros with these leading sizes.
    pub(crate) fn zeros(&self, last: &[i64], dtype: DType, like: &Tensor) -> Result<Tensor> {
        copy::zeros(&self.sizes(last), dtype, like.device())
    }
}

/// Locks row-major tensors, first those that are written, and calls `f` with them.
pub(crate) fn with_matrices<R: Default>(
    outs: &[&Tensor],
    ins: &[&Tensor],
    f: impl FnOnce(&[Raw<'_>], &[Raw<'_>]) -> R,
) -> R {
    let (outs, ins): (Vec<_>, Vec<_>) =
        (outs.iter().map(|t| t.raw()).collect(), ins.iter().map(|t| t.raw()).collect());
    access_lists(&outs.iter().collect::<Vec<_>>(), &ins.iter().collect::<Vec<_>>(), f)
}

/// A row-major copy that nobody else knows of.
pub(crate) fn own(t: &Tensor) -> Result<Tensor> {
    let out = Tensor::empty_of(&t.sizes(), t.dtype(), t.device())?;
    copy::copy_into(&out, t)?;
    Ok(out)
}

/// A row-major copy of the matrices with rows and columns exchanged.
pub(crate) fn own_transposed(t: &Tensor) -> Result<Tensor> {
    own(&exchanged(t)?)
}

/// A copy whose matrices lie column after column, as LAPACK leaves them and PyTorch returns them (not recorded).
pub(crate) fn by_columns(t: &Tensor) -> Result<Tensor> {
    exchanged(&own_transposed(t)?)
}

/// The matrices with rows and columns exchanged, as an alias that is not recorded.
pub(crate) fn exchanged(t: &Tensor) -> Result<Tensor> {
    let mut layout = t.layout();
    let n = layout.dim();
    layout.sizes.swap(n - 2, n - 1);
    layout.strides.swap(n - 2, n - 1);
    Ok(Tensor::from_view(crate::storage::View { layout, ..t.raw() }, None, None))
}

/// The tensor with other leading sizes, row-major.
pub(crate) fn spread(t: &Tensor, batch: &[i64]) -> Result<Tensor> {
    let stack = Stack::of(t);
    let mut sizes = Dims::from_slice(batch);
    sizes.extend_from_slice(&[stack.rows, stack.cols]);
    let view = copy::expand_to(t, &sizes)?;
    copy::contiguous_copy(&Tensor::from_view(view, None, None))
}

/// The leading sizes that two tensors of matrices broadcast to.
pub(crate) fn common_batch(a: &Tensor, b: &Tensor) -> Result<Dims> {
    broadcast_shapes(&Stack::of(a).batch, &Stack::of(b).batch)
}

/// Refuses tensors of fewer than two dimensions.
pub(crate) fn check_matrix(name: &str, arg: &str, t: &Tensor) -> Result<()> {
    if t.dim() < 2 {
        bail!("{name}: The input tensor {arg} must have at least 2 dimensions.");
    }
    Ok(())
}

/// Refuses what is not a batch of square matrices.
pub(crate) fn check_square(name: &str, arg: &str, t: &Tensor) -> Result<()> {
    check_matrix(name, arg, t)?;
    let Stack { rows, cols, .. } = Stack::of(t);
    if rows != cols {
        bail!("{name}: {arg} must be batches of square matrices, but they are {rows} by {cols} matrices");
    }
    Ok(())
}

/// As [`check_square`], for operators that do not say their name.
pub(crate) fn check_unnamed_square(t: &Tensor) -> Result<()> {
    let Stack { rows, cols, .. } = Stack::of(t);
    if rows != cols {
        bail!("A must be batches of square matrices, but they are {rows} by {cols} matrices");
    }
    Ok(())
}

/// Refuses integers, and half precision unless `low`.
pub(crate) fn check_float(name: &str, t: &Tensor, low: bool) -> Result<()> {
    let dtype = t.dtype();
    if dtype.is_integral_or_bool() {
        let got = dtype.scalar_type();
        bail!(NotImplemented, "{name}: Expected a floating point or complex tensor as input. Got {got}");
    }
    if !low && matches!(dtype, DType::F16 | DType::BF16) {
        bail!(NotImplemented, "{name}: Low precision dtypes not supported. Got {}", dtype.scalar_type());
    }
    Ok(())
}

/// Refuses dtypes without kernels.
pub(crate) fn check_supported(kernel: &str, t: &Tensor) -> Result<()> {
    if !matches!(t.dtype(), DType::F32 | DType::F64 | DType::Complex64 | DType::Complex128) {
        bail!(NotImplemented, "\"{kernel}\" not implemented for '{}'", t.dtype().scalar_type());
    }
    Ok(())
}

/// What a non-zero `info` of a factorisation means.
#[derive(Clone, Copy)]
pub(crate) enum Failure {
    Inverse,
    Solve,
    Cholesky,
    Svd,
    Eigen,
    Lu,
}

impl Failure {
    fn text(self, info: i32) -> String {
        match self {
            Failure::Inverse => format!(
                "The diagonal element {info} is zero, the inversion could not be completed because the input matrix is singular."
            ),
            Failure::Solve => "The solver failed because the input matrix is singular.".into(),
            Failure::Cholesky => format!(
                "The factorization could not be completed because the input is not positive-definite (the leading minor of order {info} is not positive-definite)."
            ),
            Failure::Svd => format!(
                "The algorithm failed to converge because the input matrix is ill-conditioned or has too many repeated singular values (error code: {info})."
            ),
            Failure::Eigen => format!(
                "The algorithm failed to converge because the input matrix is ill-conditioned or has too many repeated eigenvalues (error code: {info})."
            ),
            Failure::Lu => format!(
                "U[{info},{info}] is zero and using it on lu_solve would result in a division by zero. If you still want to perform the factorization, consider calling linalg.lu(A, pivot) or linalg.lu_factor_ex(A, pivot)"
            ),
        }
    }
}

/// The error of the first matrix whose `info` is not zero.
pub(crate) fn check_info(name: &str, info: &Tensor, failure: Failure) -> Result<()> {
    if info.device() == crate::Device::Meta {
        return Ok(());
    }
    let list = info.to_vec::<i32>()?;
    let Some(i) = list.iter().position(|info| *info != 0) else { return Ok(()) };
    let place = if info.dim() == 0 { String::new() } else { format!("(Batch element {i}): ") };
    let text = format!("{name}: {place}{}", failure.text(list[i]));
    let kind = if matches!(failure, Failure::Lu) { ErrorKind::Runtime } else { ErrorKind::LinAlg };
    Err(Error::new(kind, text))
}
