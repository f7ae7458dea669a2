//! Resampling of bytes in fixed point, as Pillow does: along rows, rounded to bytes, then across rows.

use super::{Planes, Taps};
use crate::multiversion;
use crate::parts::each_row;

/// Elements that are worth a task.
const GRAIN: usize = 1 << 14;

/// Weights as integers of 16 bits, and how many of their bits are behind the point.
struct Fixed {
    taps: Taps<i32>,
    shift: u32,
}

impl Fixed {
    fn new(taps: &Taps<f64>) -> Fixed {
        let largest = taps.largest();
        let fits = |bits: u32| (0.5 + largest * f64::from(1 << bits)) < f64::from(1 << 15);
        let shift = (0..22).find(|bits| !fits(bits + 1)).unwrap_or(22);
        let round = |w: f64| {
            let scaled = w * f64::from(1 << shift);
            (if scaled < 0.0 { scaled - 0.5 } else { scaled + 0.5 }) as i32
        };
        Fixed { taps: taps.fixed(round), shift }
    }

    /// The start of a sum: half a unit, for rounding.
    fn half(&self) -> i32 {
        if self.shift == 0 { 0 } else { 1 << (self.shift - 1) }
    }

    fn byte(&self, sum: i32) -> u8 {
        (sum >> self.shift).clamp(0, 255) as u8
    }

    /// One row along its length.
    fn along(&self, inner: usize, x: &[u8], y: &mut [u8]) {
        for (o, y) in y.chunks_exact_mut(inner).enumerate() {
            let (index, weight) = self.taps.at(o);
            for (c, y) in y.iter_mut().enumerate() {
                let terms = index.iter().zip(weight).map(|(i, w)| w * i32::from(x[*i as usize * inner + c]));
                *y = self.byte(self.half() + terms.sum::<i32>());
            }
        }
    }

    /// Output row `o` of a plane with rows as long as `y`.
    fn across(&self, o: usize, plane: &[u8], sum: &mut [i32], y: &mut [u8]) {
        let (index, weight) = self.taps.at(o);
        sum.fill(self.half());
        for (i, w) in index.iter().zip(weight) {
            let start = *i as usize * y.len();
            add_scaled(*w, &plane[start..start + y.len()], sum);
        }
        y.iter_mut().zip(sum).for_each(|(y, s)| *y = self.byte(*s));
    }
}

multiversion! {
    fn add_scaled(w: i32, x: &[u8], sum: &mut [i32]) {
        sum.iter_mut().zip(x).for_each(|(s, x)| *s += w * i32::from(*x));
    }
}

/// Resamples bytes along the last two dimensions, rounding after each.
///
/// # Panics
/// If the lengths do not fit.
pub fn resample_bytes(taps: [&Taps<f64>; 2], planes: Planes, x: &[u8], y: &mut [u8]) {
    let [rows, columns] = taps.map(Fixed::new);
    let (from, to) = (columns.taps.inputs * planes.inner, columns.taps.outputs() * planes.inner);
    let (height, results) = (rows.taps.inputs, rows.taps.outputs());
    let mut wide = vec![0; planes.batch * height * to];
    each_row(&mut wide, to, GRAIN, |r, line| {
        columns.along(planes.inner, &x[r * from..(r + 1) * from], line);
    });
    each_row(y, to, GRAIN, |r, line| {
        let plane = r / results * height * to;
        rows.across(r % results, &wide[plane..plane + height * to], &mut vec![0; to], line);
    });
}
