//! SQL injection and cross-site scripting in one text.
//!
//! The tokenizers are libinjection's in its Rust port; around them stand a cheap first pass, and corrections of what the
//! port misses of the C library (research/firewall.md, section 5.1).

use aho_corasick::AhoCorasick;
use regex::bytes::{RegexSet, RegexSetBuilder};
use std::panic::catch_unwind;
use std::sync::OnceLock;

/// Bytes without which a text of several words is no SQL injection unless it has one of [`WORDS`].
const SQL_MARKS: &[u8] = b"'\"`;#*()=<>|&!^~@\\,-/{}+%";
/// SQL without any mark, as in `1 union select user`, has one of these.
const WORDS: [&str; 15] = [
    "union", "select", " or ", " and ", "having", "into ", " like", "between", " xor ", "waitfor", "exec", "drop ",
    "insert", "delete", "update",
];

/// SQL that the tokenizer does not see, or sees only at the begin of a text. Also the patterns of
/// `SQLiExtendedPatterns_*`. Matched without regard to case, after comments became spaces.
pub(crate) const SQL_PATTERNS: &[&str] = &[
    r"\bunion\s+(?:all\s+|distinct\s+)?\(*\s*select\b.{0,200}?(?:\bfrom\b|\bnull\b|,|--|#|@@)",
    r"\bselect\b[^;]{1,200}?\bfrom\b\s+(?:information_schema|mysql|pg_catalog|sysobjects|syscolumns|sys|master|dual|all_tables|sqlite_master)\b",
    r"['\x22`)]\s*;\s*(?:drop|alter|create|truncate|insert|update|delete|exec|execute|declare|shutdown|grant)\s+\w",
    r";\s*(?:drop|truncate|alter)\s+(?:table|database|schema|view|user)\b",
    r"\b(?:sleep|pg_sleep|benchmark)\s*\(\s*\d",
    r"\bwaitfor\s+(?:delay|time)\s*['\x22]",
    r"\b(?:xp_cmdshell|xp_regread|xp_dirtree|sp_executesql|sp_oacreate|utl_http\.request|dbms_pipe\.receive_message|load_file|extractvalue|updatexml)\s*[('\x22]",
    r"\bexec(?:ute)?\s+(?:master\.\.|xp_|sp_)\w",
    r"\binto\s+(?:out|dump)file\s*['\x22(]",
    r"['\x22`]\s*(?:\|\||&&|\bor\b|\band\b|\bxor\b)\s*['\x22(]?[\w@]+['\x22)]?\s*(?:=|<=>|<>|!=|<|>|\blike\b|\brlike\b|\bregexp\b|\bin\b|\bbetween\b|\bis\b)",
    r"['\x22`]\s*(?:--|#|/\*)\s*$",
    r"\b(?:or|and)\s+\(?\s*(?:\d+\s*=\s*\d+|'[^']{0,20}'\s*=\s*'|true\b|not\s+false)",
    r"\border\s+by\s+\d{1,3}\s*(?:--|#|/\*)",
    r"\bgroup\s+by\s+[\w.,\s]{1,60}\bhaving\b\s*\d",
    r"\bprocedure\s+analyse\s*\(",
    r"['\x22)]\s*(?:in\s+boolean\s+mode|lock\s+in\s+share\s+mode)\b",
    r"@@(?:version|datadir|hostname|servername|basedir)\b",
    r"\b(?:char|chr|nchar)\s*\(\s*\d+\s*\)\s*(?:\+|\|\|)\s*(?:char|chr|nchar)\s*\(",
    r"\bif\s*\(\s*\(?\s*(?:select|substr|ascii|length|mid)\b",
];

fn patterns() -> Option<&'static RegexSet> {
    static PATTERNS: OnceLock<Option<RegexSet>> = OnceLock::new();
    PATTERNS
        .get_or_init(|| {
            RegexSetBuilder::new(SQL_PATTERNS)
                .unicode(false)
                .case_insensitive(true)
                .build()
                .ok()
        })
        .as_ref()
}

fn words() -> Option<&'static AhoCorasick> {
    static SET: OnceLock<Option<AhoCorasick>> = OnceLock::new();
    SET.get_or_init(|| AhoCorasick::builder().ascii_case_insensitive(true).build(WORDS).ok())
        .as_ref()
}

/// Whether a text of one plain word: nothing to tokenize.
fn is_word(text: &[u8]) -> bool {
    text.iter()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-' | b':' | b'/'))
        && memchr::memmem::find(text, b"--").is_none()
}

/// Whether the text is an SQL injection. High sensitivity adds the patterns.
pub(crate) fn sqli(text: &[u8], high: bool) -> bool {
    if text.len() < 3 || is_word(text) {
        return false;
    }
    let marked = text.iter().any(|b| SQL_MARKS.contains(b));
    if !marked && !words().is_none_or(|words| words.is_match(text)) {
        return false;
    }
    // The port compares `INTO` with regard to case; in upper case it sees what the C library sees. The one text that
    // the library looks for in lower case is looked for here.
    let upper = text.to_ascii_uppercase();
    if memchr::memmem::find(&upper, b"SP_PASSWORD").is_some() && memchr::memmem::find(&upper, b"--").is_some() {
        return true;
    }
    // A panic in somebody else's parser must not become a way through, nor end the process.
    let found = catch_unwind(|| libinjectionrs::detect_sqli(&upper).is_injection()).unwrap_or(true);
    found || (high && patterns().is_none_or(|patterns| patterns.is_match(text)))
}

/// Whether the text is cross-site scripting.
pub(crate) fn xss(text: &[u8]) -> bool {
    // Without one of these there is neither a tag nor an attribute nor a URL with a scheme.
    if text.len() < 3
        || !text
            .iter()
            .any(|b| matches!(b, b'<' | b'>' | b'=' | b':' | b'"' | b'\'' | b'`'))
    {
        return false;
    }
    catch_unwind(|| libinjectionrs::detect_xss(text).is_injection()).unwrap_or(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_compile() {
        assert!(patterns().is_some());
        assert!(words().is_some());
    }

    #[test]
    fn injections_are_found() {
        for text in [
            "1' OR '1'='1",
            "1 UNION SELECT user,password FROM users--",
            "1 union select 1",
            "' or 1=1 -- ",
            "admin'--",
            "1; DROP TABLE users",
            "1' and sleep(5)#",
            "-1' union/**/select/**/null,@@version-- -",
            "x' into outfile '/tmp/x",
            "1 or 1=1",
            "' || (select password from users limit 1) || '",
            "1' AND 1=(SELECT COUNT(*) FROM tablenames); --",
        ] {
            assert!(sqli(text.as_bytes(), true), "{text}");
        }
        for text in [
            "1' OR '1'='1",
            "1 UNION SELECT user,password FROM users--",
            "x' into outfile '/tmp/x",
        ] {
            assert!(sqli(text.as_bytes(), false), "{text}");
        }
    }

    #[test]
    fn scripts_are_found() {
        for text in [
            "<script>alert(1)</script>",
            "<img src=x onerror=alert(1)>",
            "\" onmouseover=\"alert(1)",
            "<svg/onload=alert(1)>",
            "<a href=javascript:alert(1)>x</a>",
            "<iframe src=//evil.example>",
        ] {
            assert!(xss(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn plain_texts_pass() {
        for text in [
            "hello world",
            "O'Brien",
            "rock and roll",
            "it's 5 o'clock, or maybe 6",
            "2024-01-01T00:00:00Z",
            "user@example.com",
            "a=b&c=d",
            "Select the best option from the list",
            "C++ and C#",
            "50% off (today only!)",
            "query { user(id: 1) { name, email } }",
            "the union of workers; the select few",
            "https://example.com/path?x=1&y=2#frag",
        ] {
            assert!(!sqli(text.as_bytes(), false), "sqli: {text}");
            assert!(
                !patterns().is_some_and(|patterns| patterns.is_match(text.as_bytes())),
                "patterns: {text}"
            );
            assert!(!xss(text.as_bytes()), "xss: {text}");
        }
    }
}
