//! The server's clock and its random names.

use serde_json::{Value, json};

/// The time as the API writes it: RFC 3339, whole seconds, UTC.
pub fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// A fresh uid (UUID, version 4).
pub fn uid() -> Value {
    let mut bytes = fastrand::u128(..).to_be_bytes();
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let hex = bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    json!(format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]))
}

/// A name from a `generateName`: cut to 58 characters, then five random ones without vowels.
pub fn generated_name(base: &str) -> String {
    const LETTERS: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";
    let cut = base.chars().take(58).collect::<String>();
    let tail = (0..5).map(|_| char::from(LETTERS[fastrand::usize(..LETTERS.len())]));
    cut.chars().chain(tail).collect()
}
