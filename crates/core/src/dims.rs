//! [`Dims`]: a short list of sizes or strides.
//!
//! A tensor call copies half a dozen of these, so up to four entries live inline, where a copy is a few moves
//! of vector registers; longer lists spill to the heap.

use std::fmt;
use std::ops::{Deref, DerefMut};

const INLINE: usize = 4;

/// Sizes or strides; up to four dimensions without an allocation.
#[allow(clippy::box_collection)] // one word here is what keeps a whole view below 128 bytes
pub struct Dims {
    len: usize,
    inline: [i64; INLINE],
    spilled: Option<Box<Vec<i64>>>,
}

impl Dims {
    /// An empty list.
    pub const fn new() -> Dims {
        Dims { len: 0, inline: [0; INLINE], spilled: None }
    }

    /// A copy of a slice.
    #[inline]
    pub fn from_slice(slice: &[i64]) -> Dims {
        let mut dims = Dims::new();
        if slice.len() <= INLINE {
            dims.len = slice.len();
            for (to, from) in dims.inline.iter_mut().zip(slice) {
                *to = *from;
            }
        } else {
            dims.spilled = Some(Box::new(slice.to_vec()));
        }
        dims
    }

    /// `n` times the same entry.
    #[inline]
    pub fn from_elem(value: i64, n: usize) -> Dims {
        if n <= INLINE {
            Dims { len: n, inline: [value; INLINE], spilled: None }
        } else {
            Dims { len: 0, inline: [0; INLINE], spilled: Some(Box::new(vec![value; n])) }
        }
    }

    /// The entries.
    #[inline]
    pub fn as_slice(&self) -> &[i64] {
        match &self.spilled {
            None => &self.inline[..self.len],
            Some(v) => v,
        }
    }

    /// Appends an entry.
    #[inline]
    pub fn push(&mut self, value: i64) {
        if self.spilled.is_none() && self.len < INLINE {
            self.inline[self.len] = value;
            self.len += 1;
        } else {
            self.spill().push(value);
        }
    }

    /// Removes and returns the last entry.
    pub fn pop(&mut self) -> Option<i64> {
        match &mut self.spilled {
            Some(v) => v.pop(),
            None => {
                self.len = self.len.checked_sub(1)?;
                Some(self.inline[self.len])
            }
        }
    }

    /// Inserts an entry before position `at`.
    ///
    /// # Panics
    /// If `at` is beyond the end.
    pub fn insert(&mut self, at: usize, value: i64) {
        if self.spilled.is_none() && self.len < INLINE {
            assert!(at <= self.len, "insertion index {at} is beyond the length {}", self.len);
            self.inline.copy_within(at..self.len, at + 1);
            self.inline[at] = value;
            self.len += 1;
        } else {
            self.spill().insert(at, value);
        }
    }

    /// Removes and returns the entry at position `at`.
    ///
    /// # Panics
    /// If there is none.
    pub fn remove(&mut self, at: usize) -> i64 {
        match &mut self.spilled {
            Some(v) => v.remove(at),
            None => {
                let removed = self.as_slice()[at];
                self.inline.copy_within(at + 1..self.len, at);
                self.len -= 1;
                removed
            }
        }
    }

    /// Appends all entries of a slice.
    pub fn extend_from_slice(&mut self, slice: &[i64]) {
        slice.iter().for_each(|x| self.push(*x));
    }

    /// Shortens to `n` entries.
    pub fn truncate(&mut self, n: usize) {
        match &mut self.spilled {
            Some(v) => v.truncate(n),
            None => self.len = self.len.min(n),
        }
    }

    /// Empties the list.
    pub fn clear(&mut self) {
        self.truncate(0);
    }

    /// Changes the length, filling with `value`.
    pub fn resize(&mut self, n: usize, value: i64) {
        self.truncate(n);
        while self.as_slice().len() < n {
            self.push(value);
        }
    }

    #[cold]
    fn spill(&mut self) -> &mut Vec<i64> {
        let (inline, len) = (&self.inline, self.len);
        self.spilled.get_or_insert_with(|| Box::new(inline[..len].to_vec()))
    }
}

impl Default for Dims {
    fn default() -> Self {
        Dims::new()
    }
}

impl Clone for Dims {
    #[inline]
    fn clone(&self) -> Self {
        match &self.spilled {
            None => Dims { len: self.len, inline: self.inline, spilled: None },
            Some(v) => Dims::from_slice(v),
        }
    }
}

impl Deref for Dims {
    type Target = [i64];
    #[inline]
    fn deref(&self) -> &[i64] {
        self.as_slice()
    }
}

impl DerefMut for Dims {
    #[inline]
    fn deref_mut(&mut self) -> &mut [i64] {
        match &mut self.spilled {
            None => &mut self.inline[..self.len],
            Some(v) => v,
        }
    }
}

impl AsRef<[i64]> for Dims {
    fn as_ref(&self) -> &[i64] {
        self
    }
}

impl PartialEq for Dims {
    #[inline]
    fn eq(&self, other: &Dims) -> bool {
        let (a, b) = (self.as_slice(), other.as_slice());
        a.len() == b.len() && a.iter().zip(b).all(|(x, y)| x == y)
    }
}

impl Eq for Dims {}

impl PartialEq<[i64]> for Dims {
    fn eq(&self, other: &[i64]) -> bool {
        self.as_slice() == other
    }
}

impl<const N: usize> PartialEq<[i64; N]> for Dims {
    fn eq(&self, other: &[i64; N]) -> bool {
        self.as_slice() == other
    }
}

impl fmt::Debug for Dims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_slice().fmt(f)
    }
}

impl FromIterator<i64> for Dims {
    fn from_iter<I: IntoIterator<Item = i64>>(iter: I) -> Self {
        let mut dims = Dims::new();
        dims.extend(iter);
        dims
    }
}

impl<'a> FromIterator<&'a i64> for Dims {
    fn from_iter<I: IntoIterator<Item = &'a i64>>(iter: I) -> Self {
        iter.into_iter().copied().collect()
    }
}

impl Extend<i64> for Dims {
    fn extend<I: IntoIterator<Item = i64>>(&mut self, iter: I) {
        iter.into_iter().for_each(|x| self.push(x));
    }
}

impl From<&[i64]> for Dims {
    fn from(slice: &[i64]) -> Self {
        Dims::from_slice(slice)
    }
}

impl From<Vec<i64>> for Dims {
    fn from(v: Vec<i64>) -> Self {
        Dims::from_slice(&v)
    }
}

impl<const N: usize> From<[i64; N]> for Dims {
    fn from(a: [i64; N]) -> Self {
        Dims::from_slice(&a)
    }
}

/// Iterates over owned entries.
pub struct IntoIter {
    dims: Dims,
    at: usize,
}

impl Iterator for IntoIter {
    type Item = i64;
    fn next(&mut self) -> Option<i64> {
        let x = self.dims.get(self.at).copied();
        self.at += 1;
        x
    }
}

impl IntoIterator for Dims {
    type Item = i64;
    type IntoIter = IntoIter;
    fn into_iter(self) -> IntoIter {
        IntoIter { dims: self, at: 0 }
    }
}

impl<'a> IntoIterator for &'a Dims {
    type Item = &'a i64;
    type IntoIter = std::slice::Iter<'a, i64>;
    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behaves_as_a_vector_on_both_sides_of_the_inline_length() {
        for n in 0..10_i64 {
            let mut dims: Dims = (0..n).collect();
            let mut vec: Vec<i64> = (0..n).collect();
            dims.insert(n as usize / 2, 77);
            vec.insert(n as usize / 2, 77);
            dims.push(5);
            vec.push(5);
            assert_eq!(dims.remove(0), vec.remove(0));
            assert_eq!((dims.as_slice(), dims.clone().len()), (vec.as_slice(), vec.len()));
            dims.resize(9, -1);
            vec.resize(9, -1);
            assert_eq!(dims.pop(), vec.pop());
            assert_eq!(dims.into_iter().collect::<Vec<_>>(), vec);
        }
    }
}
