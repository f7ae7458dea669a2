//! How a reduction walks its input: dimensions sorted by stride and joined where they lie end to end.

use crate::strided::Operand;

/// A kept dimension: size, input stride, output stride (in elements).
pub(super) type Kept = (usize, isize, isize);
/// A reduced dimension: size, input stride.
pub(super) type Reduced = (usize, isize);

/// The loops of one reduction.
pub(super) struct Plan {
    /// Kept dimensions, widest stride first, but for `run`.
    pub outer: Vec<Kept>,
    /// The kept dimension with the narrowest stride.
    pub run: Kept,
    /// Reduced dimensions, widest stride first.
    pub reduced: Vec<Reduced>,
    /// Elements behind one result.
    pub total: usize,
    /// Whether neighbouring results are computed together, a vector of them at a time.
    pub columns: bool,
}

/// Fewest neighbouring results for which going by columns pays.
const MIN_COLUMNS: usize = 16;

impl Plan {
    pub fn new(sizes: &[i64], mask: &[bool], input: &Operand, output: &Operand) -> Plan {
        let mut kept: Vec<Kept> = Vec::new();
        let mut reduced: Vec<Reduced> = Vec::new();
        let mut total = 1;
        for (d, &size) in sizes.iter().enumerate() {
            let size = size as usize;
            if mask[d] {
                total *= size;
            }
            match (size, mask[d]) {
                (1, _) => {}
                (_, true) => reduced.push((size, input.strides[d] as isize)),
                (_, false) => kept.push((size, input.strides[d] as isize, output.strides[d] as isize)),
            }
        }
        kept.sort_by_key(|k| std::cmp::Reverse(k.1.unsigned_abs()));
        reduced.sort_by_key(|r| std::cmp::Reverse(r.1.unsigned_abs()));
        join(&mut kept, |a, b| {
            (a.1 == b.1 * b.0 as isize && a.2 == b.2 * b.0 as isize).then_some((a.0 * b.0, b.1, b.2))
        });
        join(&mut reduced, |a, b| (a.1 == b.1 * b.0 as isize).then_some((a.0 * b.0, b.1)));
        let run = kept.pop().unwrap_or((1, 0, 0));
        let columns = by_columns(run, &reduced, total);
        Plan { outer: kept, run, reduced, total, columns }
    }

    /// Number of combinations of the outer dimensions.
    pub fn outer_len(&self) -> usize {
        self.outer.iter().map(|k| k.0).product()
    }

    /// Input and output offset of the outer combination `index`.
    pub fn outer_offsets(&self, mut index: usize) -> (isize, isize) {
        let (mut input, mut output) = (0, 0);
        for &(n, i, o) in self.outer.iter().rev() {
            let at = (index % n) as isize;
            input += at * i;
            output += at * o;
            index /= n;
        }
        (input, output)
    }

    /// Input offset of the reduced element `index`, counted in the plan's order.
    pub fn reduced_offset(&self, mut index: usize) -> isize {
        if let [(_, stride)] = self.reduced[..] {
            return index as isize * stride;
        }
        let mut offset = 0;
        for &(n, stride) in self.reduced.iter().rev() {
            offset += (index % n) as isize * stride;
            index /= n;
        }
        offset
    }
}

fn by_columns(run: Kept, reduced: &[Reduced], total: usize) -> bool {
    let inner = reduced.last().map_or(0, |r| r.1.unsigned_abs());
    let narrower = run.0 >= MIN_COLUMNS && run.1.unsigned_abs() < inner;
    narrower || total < MIN_COLUMNS && run.0 > total
}

/// Joins neighbours for which `both` gives the joined dimension.
fn join<T: Copy>(dims: &mut Vec<T>, both: impl Fn(T, T) -> Option<T>) {
    let mut out: Vec<T> = Vec::with_capacity(dims.len());
    for &dim in dims.iter() {
        match out.last().and_then(|&last| both(last, dim)) {
            Some(joined) => *out.last_mut().expect("not empty: `last` was some") = joined,
            None => out.push(dim),
        }
    }
    *dims = out;
}
