//! No path leads outside: dots, links, entries over entries.

use crate::support::lab::Lab;
use crate::support::{Header, TarWriter, is_root};
use crate::{is_whiteout, xattr};
use honmaru_images::UnpackError;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

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
