//! Singular values of a real bidiagonal matrix by implicit QR (LINPACK's `svdc`).

use super::vector::Rotations;

/// QR steps after which a singular value counts as lost.
const STEPS: usize = 75;
/// Below this nothing is told from zero: 2^-966.
const TINY: f64 = f64::MIN_POSITIVE * (1u64 << 56) as f64;

/// A bidiagonal matrix that is being brought to diagonal form, and the rotations not yet applied to the vectors.
pub(super) struct Bidiagonal {
    /// The diagonal; in the end the singular values, in any order and with any sign.
    pub s: Vec<f64>,
    /// Beside it; the last one is 0.
    e: Vec<f64>,
    /// Of left vectors.
    pub left: Rotations,
    /// Of right vectors.
    pub right: Rotations,
}

impl Bidiagonal {
    pub(super) fn new(s: Vec<f64>, e: Vec<f64>) -> Bidiagonal {
        Bidiagonal { s, e, left: Rotations::default(), right: Rotations::default() }
    }

    /// Iterates to the end, calling `flush` with the rotations now and then; returns how many values were lost.
    ///
    /// All of the matrix is finite.
    pub(super) fn iterate(&mut self, mut flush: impl FnMut(&mut Rotations, &mut Rotations)) -> i32 {
        let (mut p, mut steps, mut lost) = (self.s.len(), 0, 0);
        while p > 0 {
            let start = self.unreduced(p);
            if start == p - 1 || steps == STEPS {
                lost += i32::from(start != p - 1);
                (p, steps) = (p - 1, 0);
                continue;
            }
            match self.negligible(start, p) {
                None => {
                    self.step(start, p);
                    steps += 1;
                }
                Some(k) if k == p - 1 => self.deflate(start, p),
                Some(k) => self.split(k, p),
            }
            flush(&mut self.left, &mut self.right);
        }
        lost
    }

    /// The first row of the unreduced block that ends before row `p`.
    fn unreduced(&mut self, p: usize) -> usize {
        for k in (0..p - 1).rev() {
            // A zero beside a number that is none ends the block too.
            if self.e[k] == 0.0
                || self.e[k].abs() <= TINY + f64::EPSILON * (self.s[k].abs() + self.s[k + 1].abs())
            {
                self.e[k] = 0.0;
                return k + 1;
            }
        }
        0
    }

    /// The last row of `start..p` whose diagonal element is negligible.
    fn negligible(&mut self, start: usize, p: usize) -> Option<usize> {
        for k in (start..p).rev() {
            let right = if k + 1 < p { self.e[k].abs() } else { 0.0 };
            let above = if k > start { self.e[k - 1].abs() } else { 0.0 };
            if self.s[k].abs() <= TINY + f64::EPSILON * (right + above) {
                self.s[k] = 0.0;
                return Some(k);
            }
        }
        None
    }

    /// Clears the column of a negligible last value.
    fn deflate(&mut self, start: usize, p: usize) {
        let mut f = std::mem::take(&mut self.e[p - 2]);
        for j in (start..p - 1).rev() {
            let (r, c, s) = turn(self.s[j], f);
            self.s[j] = r;
            if j != start {
                f = -s * self.e[j - 1];
                self.e[j - 1] *= c;
            }
            self.right.push(j, p - 1, c, s);
        }
    }

    /// Clears the row of the negligible value `k`, which splits the block.
    fn split(&mut self, k: usize, p: usize) {
        let mut f = std::mem::take(&mut self.e[k]);
        for j in k + 1..p {
            let (r, c, s) = turn(self.s[j], f);
            self.s[j] = r;
            f = -s * self.e[j];
            self.e[j] *= c;
            self.left.push(j, k, c, s);
        }
    }

    /// One QR step on rows `start..p`.
    fn step(&mut self, start: usize, p: usize) {
        let (mut f, mut g) = self.first(start, p);
        for j in start..p - 1 {
            let (r, c, s) = turn(f, g);
            if j != start {
                self.e[j - 1] = r;
            }
            f = c * self.s[j] + s * self.e[j];
            self.e[j] = c * self.e[j] - s * self.s[j];
            g = s * self.s[j + 1];
            self.s[j + 1] *= c;
            self.right.push(j, j + 1, c, s);
            let (r, c, s) = turn(f, g);
            self.s[j] = r;
            f = c * self.e[j] + s * self.s[j + 1];
            self.s[j + 1] = c * self.s[j + 1] - s * self.e[j];
            g = s * self.e[j + 1];
            self.e[j + 1] *= c;
            self.left.push(j, j + 1, c, s);
        }
        self.e[p - 2] = f;
    }

    /// What the first rotation of a step turns, from the shift nearest the last value.
    fn first(&self, start: usize, p: usize) -> (f64, f64) {
        let all = [self.s[p - 1], self.s[p - 2], self.e[p - 2], self.s[start], self.e[start]];
        let scale = all.iter().fold(0.0f64, |m, x| m.max(x.abs()));
        let [last, before, beside, head, next] = all.map(|x| x / scale);
        let b = ((before + last) * (before - last) + beside * beside) / 2.0;
        let c = (last * beside) * (last * beside);
        let shift = if b == 0.0 && c == 0.0 { 0.0 } else { c / (b + (b * b + c).sqrt().copysign(b)) };
        ((head + last) * (head - last) + shift, head * next)
    }
}

/// Length of `(f, g)`, and the cosine and sine that turn it to the first axis.
fn turn(f: f64, g: f64) -> (f64, f64, f64) {
    let r = f.hypot(g);
    if r == 0.0 { (0.0, 1.0, 0.0) } else { (r, f / r, g / r) }
}
