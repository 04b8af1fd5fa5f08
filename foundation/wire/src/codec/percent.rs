//! Percent-encoding of paths, queries and forms.

use super::{Decoded, Malformed};
use std::borrow::Cow;

/// Decodes `%41` to `A`, and `+` to a space when `plus` is set. A `%` without two digits stays as it is.
pub(crate) fn decode(text: &str, plus: bool) -> Decoded<Cow<'_, str>> {
    if !text.bytes().any(|b| b == b'%' || (plus && b == b'+')) {
        return Ok(Cow::Borrowed(text));
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    loop {
        rest = match rest {
            [] => break,
            [b'+', tail @ ..] if plus => {
                out.push(b' ');
                tail
            }
            [b'%', high, low, tail @ ..] => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => {
                    out.push(high << 4 | low);
                    tail
                }
                _ => {
                    out.push(b'%');
                    rest.split_at(1).1
                }
            },
            [byte, tail @ ..] => {
                out.push(*byte);
                tail
            }
        };
    }
    String::from_utf8(out)
        .map(Cow::Owned)
        .map_err(|_| Malformed::new("The request is not valid UTF-8"))
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

/// The decoded pairs of a query string or form, in order; empty pairs are left out.
pub(crate) fn pairs(text: &str) -> impl Iterator<Item = Decoded<(Cow<'_, str>, Cow<'_, str>)>> {
    text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        Ok((decode(key, true)?, decode(value, true)?))
    })
}

/// The first value of a key whose name needs no decoding; a pair that cannot be decoded is passed over.
pub(crate) fn find<'t>(text: &'t str, wanted: &str) -> Option<Cow<'t, str>> {
    text.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (key == wanted).then(|| decode(value, true).ok())?
    })
}

#[cfg(test)]
mod tests {
    use super::{decode, find};

    #[test]
    fn text_is_decoded() {
        assert_eq!(decode("a%20b+c%2", true).unwrap(), "a b c%2");
        assert_eq!(decode("a+b%zz%", false).unwrap(), "a+b%zz%");
        assert_eq!(decode("%C3%BC", false).unwrap(), "ü");
        assert!(decode("%FF", false).is_err());
        assert_eq!(find("a=1&Action=Get%20It", "Action").unwrap(), "Get It");
    }
}
