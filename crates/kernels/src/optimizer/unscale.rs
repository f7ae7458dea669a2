//! Division of gradients by the scale of the loss, and the question whether they are finite, in one pass.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{CHUNK, share};
use crate::cast::Target;
use crate::dtype::{bf16, f16};
use crate::multiversion;

/// An element of a gradient.
trait Gradient: Copy {
    /// The product, and whether the element itself is finite.
    fn scaled(self, factor: f32) -> (Self, bool);
}

macro_rules! floats {
    ($($name:ident: $ty:ty, computed as $compute:ty;)*) => {
        /// The elements of a tensor.
        #[allow(missing_docs)] // each is the type of its name
        pub enum Floats<'a> { $($name(&'a mut [$ty])),* }

        impl<'a> Floats<'a> {
            fn chunks(self) -> Vec<Floats<'a>> {
                match self { $(Floats::$name(x) => x.chunks_mut(CHUNK).map(Floats::$name).collect()),* }
            }

            fn scale(self, factor: f32) -> bool {
                match self { $(Floats::$name(x) => scale(x, factor)),* }
            }
        }

        $(impl Gradient for $ty {
            #[inline(always)]
            fn scaled(self, factor: f32) -> ($ty, bool) {
                let x = <$compute>::of(self);
                (<$ty>::of(x * <$compute>::of(factor)), x.is_finite())
            }
        })*
    };
}

floats! {
    F16: f16, computed as f32;
    BF16: bf16, computed as f32;
    F32: f32, computed as f32;
    F64: f64, computed as f64;
}

/// Multiplies all elements by `factor`; whether they were finite before.
pub fn unscale(tensors: Vec<Floats<'_>>, factor: f32) -> bool {
    let finite = AtomicBool::new(true);
    share(tensors.into_iter().flat_map(Floats::chunks).collect(), |x: Floats<'_>| {
        if !x.scale(factor) {
            finite.store(false, Ordering::Relaxed);
        }
    });
    finite.into_inner()
}

multiversion! {
    fn scale<E: Gradient>(x: &mut [E], factor: f32) -> bool {
        let mut strange = 0_u32;
        for x in x {
            let (scaled, finite) = x.scaled(factor);
            *x = scaled;
            strange |= u32::from(!finite);
        }
        strange == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_overflows_when_multiplied_was_finite() {
        let (mut a, mut b) = ([3e38_f32; 40], [f16::of(2.0); 3]);
        assert!(unscale(vec![Floats::F32(&mut a), Floats::F16(&mut b)], 10.0));
        assert_eq!((a[39], f32::of(b[2])), (f32::INFINITY, 20.0));
        for strange in [f64::NAN, f64::NEG_INFINITY] {
            let mut c = vec![1.0; 2 * CHUNK + 1];
            c[2 * CHUNK] = strange;
            assert!(!unscale(vec![Floats::F64(&mut c)], 0.5));
            assert_eq!(c[0], 0.5);
        }
    }
}
