//! Elements that depend on their position only.

use std::mem::MaybeUninit;

use crate::dtype::Element;
use crate::parallel::for_ranges;

struct Target<T>(*mut MaybeUninit<T>);
// SAFETY: threads write disjoint ranges.
unsafe impl<T> Sync for Target<T> {}

impl<T> Target<T> {
    fn part(&self, start: usize) -> *mut MaybeUninit<T> {
        self.0.wrapping_add(start)
    }
}

/// `dst[i] = f(i)`.
pub fn fill_with<T: Element>(dst: &mut [MaybeUninit<T>], f: impl Fn(usize) -> T + Sync) {
    let target = Target(dst.as_mut_ptr());
    for_ranges(dst.len(), 32 * 1024, |range| {
        // SAFETY: ranges are disjoint parts of `dst`.
        let part = unsafe { std::slice::from_raw_parts_mut(target.part(range.start), range.len()) };
        part.iter_mut().zip(range).for_each(|(v, i)| *v = MaybeUninit::new(f(i)));
    });
}
