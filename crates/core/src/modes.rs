//! What a thread has switched on: gradients, inference mode, anomaly detection, and the stack of [`Mode`]s.
//!
//! All of it is one thread-local word, so that the door finds out with a single read that nothing special is on.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use crate::Result;
use crate::library::OpRef;
use crate::value::{Outputs, Value};

const NO_GRAD: u8 = 1;
const INFERENCE: u8 = 2;
const MODES: u8 = 4;
const ANOMALY: u8 = 8;
const BELOW: u8 = 16;

thread_local! {
    static STATE: Cell<u8> = const { Cell::new(0) };
    static STACK: RefCell<Vec<Arc<dyn Mode>>> = const { RefCell::new(Vec::new()) };
}

fn has(bit: u8) -> bool {
    STATE.get() & bit != 0
}

/// Whether operators record gradients on this thread.
pub fn is_grad_enabled() -> bool {
    STATE.get() & (NO_GRAD | INFERENCE | BELOW) == 0
}

/// Whether the user has switched gradients off, as opposed to a kernel that runs below autograd.
pub(crate) fn is_no_grad() -> bool {
    has(NO_GRAD)
}

/// What the guard's thread calls runs below autograd: nothing is recorded.
pub(crate) fn below_autograd() -> Guard {
    Guard::set(BELOW, true)
}

/// Whether inference mode is on.
pub fn is_inference() -> bool {
    has(INFERENCE)
}

/// Whether anomaly detection is on.
pub fn is_anomaly_enabled() -> bool {
    has(ANOMALY)
}

/// Whether any [`Mode`] is on.
#[inline]
pub fn any() -> bool {
    has(MODES)
}

/// Puts the thread's state back when dropped.
#[must_use = "the state is put back when this guard is dropped"]
pub struct Guard {
    before: u8,
    _not_send: std::marker::PhantomData<*const ()>,
}

impl Guard {
    fn set(bits: u8, on: bool) -> Guard {
        let before = STATE.get();
        STATE.set(if on { before | bits } else { before & !bits });
        Guard { before, _not_send: std::marker::PhantomData }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        let modes = STATE.get() & MODES;
        STATE.set(self.before & !MODES | modes);
    }
}

/// Switches gradients off until the guard is dropped, as `torch.no_grad()`.
pub fn no_grad() -> Guard {
    Guard::set(NO_GRAD, true)
}

/// Switches gradients on until the guard is dropped, as `torch.enable_grad()`.
pub fn enable_grad() -> Guard {
    Guard::set(NO_GRAD | BELOW, false)
}

/// Switches gradients on or off until the guard is dropped.
pub fn set_grad_enabled(on: bool) -> Guard {
    Guard::set(NO_GRAD, !on)
}

/// Inference mode until the guard is dropped: no gradients, and tensors made inside can never take part in them.
pub fn inference_mode() -> Guard {
    Guard::set(INFERENCE | NO_GRAD, true)
}

/// Anomaly detection until the guard is dropped: nodes remember where they were recorded, and NaN in a backward pass
/// is an error that names the forward call.
pub fn detect_anomaly() -> Guard {
    Guard::set(ANOMALY, true)
}

/// Something that sees every operator call of a thread: a tracer, a profiler, autocast.
pub trait Mode: Send + Sync {
    /// Handles a call; `next` continues to the modes below and at last to autograd and the kernel.
    ///
    /// # Errors
    /// Those of `next`, or the mode's own.
    fn call(
        &self,
        op: OpRef,
        args: &[Value],
        next: &mut dyn FnMut(&[Value]) -> Result<Outputs>,
    ) -> Result<Outputs>;
}

/// Takes a mode off the stack when dropped.
#[must_use = "the mode is taken off when this guard is dropped"]
pub struct ModeGuard {
    depth: usize,
    _not_send: std::marker::PhantomData<*const ()>,
}

/// Puts a mode on top of this thread's stack until the guard is dropped.
pub fn push(mode: Arc<dyn Mode>) -> ModeGuard {
    let depth = STACK.with_borrow_mut(|s| {
        s.push(mode);
        s.len()
    });
    STATE.set(STATE.get() | MODES);
    ModeGuard { depth, _not_send: std::marker::PhantomData }
}

impl Drop for ModeGuard {
    fn drop(&mut self) {
        STACK.with_borrow_mut(|s| s.truncate(self.depth - 1));
        if self.depth == 1 {
            STATE.set(STATE.get() & !MODES);
        }
    }
}

/// Runs `call` through the modes of this thread, topmost first. Inside a mode's own code the modes above and the mode
/// itself are off.
pub(crate) fn through(
    op: OpRef,
    args: &[Value],
    call: &mut dyn FnMut(&[Value]) -> Result<Outputs>,
) -> Result<Outputs> {
    let Some(mode) = STACK.with_borrow_mut(Vec::pop) else {
        return call(args);
    };
    let restore = Restore(Some(mode.clone()));
    if STACK.with_borrow(Vec::is_empty) {
        STATE.set(STATE.get() & !MODES);
    }
    let result = mode.call(op, args, &mut |args| through(op, args, call));
    drop(restore);
    result
}

struct Restore(Option<Arc<dyn Mode>>);

impl Drop for Restore {
    fn drop(&mut self) {
        if let Some(mode) = self.0.take() {
            STACK.with_borrow_mut(|s| s.push(mode));
            STATE.set(STATE.get() | MODES);
        }
    }
}
