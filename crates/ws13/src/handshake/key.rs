//! `Sec-WebSocket-Key` and `Sec-WebSocket-Accept` (RFC 6455, sections 1.3, 4.1 and 4.2.2).

use super::error::Invalid;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};

/// RFC 6455, 1.3: the text that is appended to the key before it is hashed.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The nonce of a handshake: 16 bytes, sent as 24 characters of base64.
///
/// The example of RFC 6455, section 1.3:
///
/// ```
/// use ws13::handshake::Key;
/// let key = Key::parse(b"dGhlIHNhbXBsZSBub25jZQ==").ok_or("invalid")?;
/// assert_eq!(key, Key::new(*b"the sample nonce"));
/// assert_eq!(key.accept(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// # Ok::<(), &str>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key([u8; 16]);

impl Key {
    /// The key of these 16 bytes. RFC 6455, 4.1: "The nonce MUST be selected randomly for each connection."
    #[must_use]
    pub fn new(nonce: [u8; 16]) -> Self {
        Key(nonce)
    }

    /// A fresh key from the operating system's randomness.
    ///
    /// # Errors
    /// [`Invalid::Randomness`] when the operating system gives none.
    pub fn random() -> Result<Self, Invalid> {
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).map_err(|error| Invalid::Randomness(error.to_string()))?;
        Ok(Key(nonce))
    }

    /// Reads the value of a `Sec-WebSocket-Key` header: 24 characters of canonical base64 for 16 bytes.
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        // The length first: nothing is decoded for a text that cannot be a key.
        if text.len() != 24 {
            return None;
        }
        let nonce = STANDARD.decode(text).ok()?;
        nonce.try_into().ok().map(Key)
    }

    /// The text of the `Sec-WebSocket-Key` header.
    #[must_use]
    pub fn encode(&self) -> String {
        STANDARD.encode(self.0)
    }

    /// The text of the `Sec-WebSocket-Accept` header that answers this key (RFC 6455, 4.2.2, step 5.4).
    #[must_use]
    pub fn accept(&self) -> String {
        let hash = Sha1::new().chain_update(self.encode()).chain_update(GUID).finalize();
        STANDARD.encode(hash)
    }
}

impl From<[u8; 16]> for Key {
    fn from(nonce: [u8; 16]) -> Self {
        Key(nonce)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc_6455_1_3_example() {
        let key = Key::new(*b"the sample nonce");
        assert_eq!(key.encode(), "dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(key.accept(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn sec_websocket_key_not_24_characters_of_base64_for_16_bytes() {
        for text in [
            "",
            "dGhlIHNhbXBsZSBub25jZQ=",
            "dGhlIHNhbXBsZSBub25jZQ",
            "dGhlIHNhbXBsZSBub25jZQ===",
            "dGhlIHNhbXBsZSBub25jZR==", // bits behind the last byte are not zero
            "dGhlIHNhbXBsZSBub25jZQAA", // 18 bytes
            "dGhlIHNhbXBsZSBub25jZQA=", // 17 bytes
            "dGhlIHNhbXBsZSBub25j Q==",
            "dGhlIHNhbXBsZSBub25j-Q==",
            "========================",
            "ääääääääääää",
        ] {
            assert_eq!(Key::parse(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn keys_survive_the_way_through_text_and_are_fresh() {
        let key = Key::random().unwrap();
        assert_eq!(Key::parse(key.encode().as_bytes()), Some(key));
        assert_ne!(Key::random().unwrap(), key);
        assert_eq!(key.encode().len(), 24);
        assert_eq!(key.accept().len(), 28);
    }
}
