//! Matrix products below autograd: from tensors' layouts to the kernels' matrices.

use cresset_kernels::gemm::{self, Bias, ComplexShape, Rows, Shape, Strided};
use smallvec::SmallVec;

use crate::layout::Layout;
use crate::storage::{Raw, View, access_lists};
use crate::{C32, C64, DType, Result, Scalar, Tensor, bf16, copy, f16};

/// `out = alpha * a b + beta * out + bias` for batches of matrices: `a [.., m, k]`, `b [.., k, n]`, `out [.., m, n]`, all of one
/// dtype (not `bool`) and with the same leading sizes.
pub(crate) struct Product<'a> {
    pub out: &'a View,
    pub a: View,
    pub b: View,
    pub alpha: Scalar,
    /// 0 means that `out` is not read.
    pub beta: Scalar,
    /// One number a column; floating-point dtypes only.
    pub bias: Option<View>,
    /// Whether `a` is conjugated.
    pub conj_a: bool,
}

impl<'a> Product<'a> {
    /// `out = a b`.
    pub(crate) fn plain(out: &'a View, a: View, b: View) -> Product<'a> {
        Product { out, a, b, alpha: Scalar::Int(1), beta: Scalar::Int(0), bias: None, conj_a: false }
    }

    /// Computes it. Operands that share the output's storage are copied first.
    pub(crate) fn run(mut self) -> Result<()> {
        self.a = apart(self.a, self.out)?;
        self.b = apart(self.b, self.out)?;
        self.bias = self.bias.take().map(|bias| apart(bias, self.out)).transpose()?;
        let mut ins: SmallVec<[&View; 3]> = smallvec::smallvec![&self.a, &self.b];
        ins.extend(self.bias.iter());
        access_lists(&[self.out], &ins, |out, ins| {
            let Some(m) = Matrices::new(&out[0], &ins[0], &ins[1], ins.get(2)) else { return };
            match out[0].dtype {
                DType::F32 => m.real::<f32>(self.alpha.to_f64() as f32, self.beta.to_f64() as f32),
                DType::F64 => m.real::<f64>(self.alpha.to_f64(), self.beta.to_f64()),
                DType::F16 => m.real::<f16>(self.alpha.to_f64() as f32, self.beta.to_f64() as f32),
                DType::BF16 => m.real::<bf16>(self.alpha.to_f64() as f32, self.beta.to_f64() as f32),
                DType::Complex64 => m.complex32(self.alpha.to_complex(), self.beta.to_complex(), self.conj_a),
                DType::Complex128 => {
                    m.complex64(self.alpha.to_complex(), self.beta.to_complex(), self.conj_a)
                }
                DType::U8 => m.int::<u8>(self.alpha.to_i64() as u8, self.beta.to_i64() as u8),
                DType::I8 => m.int::<i8>(self.alpha.to_i64() as i8, self.beta.to_i64() as i8),
                DType::I16 => m.int::<i16>(self.alpha.to_i64() as i16, self.beta.to_i64() as i16),
                DType::I32 => m.int::<i32>(self.alpha.to_i64() as i32, self.beta.to_i64() as i32),
                DType::I64 => m.int::<i64>(self.alpha.to_i64(), self.beta.to_i64()),
                DType::Bool => {}
            }
        });
        Ok(())
    }
}

/// The view itself, or a copy of its elements if it shares its storage with `out`.
pub(crate) fn apart(view: View, out: &View) -> Result<View> {
    if view.storage.id() != out.storage.id() {
        return Ok(view);
    }
    let t = Tensor::from_view(view, None, None);
    Ok(copy::duplicate(&t)?.raw())
}

/// The view with its last two dimensions exchanged.
pub(crate) fn transposed(mut view: View) -> View {
    let n = view.layout.dim();
    view.layout.sizes.swap(n - 2, n - 1);
    view.layout.strides.swap(n - 2, n - 1);
    view
}

/// A vector as a matrix of one column.
pub(crate) fn column(view: View) -> View {
    let (n, step) = (view.layout.sizes[0], view.layout.strides[0]);
    let layout = Layout::new(&[n, 1], &[step, 1], view.layout.offset);
    View { layout, ..view }
}

type Offsets = SmallVec<[isize; 8]>;

/// The matrices of a product: sizes, and for each operand the offsets of its items.
struct Matrices<'a> {
    sizes: [usize; 3],
    out: (&'a Raw<'a>, Offsets),
    a: (&'a Raw<'a>, Offsets),
    b: (&'a Raw<'a>, Offsets),
    bias: Option<&'a Raw<'a>>,
}

impl<'a> Matrices<'a> {
    /// `None` if the product has no elements.
    fn new(out: &'a Raw, a: &'a Raw, b: &'a Raw, bias: Option<&'a Raw>) -> Option<Self> {
        let d = out.sizes.len();
        if out.sizes.contains(&0) {
            return None;
        }
        let sizes = [out.sizes[d - 2], out.sizes[d - 1], a.sizes[d - 1]].map(|n| n as usize);
        let with = |x: &'a Raw| (x, item_offsets(&x.sizes[..d - 2], x.strides));
        Some(Matrices { sizes, out: with(out), a: with(a), b: with(b), bias })
    }

    fn left<S>(&self) -> Strided<'_, S> {
        let [row, step] = last_two(self.a.0.strides);
        Strided { ptr: self.a.0.cast(), items: &self.a.1, line: row, step }
    }

    fn right<S>(&self) -> Strided<'_, S> {
        let [step, column] = last_two(self.b.0.strides);
        Strided { ptr: self.b.0.cast(), items: &self.b.1, line: column, step }
    }

    fn place<S>(&self) -> Rows<'_, S> {
        let [row, col] = last_two(self.out.0.strides);
        Rows { ptr: self.out.0.cast(), items: &self.out.1, row, col }
    }

    fn real<S: gemm::Stored>(&self, alpha: S::Sum, beta: S::Sum) {
        let bias: Option<SmallVec<[S::Sum; 64]>> = self.bias.map(|raw| {
            // SAFETY: the bias is locked and has an element of type `S` for each column.
            (0..self.sizes[1])
                .map(|i| unsafe { (*raw.cast::<S>().offset(i as isize * raw.strides[0] as isize)).get() })
                .collect()
        });
        let [m, n, k] = self.sizes;
        let bias = bias.as_ref().map_or(Bias::None, |b| Bias::Cols(b));
        let shape = Shape { items: self.out.1.len(), m, n, k, alpha, beta, bias };
        // SAFETY: all operands are locked, have these sizes and strides, and the output shares no storage with the others.
        unsafe { S::matmul(shape, self.left(), self.right(), self.place()) }
    }

    fn complex32(&self, alpha: C64, beta: C64, conj_a: bool) {
        let [m, n, k] = self.sizes;
        let narrow = |z: C64| C32::new(z.re as f32, z.im as f32);
        let items = self.out.1.len();
        let shape = ComplexShape { items, m, n, k, alpha: narrow(alpha), beta: narrow(beta), conj_a };
        // SAFETY: as in `real`.
        unsafe { gemm::matmul_c32(shape, self.left(), self.right(), self.place()) }
    }

    fn complex64(&self, alpha: C64, beta: C64, conj_a: bool) {
        let [m, n, k] = self.sizes;
        let shape = ComplexShape { items: self.out.1.len(), m, n, k, alpha, beta, conj_a };
        // SAFETY: as in `real`.
        unsafe { gemm::matmul_c64(shape, self.left(), self.right(), self.place()) }
    }

    fn int<T: gemm::Int>(&self, alpha: T, beta: T) {
        let items = self.out.1.len();
        // SAFETY: as in `real`.
        unsafe { T::matmul(items, self.sizes, (alpha, beta), self.left(), self.right(), self.place()) }
    }
}

fn last_two(strides: &[i64]) -> [isize; 2] {
    [strides[strides.len() - 2] as isize, strides[strides.len() - 1] as isize]
}

/// Where each item starts, in row-major order of the leading dimensions.
fn item_offsets(sizes: &[i64], strides: &[i64]) -> Offsets {
    let mut offsets = Offsets::from_elem(0, 1);
    for (size, stride) in sizes.iter().zip(strides) {
        offsets =
            offsets.iter().flat_map(|o| (0..*size as isize).map(move |i| o + i * *stride as isize)).collect();
    }
    offsets
}
