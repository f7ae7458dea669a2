//! A Python number: its kind (bool, int, float, complex) takes part in type promotion.

use cresset_kernels::dtype::{C64, DType};

use crate::{Result, bail};

/// A number whose kind is known at run time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar {
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i64),
    /// A floating-point number.
    Float(f64),
    /// A complex number.
    Complex(C64),
}

impl Scalar {
    /// The dtype that a tensor of this number has before promotion (`float` means `float64` here).
    pub fn dtype(self) -> DType {
        match self {
            Scalar::Bool(_) => DType::Bool,
            Scalar::Int(_) => DType::I64,
            Scalar::Float(_) => DType::F64,
            Scalar::Complex(_) => DType::Complex128,
        }
    }

    /// The value as a float; a complex number gives its real part.
    pub fn to_f64(self) -> f64 {
        match self {
            Scalar::Bool(b) => f64::from(u8::from(b)),
            Scalar::Int(i) => i as f64,
            Scalar::Float(x) => x,
            Scalar::Complex(z) => z.re,
        }
    }

    /// The value as an integer, truncated towards zero and wrapped as C++ does on x86-64.
    pub fn to_i64(self) -> i64 {
        match self {
            Scalar::Bool(b) => i64::from(b),
            Scalar::Int(i) => i,
            Scalar::Float(x) => float_to_i64(x),
            Scalar::Complex(z) => float_to_i64(z.re),
        }
    }

    /// The value as a complex number.
    pub fn to_complex(self) -> C64 {
        match self {
            Scalar::Complex(z) => z,
            other => C64::new(other.to_f64(), 0.0),
        }
    }

    /// Whether it is not zero (NaN is not).
    pub fn to_bool(self) -> bool {
        match self {
            Scalar::Bool(b) => b,
            Scalar::Int(i) => i != 0,
            Scalar::Float(x) => x != 0.0,
            Scalar::Complex(z) => z.re != 0.0 || z.im != 0.0,
        }
    }

    /// Whether it is a float or a complex number.
    pub fn is_floating_or_complex(self) -> bool {
        matches!(self, Scalar::Float(_) | Scalar::Complex(_))
    }

    /// Whether it is a complex number.
    pub fn is_complex(self) -> bool {
        matches!(self, Scalar::Complex(_))
    }

    /// Whether it is a boolean.
    pub fn is_bool(self) -> bool {
        matches!(self, Scalar::Bool(_))
    }

    /// Checks that the number fits into `dtype`.
    ///
    /// # Errors
    /// `Runtime` with PyTorch's "value cannot be converted to type … without overflow".
    pub fn check_fits(self, dtype: DType) -> Result<()> {
        let fits = match (dtype, self) {
            (DType::Bool, _) => true,
            (d, Scalar::Complex(z)) if !d.is_complex() => z.im == 0.0,
            (d, Scalar::Int(_) | Scalar::Float(_)) if d.is_integral_or_bool() => in_range(self, d),
            (DType::F16, s) => finite_within(s, 65504.0),
            (DType::BF16, s) => finite_within(s, f64::from(half::bf16::MAX)),
            (DType::F32, s) => finite_within(s, f64::from(f32::MAX)),
            _ => true,
        };
        if !fits {
            bail!("value cannot be converted to type {} without overflow", cpp_name(dtype));
        }
        Ok(())
    }
}

fn finite_within(s: Scalar, max: f64) -> bool {
    let x = s.to_f64();
    !x.is_finite() || x.abs() <= max
}

fn in_range(s: Scalar, dtype: DType) -> bool {
    let (low, high) = match dtype {
        // PyTorch lets negative numbers wrap into unsigned types.
        DType::U8 => (-255.0, 255.0),
        DType::I8 => (-128.0, 127.0),
        DType::I16 => (-32768.0, 32767.0),
        DType::I32 => (-2147483648.0, 2147483647.0),
        _ => (i64::MIN as f64, i64::MAX as f64),
    };
    let x = s.to_f64();
    x >= low && x <= high
}

pub(crate) fn cpp_name(dtype: DType) -> &'static str {
    match dtype {
        DType::Bool => "bool",
        DType::U8 => "uint8_t",
        DType::I8 => "int8_t",
        DType::I16 => "int16_t",
        DType::I32 => "int",
        DType::I64 => "int64_t",
        DType::F16 => "at::Half",
        DType::BF16 => "at::BFloat16",
        DType::F32 => "float",
        DType::F64 => "double",
        DType::Complex64 => "c10::complex<float>",
        DType::Complex128 => "c10::complex<double>",
    }
}

/// The C++ name of a dtype's elements, as PyTorch's texts have it where they show a `TypeMeta`.
pub(crate) fn type_name(dtype: DType) -> &'static str {
    match dtype {
        DType::U8 => "unsigned char",
        DType::I8 => "signed char",
        DType::I16 => "short int",
        DType::I64 => "long int",
        DType::F16 => "c10::Half",
        DType::BF16 => "c10::BFloat16",
        other => cpp_name(other),
    }
}

/// What `cvttsd2si` gives: out-of-range and NaN become the smallest integer.
fn float_to_i64(x: f64) -> i64 {
    if (-9223372036854775808.0..9223372036854775808.0).contains(&x) { x as i64 } else { i64::MIN }
}

macro_rules! from {
    ($($ty:ty => $variant:ident($conv:expr)),* $(,)?) => {
        $(impl From<$ty> for Scalar { fn from(x: $ty) -> Self { Scalar::$variant($conv(x)) } })*
    };
}

from! {
    bool => Bool(|x| x), i64 => Int(|x| x), i32 => Int(i64::from), u8 => Int(i64::from), usize => Int(|x| x as i64),
    f64 => Float(|x| x), f32 => Float(f64::from), C64 => Complex(|x| x),
}

impl std::fmt::Display for Scalar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Scalar::Bool(b) => write!(f, "{}", if *b { "True" } else { "False" }),
            Scalar::Int(i) => write!(f, "{i}"),
            Scalar::Float(x) => write!(f, "{x:?}"),
            Scalar::Complex(z) => write!(f, "({:?}{:+?}j)", z.re, z.im),
        }
    }
}
