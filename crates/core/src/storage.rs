//! The bytes of tensors: reference-counted buffers, the lock on them, and the cache of freed blocks.
//!
//! This is the one module of core with `unsafe` code. Its promise: safe code cannot race on bytes and cannot deadlock.
//! Bytes are reached only inside [`access`], which locks every storage of a call once, in address order, for writing
//! if any operand writes to it. The closure gets raw pointers; it must hand them to kernels and to nothing else, and
//! must not call an operator.

use std::alloc::{Layout as AllocLayout, alloc, dealloc};
use std::cell::UnsafeCell;
use std::collections::BTreeMap;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use cresset_kernels::dtype::DType;
use cresset_kernels::strided::Operand;
use smallvec::SmallVec;

use crate::layout::Layout;
use crate::{Device, Error, ErrorKind, Result};

/// Bytes kept inside the storage object itself: small tensors cost one allocation less.
const INLINE: usize = 64;
/// Blocks from this size on are kept for reuse when freed: fresh pages cost more than the kernels that fill them.
const CACHED_FROM: usize = 64 << 10;
/// Blocks from this size on lie on huge pages, where the system has them.
const HUGE_FROM: usize = 4 << 20;
/// The size of a huge page.
const HUGE_PAGE: usize = 2 << 20;
/// Most bytes that freed blocks may hold.
const CACHE_LIMIT: usize = 256 << 20;

static ALLOCATED: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static CACHE: Mutex<Cache> = Mutex::new(Cache { free: BTreeMap::new(), bytes: 0, clock: 0 });

/// Bytes of all live storages.
pub fn memory_allocated() -> usize {
    ALLOCATED.load(Ordering::Relaxed)
}

/// The largest value that [`memory_allocated`] has had since the start or the last reset.
pub fn max_memory_allocated() -> usize {
    PEAK.load(Ordering::Relaxed)
}

/// Sets the peak to the present value.
pub fn reset_peak_memory_stats() {
    PEAK.store(memory_allocated(), Ordering::Relaxed);
}

/// Gives the freed blocks that are kept for reuse back to the system.
pub fn empty_cache() {
    let blocks = {
        let mut cache = CACHE.lock().unwrap_or_else(PoisonError::into_inner);
        cache.bytes = 0;
        std::mem::take(&mut cache.free)
    };
    blocks.into_values().flatten().for_each(|(_, block)| block.release());
}

/// A reference-counted buffer; tensors that alias share it.
#[derive(Clone)]
pub struct Storage(Arc<StorageImpl>);

struct StorageImpl {
    device: Device,
    bytes: RwLock<Buffer>,
    version: AtomicU64,
}

struct Buffer {
    heap: Option<Memory>,
    inline: UnsafeCell<[MaybeUninit<u128>; INLINE / 16]>,
    len: usize,
}

enum Memory {
    Block(Block),
    Foreign { ptr: *mut u8, _owner: Box<dyn std::any::Any + Send + Sync> },
}

// SAFETY: the memory is plain bytes, owned by this value, reached only through the storage's lock.
unsafe impl Send for Memory {}
// SAFETY: as above.
unsafe impl Sync for Memory {}

// SAFETY: the cell and the heap memory are only reached through the lock around the buffer.
unsafe impl Sync for Buffer {}

impl Buffer {
    fn ptr(&self) -> *mut u8 {
        match &self.heap {
            Some(Memory::Block(block)) => block.ptr,
            Some(Memory::Foreign { ptr, .. }) => *ptr,
            None => self.inline.get().cast(),
        }
    }

    #[inline(always)]
    fn new(len: usize) -> Result<Buffer> {
        let heap = if len > INLINE { Some(Memory::Block(Block::new(len)?)) } else { None };
        Ok(Buffer { heap, inline: UnsafeCell::new([MaybeUninit::uninit(); INLINE / 16]), len })
    }
}

impl Storage {
    /// A storage of `len` bytes of unspecified content (none on the meta device).
    ///
    /// # Errors
    /// `OutOfMemory` when the system refuses.
    #[inline]
    pub fn new(len: usize, device: Device) -> Result<Storage> {
        if len > isize::MAX as usize {
            return Err(out_of_memory(len));
        }
        let mut buffer = Buffer::new(if device == Device::Meta { 0 } else { len })?;
        buffer.len = len;
        Ok(Storage(Arc::new(StorageImpl { device, bytes: RwLock::new(buffer), version: AtomicU64::new(0) })))
    }

    /// A storage over memory that `owner` keeps alive, such as a private memory map; copied if it is not aligned to
    /// 16 bytes.
    ///
    /// # Errors
    /// `OutOfMemory` when a copy is needed and the system refuses.
    pub fn from_owner<B: AsMut<[u8]> + Send + Sync + 'static>(owner: B) -> Result<Storage> {
        let mut owner = Box::new(owner);
        let bytes = (*owner).as_mut();
        let (ptr, len) = (bytes.as_mut_ptr(), bytes.len());
        if ptr.align_offset(16) != 0 || len == 0 {
            return Storage::from_bytes(bytes);
        }
        let inline = UnsafeCell::new([MaybeUninit::uninit(); INLINE / 16]);
        let buffer = Buffer { heap: Some(Memory::Foreign { ptr, _owner: owner }), inline, len };
        Ok(Storage(Arc::new(StorageImpl {
            device: Device::Cpu,
            bytes: RwLock::new(buffer),
            version: AtomicU64::new(0),
        })))
    }

    /// A storage with a copy of those bytes.
    ///
    /// # Errors
    /// `OutOfMemory` when the system refuses.
    pub fn from_bytes(bytes: &[u8]) -> Result<Storage> {
        let storage = Storage::new(bytes.len(), Device::Cpu)?;
        let guard = write(&storage.0.bytes);
        // SAFETY: both are `bytes.len()` bytes long, and the fresh buffer does not overlap the slice.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), guard.ptr(), bytes.len()) };
        drop(guard);
        Ok(storage)
    }

    /// Its length in bytes.
    pub fn nbytes(&self) -> usize {
        read(&self.0.bytes).len
    }

    /// The device that holds it.
    pub fn device(&self) -> Device {
        self.0.device
    }

    /// A number that names this storage while it is alive.
    pub fn id(&self) -> usize {
        Arc::as_ptr(&self.0) as usize
    }

    /// Address of the first byte; 0 on the meta device.
    pub fn data_ptr(&self) -> usize {
        if self.0.device == Device::Meta { 0 } else { read(&self.0.bytes).ptr() as usize }
    }

    /// Calls `f` with the bytes (none on the meta device). `f` must not call an operator on this storage.
    pub fn with_bytes<R>(&self, f: impl FnOnce(&[u8]) -> R) -> R {
        let guard = read(&self.0.bytes);
        let len = if self.0.device == Device::Meta { 0 } else { guard.len };
        // SAFETY: the buffer has `len` bytes, and the lock keeps writers and `grow` out while `f` runs.
        f(unsafe { std::slice::from_raw_parts(guard.ptr(), len) })
    }

    /// Grows to at least `len` bytes, keeping the content.
    ///
    /// # Errors
    /// `OutOfMemory` when the system refuses.
    pub fn grow(&self, len: usize) -> Result<()> {
        let mut guard = write(&self.0.bytes);
        if guard.len >= len {
            return Ok(());
        }
        if self.0.device == Device::Meta {
            guard.len = len;
            return Ok(());
        }
        let grown = Buffer::new(len)?;
        // SAFETY: the new buffer is at least as long as the old one and distinct from it.
        unsafe { std::ptr::copy_nonoverlapping(guard.ptr(), grown.ptr(), guard.len) };
        *guard = grown;
        Ok(())
    }

    /// Whether this handle is the only one.
    pub(crate) fn is_unique(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    pub(crate) fn version(&self) -> &AtomicU64 {
        &self.0.version
    }
}

fn read(lock: &RwLock<Buffer>) -> RwLockReadGuard<'_, Buffer> {
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

fn write(lock: &RwLock<Buffer>) -> RwLockWriteGuard<'_, Buffer> {
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

/// What a kernel needs to reach a tensor: its storage, where its elements lie, and their type.
#[derive(Clone)]
pub struct View {
    /// The bytes.
    pub storage: Storage,
    /// Where the elements lie.
    pub layout: Layout,
    /// Their type.
    pub dtype: DType,
}

/// A storage that nobody else knows of yet, with the layout of the tensor that it will be: a kernel fills it without a
/// lock.
pub(crate) struct Fresh(View);

impl Fresh {
    /// Memory for those sizes and strides.
    ///
    /// # Errors
    /// `OutOfMemory` when the system refuses.
    #[inline]
    pub(crate) fn new(layout: Layout, dtype: DType, device: Device) -> Result<Fresh> {
        let storage = Storage::new(layout.end() * dtype.size(), device)?;
        Ok(Fresh(View { storage, layout, dtype }))
    }

    /// The operand to write to, or `None` on the meta device.
    #[inline]
    fn raw(&mut self) -> Option<Raw<'_>> {
        let View { storage, layout, dtype } = &mut self.0;
        let storage = Arc::get_mut(&mut storage.0)?;
        let ptr = storage.bytes.get_mut().unwrap_or_else(PoisonError::into_inner).ptr();
        (storage.device != Device::Meta).then_some(Raw {
            ptr,
            dtype: *dtype,
            sizes: &layout.sizes,
            strides: &layout.strides,
        })
    }

    /// Runs `f` with the fresh operand and the inputs locked for reading; nothing on the meta device.
    #[inline]
    pub(crate) fn fill<const I: usize, R: Default>(
        &mut self,
        ins: [&View; I],
        f: impl FnOnce(Raw<'_>, [Raw<'_>; I]) -> R,
    ) -> R {
        if is_meta(&ins) {
            return R::default();
        }
        let Some(out) = self.raw() else { return R::default() };
        let guards = lock_reads(&ins);
        // `from_fn` is inlined where `map` on an array is not.
        let raw = |i: usize| {
            let View { layout, dtype, .. } = ins[i];
            let base = guards[i].as_ref().map_or(std::ptr::null_mut(), |g| g.ptr);
            let ptr = base.wrapping_add(layout.offset * dtype.size());
            Raw { ptr, dtype: *dtype, sizes: &layout.sizes, strides: &layout.strides }
        };
        f(out, std::array::from_fn(raw))
    }

    /// The tensor.
    #[inline]
    pub(crate) fn into_tensor(self) -> crate::Tensor {
        crate::Tensor::from_view(self.0, None, None)
    }
}

/// An operand inside [`access`].
#[derive(Clone, Copy)]
pub struct Raw<'a> {
    /// Address of the first element (the offset is applied).
    pub ptr: *mut u8,
    /// Element type.
    pub dtype: DType,
    /// Sizes.
    pub sizes: &'a [i64],
    /// Strides, in elements.
    pub strides: &'a [i64],
}

impl<'a> Raw<'a> {
    /// The operand of a strided loop.
    pub fn operand(&self) -> Operand<'a> {
        Operand { ptr: self.ptr, dtype: self.dtype, strides: self.strides }
    }

    /// The address of the first element, typed.
    pub fn cast<T>(&self) -> *mut T {
        self.ptr.cast()
    }
}

enum Guard<'a> {
    Read(RwLockReadGuard<'a, Buffer>),
    Write(RwLockWriteGuard<'a, Buffer>),
}

impl Guard<'_> {
    fn buffer(&self) -> &Buffer {
        match self {
            Guard::Read(g) => g,
            Guard::Write(g) => g,
        }
    }
}

/// Locks the storages of all operands and calls `f` with raw operands: first those that it writes, then those that it
/// only reads. On the meta device `f` is not called.
///
/// `f` may use the pointers only for elements that the views reach, and only until it returns. An output may share
/// memory with an input: what that means is the kernel's contract.
pub fn access<const O: usize, const I: usize, R: Default>(
    outs: [&View; O],
    ins: [&View; I],
    f: impl FnOnce([Raw<'_>; O], [Raw<'_>; I]) -> R,
) -> R {
    if is_meta(&outs) || is_meta(&ins) {
        return R::default();
    }
    let guards = lock_all(&outs, &ins);
    f(std::array::from_fn(|i| raw(outs[i], &guards)), std::array::from_fn(|i| raw(ins[i], &guards)))
}

/// [`access`] for any number of operands.
pub fn access_lists<R: Default>(
    outs: &[&View],
    ins: &[&View],
    f: impl FnOnce(&[Raw<'_>], &[Raw<'_>]) -> R,
) -> R {
    if is_meta(outs) || is_meta(ins) {
        return R::default();
    }
    let guards = lock_all(outs, ins);
    let raw_outs: SmallVec<[Raw<'_>; 4]> = outs.iter().map(|v| raw(v, &guards)).collect();
    let raw_ins: SmallVec<[Raw<'_>; 8]> = ins.iter().map(|v| raw(v, &guards)).collect();
    f(&raw_outs, &raw_ins)
}

fn is_meta(views: &[&View]) -> bool {
    views.iter().any(|v| v.storage.0.device == Device::Meta)
}

/// Locked storages; few operands need no allocation.
type Guards<'a> = SmallVec<[(*const StorageImpl, Guard<'a>); 4]>;

/// Locks each storage once, in the order of addresses, so that two calls never wait for each other.
fn lock_all<'a>(outs: &[&'a View], ins: &[&'a View]) -> Guards<'a> {
    let mut wanted: SmallVec<[(&'a StorageImpl, bool); 4]> = SmallVec::new();
    for (views, writes) in [(outs, true), (ins, false)] {
        for view in views {
            let storage: &StorageImpl = &view.storage.0;
            if let Some((_, w)) = wanted.iter_mut().find(|(s, _)| std::ptr::eq(*s, storage)) {
                *w |= writes;
                continue;
            }
            wanted.push((storage, writes));
            let mut at = wanted.len() - 1;
            while at > 0 && std::ptr::from_ref(wanted[at - 1].0) > std::ptr::from_ref(storage) {
                wanted.swap(at, at - 1);
                at -= 1;
            }
        }
    }
    let mut guards = Guards::new();
    for &(s, writes) in &wanted {
        guards.push((s, if writes { Guard::Write(write(&s.bytes)) } else { Guard::Read(read(&s.bytes)) }));
    }
    guards
}

/// Locks the inputs of a call that writes nothing shared, each storage once, in the order of addresses.
#[inline]
fn lock_reads<'a, const I: usize>(ins: &[&'a View; I]) -> [Option<SharedRead<'a>>; I] {
    let mut guards: [Option<SharedRead<'a>>; I] = [const { None }; I];
    let id = |i: usize| Arc::as_ptr(&ins[i].storage.0);
    for _ in 0..I {
        let Some(next) = (0..I).filter(|i| guards[*i].is_none()).min_by_key(|i| id(*i)) else { break };
        let same = (0..I).find(|i| guards[*i].is_some() && id(*i) == id(next));
        guards[next] = Some(match same.and_then(|i| guards[i].as_ref()) {
            Some(held) => SharedRead { ptr: held.ptr, _guard: None },
            None => {
                let guard = read(&ins[next].storage.0.bytes);
                SharedRead { ptr: guard.ptr(), _guard: Some(guard) }
            }
        });
    }
    guards
}

/// The address of a storage's bytes while it is locked for reading by this or an earlier entry.
struct SharedRead<'a> {
    ptr: *mut u8,
    _guard: Option<RwLockReadGuard<'a, Buffer>>,
}

fn raw<'a>(view: &'a View, guards: &Guards<'_>) -> Raw<'a> {
    let id = Arc::as_ptr(&view.storage.0);
    let buffer = guards.iter().find(|(s, _)| *s == id).map(|(_, g)| g.buffer());
    let (base, len) = buffer.map_or((std::ptr::null_mut(), 0), |b| (b.ptr(), b.len));
    let layout = &view.layout;
    // A view that reaches past its storage cannot be made, and storages do not shrink.
    debug_assert!(layout.end() * view.dtype.size() <= len, "view reaches past the end of its storage");
    let ptr = base.wrapping_add(layout.offset.wrapping_mul(view.dtype.size()));
    Raw { ptr, dtype: view.dtype, sizes: &layout.sizes, strides: &layout.strides }
}

/// A heap block that returns to the cache when dropped.
struct Block {
    ptr: *mut u8,
    capacity: usize,
}

// SAFETY: a block is exclusively owned plain memory.
unsafe impl Send for Block {}

struct Cache {
    /// By capacity, the most recently freed last, each with the time of its release.
    free: BTreeMap<usize, Vec<(u64, Block)>>,
    bytes: usize,
    /// Counts the releases.
    clock: u64,
}

impl Cache {
    /// Keeps a block and returns those that no longer fit under the limit, the ones that lay unused for longest.
    fn keep(&mut self, block: Block) -> Vec<Block> {
        self.clock += 1;
        self.bytes += block.capacity;
        self.free.entry(block.capacity).or_default().push((self.clock, block));
        let mut evicted = Vec::new();
        while self.bytes > CACHE_LIMIT {
            let oldest = self.free.values_mut().filter(|l| !l.is_empty()).min_by_key(|l| l[0].0);
            let Some(list) = oldest else { break };
            let (_, block) = list.remove(0);
            self.bytes -= block.capacity;
            evicted.push(block);
        }
        evicted
    }
}

impl Block {
    fn new(len: usize) -> Result<Block> {
        let capacity = rounded(len);
        let block = if capacity >= CACHED_FROM { Block::reuse(capacity) } else { None };
        let block = match block {
            Some(block) => block,
            None => Block::fresh(capacity).ok_or_else(|| out_of_memory(len))?,
        };
        let now = ALLOCATED.fetch_add(block.capacity, Ordering::Relaxed) + block.capacity;
        if now > PEAK.load(Ordering::Relaxed) {
            PEAK.fetch_max(now, Ordering::Relaxed);
        }
        Ok(block)
    }

    /// The most recently freed block of that size: its memory is the likeliest to be in cache.
    fn reuse(capacity: usize) -> Option<Block> {
        let mut cache = CACHE.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, block) = cache.free.get_mut(&capacity)?.pop()?;
        cache.bytes -= block.capacity;
        Some(block)
    }

    fn fresh(capacity: usize) -> Option<Block> {
        // SAFETY: the layout has a size above zero.
        let ptr = unsafe { alloc(alloc_layout(capacity)?) };
        if capacity >= HUGE_FROM && !ptr.is_null() {
            prefer_huge_pages(ptr, capacity);
        }
        if ptr.is_null() { None } else { Some(Block { ptr, capacity }) }
    }

    fn release(self) {
        if let Some(layout) = alloc_layout(self.capacity) {
            // SAFETY: the block was allocated with this layout and is forgotten right after.
            unsafe { dealloc(self.ptr, layout) };
        }
        std::mem::forget(self);
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        ALLOCATED.fetch_sub(self.capacity, Ordering::Relaxed);
        let block = Block { ptr: self.ptr, capacity: self.capacity };
        if !(CACHED_FROM..=CACHE_LIMIT).contains(&block.capacity) {
            return block.release();
        }
        let evicted = CACHE.lock().unwrap_or_else(PoisonError::into_inner).keep(block);
        evicted.into_iter().for_each(Block::release);
    }
}

/// Sizes of large blocks are rounded to an eighth of a power of two, so that freed ones fit again.
fn rounded(len: usize) -> usize {
    if len < CACHED_FROM {
        return len;
    }
    let step = (len.next_power_of_two() >> 4).max(4096);
    len.checked_next_multiple_of(step).unwrap_or(len)
}

/// Asks for huge pages under a block that is aligned to them: fewer faults when it is first written, fewer misses in
/// the translation buffer whenever it is read.
#[cfg(target_os = "linux")]
fn prefer_huge_pages(ptr: *mut u8, capacity: usize) {
    // SAFETY: the range is one block of ours; the call is advice and changes no content. Where it is refused, nothing
    // is lost.
    unsafe { libc::madvise(ptr.cast(), capacity, libc::MADV_HUGEPAGE) };
}

#[cfg(not(target_os = "linux"))]
fn prefer_huge_pages(_: *mut u8, _: usize) {}

fn alloc_layout(capacity: usize) -> Option<AllocLayout> {
    let align = match capacity {
        HUGE_FROM.. => HUGE_PAGE,
        1024.. => 64,
        _ => 16,
    };
    AllocLayout::from_size_align(capacity, align).ok()
}

#[cold]
fn out_of_memory(len: usize) -> Error {
    let message = format!(
        "DefaultCPUAllocator: can't allocate memory: you tried to allocate {len} bytes. Error code 12 (Cannot allocate memory)"
    );
    Error::new(ErrorKind::OutOfMemory, message)
}
