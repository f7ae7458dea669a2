//! Matrix products.
//!
//! [`Gemm`] is `C = alpha * A B + beta * C + bias` for a batch of items, `f32` or `f64` sums. Where the elements come
//! from and go to is behind two traits: [`Pack`] copies lines of A (its rows) or of B (its columns) into panels, and
//! [`Sink`] says where a block of C lies or stores a finished block itself. [`Strided`] and [`Rows`] are plain matrices
//! of any strides (half precision is converted on the way); a convolution packs its patches straight from the image.
//!
//! The sum over `k` is cut at places that only `k` decides, and never among threads: results do not depend on the
//! number of threads.

pub(crate) mod buffer;
mod complex;
mod driver;
mod integer;
mod micro;
mod pack;
#[cfg(target_arch = "x86_64")]
mod pairs;
mod simd;
mod sink;
mod skinny;
#[cfg(test)]
mod tests;

pub(crate) use complex::matmul_complex;
pub use complex::{ComplexShape, matmul_c32, matmul_c64};
pub(crate) use driver::packed_tiles as tiles;
pub use integer::Int;
pub use micro::Real;
pub(crate) use micro::{Micro, Out as Tile};
pub use pack::{Load, Strided};
pub(crate) use simd::{Simd, Vectorized};
pub use sink::{Rows, Save};

use crate::dtype::{bf16, f16};
use crate::isa::{Isa, isa};
use crate::parallel::for_tasks;
use std::ops::Range;

/// One operand of a product: lines (rows of A, columns of B) of `k` steps each.
pub trait Pack<T>: Sync {
    /// Copies steps `ks` of lines `lines` of an item into panels of `width` lines.
    ///
    /// Panel `p` starts at `dst + p * width * ks.len()`; within it, step `k` of line `l` is at
    /// `(k - ks.start) * width + l`. Lines of the last panel that do not exist are zeros.
    ///
    /// # Safety
    /// The lines and steps exist, and `dst` holds all panels, the last one padded to `width`.
    unsafe fn pack(&self, item: usize, lines: Range<usize>, ks: Range<usize>, width: usize, dst: *mut T);

    /// Where the lines of an item lie, if neighbours are neighbours in memory at each step and nothing need be packed: step `k`
    /// of line `l` is `l` elements after the offset `k` from the address. Whole registers may be read at the end.
    fn in_place(&self, _item: usize) -> Option<(*const T, &[isize])> {
        None
    }
}

/// Where C goes.
pub trait Sink<T>: Sync {
    /// The address of the block's first element and the distance of its rows, if the block lies in memory as `T` with
    /// neighbouring columns. The answer is the same for all blocks of a product, or else no sum is longer than
    /// [`Sink::store`] can take at once.
    fn direct(&self, item: usize, rows: Range<usize>, cols: Range<usize>) -> Option<(*mut T, isize)>;

    /// Stores a block: `C = block + beta * C`, its rows being `row` elements apart.
    ///
    /// # Safety
    /// `block` is valid for the rows and columns, which exist and are no other thread's.
    unsafe fn store(
        &self,
        item: usize,
        rows: Range<usize>,
        cols: Range<usize>,
        block: *const T,
        row: usize,
        beta: T,
    );
}

/// What is added to C at the end.
#[derive(Clone, Copy, Debug)]
pub enum Bias<'a, T> {
    /// Nothing.
    None,
    /// One value a row; the second number is the distance of the items' values.
    Rows(&'a [T], usize),
    /// One value a column.
    Cols(&'a [T]),
}

impl<T> Bias<'_, T> {
    /// The bias of the transposed product, where it can be said.
    fn transpose(self) -> Option<Self> {
        match self {
            Bias::None => Some(Bias::None),
            Bias::Rows(bias, 0) => Some(Bias::Cols(bias)),
            Bias::Rows(..) => None,
            Bias::Cols(bias) => Some(Bias::Rows(bias, 0)),
        }
    }
}

/// A batch of products `C = alpha * A B + beta * C + bias`, A being `m x k` and B `k x n`.
#[derive(Clone, Copy)]
pub struct Gemm<'a, T> {
    /// Number of products.
    pub items: usize,
    /// Rows of A and C.
    pub m: usize,
    /// Columns of B and C.
    pub n: usize,
    /// Length of the sums; 0 leaves `beta * C + bias`.
    pub k: usize,
    /// The rows of A.
    pub a: &'a dyn Pack<T>,
    /// The columns of B.
    pub b: &'a dyn Pack<T>,
    /// The place of C.
    pub c: &'a dyn Sink<T>,
    /// Factor of the product.
    pub alpha: T,
    /// Factor of what C held; 0 means that it is not read.
    pub beta: T,
    /// Added at the end.
    pub bias: Bias<'a, T>,
}

impl<T: Real> Gemm<'_, T> {
    /// Computes all items.
    ///
    /// # Safety
    /// The operands and the sink are valid for the sizes named, C overlaps neither operand, and nobody else writes
    /// them meanwhile.
    pub unsafe fn run(&self) {
        // SAFETY: `isa` returns what the processor has; the rest is the caller's promise.
        unsafe { self.drive(T::micro(isa())) }
    }
}

/// Sizes and factors of a batch of products of plain matrices; see [`Gemm`].
#[derive(Clone, Copy, Debug)]
pub struct Shape<'a, T> {
    /// Number of products.
    pub items: usize,
    /// Rows of A and C.
    pub m: usize,
    /// Columns of B and C.
    pub n: usize,
    /// Length of the sums.
    pub k: usize,
    /// Factor of the product.
    pub alpha: T,
    /// Factor of what C held; 0 means that it is not read.
    pub beta: T,
    /// Added at the end.
    pub bias: Bias<'a, T>,
}

/// A type that matrices are stored in. Its product is not generic, so that it is compiled once, here, and not in every crate
/// that calls it.
pub trait Stored: Load<Self::Sum> + Save<Self::Sum> {
    /// What products are summed in.
    type Sum: Real;

    /// Products of plain matrices, by whichever way is fastest for the shape: few rows or few columns are computed
    /// without packing the large operand.
    ///
    /// `a` has the rows of A as lines, `b` the columns of B.
    ///
    /// # Safety
    /// As for [`Gemm::run`].
    unsafe fn matmul(shape: Shape<Self::Sum>, a: Strided<Self>, b: Strided<Self>, c: Rows<Self>);
}

macro_rules! stored {
    ($($S:ty, $T:ty;)*) => {$(
        impl Stored for $S {
            type Sum = $T;
            unsafe fn matmul(shape: Shape<$T>, a: Strided<$S>, b: Strided<$S>, c: Rows<$S>) {
                // SAFETY: `isa` returns what the processor has; the rest is the caller's promise.
                unsafe { matmul_on(isa(), shape, a, b, c) }
            }
        }
    )*};
}
stored! { f32, f32; f64, f64; f16, f32; bf16, f32; }

/// [`Stored::matmul`] on an instruction set that the processor has.
unsafe fn matmul_on<T: Real, S: Load<T> + Save<T>>(
    isa: Isa,
    shape: Shape<T>,
    a: Strided<S>,
    b: Strided<S>,
    c: Rows<S>,
) {
    let Shape { items, m, n, k, alpha, beta, bias } = shape;
    let columns_apart = c.col != 1 && c.row == 1;
    let swap = (n < m && n <= skinny::ROWS)
        || (columns_apart && m > skinny::ROWS)
        || driver::swap_pays(m, n, k) && n > skinny::ROWS;
    if let Some(bias) = bias.transpose().filter(|_| swap) {
        let c = Rows { row: c.col, col: c.row, ..c };
        let shape = Shape { m: n, n: m, bias, ..shape };
        // SAFETY: the transposed product is the same one.
        return unsafe { untransposed(isa, shape, b, a, c) };
    }
    let shape = Shape { items, m, n, k, alpha, beta, bias };
    // SAFETY: the caller's promise is passed on.
    unsafe { untransposed(isa, shape, a, b, c) }
}

unsafe fn untransposed<T: Real, S: Load<T> + Save<T>>(
    isa: Isa,
    shape: Shape<T>,
    a: Strided<S>,
    b: Strided<S>,
    c: Rows<S>,
) {
    let Shape { items, m, n, k, alpha, beta, bias } = shape;
    let skinny = skinny::Skinny { m, n, k, a, b, c, alpha, beta, bias };
    // SAFETY: the caller's promise is passed on.
    unsafe {
        if !skinny.fits() || m * n == 0 {
            #[cfg(target_arch = "x86_64")]
            if let Some((micro, pack)) = S::pairs(isa) {
                let (a, b) = (pairs::Paired { all: a, k, pack }, pairs::Paired { all: b, k, pack });
                let k = k.div_ceil(2);
                return Gemm { items, m, n, k, a: &a, b: &b, c: &c, alpha, beta, bias }.drive(micro);
            }
            Gemm { items, m, n, k, a: &a, b: &b, c: &c, alpha, beta, bias }.drive(T::micro(isa));
        } else if items > 1 && m * n * k * items >= 48 * 48 * 48 {
            for_tasks(items, |item| skinny.run(isa, item));
        } else {
            (0..items).for_each(|item| skinny.run(isa, item));
        }
    }
}
