//! Which instruction set the loops use, decided once at run time.
//!
//! `CRESSET_ISA=avx512|avx2|portable` lowers the choice (never raises it above what the processor has), so that each
//! path can be tested on one machine. All paths round alike: fused multiply-adds stay fused on the portable path.

use std::sync::OnceLock;

/// An instruction set that loops are compiled for, lowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isa {
    /// What the compilation target guarantees.
    Portable,
    /// AVX2, FMA and F16C.
    Avx2,
    /// AVX-512 F, BW, DQ and VL.
    Avx512,
}

/// The instruction set in use.
#[inline]
pub fn isa() -> Isa {
    static ISA: OnceLock<Isa> = OnceLock::new();
    *ISA.get_or_init(|| {
        let limit = match std::env::var("CRESSET_ISA").as_deref() {
            Ok("portable") => Isa::Portable,
            Ok("avx2") => Isa::Avx2,
            _ => Isa::Avx512,
        };
        detected().min(limit)
    })
}

#[cfg(target_arch = "x86_64")]
fn detected() -> Isa {
    let avx2 = is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && is_x86_feature_detected!("f16c");
    let avx512 = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl");
    match (avx2, avx512) {
        (true, true) => Isa::Avx512,
        (true, false) => Isa::Avx2,
        _ => Isa::Portable,
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn detected() -> Isa {
    Isa::Portable
}

/// Asks for the cache line at `ptr`, which need not be valid: for memory that is read soon but that the processor cannot
/// guess.
#[inline(always)]
pub(crate) fn prefetch_line<T>(ptr: *const T) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: prefetching never faults, and the baseline of the architecture has it.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(ptr.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = ptr;
}

/// As [`prefetch_line`] for half a kilobyte, from where on the processor goes ahead by itself.
#[inline(always)]
pub(crate) fn prefetch<T>(ptr: *const T) {
    for line in 0..8 {
        prefetch_line(ptr.cast::<u8>().wrapping_add(64 * line));
    }
}

/// Compiles a function once for each instruction set and picks one at the call: the body is ordinary scalar code that
/// the compiler vectorises for the features of each copy.
///
/// ```ignore
/// multiversion! {
///     /// `y[i] = a * x[i] + y[i]`.
///     pub fn axpy(a: f32, x: &[f32], y: &mut [f32]) {
///         for (y, x) in y.iter_mut().zip(x) { *y = a.mul_add(*x, *y) }
///     }
/// }
/// ```
#[macro_export]
macro_rules! multiversion {
    ($($(#[$meta:meta])* $vis:vis fn $name:ident $(<$($gen:ident $(: $bound:path)?),*>)? ($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block)*) => {
        $(
            $(#[$meta])*
            #[inline]
            #[allow(clippy::too_many_arguments)]
            $vis fn $name $(<$($gen $(: $bound)?),*>)? ($($arg: $ty),*) $(-> $ret)? {
                #[inline(always)]
                #[allow(clippy::too_many_arguments)]
                fn body $(<$($gen $(: $bound)?),*>)? ($($arg: $ty),*) $(-> $ret)? $body
                #[cfg(target_arch = "x86_64")]
                #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma,bmi1,bmi2,lzcnt,popcnt,f16c")]
                #[allow(clippy::too_many_arguments)]
                fn avx512 $(<$($gen $(: $bound)?),*>)? ($($arg: $ty),*) $(-> $ret)? { body $(::<$($gen),*>)? ($($arg),*) }
                #[cfg(target_arch = "x86_64")]
                #[target_feature(enable = "avx2,fma,bmi1,bmi2,lzcnt,popcnt,f16c")]
                #[allow(clippy::too_many_arguments)]
                fn avx2 $(<$($gen $(: $bound)?),*>)? ($($arg: $ty),*) $(-> $ret)? { body $(::<$($gen),*>)? ($($arg),*) }
                match $crate::isa::isa() {
                    // SAFETY: `isa` returns a set only after detecting its features.
                    #[cfg(target_arch = "x86_64")]
                    $crate::isa::Isa::Avx512 => unsafe { avx512 $(::<$($gen),*>)? ($($arg),*) },
                    // SAFETY: as above.
                    #[cfg(target_arch = "x86_64")]
                    $crate::isa::Isa::Avx2 => unsafe { avx2 $(::<$($gen),*>)? ($($arg),*) },
                    _ => body $(::<$($gen),*>)? ($($arg),*),
                }
            }
        )*
    };
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    /// Runs all other tests of the crate again on each lower instruction set, in processes of their own: the choice is
    /// made once.
    #[test]
    fn lower_instruction_sets_pass_the_same_tests() {
        if std::env::var_os("CRESSET_ISA").is_some() {
            return;
        }
        for set in ["avx2", "portable"] {
            let tests = std::env::current_exe().expect("the test knows its binary");
            let run = Command::new(tests).args(["--skip", "isa::"]).env("CRESSET_ISA", set).output();
            let run = run.expect("the binary runs");
            assert!(run.status.success(), "{set}:\n{}", String::from_utf8_lossy(&run.stdout));
        }
    }
}
