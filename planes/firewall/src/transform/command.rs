//! Command lines and paths.

/// Deletes `\ " ' ^`, deletes spaces before `/` and `(`, turns `,` and `;` into a space, squeezes spaces, lower-cases.
pub(super) fn generic(text: &[u8]) -> Option<Vec<u8>> {
    changed(text, simplify(text, |byte| matches!(byte, b'\\' | b'"' | b'\'' | b'^')))
}

/// A Unix shell's view: `^` is no escape there. White space at both ends is removed.
pub(super) fn unix(text: &[u8]) -> Option<Vec<u8>> {
    let out = simplify(text, |byte| matches!(byte, b'\\' | b'"' | b'\''));
    changed(text, out.trim_ascii().to_vec())
}

/// cmd.exe's view: the backslash separates folders and stays, several in a row become one.
pub(super) fn windows(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = simplify(text, |byte| matches!(byte, b'"' | b'^'));
    out.dedup_by(|next, before| *next == b'\\' && *before == b'\\');
    changed(text, out)
}

fn changed(before: &[u8], after: Vec<u8>) -> Option<Vec<u8>> {
    (before != after).then_some(after)
}

fn simplify(text: &[u8], deleted: fn(u8) -> bool) -> Vec<u8> {
    let mut out: Vec<u8> = Vec::with_capacity(text.len());
    for &byte in text {
        match byte {
            byte if deleted(byte) => {}
            b' ' | b',' | b';' | b'\t' | b'\r' | b'\n' => {
                if out.last() != Some(&b' ') {
                    out.push(b' ');
                }
            }
            b'/' | b'(' => {
                if out.last() == Some(&b' ') {
                    out.pop();
                }
                out.push(byte);
            }
            byte => out.push(byte.to_ascii_lowercase()),
        }
    }
    out
}

/// Removes repeated slashes, `.` segments, and `x/..` pairs; `..` at the begin of a relative path stays.
pub(super) fn normalize_path(text: &[u8]) -> Option<Vec<u8>> {
    let absolute = text.first() == Some(&b'/');
    let mut kept: Vec<&[u8]> = Vec::new();
    for segment in text.split(|b| *b == b'/') {
        match segment {
            b"" | b"." => {}
            b".." if kept.last().is_some_and(|last| *last != b"..") => {
                kept.pop();
            }
            // An absolute path has nothing above its root.
            b".." if absolute => {}
            segment => kept.push(segment),
        }
    }
    let folder = matches!(text, [.., b'/'] | [.., b'/', b'.'] | [.., b'/', b'.', b'.']);
    let mut out = Vec::with_capacity(text.len());
    if absolute {
        out.push(b'/');
    }
    out.extend(kept.join(&b'/'));
    if folder && !kept.is_empty() {
        out.push(b'/');
    }
    changed(text, out)
}

pub(super) fn normalize_path_win(text: &[u8]) -> Option<Vec<u8>> {
    if !text.contains(&b'\\') {
        return normalize_path(text);
    }
    let slashed: Vec<u8> = text.iter().map(|b| if *b == b'\\' { b'/' } else { *b }).collect();
    Some(normalize_path(&slashed).unwrap_or(slashed))
}
