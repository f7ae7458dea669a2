//! Elements in and out: tensors from Rust data and numbers, and back.

use cresset_kernels::dtype::{C32, C64, DType, Element, bf16, f16};

use crate::layout::{Layout, checked_numel};
use crate::storage::{Storage, View, access};
use crate::{Device, Result, Scalar, Tensor, bail};

impl Tensor {
    /// A tensor of that shape whose dtype is that of the elements, as `from_numpy` keeps it.
    ///
    /// # Errors
    /// `Runtime` when the number of elements is not that of the shape.
    pub fn from_slice<T: Element>(data: &[T], sizes: impl AsRef<[i64]>) -> Result<Tensor> {
        let sizes = sizes.as_ref();
        let n = checked_numel(sizes, size_of::<T>())?;
        if n != data.len() {
            bail!("shape '{sizes:?}' is invalid for input of size {}", data.len());
        }
        let t = Tensor::empty_of(sizes, T::DTYPE, Device::Cpu)?;
        t.write_from(data);
        Ok(t)
    }

    /// As [`Tensor::from_slice`].
    ///
    /// # Errors
    /// As [`Tensor::from_slice`].
    pub fn from_vec<T: Element>(data: Vec<T>, sizes: impl AsRef<[i64]>) -> Result<Tensor> {
        Tensor::from_slice(&data, sizes)
    }

    /// A row-major tensor from the little-endian bytes of its elements.
    ///
    /// # Errors
    /// `Runtime` when the number of bytes is not that of the shape, or a `bool` is neither 0 nor 1.
    pub fn from_bytes(bytes: &[u8], dtype: DType, sizes: &[i64]) -> Result<Tensor> {
        let n = checked_numel(sizes, dtype.size())?;
        if n * dtype.size() != bytes.len() {
            bail!("expected {} bytes for shape {sizes:?} of {dtype}, got {}", n * dtype.size(), bytes.len());
        }
        if dtype == DType::Bool && bytes.iter().any(|b| *b > 1) {
            bail!("expected 0 or 1 in the bytes of a bool tensor");
        }
        Tensor::from_storage(Storage::from_bytes(bytes)?, Layout::contiguous(sizes), dtype)
    }

    /// A 0-dim tensor of that number.
    ///
    /// # Errors
    /// `Runtime` when the number does not fit into the dtype.
    pub fn scalar(value: impl Into<Scalar>, dtype: DType) -> Result<Tensor> {
        let value = value.into();
        value.check_fits(dtype)?;
        let t = Tensor::empty_of(&[], dtype, Device::Cpu)?;
        t.store_scalar(value);
        Ok(t)
    }

    /// A Python number as a 0-dim tensor that takes part in type promotion as a number.
    pub fn wrapped(value: Scalar) -> Result<Tensor> {
        let storage = Storage::new(value.dtype().size(), Device::Cpu)?;
        let view = View { storage, layout: Layout::contiguous(&[]), dtype: value.dtype() };
        let t = Tensor::build(view, Device::Cpu, None, None, true, None);
        t.store_scalar(value);
        Ok(t)
    }

    fn store_scalar(&self, value: Scalar) {
        match self.dtype() {
            DType::Bool => self.write_from(&[value.to_bool()]),
            DType::U8 => self.write_from(&[value.to_i64() as u8]),
            DType::I8 => self.write_from(&[value.to_i64() as i8]),
            DType::I16 => self.write_from(&[value.to_i64() as i16]),
            DType::I32 => self.write_from(&[value.to_i64() as i32]),
            DType::I64 => self.write_from(&[value.to_i64()]),
            DType::F16 => self.write_from(&[f16::from_f64(value.to_f64())]),
            DType::BF16 => self.write_from(&[bf16::from_f32(value.to_f64() as f32)]),
            DType::F32 => self.write_from(&[value.to_f64() as f32]),
            DType::F64 => self.write_from(&[value.to_f64()]),
            DType::Complex64 => {
                let z = value.to_complex();
                self.write_from(&[C32::new(z.re as f32, z.im as f32)]);
            }
            DType::Complex128 => self.write_from(&[value.to_complex()]),
        }
    }

    /// Overwrites a fresh row-major tensor.
    fn write_from<T: Element>(&self, data: &[T]) {
        let view = self.raw();
        debug_assert!(view.layout.is_contiguous() && view.layout.numel() == data.len());
        access([&view], [], |[out], []| {
            // SAFETY: a contiguous tensor of `data.len()` elements of type `T`, locked for writing.
            unsafe { std::ptr::copy_nonoverlapping(data.as_ptr(), out.cast::<T>(), data.len()) }
        });
    }

    /// The elements in row-major order.
    ///
    /// # Errors
    /// `Runtime` when `T` is not the dtype, or on the meta device.
    pub fn to_vec<T: Element>(&self) -> Result<Vec<T>> {
        if T::DTYPE != self.dtype() {
            bail!("expected scalar type {} but found {}", T::DTYPE.scalar_type(), self.dtype().scalar_type());
        }
        if self.device() == Device::Meta {
            bail!(NotImplemented, "Cannot copy out of meta tensor; no data!");
        }
        if self.is_sparse() {
            bail!("Cannot access data pointer of Tensor that doesn't have storage");
        }
        let dense = if self.is_contiguous() { self.raw() } else { crate::copy::contiguous_copy(self)?.raw() };
        if dense.dtype != T::DTYPE {
            bail!("to_vec: the tensor's data was replaced meanwhile");
        }
        let n = dense.layout.numel();
        Ok(access([], [&dense], |[], [x]| {
            let mut v = Vec::with_capacity(n);
            // SAFETY: `n` contiguous elements of type `T`, locked for reading.
            unsafe {
                std::ptr::copy_nonoverlapping(x.cast::<T>(), v.as_mut_ptr(), n);
                v.set_len(n);
            }
            v
        }))
    }

    /// The one element, as a number of its kind.
    ///
    /// # Errors
    /// `Runtime` unless there is exactly one element.
    pub fn item(&self) -> Result<Scalar> {
        if self.numel() != 1 {
            bail!("a Tensor with {} elements cannot be converted to Scalar", self.numel());
        }
        Ok(match self.dtype() {
            DType::Bool => Scalar::Bool(self.to_vec::<bool>()?[0]),
            DType::U8 => Scalar::Int(self.to_vec::<u8>()?[0].into()),
            DType::I8 => Scalar::Int(self.to_vec::<i8>()?[0].into()),
            DType::I16 => Scalar::Int(self.to_vec::<i16>()?[0].into()),
            DType::I32 => Scalar::Int(self.to_vec::<i32>()?[0].into()),
            DType::I64 => Scalar::Int(self.to_vec::<i64>()?[0]),
            DType::F16 => Scalar::Float(self.to_vec::<f16>()?[0].to_f64()),
            DType::BF16 => Scalar::Float(self.to_vec::<bf16>()?[0].to_f64()),
            DType::F32 => Scalar::Float(self.to_vec::<f32>()?[0].into()),
            DType::F64 => Scalar::Float(self.to_vec::<f64>()?[0]),
            DType::Complex64 => {
                let z = self.to_vec::<C32>()?[0];
                Scalar::Complex(C64::new(z.re.into(), z.im.into()))
            }
            DType::Complex128 => Scalar::Complex(self.to_vec::<C64>()?[0]),
        })
    }
}
