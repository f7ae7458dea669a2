//! Joining the lanes that a loop has summed side by side.

/// A quarter of the lanes: lane `i` joins the lanes `i`, `i + N`, `i + 2 N` and `i + 3 N`.
#[inline(always)]
fn quarter<T: Copy, const N: usize>(lanes: &[T], join: impl Fn(T, T) -> T) -> [T; N] {
    let mut out = [lanes[0]; N];
    for i in 0..N {
        out[i] = join(join(lanes[i], lanes[i + 2 * N]), join(lanes[i + N], lanes[i + 3 * N]));
    }
    out
}

/// 16 lanes joined pairwise.
#[inline(always)]
pub(crate) fn join16<T: Copy>(lanes: [T; 16], join: impl Fn(T, T) -> T) -> T {
    let four: [T; 4] = quarter(&lanes, &join);
    quarter::<T, 1>(&four, join)[0]
}

/// 32 lanes joined pairwise.
#[inline(always)]
pub(crate) fn join32<T: Copy>(lanes: [T; 32], join: impl Fn(T, T) -> T) -> T {
    let eight: [T; 8] = quarter(&lanes, &join);
    let [a, b] = quarter(&eight, &join);
    join(a, b)
}

/// 64 lanes joined to 16.
#[inline(always)]
pub(crate) fn join64<T: Copy>(lanes: [T; 64], join: impl Fn(T, T) -> T) -> [T; 16] {
    quarter(&lanes, join)
}
