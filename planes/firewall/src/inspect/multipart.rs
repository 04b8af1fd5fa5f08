//! The texts inside of a multipart form: contents of fields, names of fields and of files. What files contain is not
//! read.
//!
//! Always: what a lenient parser takes for a field's content is among the texts. Line feeds count as line ends; a
//! boundary counts only where a line begins and with nothing after it; whoever is a file by other rules than RFC 7578's
//! is none; and a header with several boundaries, or none, makes the whole body one text.

use super::body::is_plain;
use super::text::Text;

/// Parts beyond this are not looked at one by one: the rest is one text.
const PARTS_MAX: usize = 200;

/// The texts of a body of that content type.
pub(super) fn texts<'r>(body: &'r [u8], content_type: &[u8]) -> Vec<Text<'r>> {
    let Some(delimiter) = delimiter(content_type) else {
        return vec![Text::Raw(body)];
    };
    let Some((_, mut rest)) = next(body, &delimiter) else {
        return vec![Text::Raw(body)];
    };
    let mut texts = Vec::new();
    for _ in 0..PARTS_MAX {
        // What follows the last boundary is ignored by everybody.
        if rest.starts_with(b"--") {
            return texts;
        }
        let (part, after) = match next(rest, &delimiter) {
            Some((part, after)) => (part, Some(after)),
            None => (rest, None),
        };
        add(part, &mut texts);
        let Some(after) = after else { return texts };
        rest = after;
    }
    texts.push(Text::Raw(rest));
    texts
}

/// `--boundary` of a content type that has exactly one boundary.
fn delimiter(content_type: &[u8]) -> Option<Vec<u8>> {
    let text = String::from_utf8_lossy(content_type);
    let mut found = text.split(';').skip(1).filter_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        let is_boundary = name.trim().to_ascii_lowercase().starts_with("boundary");
        is_boundary.then(|| {
            (
                name.trim().len() == "boundary".len(),
                value.trim().trim_matches('"').to_owned(),
            )
        })
    });
    let (is_plain, value) = found.next().filter(|_| found.next().is_none())?;
    // Ref: RFC 2046, section 5.1.1: at most 70 characters.
    (is_plain && !value.is_empty() && value.len() <= 70).then(|| format!("--{value}").into_bytes())
}

/// What stands before the next boundary line, without the line end, and what comes after the boundary.
fn next<'b>(body: &'b [u8], delimiter: &[u8]) -> Option<(&'b [u8], &'b [u8])> {
    for at in memchr::memmem::find_iter(body, delimiter) {
        let (before, found) = body.split_at(at);
        let after = found.get(delimiter.len()..).unwrap_or_default();
        let line_end = after
            .iter()
            .position(|b| !matches!(b, b' ' | b'\t'))
            .unwrap_or(after.len());
        let follows = after.get(line_end..).unwrap_or_default();
        let ends = follows.is_empty() || follows.starts_with(b"\n") || follows.starts_with(b"\r");
        if (before.is_empty() || before.ends_with(b"\n")) && (ends || after.starts_with(b"--")) {
            let part = before.strip_suffix(b"\n").unwrap_or(before);
            return Some((part.strip_suffix(b"\r").unwrap_or(part), after));
        }
    }
    None
}

/// The texts of one part: from after its boundary to before the next one's line end.
fn add<'r>(part: &'r [u8], texts: &mut Vec<Text<'r>>) {
    let Some((head, content)) = head_and_content(part) else {
        texts.push(Text::Raw(part));
        return;
    };
    let mut is_file = false;
    for (name, value) in parameters(head) {
        match name.to_ascii_lowercase().as_slice() {
            b"filename" | b"filename*" => {
                is_file |= !value.is_empty();
                texts.push(Text::Raw(value));
            }
            b"name" if !is_plain(value) => texts.push(Text::Raw(value)),
            _ => {}
        }
    }
    if !is_file {
        texts.push(Text::Raw(content));
    }
}

/// Header lines, and what comes after the empty line.
fn head_and_content(part: &[u8]) -> Option<(&[u8], &[u8])> {
    let crlf = memchr::memmem::find(part, b"\r\n\r\n").map(|at| (at, 4));
    let lf = memchr::memmem::find(part, b"\n\n").map(|at| (at, 2));
    let (at, len) = match (crlf, lf) {
        (Some(crlf), Some(lf)) => crlf.min(lf),
        (found, None) | (None, found) => found?,
    };
    Some((part.get(..at)?, part.get(at + len..)?))
}

/// The parameters of the Content-Disposition header: name and value.
fn parameters(head: &[u8]) -> Vec<(&[u8], &[u8])> {
    const NAME: &[u8] = b"content-disposition:";
    let mut found = Vec::new();
    for line in head.split(|b| *b == b'\n') {
        let line = line.trim_ascii();
        if !line
            .get(..NAME.len())
            .is_some_and(|name| name.eq_ignore_ascii_case(NAME))
        {
            continue;
        }
        let mut rest = line.get(NAME.len()..).unwrap_or_default();
        while let Some(at) = memchr::memchr(b';', rest) {
            rest = rest.get(at + 1..).unwrap_or_default().trim_ascii_start();
            let Some(equals) = memchr::memchr2(b'=', b';', rest).filter(|at| rest.get(*at) == Some(&b'=')) else {
                continue;
            };
            let (name, value) = rest.split_at(equals);
            let value = value.get(1..).unwrap_or_default().trim_ascii_start();
            let (value, after) = match value.strip_prefix(b"\"") {
                Some(quoted) => quoted.split_at(end_of_quoted(quoted)),
                None => value.split_at(memchr::memchr(b';', value).unwrap_or(value.len())),
            };
            found.push((name.trim_ascii(), value));
            rest = after;
        }
    }
    found
}

/// Where the closing quote stands; one after a backslash is none.
fn end_of_quoted(text: &[u8]) -> usize {
    let mut escaped = false;
    let end = text.iter().position(|b| {
        let is_end = *b == b'"' && !escaped;
        escaped = *b == b'\\' && !escaped;
        is_end
    });
    end.unwrap_or(text.len())
}
