//! Keys and values of a JSON document, up to its first error. Unlike a usual parser it gives what came before.
//! It stops at invalid characters, duplicate keys, the end of a cut document, and at a root that is neither object nor
//! array. Ref: AWS WAF developer guide, "JSON body".

use super::text::Text;
use std::collections::HashSet;

/// Whether a text is a key or a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JsonPart {
    Key,
    Value,
}

/// The document is no JSON from here on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Broken;

/// Documents nested deeper than this are broken.
const DEPTH_MAX: usize = 64;

type Sink<'s, 'r> = dyn FnMut(&[String], JsonPart, Text<'r>) + 's;

/// Calls `sink` with the path of the container (for keys) or of the value, for each key and scalar.
pub(crate) fn walk<'r>(body: &'r [u8], sink: &mut Sink<'_, 'r>) -> Result<(), Broken> {
    let mut walker = Walker {
        body,
        at: 0,
        path: Vec::new(),
        sink,
    };
    walker.space();
    match walker.peek() {
        Some(b'{' | b'[') => walker.value()?,
        _ => return Err(Broken),
    }
    walker.space();
    if walker.at == body.len() { Ok(()) } else { Err(Broken) }
}

struct Walker<'r, 'k, 's> {
    body: &'r [u8],
    at: usize,
    path: Vec<String>,
    sink: &'k mut Sink<'s, 'r>,
}

impl<'r> Walker<'r, '_, '_> {
    fn peek(&self) -> Option<u8> {
        self.body.get(self.at).copied()
    }

    fn space(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), Broken> {
        if self.peek() == Some(byte) {
            self.at += 1;
            Ok(())
        } else {
            Err(Broken)
        }
    }

    fn value(&mut self) -> Result<(), Broken> {
        if self.path.len() >= DEPTH_MAX {
            return Err(Broken);
        }
        match self.peek() {
            Some(b'{') => self.object(),
            Some(b'[') => self.array(),
            Some(b'"') => {
                let text = self.string()?;
                (self.sink)(&self.path, JsonPart::Value, text);
                Ok(())
            }
            Some(b't' | b'f' | b'n' | b'-' | b'0'..=b'9') => self.scalar(),
            _ => Err(Broken),
        }
    }

    fn object(&mut self) -> Result<(), Broken> {
        self.expect(b'{')?;
        self.space();
        if self.peek() == Some(b'}') {
            self.at += 1;
            return Ok(());
        }
        let mut seen: HashSet<Vec<u8>> = HashSet::new();
        loop {
            self.space();
            let key = self.string()?;
            if !seen.insert(key.to_vec()) {
                return Err(Broken);
            }
            let name = String::from_utf8_lossy(&key).into_owned();
            (self.sink)(&self.path, JsonPart::Key, key);
            self.space();
            self.expect(b':')?;
            self.space();
            self.path.push(name);
            self.value()?;
            self.path.pop();
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b'}') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(Broken),
            }
        }
    }

    fn array(&mut self) -> Result<(), Broken> {
        self.expect(b'[')?;
        self.space();
        if self.peek() == Some(b']') {
            self.at += 1;
            return Ok(());
        }
        for index in 0usize.. {
            self.space();
            self.path.push(index.to_string());
            self.value()?;
            self.path.pop();
            self.space();
            match self.peek() {
                Some(b',') => self.at += 1,
                Some(b']') => {
                    self.at += 1;
                    return Ok(());
                }
                _ => return Err(Broken),
            }
        }
        Err(Broken)
    }

    fn scalar(&mut self) -> Result<(), Broken> {
        let rest = self.body.get(self.at..).ok_or(Broken)?;
        let len = rest
            .iter()
            .take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'+' | b'.'))
            .count();
        let token = rest.get(..len).ok_or(Broken)?;
        let number = std::str::from_utf8(token)
            .ok()
            .and_then(|token| token.parse::<f64>().ok())
            .is_some();
        let word = matches!(token, b"true" | b"false" | b"null");
        // `inf` and `nan` parse as numbers but cannot come here: they do not begin like one.
        if !(word || number) {
            return Err(Broken);
        }
        self.at += len;
        (self.sink)(&self.path, JsonPart::Value, Text::Raw(token));
        Ok(())
    }

    fn string(&mut self) -> Result<Text<'r>, Broken> {
        self.expect(b'"')?;
        let start = self.at;
        let rest = self.body.get(start..).ok_or(Broken)?;
        let plain = rest.iter().take_while(|b| !matches!(b, b'"' | b'\\' | 0..=31)).count();
        if rest.get(plain) == Some(&b'"') {
            self.at = start + plain + 1;
            return Ok(Text::Raw(rest.get(..plain).ok_or(Broken)?));
        }
        let mut out = rest.get(..plain).ok_or(Broken)?.to_vec();
        self.at = start + plain;
        loop {
            match self.peek().ok_or(Broken)? {
                b'"' => {
                    self.at += 1;
                    return Ok(out.into());
                }
                b'\\' => self.escape(&mut out)?,
                0..=31 => return Err(Broken),
                byte => {
                    out.push(byte);
                    self.at += 1;
                }
            }
        }
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), Broken> {
        let byte = *self.body.get(self.at + 1).ok_or(Broken)?;
        self.at += 2;
        out.push(match byte {
            b'"' | b'\\' | b'/' => byte,
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let mut code = self.unit()?;
                if (0xd800..0xdc00).contains(&code) && self.body.get(self.at..self.at + 2) == Some(b"\\u".as_slice()) {
                    self.at += 2;
                    let low = self.unit()?;
                    code = 0x10000 + ((code - 0xd800) << 10) + (low.wrapping_sub(0xdc00) & 0x3ff);
                }
                let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
                out.extend(character.encode_utf8(&mut [0; 4]).as_bytes());
                return Ok(());
            }
            _ => return Err(Broken),
        });
        Ok(())
    }

    fn unit(&mut self) -> Result<u32, Broken> {
        let digits = self.body.get(self.at..self.at + 4).ok_or(Broken)?;
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(Broken);
        }
        self.at += 4;
        let digits = std::str::from_utf8(digits).map_err(|_| Broken)?;
        u32::from_str_radix(digits, 16).map_err(|_| Broken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expected: &str) {
        let mut seen = Vec::new();
        let whole = walk(body.as_bytes(), &mut |path, part, text| {
            let mark = if part == JsonPart::Key { "k" } else { "v" };
            seen.push(format!("{mark}/{}={}", path.join("/"), String::from_utf8_lossy(&text)));
        });
        if whole.is_err() {
            seen.push("broken".to_owned());
        }
        assert_eq!(seen.join(" "), expected);
    }

    #[test]
    fn gives_keys_and_values_with_their_paths() {
        check(
            r#"{"a":{"b":[1,"x\u00e9\ud83d\ude00"]},"c":true}"#,
            "k/=a k/a=b v/a/b/0=1 v/a/b/1=xé😀 k/=c v/c=true",
        );
        check("[]", "");
    }

    #[test]
    fn stops_at_the_first_error_and_keeps_what_came_before() {
        check(r#"{"a":"b","c":"#, "k/=a v/a=b k/=c broken");
        check(r#"{"a":1,"a":2}"#, "k/=a v/a=1 broken");
        check(r#""text""#, "broken");
        check(r#"{"a":"b"} x"#, "k/=a v/a=b broken");
        check("{\"a\":\"b\nc\"}", "k/=a broken");
        check(&"[".repeat(10_000), "broken");
    }
}
