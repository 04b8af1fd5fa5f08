//! White space and comments.

/// White space as COMPRESS_WHITE_SPACE has it: `\t \n \v \f \r`, space, and byte 160.
fn is_space(byte: u8) -> bool {
    matches!(byte, 9..=13 | b' ' | 160)
}

pub(super) fn compress(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut before = false;
    for &byte in text {
        let space = is_space(byte);
        if !(space && before) {
            out.push(if space { b' ' } else { byte });
        }
        before = space;
    }
    (out != text).then_some(out)
}

pub(super) fn remove(text: &[u8]) -> Option<Vec<u8>> {
    text.iter()
        .any(|b| is_space(*b))
        .then(|| text.iter().copied().filter(|b| !is_space(*b)).collect())
}

/// Which ends are trimmed.
#[derive(Clone, Copy)]
pub(super) struct Ends {
    pub(super) left: bool,
    pub(super) right: bool,
}

pub(super) fn trim(text: &[u8], ends: Ends) -> Option<Vec<u8>> {
    let mut rest = text;
    while let ([first, tail @ ..], true) = (rest, ends.left) {
        if !is_space(*first) {
            break;
        }
        rest = tail;
    }
    while let ([head @ .., last], true) = (rest, ends.right) {
        if !is_space(*last) {
            break;
        }
        rest = head;
    }
    (rest.len() != text.len()).then(|| rest.to_vec())
}

/// Each comment, closed or not, becomes one space. A lone `*/` stays.
pub(super) fn replace_comments(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        if let [b'/', b'*', comment @ ..] = rest {
            out.push(b' ');
            rest = match comment.windows(2).position(|pair| pair == b"*/") {
                Some(end) => comment.get(end + 2..).unwrap_or_default(),
                None => &[],
            };
        } else {
            out.push(*first);
            rest = tail;
        }
    }
    (out != text).then_some(out)
}

pub(super) fn remove_comment_marks(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    loop {
        match rest {
            [] => break,
            [b'/', b'*', tail @ ..] | [b'*', b'/', tail @ ..] | [b'-', b'-', tail @ ..] | [b'#', tail @ ..] => {
                rest = tail;
            }
            [byte, tail @ ..] => {
                out.push(*byte);
                rest = tail;
            }
        }
    }
    (out.len() != text.len()).then_some(out)
}
