//! The models' patterns. They are Java's, and AWS matches the whole value; both differ from Rust's `regex`.
//!
//! Not here: when a pattern is checked (`validate`).
//! Invariant: a pattern costs nothing until the first value meets it, and is then compiled once.

use crate::limits::PATTERN_STEPS_MAX;
use fancy_regex::{Regex, RegexBuilder};
use std::sync::OnceLock;

/// A pattern of the model: its text, for messages, and its compiled form.
#[derive(Debug)]
pub(crate) struct Pattern {
    pub text: Box<str>,
    compiled: OnceLock<Option<Regex>>,
}

impl Pattern {
    pub fn new(text: &str) -> Self {
        Self {
            text: text.into(),
            compiled: OnceLock::new(),
        }
    }

    /// Whether the whole value matches. A pattern that cannot be compiled accepts everything: the service's own
    /// checks remain. A test over all embedded models shows that there is none.
    pub fn matches(&self, value: &str) -> bool {
        match self.compiled.get_or_init(|| compile(&self.text)) {
            // An error means that look-around took more than its steps; such a value is not accepted.
            Some(regex) => regex.is_match(value).unwrap_or(false),
            None => true,
        }
    }

    #[cfg(test)]
    pub fn compiles(&self) -> bool {
        self.compiled.get_or_init(|| compile(&self.text)).is_some()
    }
}

fn compile(text: &str) -> Option<Regex> {
    RegexBuilder::new(&format!(r"\A(?:{})\z", translate(text)))
        .backtrack_limit(PATTERN_STEPS_MAX)
        .build()
        .ok()
}

/// The largest bound of a repetition that is compiled as it stands; above it the automaton takes megabytes.
/// The shape's own `max` still bounds the length.
const REPETITION_MAX: u32 = 2_048;

/// Java's pattern in Rust's words: `\w`, `\d` and `\s` are ASCII, a `.` stops at five kinds of line end, a hyphen
/// after a class is itself, UTF-16 surrogate pairs are one range, and `\p{Print}` and its like are ASCII.
fn translate(java: &str) -> String {
    let java = java.replace(r"\uD800\uDC00-\uDBFF\uDFFF", r"\x{10000}-\x{10FFFF}");
    let mut out = String::with_capacity(java.len() + 16);
    let mut chars = java.chars().peekable();
    let mut class_depth = 0_usize;
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                let Some(escaped) = chars.next() else { break };
                let is_class = if matches!(escaped, 'p' | 'P') && chars.peek() == Some(&'{') {
                    chars.next();
                    let name: String = chars.by_ref().take_while(|c| *c != '}').collect();
                    push_property(escaped, &name, class_depth > 0, &mut out);
                    true
                } else {
                    push_escape(escaped, class_depth > 0, &mut out)
                };
                if class_depth > 0 && is_class && chars.peek() == Some(&'-') {
                    chars.next();
                    out.push_str(r"\-");
                }
            }
            '[' if class_depth > 0 => {
                class_depth += 1;
                out.push('[');
            }
            '[' => {
                class_depth = 1;
                out.push('[');
                if chars.next_if_eq(&'^').is_some() {
                    out.push('^');
                }
            }
            ']' if class_depth > 0 => {
                class_depth -= 1;
                out.push(']');
            }
            // Set operations of Rust's that Java does not have.
            '~' if class_depth > 0 => out.push_str(r"\~"),
            '-' if class_depth > 0 && chars.peek() == Some(&'-') => {
                chars.next();
                out.push_str(r"\-");
            }
            '.' if class_depth == 0 => out.push_str(r"[^\n\r\x{85}\x{2028}\x{2029}]"),
            '{' if class_depth == 0 => {
                let bounds: String = chars.by_ref().take_while(|c| *c != '}').collect();
                out.push_str(&repetition(&bounds));
            }
            c => out.push(c),
        }
    }
    out
}

fn repetition(bounds: &str) -> String {
    match bounds.split_once(',') {
        Some((min, max)) if max.parse::<u32>().is_ok_and(|max| max > REPETITION_MAX) => format!("{{{min},}}"),
        _ => format!("{{{bounds}}}"),
    }
}

/// Writes an escape; says whether it stands for a class of characters.
fn push_escape(escaped: char, in_class: bool, out: &mut String) -> bool {
    let (inside, negated) = match escaped {
        'w' => ("a-zA-Z0-9_", false),
        'W' => ("a-zA-Z0-9_", true),
        'd' => ("0-9", false),
        'D' => ("0-9", true),
        's' => (r"\t\n\x0B\f\r ", false),
        'S' => (r"\t\n\x0B\f\r ", true),
        'h' => (
            r"\t \x{A0}\x{1680}\x{180E}\x{2000}-\x{200A}\x{202F}\x{205F}\x{3000}",
            false,
        ),
        'Z' => {
            out.push_str(r"\z");
            return false;
        }
        // Escapes of letters, digits and `b` mean the same in both; all else is the character itself.
        c if c.is_ascii_alphanumeric() || !c.is_ascii() => {
            out.push('\\');
            out.push(c);
            return false;
        }
        c => {
            if !matches!(
                c,
                '/' | '"' | '\'' | '@' | '=' | '!' | '%' | ',' | ';' | ':' | '_' | '`' | '<' | '>' | ' '
            ) {
                out.push('\\');
            }
            out.push(c);
            return false;
        }
    };
    match (in_class, negated) {
        (true, false) => out.push_str(inside),
        (false, false) => {
            out.push('[');
            out.push_str(inside);
            out.push(']');
        }
        (_, true) => {
            out.push_str("[^");
            out.push_str(inside);
            out.push(']');
        }
    }
    true
}

/// `\p{..}`: Java's POSIX classes are ASCII; Unicode categories mean the same in both.
fn push_property(escaped: char, name: &str, in_class: bool, out: &mut String) {
    let ascii = match name {
        "ASCII" => r"\x00-\x7F",
        "Print" => r"\x20-\x7E",
        "Graph" => r"\x21-\x7E",
        "Alpha" => "a-zA-Z",
        "Alnum" => "a-zA-Z0-9",
        "Digit" => "0-9",
        "Upper" => "A-Z",
        "Lower" => "a-z",
        "Punct" => r"!-/:-@\[-`{-\~",
        "Space" => r"\t\n\x0B\f\r ",
        "Blank" => r" \t",
        "Cntrl" => r"\x00-\x1F\x7F",
        "XDigit" => "0-9a-fA-F",
        _ => {
            // Java also writes categories with `Is`: `\p{IsL}`.
            let category = name.strip_prefix("Is").unwrap_or(name);
            out.push('\\');
            out.push(escaped);
            out.push('{');
            out.push_str(category);
            out.push('}');
            return;
        }
    };
    if escaped == 'P' {
        out.push_str("[^");
        out.push_str(ascii);
        out.push(']');
    } else if in_class {
        out.push_str(ascii);
    } else {
        out.push('[');
        out.push_str(ascii);
        out.push(']');
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    fn check(pattern: &str, accepted: &[&str], rejected: &[&str]) {
        let pattern = Pattern::new(pattern);
        assert!(pattern.compiles(), "{} does not compile", pattern.text);
        for value in accepted {
            assert!(pattern.matches(value), "{} should accept {value:?}", pattern.text);
        }
        for value in rejected {
            assert!(!pattern.matches(value), "{} should reject {value:?}", pattern.text);
        }
    }

    #[test]
    fn classes_are_ascii_and_the_whole_value_must_match() {
        check(r"[\w+=,.@-]+", &["a_B-9@x"], &["", "é", "a b", "a\n"]);
        check(r"\d{12}", &["123456789012"], &["12345678901٣", "x123456789012"]);
        check(r"a|b", &["a", "b"], &["ab", "ca"]);
        check(r"^[a-z]+$", &["abc"], &["abc\n", "Abc"]);
    }

    #[test]
    fn javas_oddities_are_understood() {
        check(r"[\w-_]*", &["a-b_c", ""], &["a.b"]);
        check(r"[a-z0-9-\\.]{0,63}", &["a-b\\.c"], &["A"]);
        check(r"\p{Print}+", &["a b~"], &["ü", "\n"]);
        check(
            r"[\u0020-\uD7FF\uE000-\uFFFD\uD800\uDC00-\uDBFF\uDFFF\r\n\t]*",
            &["a😀\n"],
            &["\u{0}"],
        );
        check(r"^.{1,100000}$", &["x"], &["", "a\u{2028}b"]);
        check(r"[!-~]{1,3}", &["a~!"], &["a b"]);
        check(
            r"^arn:aws[a-z0-9-]*:iam::\d{12}:role\/[\w-\/.@+=,]{1,5}$",
            &["arn:aws:iam::123456789012:role/a-b/"],
            &[],
        );
    }

    #[test]
    fn look_around_works_and_is_bounded() {
        check(r"^(?!aws:).+", &["a"], &["aws:x"]);
        check(r"[0-9A-Za-z\.\-_]*(?<!\.)", &["a.b"], &["a.b."]);
        // Exponential for a backtracker: the steps run out and the value is rejected, in bounded time.
        let evil = format!("{}!", "a".repeat(5_000));
        check(r"(?!x)(a+)+(?<!!)", &["aaa"], &[&evil]);
    }
}
