//! A step on some rows of a table: the others are not read.

use super::rules::Rule;
use super::{CHUNK, STATES, share};
use crate::math::Real;

/// A table, its states, and the gradients of some of its rows.
pub struct Table<'a, T> {
    /// What is done to each element.
    pub rule: Rule,
    /// The numbers of the rows that have a gradient, ascending.
    pub rows: &'a [usize],
    /// Elements of a row.
    pub width: usize,
    /// The table, updated.
    pub param: &'a mut [T],
    /// The gradients, row after row.
    pub grad: &'a [T],
    /// The states, updated; they have the size of the table.
    pub states: [Option<&'a mut [T]>; STATES],
}

/// Updates the rows, in single precision.
pub fn step_rows_f32(table: Table<'_, f32>) {
    step_rows(table);
}

/// Updates the rows, in double precision.
pub fn step_rows_f64(table: Table<'_, f64>) {
    step_rows(table);
}

/// Rows that one thread updates, and the part of the table that holds them.
struct Piece<'a, T> {
    rows: &'a [usize],
    param: &'a mut [T],
    grad: &'a [T],
    states: [Option<&'a mut [T]>; STATES],
}

fn step_rows<T: Real>(table: Table<'_, T>) {
    let Table { rule, rows, width, mut param, grad, mut states } = table;
    let together = (CHUNK / width.max(1)).max(1);
    let (mut pieces, mut done) = (Vec::new(), 0);
    for (rows, grad) in rows.chunks(together).zip(grad.chunks(together * width.max(1))) {
        let (skip, len) = (rows[0] - done, rows[rows.len() - 1] + 1 - rows[0]);
        let at = (skip * width, len * width);
        let states = states.each_mut().map(|s| s.as_mut().map(|s| cut(s, at)));
        pieces.push(Piece { rows, param: cut(&mut param, at), grad, states });
        done += skip + len;
    }
    share(pieces, |piece| piece.step(rule, width));
}

/// Takes `len` elements off the front of `rest`, after `skip` others.
fn cut<'a, T>(rest: &mut &'a mut [T], (skip, len): (usize, usize)) -> &'a mut [T] {
    let (part, after) = std::mem::take(rest)[skip..].split_at_mut(len);
    *rest = after;
    part
}

impl<T: Real> Piece<'_, T> {
    fn step(self, rule: Rule, width: usize) {
        let Piece { rows, param, grad, mut states } = self;
        for (row, grad) in rows.iter().zip(grad.chunks(width)) {
            let at = (row - rows[0]) * width..(row - rows[0] + 1) * width;
            let mut here = states.each_mut().map(|s| s.as_mut().map(|s| &mut s[at.clone()]));
            rule.run(&mut param[at], grad, &mut here);
        }
    }
}
