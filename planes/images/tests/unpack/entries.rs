//! What a layer describes comes out: files, directories, links, marks, attributes.

use crate::support::lab::{Lab, limits};
use crate::support::{TarWriter, is_root};
use crate::{is_whiteout, xattr};
use honmaru_images::UnpackError;
use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

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
