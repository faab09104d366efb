//! Corking: while a served connection's own task runs its handler, replies are collected; the task writes them in
//! one go when the handler waits. Writes from any other task go out at once.

use std::cell::Cell;

thread_local! {
    static CORKED: Cell<Id> = const { Cell::new(Id(0)) };
}

/// Names a connection while it lives: its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Id(usize);

impl Id {
    pub(super) fn of<T>(connection: &T) -> Id {
        Id(core::ptr::from_ref(connection).addr())
    }
}

/// Runs `poll` with the connection `id` corked on this thread.
pub(super) fn corked<R>(id: Id, poll: impl FnOnce() -> R) -> R {
    struct Restore(Id);
    impl Drop for Restore {
        fn drop(&mut self) {
            CORKED.set(self.0);
        }
    }
    let _restore = Restore(CORKED.replace(id));
    poll()
}

/// Whether the connection `id` is corked here.
#[inline]
pub(super) fn is_corked(id: Id) -> bool {
    CORKED.get() == id
}
