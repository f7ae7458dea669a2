//! [`Tensor`]: a handle to elements of one dtype in a storage, with its autograd state.
//!
//! Cloning a tensor gives another handle to the same object, as assigning does in Python. `replacement` and `autograd`
//! are locked only to read or swap a field, never while a kernel runs or another tensor is touched, so the order of
//! these locks cannot matter.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard, Weak};

use cresset_kernels::dtype::DType;

use crate::autograd::AutogradMeta;
use crate::layout::{Dims, Layout, checked_numel, wrap_dim};
use crate::sparse::Sparse;
use crate::storage::{Storage, View};
use crate::{Device, Result, bail};

/// An n-dimensional array whose dtype, device and number of dimensions are values.
#[derive(Clone)]
pub struct Tensor(pub(crate) Arc<TensorImpl>);

pub(crate) struct TensorImpl {
    /// Mirrors that of `view`, so that it is read without a lock; changes only in `set_data`.
    dtype: AtomicU8,
    device: Device,
    /// Where the elements are. Set once, so that calls read it without a lock.
    view: View,
    /// What replaces `view` after `resize_`, `set_` or an in-place change of strides; `is_replaced` says whether to look.
    replacement: RwLock<Option<View>>,
    is_replaced: AtomicBool,
    /// A version counter of its own (`.data`); else the storage's counts.
    own_version: Option<Arc<AtomicU64>>,
    /// [`NEEDS_GRAD`], which mirrors "requires grad", and [`SPARSE`]: what the door asks without a lock.
    flags: AtomicU8,
    /// Coordinates and values of a sparse tensor, whose view has no bytes.
    sparse: Option<Box<RwLock<Sparse>>>,
    autograd: RwLock<Option<Box<AutogradMeta>>>,
    /// The tensor that this one is a differentiable view of, never itself a view.
    base: Option<Tensor>,
    creation: AtomicU8,
    /// A Python number in tensor's clothing: takes part in promotion as a number.
    wrapped_number: bool,
}

/// The tensor requires gradients.
pub(crate) const NEEDS_GRAD: u8 = 1;
/// The tensor is sparse.
pub(crate) const SPARSE: u8 = 2;

/// The view of a tensor: borrowed, or a copy of what replaced it.
pub(crate) enum ViewRef<'a> {
    Borrowed(&'a View),
    Owned(View),
}

impl std::ops::Deref for ViewRef<'_> {
    type Target = View;
    #[inline]
    fn deref(&self) -> &View {
        match self {
            ViewRef::Borrowed(view) => view,
            ViewRef::Owned(view) => view,
        }
    }
}

/// Under which circumstances a view was made, which decides what an in-place write to it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Creation {
    /// An ordinary view.
    Default = 0,
    /// One of several views returned by one operator.
    MultiOutput = 1,
    /// Made with gradients switched off.
    NoGrad = 2,
    /// Returned by a custom function.
    Custom = 3,
    /// Made in inference mode.
    Inference = 4,
}

const _: () = {
    const fn is_send_sync<T: Send + Sync>() {}
    is_send_sync::<Tensor>();
};

impl Tensor {
    #[inline]
    pub(crate) fn from_view(view: View, base: Option<Tensor>, own_version: Option<Arc<AtomicU64>>) -> Tensor {
        let device = view.storage.device();
        Tensor::build(view, device, base, own_version, false, None)
    }

    /// A sparse tensor: `view` says its sizes and dtype, and its storage has no bytes that a kernel could reach.
    pub(crate) fn from_sparse(view: View, parts: Sparse, own_version: Option<Arc<AtomicU64>>) -> Tensor {
        let device = parts.values.device();
        Tensor::build(view, device, None, own_version, false, Some(Box::new(RwLock::new(parts))))
    }

    #[inline(always)]
    pub(crate) fn build(
        view: View,
        device: Device,
        base: Option<Tensor>,
        own_version: Option<Arc<AtomicU64>>,
        wrapped: bool,
        sparse: Option<Box<RwLock<Sparse>>>,
    ) -> Tensor {
        let creation = if crate::modes::is_inference() { Creation::Inference } else { Creation::Default };
        Tensor(Arc::new(TensorImpl {
            dtype: AtomicU8::new(view.dtype as u8),
            device,
            view,
            replacement: RwLock::new(None),
            is_replaced: AtomicBool::new(false),
            own_version,
            flags: AtomicU8::new(if sparse.is_some() { SPARSE } else { 0 }),
            sparse,
            autograd: RwLock::new(None),
            base,
            creation: AtomicU8::new(creation as u8),
            wrapped_number: wrapped,
        }))
    }

    /// A tensor over the elements that `layout` names in `storage`.
    ///
    /// # Errors
    /// `Runtime` when the layout reaches past the end of the storage.
    pub fn from_storage(storage: Storage, layout: Layout, dtype: DType) -> Result<Tensor> {
        check_reach(&storage, &layout, dtype)?;
        Ok(Tensor::from_view(View { storage, layout, dtype }, None, None))
    }

    /// A row-major tensor of unspecified content.
    ///
    /// # Errors
    /// `Runtime` for negative or overflowing sizes, `OutOfMemory` when the system refuses.
    pub fn empty_of(sizes: &[i64], dtype: DType, device: Device) -> Result<Tensor> {
        let n = checked_numel(sizes, dtype.size())?;
        let storage = Storage::new(n * dtype.size(), device)?;
        Ok(Tensor::from_view(View { storage, layout: Layout::contiguous(sizes), dtype }, None, None))
    }

    /// A tensor of unspecified content with those strides.
    ///
    /// # Errors
    /// As [`Tensor::empty_of`].
    pub fn empty_strided_of(sizes: &[i64], strides: &[i64], dtype: DType, device: Device) -> Result<Tensor> {
        checked_numel(sizes, dtype.size())?;
        if sizes.len() != strides.len() || strides.iter().any(|s| *s < 0) {
            bail!("empty_strided: invalid strides {strides:?} for sizes {sizes:?}");
        }
        let layout = Layout::new(sizes, strides, 0);
        let storage = Storage::new(layout.end().saturating_mul(dtype.size()), device)?;
        Ok(Tensor::from_view(View { storage, layout, dtype }, None, None))
    }

    /// Whether it came from a Python number, see [`Tensor::wrapped`].
    pub fn is_wrapped_number(&self) -> bool {
        self.0.wrapped_number
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        DType::ALL[self.0.dtype.load(Ordering::Relaxed) as usize]
    }

    /// The device.
    pub fn device(&self) -> Device {
        self.0.device
    }

    /// Storage, layout and dtype, borrowed where nothing has replaced them.
    #[inline]
    pub(crate) fn read_view(&self) -> ViewRef<'_> {
        if self.0.is_replaced.load(Ordering::Acquire) {
            let replacement = self.0.replacement.read().unwrap_or_else(PoisonError::into_inner);
            if let Some(view) = replacement.as_ref() {
                return ViewRef::Owned(view.clone());
            }
        }
        ViewRef::Borrowed(&self.0.view)
    }

    /// Storage, layout and dtype, for [`access`].
    pub fn raw(&self) -> View {
        match self.read_view() {
            ViewRef::Borrowed(view) => view.clone(),
            ViewRef::Owned(view) => view,
        }
    }

    /// Sizes, strides and offset.
    pub fn layout(&self) -> Layout {
        self.read_view().layout.clone()
    }

    /// The length of each dimension.
    pub fn sizes(&self) -> Dims {
        self.read_view().layout.sizes.clone()
    }

    /// The step of each dimension, in elements.
    pub fn strides(&self) -> Dims {
        self.read_view().layout.strides.clone()
    }

    /// The position of the first element in the storage.
    pub fn storage_offset(&self) -> usize {
        self.read_view().layout.offset
    }

    /// The storage, shared with all views.
    pub fn storage(&self) -> Storage {
        self.read_view().storage.clone()
    }

    /// The number of dimensions.
    pub fn dim(&self) -> usize {
        self.read_view().layout.dim()
    }

    /// The length of one dimension, which may count from the end.
    ///
    /// # Errors
    /// `Index` when there is no such dimension.
    pub fn size(&self, dim: i64) -> Result<i64> {
        let view = self.read_view();
        let n = view.layout.dim();
        if n == 0 {
            bail!(Index, "Dimension specified as {dim} but tensor has no dimensions");
        }
        Ok(view.layout.sizes[wrap_dim(dim, n)?])
    }

    /// The number of elements.
    pub fn numel(&self) -> usize {
        self.read_view().layout.numel()
    }

    /// Whether the elements lie in row-major order without gaps.
    pub fn is_contiguous(&self) -> bool {
        self.read_view().layout.is_contiguous()
    }

    /// Whether the dtype is a floating-point one.
    pub fn is_floating_point(&self) -> bool {
        self.dtype().is_floating_point()
    }

    /// Whether the dtype is a complex one.
    pub fn is_complex(&self) -> bool {
        self.dtype().is_complex()
    }

    /// Whether both handles name the same tensor object (`is` in Python).
    pub fn same(&self, other: &Tensor) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// A number that names this tensor object while it is alive (`id` in Python).
    pub fn id(&self) -> usize {
        Arc::as_ptr(&self.0) as usize
    }

    /// Whether both share one storage.
    pub fn shares_storage_with(&self, other: &Tensor) -> bool {
        self.storage().id() == other.storage().id()
    }

    /// Address of the first element; 0 on the meta device.
    pub fn data_ptr(&self) -> usize {
        let view = self.read_view();
        match view.storage.data_ptr() {
            0 => 0,
            base => base + view.layout.offset * view.dtype.size(),
        }
    }

    /// How many times the elements have been written in place.
    pub fn version(&self) -> u64 {
        match &self.0.own_version {
            Some(v) => v.load(Ordering::Relaxed),
            None => self.read_view().storage.version().load(Ordering::Relaxed),
        }
    }

    /// Counts a write. Every in-place write passes here.
    pub fn bump_version(&self) {
        match &self.0.own_version {
            Some(v) => v.fetch_add(1, Ordering::Relaxed),
            None => self.read_view().storage.version().fetch_add(1, Ordering::Relaxed),
        };
    }

    /// A differentiable view of the same storage with another layout, for kernels of view operators.
    ///
    /// # Errors
    /// `Runtime` when the layout reaches past the end of the storage.
    pub fn alias_with(&self, layout: Layout) -> Result<Tensor> {
        self.alias_with_dtype(layout, self.dtype())
    }

    /// As [`Tensor::alias_with`], reading the bytes as another dtype (layout counted in its elements).
    ///
    /// # Errors
    /// As [`Tensor::alias_with`].
    pub fn alias_with_dtype(&self, layout: Layout, dtype: DType) -> Result<Tensor> {
        let storage = self.storage();
        check_reach(&storage, &layout, dtype)?;
        let base = self.0.base.clone().unwrap_or_else(|| self.clone());
        let alias =
            Tensor::from_view(View { storage, layout, dtype }, Some(base), self.0.own_version.clone());
        if alias.creation() == Creation::Default && crate::modes::is_no_grad() {
            alias.set_creation(Creation::NoGrad);
        }
        Ok(alias)
    }

    /// An alias that autograd does not know of, with a version counter shared (`detach`) or of its own (`.data`).
    pub(crate) fn alias_detached(&self, own_version: bool) -> Tensor {
        let version =
            if own_version { Some(Arc::new(AtomicU64::new(0))) } else { self.0.own_version.clone() };
        match self.sparse() {
            Some(parts) => Tensor::from_sparse(self.raw(), parts, version),
            None => Tensor::from_view(self.raw(), None, version),
        }
    }

    /// [`NEEDS_GRAD`] and [`SPARSE`] as set on this object.
    #[inline]
    pub(crate) fn flags(&self) -> u8 {
        self.0.flags.load(Ordering::Relaxed)
    }

    /// Mirrors whether the tensor requires gradients.
    pub(crate) fn set_needs_grad(&self, on: bool) {
        match on {
            true => self.0.flags.fetch_or(NEEDS_GRAD, Ordering::Relaxed),
            false => self.0.flags.fetch_and(!NEEDS_GRAD, Ordering::Relaxed),
        };
    }

    /// Whether it is stored as coordinates and values.
    #[inline]
    pub fn is_sparse(&self) -> bool {
        self.flags() & SPARSE != 0
    }

    /// Coordinates and values of a sparse tensor.
    pub(crate) fn sparse(&self) -> Option<Sparse> {
        self.0.sparse.as_ref().map(|parts| parts.read().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Replaces coordinates and values of a sparse tensor.
    pub(crate) fn set_sparse(&self, parts: Sparse) {
        if let Some(own) = &self.0.sparse {
            *own.write().unwrap_or_else(PoisonError::into_inner) = parts;
        }
    }

    /// The tensor itself if it is row-major, else a row-major copy, not recorded by autograd.
    ///
    /// # Errors
    /// `OutOfMemory` when the system refuses.
    pub(crate) fn contiguous_copy(&self) -> Result<Tensor> {
        crate::copy::contiguous_copy(self)
    }

    /// The tensor that this is a view of.
    pub fn base(&self) -> Option<&Tensor> {
        self.0.base.as_ref()
    }

    /// Replaces storage and layout in place (`resize_`, `set_`, `t_`), keeping the dtype.
    ///
    /// # Errors
    /// `Runtime` when the layout reaches past the end of the storage.
    pub fn set_view(&self, storage: Storage, layout: Layout) -> Result<()> {
        check_reach(&storage, &layout, self.dtype())?;
        let view = View { storage, layout, dtype: self.dtype() };
        self.replace_view(view);
        Ok(())
    }

    fn replace_view(&self, view: View) {
        *self.0.replacement.write().unwrap_or_else(PoisonError::into_inner) = Some(view);
        self.0.is_replaced.store(true, Ordering::Release);
    }

    /// Makes this tensor hold the elements of `other`, as assigning to `tensor.data` in PyTorch: shape and dtype may
    /// change, every handle sees it, and history and gradients are left alone.
    ///
    /// # Errors
    /// `Runtime` for a view, and when the devices differ.
    pub fn set_data(&self, other: &Tensor) -> Result<()> {
        if self.base().is_some() || self.device() != other.device() {
            bail!(
                "Attempted to call `variable.set_data(tensor)`, but `variable` and `tensor` have incompatible tensor type."
            );
        }
        let data = other.raw();
        self.0.dtype.store(data.dtype as u8, Ordering::Relaxed);
        self.replace_view(data);
        // The accumulator knows the former shape and dtype.
        if let Some(meta) = self.autograd_mut().as_mut() {
            meta.accumulator = Weak::new();
        }
        Ok(())
    }

    pub(crate) fn creation(&self) -> Creation {
        match self.0.creation.load(Ordering::Relaxed) {
            1 => Creation::MultiOutput,
            2 => Creation::NoGrad,
            3 => Creation::Custom,
            4 => Creation::Inference,
            _ => Creation::Default,
        }
    }

    pub(crate) fn set_creation(&self, creation: Creation) {
        self.0.creation.store(creation as u8, Ordering::Relaxed);
    }

    /// Whether it was made in inference mode.
    pub fn is_inference(&self) -> bool {
        self.creation() == Creation::Inference
    }

    pub(crate) fn autograd(&self) -> RwLockReadGuard<'_, Option<Box<AutogradMeta>>> {
        self.0.autograd.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn autograd_mut(&self) -> RwLockWriteGuard<'_, Option<Box<AutogradMeta>>> {
        self.0.autograd.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nobody else holds this object or its storage.
    pub(crate) fn is_unique(&self) -> bool {
        Arc::strong_count(&self.0) == 1 && self.read_view().storage.is_unique()
    }

    pub(crate) fn downgrade(&self) -> Weak<TensorImpl> {
        Arc::downgrade(&self.0)
    }
}

fn check_reach(storage: &Storage, layout: &Layout, dtype: DType) -> Result<()> {
    let step = |(n, s): (&i64, &i64)| i128::from(n.saturating_sub(1).max(0)) * i128::from((*s).min(0));
    let lowest: i128 = layout.sizes.iter().zip(&layout.strides).map(step).sum();
    checked_numel(&layout.sizes, 1)?;
    let fits = layout.end().checked_mul(dtype.size()).is_some_and(|end| end <= storage.nbytes());
    if !fits || layout.offset as i128 + lowest < 0 {
        bail!(
            "setStorage: sizes {:?}, strides {:?}, storage offset {}, and itemsize {} requiring a storage size of {} are out of bounds for storage of size {}",
            layout.sizes.as_slice(),
            layout.strides.as_slice(),
            layout.offset,
            dtype.size(),
            layout.end().saturating_mul(dtype.size()),
            storage.nbytes()
        );
    }
    Ok(())
}
