//! The only module with `unsafe`: what the compiler cannot see for itself, each with the argument why it holds.
#![allow(unsafe_code)]

/// The string of bytes that have been validated to their end: a `Text`'s own, or those of a text message that the
/// receiver lends out. Nobody else may call this.
#[inline]
pub(crate) fn validated(bytes: &[u8]) -> &str {
    debug_assert!(core::str::from_utf8(bytes).is_ok());
    // SAFETY: the two callers are `Text::as_str`, whose bytes came from a `str`, a `String`, a checked `Bytes` or
    // from `from_validated`; and `MessageRef::as_text`. Both of the latter hold payloads of text messages,
    // which the receiver gives out only when they are valid: `small_message` and `whole_frame` have validated the
    // whole payload, and for all others `utf8::Validator` has seen every byte and was complete at the end.
    unsafe { core::str::from_utf8_unchecked(bytes) }
}

/// Does `mask::xor` in registers of 32 bytes, where the processor has them; otherwise does nothing and says so.
#[cfg(all(feature = "std", target_arch = "x86_64"))]
pub(crate) fn xor_wide(payload: &mut [u8], pattern: &crate::mask::Pattern) -> bool {
    /// The same safe code, compiled for AVX2.
    #[target_feature(enable = "avx2")]
    unsafe fn with_avx2(payload: &mut [u8], pattern: &crate::mask::Pattern) {
        crate::mask::xor(payload, pattern);
    }
    if !std::arch::is_x86_feature_detected!("avx2") {
        return false;
    }
    // SAFETY: the only thing it asks for is that the processor has AVX2, which has just been asked.
    unsafe { with_avx2(payload, pattern) };
    true
}
