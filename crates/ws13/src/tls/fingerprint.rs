//! Fingerprints: a certificate's name for itself, to be compared by eye or by `ClientTls`.

use rustls::crypto::ring::cipher_suite::TLS13_AES_128_GCM_SHA256;
use std::fmt;
use std::str::FromStr;

/// The SHA-256 of a certificate in DER.
///
/// ```
/// use ws13::tls::Fingerprint;
/// let of_nothing: Fingerprint = "E3:B0:C4:42:98:FC:1C:14:9A:FB:F4:C8:99:6F:B9:24:\
///                                27:AE:41:E4:64:9B:93:4C:A4:95:99:1B:78:52:B8:55".parse()?;
/// assert_eq!(of_nothing, Fingerprint::of(b""));
/// # Ok::<(), ws13::tls::InvalidFingerprint>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of a certificate in DER.
    #[must_use]
    pub fn of(der: &[u8]) -> Self {
        // The hash that this suite uses is the one that is here anyway.
        let hash = TLS13_AES_128_GCM_SHA256.tls13().map(|suite| suite.common.hash_provider.hash(der));
        let hash = hash.and_then(|hash| hash.as_ref().try_into().ok());
        Fingerprint(hash.expect("a suite of TLS 1.3 whose hash has 32 bytes"))
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl FromStr for Fingerprint {
    type Err = InvalidFingerprint;

    /// Reads 64 hexadecimal digits; colons between the bytes are as good as none.
    fn from_str(text: &str) -> Result<Self, InvalidFingerprint> {
        let digits: Option<Vec<u8>> = text.chars().filter(|c| *c != ':').map(digit).collect();
        let digits = digits.filter(|digits| digits.len() == 64).ok_or(InvalidFingerprint)?;
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
            *byte = pair[0] << 4 | pair[1];
        }
        Ok(Fingerprint(bytes))
    }
}

fn digit(c: char) -> Option<u8> {
    u8::try_from(c.to_digit(16)?).ok()
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            let colon = if at == 0 { "" } else { ":" };
            write!(f, "{colon}{byte:02X}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// A text is no fingerprint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InvalidFingerprint;

impl fmt::Display for InvalidFingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "a fingerprint is the SHA-256 of a certificate: 64 hexadecimal digits, with colons or without",
        )
    }
}

impl std::error::Error for InvalidFingerprint {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_is_read_as_it_is_shown_and_without_colons() {
        let print = Fingerprint::of(b"a certificate");
        assert_eq!(print.to_string().parse(), Ok(print));
        assert_eq!(print.to_string().replace(':', "").to_lowercase().parse(), Ok(print));
        for wrong in ["", "AB", &"a".repeat(63), &"a".repeat(65), &"g".repeat(64), &"ä".repeat(64)] {
            assert_eq!(wrong.parse::<Fingerprint>(), Err(InvalidFingerprint), "{wrong}");
        }
    }
}
