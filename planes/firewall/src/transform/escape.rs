//! Backslash escapes of C, CSS and JavaScript.

use super::{full_width, hex_byte, hex_value, low_byte};

/// Walks over `text`; at each backslash `escape` says what the bytes after it mean and how many it used.
fn unescape(text: &[u8], escape: impl Fn(&[u8]) -> (Option<u8>, usize)) -> Option<Vec<u8>> {
    if !text.contains(&b'\\') {
        return None;
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        if *first == b'\\' {
            let (byte, used) = escape(tail);
            out.extend(byte);
            rest = tail.get(used..).unwrap_or_default();
        } else {
            out.push(*first);
            rest = tail;
        }
    }
    Some(out)
}

/// The single-letter escapes that C and JavaScript share.
fn letter(byte: u8) -> Option<u8> {
    Some(match byte {
        b'a' => 7,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 11,
        _ => return None,
    })
}

/// Up to three octal digits, at most 0377.
fn octal(tail: &[u8]) -> Option<(u8, usize)> {
    let len = tail.iter().take(3).take_while(|b| matches!(b, b'0'..=b'7')).count();
    let len = if len == 3 && tail.first().is_some_and(|b| *b > b'3') {
        2
    } else {
        len
    };
    let value = tail
        .get(..len)?
        .iter()
        .fold(0u32, |value, digit| value * 8 + u32::from(digit - b'0'));
    (len > 0).then_some((value as u8, len))
}

/// `\a \b \f \n \r \t \v \\ \? \' \" \xHH \OOO`; an invalid escape stays.
pub(super) fn ansi_c(text: &[u8]) -> Option<Vec<u8>> {
    unescape(text, |tail| match tail {
        [b'x' | b'X', code @ ..] if hex_byte(code).is_some() => (hex_byte(code), 3),
        [quoted @ (b'\\' | b'?' | b'\'' | b'"'), ..] => (Some(*quoted), 1),
        [first, ..] => match (letter(*first), octal(tail)) {
            (Some(byte), _) => (Some(byte), 1),
            (None, Some((byte, used))) => (Some(byte), used),
            (None, None) => (Some(b'\\'), 0),
        },
        [] => (Some(b'\\'), 0),
    })
}

/// CSS 2: a backslash and up to six digits (of which the last two bytes count), with one white space after them;
/// a backslash before anything else disappears, before a newline with it.
pub(super) fn css(text: &[u8]) -> Option<Vec<u8>> {
    unescape(text, |tail| {
        let len = tail.iter().take(6).take_while(|b| hex_value(**b).is_some()).count();
        if len == 0 {
            return match tail {
                [b'\n', ..] => (None, 1),
                [b'\r', b'\n', ..] => (None, 2),
                [byte, ..] => (Some(*byte), 1),
                [] => (None, 0),
            };
        }
        let value = tail.iter().take(len).fold(0u32, |value, digit| {
            value << 4 | u32::from(hex_value(*digit).unwrap_or(0))
        });
        let byte = full_width((value >> 8 & 0xff) as u8, (value & 0xff) as u8);
        let space = usize::from(tail.get(len).is_some_and(u8::is_ascii_whitespace));
        (Some(byte), len + space)
    })
}

/// `\uHHHH \xHH \OOO` and letters; a backslash before anything else disappears.
pub(super) fn js(text: &[u8]) -> Option<Vec<u8>> {
    unescape(text, |tail| {
        js_known(tail).unwrap_or(match tail {
            [byte, ..] => (Some(*byte), 1),
            [] => (None, 0),
        })
    })
}

/// The same, with `\u{H..}`; a backslash before a letter or digit that is no escape stays.
pub(super) fn js_ext(text: &[u8]) -> Option<Vec<u8>> {
    unescape(text, |tail| {
        if let [b'u', b'{', code @ ..] = tail {
            let len = code.iter().take(6).take_while(|b| hex_value(**b).is_some()).count();
            if len > 0 && code.get(len) == Some(&b'}') {
                let value = code.iter().take(len).fold(0u32, |value, digit| {
                    value << 4 | u32::from(hex_value(*digit).unwrap_or(0))
                });
                return (
                    Some(full_width((value >> 8 & 0xff) as u8, (value & 0xff) as u8)),
                    len + 3,
                );
            }
        }
        js_known(tail).unwrap_or(match tail {
            [byte, ..] if !byte.is_ascii_alphanumeric() => (Some(*byte), 1),
            _ => (Some(b'\\'), 0),
        })
    })
}

fn js_known(tail: &[u8]) -> Option<(Option<u8>, usize)> {
    match tail {
        [b'u', code @ ..] if low_byte(code).is_some() => Some((low_byte(code), 5)),
        [b'x', code @ ..] if hex_byte(code).is_some() => Some((hex_byte(code), 3)),
        [b'0'..=b'7', ..] => octal(tail).map(|(byte, used)| (Some(byte), used)),
        [first, ..] => letter(*first).map(|byte| (Some(byte), 1)),
        [] => None,
    }
}
