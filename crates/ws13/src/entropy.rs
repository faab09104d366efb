//! Randomness for masking keys: a generator for each thread, seeded by the operating system.

use crate::connection::MaskKeys;
use crate::frame::MaskKey;
use chacha20::ChaCha12Rng;
use chacha20::rand_core::{Rng, SeedableRng};
use std::cell::RefCell;
use std::mem::ManuallyDrop;

/// Masking keys from a ChaCha generator of 12 rounds for each thread, whose seed is the operating system's randomness, and
/// is fetched anew for every 64 KiB of keys. A process that forks shares what is left of them with its child.
///
/// Who sees any number of keys cannot tell the next one (RFC 6455 section 5.3). To have the operating system make
/// each key took a third of the time that a client needs to send 64 bytes.
#[derive(Clone, Copy, Debug, Default)]
pub struct RandomMaskKeys;

impl MaskKeys for RandomMaskKeys {
    /// # Panics
    /// When the operating system has no randomness to give: without it a key would be predictable.
    #[inline]
    fn next_key(&mut self) -> MaskKey {
        random_u32().to_ne_bytes()
    }
}

/// A number to spread load with.
pub(crate) fn random_u64() -> u64 {
    u64::from(random_u32()) << 32 | u64::from(random_u32())
}

fn random_u32() -> u32 {
    GENERATOR.with_borrow_mut(|seeded| match seeded {
        Some(Seeded { generator, left: left @ 1.. }) => {
            *left -= 1;
            generator.next_u32()
        }
        _ => seeded.insert(Seeded::new()).generator.next_u32(),
    })
}

thread_local! {
    static GENERATOR: RefCell<Option<Seeded>> = const { RefCell::new(None) };
}

struct Seeded {
    /// Without a destructor, so that there are keys for as long as the thread runs destructors of its own.
    generator: ManuallyDrop<ChaCha12Rng>,
    /// Numbers until the next seed.
    left: u32,
}

/// Numbers of one seed: who forks has its own keys again after so many.
const NUMBERS_OF_A_SEED: u32 = 16 << 10;

impl Seeded {
    #[cold]
    fn new() -> Self {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed).expect("the operating system gives random bytes");
        Seeded { generator: ManuallyDrop::new(ChaCha12Rng::from_seed(seed)), left: NUMBERS_OF_A_SEED - 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_fresh_key_for_each_frame() {
        let keys: HashSet<MaskKey> = (0..10_000).map(|_| RandomMaskKeys.next_key()).collect();
        // 10,000 of 2^32: about 0.01 collisions are expected.
        assert!(keys.len() > 9_990);
    }

    #[test]
    fn each_thread_and_each_seed_has_keys_of_its_own() {
        let thousand = || (0..1000).map(|_| random_u32()).collect::<Vec<_>>();
        let (one, other) = (std::thread::spawn(thousand), std::thread::spawn(thousand));
        assert_ne!(one.join().unwrap(), other.join().unwrap());

        let first = thousand();
        let seeds = NUMBERS_OF_A_SEED as usize / 1000 + 1;
        assert!((0..seeds).all(|_| thousand() != first));
    }

    #[test]
    fn a_thread_that_ends_has_keys_to_the_last() {
        struct Last;
        impl Drop for Last {
            fn drop(&mut self) {
                random_u32();
            }
        }
        thread_local!(static LAST: Last = const { Last });
        // Dropped after all that is used for the first time after it.
        let ended = std::thread::spawn(|| {
            LAST.with(|_| ());
            random_u32();
        });
        assert!(ended.join().is_ok());
    }

    #[test]
    fn a_seed_serves_so_many_numbers_and_no_more() {
        let left = || GENERATOR.with_borrow(|seeded| seeded.as_ref().unwrap().left);
        random_u32();
        while left() > 0 {
            random_u32();
        }
        random_u32();
        assert_eq!(left(), NUMBERS_OF_A_SEED - 1);
    }
}
