//! JSON text (RFC 8259), token by token: nothing is copied, and nothing is built that nobody asked for.
//!
//! It is as strict as serde_json, which reads here what is rare: escapes, and numbers that are not whole.

use crate::limits::DEPTH_MAX;
use std::borrow::Cow;

/// The text is not JSON, or is nested more deeply than [`DEPTH_MAX`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotJson;

/// What a value begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begin {
    Object,
    List,
    Text,
    Number,
    True,
    False,
    Null,
}

/// A place in a text.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'t> {
    text: &'t str,
    at: usize,
    depth: usize,
}

impl<'t> Cursor<'t> {
    pub fn new(text: &'t str) -> Self {
        let (at, depth) = (0, 0);
        Self { text, at, depth }
    }

    /// The next byte that is no blank.
    #[inline]
    fn peek(&mut self) -> Option<u8> {
        let byte = *self.text.as_bytes().get(self.at)?;
        // Programs write no blanks.
        if byte > b' ' {
            Some(byte)
        } else {
            self.peek_beyond_blanks()
        }
    }

    #[cold]
    fn peek_beyond_blanks(&mut self) -> Option<u8> {
        let rest = self.text.as_bytes().get(self.at..)?;
        let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\n' | b'\r');
        let blanks = rest.iter().take_while(|byte| is_blank(byte)).count();
        self.at += blanks;
        rest.get(blanks).copied()
    }

    #[inline]
    fn next_is(&mut self, wanted: u8) -> bool {
        let is = self.peek() == Some(wanted);
        self.at += usize::from(is);
        is
    }

    #[inline]
    fn expect(&mut self, wanted: u8) -> Result<(), NotJson> {
        if self.next_is(wanted) { Ok(()) } else { Err(NotJson) }
    }

    /// What the next value is. The constants, and the brackets of objects and lists, are passed.
    pub fn begin(&mut self) -> Result<Begin, NotJson> {
        match self.peek().ok_or(NotJson)? {
            b'"' => Ok(Begin::Text),
            b'{' => self.open(Begin::Object),
            b'[' => self.open(Begin::List),
            b't' => self.constant("true", Begin::True),
            b'f' => self.constant("false", Begin::False),
            b'n' => self.constant("null", Begin::Null),
            b'-' | b'0'..=b'9' => Ok(Begin::Number),
            _ => Err(NotJson),
        }
    }

    fn open(&mut self, what: Begin) -> Result<Begin, NotJson> {
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(NotJson);
        }
        self.at += 1;
        Ok(what)
    }

    fn constant(&mut self, word: &str, what: Begin) -> Result<Begin, NotJson> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        if !rest.starts_with(word.as_bytes()) {
            return Err(NotJson);
        }
        self.at += word.len();
        Ok(what)
    }

    /// The key of an object's next member; nothing at its end. `first` is for the member after the opening bracket.
    pub fn key(&mut self, first: &mut bool) -> Result<Option<Quoted<'t>>, NotJson> {
        if !self.has_more(first, b'}')? {
            return Ok(None);
        }
        let key = self.quoted()?;
        self.expect(b':')?;
        Ok(Some(key))
    }

    /// Whether a list has a further item. `first` is for the item after the opening bracket.
    pub fn item(&mut self, first: &mut bool) -> Result<bool, NotJson> {
        self.has_more(first, b']')
    }

    fn has_more(&mut self, first: &mut bool, end: u8) -> Result<bool, NotJson> {
        if self.next_is(end) {
            self.depth -= 1;
            return Ok(false);
        }
        if !std::mem::take(first) {
            self.expect(b',')?;
        }
        Ok(true)
    }

    /// A text, which must be next.
    pub fn quoted(&mut self) -> Result<Quoted<'t>, NotJson> {
        self.expect(b'"')?;
        let begin = self.at;
        let rest = self.text.as_bytes().get(begin..).ok_or(NotJson)?;
        let len = plain(rest);
        if rest.get(len) != Some(&b'"') {
            return self.escaped(begin);
        }
        self.at += len + 1;
        let text = self.text.get(begin..begin + len).ok_or(NotJson)?;
        Ok(Quoted { text, escaped: None })
    }

    /// A text with escapes, or with what may not stand in one. It is read at once: an escape that says nothing is not
    /// JSON, whoever looks at it.
    #[cold]
    fn escaped(&mut self, begin: usize) -> Result<Quoted<'t>, NotJson> {
        let bytes = self.text.as_bytes();
        loop {
            self.at += plain(bytes.get(self.at..).ok_or(NotJson)?);
            match bytes.get(self.at) {
                Some(b'"') => break,
                Some(b'\\') => self.at += 2,
                _ => return Err(NotJson),
            }
        }
        let text = self.text.get(begin..self.at).ok_or(NotJson)?;
        self.at += 1;
        let whole = self.text.get(begin - 1..self.at).ok_or(NotJson)?;
        let said = serde_json::from_str(whole).map_err(|_| NotJson)?;
        let escaped = Some(said);
        Ok(Quoted { text, escaped })
    }

    /// The digits of a number, which must be next.
    pub fn number(&mut self) -> Result<&'t str, NotJson> {
        let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
        let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E');
        let len = rest.iter().take_while(|byte| is_part(byte)).count();
        let digits = self.text.get(self.at..self.at + len).ok_or(NotJson)?;
        self.at += len;
        let unsigned = digits.strip_prefix('-').unwrap_or(digits).as_bytes();
        let is_plain = match unsigned {
            [b'0'] => true,
            [b'1'..=b'9', more @ ..] => more.len() < 18 && more.iter().all(u8::is_ascii_digit),
            _ => false,
        };
        if !is_plain {
            serde_json::from_str::<serde_json::Number>(digits).map_err(|_| NotJson)?;
        }
        Ok(digits)
    }

    /// Passes a value; says whether it was null.
    pub fn skip(&mut self) -> Result<bool, NotJson> {
        let what = self.begin()?;
        self.skip_rest(what)?;
        Ok(what == Begin::Null)
    }

    /// Passes what follows the beginning of a value.
    pub fn skip_rest(&mut self, what: Begin) -> Result<(), NotJson> {
        match what {
            Begin::True | Begin::False | Begin::Null => {}
            Begin::Text => drop(self.quoted()?),
            Begin::Number => drop(self.number()?),
            Begin::List => {
                let mut first = true;
                while self.item(&mut first)? {
                    self.skip()?;
                }
            }
            Begin::Object => {
                let mut first = true;
                while self.key(&mut first)?.is_some() {
                    self.skip()?;
                }
            }
        }
        Ok(())
    }

    /// The text of a value, which is passed.
    pub fn raw(&mut self) -> Result<&'t str, NotJson> {
        self.peek();
        let begin = self.at;
        self.skip()?;
        self.text.get(begin..self.at).ok_or(NotJson)
    }

    /// That nothing follows.
    pub fn end(&mut self) -> Result<(), NotJson> {
        if self.peek().is_none() { Ok(()) } else { Err(NotJson) }
    }
}

/// How many bytes stand before a quote, a backslash, a control character, or the end.
#[inline]
fn plain(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    // The highest bit of a byte that is zero is set, and of some bytes after the first of them: it is the first that counts.
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word;
    let mut at = 0;
    while let Some(chunk) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        let word = u64::from_le_bytes(*chunk);
        let control = word.wrapping_sub(ONES * u64::from(b' ')) & !word;
        let quote = zeros(word ^ (ONES * u64::from(b'"')));
        let backslash = zeros(word ^ (ONES * u64::from(b'\\')));
        let found = (control | quote | backslash) & HIGH;
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let rest = bytes.get(at..).unwrap_or_default();
    let is_plain = |byte: &&u8| !matches!(byte, b'"' | b'\\' | 0..b' ');
    at + rest.iter().take_while(is_plain).count()
}

/// A text between its quotes.
#[derive(Debug)]
pub(crate) struct Quoted<'t> {
    /// As it stands there.
    pub text: &'t str,
    escaped: Option<String>,
}

impl<'t> Quoted<'t> {
    /// What it says.
    pub fn said(&self) -> &str {
        self.escaped.as_deref().unwrap_or(self.text)
    }

    /// The same, to keep.
    pub fn into_said(self) -> Cow<'t, str> {
        self.escaped.map_or(Cow::Borrowed(self.text), Cow::Owned)
    }
}

#[cfg(test)]
mod tests {
    use super::{Cursor, NotJson};
    use proptest::prelude::*;

    fn is_json(text: &str) -> bool {
        let mut cursor = Cursor::new(text);
        cursor.skip().and_then(|_| cursor.end()).is_ok()
    }

    #[test]
    fn what_json_is_not() {
        for text in [
            "",
            " ",
            "tru",
            "truex",
            "nulll",
            "01",
            "-",
            "+1",
            "1.",
            ".5",
            "1e",
            "1e400",
            "--1",
            "1-1",
            "\"",
            "\"\\\"",
            "\"\\x\"",
            "\"\\ud800\"",
            "\"\u{1}\"",
            "[",
            "[1",
            "[1,",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{",
            "{\"a\"",
            "{\"a\":",
            "{\"a\":1",
            "{\"a\":1,",
            "{\"a\":1,}",
            "{a:1}",
            "{\"a\" 1}",
            "{1:1}",
            "]",
            "}",
            ",",
            "1 2",
            "\u{feff}1",
            "\u{a0}1",
            "'a'",
        ] {
            assert!(!is_json(text), "{text}");
        }
        for text in [
            "0",
            "-0",
            "-0.0e+1",
            "1E5",
            " [ ] ",
            "{ }",
            "\"\\u00e9\\n\"",
            "\"é\"",
            "123456789012345678901234567890",
        ] {
            assert!(is_json(text), "{text}");
        }
    }

    #[test]
    fn nesting_has_a_bound() {
        assert!(is_json(&format!("{}{}", "[".repeat(128), "]".repeat(128))));
        assert!(!is_json(&format!("{}{}", "[".repeat(129), "]".repeat(129))));
        assert!(!is_json(&"[".repeat(1_000_000)));
        assert!(!is_json(&"{\"a\":".repeat(1_000_000)));
    }

    #[test]
    fn the_text_of_a_value_is_without_what_is_around_it() {
        let mut cursor = Cursor::new(" {\"a\" : [1, 2] } ,");
        assert_eq!(cursor.raw(), Ok("{\"a\" : [1, 2] }"));
        assert_eq!(cursor.end(), Err(NotJson));
    }

    proptest! {
        /// serde_json is the measure: what it takes is taken, and nothing else.
        #[test]
        fn it_is_as_strict_as_serde_json(text in r#"[\[\]{}:," \\abnut0-9eE.+\-é\n]{0,24}"#) {
            prop_assert_eq!(is_json(&text), serde_json::from_str::<serde_json::Value>(&text).is_ok(), "{}", text);
        }

        #[test]
        fn what_serde_json_writes_is_read(tree in tree()) {
            for text in [tree.to_string(), serde_json::to_string_pretty(&tree).unwrap()] {
                prop_assert!(is_json(&text), "{}", text);
            }
        }
    }

    fn tree() -> impl Strategy<Value = serde_json::Value> {
        let leaf = prop_oneof![
            Just(serde_json::Value::Null),
            any::<bool>().prop_map(Into::into),
            any::<i64>().prop_map(Into::into),
            any::<f64>().prop_map(Into::into),
            any::<String>().prop_map(Into::into),
        ];
        leaf.prop_recursive(4, 32, 6, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..6).prop_map(serde_json::Value::from),
                proptest::collection::hash_map(any::<String>(), inner, 0..6)
                    .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
            ]
        })
    }
}
