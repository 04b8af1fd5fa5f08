//! The texts inside of a body, for managed groups: so that a JSON document's quotes or a multipart body's hyphens are not
//! taken for an attack, and an attack in one form value does not hide between the others.

use super::extract::inspected_body;
use super::json::{JsonPart, walk};
use super::multipart;
use super::text::Text;
use crate::RequestView;

pub(crate) fn texts<'r>(request: &RequestView<'r>) -> Vec<Text<'r>> {
    let (body, more) = inspected_body(request);
    if body.is_empty() {
        return Vec::new();
    }
    let content_type = request.header("content-type").unwrap_or_default().to_ascii_lowercase();
    let media = content_type
        .split(|b| *b == b';')
        .next()
        .unwrap_or_default()
        .trim_ascii();
    let textual = media.is_empty() || media.starts_with(b"text/");
    if media == b"application/x-www-form-urlencoded" {
        return form(body);
    }
    if media == b"multipart/form-data" {
        // The boundary keeps its case.
        let header = request.header("content-type").unwrap_or_default();
        return multipart::texts(body, header);
    }
    if media.ends_with(b"xml") {
        return xml(body);
    }
    if media.ends_with(b"json") || matches!(body.trim_ascii_start().first(), Some(b'{' | b'[')) {
        let mut texts = Vec::new();
        let whole = walk(body, &mut |_, part, text| {
            if part == JsonPart::Value || !is_plain(&text) {
                texts.push(text);
            }
        });
        // A document that was cut by the limit is inspected as far as it goes; one that is no JSON as text too.
        if whole.is_err() && !more {
            texts.push(Text::Raw(body));
        }
        return texts;
    }
    // Whoever claims no type or a textual one is inspected; otherwise the bytes decide, not the claim.
    if textual || is_text(body) {
        vec![Text::Raw(body)]
    } else {
        Vec::new()
    }
}

/// A name as programs use them: nothing can hide in it.
pub(super) fn is_plain(name: &[u8]) -> bool {
    name.iter()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.' | b'[' | b']' | b'$' | b'@' | b':'))
}

fn is_text(body: &[u8]) -> bool {
    let control = |b: &u8| *b < 9 || (14..32).contains(b);
    !body.iter().any(control) && body.utf8_chunks().filter(|chunk| !chunk.invalid().is_empty()).count() < 2
}

fn form(body: &[u8]) -> Vec<Text<'_>> {
    let mut texts = Vec::new();
    for pair in body.split(|b| *b == b'&') {
        match pair.iter().position(|b| *b == b'=') {
            Some(at) => {
                let (name, value) = pair.split_at(at);
                if !is_plain(name) {
                    texts.push(Text::Raw(name));
                }
                texts.push(Text::Raw(value.get(1..).unwrap_or_default()));
            }
            None => texts.push(Text::Raw(pair)),
        }
    }
    texts
}

/// The texts between tags, what is quoted inside of tags (attributes, the addresses of a DOCTYPE), and CDATA. Names of
/// elements are no texts: every document would look like markup.
fn xml(body: &[u8]) -> Vec<Text<'_>> {
    let mut texts = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let (text, tag) = rest.split_at(memchr::memchr(b'<', rest).unwrap_or(rest.len()));
        if !text.trim_ascii().is_empty() {
            texts.push(Text::Raw(text));
        }
        let (inside, next) = if let Some(data) = tag.strip_prefix(b"<![CDATA[") {
            let (data, next) = cut(data, b"]]>");
            texts.push(Text::Raw(data));
            (&[] as &[u8], next)
        } else if let Some(comment) = tag.strip_prefix(b"<!--") {
            (&[] as &[u8], cut(comment, b"-->").1)
        } else {
            cut(tag, b">")
        };
        let mut quoted = inside;
        while let Some(at) = memchr::memchr2(b'"', b'\'', quoted) {
            let quote = quoted.get(at).copied().unwrap_or(b'"');
            let (value, after) = cut(quoted.get(at + 1..).unwrap_or_default(), &[quote]);
            texts.push(Text::Raw(value));
            quoted = after;
        }
        rest = next;
    }
    texts
}

/// What stands before `end`, and what after it.
fn cut<'t>(text: &'t [u8], end: &[u8]) -> (&'t [u8], &'t [u8]) {
    match find(text, end) {
        Some(at) => (
            text.get(..at).unwrap_or_default(),
            text.get(at + end.len()..).unwrap_or_default(),
        ),
        None => (text, &[]),
    }
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    memchr::memmem::find(text, wanted)
}
