//! How the content of a blob lies on disk: in the clear, or encrypted with AES-256 in counter mode (NIST SP 800-38A, 6.5).
//!
//! An encrypted file begins with a header: what it is, and the first counter block, which is random. Then comes the
//! content, byte for byte, so that any part of it can be read and written by itself. Positions are those of the content.
//! Not here: whether content is what its name says. That is for digests to tell, which every reader checks.

use super::StoreError;
use super::error::at;
use aes::Aes256;
use bytes::Bytes;
use ctr::cipher::{InnerIvInit, KeyInit, StreamCipher, StreamCipherSeek};
use ctr::{Ctr128BE, CtrCore};
use rustix::io::ReadWriteFlags;
use sha2::{Digest as _, Sha256};
use std::fs::{self, File};
use std::io::{self, IoSliceMut, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

const KEY_BYTES: usize = 32;
const BLOCK_BYTES: usize = 16;
const MAGIC: [u8; 16] = *b"honmaru aes-ctr\x01";
/// What comes before the content of an encrypted file.
pub(super) const HEADER_BYTES: usize = MAGIC.len() + BLOCK_BYTES;

/// Why the key of a store's files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file is no key.
    #[error("{0} holds no key, which has 64 hexadecimal digits: take it from your backup")]
    Malformed(PathBuf),
    /// The key's file is absent, and there are blobs that need it.
    #[error("the blobs in {dir} are encrypted, and their key {path} is gone: take it from your backup")]
    Gone {
        /// The key's file.
        path: PathBuf,
        /// The store.
        dir: PathBuf,
    },
    /// The blobs need another key.
    #[error("the blobs in {dir} are encrypted with another key than the one in {path}: take theirs from your backup")]
    Other {
        /// The key's file.
        path: PathBuf,
        /// The store.
        dir: PathBuf,
    },
}

/// The key of a store's files, in a file of its own: 64 hexadecimal digits. It is read when it is first needed.
#[derive(Debug)]
pub struct BlobKey {
    path: PathBuf,
    known: OnceLock<Known>,
}

#[derive(Debug)]
struct Known {
    aes: Aes256,
    id: String,
}

impl BlobKey {
    /// The key in a file, which need not be there yet.
    pub fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            known: OnceLock::new(),
        }
    }

    /// Its file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes a new key, unless there is one. Durable when it returns.
    pub(super) fn make(&self) -> Result<(), StoreError> {
        if self.path.exists() {
            return Ok(());
        }
        let mut key = [0; KEY_BYTES];
        fill(&mut key).map_err(at("make", &self.path))?;
        let made = self.path.with_extension("new");
        let _ = fs::remove_file(&made);
        let mut options = File::options();
        let file = options.write(true).create_new(true).mode(0o600).open(&made);
        file.and_then(|mut file| {
            writeln!(file, "{}", hex::encode(key))?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&made, &self.path))
        .map_err(at("make", &self.path))?;
        match self.path.parent() {
            Some(dir) => super::sync_dir(dir),
            None => Ok(()),
        }
    }

    /// What tells this key from others, and nothing about it.
    pub(super) fn id(&self) -> Result<&str, StoreError> {
        Ok(&self.known()?.id)
    }

    fn known(&self) -> Result<&Known, StoreError> {
        if let Some(known) = self.known.get() {
            return Ok(known);
        }
        let text = fs::read_to_string(&self.path).map_err(at("read", &self.path))?;
        let mut key = [0; KEY_BYTES];
        hex::decode_to_slice(text.trim(), &mut key).map_err(|_| KeyError::Malformed(self.path.clone()))?;
        let digest = Sha256::new().chain_update(b"honmaru blob key").chain_update(key);
        let id = hex::encode(digest.finalize().get(..8).unwrap_or_default());
        let known = Known {
            aes: Aes256::new(&key.into()),
            id,
        };
        Ok(self.known.get_or_init(|| known))
    }

    fn stream(&self, first: [u8; BLOCK_BYTES]) -> Result<Stream, StoreError> {
        let aes = self.known()?.aes.clone();
        Ok(Stream { aes, first })
    }

    /// The content of a whole encrypted file; nothing where it is no such file.
    pub(super) fn content(&self, file: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        let Some((first, content)) = read_header(file) else {
            return Ok(None);
        };
        let mut content = content.to_vec();
        self.stream(first)?.apply(0, &mut content);
        Ok(Some(content))
    }
}

fn fill(bytes: &mut [u8]) -> io::Result<()> {
    getrandom::fill(bytes).map_err(|error| io::Error::other(error.to_string()))
}

fn read_header(file: &[u8]) -> Option<([u8; BLOCK_BYTES], &[u8])> {
    let (first, content) = file.strip_prefix(&MAGIC)?.split_first_chunk()?;
    Some((*first, content))
}

/// The key stream of one file.
#[derive(Debug, Clone)]
struct Stream {
    aes: Aes256,
    first: [u8; BLOCK_BYTES],
}

impl Stream {
    /// Encrypts or decrypts what stands at a place of the content: both are the same.
    fn apply(&self, at: u64, bytes: &mut [u8]) {
        let mut stream = Ctr128BE::from_core(CtrCore::inner_iv_init(self.aes.clone(), &self.first.into()));
        stream.seek(at);
        stream.apply_keystream(bytes);
    }

    fn header(&self) -> [u8; HEADER_BYTES] {
        let mut header = [0; HEADER_BYTES];
        let (magic, first) = header.split_at_mut(MAGIC.len());
        magic.copy_from_slice(&MAGIC);
        first.copy_from_slice(&self.first);
        header
    }
}

/// The file of a blob, read and written as its content.
#[derive(Debug)]
pub struct BlobFile {
    file: File,
    stream: Option<Stream>,
}

impl BlobFile {
    /// An empty file that is about to become a blob. Its header is written with its first byte.
    pub(super) fn new(file: File, key: Option<&BlobKey>) -> Result<Self, StoreError> {
        let stream = match key {
            Some(key) => {
                let mut first = [0; BLOCK_BYTES];
                fill(&mut first).map_err(at("choose a counter for", &key.path))?;
                Some(key.stream(first)?)
            }
            None => None,
        };
        Ok(Self { file, stream })
    }

    /// A file that was written before. With a key it may be encrypted, and says so itself; without one it never is.
    pub(super) fn open(file: File, path: &Path, key: Option<&BlobKey>) -> Result<Self, StoreError> {
        let Some(key) = key else {
            return Ok(Self::clear(file));
        };
        let mut header = [0; HEADER_BYTES];
        let stream = match file.read_exact_at(&mut header, 0) {
            Ok(()) => read_header(&header).map(|(first, _)| key.stream(first)).transpose()?,
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => None,
            Err(error) => return Err(at("read", path)(error)),
        };
        Ok(Self { file, stream })
    }

    /// A file that holds the content itself.
    pub(super) fn clear(file: File) -> Self {
        Self { file, stream: None }
    }

    pub(super) fn is_encrypted(&self) -> bool {
        self.stream.is_some()
    }

    fn header_bytes(&self) -> u64 {
        if self.is_encrypted() { HEADER_BYTES as u64 } else { 0 }
    }

    /// The length of the content.
    pub(super) fn content_bytes(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len().saturating_sub(self.header_bytes()))
    }

    /// Reads content; less than asked for at its end, and wherever the system has no more at hand.
    pub fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<usize> {
        let read = self.file.read_at(bytes, at + self.header_bytes())?;
        self.decrypt(bytes, read, at);
        Ok(read)
    }

    /// The same of what is in memory: an error of the kind `WouldBlock` where that is not so, `Unsupported` where the
    /// file system cannot tell.
    pub fn read_cached_at(&self, bytes: &mut [u8], at: u64) -> io::Result<usize> {
        let place = at + self.header_bytes();
        let into = &mut [IoSliceMut::new(bytes)];
        let read = rustix::io::preadv2(&self.file, into, place, ReadWriteFlags::NOWAIT)?;
        self.decrypt(bytes, read, at);
        Ok(read)
    }

    fn decrypt(&self, bytes: &mut [u8], read: usize, at: u64) {
        if let (Some(stream), Some(read)) = (&self.stream, bytes.get_mut(..read)) {
            stream.apply(at, read);
        }
    }

    /// Reads as much content as was asked for.
    pub fn read_exact_at(&self, mut bytes: &mut [u8], mut at: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.read_at(bytes, at) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(read) => {
                    bytes = bytes.get_mut(read..).unwrap_or_default();
                    at += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes content.
    pub(super) fn write_all_at(&self, chunks: &[Bytes], mut at: u64) -> io::Result<()> {
        let Some(stream) = &self.stream else {
            for chunk in chunks {
                self.file.write_all_at(chunk, at)?;
                at += chunk.len() as u64;
            }
            return Ok(());
        };
        let header = stream.header();
        let header = if at == 0 { &header[..] } else { &[] };
        let mut sealed = Vec::with_capacity(header.len() + chunks.iter().map(Bytes::len).sum::<usize>());
        sealed.extend_from_slice(header);
        chunks.iter().for_each(|chunk| sealed.extend_from_slice(chunk));
        stream.apply(at, sealed.get_mut(header.len()..).unwrap_or_default());
        let place = if at == 0 { 0 } else { at + HEADER_BYTES as u64 };
        self.file.write_all_at(&sealed, place)
    }

    /// Ends the content after so many bytes.
    pub(super) fn set_content_bytes(&self, bytes: u64) -> io::Result<()> {
        if bytes == 0 {
            self.write_all_at(&[], 0)?;
        }
        self.file.set_len(bytes + self.header_bytes())
    }

    /// What lies on disk: the whole file of a content of so many bytes.
    pub(super) fn raw(&self, content_bytes: u64) -> io::Result<Vec<u8>> {
        let bytes = usize::try_from(content_bytes + self.header_bytes()).map_err(io::Error::other)?;
        let mut raw = vec![0; bytes];
        self.file.read_exact_at(&mut raw, 0)?;
        Ok(raw)
    }

    /// Brings the content to the disk.
    pub(super) fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// Brings the content and what the file system says of it to the disk.
    pub(super) fn sync_all(&self) -> io::Result<()> {
        self.file.sync_all()
    }

    /// Reads the content from its beginning.
    pub fn into_reader(self) -> BlobReader {
        BlobReader { file: self, at: 0 }
    }
}

/// Reads the content of a blob from its beginning to its end.
#[derive(Debug)]
pub struct BlobReader {
    file: BlobFile,
    at: u64,
}

impl Read for BlobReader {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(bytes, self.at)?;
        self.at += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ref: NIST SP 800-38A, F.5.5: CTR-AES256.Encrypt.
    #[test]
    fn the_cipher_is_the_standards() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        fs::write(
            &path,
            "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4\n",
        )
        .unwrap();
        let first = hex::decode("f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff").unwrap();
        let plain = "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51\
                     30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710";
        let sealed = "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5\
                      2b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6";
        let file = [&MAGIC[..], &first, &hex::decode(sealed).unwrap()].concat();
        let content = BlobKey::at(&path).content(&file).unwrap();
        assert_eq!(content.map(hex::encode).as_deref(), Some(plain));
    }

    #[test]
    fn a_key_is_made_once_and_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        let key = BlobKey::at(&path);
        key.make().unwrap();
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        BlobKey::at(&path).make().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        assert_eq!(BlobKey::at(&path).id().unwrap(), key.id().unwrap());
        let shown = format!("{key:?}");
        assert!(!shown.contains(text.trim()), "{shown}");
        fs::write(&path, "0123").unwrap();
        let error = BlobKey::at(&path).id().unwrap_err().to_string();
        assert!(error.contains("64 hexadecimal digits"), "{error}");
    }

    #[test]
    fn any_part_can_be_written_and_read_by_itself() {
        let dir = tempfile::tempdir().unwrap();
        let key = BlobKey::at(&dir.path().join("key"));
        key.make().unwrap();
        let content: Vec<u8> = (0..100_000_u32).map(|n| (n % 251) as u8).collect();
        let path = dir.path().join("blob");
        let written = BlobFile::new(File::create_new(&path).unwrap(), Some(&key)).unwrap();
        for (n, piece) in content.chunks(7_777).enumerate() {
            let (one, two) = piece.split_at(piece.len() / 3);
            let chunks = [Bytes::copy_from_slice(one), Bytes::copy_from_slice(two)];
            written.write_all_at(&chunks, n as u64 * 7_777).unwrap();
        }
        let on_disk = fs::read(&path).unwrap();
        assert_eq!(on_disk.len(), content.len() + HEADER_BYTES);
        assert!(!on_disk.windows(8).any(|window| window == &content[..8]));
        assert_eq!(key.content(&on_disk).unwrap(), Some(content.clone()));
        let file = BlobFile::open(File::open(&path).unwrap(), &path, Some(&key)).unwrap();
        assert_eq!(file.content_bytes().unwrap(), 100_000);
        for (from, bytes) in [(0, 1), (1, 15), (15, 2), (4_095, 4_097), (99_999, 1), (0, 100_000)] {
            let mut part = vec![0; bytes];
            file.read_exact_at(&mut part, from as u64).unwrap();
            assert_eq!(part, content[from..from + bytes], "{from} {bytes}");
        }
        let mut beyond = [0; 2];
        let error = file.read_exact_at(&mut beyond, 99_999).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        let mut all = Vec::new();
        file.into_reader().read_to_end(&mut all).unwrap();
        assert_eq!(all, content);
    }

    #[test]
    fn no_two_files_of_one_content_are_alike() {
        let dir = tempfile::tempdir().unwrap();
        let key = BlobKey::at(&dir.path().join("key"));
        key.make().unwrap();
        let raw = |name: &str| {
            let path = dir.path().join(name);
            let options = File::options().read(true).write(true).create_new(true).open(path);
            let file = BlobFile::new(options.unwrap(), Some(&key)).unwrap();
            file.write_all_at(&[Bytes::from_static(b"the same content")], 0)
                .unwrap();
            file.raw(16).unwrap()
        };
        assert_ne!(raw("one")[HEADER_BYTES..], raw("two")[HEADER_BYTES..]);
    }
}
