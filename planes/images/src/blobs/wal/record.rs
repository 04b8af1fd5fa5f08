//! The records of the log, as bytes.

use crate::Digest;
use crate::blobs::{BlobKey, StoreError};

/// A record of a file in the clear, and one of a file that is encrypted.
const MAGIC: [u8; 4] = *b"HMB1";
const MAGIC_ENCRYPTED: [u8; 4] = *b"HMB2";
/// Magic, epoch, length of the digest's text, length of the file.
const HEADER_BYTES: usize = 4 + 8 + 2 + 4;
/// In place of a file's length: the blob was removed.
const REMOVED: u32 = u32::MAX;

/// A record without its epoch; without a file that of a removal. Nothing for what no record can hold.
pub(super) fn write(digest: &Digest, raw: Option<&[u8]>, is_encrypted: bool) -> Option<Vec<u8>> {
    let length = match raw {
        Some(raw) => u32::try_from(raw.len()).ok().filter(|length| *length != REMOVED)?,
        None => REMOVED,
    };
    let (text, raw) = (digest.as_str(), raw.unwrap_or_default());
    let mut record = Vec::with_capacity(HEADER_BYTES + text.len() + raw.len());
    record.extend_from_slice(if is_encrypted { &MAGIC_ENCRYPTED } else { &MAGIC });
    record.extend_from_slice(&[0; 8]);
    record.extend_from_slice(&u16::try_from(text.len()).ok()?.to_le_bytes());
    record.extend_from_slice(&length.to_le_bytes());
    record.extend_from_slice(text.as_bytes());
    record.extend_from_slice(raw);
    Some(record)
}

/// Says in which round a record is written.
pub(super) fn set_epoch(record: &mut [u8], epoch: u64) {
    record[4..12].copy_from_slice(&epoch.to_le_bytes());
}

/// What a record says.
pub(in crate::blobs) enum Told {
    /// The blob has this content.
    Written(Digest, Vec<u8>),
    /// The blob was removed.
    Removed(Digest),
}

/// The records of a segment's last round, up to the first that is none, and the round's epoch.
pub(super) fn read_segment(bytes: &[u8], key: Option<&BlobKey>) -> Result<(u64, Vec<Told>), StoreError> {
    let (mut round, mut told, mut rest) = (0, Vec::new(), bytes);
    while let Some(record) = Record::split(rest) {
        let Some(one) = record.told(key)? else { break };
        if told.is_empty() {
            round = record.epoch;
        } else if record.epoch != round {
            break;
        }
        told.push(one);
        rest = record.rest;
    }
    Ok((round, told))
}

struct Record<'b> {
    epoch: u64,
    digest: Digest,
    is_encrypted: bool,
    /// The blob's file; nothing when it was removed.
    raw: Option<&'b [u8]>,
    /// What follows.
    rest: &'b [u8],
}

impl<'b> Record<'b> {
    fn split(bytes: &'b [u8]) -> Option<Self> {
        let (header, rest) = bytes.split_at_checked(HEADER_BYTES)?;
        let (magic, header) = header.split_first_chunk()?;
        let is_encrypted = *magic == MAGIC_ENCRYPTED;
        if !is_encrypted && *magic != MAGIC {
            return None;
        }
        let (epoch, header) = header.split_first_chunk()?;
        let (text, header) = header.split_first_chunk()?;
        let (length, _) = header.split_first_chunk()?;
        let (text, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*text)))?;
        let (raw, rest) = match u32::from_le_bytes(*length) {
            REMOVED => (None, rest),
            length => {
                let (raw, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
                (Some(raw), rest)
            }
        };
        Some(Self {
            epoch: u64::from_le_bytes(*epoch),
            digest: std::str::from_utf8(text).ok()?.parse().ok()?,
            is_encrypted,
            raw,
            rest,
        })
    }

    /// What it says; nothing when it is torn: then the blob was not acknowledged.
    fn told(&self, key: Option<&BlobKey>) -> Result<Option<Told>, StoreError> {
        let digest = self.digest.clone();
        let Some(raw) = self.raw else {
            return Ok(Some(Told::Removed(digest)));
        };
        let content = match (self.is_encrypted, key) {
            (false, _) => Some(raw.to_vec()),
            (true, Some(key)) => key.content(raw)?,
            (true, None) => None,
        };
        let content = content.filter(|content| Digest::of(digest.algorithm(), content) == digest);
        Ok(content.map(|content| Told::Written(digest, content)))
    }
}
