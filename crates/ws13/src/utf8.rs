//! UTF-8 validated as it arrives (RFC 6455 section 8.1): across reads and across frames, failing at the first byte
//! that no valid text could have.
//!
//! ```
//! use ws13::utf8::Validator;
//!
//! let mut validator = Validator::new();
//! validator.feed(&[0xe2, 0x82])?; // the first two bytes of "€"
//! assert!(!validator.is_complete());
//! validator.feed(&[0xac])?;
//! assert!(validator.is_complete());
//! assert!(validator.feed(&[0xff]).is_err());
//! # Ok::<(), ws13::utf8::InvalidUtf8>(())
//! ```

use core::fmt;

/// Whether a text that is all here is valid.
#[inline]
pub(crate) fn is_valid(text: &[u8]) -> bool {
    simdutf8::basic::from_utf8(text).is_ok()
}

/// As `is_valid`, for a small text that has just been unmasked. It is ASCII mostly, which is seen in a fraction of the time.
/// Else it is looked at in registers as narrow as those that it was written from: what is read in wider ones, the processor
/// cannot forward, and waits for (8 ns of 64 bytes).
#[inline(always)]
pub(crate) fn is_valid_small(text: &[u8]) -> bool {
    text.is_ascii() || is_valid_narrow(text)
}

fn is_valid_narrow(text: &[u8]) -> bool {
    #[cfg(all(feature = "std", target_arch = "x86_64"))]
    if let Some(valid) = crate::trusted::is_utf8_narrow(text) {
        return valid;
    }
    is_valid(text)
}

/// Validates text that comes in pieces.
#[derive(Clone, Debug, Default)]
pub struct Validator {
    /// The beginning of a character whose end has not arrived.
    partial: [u8; 4],
    partial_len: u8,
}

impl Validator {
    /// A validator at the beginning of a text.
    pub const fn new() -> Self {
        Validator { partial: [0; 4], partial_len: 0 }
    }

    /// Looks at the next piece of the text.
    ///
    /// # Errors
    /// As soon as the bytes so far cannot be the beginning of any valid text, also in the middle of a character.
    #[inline]
    pub fn feed(&mut self, mut piece: &[u8]) -> Result<(), InvalidUtf8> {
        if self.partial_len > 0 {
            piece = self.finish_character(piece)?;
        }
        match simdutf8::compat::from_utf8(piece) {
            Ok(_) => Ok(()),
            Err(error) if error.error_len().is_some() => Err(InvalidUtf8),
            Err(error) => {
                self.keep(&piece[error.valid_up_to()..]);
                Ok(())
            }
        }
    }

    /// Whether the text may end here: no character is cut off.
    #[inline]
    pub const fn is_complete(&self) -> bool {
        self.partial_len == 0
    }

    /// Completes the cut-off character with bytes of `piece`; gives what is left of it.
    fn finish_character<'a>(&mut self, piece: &'a [u8]) -> Result<&'a [u8], InvalidUtf8> {
        for (i, &byte) in piece.iter().enumerate() {
            let len = usize::from(self.partial_len);
            // A prefix that is not impossible becomes a character by its fourth byte at the latest.
            self.partial[len] = byte;
            self.partial_len += 1;
            match core::str::from_utf8(&self.partial[..=len]) {
                Ok(_) => {
                    self.partial_len = 0;
                    return Ok(&piece[i + 1..]);
                }
                Err(error) if error.error_len().is_some() => return Err(InvalidUtf8),
                Err(_) => {}
            }
        }
        Ok(&[])
    }

    /// Keeps the beginning of a character: three bytes at most.
    fn keep(&mut self, tail: &[u8]) {
        self.partial[..tail.len()].copy_from_slice(tail);
        self.partial_len = tail.len() as u8;
    }
}

/// The text has a byte that no valid UTF-8 could have at its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidUtf8;

impl fmt::Display for InvalidUtf8 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the text is not valid UTF-8")
    }
}

impl core::error::Error for InvalidUtf8 {}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    /// Where the first impossible byte stands, by trying every prefix.
    fn obvious(bytes: &[u8]) -> Option<usize> {
        (0..bytes.len()).find(
            |&i| matches!(core::str::from_utf8(&bytes[..=i]), Err(error) if error.error_len().is_some()),
        )
    }

    fn fails_at(pieces: &[&[u8]]) -> Option<usize> {
        let mut validator = Validator::new();
        pieces.iter().position(|piece| validator.feed(piece).is_err())
    }

    #[test]
    fn fails_at_the_first_impossible_byte_one_byte_at_a_time() {
        let texts: [&[u8]; 11] = [
            b"plain",
            "κόσμε €𝄞".as_bytes(),
            b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80edited",
            b"\xed\xa0\x80",
            b"\xe0\x80\x80",
            b"\xf0\x80\x80\x80",
            b"\xf5",
            b"\xc0\x80",
            b"a\x80",
            b"\xe2\x82a",
            b"\xf4\x8f\xbf\xbf",
        ];
        for text in texts {
            let pieces: Vec<&[u8]> = text.chunks(1).collect();
            assert_eq!(fails_at(&pieces), obvious(text), "{text:x?}");
        }
    }

    #[test]
    fn small_texts_are_judged_as_the_standard_library_does_with_a_foreign_byte_at_every_place() {
        let text = "plain, grüße, €, 𝄞𝄞𝄞 and more of it: κόσμε, ελληνικά, 日本語, ascii again, and again, to the end.";
        assert!(text.len() > 125);
        for len in 0..=125 {
            let mut bytes = text.as_bytes()[..len].to_vec();
            let judge = |bytes: &[u8]| {
                let valid = core::str::from_utf8(bytes).is_ok();
                assert_eq!((is_valid_small(bytes), is_valid(bytes)), (valid, valid), "{bytes:x?}");
            };
            judge(&bytes);
            for at in 0..len {
                for foreign in [b'a', 0x80, 0xbf, 0xc0, 0xc3, 0xe0, 0xed, 0xf0, 0xf4, 0xf5, 0xff] {
                    let own = core::mem::replace(&mut bytes[at], foreign);
                    judge(&bytes);
                    bytes[at] = own;
                }
            }
        }
    }

    #[test]
    fn every_cut_gives_the_same_answer() {
        let long: Vec<u8> = "aé€𝄞".repeat(40).into_bytes();
        for cut in 0..=long.len() {
            let mut validator = Validator::new();
            assert_eq!(validator.feed(&long[..cut]), Ok(()));
            assert_eq!(validator.is_complete(), core::str::from_utf8(&long[..cut]).is_ok());
            assert_eq!(validator.feed(&long[cut..]), Ok(()));
            assert!(validator.is_complete());
        }
    }

    #[test]
    fn two_byte_sequences_exhaustively_across_a_cut() {
        for first in 0..=255u8 {
            for second in 0..=255u8 {
                let expected = obvious(&[first, second]).is_none();
                assert_eq!(fails_at(&[&[first], &[second]]).is_none(), expected);
                assert_eq!(fails_at(&[&[first, second]]).is_none(), expected);
            }
        }
    }
}
