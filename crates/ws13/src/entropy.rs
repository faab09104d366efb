//! Randomness from the operating system, fetched a page at a time.

use crate::connection::MaskKeys;
use crate::frame::MaskKey;
use std::cell::RefCell;

/// Masking keys from the operating system's randomness; a pool for each thread keeps the system calls few.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsMaskKeys;

impl MaskKeys for OsMaskKeys {
    /// # Panics
    /// When the operating system has no randomness to give: without it a key would be predictable.
    #[inline]
    fn next_key(&mut self) -> MaskKey {
        take()
    }
}

/// A number to spread load with.
pub(crate) fn random_u64() -> u64 {
    let (high, low) = (u32::from_ne_bytes(take()), u32::from_ne_bytes(take()));
    (u64::from(high) << 32) | u64::from(low)
}

const POOL: usize = 4096;

struct Pool {
    bytes: [u8; POOL],
    /// Bytes from here on are unused.
    next: usize,
}

thread_local! {
    static RANDOM: RefCell<Pool> = const { RefCell::new(Pool { bytes: [0; POOL], next: POOL }) };
}

fn take<const N: usize>() -> [u8; N] {
    RANDOM.with_borrow_mut(|pool| {
        if pool.next + N > POOL {
            getrandom::fill(&mut pool.bytes).expect("the operating system gives random bytes");
            pool.next = 0;
        }
        let mut bytes = [0; N];
        let used = &mut pool.bytes[pool.next..pool.next + N];
        bytes.copy_from_slice(used);
        // What was given out is not kept.
        used.fill(0);
        pool.next += N;
        bytes
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_fresh_key_for_each_frame() {
        let keys: HashSet<MaskKey> = (0..10_000).map(|_| OsMaskKeys.next_key()).collect();
        // 10,000 of 2^32: about 0.01 collisions are expected.
        assert!(keys.len() > 9_990);
    }
}
