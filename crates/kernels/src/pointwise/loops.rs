//! The loops that rows of the operation tables expand to.

/// `out[i] = e(a[i])` with the parameters `p`, compiled for each instruction set: `map1!(out, a, (p = v), |x| e)`.
macro_rules! map1 {
    ($T:ident: $bound:path => $R:ty; $out:expr, $a:expr, ($($p:ident = $v:expr),*), |$x:ident| $e:expr) => {{
        $crate::multiversion! {
            fn run<$T: $bound>(out: &mut [std::mem::MaybeUninit<$R>], a: &[$T], $($p: $T),*) {
                for (o, x) in out.iter_mut().zip(a) {
                    let $x = *x;
                    o.write($e);
                }
            }
        }
        run::<$T>($out, $a, $($v),*)
    }};
}

/// `out[i] = e(a[i], b[i])` likewise.
macro_rules! map2 {
    ($T:ident: $bound:path => $R:ty; $out:expr, $a:expr, $b:expr, ($($p:ident = $v:expr),*), |$x:ident, $y:ident| $e:expr) => {{
        $crate::multiversion! {
            fn run<$T: $bound>(out: &mut [std::mem::MaybeUninit<$R>], a: &[$T], b: &[$T], $($p: $T),*) {
                for ((o, x), y) in out.iter_mut().zip(a).zip(b) {
                    let ($x, $y) = (*x, *y);
                    o.write($e);
                }
            }
        }
        run::<$T>($out, $a, $b, $($v),*)
    }};
}

/// `out[i] = f(a[i])`, compiled once: for functions that are calls anyway.
pub(super) fn call1<A: Copy, R>(out: &mut [std::mem::MaybeUninit<R>], a: &[A], f: impl Fn(A) -> R) {
    for (o, a) in out.iter_mut().zip(a) {
        o.write(f(*a));
    }
}

/// `out[i] = f(a[i], b[i])`, compiled once.
pub(super) fn call2<A: Copy, R>(
    out: &mut [std::mem::MaybeUninit<R>],
    a: &[A],
    b: &[A],
    f: impl Fn(A, A) -> R,
) {
    for ((o, a), b) in out.iter_mut().zip(a).zip(b) {
        o.write(f(*a, *b));
    }
}

/// `out[i] = f(a[i], b[i], c[i])`, compiled once.
pub(super) fn call3<A: Copy, R>(
    out: &mut [std::mem::MaybeUninit<R>],
    a: &[A],
    b: &[A],
    c: &[A],
    f: impl Fn(A, A, A) -> R,
) {
    for (((o, a), b), c) in out.iter_mut().zip(a).zip(b).zip(c) {
        o.write(f(*a, *b, *c));
    }
}

pub(super) use {map1, map2};
