//! The loops that apply taps: one row of output at a time, first across rows of the input, then along the row.

use super::taps::Row;
use super::{Planes, Taps};
use crate::block::Compute;
use crate::dtype::DType;
use crate::math::Real;
use crate::multiversion;
use crate::parallel::for_tasks;

/// Elements that are worth a task.
const GRAIN: usize = 1 << 14;

multiversion! {
    fn scale_into<T: Real>(w: T, x: &[T], y: &mut [T]) {
        y.iter_mut().zip(x).for_each(|(y, x)| *y = w * *x);
    }

    fn add_scaled<T: Real>(w: T, x: &[T], y: &mut [T]) {
        y.iter_mut().zip(x).for_each(|(y, x)| *y = *y + w * *x);
    }

    /// Outputs of a row whose elements are single numbers.
    fn along<T: Real>(taps: &Taps<T>, x: &[T], y: &mut [T]) {
        assert!(x.len() == taps.inputs);
        if let Some((index, weight)) = taps.uniform::<1>() {
            y.iter_mut().zip(index).zip(weight).for_each(|((y, i), w)| *y = w[0] * x[i[0] as usize]);
        } else if let Some((index, weight)) = taps.uniform::<2>() {
            for ((y, i), w) in y.iter_mut().zip(index).zip(weight) {
                *y = w[0] * x[i[0] as usize] + w[1] * x[i[1] as usize];
            }
        } else if let Some((index, weight)) = taps.uniform::<4>() {
            for ((y, i), w) in y.iter_mut().zip(index).zip(weight) {
                let left = w[0] * x[i[0] as usize] + w[1] * x[i[1] as usize];
                *y = left + w[2] * x[i[2] as usize] + w[3] * x[i[3] as usize];
            }
        } else {
            for (o, y) in y.iter_mut().enumerate() {
                let (index, weight) = taps.at(o);
                *y = index.iter().zip(weight).fold(T::ZERO, |s, (i, w)| s + *w * x[*i as usize]);
            }
        }
    }
}

/// Outputs of a row whose elements are `inner` numbers side by side.
fn along_inner<T: Real>(taps: &Taps<T>, inner: usize, x: &[T], y: &mut [T]) {
    for (o, y) in y.chunks_exact_mut(inner).enumerate() {
        let (index, weight) = taps.at(o);
        let part = |i: u32| &x[i as usize * inner..(i as usize + 1) * inner];
        let Some((i, w)) = index.first().zip(weight.first()) else {
            y.fill(T::ZERO);
            continue;
        };
        scale_into(*w, part(*i), y);
        index[1..].iter().zip(&weight[1..]).for_each(|(i, w)| add_scaled(*w, part(*i), y));
    }
}

/// Where the rows of the input lie.
#[derive(Clone, Copy)]
struct Rows {
    ptr: *const u8,
    dtype: DType,
    /// Elements of a row.
    width: usize,
}

// SAFETY: an address; `resample` says what is read through it.
unsafe impl Sync for Rows {}

impl Rows {
    /// The address of row number `i`.
    fn address(&self, i: usize) -> *const u8 {
        self.ptr.wrapping_add(i * self.width * self.dtype.size())
    }

    /// Row number `i`, converted in `buf` if need be.
    ///
    /// # Safety
    /// The row lies in memory that nobody writes.
    unsafe fn get<'a, T: Compute>(&self, i: usize, buf: &'a mut [T]) -> &'a [T] {
        // SAFETY: as the caller promises.
        unsafe { T::view(self.address(i), self.dtype, 1, self.width, buf) }
    }
}

/// The rows of the input that make a row of output, added up with their weights; a single one is not copied.
///
/// # Safety
/// The planes of `rows` have as many rows as the taps have inputs, and nobody writes them.
unsafe fn across<'a, T: Compute + Real>(
    (z, y): (Row<'_, T>, Row<'_, T>),
    rows: Rows,
    (plane, height): (usize, usize),
    [sum, buf]: [&'a mut [T]; 2],
) -> &'a [T] {
    if let ([z0], [wz], [y0], [wy]) = (z.0, z.1, y.0, y.1)
        && *wz * *wy == T::ONE
    {
        // SAFETY: taps index rows of the plane.
        return unsafe { rows.get(plane + *z0 as usize * height + *y0 as usize, buf) };
    }
    let mut empty = true;
    for (z, wz) in z.0.iter().zip(z.1) {
        for (y, wy) in y.0.iter().zip(y.1) {
            // SAFETY: as above.
            let row = unsafe { rows.get(plane + *z as usize * height + *y as usize, buf) };
            let add = if empty { scale_into } else { add_scaled };
            add(*wz * *wy, row, sum);
            empty = false;
        }
    }
    if empty {
        sum.fill(T::ZERO);
    }
    sum
}

/// An address that tasks write to, each its own rows.
#[derive(Clone, Copy)]
struct Target(*mut u8);

// SAFETY: the tasks of a loop write disjoint rows.
unsafe impl Sync for Target {}

impl Target {
    /// The address `bytes` further on.
    fn at(&self, bytes: usize) -> *mut u8 {
        self.0.wrapping_add(bytes)
    }
}

/// Resamples `x` to `y`, both of type `dtype` and of the sizes that `planes` and `taps` say.
///
/// # Safety
/// `x` and `y` are the addresses of such tensors, which do not overlap; nobody else writes them.
pub unsafe fn resample<T: Compute + Real>(
    taps: &[Taps<T>; 3],
    planes: Planes,
    dtype: DType,
    x: *const u8,
    y: *mut u8,
) {
    let [depth, height] = [taps[0].outputs(), taps[1].outputs()];
    let (from, to) = (taps[2].inputs * planes.inner, taps[2].outputs() * planes.inner);
    let rows = planes.batch * depth * height;
    let (source, target) = (Rows { ptr: x, dtype, width: from }, Target(y));
    let group = (GRAIN / (from + to).max(1)).max(1);
    for_tasks(rows.div_ceil(group), |task| {
        let (mut sum, mut buf, mut line) = (vec![T::ZERO; from], vec![T::ZERO; from], vec![T::ZERO; to]);
        for r in task * group..((task + 1) * group).min(rows) {
            let plane = r / (depth * height) * taps[0].inputs * taps[1].inputs;
            let (z, h) = (taps[0].at(r / height % depth), taps[1].at(r % height));
            // SAFETY: the planes have as many rows as the taps have inputs.
            let row = unsafe { across((z, h), source, (plane, taps[1].inputs), [&mut sum, &mut buf]) };
            if planes.inner == 1 {
                along(&taps[2], row, &mut line)
            } else {
                along_inner(&taps[2], planes.inner, row, &mut line)
            }
            // SAFETY: this task's row of the output.
            unsafe { T::scatter(target.at(r * to * dtype.size()), dtype, 1, &line) };
        }
    });
}

/// `y[o] = x[index[o]]` for elements of `inner` bytes.
///
/// # Safety
/// `x` has all elements that are named, `y` one for each index; they do not overlap.
unsafe fn pick_row(index: &[u32], inner: usize, x: *const u8, y: *mut u8) {
    macro_rules! typed {
        ($t:ty) => {
            for (o, i) in index.iter().enumerate() {
                // SAFETY: as the caller promises.
                unsafe {
                    y.cast::<$t>().add(o).write_unaligned(x.cast::<$t>().add(*i as usize).read_unaligned())
                }
            }
        };
    }
    match inner {
        1 => typed!(u8),
        2 => typed!(u16),
        4 => typed!(u32),
        8 => typed!(u64),
        _ => {
            for (o, i) in index.iter().enumerate() {
                // SAFETY: as the caller promises.
                unsafe { std::ptr::copy_nonoverlapping(x.add(*i as usize * inner), y.add(o * inner), inner) }
            }
        }
    }
}

/// Moves elements of `size` bytes to where taps of one input each ([`Taps::nearest`]) say.
///
/// # Safety
/// As [`resample`].
pub unsafe fn pick<T: Real>(taps: &[Taps<T>; 3], planes: Planes, size: usize, x: *const u8, y: *mut u8) {
    let [zs, ys, xs] = taps.each_ref().map(|t| t.sources());
    let bytes = planes.inner * size;
    let (from, to) = (taps[2].inputs * bytes, xs.len() * bytes);
    let rows = planes.batch * zs.len() * ys.len();
    let (source, target) = (Rows { ptr: x, dtype: DType::U8, width: from }, Target(y));
    let group = (GRAIN / to.max(1)).max(1);
    for_tasks(rows.div_ceil(group), |task| {
        let mut last = usize::MAX;
        for r in task * group..((task + 1) * group).min(rows) {
            let plane = r / (zs.len() * ys.len()) * taps[0].inputs;
            let z = plane + zs[r / ys.len() % zs.len()] as usize;
            let row = z * taps[1].inputs + ys[r % ys.len()] as usize;
            let place = target.at(r * to);
            // SAFETY: rows of the two tensors; the row above was written by this task.
            unsafe {
                if row == last {
                    std::ptr::copy_nonoverlapping(place.sub(to), place, to);
                } else {
                    pick_row(xs, bytes, source.address(row), place);
                }
            }
            last = row;
        }
    });
}
