//! Scratch memory for packed panels, kept by each thread from call to call.

use crate::dtype::Element;
use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::cell::Cell;

/// A thread's panels of A.
pub(crate) const A: usize = 0;
/// A thread's block of B.
pub(crate) const B: usize = 1;
/// A thread's block of C.
pub(crate) const C: usize = 2;
/// Panels of A that all threads read.
pub(crate) const SHARED: usize = 3;
/// Images with zeros around them.
pub(crate) const IMAGE: usize = 4;

/// Buffers larger than this are given back at once.
const KEEP_BYTES: usize = 32 << 20;

struct Buffer {
    ptr: *mut u8,
    layout: Layout,
}

impl Buffer {
    fn new(bytes: usize) -> Buffer {
        let bytes = bytes.next_power_of_two().max(4096);
        let layout = Layout::from_size_align(bytes, 64).expect("a buffer is smaller than the address space");
        // SAFETY: the size is not 0.
        let ptr = unsafe { alloc_zeroed(layout) };
        if ptr.is_null() {
            handle_alloc_error(layout);
        }
        Buffer { ptr, layout }
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout.
        unsafe { dealloc(self.ptr, self.layout) }
    }
}

thread_local! {
    static BUFFERS: [Cell<Option<Buffer>>; 5] = const { [const { Cell::new(None) }; 5] };
}

/// Calls `f` with at least `len` initialised elements (of any value), aligned to a cache line. A call from within
/// `f` for the same `slot` gets other memory.
pub(crate) fn with<T: Element, R>(slot: usize, len: usize, f: impl FnOnce(*mut T) -> R) -> R {
    let bytes = len * size_of::<T>();
    BUFFERS.with(|buffers| {
        let held = buffers[slot].take().filter(|b| b.layout.size() >= bytes);
        let buffer = held.unwrap_or_else(|| Buffer::new(bytes));
        let result = f(buffer.ptr.cast());
        if buffer.layout.size() <= KEEP_BYTES {
            buffers[slot].set(Some(buffer));
        }
        result
    })
}
