//! Element types: the run-time [`DType`] and the Rust types that store it ([`Element`]).

pub use half::{bf16, f16};

/// Complex number of two `f32`.
pub type C32 = num_complex::Complex<f32>;
/// Complex number of two `f64`.
pub type C64 = num_complex::Complex<f64>;

/// The element type of a tensor, named as PyTorch names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum DType {
    /// `torch.bool`, one byte, 0 or 1.
    Bool,
    /// `torch.uint8`.
    U8,
    /// `torch.int8`.
    I8,
    /// `torch.int16`.
    I16,
    /// `torch.int32`.
    I32,
    /// `torch.int64`.
    I64,
    /// `torch.float16`.
    F16,
    /// `torch.bfloat16`.
    BF16,
    /// `torch.float32`.
    F32,
    /// `torch.float64`.
    F64,
    /// `torch.complex64`, two `f32`.
    Complex64,
    /// `torch.complex128`, two `f64`.
    Complex128,
}

impl DType {
    /// The nearest number of a half type; what other types hold is not narrowed.
    pub fn round_half(self, x: f64) -> f64 {
        match self {
            DType::F16 => f16::from_f64(x).to_f64(),
            DType::BF16 => bf16::from_f64(x).to_f64(),
            _ => x,
        }
    }

    /// All element types.
    pub const ALL: [DType; 12] = [
        DType::Bool,
        DType::U8,
        DType::I8,
        DType::I16,
        DType::I32,
        DType::I64,
        DType::F16,
        DType::BF16,
        DType::F32,
        DType::F64,
        DType::Complex64,
        DType::Complex128,
    ];

    /// Bytes of one element.
    pub const fn size(self) -> usize {
        match self {
            DType::Bool | DType::U8 | DType::I8 => 1,
            DType::I16 | DType::F16 | DType::BF16 => 2,
            DType::I32 | DType::F32 => 4,
            DType::I64 | DType::F64 | DType::Complex64 => 8,
            DType::Complex128 => 16,
        }
    }

    /// PyTorch's name without the `torch.` prefix, such as `float32`.
    pub const fn name(self) -> &'static str {
        match self {
            DType::Bool => "bool",
            DType::U8 => "uint8",
            DType::I8 => "int8",
            DType::I16 => "int16",
            DType::I32 => "int32",
            DType::I64 => "int64",
            DType::F16 => "float16",
            DType::BF16 => "bfloat16",
            DType::F32 => "float32",
            DType::F64 => "float64",
            DType::Complex64 => "complex64",
            DType::Complex128 => "complex128",
        }
    }

    /// The name in PyTorch's error texts, such as `Float`.
    pub const fn scalar_type(self) -> &'static str {
        match self {
            DType::Bool => "Bool",
            DType::U8 => "Byte",
            DType::I8 => "Char",
            DType::I16 => "Short",
            DType::I32 => "Int",
            DType::I64 => "Long",
            DType::F16 => "Half",
            DType::BF16 => "BFloat16",
            DType::F32 => "Float",
            DType::F64 => "Double",
            DType::Complex64 => "ComplexFloat",
            DType::Complex128 => "ComplexDouble",
        }
    }

    /// The dtype of that name (`float32`, `torch.float32`, or an alias such as `float`, `long`, `half`).
    pub fn parse(name: &str) -> Option<DType> {
        let name = name.strip_prefix("torch.").unwrap_or(name);
        let alias = match name {
            "float" => "float32",
            "double" => "float64",
            "half" => "float16",
            "short" => "int16",
            "int" => "int32",
            "long" => "int64",
            "cfloat" => "complex64",
            "cdouble" => "complex128",
            other => other,
        };
        DType::ALL.into_iter().find(|d| d.name() == alias)
    }

    /// `float16`, `bfloat16`, `float32` or `float64`.
    pub const fn is_floating_point(self) -> bool {
        matches!(self, DType::F16 | DType::BF16 | DType::F32 | DType::F64)
    }

    /// `complex64` or `complex128`.
    pub const fn is_complex(self) -> bool {
        matches!(self, DType::Complex64 | DType::Complex128)
    }

    /// An integer type or `bool`.
    pub const fn is_integral_or_bool(self) -> bool {
        !self.is_floating_point() && !self.is_complex()
    }

    /// A type that can hold gradients: floating point or complex.
    pub const fn is_differentiable(self) -> bool {
        !self.is_integral_or_bool()
    }

    /// The real type of a complex type's parts; any other type unchanged.
    pub const fn to_real(self) -> DType {
        match self {
            DType::Complex64 => DType::F32,
            DType::Complex128 => DType::F64,
            other => other,
        }
    }

    /// The complex type whose parts are of this type (`complex64` for all but `float64` and `complex128`).
    pub const fn to_complex(self) -> DType {
        match self {
            DType::F64 | DType::Complex128 => DType::Complex128,
            _ => DType::Complex64,
        }
    }
}

impl std::fmt::Display for DType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "torch.{}", self.name())
    }
}

/// A Rust type that is stored as the elements of one [`DType`].
///
/// # Safety
/// The type has exactly `DTYPE.size()` bytes, no padding, no destructor. Every bit pattern that Cresset writes for
/// that dtype is a valid value (`bool` is only ever written as 0 or 1).
pub unsafe trait Element: Copy + Send + Sync + PartialEq + std::fmt::Debug + 'static {
    /// The dtype whose elements are stored as this type.
    const DTYPE: DType;
}

macro_rules! elements {
    ($($ty:ty => $dtype:ident),* $(,)?) => {
        $(
            // SAFETY: the type is plain data of exactly the dtype's size.
            unsafe impl Element for $ty {
                const DTYPE: DType = DType::$dtype;
            }
            const _: () = assert!(size_of::<$ty>() == DType::$dtype.size());
        )*
    };
}

elements! {
    bool => Bool, u8 => U8, i8 => I8, i16 => I16, i32 => I32, i64 => I64,
    f16 => F16, bf16 => BF16, f32 => F32, f64 => F64, C32 => Complex64, C64 => Complex128,
}

/// Runs `$body` with `$T` bound to the Rust type that stores `$dtype`: `with_element!(dtype, T => f::<T>(x))`.
#[macro_export]
macro_rules! with_element {
    ($dtype:expr, $T:ident => $body:expr) => {
        match $dtype {
            $crate::dtype::DType::Bool => {
                type $T = bool;
                $body
            }
            $crate::dtype::DType::U8 => {
                type $T = u8;
                $body
            }
            $crate::dtype::DType::I8 => {
                type $T = i8;
                $body
            }
            $crate::dtype::DType::I16 => {
                type $T = i16;
                $body
            }
            $crate::dtype::DType::I32 => {
                type $T = i32;
                $body
            }
            $crate::dtype::DType::I64 => {
                type $T = i64;
                $body
            }
            $crate::dtype::DType::F16 => {
                type $T = $crate::dtype::f16;
                $body
            }
            $crate::dtype::DType::BF16 => {
                type $T = $crate::dtype::bf16;
                $body
            }
            $crate::dtype::DType::F32 => {
                type $T = f32;
                $body
            }
            $crate::dtype::DType::F64 => {
                type $T = f64;
                $body
            }
            $crate::dtype::DType::Complex64 => {
                type $T = $crate::dtype::C32;
                $body
            }
            $crate::dtype::DType::Complex128 => {
                type $T = $crate::dtype::C64;
                $body
            }
        }
    };
}
