//! Products made of others: `matmul` and `linear` with their rules on dimensions, outer products, chains.

use cresset_macros::op;

use super::matmul::{conj, conj_number, scaled};
use crate::layout::{Dims, broadcast_shapes, wrap_dim};
use crate::op::{OpDef, Out};
use crate::promotion::result_type;
use crate::{DType, Result, Scalar, Tensor, bail, copy, op_list, pointwise};

pub(crate) static OPS: &[&OpDef] = op_list![
    matmul,
    linalg_matmul,
    linear,
    outer,
    ger,
    addr,
    inner,
    tensordot,
    chain_matmul,
    linalg_multi_dot,
    linalg_vecdot,
    bilinear
];

/// The product of vectors, matrices or batches of matrices, whose leading dimensions broadcast.
#[op(
    "matmul(Tensor self, Tensor other) -> Tensor",
    autocast = "lower",
    composite,
    out = "out",
    onnx = "MatMul"
)]
mod matmul {
    fn kernel(this: &Tensor, other: &Tensor) -> Result<Tensor> {
        match (this.dim(), other.dim()) {
            (2, 2) => this.mm(other),
            (1, 1) => this.dot(other),
            (2, 1) => this.mv(other),
            (1, 2) => this.unsqueeze(0)?.mm(other)?.squeeze_dim(0),
            (0, _) | (_, 0) => bail!(
                "both arguments to matmul need to be at least 1D, but they are {}D and {}D",
                this.dim(),
                other.dim()
            ),
            (_, 1 | 2) => folded(this, other),
            _ => batched(this, other),
        }
    }
}

/// Many matrices times one: their rows are one tall matrix.
fn folded(this: &Tensor, other: &Tensor) -> Result<Tensor> {
    let mut sizes = this.sizes();
    let last = sizes[sizes.len() - 1];
    sizes.truncate(sizes.len() - 1);
    let rows = this.reshape([sizes.iter().product(), last])?;
    if other.dim() == 1 {
        return rows.mv(other)?.reshape(sizes);
    }
    sizes.push(other.size(1)?);
    rows.mm(other)?.reshape(sizes)
}

fn batched(this: &Tensor, other: &Tensor) -> Result<Tensor> {
    let other = if other.dim() == 1 { other.unsqueeze(1)? } else { other.clone() };
    let (sa, sb) = (this.sizes(), other.sizes());
    let (n, m) = (if sa.len() > 1 { sa[sa.len() - 2] } else { 1 }, sa[sa.len() - 1]);
    let (k, p) = (sb[sb.len() - 2], sb[sb.len() - 1]);
    let leading = broadcast_shapes(&sa[..sa.len().saturating_sub(2)], &sb[..sb.len() - 2])?;
    let items: i64 = leading.iter().product();
    let as_batch = |t: &Tensor, rows: i64, columns: i64| -> Result<Tensor> {
        let mut sizes = leading.clone();
        sizes.extend_from_slice(&[rows, columns]);
        t.expand(sizes)?.reshape([items, rows, columns])
    };
    let product = as_batch(this, n, m)?.bmm(&as_batch(&other, k, p)?)?;
    let mut sizes = leading.clone();
    if this.dim() > 1 {
        sizes.push(n);
    }
    sizes.push(p);
    product.reshape(sizes)
}

/// As `matmul`.
#[op("linalg_matmul(Tensor self, Tensor other) -> Tensor", composite, out = "out", no_method)]
mod linalg_matmul {
    fn kernel(this: &Tensor, other: &Tensor) -> Result<Tensor> {
        this.matmul(other)
    }
}

/// The affine map `input weight^T + bias`.
#[op(
    "linear(Tensor input, Tensor weight, Tensor? bias=None) -> Tensor",
    autocast = "lower",
    composite,
    out = "out"
)]
mod linear {
    fn kernel(input: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        let (dims, rank) = (input.dim(), weight.dim());
        if dims == 0 || rank == 0 {
            bail!("both arguments to linear need to be at least 1D, but they are {dims}D and {rank}D");
        }
        let Some(bias) = bias else { return input.matmul(&weight.t()?) };
        if dims == 2 {
            return bias.addmm(input, &weight.t()?);
        }
        if dims == 1 && rank == 2 {
            return bias.addmm(&input.unsqueeze(0)?, &weight.t()?)?.squeeze_dim(0);
        }
        if input.dim() == 3 && bias.dim() == 1 && weight.dim() == 2 {
            let sizes = input.sizes();
            let rows = input.reshape([sizes[0] * sizes[1], sizes[2]])?;
            return bias.addmm(&rows, &weight.t()?)?.reshape([sizes[0], sizes[1], weight.size(0)?]);
        }
        input.matmul(&weight.t()?)?.add(bias)
    }
}

/// The outer product of two vectors.
#[op("outer(Tensor self, Tensor vec2) -> Tensor", composite, out = "out")]
mod outer {
    fn kernel(this: &Tensor, vec2: &Tensor) -> Result<Tensor> {
        check_vectors("outer", [("self", this), ("vec2", vec2)])?;
        this.unsqueeze(1)?.mul(vec2)
    }
}

/// As `outer`.
#[op("ger(Tensor self, Tensor vec2) -> Tensor", composite, out = "out")]
mod ger {
    fn kernel(this: &Tensor, vec2: &Tensor) -> Result<Tensor> {
        this.outer(vec2)
    }
}

fn check_vectors(op: &str, vectors: [(&str, &Tensor); 2]) -> Result<()> {
    for (name, t) in vectors {
        if t.dim() != 1 {
            bail!("{op}: Expected 1-D argument {name}, but got {}-D", t.dim());
        }
    }
    Ok(())
}

/// `beta * self + alpha * vec1 vec2^T`; `self` broadcasts.
#[op(
    "addr(Tensor self, Tensor vec1, Tensor vec2, *, Scalar beta=1, Scalar alpha=1) -> Tensor",
    inplace,
    out = "out"
)]
mod addr {
    fn kernel(
        this: &Tensor,
        vec1: &Tensor,
        vec2: &Tensor,
        beta: Scalar,
        alpha: Scalar,
        out: Out,
    ) -> Result<Tensor> {
        check_vectors("addr", [("vec1", vec1), ("vec2", vec2)])?;
        let dtype = result_type(&[this, vec1, vec2]);
        check_integral(dtype, beta, "beta")?;
        check_integral(dtype, alpha, "alpha")?;
        let sizes = [vec1.size(0)?, vec2.size(0)?];
        copy::expand_to(this, &sizes)?;
        let result = pointwise::output(out, &sizes, dtype, &[this])?;
        let product = scaled_exactly(&vec1.unsqueeze(1)?.mul(vec2)?.to_dtype(dtype)?, alpha)?;
        let sum = if beta.to_bool() { scaled_exactly(this, beta)?.add(&product)? } else { product };
        copy::copy_into(&result, &sum)?;
        Ok(result)
    }
    fn grad_this(g: &Tensor, beta: Scalar) -> Result<Tensor> {
        scaled(g, conj_number(beta))
    }
    fn grad_vec1(g: &Tensor, vec2: &Tensor, alpha: Scalar) -> Result<Tensor> {
        scaled(&g.mv(&conj(vec2)?.to_dtype(g.dtype())?)?, conj_number(alpha))
    }
    fn grad_vec2(g: &Tensor, vec1: &Tensor, alpha: Scalar) -> Result<Tensor> {
        scaled(&g.t()?.mv(&conj(vec1)?.to_dtype(g.dtype())?)?, conj_number(alpha))
    }
}

fn check_integral(dtype: DType, s: Scalar, name: &str) -> Result<()> {
    if dtype.is_integral_or_bool() && s.is_floating_or_complex() {
        bail!("For integral input tensors, argument {name} must not be a floating point number.");
    }
    Ok(())
}

/// `s * t` in the dtype of `t`.
fn scaled_exactly(t: &Tensor, s: Scalar) -> Result<Tensor> {
    if s.to_complex() == crate::C64::new(1.0, 0.0) {
        return Ok(t.clone());
    }
    let s = if t.dtype() == DType::Bool { Scalar::Bool(s.to_bool()) } else { s };
    t.mul(&Tensor::wrapped(s)?)
}

/// The sum of products over the last dimension of both.
#[op("inner(Tensor self, Tensor other) -> Tensor", composite, out = "out")]
mod inner {
    fn kernel(this: &Tensor, other: &Tensor) -> Result<Tensor> {
        if this.dim() == 0 || other.dim() == 0 {
            return this.mul(other);
        }
        if this.size(-1)? != other.size(-1)? {
            bail!(
                "inner() the last dimension must match on both input tensors but got shapes {:?} and {:?}",
                this.sizes().as_slice(),
                other.sizes().as_slice()
            );
        }
        tensordot::call(this, other, &[-1], &[-1])
    }
}

/// The sum of products over `dims_self` of the one and `dims_other` of the other.
#[op(
    "tensordot(Tensor self, Tensor other, int[] dims_self, int[] dims_other) -> Tensor",
    composite,
    out = "out"
)]
mod tensordot {
    fn kernel(this: &Tensor, other: &Tensor, dims_self: &[i64], dims_other: &[i64]) -> Result<Tensor> {
        if dims_self.len() != dims_other.len() {
            bail!("both dimension lists should have same length");
        }
        if this.dtype() != other.dtype() {
            bail!("both inputs should have same dtype");
        }
        let (mut left, mut right) = (this.clone(), other.clone());
        for (i, j) in dims_self.iter().zip(dims_other) {
            let (a, b) = (wrap_dim(*i, this.dim())?, wrap_dim(*j, other.dim())?);
            match (this.size(*i)?, other.size(*j)?) {
                (x, y) if x == y => {}
                (1, _) => right = summed(&right, b)?.to_dtype(other.dtype())?,
                (_, 1) => left = summed(&left, a)?.to_dtype(this.dtype())?,
                (x, y) => bail!(
                    "contracted dimensions need to match, but first has size {x} in dim {i} and second has size {y} in dim {j}"
                ),
            }
        }
        let (left, mut sizes) = as_matrix(&left, dims_self, false)?;
        let (right, more) = as_matrix(&right, dims_other, true)?;
        sizes.extend_from_slice(&more);
        left.mm(&right)?.reshape(sizes)
    }
}

/// The sum over a dimension, which stays with size 1.
pub(super) fn summed(t: &Tensor, dim: usize) -> Result<Tensor> {
    let mut sizes = t.sizes();
    sizes[dim] = 1;
    t.sum_to_size(sizes)
}

/// The other dimensions by the contracted ones (or the reverse), and the sizes of the other ones.
fn as_matrix(t: &Tensor, contracted: &[i64], contracted_first: bool) -> Result<(Tensor, Dims)> {
    let mut inner: Vec<usize> = Vec::new();
    for d in contracted {
        let d = wrap_dim(*d, t.dim())?;
        if inner.contains(&d) {
            bail!("dim {d} appears multiple times in the list of dims");
        }
        inner.push(d);
    }
    let outer: Vec<usize> = (0..t.dim()).filter(|d| !inner.contains(d)).collect();
    let sizes = t.sizes();
    let product = |dims: &[usize]| dims.iter().map(|d| sizes[*d]).product::<i64>();
    let (rows, columns) = if contracted_first { (&inner, &outer) } else { (&outer, &inner) };
    let order: Vec<i64> = rows.iter().chain(columns).map(|d| *d as i64).collect();
    let matrix = t.permute(order)?.reshape([product(rows), product(columns)])?;
    Ok((matrix, outer.iter().map(|d| sizes[*d]).collect()))
}

/// The product of a chain of matrices, in the cheapest order.
#[op("chain_matmul(Tensor[] matrices) -> Tensor", composite, out = "out")]
mod chain_matmul {
    fn kernel(matrices: &[Tensor]) -> Result<Tensor> {
        if let Some(t) = matrices.iter().find(|t| t.dim() != 2) {
            bail!("Tensor dimension is {}, expected 2 instead.", t.dim());
        }
        match matrices {
            [] => bail!("chain_matmul(): Expected one or more matrices"),
            [one] => Ok(one.clone()),
            _ => linalg_multi_dot::call(matrices),
        }
    }
}

/// The product of a chain of matrices, in the cheapest order; the first and the last may be vectors.
#[op("linalg_multi_dot(Tensor[] tensors) -> Tensor", composite, out = "out")]
mod linalg_multi_dot {
    fn kernel(tensors: &[Tensor]) -> Result<Tensor> {
        let n = tensors.len();
        if n < 2 {
            bail!("multi_dot(): expected at least 2 tensors but got {n}");
        }
        for (t, which) in [(&tensors[0], "first"), (&tensors[n - 1], "last")] {
            if !(1..=2).contains(&t.dim()) {
                bail!("multi_dot(): the {which} tensor must be 1D or 2D but got {}D", t.dim());
            }
        }
        check_chain(tensors)?;
        let mut chain: Vec<Tensor> = tensors.to_vec();
        if tensors[0].dim() == 1 {
            chain[0] = chain[0].unsqueeze(0)?;
        }
        if tensors[n - 1].dim() == 1 {
            chain[n - 1] = chain[n - 1].unsqueeze(1)?;
        }
        let mut product = cheapest(&chain)?;
        if tensors[n - 1].dim() == 1 {
            product = product.squeeze_dim(-1)?;
        }
        if tensors[0].dim() == 1 { product.squeeze_dim(0) } else { Ok(product) }
    }
}

fn check_chain(tensors: &[Tensor]) -> Result<()> {
    let n = tensors.len();
    for (i, t) in tensors.iter().enumerate() {
        if i > 0 && i + 1 < n && t.dim() != 2 {
            bail!("multi_dot(): tensor {i} must be 2D but got {}D", t.dim());
        }
        if t.dtype() != tensors[0].dtype() {
            let name = crate::scalar::type_name;
            let (a, b) = (name(tensors[0].dtype()), name(t.dtype()));
            bail!(
                "multi_dot(): all tensors must have be the same dtype but tensor 0 is {a} and tensor {i} {b}"
            );
        }
        if i > 0 && tensors[i - 1].size(-1)? != t.size(0)? {
            bail!(
                "multi_dot(): tensors {} and {i} with shapes {:?} and {:?} cannot be multiplied",
                i - 1,
                tensors[i - 1].sizes().as_slice(),
                t.sizes().as_slice()
            );
        }
    }
    Ok(())
}

/// Multiplies a chain of matrices in the order of fewest multiplications (Cormen et al., section 15.2).
fn cheapest(chain: &[Tensor]) -> Result<Tensor> {
    let n = chain.len();
    let mut sizes = vec![chain[0].size(0)?];
    for t in chain {
        sizes.push(t.size(1)?);
    }
    let mut cost = vec![vec![0_i64; n]; n];
    let mut split = vec![vec![0_usize; n]; n];
    for length in 1..n {
        for i in 0..n - length {
            let j = i + length;
            let at = |k: usize| {
                let last = sizes[i].saturating_mul(sizes[k + 1]).saturating_mul(sizes[j + 1]);
                cost[i][k].saturating_add(cost[k + 1][j]).saturating_add(last)
            };
            let best = (i..j).min_by_key(|k| at(*k)).unwrap_or(i);
            (cost[i][j], split[i][j]) = (at(best), best);
        }
    }
    multiply(chain, &split, 0, n - 1)
}

fn multiply(chain: &[Tensor], split: &[Vec<usize>], i: usize, j: usize) -> Result<Tensor> {
    if i == j {
        return Ok(chain[i].clone());
    }
    let k = split[i][j];
    multiply(chain, split, i, k)?.mm(&multiply(chain, split, k + 1, j)?)
}

/// The sum over a dimension of `conj(x) * y`, which broadcast.
#[op(
    "linalg_vecdot(Tensor x, Tensor y, *, int dim=-1) -> Tensor",
    autocast = "lower",
    composite,
    out = "out"
)]
mod linalg_vecdot {
    fn kernel(x: &Tensor, y: &Tensor, dim: i64) -> Result<Tensor> {
        for t in [x, y] {
            if !t.dtype().is_differentiable() {
                let name = t.dtype().scalar_type();
                bail!(
                    NotImplemented,
                    "linalg.vecdot: Expected a floating point or complex tensor as input. Got {name}"
                );
            }
        }
        if x.dim() == 1 && y.dim() == 1 && x.numel() == y.numel() {
            wrap_dim(dim, 1)?;
            return x.vdot(y);
        }
        let product = conj(x)?.mul(y)?;
        let dim = wrap_dim(dim, product.dim())?;
        if product.dim() == 0 {
            return Ok(product);
        }
        summed(&product, dim)?.squeeze_dim(dim as i64)
    }
}

/// `input1 weight[o] input2^T + bias[o]` for each output feature `o`.
#[op("bilinear(Tensor input1, Tensor input2, Tensor weight, Tensor? bias=None) -> Tensor", composite)]
mod bilinear {
    fn kernel(input1: &Tensor, input2: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
        let [o, i, j] = check_bilinear(input1, input2, weight, bias)?;
        let mut sizes = input1.sizes();
        sizes.truncate(sizes.len() - 1);
        let rows: i64 = sizes.iter().product();
        let (x, y) = (input1.reshape([rows, i])?, input2.reshape([rows, j, 1])?);
        let half = x.mm(&weight.permute([1, 0, 2])?.reshape([i, o * j])?)?.reshape([rows, o, j])?;
        sizes.push(o);
        let out = half.bmm(&y)?.reshape(sizes)?;
        bias.map_or(Ok(out.clone()), |b| out.add(b))
    }
}

fn check_bilinear(a: &Tensor, b: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<[i64; 3]> {
    if a.dim() != b.dim() {
        bail!("bilinear(): input dimensions do not match: got {} and {}", a.dim(), b.dim());
    }
    let (sa, sb, w) = (a.sizes(), b.sizes(), weight.sizes());
    let Some(last) = sa.len().checked_sub(1).filter(|_| w.len() == 3) else {
        bail!("bilinear(): expected inputs of at least 1 dimension and a weight of 3, got {sa:?} and {w:?}");
    };
    if let Some(d) = (0..last).find(|d| sa[*d] != sb[*d]) {
        bail!("bilinear(): input batch dimensions do not match at dim {d}: got {} and {}", sa[d], sb[d]);
    }
    for (name, got, want) in [("input1", sa[last], w[1]), ("input2", sb[last], w[2])] {
        if got != want {
            bail!("bilinear(): {name} size does not match weight size: got {got} but expected {want}");
        }
    }
    if let Some(size) = bias.map(|t| t.size(0)).transpose()?.filter(|n| *n != w[0]) {
        bail!("bilinear(): bias size does not match weight size: got {size} but expected {}", w[0]);
    }
    Ok([w[0], w[1], w[2]])
}
