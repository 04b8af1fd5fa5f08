//! URL encoding, Base64, hexadecimal, UTF-8.

use super::{hex_byte, hex_value, low_byte};
use std::fmt::Write;

pub(super) fn url(text: &[u8]) -> Option<Vec<u8>> {
    percent(text, false)
}

pub(super) fn url_uni(text: &[u8]) -> Option<Vec<u8>> {
    percent(text, true)
}

fn percent(text: &[u8], unicode: bool) -> Option<Vec<u8>> {
    if !text.iter().any(|b| matches!(b, b'%' | b'+')) {
        return None;
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        let (byte, used) = match (first, tail) {
            (b'+', _) => (b' ', 1),
            (b'%', [b'u' | b'U', code @ ..]) if unicode => low_byte(code).map_or((b'%', 1), |byte| (byte, 6)),
            (b'%', code) => hex_byte(code).map_or((b'%', 1), |byte| (byte, 3)),
            (byte, _) => (*byte, 1),
        };
        out.push(byte);
        rest = rest.get(used..).unwrap_or_default();
    }
    Some(out)
}

/// What a character outside of the Base64 alphabet does.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Invalid {
    /// Decoding ends before it.
    Ends,
    /// It is skipped.
    Skipped,
}

pub(super) fn base64(text: &[u8], invalid: Invalid) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3 + 3);
    let (mut bits, mut held) = (0u32, 0u32);
    for &byte in text {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ if invalid == Invalid::Skipped => continue,
            _ => break,
        };
        // At most 6 + 8 bits are held at any time.
        bits = (bits << 6 | u32::from(value)) & 0x3fff;
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held & 0xff) as u8);
        }
    }
    Some(out)
}

/// Pairs of digits become bytes; decoding ends at what is no pair.
pub(super) fn hex(text: &[u8]) -> Option<Vec<u8>> {
    let out: Vec<u8> = text.chunks_exact(2).map_while(hex_byte).collect();
    // A text that is no hexadecimal at all is left alone, so that it is still inspected.
    (!out.is_empty()).then_some(out)
}

pub(super) fn sql_hex(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    let mut any = false;
    while let [first, tail @ ..] = rest {
        if let [b'0', b'x' | b'X', digits @ ..] = rest {
            let len = digits.iter().take_while(|b| hex_value(**b).is_some()).count() / 2 * 2;
            if let (Some(pairs), true) = (digits.get(..len), len > 0) {
                out.extend(pairs.chunks_exact(2).filter_map(hex_byte));
                rest = digits.get(len..).unwrap_or_default();
                any = true;
                continue;
            }
        }
        out.push(*first);
        rest = tail;
    }
    any.then_some(out)
}

/// Every character beyond ASCII becomes `%uHHHH` (more digits above FFFF); bytes that are no UTF-8 stay.
pub(super) fn utf8_to_unicode(text: &[u8]) -> Option<Vec<u8>> {
    if text.is_ascii() {
        return None;
    }
    let mut out = Vec::with_capacity(text.len() * 2);
    for chunk in text.utf8_chunks() {
        for character in chunk.valid().chars() {
            if character.is_ascii() {
                out.push(character as u8);
            } else {
                let mut code = String::new();
                let _ = write!(code, "%u{:04x}", u32::from(character));
                out.extend(code.as_bytes());
            }
        }
        out.extend(chunk.invalid());
    }
    Some(out)
}
