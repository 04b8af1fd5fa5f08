//! Identifiers in AWS's forms, drawn from a generator that is passed in.

use crate::Rng;

const ALPHANUMERIC: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// `len` lower-case hexadecimal digits, as in ECS task ids (32) and EC2 ids (17).
pub fn hex_id(rng: &mut dyn Rng, len: usize) -> String {
    let mut bytes = vec![0; len.div_ceil(2)];
    rng.fill(&mut bytes);
    let mut id = hex::encode(bytes);
    id.truncate(len);
    id
}

/// An EC2-style id: the prefix, a hyphen, 17 hexadecimal digits, for example `sg-0a1b2c3d4e5f60718`.
pub fn prefixed_id(rng: &mut dyn Rng, prefix: &str) -> String {
    format!("{prefix}-0{}", hex_id(rng, 16))
}

/// `len` characters of A-Z and 2-7, as in IAM unique ids and access key ids.
pub fn alphanumeric_id(rng: &mut dyn Rng, len: usize) -> String {
    (0..len)
        .map(|_| ALPHANUMERIC[rng.below(ALPHANUMERIC.len() as u64) as usize] as char)
        .collect()
}

/// A random (version 4) UUID in its usual text form. Ref: RFC 9562.
pub fn uuid(rng: &mut dyn Rng) -> String {
    let mut b = [0; 16];
    rng.fill(&mut b);
    b[6] = (b[6] & 0x0f) | 0x40;
    b[8] = (b[8] & 0x3f) | 0x80;
    // Every call has two of them: no formatting.
    let mut digits = [0; 32];
    // The target has twice the source's length.
    let _ = hex::encode_to_slice(b, &mut digits);
    let digits = std::str::from_utf8(&digits).unwrap_or_default();
    let mut id = String::with_capacity(36);
    for (from, to) in [(0, 8), (8, 12), (12, 16), (16, 20), (20, 32)] {
        if from > 0 {
            id.push('-');
        }
        id.push_str(digits.get(from..to).unwrap_or_default());
    }
    id
}
