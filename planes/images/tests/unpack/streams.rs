//! The stream itself: sparse files, sizes, damage, compression, digests.

use crate::support::lab::{Lab, limits};
use crate::support::{Header, TarWriter, gzip, is_root};
use honmaru_images::{Algorithm, Digest, Expected, UnpackError, unpack_layer};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::process::Command;

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
