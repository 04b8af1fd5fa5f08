//! A writer of tars that writes what it is told, also what no honest tool would.

#![allow(dead_code, missing_docs, reason = "each test file uses its part")]

pub mod lab;

use std::io::Write;

#[derive(Default, Clone)]
pub struct TarWriter(Vec<u8>);

#[derive(Clone)]
pub struct Header<'a> {
    pub path: &'a [u8],
    pub link: &'a [u8],
    pub kind: u8,
    pub mode: u32,
    pub uid: u64,
    pub size: u64,
}

impl Default for Header<'_> {
    fn default() -> Self {
        Self {
            path: b"",
            link: b"",
            kind: b'0',
            mode: 0o644,
            uid: 0,
            size: 0,
        }
    }
}

impl TarWriter {
    pub fn raw(mut self, header: &Header<'_>, content: &[u8]) -> Self {
        let mut block = [0; 512];
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, &header.path[..header.path.len().min(100)]);
        put(100, format!("{:07o}", header.mode).as_bytes());
        put(108, format!("{:07o}", header.uid).as_bytes());
        put(116, format!("{:07o}", header.uid).as_bytes());
        put(124, format!("{:011o}", header.size).as_bytes());
        put(136, b"00000000017");
        put(148, b"        ");
        put(156, &[header.kind]);
        put(157, &header.link[..header.link.len().min(100)]);
        put(257, b"ustar\x0000");
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend(block);
        self.0.extend(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub fn file(self, path: &str, content: &[u8]) -> Self {
        let header = Header {
            path: path.as_bytes(),
            size: content.len() as u64,
            ..Header::default()
        };
        self.raw(&header, content)
    }

    pub fn of_mode(self, path: &str, kind: u8, mode: u32, uid: u64) -> Self {
        self.raw(
            &Header {
                path: path.as_bytes(),
                kind,
                mode,
                uid,
                ..Header::default()
            },
            b"",
        )
    }

    pub fn dir(self, path: &str) -> Self {
        self.of_mode(path, b'5', 0o755, 0)
    }

    pub fn symlink(self, path: &str, target: &str) -> Self {
        self.raw(
            &Header {
                path: path.as_bytes(),
                link: target.as_bytes(),
                kind: b'2',
                ..Header::default()
            },
            b"",
        )
    }

    pub fn hard_link(self, path: &str, target: &str) -> Self {
        self.raw(
            &Header {
                path: path.as_bytes(),
                link: target.as_bytes(),
                kind: b'1',
                ..Header::default()
            },
            b"",
        )
    }

    pub fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut data = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let mut length = rest + rest.to_string().len();
            if length.to_string().len() != rest.to_string().len() {
                length += 1;
            }
            data.extend(format!("{length} {key}=").as_bytes());
            data.extend(*value);
            data.push(b'\n');
        }
        let header = Header {
            path: b"pax",
            kind: b'x',
            size: data.len() as u64,
            ..Header::default()
        };
        self.raw(&header, &data)
    }

    pub fn gnu_long_name(self, name: &str) -> Self {
        let data = [name.as_bytes(), b"\0"].concat();
        let header = Header {
            path: b"././@LongLink",
            kind: b'L',
            size: data.len() as u64,
            ..Header::default()
        };
        self.raw(&header, &data)
    }

    pub fn end(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        self.0
    }

    pub fn unfinished(self) -> Vec<u8> {
        self.0
    }
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Layers are unpacked by root only: owners, whiteouts and trusted attributes need it.
pub fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped: unpacking needs root");
    }
    root
}
