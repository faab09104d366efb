//! An allocator that counts, for each thread by itself: the tests of one binary run side by side.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

/// The system's allocator, counted.
pub struct Counting;

thread_local! {
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
    static CALLS: Cell<usize> = const { Cell::new(0) };
}

/// What a piece of work cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cost {
    /// The most bytes that were allocated at one time, above those at the start.
    pub peak: usize,
    /// Bytes that are still allocated at the end, above those at the start; negative when fewer.
    pub kept: isize,
    /// Calls that allocated or grew.
    pub calls: usize,
}

/// Does the work and counts.
pub fn measure<T>(work: impl FnOnce() -> T) -> (T, Cost) {
    let (live, calls) = (LIVE.get(), CALLS.get());
    PEAK.set(live);
    let value = work();
    let peak = (PEAK.get() - live).max(0) as usize;
    (value, Cost { peak, kept: LIVE.get() - live, calls: CALLS.get() - calls })
}

fn count(calls: usize, bytes: isize) {
    // A thread that ends may free when its counters are gone.
    let _ = LIVE.try_with(|live| {
        live.set(live.get() + bytes);
        let _ = PEAK.try_with(|peak| peak.set(peak.get().max(live.get())));
    });
    let _ = CALLS.try_with(|all| all.set(all.get() + calls));
}

// SAFETY: every call goes to the system's allocator as it is; the counters are plain cells that allocate nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(1, layout.size() as isize);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(0, -(layout.size() as isize));
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(1, new_size as isize - layout.size() as isize);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}
