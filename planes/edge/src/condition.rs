//! Rule conditions. Ref: ELBv2 `RuleCondition` and the ALB guide, "Condition types".

use honmaru_contract::edge;
use http::{HeaderName, request::Parts};
use ipnet::IpNet;
use std::net::IpAddr;

/// A pattern with `*` (any characters) and `?` (exactly one).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    tokens: Vec<Token>,
    ignores_case: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Any,
    One,
    Byte(u8),
}

impl Pattern {
    /// Case matters.
    pub(crate) fn exact_case(text: &str) -> Self {
        Self::parse(text, false, false)
    }

    /// Case does not matter.
    pub(crate) fn any_case(text: &str) -> Self {
        Self::parse(text, true, false)
    }

    /// Case does not matter; `\*`, `\?` and `\\` stand for themselves (query strings).
    pub(crate) fn escaped(text: &str) -> Self {
        Self::parse(text, true, true)
    }

    fn parse(text: &str, ignores_case: bool, has_escapes: bool) -> Self {
        let mut tokens = Vec::with_capacity(text.len());
        let mut bytes = text.bytes().peekable();
        while let Some(byte) = bytes.next() {
            let token = match byte {
                b'\\' if has_escapes => {
                    Token::Byte(bytes.next_if(|b| matches!(b, b'*' | b'?' | b'\\')).unwrap_or(b'\\'))
                }
                b'*' => Token::Any,
                b'?' => Token::One,
                byte => Token::Byte(byte),
            };
            tokens.push(match token {
                Token::Byte(byte) if ignores_case => Token::Byte(byte.to_ascii_lowercase()),
                token => token,
            });
        }
        Self { tokens, ignores_case }
    }

    /// Whether the whole of `text` matches. Takes at most pattern length times text length steps.
    pub(crate) fn matches(&self, text: &[u8]) -> bool {
        let (mut at, mut token) = (0, 0);
        let mut star: Option<(usize, usize)> = None;
        while let Some(&byte) = text.get(at) {
            let byte = if self.ignores_case {
                byte.to_ascii_lowercase()
            } else {
                byte
            };
            match self.tokens.get(token) {
                Some(Token::Any) => {
                    star = Some((token, at));
                    token += 1;
                }
                Some(Token::One) => (at, token) = (at + 1, token + 1),
                Some(Token::Byte(wanted)) if *wanted == byte => (at, token) = (at + 1, token + 1),
                Some(Token::Byte(_)) | None => match star {
                    // The last star takes one character more.
                    Some((star_token, star_at)) => {
                        star = Some((star_token, star_at + 1));
                        (at, token) = (star_at + 1, star_token + 1);
                    }
                    None => return false,
                },
            }
        }
        self.tokens
            .get(token..)
            .is_some_and(|rest| rest.iter().all(|token| *token == Token::Any))
    }
}

/// A condition: one of its values must match.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Condition {
    Host(Vec<Pattern>),
    Path(Vec<Pattern>),
    Header(HeaderName, Vec<Pattern>),
    Method(Vec<String>),
    Query(Vec<(Option<Pattern>, Pattern)>),
    Source(Vec<IpNet>),
    /// A value that cannot be evaluated; it matches nothing.
    Never,
}

/// What conditions look at.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) parts: &'a Parts,
    /// The host without its port.
    pub(crate) host: &'a str,
    pub(crate) peer: IpAddr,
}

impl Condition {
    pub(crate) fn compile(condition: &edge::Condition) -> Self {
        let any_case = |values: &[String]| values.iter().map(|value| Pattern::any_case(value)).collect();
        match condition {
            edge::Condition::HostHeader(values) => Condition::Host(any_case(values)),
            edge::Condition::PathPattern(values) => {
                Condition::Path(values.iter().map(|value| Pattern::exact_case(value)).collect())
            }
            edge::Condition::HttpHeader { name, values } => match HeaderName::try_from(name.as_str()) {
                Ok(name) => Condition::Header(name, any_case(values)),
                Err(_) => Condition::Never,
            },
            edge::Condition::HttpRequestMethod(values) => Condition::Method(values.clone()),
            edge::Condition::QueryString(values) => Condition::Query(
                values
                    .iter()
                    .map(|(key, value)| (key.as_deref().map(Pattern::escaped), Pattern::escaped(value)))
                    .collect(),
            ),
            edge::Condition::SourceIp(values) => {
                Condition::Source(values.iter().filter_map(|value| value.parse().ok()).collect())
            }
        }
    }

    pub(crate) fn holds(&self, subject: &Subject<'_>) -> bool {
        match self {
            Condition::Host(patterns) => patterns.iter().any(|pattern| pattern.matches(subject.host.as_bytes())),
            Condition::Path(patterns) => {
                let path = subject.parts.uri.path().as_bytes();
                patterns.iter().any(|pattern| pattern.matches(path))
            }
            Condition::Header(name, patterns) => {
                let mut values = subject.parts.headers.get_all(name).iter();
                values.any(|value| patterns.iter().any(|pattern| pattern.matches(value.as_bytes())))
            }
            Condition::Method(methods) => methods.iter().any(|method| method == subject.parts.method.as_str()),
            Condition::Query(wanted) => {
                let query = subject.parts.uri.query().unwrap_or("");
                query.split('&').any(|pair| {
                    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                    wanted.iter().any(|(want_key, want_value)| match want_key {
                        Some(want_key) => want_key.matches(key.as_bytes()) && want_value.matches(value.as_bytes()),
                        // A value alone matches the value of any key, or a whole argument that has no `=`.
                        None => {
                            let alone = if pair.contains('=') { value } else { pair };
                            want_value.matches(alone.as_bytes())
                        }
                    })
                })
            }
            Condition::Source(nets) => nets.iter().any(|net| net.contains(&subject.peer)),
            Condition::Never => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, text: &str, expected: bool) {
        assert_eq!(
            Pattern::exact_case(pattern).matches(text.as_bytes()),
            expected,
            "`{pattern}` on `{text}`"
        );
    }

    #[test]
    fn wildcards() {
        check("/img/*", "/img/a/b.png", true);
        check("/img/*", "/img", false);
        check("*.com", "a.b.com", true);
        check("a?c", "abc", true);
        check("a?c", "ac", false);
        check("*a*b*", "xxaxxbxx", true);
        check("*a*b", "xxaxxbx", false);
        check("", "", true);
        check("**", "", true);
        check("/A", "/a", false);
    }

    #[test]
    fn case_and_escapes() {
        assert!(Pattern::any_case("*.Example.COM").matches(b"www.example.com"));
        assert!(Pattern::escaped(r"\*literal\?").matches(b"*LITERAL?"));
        assert!(!Pattern::escaped(r"\*literal").matches(b"a literal"));
    }

    #[test]
    fn a_hostile_pattern_ends() {
        let pattern = Pattern::any_case(&"*a".repeat(60));
        assert!(!pattern.matches(&b"a".repeat(16_000)[..15_999].iter().map(|_| b'b').collect::<Vec<_>>()));
    }

    #[test]
    fn conditions_look_at_their_part() {
        let (parts, ()) = http::Request::builder()
            .method("GET")
            .uri("/a/b?color=Red&flag")
            .header("x-version", "Canary-7")
            .body(())
            .unwrap()
            .into_parts();
        let subject = Subject {
            parts: &parts,
            host: "Shop.Example.com",
            peer: "10.1.2.3".parse().unwrap(),
        };
        let holds = |condition: edge::Condition| Condition::compile(&condition).holds(&subject);
        assert!(holds(edge::Condition::HostHeader(vec!["*.example.com".into()])));
        assert!(holds(edge::Condition::PathPattern(vec!["/x".into(), "/a/*".into()])));
        assert!(!holds(edge::Condition::PathPattern(vec!["/a/*?color=*".into()])));
        assert!(holds(edge::Condition::HttpHeader {
            name: "X-Version".into(),
            values: vec!["canary-?".into()]
        }));
        assert!(!holds(edge::Condition::HttpRequestMethod(vec!["get".into()])));
        assert!(holds(edge::Condition::QueryString(vec![(
            Some("COLOR".into()),
            "r?d".into()
        )])));
        assert!(holds(edge::Condition::QueryString(vec![(None, "flag".into())])));
        assert!(!holds(edge::Condition::QueryString(vec![(
            Some("flag".into()),
            "x".into()
        )])));
        assert!(holds(edge::Condition::SourceIp(vec!["10.0.0.0/8".into()])));
        assert!(!holds(edge::Condition::SourceIp(vec![
            "192.168.0.0/16".into(),
            "::/0".into()
        ])));
    }
}
