//! Goal: whatever a hostile layer asks for, it is refused at a limit, and until then costs a bounded amount of memory.
//! Method: each limit for itself, with small values; the limit of entries at its real value, with entries that leave no
//! file; memory by the peak that the kernel keeps of this process, which runs one test.

mod support;

use honmaru_images::{Algorithm, Digest, Expected, UnpackError, UnpackLimits, unpack_layer};
use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use support::lab::{Lab, limits};
use support::{Header, TarWriter, gzip, is_root};

/// What no layer may add to the memory of the process, in bytes.
const MEMORY_MAX: u64 = 96 * 1024 * 1024;

/// A tar without end: each piece is the bytes of one entry.
struct Endless<F> {
    piece: Vec<u8>,
    at: usize,
    next: F,
    made: u64,
}

impl<F: FnMut(u64) -> Vec<u8>> Endless<F> {
    fn new(next: F) -> Self {
        Self {
            piece: Vec::new(),
            at: 0,
            next,
            made: 0,
        }
    }
}

impl<F: FnMut(u64) -> Vec<u8>> Read for Endless<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.piece.len() {
            (self.piece, self.at) = ((self.next)(self.made), 0);
            self.made += 1;
        }
        let n = buffer.len().min(self.piece.len() - self.at);
        buffer[..n].copy_from_slice(&self.piece[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

fn unpack(source: impl Read, into: &Path, limits: &UnpackLimits) -> Result<(), UnpackError> {
    // Neither digest is reached.
    let expected = Expected {
        digest: Digest::of(Algorithm::Sha256, b""),
        diff_id: Digest::of(Algorithm::Sha256, b""),
    };
    unpack_layer(source, &expected, into, limits).map(drop)
}

fn is_limit(result: &Result<(), UnpackError>, of: &str) -> bool {
    matches!(result, Err(UnpackError::Limit { what, .. }) if *what == of)
}

/// The most memory that this process had, in bytes.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

fn count(dir: &Path) -> usize {
    let inside = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    inside
        .map(|entry| {
            1 + if entry.file_type().unwrap().is_dir() {
                count(&entry.path())
            } else {
                0
            }
        })
        .sum()
}

/// Unpacks devices, which are passed over: many entries, and no file.
fn devices(limits: &UnpackLimits) {
    let (lab, before) = (Lab::new(), peak());
    let entry = TarWriter::default().of_mode("null", b'3', 0o600, 0).unfinished();
    let mut source = Endless::new(|_| entry.clone());
    let result = unpack(&mut source, &lab.root(), limits);
    assert!(is_limit(&result, "entries"), "{result:?}");
    let max = limits.entries_max;
    assert!((max..max + 1_000).contains(&source.made), "{}", source.made);
    assert_eq!(count(&lab.root()), 0);
    assert!(peak() - before < MEMORY_MAX, "{} bytes", peak() - before);
}

#[test]
fn a_layer_of_too_many_entries_is_refused_at_the_limit_and_costs_no_memory() {
    if is_root() {
        devices(&UnpackLimits {
            entries_max: 100_000,
            ..limits()
        });
    }
}

/// By hand: `cargo nextest run -p honmaru-images --test unpack_limits --run-ignored only`.
#[test]
#[ignore = "takes more than a minute without optimisation"]
fn the_real_limit_of_two_million_entries_holds() {
    assert_eq!(limits().entries_max, 2_000_000);
    if is_root() {
        devices(&limits());
    }
}

/// Why the limit may be tested with entries that leave no file: a file costs an inode and a moment, and no memory.
#[test]
fn eight_times_the_files_cost_no_more_memory() {
    if !is_root() {
        return;
    }
    let mut grown = Vec::new();
    for files in [5_000, 40_000] {
        let (lab, before) = (Lab::new(), peak());
        let limits = UnpackLimits {
            entries_max: files,
            ..limits()
        };
        let source = Endless::new(|n| {
            TarWriter::default()
                .file(&format!("d{}/f{n}", n % 100), b"")
                .unfinished()
        });
        let result = unpack(source, &lab.root(), &limits);
        assert!(is_limit(&result, "entries"), "{result:?}");
        assert_eq!(count(&lab.root()) as u64, files);
        grown.push(peak() - before);
    }
    assert!(grown.iter().all(|grown| *grown < 16 * 1024 * 1024), "{grown:?}");
}

/// By hand, as above; the test above this one says why it need not run each time.
#[test]
#[ignore = "makes two million files"]
fn two_million_real_files() {
    if !is_root() {
        return;
    }
    let (lab, before, began) = (Lab::new(), peak(), std::time::Instant::now());
    let source = Endless::new(|n| {
        TarWriter::default()
            .file(&format!("d{}/f{n}", n % 1_000), b"")
            .unfinished()
    });
    let result = unpack(source, &lab.root(), &limits());
    assert!(is_limit(&result, "entries"), "{result:?}");
    eprintln!(
        "refused after {:?}, with {} more bytes of memory",
        began.elapsed(),
        peak() - before
    );
    assert_eq!(count(&lab.root()) as u64, limits().entries_max);
    assert!(peak() - before < MEMORY_MAX);
}

#[test]
fn directories_on_the_way_are_counted_like_entries() {
    if !is_root() {
        return;
    }
    let lab = Lab::new();
    let limits = UnpackLimits {
        entries_max: 5_000,
        ..limits()
    };
    let mut source = Endless::new(|n| {
        let path = format!("a{n}/{}f", "d/".repeat(240));
        TarWriter::default()
            .pax(&[("path", path.as_bytes())])
            .file("x", b"")
            .unfinished()
    });
    let result = unpack(&mut source, &lab.root(), &limits);
    assert!(is_limit(&result, "entries"), "{result:?}");
    assert!(source.made < 30, "{} entries", source.made);
    assert!(count(&lab.root()) < 5_000 + 256);
}

#[test]
fn symlinks_do_not_lead_deeper_than_a_path_may() {
    if !is_root() {
        return;
    }
    let lab = Lab::new();
    let down = "d/".repeat(200);
    let long = |path: &str| {
        TarWriter::default()
            .pax(&[("path", path.as_bytes())])
            .dir("x")
            .unfinished()
    };
    let link = |path: &str, target: &str| {
        TarWriter::default()
            .pax(&[("path", path.as_bytes()), ("linkpath", target.as_bytes())])
            .symlink("x", "y")
            .unfinished()
    };
    // s0 names 200 directories down, s1 goes through s0 200 further, and so on.
    let mut tar = [long(&down), link("s0", &down)].concat();
    for n in 1..20 {
        let through = format!("s{}/{down}", n - 1);
        tar.extend([long(&through), link(&format!("s{n}"), &through)].concat());
    }
    tar.extend([0; 1024]);
    let result = unpack(&*tar, &lab.root(), &limits());
    assert!(is_limit(&result, "directories inside each other"), "{result:?}");
    fs::remove_dir_all(lab.root()).unwrap();
    fs::create_dir(lab.root()).unwrap();
}

#[test]
fn attributes_are_bounded_over_all_headers_of_an_entry() {
    if !is_root() {
        return;
    }
    let value = vec![b'x'; 60 * 1024];
    let header = |tar: TarWriter, n: u32| {
        let name = format!("SCHILY.xattr.user.a{n}");
        tar.pax(&[(name.as_str(), value.as_slice())])
    };
    let tar = (0..5).fold(TarWriter::default(), header).file("f", b"").end();
    let lab = Lab::new();
    let result = unpack(&*tar, &lab.root(), &limits());
    assert!(is_limit(&result, "bytes of attributes of one file"), "{result:?}");
    assert_eq!(count(&lab.root()), 0);
}

#[test]
fn an_attribute_that_the_file_system_has_no_room_for_is_no_full_disk() {
    if !is_root() {
        return;
    }
    let value = vec![b'x'; 60 * 1024];
    let tar = TarWriter::default().pax(&[("SCHILY.xattr.user.a", value.as_slice())]);
    // Neither digest is reached, also where the file system takes it.
    match unpack(&*tar.file("f", b"").end(), &Lab::new().root(), &limits()) {
        Err(UnpackError::Io { doing, path, .. }) => assert_eq!((doing, path.as_str()), ("set an attribute of", "f")),
        other => assert!(!matches!(other, Err(UnpackError::Full)), "{other:?}"),
    }
}

#[test]
fn the_times_of_deep_directories_do_not_fill_the_memory() {
    if !is_root() {
        return;
    }
    let (lab, before) = (Lab::new(), peak());
    let path = "d/".repeat(250);
    let entry = TarWriter::default()
        .pax(&[("path", path.as_bytes())])
        .dir("x")
        .unfinished();
    let limits = UnpackLimits {
        entries_max: 20_000,
        ..limits()
    };
    let result = unpack(Endless::new(|_| entry.clone()), &lab.root(), &limits);
    assert!(is_limit(&result, "entries"), "{result:?}");
    assert!(peak() - before < MEMORY_MAX, "{} bytes", peak() - before);
}

#[test]
fn work_has_an_end() {
    if !is_root() {
        return;
    }
    let lab = Lab::new();
    let limits = UnpackLimits {
        work_time_max: Duration::from_millis(20),
        entries_max: u64::MAX,
        ..limits()
    };
    let entry = TarWriter::default().of_mode("null", b'3', 0o600, 0).unfinished();
    let result = unpack(Endless::new(|_| entry.clone()), &lab.root(), &limits);
    assert!(is_limit(&result, "seconds of work"), "{result:?}");
    // What one file costs counts as well.
    let zeros = Endless::new(|n| match n {
        0 => TarWriter::default()
            .raw(
                &Header {
                    path: b"f",
                    size: 1 << 32,
                    ..Header::default()
                },
                b"",
            )
            .unfinished(),
        _ => vec![0; 64 * 1024],
    });
    let result = unpack(zeros, &lab.root(), &limits);
    assert!(is_limit(&result, "seconds of work"), "{result:?}");
    // So do members and frames without any content, which a decompressor takes one after the other.
    let (member, frame) = (gzip(b""), zstd::encode_all(&b""[..], 1).unwrap());
    for empty in [member.repeat(1_000), frame.repeat(1_000)] {
        let result = unpack(Endless::new(|_| empty.clone()), &lab.root(), &limits);
        assert!(is_limit(&result, "seconds of work"), "{result:?}");
    }
}

/// Goal: of a small disk only a part of its inodes is kept, so that layers fit on it; who is refused for inodes hears so.
#[test]
fn the_last_inodes_of_a_disk_are_left_alone() {
    if !is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let mount = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=16m,nr_inodes=320", "tmpfs"])
        .arg(dir.path())
        .output();
    if !mount.is_ok_and(|mount| mount.status.success()) {
        eprintln!("skipped: nothing may be mounted here");
        return;
    }
    let limits = UnpackLimits {
        free_inodes_min: UnpackLimits::default().free_inodes_min,
        ..limits()
    };
    let tar = TarWriter::default().file("a", b"x").end();
    let place = dir.path().join("layer");
    std::fs::create_dir(&place).unwrap();
    let fits = unpack(&*tar, &place, &limits);
    for file in 0..310 {
        let _ = std::fs::write(dir.path().join(file.to_string()), b"");
    }
    let result = unpack(&*tar, &place, &limits);
    let _ = Command::new("umount").arg("--lazy").arg(dir.path()).status();
    // It came to its end: only the digests are not its own.
    assert!(matches!(fits, Err(UnpackError::Digest { .. })), "{fits:?}");
    assert!(
        matches!(result, Err(UnpackError::NoInodes { reserve: 20, .. })),
        "{result:?}"
    );
    assert!(
        result
            .unwrap_err()
            .to_string()
            .starts_with("no space left on device: it has ")
    );
}

#[test]
fn a_huge_header_does_not_reach_the_memory() {
    if !is_root() {
        return;
    }
    for kind in [b'x', b'L', b'K'] {
        let huge = Header {
            path: b"h",
            kind,
            size: 4 * 1024 * 1024 * 1024,
            ..Header::default()
        };
        let tar = TarWriter::default().raw(&huge, b"").unfinished();
        let result = Lab::new().unpack_with(&tar, &tar, &limits());
        assert!(
            matches!(
                result,
                Err(UnpackError::Limit {
                    what: "bytes in a header",
                    ..
                })
            ),
            "{result:?}"
        );
    }
}

#[test]
fn decompression_bombs_are_stopped_by_their_ratio() {
    if !is_root() {
        return;
    }
    let limits = UnpackLimits {
        ratio_from_bytes: 1024 * 1024,
        ratio_max: 50,
        ..limits()
    };
    let tar = TarWriter::default().file("zeros", &vec![0; 16 * 1024 * 1024]).end();
    for bomb in [gzip(&tar), zstd::encode_all(&*tar, 1).unwrap()] {
        let result = Lab::new().unpack_with(&bomb, &tar, &limits);
        assert!(
            matches!(
                result,
                Err(UnpackError::Limit {
                    what: "bytes for each compressed byte",
                    ..
                })
            ),
            "{result:?}"
        );
    }
    let small = UnpackLimits {
        tar_bytes_max: 1024 * 1024,
        ..self::limits()
    };
    let result = Lab::new().unpack_with(&tar, &tar, &small);
    assert!(matches!(result, Err(UnpackError::Limit { what: "bytes", .. })));
    // The padding after the end of a tar counts as well.
    let mut padded = TarWriter::default().file("a", b"x").end();
    padded.resize(16 * 1024 * 1024, 0);
    let result = Lab::new().unpack_with(&gzip(&padded), &padded, &limits);
    assert!(matches!(result, Err(UnpackError::Limit { .. })), "{result:?}");
}

#[test]
fn a_layer_is_refused_at_the_limit_of_entries_or_of_depth() {
    if !is_root() {
        return;
    }
    let limits = UnpackLimits {
        entries_max: 1_000,
        ..limits()
    };
    let mut tar = TarWriter::default();
    for n in 0..1_001 {
        tar = tar.file(&format!("f{n}"), b"");
    }
    let tar = tar.end();
    let result = Lab::new().unpack_with(&tar, &tar, &limits);
    assert!(matches!(
        result,
        Err(UnpackError::Limit {
            what: "entries",
            max: 1_000
        })
    ));
    let deep = TarWriter::default()
        .pax(&[("path", "d/".repeat(300).as_bytes())])
        .dir("x")
        .end();
    let result = Lab::new().unpack_with(&deep, &deep, &limits);
    assert!(matches!(
        result,
        Err(UnpackError::Limit {
            what: "directories inside each other",
            ..
        })
    ));
}

#[test]
fn a_full_disk_is_noticed_before_it_is_full() {
    if !is_root() {
        return;
    }
    let limits = UnpackLimits {
        free_bytes_min: u64::MAX,
        ..limits()
    };
    let tar = TarWriter::default().file("a", b"x").end();
    assert!(matches!(
        Lab::new().unpack_with(&tar, &tar, &limits),
        Err(UnpackError::Full)
    ));
}

#[test]
fn a_frame_that_asks_for_too_much_memory_is_refused() {
    if !is_root() {
        return;
    }
    let tar = TarWriter::default().file("a", b"x").end();
    // A frame whose header asks for a window of 2 GiB, and a window that is usual.
    for (window_log, is_good) in [(31_u8, false), (23, true)] {
        let mut frame = Vec::from(0xFD2F_B528_u32.to_le_bytes());
        // No single segment, no checksum, no dictionary; then the window; then one raw block, the last.
        frame.push(0);
        frame.push((window_log - 10) << 3);
        let block = u32::try_from(tar.len()).unwrap() << 3 | 1;
        frame.extend(&block.to_le_bytes()[..3]);
        frame.extend(&tar);
        let result = Lab::new().unpack_with(&frame, &tar, &limits());
        assert_eq!(result.is_ok(), is_good, "2^{window_log}: {result:?}");
    }
}

/// Goal: many small files cost neither memory nor much time, and every one of them is there.
#[test]
fn a_layer_of_many_files_is_unpacked() {
    if !is_root() {
        return;
    }
    let mut tar = TarWriter::default();
    for n in 0..20_000 {
        tar = tar.file(&format!("d{}/f{n}", n % 100), b"");
    }
    let lab = Lab::new();
    let unpacked = lab.unpack(tar).unwrap();
    assert_eq!((unpacked.entries, unpacked.content_bytes), (20_000, 0));
    let files = (0..100).map(|n| fs::read_dir(lab.root().join(format!("d{n}"))).unwrap().count());
    assert_eq!(files.sum::<usize>(), 20_000);
}
