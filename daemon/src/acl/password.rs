//! Passwords: kept as SHA-256, compared in constant time, generated from the system's random numbers.

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// Bits of a generated password when nobody says.
pub const GENERATED_BITS_DEFAULT: u16 = 256;
/// Bits of a generated password at most.
pub const GENERATED_BITS_MAX: u16 = 4096;

/// SHA-256 of a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordHash([u8; 32]);

impl PasswordHash {
    /// Of a password.
    #[must_use]
    pub fn of(password: &[u8]) -> Self {
        Self(Sha256::digest(password).into())
    }

    /// From 64 lower-case hexadecimal digits; none when it is anything else.
    #[must_use]
    pub fn from_hex(text: &[u8]) -> Option<Self> {
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let mut bytes = [0; 32];
        if text.len() != 2 * bytes.len() {
            return None;
        }
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            *byte = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Self(bytes))
    }

    /// As 64 lower-case hexadecimal digits.
    #[must_use]
    pub fn to_hex(&self) -> String {
        hex(&self.0)
    }

    /// Whether both are of the same password; takes as long whether they are or not.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A password of so many random bits as hexadecimal digits, rounded up to whole digits.
///
/// # Errors
/// When the system has no random numbers to give.
pub fn generate(bits: u16) -> std::io::Result<String> {
    let digits = usize::from(bits.min(GENERATED_BITS_MAX)).div_ceil(4);
    let mut text = String::new();
    while text.len() < digits {
        text.push_str(&hex(&engine::store::random_bytes::<32>()?));
    }
    text.truncate(digits);
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_that_of_the_standard_and_goes_to_text_and_back() {
        let hash = PasswordHash::of(b"pw");
        let text = "30c952fab122c3f9759f02a6d95c3758b246b4fee239957b2d4fee46e26170c4";
        assert_eq!(hash.to_hex(), text);
        assert_eq!(PasswordHash::from_hex(text.as_bytes()), Some(hash));
        assert!(PasswordHash::from_hex(text.to_uppercase().as_bytes()).is_none());
        assert!(PasswordHash::from_hex(&text.as_bytes()[1..]).is_none());
        assert!(!hash.matches(&PasswordHash::of(b"pw2")) && hash.matches(&hash));
    }

    #[test]
    fn generated_passwords_have_the_bits_asked_for_and_differ() {
        assert_eq!(generate(5).unwrap().len(), 2);
        assert_eq!(generate(256).unwrap().len(), 64);
        assert_eq!(generate(u16::MAX).unwrap().len(), 1024);
        assert_ne!(generate(128).unwrap(), generate(128).unwrap());
    }
}
