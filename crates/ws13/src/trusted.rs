//! The only module with `unsafe`: what the compiler cannot see for itself, each with the argument why it holds.
#![allow(unsafe_code)]

/// The string of bytes that have been validated to their end: a `Text`'s own, or those of a text message that the
/// receiver lends out. Nobody else may call this.
#[inline]
pub(crate) fn validated(bytes: &[u8]) -> &str {
    debug_assert!(core::str::from_utf8(bytes).is_ok());
    // SAFETY: the two callers are `Text::as_str`, whose bytes came from a `str`, a `String`, a checked `Bytes` or
    // from `from_validated`; and `MessageRef::as_text`. Both of the latter hold payloads of text messages,
    // which the receiver gives out only when they are valid: `short_payload`, `small_message` and `whole_frame` have
    // validated the whole of it, and for all others `utf8::Validator` has seen every byte and was complete at the end.
    unsafe { core::str::from_utf8_unchecked(bytes) }
}

/// Does `mask::xor` in registers of 32 bytes, where the processor has them; otherwise does nothing and says so.
#[cfg(all(feature = "std", target_arch = "x86_64"))]
pub(crate) fn xor_wide(payload: &mut [u8], pattern: crate::mask::Pattern) -> bool {
    /// The same safe code, compiled for AVX2.
    #[target_feature(enable = "avx2")]
    unsafe fn with_avx2(payload: &mut [u8], pattern: crate::mask::Pattern) {
        crate::mask::xor(payload, pattern);
    }
    if !std::arch::is_x86_feature_detected!("avx2") {
        return false;
    }
    // SAFETY: the only thing it asks for is that the processor has AVX2, which has just been asked.
    unsafe { with_avx2(payload, pattern) };
    true
}

/// Does `mask::extend_xor` in registers of 32 bytes, where the processor has them; otherwise does nothing and says so.
///
/// A twin of `xor_wide`: one function that took the work as a closure was tried, and did not compile this one for AVX2 (83 %
/// more instructions for 16 KiB).
#[cfg(all(feature = "std", target_arch = "x86_64"))]
pub(crate) fn extend_wide(
    target: &mut alloc::vec::Vec<u8>,
    payload: &[u8],
    pattern: crate::mask::Pattern,
) -> bool {
    /// The same safe code, compiled for AVX2.
    #[target_feature(enable = "avx2")]
    unsafe fn with_avx2(target: &mut alloc::vec::Vec<u8>, payload: &[u8], pattern: crate::mask::Pattern) {
        crate::mask::extend_xor(target, payload, pattern);
    }
    if !std::arch::is_x86_feature_detected!("avx2") {
        return false;
    }
    // SAFETY: the only thing it asks for is that the processor has AVX2, which has just been asked.
    unsafe { with_avx2(target, payload, pattern) };
    true
}

/// Does `mask::move_xor` in registers of 32 bytes, where the processor has them; otherwise does nothing and says so.
#[cfg(all(feature = "std", target_arch = "x86_64"))]
pub(crate) fn move_wide(bytes: &mut [u8], distance: usize, pattern: crate::mask::Pattern) -> bool {
    /// The same safe code, compiled for AVX2.
    #[target_feature(enable = "avx2")]
    unsafe fn with_avx2(bytes: &mut [u8], distance: usize, pattern: crate::mask::Pattern) {
        crate::mask::move_xor(bytes, distance, pattern);
    }
    if !std::arch::is_x86_feature_detected!("avx2") {
        return false;
    }
    // SAFETY: the only thing it asks for is that the processor has AVX2, which has just been asked.
    unsafe { with_avx2(bytes, distance, pattern) };
    true
}

/// Whether bytes are UTF-8, by registers of 16 bytes; `None` where the processor has none that do.
#[cfg(all(feature = "std", target_arch = "x86_64"))]
pub(crate) fn is_utf8_narrow(bytes: &[u8]) -> Option<bool> {
    if !std::arch::is_x86_feature_detected!("sse4.2") {
        return None;
    }
    // SAFETY: the only thing it asks for is that the processor has SSE 4.2, which has just been asked.
    Some(unsafe { simdutf8::basic::imp::x86::sse42::validate_utf8(bytes) }.is_ok())
}

/// Says that `len` bytes of a buffer's spare capacity hold what was read. Nobody but `poll_read_buf` of the tokio driver may call
/// this.
///
/// # Panics
/// When there is less spare capacity.
#[cfg(feature = "tokio")]
#[inline(always)]
pub(crate) fn appended(buffer: &mut bytes::BytesMut, len: usize) {
    // SAFETY: `poll_read_buf` made a `tokio::io::ReadBuf` of the spare capacity, checked that the stream left it that one (for
    // `Inbox::room` always leaves some, and then only that one starts where it did), and gives the length of its filled part:
    // bytes at the start of the spare capacity, which a `ReadBuf` calls filled only when they have been initialized.
    unsafe { bytes::BufMut::advance_mut(buffer, len) };
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;

    /// All characters that there are, at every alignment and after every length of character.
    #[test]
    fn text_is_what_the_safe_way_gives_for_every_character_and_alignment() {
        for before in ["", "a", "ab", "abc", "ß", "€", "𝄞"] {
            let mut text = String::from(before);
            for character in '\0'..=char::MAX {
                text.push(character);
                if text.len() > 60 {
                    for start in text.char_indices().map(|(start, _)| start).take(8) {
                        let bytes = &text.as_bytes()[start..];
                        assert_eq!(Ok(validated(bytes)), core::str::from_utf8(bytes));
                    }
                    text.truncate(before.len());
                }
            }
        }
        assert_eq!(validated(&[]), "");
    }

    #[cfg(all(feature = "std", target_arch = "x86_64"))]
    #[test]
    fn wide_registers_move_what_the_safe_way_moves_at_every_length_and_distance() {
        let pattern: crate::mask::Pattern = 0x07ff_8012_07ff_8012;
        let bytes: alloc::vec::Vec<u8> = (0..400).map(|i| (i * 7) as u8).collect();
        for distance in 0..64 {
            for end in distance..300 {
                let (mut wide, mut narrow) = (bytes.clone(), bytes.clone());
                if !move_wide(&mut wide[..end], distance, pattern) {
                    return;
                }
                crate::mask::move_xor(&mut narrow[..end], distance, pattern);
                assert_eq!(wide, narrow, "{distance} bytes before {end}");
            }
        }
    }

    #[cfg(all(feature = "std", target_arch = "x86_64"))]
    #[test]
    fn wide_registers_append_what_the_safe_way_appends_at_every_length_and_alignment() {
        let pattern: crate::mask::Pattern = 0x07ff_8012_07ff_8012;
        let bytes: alloc::vec::Vec<u8> = (0..400).map(|i| (i * 7) as u8).collect();
        for start in 0..64 {
            for len in 0..300 {
                let payload = &bytes[start..start + len];
                let (mut wide, mut narrow) = (bytes[..start].to_vec(), bytes[..start].to_vec());
                if !extend_wide(&mut wide, payload, pattern) {
                    return;
                }
                crate::mask::extend_xor(&mut narrow, payload, pattern);
                assert_eq!(wide, narrow, "{len} bytes after {start}");
            }
        }
    }

    #[cfg(all(feature = "std", target_arch = "x86_64"))]
    #[test]
    fn wide_registers_give_what_the_safe_way_gives_at_every_length_and_alignment() {
        let pattern: crate::mask::Pattern = 0x07ff_8012_07ff_8012;
        let bytes: alloc::vec::Vec<u8> = (0..400).map(|i| (i * 7) as u8).collect();
        for start in 0..64 {
            for len in 0..300 {
                let (mut wide, mut narrow) = (bytes.clone(), bytes.clone());
                if !xor_wide(&mut wide[start..start + len], pattern) {
                    return;
                }
                crate::mask::xor(&mut narrow[start..start + len], pattern);
                assert_eq!(wide, narrow, "{len} bytes from {start} on");
            }
        }
    }
}
