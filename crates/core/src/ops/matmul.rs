//! Products of matrices and vectors: the operators that have kernels of their own.

use cresset_macros::op;

use crate::op::{OpDef, Out};
use crate::product::{Product, column, transposed};
use crate::scalar::type_name;
use crate::storage::View;
use crate::{DType, Result, Scalar, Tensor, bail, copy, op_list};

pub(crate) static OPS: &[&OpDef] = op_list![mm, addmm, bmm, baddbmm, addbmm, mv, addmv, dot, vdot];

/// The matrix product `self mat2`.
#[op("mm(Tensor self, Tensor mat2) -> Tensor", out = "out", tags(core), autocast = "lower")]
mod mm {
    fn kernel(this: &Tensor, mat2: &Tensor, out: Out) -> Result<Tensor> {
        check_matrices("mm", this, mat2)?;
        check_same(this, mat2)?;
        check_supported("addmm_impl_cpu_", this.dtype())?;
        let result = place(out, &[this.size(0)?, mat2.size(1)?], this)?;
        Product::plain(&result.raw(), this.raw(), mat2.raw()).run()?;
        Ok(result)
    }
    fn sparse(this: &Tensor, mat2: &Tensor) -> Result<Tensor> {
        crate::sparse::math::mm(this, mat2)
    }
    fn grad_this(g: &Tensor, mat2: &Tensor) -> Result<Tensor> {
        g.mm(&adjoint(mat2)?)
    }
    fn grad_mat2(g: &Tensor, this: &Tensor) -> Result<Tensor> {
        adjoint(this)?.mm(g)
    }
}

/// `beta * self + alpha * mat1 mat2`; `self` broadcasts to the shape of the product.
#[op(
    "addmm(Tensor self, Tensor mat1, Tensor mat2, *, Scalar beta=1, Scalar alpha=1) -> Tensor",
    inplace,
    out = "out",
    tags(core),
    autocast = "lower"
)]
mod addmm {
    fn kernel(
        this: &Tensor,
        mat1: &Tensor,
        mat2: &Tensor,
        beta: Scalar,
        alpha: Scalar,
        out: Out,
    ) -> Result<Tensor> {
        check_matrices("addmm", mat1, mat2)?;
        let sizes = [mat1.size(0)?, mat2.size(1)?];
        check_added("self and mat2 must have the same dtype, but got", this, mat2)?;
        check_added("mat1 and mat2 must have the same dtype, but got", mat1, mat2)?;
        check_supported("addmm_impl_cpu_", this.dtype())?;
        add_product(this, mat1.raw(), mat2.raw(), &sizes, (beta, alpha), out)
    }
    fn sparse(this: &Tensor, mat1: &Tensor, mat2: &Tensor, beta: Scalar, alpha: Scalar) -> Result<Tensor> {
        crate::sparse::math::addmm(this, mat1, mat2, beta, alpha)
    }
    fn grad_this(g: &Tensor, beta: Scalar) -> Result<Tensor> {
        scaled(g, conj_number(beta))
    }
    fn grad_mat1(g: &Tensor, mat2: &Tensor, alpha: Scalar) -> Result<Tensor> {
        scaled(&g.mm(&adjoint(mat2)?)?, conj_number(alpha))
    }
    fn grad_mat2(g: &Tensor, mat1: &Tensor, alpha: Scalar) -> Result<Tensor> {
        scaled(&adjoint(mat1)?.mm(g)?, conj_number(alpha))
    }
}

/// The products of a batch of matrices, `[b, n, m]` and `[b, m, p]`.
#[op("bmm(Tensor self, Tensor mat2) -> Tensor", out = "out", tags(core), autocast = "lower")]
mod bmm {
    fn kernel(this: &Tensor, mat2: &Tensor, out: Out) -> Result<Tensor> {
        let sizes = check_batches(this, mat2)?;
        if this.dtype() != mat2.dtype() {
            let (a, b) = (this.dtype().scalar_type(), mat2.dtype().scalar_type());
            bail!("expected scalar type {a} but found {b}");
        }
        check_supported("bmm", this.dtype())?;
        let result = place(out, &sizes, this)?;
        Product::plain(&result.raw(), this.raw(), mat2.raw()).run()?;
        Ok(result)
    }
    fn grad_this(g: &Tensor, mat2: &Tensor) -> Result<Tensor> {
        g.bmm(&adjoint(mat2)?)
    }
    fn grad_mat2(g: &Tensor, this: &Tensor) -> Result<Tensor> {
        adjoint(this)?.bmm(g)
    }
}

/// `beta * self + alpha * batch1 batch2` for batches of matrices; `self` broadcasts.
#[op(
    "baddbmm(Tensor self, Tensor batch1, Tensor batch2, *, Scalar beta=1, Scalar alpha=1) -> Tensor",
    inplace,
    out = "out",
    autocast = "lower"
)]
mod baddbmm {
    fn kernel(
        this: &Tensor,
        batch1: &Tensor,
        batch2: &Tensor,
        beta: Scalar,
        alpha: Scalar,
        out: Out,
    ) -> Result<Tensor> {
        let sizes = check_batches(batch1, batch2)?;
        if this.dtype() != batch1.dtype() || this.dtype() != batch2.dtype() {
            bail!(
                "Input dtypes must be the same, got: input {}, batch1: {}, batch2: {}",
                type_name(this.dtype()),
                type_name(batch1.dtype()),
                type_name(batch2.dtype())
            );
        }
        check_supported("baddbmm", this.dtype())?;
        add_product(this, batch1.raw(), batch2.raw(), &sizes, (beta, alpha), out)
    }
    fn grad_this(g: &Tensor, beta: Scalar) -> Result<Tensor> {
        scaled(g, conj_number(beta))
    }
    fn grad_batch1(g: &Tensor, batch2: &Tensor, alpha: Scalar) -> Result<Tensor> {
        scaled(&g.bmm(&adjoint(batch2)?)?, conj_number(alpha))
    }
    fn grad_batch2(g: &Tensor, batch1: &Tensor, alpha: Scalar) -> Result<Tensor> {
        scaled(&adjoint(batch1)?.bmm(g)?, conj_number(alpha))
    }
}

/// `beta * self + alpha * sum of batch1[i] batch2[i]`; `self` broadcasts.
#[op(
    "addbmm(Tensor self, Tensor batch1, Tensor batch2, *, Scalar beta=1, Scalar alpha=1) -> Tensor",
    inplace,
    out = "out",
    autocast = "lower"
)]
mod addbmm {
    fn kernel(
        this: &Tensor,
        batch1: &Tensor,
        batch2: &Tensor,
        beta: Scalar,
        alpha: Scalar,
        out: Out,
    ) -> Result<Tensor> {
        let [b, n, m, p] = check_summed(this, batch1, batch2)?;
        check_supported("addbmm", this.dtype())?;
        // The sum over the batch is one longer sum: [n, b * m] times [b * m, p].
        let left = batch1.permute([1, 0, 2])?.reshape([n, b * m])?;
        let right = batch2.reshape([b * m, p])?;
        add_product(this, left.raw(), right.raw(), &[n, p], (beta, alpha), out)
    }
    fn grad_this(g: &Tensor, beta: Scalar) -> Result<Tensor> {
        scaled(g, conj_number(beta))
    }
    fn grad_batch1(g: &Tensor, batch2: &Tensor, alpha: Scalar) -> Result<Tensor> {
        let sizes = [batch2.size(0)?, g.size(0)?, g.size(1)?];
        scaled(&g.unsqueeze(0)?.expand(sizes)?.bmm(&adjoint(batch2)?)?, conj_number(alpha))
    }
    fn grad_batch2(g: &Tensor, batch1: &Tensor, alpha: Scalar) -> Result<Tensor> {
        let sizes = [batch1.size(0)?, g.size(0)?, g.size(1)?];
        scaled(&adjoint(batch1)?.bmm(&g.unsqueeze(0)?.expand(sizes)?)?, conj_number(alpha))
    }
}

/// The product of a matrix and a vector.
#[op("mv(Tensor self, Tensor vec) -> Tensor", out = "out")]
mod mv {
    fn kernel(this: &Tensor, vec: &Tensor, out: Out) -> Result<Tensor> {
        check_vector((1, vec.dtype()), this, vec)?;
        let n = this.size(0)?;
        let result = place(out, &[n], this)?;
        Product::plain(&column(result.raw()), this.raw(), column(vec.raw())).run()?;
        Ok(result)
    }
    fn sparse(this: &Tensor, vec: &Tensor) -> Result<Tensor> {
        crate::sparse::math::mm(this, &vec.unsqueeze(1)?)?.squeeze_dim(1)
    }
    fn grad_this(g: &Tensor, vec: &Tensor) -> Result<Tensor> {
        g.outer(&conj(vec)?)
    }
    fn grad_vec(g: &Tensor, this: &Tensor) -> Result<Tensor> {
        adjoint(this)?.mv(g)
    }
}

/// `beta * self + alpha * mat vec`; `self` broadcasts.
#[op(
    "addmv(Tensor self, Tensor mat, Tensor vec, *, Scalar beta=1, Scalar alpha=1) -> Tensor",
    inplace,
    out = "out"
)]
mod addmv {
    fn kernel(
        this: &Tensor,
        mat: &Tensor,
        vec: &Tensor,
        beta: Scalar,
        alpha: Scalar,
        out: Out,
    ) -> Result<Tensor> {
        check_vector((this.dim(), this.dtype()), mat, vec)?;
        let n = mat.size(0)?;
        if this.numel() != 1 && this.sizes().as_slice() != [n] {
            let (own, [m, k], v) = (this.numel(), [n, mat.size(1)?], vec.numel());
            bail!("size mismatch, got input ({own}), mat ({m}x{k}), vec ({v})");
        }
        let result = place(out, &[n], mat)?;
        start_with(&result, this, beta)?;
        let (target, a, b) = (column(result.raw()), mat.raw(), column(vec.raw()));
        Product { beta, alpha, ..Product::plain(&target, a, b) }.run()?;
        Ok(result)
    }
    fn grad_this(g: &Tensor, beta: Scalar) -> Result<Tensor> {
        scaled(g, conj_number(beta))
    }
    fn grad_mat(g: &Tensor, vec: &Tensor, alpha: Scalar) -> Result<Tensor> {
        scaled(&g.outer(&conj(vec)?)?, conj_number(alpha))
    }
    fn grad_vec(g: &Tensor, mat: &Tensor, alpha: Scalar) -> Result<Tensor> {
        scaled(&adjoint(mat)?.mv(g)?, conj_number(alpha))
    }
}

/// The dot product of two vectors, without conjugation.
#[op("dot(Tensor self, Tensor tensor) -> Tensor", out = "out")]
mod dot {
    fn kernel(this: &Tensor, tensor: &Tensor, out: Out) -> Result<Tensor> {
        dot_product(this, tensor, false, out)
    }
    fn grad_this(g: &Tensor, tensor: &Tensor) -> Result<Tensor> {
        conj(tensor)?.mul(g)
    }
    fn grad_tensor(g: &Tensor, this: &Tensor) -> Result<Tensor> {
        conj(this)?.mul(g)
    }
}

/// The dot product of two vectors, the first one conjugated.
#[op("vdot(Tensor self, Tensor other) -> Tensor", out = "out")]
mod vdot {
    fn kernel(this: &Tensor, other: &Tensor, out: Out) -> Result<Tensor> {
        dot_product(this, other, true, out)
    }
    fn grad_this(g: &Tensor, other: &Tensor) -> Result<Tensor> {
        conj(g)?.mul(other)
    }
    fn grad_other(g: &Tensor, this: &Tensor) -> Result<Tensor> {
        this.mul(g)
    }
}

fn dot_product(this: &Tensor, other: &Tensor, conj_a: bool, out: Out) -> Result<Tensor> {
    if this.dim() != 1 || other.dim() != 1 {
        bail!("1D tensors expected, but got {}D and {}D tensors", this.dim(), other.dim());
    }
    if this.dtype() != other.dtype() {
        let (a, b) = (this.dtype().scalar_type(), other.dtype().scalar_type());
        bail!("dot : expected both vectors to have same dtype, but found {a} and {b}");
    }
    if this.numel() != other.numel() {
        let (a, b) = (this.numel(), other.numel());
        bail!(
            "inconsistent tensor size, expected tensor [{a}] and src [{b}] to have the same number of elements, but got {a} and {b} elements respectively"
        );
    }
    check_supported("dot", this.dtype())?;
    let result = place(out, &[], this)?;
    let mut target = result.raw();
    target.layout = crate::layout::Layout::new(&[1, 1], &[1, 1], target.layout.offset);
    let left = transposed(column(this.raw()));
    Product { conj_a, ..Product::plain(&target, left, column(other.raw())) }.run()?;
    Ok(result)
}

/// `beta * this + alpha * a b`, written where `out` says.
fn add_product(
    this: &Tensor,
    a: View,
    b: View,
    sizes: &[i64],
    (beta, alpha): (Scalar, Scalar),
    out: Out,
) -> Result<Tensor> {
    let dtype = this.dtype();
    beta.check_fits(dtype)?;
    alpha.check_fits(dtype)?;
    let own = copy::expand_to(this, sizes)?;
    let result = place(out, sizes, this)?;
    let target = result.raw();
    let columns = own.layout.strides.len() - 1;
    let one_row = own.layout.strides[..columns].iter().all(|s| *s == 0);
    if one_row && dtype.is_floating_point() && beta.to_f64() == 1.0 && !result.same(this) {
        let layout = crate::layout::Layout::new(
            &own.layout.sizes[columns..],
            &own.layout.strides[columns..],
            own.layout.offset,
        );
        let bias = Some(View { layout, ..own });
        Product { alpha, bias, ..Product::plain(&target, a, b) }.run()?;
        return Ok(result);
    }
    // What is copied to the result next must not change the operands.
    let (a, b) = (crate::product::apart(a, &target)?, crate::product::apart(b, &target)?);
    start_with(&result, this, beta)?;
    Product { alpha, beta, ..Product::plain(&target, a, b) }.run()?;
    Ok(result)
}

/// Copies the tensor that a product is added to into the result, if it is needed and is not there already.
fn start_with(result: &Tensor, this: &Tensor, beta: Scalar) -> Result<()> {
    if result.same(this) || !beta.to_bool() { Ok(()) } else { copy::copy_into(result, this) }
}

/// The tensor that a product is written to.
fn place(out: Out, sizes: &[i64], like: &Tensor) -> Result<Tensor> {
    match out {
        Out::New => Tensor::empty_of(sizes, like.dtype(), like.device()),
        Out::Inplace(t) => {
            if t.sizes().as_slice() != sizes {
                let own = t.sizes();
                bail!(
                    "Bad in-place call: input tensor size {:?} and output tensor size {sizes:?} should match",
                    own.as_slice()
                );
            }
            Ok(t.clone())
        }
        Out::Into(list) => {
            let t = &list[0];
            if t.dtype() != like.dtype() {
                let (want, got) = (type_name(like.dtype()), type_name(t.dtype()));
                bail!("Expected out tensor to have dtype {want}, but got {got} instead");
            }
            copy::resize_output(t, sizes)?;
            Ok(t.clone())
        }
    }
}

fn check_supported(name: &str, dtype: DType) -> Result<()> {
    if dtype == DType::Bool {
        bail!(NotImplemented, "\"{name}\" not implemented for 'Bool'");
    }
    Ok(())
}

fn check_matrices(op: &str, a: &Tensor, b: &Tensor) -> Result<()> {
    for (name, t) in [("self", a), ("mat2", b)] {
        if t.dim() != 2 {
            bail!("{op}: {name} must be a matrix, got {}-D tensor", t.dim());
        }
    }
    let (sa, sb) = (a.sizes(), b.sizes());
    if sa[1] != sb[0] {
        bail!(
            "{op}: mat1 and mat2 shapes cannot be multiplied ({}x{} and {}x{})",
            sa[0],
            sa[1],
            sb[0],
            sb[1]
        );
    }
    Ok(())
}

fn check_same(a: &Tensor, b: &Tensor) -> Result<()> {
    if a.dtype() != b.dtype() {
        bail!(
            "expected m1 and m2 to have the same dtype, but got: {} != {}",
            type_name(a.dtype()),
            type_name(b.dtype())
        );
    }
    Ok(())
}

fn check_added(text: &str, this: &Tensor, other: &Tensor) -> Result<()> {
    if this.dtype() != other.dtype() {
        bail!("{text} {} and {}", this.dtype().scalar_type(), other.dtype().scalar_type());
    }
    Ok(())
}

/// The sizes of the products of two batches.
fn check_batches(a: &Tensor, b: &Tensor) -> Result<[i64; 3]> {
    for (name, t) in [("batch1", a), ("batch2", b)] {
        if t.dim() != 3 {
            bail!("{name} must be a 3D tensor");
        }
    }
    let (sa, sb) = (a.sizes(), b.sizes());
    if sa[0] != sb[0] || sa[2] != sb[1] {
        bail!(
            "Expected size for first two dimensions of batch2 tensor to be: [{}, {}] but got: [{}, {}].",
            sa[0],
            sa[2],
            sb[0],
            sb[1]
        );
    }
    Ok([sa[0], sa[1], sb[2]])
}

/// The sizes `b, n, m, p` of a sum of products.
fn check_summed(this: &Tensor, a: &Tensor, b: &Tensor) -> Result<[i64; 4]> {
    for (name, t) in [("batch1", a), ("batch2", b)] {
        if t.dim() != 3 {
            bail!("{name} must be a 3D tensor");
        }
    }
    let (sa, sb) = (a.sizes(), b.sizes());
    if sa[0] != sb[0] {
        bail!("batch1 and batch2 must have same number of batches, got {} and {}", sa[0], sb[0]);
    }
    if sa[2] != sb[1] {
        bail!("Incompatible matrix sizes for bmm ({}x{} and {}x{})", sa[1], sa[2], sb[1], sb[2]);
    }
    if this.dtype() != a.dtype() || this.dtype() != b.dtype() {
        let odd = if a.dtype() == this.dtype() { b } else { a };
        bail!("expected scalar type {} but found {}", this.dtype().scalar_type(), odd.dtype().scalar_type());
    }
    Ok([sa[0], sa[1], sa[2], sb[2]])
}

/// `added` is the number of dimensions and the dtype of what the product is added to.
fn check_vector(added: (usize, DType), mat: &Tensor, vec: &Tensor) -> Result<()> {
    let dims = (mat.dim(), vec.dim(), added.0);
    if dims.0 != 2 || dims.1 != 1 || dims.2 > 1 {
        bail!("vector + matrix @ vector expected, got {}, {}, {}", dims.2, dims.0, dims.1);
    }
    let (m, k) = (mat.size(0)?, mat.size(1)?);
    if k != vec.size(0)? {
        bail!("size mismatch, got input ({m}), mat ({m}x{k}), vec ({})", vec.size(0)?);
    }
    if mat.dtype() != vec.dtype() || mat.dtype() != added.1 {
        let [a, b, c] = [added.1, mat.dtype(), vec.dtype()].map(DType::scalar_type);
        bail!("addmv input tensors must have the same dtype, but got {a}, {b}, and {c}");
    }
    check_supported("addmv_impl_cpu", mat.dtype())
}

/// The conjugate; a real tensor is its own.
pub(crate) fn conj(t: &Tensor) -> Result<Tensor> {
    if t.is_complex() { t.conj_physical() } else { Ok(t.clone()) }
}

/// The matrices transposed and conjugated.
pub(crate) fn adjoint(t: &Tensor) -> Result<Tensor> {
    conj(&t.transpose(-2, -1)?)
}

pub(crate) fn conj_number(s: Scalar) -> Scalar {
    match s {
        Scalar::Complex(z) => Scalar::Complex(z.conj()),
        other => other,
    }
}

/// `s * t`, which is `t` itself if `s` is 1.
pub(crate) fn scaled(t: &Tensor, s: Scalar) -> Result<Tensor> {
    if s.to_complex() == crate::C64::new(1.0, 0.0) { Ok(t.clone()) } else { t.mul(&Tensor::wrapped(s)?) }
}
