//! HTML entities.

/// `&#xH..;` `&#N..;` (the semicolon may be missing) and the named ones of the guide, in any case.
pub(super) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    if !text.contains(&b'&') {
        return None;
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        if let (b'&', Some((byte, used))) = (first, entity(tail)) {
            out.extend(byte.as_bytes());
            rest = tail.get(used..).unwrap_or_default();
        } else {
            out.push(*first);
            rest = tail;
        }
    }
    Some(out)
}

/// What an entity stands for: one byte, or a character as UTF-8.
enum Meant {
    Byte([u8; 1]),
    Char([u8; 4], usize),
}

impl Meant {
    fn as_bytes(&self) -> &[u8] {
        match self {
            Meant::Byte(byte) => byte,
            Meant::Char(bytes, len) => bytes.get(..*len).unwrap_or_default(),
        }
    }
}

/// Digits beyond these are not read: no character needs more.
const DIGITS_MAX: usize = 10;

const NAMED: [(&[u8], u8); 14] = [
    (b"quot", b'"'),
    (b"nbsp", 160),
    (b"lt", b'<'),
    (b"gt", b'>'),
    (b"amp", b'&'),
    (b"apos", b'\''),
    (b"colon", b':'),
    (b"lpar", b'('),
    (b"rpar", b')'),
    (b"tab", b'\t'),
    (b"newline", b'\n'),
    (b"sol", b'/'),
    (b"equals", b'='),
    (b"grave", b'`'),
];

fn entity(tail: &[u8]) -> Option<(Meant, usize)> {
    if let [b'#', code @ ..] = tail {
        let (radix, digits, lead) = match code {
            [b'x' | b'X', digits @ ..] => (16, digits, 2),
            digits => (10, digits, 1),
        };
        let len = digits
            .iter()
            .take(DIGITS_MAX)
            .take_while(|b| (**b as char).is_digit(radix))
            .count();
        let value = u64::from_str_radix(std::str::from_utf8(digits.get(..len)?).ok()?, radix).ok()?;
        let semicolon = usize::from(digits.get(len) == Some(&b';'));
        let meant = match u8::try_from(value) {
            Ok(byte) => Meant::Byte([byte]),
            Err(_) => {
                let mut bytes = [0; 4];
                let len = char::from_u32(u32::try_from(value).ok()?)?
                    .encode_utf8(&mut bytes)
                    .len();
                Meant::Char(bytes, len)
            }
        };
        return Some((meant, lead + len + semicolon));
    }
    let len = tail
        .iter()
        .take(DIGITS_MAX)
        .take_while(|b| b.is_ascii_alphabetic())
        .count();
    let name = tail.get(..len)?;
    let (_, byte) = NAMED.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
    Some((Meant::Byte([*byte]), len + usize::from(tail.get(len) == Some(&b';'))))
}
