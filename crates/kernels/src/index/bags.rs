//! Bags of rows of a table: their weighted sums and their largest elements.

use crate::math::Real;
use crate::parts::{Parts, each_row};
use std::ops::Range;

/// Elements that are worth a task.
const GRAIN: usize = 1 << 13;

/// The rows of each bag.
#[derive(Clone, Copy, Debug)]
pub struct Bags<'a> {
    /// Rows of the table, bag after bag; all exist.
    pub indices: &'a [i64],
    /// The part of `indices` that each bag has.
    pub bags: &'a [Range<usize>],
    /// Elements in a row.
    pub width: usize,
    /// A row that counts for nothing.
    pub padding: Option<i64>,
}

crate::multiversion! {
    fn add_scaled<T: Real>(out: &mut [T], row: &[T], by: T) {
        for (o, x) in out.iter_mut().zip(row) {
            *o = *x * by + *o;
        }
    }
}

impl Bags<'_> {
    /// The position of each member of a bag in `indices`, and its row.
    fn members(&self, bag: usize) -> impl Iterator<Item = (usize, usize)> {
        let counted = |i: &usize| self.padding != Some(self.indices[*i]);
        self.bags[bag].clone().filter(counted).map(|i| (i, self.indices[i] as usize))
    }

    /// How many members each bag has.
    pub fn sizes(&self) -> Vec<i64> {
        (0..self.bags.len()).map(|bag| self.members(bag).count() as i64).collect()
    }

    /// The sum of each bag's rows, each times its weight if there are any, over the number of them if `mean`.
    ///
    /// # Panics
    /// If the lengths do not fit.
    pub fn sums<T: Real>(&self, table: &[T], weights: &[T], mean: bool, out: &mut [T]) {
        each_row(out, self.width, GRAIN, |bag, out| {
            out.fill(T::ZERO);
            let mut count = 0;
            for (i, row) in self.members(bag) {
                let by = weights.get(i).copied().unwrap_or(T::ONE);
                add_scaled(out, &table[row * self.width..(row + 1) * self.width], by);
                count += 1;
            }
            if mean && count > 1 {
                let by = T::ONE / T::real(f64::from(count));
                out.iter_mut().for_each(|o| *o = *o * by);
            }
        });
    }

    /// The largest element of each column of each bag and the row where it is first; zeros for an empty bag.
    ///
    /// # Panics
    /// If the lengths do not fit.
    pub fn largest<T: Real>(&self, table: &[T], out: &mut [T], rows: &mut [i64]) {
        let rows = Parts::new(rows);
        each_row(out, self.width, GRAIN, |bag, out| {
            // SAFETY: each bag is one task's.
            let rows = unsafe { rows.part(bag * self.width..(bag + 1) * self.width) };
            out.fill(T::ZERO);
            rows.fill(0);
            for (n, (_, row)) in self.members(bag).enumerate() {
                let from = &table[row * self.width..(row + 1) * self.width];
                for ((o, r), x) in out.iter_mut().zip(&mut *rows).zip(from) {
                    if n == 0 || *x > *o {
                        (*o, *r) = (*x, row as i64);
                    }
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_counts_for_nothing() {
        let table = [0.0_f64, 1.0, 2.0, 3.0, 4.0, 5.0];
        let bags = Bags { indices: &[0, 1, 2, 2], bags: &[0..3, 3..3, 3..4], width: 2, padding: Some(1) };
        assert_eq!(bags.sizes(), [2, 0, 1]);
        let (mut out, mut rows) = ([9.0; 6], [9; 6]);
        bags.sums(&table, &[], true, &mut out);
        assert_eq!(out, [2.0, 3.0, 0.0, 0.0, 4.0, 5.0]);
        bags.sums(&table, &[1.0, 1.0, 0.5, 2.0], false, &mut out);
        assert_eq!(out, [2.0, 3.5, 0.0, 0.0, 8.0, 10.0]);
        bags.largest(&table, &mut out, &mut rows);
        assert_eq!((out, rows), ([4.0, 5.0, 0.0, 0.0, 4.0, 5.0], [2, 2, 0, 0, 2, 2]));
    }
}
