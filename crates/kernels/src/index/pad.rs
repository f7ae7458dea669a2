//! Padding: rows of the original with elements before and after them.

use super::with_bits;
use crate::bytes::copy_bytes;
use crate::parallel::for_ranges;
use crate::strided::Operand;
use std::ops::Range;

/// How positions outside a dimension are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Border {
    /// By one value for all.
    Constant,
    /// By the position mirrored at the edge.
    Reflect,
    /// By the position at the edge.
    Replicate,
}

impl Border {
    /// The position inside `0..size` that shows at position `i`, if one does.
    pub fn place(self, i: i64, size: i64) -> Option<i64> {
        match self {
            _ if (0..size).contains(&i) => Some(i),
            Border::Constant => None,
            Border::Replicate => Some(i.clamp(0, size - 1)),
            Border::Reflect if i < 0 => Some(-i),
            Border::Reflect => Some(2 * (size - 1) - i),
        }
    }
}

/// One dimension: sizes of the result and of the source, where in the result the source begins, and the source's stride.
#[derive(Clone, Copy)]
struct Dim {
    to: i64,
    from: i64,
    before: i64,
    stride: i64,
}

impl Dim {
    /// The source's offset, in elements, that shows at position `i`.
    #[inline(always)]
    fn offset(&self, border: Border, i: i64) -> Option<isize> {
        Some((border.place(i - self.before, self.from)? * self.stride) as isize)
    }

    /// Positions of the result that show the source one after another.
    fn inside(&self) -> Range<i64> {
        let start = self.before.clamp(0, self.to);
        start..(self.before + self.from).clamp(start, self.to)
    }
}

struct Target(*mut u8);
// SAFETY: threads write disjoint rows.
unsafe impl Sync for Target {}

impl Target {
    fn at<T>(&self, element: usize) -> *mut T {
        self.0.cast::<T>().wrapping_add(element)
    }
}

/// Elements below which another thread does not pay.
const GRAIN: usize = 16 * 1024;

/// Writes `src` of `from` sizes to `dst` of `to` sizes, row-major, so that `src[i]` is at `dst[i + before]`, and what
/// `border` says around it. `value` points to one element.
///
/// # Safety
/// Both are valid for their sizes and do not overlap; with another border than `Constant`, `src` is not empty and
/// [`Border::place`] lies inside it for every position.
pub unsafe fn pad(
    border: Border,
    to: &[i64],
    dst: *mut u8,
    from: &[i64],
    src: Operand,
    before: &[i64],
    value: *const u8,
) {
    let dim = |d: usize| Dim { to: to[d], from: from[d], before: before[d], stride: src.strides[d] };
    let Some(last) = to.len().checked_sub(1) else {
        // SAFETY: one element on both sides.
        return unsafe { std::ptr::copy_nonoverlapping(src.ptr, dst, src.dtype.size()) };
    };
    let (mut outer, line): (Vec<Dim>, Dim) = ((0..last).map(dim).collect(), dim(last));
    let rows = outer.pop().unwrap_or(Dim { to: 1, from: 1, before: 0, stride: 0 });
    let (width, height) = (to[last] as usize, rows.to as usize);
    let total: usize = to[..last].iter().map(|n| *n as usize).product();
    let (dst, from, value) = (Target(dst), Target(src.ptr), Target(value.cast_mut()));
    with_bits!(src.dtype, T => for_ranges(total, GRAIN / width.max(1) + 1, |range| {
        let (mut plane, mut at) = (place(border, &outer, range.start / height), range.start % height);
        for row in range {
            if at == 0 {
                plane = place(border, &outer, row / height);
            }
            let offset = plane.and_then(|plane| Some(plane + rows.offset(border, at as i64)?));
            at = if at + 1 == height { 0 } else { at + 1 };
            let from = offset.map(|offset| from.at::<T>(0).cast_const().wrapping_offset(offset));
            // SAFETY: a row of the result; the caller vouches for the places in the source.
            unsafe { line.write(border, dst.at::<T>(row * width), from, *value.at::<T>(0)) };
        }
    }));
}

/// The source's offset, in elements, that shows at number `index` of all positions.
fn place(border: Border, dims: &[Dim], mut index: usize) -> Option<isize> {
    let mut offset = 0;
    for dim in dims.iter().rev() {
        offset += dim.offset(border, (index % dim.to as usize) as i64)?;
        index /= dim.to as usize;
    }
    Some(offset)
}

impl Dim {
    /// Writes one row; without a source, the value.
    ///
    /// # Safety
    /// `dst` is valid for the row, `src` for the places that it shows.
    #[inline(always)]
    unsafe fn write<T: Copy>(&self, border: Border, dst: *mut T, src: Option<*const T>, value: T) {
        let put = |i: i64, value: T| {
            // SAFETY: positions of the row.
            unsafe { dst.offset(i as isize).write(value) }
        };
        let Some(src) = src else { return (0..self.to).for_each(|i| put(i, value)) };
        let inside = self.inside();
        // SAFETY: places that the row shows, for which the caller vouches.
        unsafe {
            for i in (0..inside.start).chain(inside.end..self.to) {
                put(i, self.offset(border, i).map_or(value, |offset| *src.offset(offset)));
            }
            let n = (inside.end - inside.start) as usize;
            let from = src.wrapping_offset(((inside.start - self.before) * self.stride) as isize);
            if self.stride == 1 {
                copy_bytes(dst.offset(inside.start as isize).cast(), from.cast(), n * size_of::<T>());
            } else {
                inside
                    .clone()
                    .for_each(|i| put(i, *from.offset(((i - inside.start) * self.stride) as isize)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dtype::DType;

    #[test]
    fn rows_and_columns_are_mirrored_repeated_or_filled() {
        let mut x: Vec<i32> = (0..6).collect(); // [[0, 1, 2], [3, 4, 5]]
        let want = [
            (Border::Constant, [9, 9, 9, 9, 9, 9, 0, 1, 2, 9, 9, 3, 4, 5, 9]),
            (Border::Reflect, [4, 3, 4, 5, 4, 1, 0, 1, 2, 1, 4, 3, 4, 5, 4]),
            (Border::Replicate, [0, 0, 1, 2, 2, 0, 0, 1, 2, 2, 3, 3, 4, 5, 5]),
        ];
        for (border, want) in want {
            let (mut y, value) = ([0_i32; 15], 9_i32);
            let src = Operand::new(x.as_mut_ptr().cast(), DType::I32, &[3, 1]);
            // SAFETY: both hold as many elements as their sizes say.
            unsafe {
                let value = (&raw const value).cast();
                pad(border, &[3, 5], y.as_mut_ptr().cast(), &[2, 3], src, &[1, 1], value);
            }
            assert_eq!(y, want, "{border:?}");
        }
    }

    #[test]
    fn negative_widths_cut() {
        let mut x: Vec<i16> = (0..5).collect();
        let (mut y, value) = ([0_i16; 4], 7_i16);
        let src = Operand::new(x.as_mut_ptr().cast(), DType::I16, &[1]);
        // SAFETY: as above.
        unsafe {
            let value = (&raw const value).cast();
            pad(Border::Constant, &[4], y.as_mut_ptr().cast(), &[5], src, &[-2], value);
        }
        assert_eq!(y, [2, 3, 4, 7]);
    }
}
