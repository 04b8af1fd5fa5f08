//! The 31 text transformations. Each takes bytes and gives bytes; none can fail: what it cannot read it leaves alone.
//! Ref: AWS WAF developer guide, "Text transformations". Where the guide is silent they do what ModSecurity's `t:`
//! functions of the same name do. Of CMD_LINE_WIN, CMD_LINE_UNIX and JS_DECODE_EXT no description was published when
//! this was written; their doc comments here define them.

mod command;
mod decode;
mod entity;
mod escape;
mod space;

#[cfg(test)]
mod tests;

use sha2::{Digest, Sha256};

macro_rules! transformations {
    ($($variant:ident = $name:literal, $doc:literal;)*) => {
        /// A text transformation of the API.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Transformation {
            $(#[doc = $doc] $variant,)*
        }

        impl Transformation {
            /// All of them.
            pub const ALL: &'static [Transformation] = &[$(Transformation::$variant,)*];

            /// The transformation of that name in the API.
            pub fn parse(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Transformation::$variant),)*
                    _ => None,
                }
            }

            /// Its name in the API.
            pub fn name(self) -> &'static str {
                match self {
                    $(Transformation::$variant => $name,)*
                }
            }
        }
    };
}

transformations! {
    None = "NONE", "Leaves the text alone.";
    CompressWhiteSpace = "COMPRESS_WHITE_SPACE", "White space, byte 160 included, becomes one space.";
    HtmlEntityDecode = "HTML_ENTITY_DECODE", "Decodes HTML entities.";
    Lowercase = "LOWERCASE", "A-Z become a-z.";
    CmdLine = "CMD_LINE", "Undoes disguises of a command line.";
    UrlDecode = "URL_DECODE", "Decodes `%HH` and `+`.";
    Base64Decode = "BASE64_DECODE", "Decodes Base64 up to the first invalid character.";
    HexDecode = "HEX_DECODE", "Decodes pairs of hexadecimal digits.";
    Md5 = "MD5", "The MD5 digest as 16 raw bytes.";
    ReplaceComments = "REPLACE_COMMENTS", "Each C comment, also an open one, becomes one space.";
    EscapeSeqDecode = "ESCAPE_SEQ_DECODE", "Decodes ANSI C escapes.";
    SqlHexDecode = "SQL_HEX_DECODE", "Decodes SQL's `0x414243`.";
    CssDecode = "CSS_DECODE", "Decodes CSS 2 escapes.";
    JsDecode = "JS_DECODE", "Decodes JavaScript escapes.";
    NormalizePath = "NORMALIZE_PATH", "Removes `//`, `/./` and `/x/../` from a path.";
    NormalizePathWin = "NORMALIZE_PATH_WIN", "The same after backslashes became slashes.";
    RemoveNulls = "REMOVE_NULLS", "Removes NUL bytes.";
    ReplaceNulls = "REPLACE_NULLS", "NUL bytes become spaces.";
    Base64DecodeExt = "BASE64_DECODE_EXT", "Decodes Base64 and ignores invalid characters.";
    UrlDecodeUni = "URL_DECODE_UNI", "Decodes `%HH`, `%uHHHH` and `+`.";
    Utf8ToUnicode = "UTF8_TO_UNICODE", "UTF-8 sequences become `%uHHHH`.";
    RemoveWhitespace = "REMOVE_WHITESPACE", "Removes white space, byte 160 included.";
    Trim = "TRIM", "Removes white space at both ends.";
    TrimLeft = "TRIM_LEFT", "Removes white space at the begin.";
    TrimRight = "TRIM_RIGHT", "Removes white space at the end.";
    RemoveCommentsChar = "REMOVE_COMMENTS_CHAR", "Removes `/*`, `*/`, `--` and `#`.";
    Uppercase = "UPPERCASE", "a-z become A-Z.";
    CmdLineWin = "CMD_LINE_WIN", "Like CMD_LINE for cmd.exe: deletes `\" ^`, keeps single backslashes.";
    CmdLineUnix = "CMD_LINE_UNIX", "Like CMD_LINE for a Unix shell: deletes `\\ \" '`, trims, keeps `^`.";
    JsDecodeExt = "JS_DECODE_EXT", "Like JS_DECODE with `\\u{H..}`, and unknown escapes kept.";
    Sha256 = "SHA256", "The SHA-256 digest as 32 raw bytes.";
}

impl Transformation {
    /// The transformed text, or nothing when it stays as it is.
    pub fn apply(self, text: &[u8]) -> Option<Vec<u8>> {
        use Transformation as T;
        match self {
            T::None => None,
            T::CompressWhiteSpace => space::compress(text),
            T::HtmlEntityDecode => entity::decode(text),
            T::Lowercase => text
                .iter()
                .any(u8::is_ascii_uppercase)
                .then(|| text.to_ascii_lowercase()),
            T::Uppercase => text
                .iter()
                .any(u8::is_ascii_lowercase)
                .then(|| text.to_ascii_uppercase()),
            T::CmdLine => command::generic(text),
            T::CmdLineWin => command::windows(text),
            T::CmdLineUnix => command::unix(text),
            T::UrlDecode => decode::url(text),
            T::UrlDecodeUni => decode::url_uni(text),
            T::Base64Decode => decode::base64(text, decode::Invalid::Ends),
            T::Base64DecodeExt => decode::base64(text, decode::Invalid::Skipped),
            T::HexDecode => decode::hex(text),
            T::SqlHexDecode => decode::sql_hex(text),
            T::Utf8ToUnicode => decode::utf8_to_unicode(text),
            T::Md5 => Some(md5::Md5::digest(text).to_vec()),
            T::Sha256 => Some(Sha256::digest(text).to_vec()),
            T::ReplaceComments => space::replace_comments(text),
            T::RemoveCommentsChar => space::remove_comment_marks(text),
            T::EscapeSeqDecode => escape::ansi_c(text),
            T::CssDecode => escape::css(text),
            T::JsDecode => escape::js(text),
            T::JsDecodeExt => escape::js_ext(text),
            T::NormalizePath => command::normalize_path(text),
            T::NormalizePathWin => command::normalize_path_win(text),
            T::RemoveNulls => text
                .contains(&0)
                .then(|| text.iter().copied().filter(|b| *b != 0).collect()),
            T::ReplaceNulls => text
                .contains(&0)
                .then(|| text.iter().map(|b| if *b == 0 { b' ' } else { *b }).collect()),
            T::RemoveWhitespace => space::remove(text),
            T::Trim => space::trim(
                text,
                space::Ends {
                    left: true,
                    right: true,
                },
            ),
            T::TrimLeft => space::trim(
                text,
                space::Ends {
                    left: true,
                    right: false,
                },
            ),
            T::TrimRight => space::trim(
                text,
                space::Ends {
                    left: false,
                    right: true,
                },
            ),
        }
    }
}

/// The value of a hexadecimal digit.
fn hex_value(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    }
}

/// The byte that two hexadecimal digits at the begin of `text` give.
fn hex_byte(text: &[u8]) -> Option<u8> {
    match text {
        [high, low, ..] => Some(hex_value(*high)? << 4 | hex_value(*low)?),
        _ => None,
    }
}

/// A code of four hexadecimal digits as one byte: full-width ASCII (FF01-FF5E) becomes ASCII, else the low byte stays.
fn low_byte(text: &[u8]) -> Option<u8> {
    let (high, low) = (hex_byte(text)?, hex_byte(text.get(2..)?)?);
    Some(full_width(high, low))
}

/// Ref: AWS WAF developer guide, JS_DECODE: "if the code is in the full-width ASCII range FF01-FF5E, the higher byte
/// is used to detect and adjust the lower byte".
fn full_width(high: u8, low: u8) -> u8 {
    if high == 0xff && (0x01..=0x5e).contains(&low) {
        low + 0x20
    } else {
        low
    }
}
