//! Goal: a layer becomes exactly the files that it describes, and a hostile one harms nothing outside its directory.
//! Method: tars made byte by byte; the directory lies inside another one, whose content must stay as it was.

mod support;

use honmaru_images::{Algorithm, Digest, Expected, UnpackError, unpack_layer};
use std::fs;
use std::os::unix::fs::{FileExt, FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use support::lab::{Lab, limits};
use support::{Header, TarWriter, gzip, is_root};

fn is_whiteout(meta: &fs::Metadata) -> bool {
    meta.file_type().is_char_device() && meta.rdev() == 0
}

fn xattr(path: &Path, name: &str) -> Option<Vec<u8>> {
    let mut value = vec![0; 256];
    let n = rustix::fs::lgetxattr(path, name, &mut value).ok()?;
    value.truncate(n);
    Some(value)
}

#[test]
fn files_directories_and_links_come_out_as_described() {
    if !is_root() {
        return;
    }
    let lab = Lab::new();
    let tar = TarWriter::default()
        .of_mode("./", b'5', 0o711, 0)
        .dir("usr/")
        .of_mode("usr/private", b'5', 0o700, 7)
        .file("usr/a", b"content")
        .hard_link("usr/b", "usr/a")
        .symlink("usr/absolute", "/etc/passwd")
        .symlink("usr/relative", "../../../../etc/passwd")
        .of_mode("usr/setuid", b'0', 0o4755, 1234)
        .of_mode("usr/pipe", b'6', 0o600, 0)
        .of_mode("usr/device", b'3', 0o600, 0)
        .file("made/on/the/way", b"x");
    let unpacked = lab.unpack(tar).unwrap();
    assert_eq!((unpacked.entries, unpacked.content_bytes), (11, 8));
    assert_eq!(lab.meta("").permissions().mode() & 0o7777, 0o711);
    assert_eq!(lab.text("usr/b"), "content");
    assert_eq!(lab.meta("usr/a").ino(), lab.meta("usr/b").ino());
    assert_eq!(
        fs::read_link(lab.root().join("usr/absolute")).unwrap(),
        Path::new("/etc/passwd")
    );
    let setuid = lab.meta("usr/setuid");
    assert_eq!(
        (setuid.permissions().mode() & 0o7777, setuid.uid(), setuid.gid()),
        (0o4755, 1234, 1234)
    );
    assert_eq!(
        (lab.meta("usr/private").uid(), lab.meta("usr/private").mode() & 0o777),
        (7, 0o700)
    );
    assert!(lab.meta("usr/pipe").file_type().is_fifo());
    assert!(!lab.root().join("usr/device").exists(), "devices are not made");
    assert_eq!(lab.text("made/on/the/way"), "x");
    assert_eq!((lab.meta("usr/a").mtime(), lab.meta("usr").mtime()), (15, 15));
}

#[test]
fn long_names_come_from_pax_and_gnu_headers() {
    if !is_root() {
        return;
    }
    let lab = Lab::new();
    let long = format!("{}/{}", "d".repeat(120), "f".repeat(200));
    let gnu = format!("{}/{}", "g".repeat(120), "h".repeat(200));
    let tar = TarWriter::default()
        .pax(&[("path", long.as_bytes()), ("mtime", b"1.5")])
        .file("short", b"pax")
        .gnu_long_name(&gnu)
        .file("short", b"gnu");
    lab.unpack(tar).unwrap();
    assert_eq!((lab.text(&long), lab.text(&gnu)), ("pax".to_owned(), "gnu".to_owned()));
    assert_eq!(lab.meta(&long).mtime_nsec(), 500_000_000);
}

#[test]
fn whiteouts_become_overlays_own() {
    if !is_root() {
        return;
    }
    let lab = Lab::new();
    let tar = TarWriter::default()
        .dir("etc")
        .file("etc/.wh.gone", b"")
        .file("hidden/.wh..wh..opq", b"")
        .file("hidden/new", b"x")
        .file(".wh..wh.plnk", b"")
        .file("both", b"stays")
        .file(".wh.both", b"")
        .file(".wh.later", b"")
        .dir("later");
    lab.unpack(tar).unwrap();
    assert!(is_whiteout(&lab.meta("etc/gone")));
    assert_eq!(
        xattr(&lab.root().join("hidden"), "trusted.overlay.opaque").as_deref(),
        Some(&b"y"[..])
    );
    assert_eq!(lab.text("both"), "stays", "a whiteout is about lower layers");
    assert!(!lab.root().join(".wh..wh.plnk").exists());
    // A directory that replaces a lower one of its name does not show what that one holds.
    assert!(lab.meta("later").is_dir());
    assert_eq!(
        xattr(&lab.root().join("later"), "trusted.overlay.opaque").as_deref(),
        Some(&b"y"[..])
    );
}

#[test]
fn attributes_are_kept_but_overlays_are_refused_entry() {
    if !is_root() {
        return;
    }
    let lab = Lab::new();
    let tar = TarWriter::default()
        .pax(&[
            ("SCHILY.xattr.user.note", b"hello"),
            ("SCHILY.xattr.trusted.overlay.redirect", b"/../../secret"),
            ("SCHILY.xattr.user.overlay.opaque", b"y"),
        ])
        .file("f", b"x");
    lab.unpack(tar).unwrap();
    let path = lab.root().join("f");
    assert_eq!(xattr(&path, "user.note").as_deref(), Some(&b"hello"[..]));
    assert_eq!(xattr(&path, "trusted.overlay.redirect"), None);
    assert_eq!(xattr(&path, "user.overlay.opaque"), None);
}

#[test]
fn later_entries_replace_earlier_ones_and_never_write_through_them() {
    if !is_root() {
        return;
    }
    let lab = Lab::new();
    let outside = lab.outer.path().join("secret");
    let tar = TarWriter::default()
        .symlink("link", outside.to_str().unwrap())
        .file("link", b"replaced")
        .dir("dir")
        .file("dir/child", b"x")
        .file("dir", b"now a file")
        .file("file", b"x")
        .dir("file")
        .file("same", b"1")
        .hard_link("other", "same")
        .file("same", b"2");
    lab.unpack(tar).unwrap();
    assert_eq!(lab.text("link"), "replaced");
    assert!(lab.meta("link").is_file());
    assert_eq!(lab.text("dir"), "now a file");
    assert!(lab.meta("file").is_dir());
    assert_eq!((lab.text("same"), lab.text("other")), ("2".to_owned(), "1".to_owned()));
}

#[test]
fn paths_with_dots_are_refused() {
    if !is_root() {
        return;
    }
    for path in [
        "../escape",
        "a/../../escape",
        "/../escape",
        "a/..",
        ".wh...",
        "x/.wh..",
        ".wh.",
    ] {
        let result = Lab::new().unpack(TarWriter::default().file(path, b"x"));
        assert!(matches!(result, Err(UnpackError::Path(_))), "{path}: {result:?}");
    }
    let nul = TarWriter::default().pax(&[("path", b"a\0b")]).file("x", b"");
    assert!(matches!(Lab::new().unpack(nul), Err(UnpackError::Path(_))));
}

#[test]
fn symlinks_as_parents_stay_inside() {
    if !is_root() {
        return;
    }
    for target in ["..", "/..", "../..", "/", "/../../.."] {
        let lab = Lab::new();
        let result = lab.unpack(TarWriter::default().symlink("up", target).file("up/escape", b"x"));
        // `..` of the root is the root: the file lands inside.
        result.unwrap();
        assert_eq!(lab.text("escape"), "x", "{target}");
    }
    let lab = Lab::new();
    let absolute = lab.outer.path().to_str().unwrap().to_owned();
    let result = lab.unpack(TarWriter::default().symlink("up", &absolute).file("up/escape", b"x"));
    assert!(result.is_err(), "a dangling symlink is no directory");
    let lab = Lab::new();
    let looped = TarWriter::default()
        .symlink("a", "b")
        .symlink("b", "a")
        .file("a/x", b"x");
    assert!(lab.unpack(looped).is_err());
    // Changing a parent under the remembered directory.
    let lab = Lab::new();
    let swapped = TarWriter::default()
        .dir("d")
        .file("d/one", b"1")
        .symlink("d", "/..")
        .file("d/two", b"2");
    lab.unpack(swapped).unwrap();
    assert_eq!(lab.text("two"), "2");
}

#[test]
fn marks_and_attributes_through_symlinks_stay_inside() {
    if !is_root() {
        return;
    }
    let opaque = |path: &Path| xattr(path, "trusted.overlay.opaque");
    let lab = Lab::new();
    let outside = lab.outer.path().join("secret");
    let tar = TarWriter::default()
        .symlink("up", "/..")
        .file("up/.wh.secret", b"")
        .file("up/.wh..wh..opq", b"")
        .dir("real")
        .symlink("to-real", "real")
        .file("to-real/.wh..wh..opq", b"")
        .symlink("link", outside.to_str().unwrap())
        .file(".wh.link", b"")
        .pax(&[("SCHILY.xattr.user.note", b"x"), ("mtime", b"1")])
        .symlink("noted", outside.to_str().unwrap())
        .pax(&[("SCHILY.xattr.user.note", b"x"), ("mtime", b"1")])
        .hard_link("linked", "noted");
    let time = fs::metadata(&outside).unwrap().mtime();
    lab.unpack(tar).unwrap();
    assert!(is_whiteout(&lab.meta("secret")));
    assert_eq!(opaque(&lab.root()).as_deref(), Some(&b"y"[..]));
    assert_eq!(opaque(lab.outer.path()), None);
    assert_eq!(opaque(&lab.root().join("real")).as_deref(), Some(&b"y"[..]));
    assert!(lab.meta("link").is_symlink(), "a whiteout is about lower layers");
    assert!(lab.meta("linked").is_symlink());
    assert_eq!(xattr(&outside, "user.note"), None);
    assert_eq!(fs::metadata(&outside).unwrap().mtime(), time);
    for target in ["/nowhere", "loop", "file"] {
        let tar = TarWriter::default()
            .file("file", b"x")
            .symlink("loop", target)
            .file("loop/.wh..wh..opq", b"");
        assert!(Lab::new().unpack(tar).is_err(), "{target}");
    }
}

#[test]
fn hard_links_name_files_of_the_layer_only() {
    if !is_root() {
        return;
    }
    let outside = |lab: &Lab| lab.outer.path().join("secret").to_str().unwrap().to_owned();
    let lab = Lab::new();
    let result = lab.unpack(TarWriter::default().hard_link("stolen", &outside(&lab)));
    assert!(matches!(result, Err(UnpackError::HardLink { .. })), "{result:?}");
    let result = Lab::new().unpack(TarWriter::default().hard_link("stolen", "../secret"));
    assert!(matches!(result, Err(UnpackError::Path(_))), "{result:?}");
    let lab = Lab::new();
    let via = TarWriter::default()
        .symlink("up", "..")
        .hard_link("stolen", "up/secret");
    assert!(matches!(lab.unpack(via), Err(UnpackError::HardLink { .. })));
    let lab = Lab::new();
    // A link to a symlink is another symlink, not a link to what it names.
    let through = TarWriter::default()
        .symlink("s", &outside(&lab))
        .hard_link("stolen", "s");
    lab.unpack(through).unwrap();
    assert!(lab.meta("stolen").is_symlink());
    let directory = TarWriter::default().dir("d").hard_link("x", "d");
    assert!(matches!(
        Lab::new().unpack(directory),
        Err(UnpackError::HardLink { .. })
    ));
    let lab = Lab::new();
    lab.unpack(TarWriter::default().file("a", b"x").hard_link("a", "a"))
        .unwrap();
    assert_eq!(lab.text("a"), "x");
}

#[test]
fn names_that_differ_in_case_are_different_files() {
    if !is_root() {
        return;
    }
    let lab = Lab::new();
    lab.unpack(
        TarWriter::default()
            .symlink("LINK", "..")
            .dir("link")
            .file("link/x", b"x"),
    )
    .unwrap();
    assert_eq!(lab.text("link/x"), "x");
}

/// Goal: files with holes arrive as they were, in every format that GNU tar has for them.
#[test]
fn sparse_files_keep_their_content_and_their_holes() {
    if !is_root() {
        return;
    }
    const MIB: u64 = 1024 * 1024;
    // Many pieces, so that every format needs more than one block for its map; one file begins and ends with a hole, one is
    // a hole, one has none.
    let source = tempfile::tempdir().unwrap();
    let make = |name: &str, size: u64, pieces: &[u64]| {
        let file = std::fs::File::create(source.path().join(name)).unwrap();
        for at in pieces {
            file.write_all_at(format!("piece at {at}").as_bytes(), *at).unwrap();
        }
        file.set_len(size).unwrap();
    };
    make(
        "holes",
        64 * MIB,
        &(0..40).map(|n| MIB + n * MIB + n).collect::<Vec<_>>(),
    );
    make("hole", 7 * MIB + 1, &[]);
    make("none", 11, &[0]);
    for format in [
        &["--format=gnu"][..],
        &["--format=posix", "--sparse-version=0.0"],
        &["--format=posix", "--sparse-version=0.1"],
        &["--format=posix", "--sparse-version=1.0"],
    ] {
        let made = Command::new("tar")
            .args([
                "--create",
                "--sparse",
                "--hole-detection=raw",
                "--file=-",
                "--directory",
            ])
            .arg(source.path())
            .args(format)
            .args(["holes", "hole", "none"])
            .output()
            .unwrap();
        assert!(
            made.status.success(),
            "{format:?}: {}",
            String::from_utf8_lossy(&made.stderr)
        );
        let lab = Lab::new();
        let unpacked = lab.unpack_with(&made.stdout, &made.stdout, &limits()).unwrap();
        for name in ["holes", "hole", "none"] {
            let (was, is) = (source.path().join(name), lab.root().join(name));
            assert_eq!(lab.meta(name).len(), was.metadata().unwrap().len(), "{format:?} {name}");
            assert!(
                std::fs::read(was).unwrap() == std::fs::read(is).unwrap(),
                "{format:?} {name}"
            );
        }
        assert!(
            unpacked.content_bytes < MIB,
            "{format:?}: holes are not written: {}",
            unpacked.content_bytes
        );
        assert!(
            lab.meta("holes").blocks() * 512 < 4 * MIB,
            "{format:?}: the holes are filled"
        );
    }
}

#[test]
fn sparse_files_that_lie_are_refused() {
    if !is_root() {
        return;
    }
    let refused = |records: &[(&str, &str)], content: &str| {
        let records: Vec<(String, &[u8])> = records
            .iter()
            .map(|(key, value)| (format!("GNU.sparse.{key}"), value.as_bytes()))
            .collect();
        let records: Vec<(&str, &[u8])> = records.iter().map(|(key, value)| (key.as_str(), *value)).collect();
        let tar = TarWriter::default().pax(&records).file("s", content.as_bytes());
        Lab::new().unpack(tar).unwrap_err()
    };
    let is_malformed = |error: UnpackError| matches!(error, UnpackError::Tar(_));
    assert!(is_malformed(refused(&[("size", "3"), ("map", "0,5")], "12345")));
    assert!(is_malformed(refused(&[("size", "9"), ("map", "4,2,0,3")], "12345")));
    assert!(is_malformed(refused(&[("size", "9"), ("map", "0,4")], "12345")));
    assert!(is_malformed(refused(&[("map", "0,5")], "12345")));
    let new = [("major", "1"), ("minor", "0"), ("realsize", "9")];
    assert!(is_malformed(refused(&new, "1\n0\n5\n")));
    assert!(is_malformed(refused(&new, &format!("{:\0<512}12345", "1\n0\n4\n"))));
    // A petabyte of hole in a few bytes.
    let huge = refused(&[("size", "1125899906842624"), ("map", "0,5")], "12345");
    assert!(matches!(huge, UnpackError::Limit { .. }), "{huge}");
    // Its name is a path like any other.
    let escape = refused(&[("size", "5"), ("map", "0,5"), ("name", "../secret")], "12345");
    assert!(matches!(escape, UnpackError::Path(_)), "{escape}");
}

#[test]
fn malformed_tars_are_refused() {
    if !is_root() {
        return;
    }
    let unpack = |tar: Vec<u8>| Lab::new().unpack_with(&tar, &tar, &limits());
    let good = TarWriter::default().file("a", b"content").end();
    let mut flipped = good.clone();
    flipped[0] ^= 1;
    assert!(matches!(unpack(flipped), Err(UnpackError::Tar(_))));
    assert!(matches!(unpack(good[..300].to_vec()), Err(UnpackError::Tar(_))));
    assert!(matches!(unpack(good[..515].to_vec()), Err(UnpackError::Tar(_))));
    let strange = Header {
        path: b"s",
        kind: b'Z',
        ..Header::default()
    };
    assert!(matches!(
        unpack(TarWriter::default().raw(&strange, b"").end()),
        Err(UnpackError::Tar(_))
    ));
    let owner = TarWriter::default().pax(&[("uid", b"4294967295")]).file("a", b"");
    assert!(matches!(unpack(owner.end()), Err(UnpackError::Tar(_))));
    // A tar without its end marks is whole all the same.
    unpack(TarWriter::default().file("a", b"content").unfinished()).unwrap();
    unpack(Vec::new()).unwrap();
}

#[test]
fn sizes_that_lie_are_refused_without_harm() {
    if !is_root() {
        return;
    }
    let refused = |tar: Vec<u8>| {
        let result = Lab::new().unpack_with(&tar, &tar, &limits());
        assert!(matches!(result, Err(UnpackError::Tar(_))), "{result:?}");
    };
    // Longer than what there is, up to the largest number: in a pax header, and in the entry's own, as binary.
    for size in ["513", "9223372036854775807", "18446744073709551615"] {
        let tar = TarWriter::default()
            .pax(&[("size", size.as_bytes())])
            .file("a", b"content");
        refused(tar.unfinished());
    }
    for size in ["-1", "18446744073709551616", "1e3", "0x10", " 7"] {
        let tar = TarWriter::default()
            .pax(&[("size", size.as_bytes())])
            .file("a", b"content");
        refused(tar.end());
    }
    let binary = |field: [u8; 12]| {
        let mut tar = TarWriter::default().file("a", b"content").unfinished();
        tar[124..136].copy_from_slice(&field);
        tar[148..156].copy_from_slice(b"        ");
        let sum: u32 = tar[..512].iter().map(|byte| u32::from(*byte)).sum();
        tar[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        tar
    };
    refused(binary([0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]));
    refused(binary([0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
    refused(binary([0xff; 12]));
    // A pax header, or a long name, that claims more than there is, or more than it may.
    for kind in [b'x', b'g', b'L', b'K'] {
        for size in [100_000, 0o77_777_777_777] {
            let header = Header {
                path: b"h",
                kind,
                size,
                ..Header::default()
            };
            let tar = TarWriter::default().raw(&header, b"7 a=b\n").unfinished();
            let result = Lab::new().unpack_with(&tar, &tar, &limits());
            assert!(
                matches!(result, Err(UnpackError::Tar(_) | UnpackError::Limit { .. })),
                "{result:?}"
            );
        }
    }
    // What a link or a directory claims is no content: the next header follows at once.
    let lab = Lab::new();
    let tar = ["d/", "l"]
        .iter()
        .zip([b'5', b'2'])
        .fold(TarWriter::default(), |tar, (path, kind)| {
            let header = Header {
                path: path.as_bytes(),
                link: b"x",
                kind,
                size: 4096,
                ..Header::default()
            };
            tar.raw(&header, b"")
        });
    lab.unpack(tar.file("after", b"here")).unwrap();
    assert_eq!(lab.text("after"), "here");
}

#[test]
fn empty_pax_values_and_a_missing_end_are_taken_as_other_tools_take_them() {
    if !is_root() {
        return;
    }
    let lab = Lab::new();
    let tar = TarWriter::default()
        .pax(&[("path", b"other"), ("size", b"99"), ("uid", b"7"), ("mtime", b"9.5")])
        .pax(&[
            ("path", b""),
            ("size", b""),
            ("uid", b""),
            ("mtime", b""),
            ("gid", b""),
            ("linkpath", b""),
        ])
        .file("own", b"content")
        .unfinished();
    // Neither end marks nor the last entry's padding.
    let tar = &tar[..tar.len() - 505];
    lab.unpack_with(tar, tar, &limits()).unwrap();
    assert_eq!(lab.text("own"), "content");
    assert_eq!((lab.meta("own").uid(), lab.meta("own").mtime()), (0, 15));
    // A byte of the content less is too little.
    let cut = &tar[..tar.len() - 1];
    assert!(matches!(
        Lab::new().unpack_with(cut, cut, &limits()),
        Err(UnpackError::Tar(_))
    ));
}

#[test]
fn what_follows_a_compressed_stream_is_refused_and_what_follows_a_tar_is_hashed() {
    if !is_root() {
        return;
    }
    let tar = TarWriter::default().file("a", b"content").end();
    for stream in [gzip(&tar), zstd::encode_all(&*tar, 3).unwrap()] {
        for garbage in [&b"garbage"[..], &[0; 64], &[0x1f, 0x8b]] {
            let stream = [&stream, garbage].concat();
            let result = Lab::new().unpack_with(&stream, &tar, &limits());
            assert!(matches!(result, Err(UnpackError::Decompress(_))), "{result:?}");
        }
    }
    // A second archive behind the end marks is not unpacked, and belongs to the diff id all the same.
    let two = [tar.clone(), TarWriter::default().file("b", b"x").end()].concat();
    let lab = Lab::new();
    lab.unpack_with(&gzip(&two), &two, &limits()).unwrap();
    assert!(!lab.root().join("b").exists());
    assert!(matches!(
        Lab::new().unpack_with(&gzip(&two), &tar, &limits()),
        Err(UnpackError::DiffId { .. })
    ));
}

#[test]
fn the_root_itself_is_only_ever_a_directory() {
    if !is_root() {
        return;
    }
    for path in ["", "/", "./", ".", "//."] {
        for kind in [b'0', b'1', b'2', b'6'] {
            let header = Header {
                path: path.as_bytes(),
                link: b"x",
                kind,
                ..Header::default()
            };
            let lab = Lab::new();
            let result = lab.unpack(TarWriter::default().file("x", b"x").raw(&header, b""));
            // A file whose name ends in a slash is a directory to every reader of tars.
            if kind == b'0' && path.ends_with('/') {
                result.unwrap();
            } else {
                assert!(
                    matches!(result, Err(UnpackError::Path(_))),
                    "{path:?} {kind} {result:?}"
                );
            }
            assert!(lab.meta("").is_dir());
        }
        let lab = Lab::new();
        lab.unpack(TarWriter::default().of_mode(path, b'5', 0o750, 5)).unwrap();
        assert_eq!((lab.meta("").mode() & 0o7777, lab.meta("").uid()), (0o750, 5));
    }
    for whiteout in [".wh.", ".wh..", "a/.wh...", ".wh../x", "a/../.wh.b"] {
        let result = Lab::new().unpack(TarWriter::default().file(whiteout, b""));
        // A directory of such a name is nobody's parent: only as a last name it means something.
        match whiteout {
            ".wh../x" => drop(result.unwrap()),
            _ => assert!(matches!(result, Err(UnpackError::Path(_))), "{whiteout} {result:?}"),
        }
    }
}

#[test]
fn digest_and_diff_id_are_both_verified() {
    if !is_root() {
        return;
    }
    let tar = TarWriter::default().file("a", b"x").end();
    let stream = gzip(&tar);
    let (other, right) = (Digest::sha256(b"other"), Digest::sha256(&tar));
    let run = |digest: Digest, diff_id: Digest| {
        let lab = Lab::new();
        unpack_layer(&*stream, &Expected { digest, diff_id }, &lab.root(), &limits())
    };
    assert!(matches!(
        run(other.clone(), right.clone()),
        Err(UnpackError::Digest { .. })
    ));
    assert!(matches!(
        run(Digest::sha256(&stream), other),
        Err(UnpackError::DiffId { .. })
    ));
    let long = run(
        Digest::of(Algorithm::Sha512, &stream),
        Digest::of(Algorithm::Sha512, &tar),
    )
    .unwrap();
    assert_eq!(long.size, stream.len() as u64);
    run(Digest::sha256(&stream), right).unwrap();
}

#[test]
fn every_compression_is_told_by_its_bytes() {
    if !is_root() {
        return;
    }
    let tar = TarWriter::default().file("a", b"content").end();
    let (one, two) = tar.split_at(512);
    let members = [gzip(one), gzip(two)].concat();
    let frames = [zstd::encode_all(one, 1).unwrap(), zstd::encode_all(two, 1).unwrap()].concat();
    for stream in [
        tar.clone(),
        gzip(&tar),
        zstd::encode_all(&*tar, 3).unwrap(),
        members,
        frames,
    ] {
        let lab = Lab::new();
        lab.unpack_with(&stream, &tar, &limits()).unwrap();
        assert_eq!(lab.text("a"), "content");
    }
    let mut broken = gzip(&tar);
    let middle = broken.len() / 2;
    broken[middle] ^= 0xff;
    assert!(Lab::new().unpack_with(&broken, &tar, &limits()).is_err());
    let cut = &gzip(&tar)[..20];
    assert!(matches!(
        Lab::new().unpack_with(cut, &tar, &limits()),
        Err(UnpackError::Decompress(_) | UnpackError::Tar(_))
    ));
}

#[test]
fn names_as_long_as_a_file_system_takes_are_kept_and_longer_ones_refused() {
    if !is_root() {
        return;
    }
    let lab = Lab::new();
    let deep = format!("{}/end", vec!["d".repeat(40); 90].join("/"));
    let longest = "n".repeat(255);
    let tar = TarWriter::default()
        .pax(&[("path", deep.as_bytes())])
        .file("short", b"deep")
        .pax(&[("path", longest.as_bytes())])
        .file("short", b"long");
    lab.unpack(tar).unwrap();
    assert_eq!(lab.text(&longest), "long");
    assert_eq!(lab.text(&deep), "deep");
    // More than a system call takes: nobody could open it afterwards.
    let longer = vec!["d".repeat(40); 120].join("/");
    let tar = TarWriter::default()
        .pax(&[("path", longer.as_bytes())])
        .file("short", b"x");
    assert!(matches!(Lab::new().unpack(tar), Err(UnpackError::Path(_))));
    let tar = TarWriter::default()
        .pax(&[("path", "n".repeat(256).as_bytes())])
        .file("short", b"x");
    assert!(Lab::new().unpack(tar).is_err());
}

#[test]
fn set_id_bits_and_capabilities_are_kept_inside_and_never_put_on_a_file_outside() {
    if !is_root() {
        return;
    }
    let lab = Lab::new();
    // cap_net_bind_service+ep. Ref: capabilities(7), vfs_cap_data version 2.
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let tar = TarWriter::default()
        .pax(&[("SCHILY.xattr.security.capability", &capability)])
        .of_mode("bin/server", b'0', 0o755, 0)
        .of_mode("bin/both", b'0', 0o6755, 7)
        .of_mode("shared", b'5', 0o3777, 9)
        // A link out of the layer, and entries that would change what it points to.
        .symlink("outside", "../secret")
        .of_mode("outside", b'0', 0o6777, 0);
    lab.unpack(tar).unwrap();
    assert_eq!(
        xattr(&lab.root().join("bin/server"), "security.capability").as_deref(),
        Some(&capability[..])
    );
    let both = lab.meta("bin/both");
    assert_eq!((both.mode() & 0o7777, both.uid()), (0o6755, 7));
    assert_eq!(
        (lab.meta("shared").mode() & 0o7777, lab.meta("shared").uid()),
        (0o3777, 9)
    );
    let outside = lab.meta("outside");
    assert!(outside.is_file() && outside.mode() & 0o7777 == 0o6777);
    let secret = fs::metadata(lab.outer.path().join("secret")).unwrap();
    assert_eq!(secret.mode() & 0o6111, 0, "the file outside has other bits now");
}

#[test]
fn archives_of_gnu_tar_come_out_as_gnu_tar_unpacks_them_in_each_of_its_formats() {
    if !is_root() {
        return;
    }
    let tar = |arguments: &[&str]| {
        let done = Command::new("tar").args(arguments).status().unwrap();
        assert!(done.success(), "tar {arguments:?}");
    };
    let made = tempfile::tempdir().unwrap();
    let source = made.path().join("source");
    let long = source.join("d".repeat(90)).join("e".repeat(90));
    fs::create_dir_all(&long).unwrap();
    fs::write(source.join("a"), "content").unwrap();
    fs::hard_link(source.join("a"), source.join("b")).unwrap();
    std::os::unix::fs::symlink("a", source.join("link")).unwrap();
    fs::set_permissions(source.join("a"), fs::Permissions::from_mode(0o4751)).unwrap();
    // What the oldest format has no room for.
    let rest = source.join("rest");
    fs::create_dir(&rest).unwrap();
    fs::write(rest.join("gr\u{fc}n \u{1f600}"), vec![7; 1_300]).unwrap();
    fs::write(long.join("f".repeat(200)), "deep").unwrap();
    std::os::unix::fs::symlink("t".repeat(180), rest.join("long link")).unwrap();
    fs::write(rest.join("owned"), "").unwrap();
    std::os::unix::fs::chown(rest.join("owned"), Some(3_000_000_000), Some(2_500_000)).unwrap();
    for format in ["v7", "ustar", "oldgnu", "gnu", "posix"] {
        let file = made.path().join(format);
        let (file, from) = (file.to_str().unwrap(), source.to_str().unwrap());
        let what: &[&str] = match format {
            "v7" | "ustar" => &["./a", "./b", "./link"],
            _ => &["."],
        };
        let format = format!("--format={format}");
        tar(&[&["--numeric-owner", &format, "-C", from, "-cf", file], what].concat());
        let bytes = fs::read(file).unwrap();
        let lab = Lab::new();
        lab.unpack_with(&bytes, &bytes, &limits()).unwrap();
        let theirs = tempfile::tempdir().unwrap();
        tar(&["--numeric-owner", "-C", theirs.path().to_str().unwrap(), "-xpf", file]);
        assert_eq!(listing(&lab.root()), listing(theirs.path()), "{format}");
    }
}

/// Everything below a directory: path, type and mode, owner, content or target, time in seconds.
fn listing(dir: &Path) -> Vec<String> {
    let (mut found, mut dirs) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(at) = dirs.pop() {
        for entry in fs::read_dir(&at).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let content = match meta.file_type() {
                kind if kind.is_dir() => Vec::new(),
                kind if kind.is_symlink() => fs::read_link(&path).unwrap().into_os_string().into_encoded_bytes(),
                _ => fs::read(&path).unwrap(),
            };
            let name = path.strip_prefix(dir).unwrap();
            let (mode, links) = (meta.mode(), meta.nlink());
            let owner = (meta.uid(), meta.gid());
            found.push(format!(
                "{name:?} {mode:o} {owner:?} {links} {} {content:?}",
                meta.mtime()
            ));
            if meta.is_dir() {
                dirs.push(path);
            }
        }
    }
    found.sort();
    found
}
