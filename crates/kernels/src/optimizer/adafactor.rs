//! Adafactor: the second moment of a matrix is kept as a row and a column.
//!
//! The size of a step depends on all elements, and the moments on whole rows and columns, so one pass cannot do. There are
//! three: sums of squares of gradient and parameter; the size of the update, which needs no memory of its own; the
//! parameter. Matrices are cut into blocks of rows at places that only their sizes decide.

use super::share;
use crate::math::Real;
use crate::multiversion;

/// Elements of a block, about.
const BLOCK: usize = 65_536;

/// Rows of a block, at least: the sums of its columns take as much memory as a row.
const ROWS: usize = 16;

/// Elements that are summed side by side.
const LANES: usize = 16;

/// The algorithm at one step.
#[derive(Clone, Copy, Debug)]
pub struct Adafactor {
    /// Rate for parameters of size 1.
    pub rate: f64,
    /// Weight of the new gradient in the second moment.
    pub forget: f64,
    /// Least second moment, and least size of a parameter.
    pub eps: (f64, f64),
    /// Size above which an update is scaled down.
    pub d: f64,
    /// Factor of the parameter before the step.
    pub shrink: f64,
    /// Ascend instead of descend.
    pub maximize: bool,
}

/// The second moment of a parameter.
pub enum Variance<'a, T> {
    /// One number per element.
    Full(&'a mut [T]),
    /// Means over the rows and the columns of each matrix.
    Factored {
        /// A number for each row.
        row: &'a mut [T],
        /// A number for each column.
        column: &'a mut [T],
        /// Elements of a row.
        width: usize,
        /// Elements of a column.
        height: usize,
    },
}

/// Part of a parameter whose second moment is the product of `rows` and `columns`.
struct Product<'a, T> {
    param: &'a mut [T],
    grad: &'a [T],
    rows: &'a [T],
    columns: &'a [T],
    size: &'a mut f64,
}

impl Adafactor {
    /// Updates a parameter in single precision.
    pub fn step_f32(&self, param: &mut [f32], grad: &[f32], variance: Variance<'_, f32>) {
        self.step(param, grad, variance);
    }

    /// Updates a parameter in double precision.
    pub fn step_f64(&self, param: &mut [f64], grad: &[f64], variance: Variance<'_, f64>) {
        self.step(param, grad, variance);
    }

    fn step<T: Real>(&self, param: &mut [T], grad: &[T], variance: Variance<'_, T>) {
        if grad.is_empty() {
            return;
        }
        match variance {
            Variance::Full(variance) => self.full(param, grad, variance),
            Variance::Factored { row, column, width, height } => {
                self.factored(param, grad, row, column, Cuts::new(height, width));
            }
        }
    }

    /// A vector is taken as blocks of one row, whose columns are its second moments.
    fn full<T: Real>(&self, param: &mut [T], grad: &[T], variance: &mut [T]) {
        let mut sizes = vec![0.0; grad.len().div_ceil(BLOCK)];
        let parts = param.chunks(BLOCK).zip(grad.chunks(BLOCK)).zip(variance.chunks_mut(BLOCK));
        share(parts.zip(&mut sizes).collect(), |(((p, g), v), size)| *size = moments(p, g, v, self.forget));
        let size = sizes.iter().sum::<f64>();
        let parts = param.chunks_mut(BLOCK).zip(grad.chunks(BLOCK)).zip(variance.chunks(BLOCK));
        let one = [T::ONE];
        let block = |(((param, grad), columns), size)| Product { param, grad, rows: &one, columns, size };
        let cuts = Cuts { height: 1, width: BLOCK, rows: 1, matrices: 1 };
        self.apply(parts.zip(&mut sizes).map(block).collect(), cuts, size, grad.len());
    }

    fn factored<T: Real>(&self, param: &mut [T], grad: &[T], row: &mut [T], column: &mut [T], cuts: Cuts) {
        let n = grad.len();
        let mut sizes = vec![0.0; n.div_ceil(cuts.stretch()) * cuts.per_stretch()];
        let (mut rows, columns) = cuts.sums(param, grad, &mut sizes);
        let size = sizes.iter().sum::<f64>();
        self.remember(row, &rows, cuts.width);
        self.remember(column, &columns, cuts.height);
        for (relative, row) in rows.chunks_mut(cuts.height).zip(row.chunks(cuts.height)) {
            let mean = row.iter().map(|x| x.wide()).sum::<f64>() / row.len() as f64;
            let least = T::real(mean).max_nan(T::real(self.eps.0));
            relative.iter_mut().zip(row).for_each(|(to, x)| *to = *x / least);
        }
        let params = param.chunks_mut(cuts.stretch()).flat_map(|m| m.chunks_mut(cuts.block()));
        let grads = grad.chunks(cuts.stretch()).flat_map(|m| m.chunks(cuts.block()));
        let rows = rows.chunks(cuts.height * cuts.matrices).flat_map(|m| m.chunks(cuts.rows * cuts.matrices));
        let columns = column.chunks(cuts.width * cuts.matrices);
        let columns = columns.flat_map(|c| std::iter::repeat_n(c, cuts.per_stretch()));
        let parts = params.zip(grads).zip(rows).zip(columns).zip(&mut sizes);
        let block = |((((param, grad), rows), columns), size)| Product { param, grad, rows, columns, size };
        self.apply(parts.map(block).collect(), cuts, size, n);
    }

    /// Moves a kept mean towards that of these sums of `n` elements.
    fn remember<T: Real>(&self, kept: &mut [T], sums: &[T], n: usize) {
        for (kept, sum) in kept.iter_mut().zip(sums) {
            *kept = super::rules::lerp(*kept, *sum / T::real(n as f64), self.forget);
        }
    }

    /// The second and third pass; `size` is the sum of the parameter's squares.
    fn apply<T: Real>(&self, mut blocks: Vec<Product<'_, T>>, cuts: Cuts, size: f64, n: usize) {
        let (least, n) = (self.eps.0 * self.eps.0, n as f64);
        share(blocks.iter_mut().collect(), |b| *b.size = energy(b.grad, (b.rows, b.columns), cuts, least));
        let update = blocks.iter().map(|b| *b.size).sum::<f64>();
        let rate = self.rate * (size / n).sqrt().max(self.eps.1);
        let excess = ((update / n).sqrt() / self.d).max(1.0);
        let rate = if self.maximize { rate } else { -rate } / excess;
        share(blocks, |b| descend(b.param, b.grad, (b.rows, b.columns), cuts, least, (self.shrink, rate)));
    }
}

/// Where matrices that follow each other are cut into blocks: large ones by rows, small ones stay together.
#[derive(Clone, Copy)]
struct Cuts {
    height: usize,
    width: usize,
    /// Rows of a block; the last of a matrix may have less.
    rows: usize,
    /// Whole matrices of a block; 1 if matrices are cut.
    matrices: usize,
}

impl Cuts {
    fn new(height: usize, width: usize) -> Cuts {
        let rows = (BLOCK / width).max(ROWS).min(height);
        let matrices = if rows == height { (BLOCK / (height * width)).max(1) } else { 1 };
        Cuts { height, width, rows, matrices }
    }

    /// Elements of the matrices of a block, or of the matrix that is cut.
    fn stretch(self) -> usize {
        self.height * self.width * self.matrices
    }

    fn block(self) -> usize {
        self.rows * self.width * self.matrices
    }

    fn per_stretch(self) -> usize {
        self.height.div_ceil(self.rows)
    }

    /// The first pass: sums of squares of the gradient by rows and columns, and of the parameter by blocks.
    fn sums<T: Real>(self, param: &[T], grad: &[T], sizes: &mut [f64]) -> (Vec<T>, Vec<T>) {
        let mut rows = vec![T::ZERO; grad.len() / self.width];
        let mut columns = vec![T::ZERO; grad.len() / self.height * self.per_stretch()];
        let params = param.chunks(self.stretch()).flat_map(|m| m.chunks(self.block()));
        let grads = grad.chunks(self.stretch()).flat_map(|m| m.chunks(self.block()));
        let places = rows.chunks_mut(self.height * self.matrices);
        let places = places.flat_map(|m| m.chunks_mut(self.rows * self.matrices));
        let parts =
            params.zip(grads).zip(places).zip(columns.chunks_mut(self.width * self.matrices)).zip(sizes);
        share(parts.collect(), |((((p, g), rows), columns), size)| {
            *size = squares(p, g, rows, columns, self);
        });
        if self.per_stretch() > 1 {
            let parts = columns.chunks(self.per_stretch() * self.width);
            columns = parts.flat_map(|parts| summed(parts, self.width)).collect();
        }
        (rows, columns)
    }
}

/// The sum of parts of `width` elements.
fn summed<T: Real>(parts: &[T], width: usize) -> Vec<T> {
    let mut sum = parts[..width].to_vec();
    for part in parts[width..].chunks(width) {
        sum.iter_mut().zip(part).for_each(|(sum, x)| *sum = *sum + *x);
    }
    sum
}

/// The sum of `f` of each element.
#[inline(always)]
fn total<T: Real>(n: usize, mut f: impl FnMut(usize) -> T) -> f64 {
    if n < LANES {
        return (0..n).map(|i| f(i).wide()).sum();
    }
    let mut lanes = [T::ZERO; LANES];
    for i in (0..n / LANES * LANES).step_by(LANES) {
        for (lane, sum) in lanes.iter_mut().enumerate() {
            *sum = *sum + f(i + lane);
        }
    }
    let rest = (n / LANES * LANES..n).map(|i| f(i).wide()).sum::<f64>();
    lanes.iter().map(|x| x.wide()).sum::<f64>() + rest
}

multiversion! {
    /// The first pass over a block: squares of the gradient by rows and columns, those of the parameter returned.
    fn squares<T: Real>(param: &[T], grad: &[T], rows: &mut [T], columns: &mut [T], cuts: Cuts) -> f64 {
        let matrices = grad.chunks(cuts.height * cuts.width).zip(rows.chunks_mut(cuts.height));
        for ((g, rows), columns) in matrices.zip(columns.chunks_mut(cuts.width)) {
            for (g, row) in g.chunks_exact(cuts.width).zip(rows) {
                *row = T::real(total(cuts.width, |i| {
                    let square = g[i] * g[i];
                    columns[i] = columns[i] + square;
                    square
                }));
            }
        }
        total(param.len(), |i| param[i] * param[i])
    }

    /// The first pass over a vector: its second moments; the sum of the parameter's squares.
    fn moments<T: Real>(param: &[T], grad: &[T], variance: &mut [T], forget: f64) -> f64 {
        for (v, g) in variance.iter_mut().zip(grad) {
            *v = super::rules::lerp(*v, *g * *g, forget);
        }
        total(param.len(), |i| param[i] * param[i])
    }

    /// The sum of the squares of a block's updates.
    fn energy<T: Real>(grad: &[T], moments: (&[T], &[T]), cuts: Cuts, least: f64) -> f64 {
        let (least, mut sum) = (T::real(least), 0.0);
        let matrices = grad.chunks(cuts.height * cuts.width).zip(moments.0.chunks(cuts.height));
        for ((g, rows), columns) in matrices.zip(moments.1.chunks(cuts.width)) {
            for (g, row) in g.chunks(cuts.width).zip(rows) {
                sum += total(g.len(), |i| g[i] * g[i] / (*row * columns[i]).max_nan(least));
            }
        }
        sum
    }

    /// The last pass over a block; the factor of the parameter and the rate come last.
    fn descend<T: Real>(param: &mut [T], grad: &[T], moments: (&[T], &[T]), cuts: Cuts, least: f64, rates: (f64, f64)) {
        let (least, shrink, rate) = (T::real(least), T::real(rates.0), T::real(rates.1));
        let matrices = param.chunks_mut(cuts.height * cuts.width).zip(grad.chunks(cuts.height * cuts.width));
        let moments = moments.0.chunks(cuts.height).zip(moments.1.chunks(cuts.width));
        for ((p, g), (rows, columns)) in matrices.zip(moments) {
            for ((p, g), row) in p.chunks_mut(cuts.width).zip(g.chunks(cuts.width)).zip(rows) {
                for ((p, g), c) in p.iter_mut().zip(g).zip(columns) {
                    let update = T::ONE / (*row * *c).max_nan(least).sqrt() * *g;
                    *p = rate.mul_add(update, *p * shrink);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Adafactor =
        Adafactor { rate: 0.1, forget: 1.0, eps: (1e-8, 1e-3), d: 1.0, shrink: 1.0, maximize: false };

    #[test]
    fn a_matrix_of_rank_one_is_divided_by_itself() {
        // The squares are an outer product, so that the update is the sign of each gradient, of size 1; so is the parameter.
        for (batch, height, width) in [(1, 3, 5), (9_000, 3, 3), (1, 40, 5000), (2, 17, 70_000)] {
            let n = batch * height * width;
            let value = |i: usize| (1 + i / width % height) as f64 * (1 + i % width % 7) as f64;
            let grad: Vec<f64> = (0..n).map(|i| if i % 3 == 0 { -value(i) } else { value(i) }).collect();
            let mut param = vec![1.0; n];
            let (mut row, mut column) = (vec![0.0; batch * height], vec![0.0; batch * width]);
            let variance = Variance::Factored { row: &mut row, column: &mut column, width, height };
            RULE.step_f64(&mut param, &grad, variance);
            assert!(param.iter().zip(&grad).all(|(p, g)| (p - 1.0 + 0.1 * g.signum()).abs() < 1e-9));
        }
    }

    #[test]
    fn a_vector_is_divided_by_its_size() {
        let grad: Vec<f32> = (0..BLOCK + 5).map(|i| i as f32 - 7.5).collect();
        let (mut param, mut variance) = (vec![2.0_f32; grad.len()], vec![0.0; grad.len()]);
        RULE.step_f32(&mut param, &grad, Variance::Full(&mut variance));
        assert!(param.iter().zip(&grad).all(|(p, g)| (p - 2.0 + 0.2 * g.signum()).abs() < 1e-4));
        assert_eq!(variance[0], 56.25);
    }
}
