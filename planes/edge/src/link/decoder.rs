//! The body of an answer, taken off the bytes as they come. Ref: RFC 9112, 6 and 7.

use super::response::Malformed;
use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};

/// Longest line that tells a chunk's size, with its extensions, in bytes.
const SIZE_LINE_BYTES_MAX: usize = 4 * 1024;
/// Longest trailer section in bytes, and most fields in it.
const TRAILER_BYTES_MAX: usize = 16 * 1024;
const TRAILERS_MAX: usize = 64;

/// Where in a body the reader is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Length(u64),
    ChunkSize,
    ChunkData(u64),
    ChunkEnd,
    Trailers,
    UntilClose,
    Done,
}

/// What the bytes that are there give.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A piece of the body.
    Data(Bytes),
    /// Fields after the body; it is over.
    Trailers(HeaderMap),
    /// The body is over.
    End,
    /// More bytes are needed.
    More,
}

/// Takes a body off a buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decoder(State);

impl Decoder {
    /// No body.
    pub(super) fn empty() -> Self {
        Self(State::Done)
    }

    /// A body of that many bytes.
    pub(super) fn length(bytes: u64) -> Self {
        Self(if bytes == 0 { State::Done } else { State::Length(bytes) })
    }

    /// A body in chunks.
    pub(super) fn chunked() -> Self {
        Self(State::ChunkSize)
    }

    /// A body that ends with the connection.
    pub(super) fn until_close() -> Self {
        Self(State::UntilClose)
    }

    /// Whether nothing more follows.
    pub(super) fn is_done(self) -> bool {
        self.0 == State::Done
    }

    /// Whether the connection's end is the body's end.
    pub(super) fn ends_with_connection(self) -> bool {
        self.0 == State::UntilClose
    }

    /// The bytes that are left, where they are known.
    pub(super) fn left(self) -> Option<u64> {
        match self.0 {
            State::Length(left) => Some(left),
            State::Done => Some(0),
            _ => None,
        }
    }

    /// Takes the next piece.
    pub(super) fn step(&mut self, buffer: &mut BytesMut) -> Result<Step, Malformed> {
        loop {
            match self.0 {
                State::Done => return Ok(Step::End),
                _ if buffer.is_empty() => return Ok(Step::More),
                State::UntilClose => return Ok(Step::Data(buffer.split().freeze())),
                State::Length(left) => {
                    let data = take(buffer, left);
                    *self = Self::length(left - data.len() as u64);
                    return Ok(Step::Data(data));
                }
                State::ChunkData(left) => {
                    let data = take(buffer, left);
                    self.0 = match left - data.len() as u64 {
                        0 => State::ChunkEnd,
                        left => State::ChunkData(left),
                    };
                    return Ok(Step::Data(data));
                }
                State::ChunkEnd => {
                    let Some(end) = buffer.get(..2) else {
                        return if buffer.starts_with(b"\r") {
                            Ok(Step::More)
                        } else {
                            Err(Malformed)
                        };
                    };
                    if end != b"\r\n" {
                        return Err(Malformed);
                    }
                    buffer.advance(2);
                    self.0 = State::ChunkSize;
                }
                State::ChunkSize => match httparse::parse_chunk_size(buffer).map_err(|_| Malformed)? {
                    httparse::Status::Complete((bytes, size)) => {
                        buffer.advance(bytes);
                        self.0 = if size == 0 {
                            State::Trailers
                        } else {
                            State::ChunkData(size)
                        };
                    }
                    httparse::Status::Partial if buffer.len() > SIZE_LINE_BYTES_MAX => return Err(Malformed),
                    httparse::Status::Partial => return Ok(Step::More),
                },
                State::Trailers => {
                    let Some(trailers) = trailers(buffer)? else {
                        return Ok(Step::More);
                    };
                    self.0 = State::Done;
                    return Ok(if trailers.is_empty() {
                        Step::End
                    } else {
                        Step::Trailers(trailers)
                    });
                }
            }
        }
    }
}

fn take(buffer: &mut BytesMut, most: u64) -> Bytes {
    let bytes = usize::try_from(most).map_or(buffer.len(), |most| most.min(buffer.len()));
    buffer.split_to(bytes).freeze()
}

fn trailers(buffer: &mut BytesMut) -> Result<Option<HeaderMap>, Malformed> {
    let mut fields = [httparse::EMPTY_HEADER; TRAILERS_MAX];
    let (length, map) = match httparse::parse_headers(buffer, &mut fields).map_err(|_| Malformed)? {
        httparse::Status::Partial if buffer.len() > TRAILER_BYTES_MAX => return Err(Malformed),
        httparse::Status::Partial => return Ok(None),
        httparse::Status::Complete((length, fields)) => {
            let mut map = HeaderMap::new();
            for field in fields {
                let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| Malformed)?;
                map.append(name, HeaderValue::from_bytes(field.value).map_err(|_| Malformed)?);
            }
            (length, map)
        }
    };
    buffer.advance(length);
    Ok(Some(map))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The body of a text that arrives in pieces of that many bytes, with its trailers, and what is left.
    fn decode(text: &[u8], mut decoder: Decoder, piece: usize) -> Result<(Vec<u8>, HeaderMap, Vec<u8>), Malformed> {
        let (mut buffer, mut body, mut rest) = (BytesMut::new(), Vec::new(), text);
        loop {
            match decoder.step(&mut buffer)? {
                Step::Data(data) => {
                    assert!(!data.is_empty());
                    body.extend_from_slice(&data);
                }
                Step::Trailers(map) => return Ok((body, map, [&buffer, rest].concat())),
                Step::End => return Ok((body, HeaderMap::new(), [&buffer, rest].concat())),
                Step::More => {
                    assert!(!rest.is_empty(), "it wants more than there is");
                    let (now, later) = rest.split_at(piece.min(rest.len()));
                    buffer.extend_from_slice(now);
                    rest = later;
                }
            }
        }
    }

    #[test]
    fn bodies_in_pieces_of_every_size() {
        let chunked = b"5\r\nhello\r\n6;ext=\"1\"\r\n world\r\n0\r\nx-sum: 11\r\n\r\nrest";
        for piece in 1..chunked.len() {
            let (body, trailers, rest) = decode(chunked, Decoder::chunked(), piece).unwrap();
            assert_eq!((body.as_slice(), rest.as_slice()), (&b"hello world"[..], &b"rest"[..]));
            assert_eq!(trailers["x-sum"], "11");
            let (body, _, rest) = decode(b"hello rest", Decoder::length(6), piece).unwrap();
            assert_eq!((body.as_slice(), rest.as_slice()), (&b"hello "[..], &b"rest"[..]));
        }
        let (body, trailers, _) = decode(b"0\r\n\r\n", Decoder::chunked(), 1).unwrap();
        assert!(body.is_empty() && trailers.is_empty());
    }

    #[test]
    fn malformed_chunks() {
        let long = [b"1;".as_slice(), &[b'x'; SIZE_LINE_BYTES_MAX + 1]].concat();
        let trailers = [b"0\r\nx: ".as_slice(), &[b'x'; TRAILER_BYTES_MAX + 1]].concat();
        for text in [
            b"x\r\n".as_slice(),
            b"5\r\nhelloX\r\n",
            b"5\r\nhello\rX",
            b"-1\r\n",
            b"0x5\r\nhello\r\n",
            b"11111111111111111\r\n",
            b"0\r\nbad name: 1\r\n\r\n",
            &long,
            &trailers,
        ] {
            assert_eq!(
                decode(text, Decoder::chunked(), 7).err(),
                Some(Malformed),
                "{}",
                text.escape_ascii()
            );
        }
    }
}
