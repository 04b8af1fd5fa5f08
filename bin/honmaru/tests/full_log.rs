//! Goal: a log that cannot be written ends nobody. Method: a role says its words to /dev/full, as on a disk without room.

use std::fs::File;
use std::process::Command;

#[test]
fn a_role_does_not_panic_where_its_log_has_no_room() {
    let state = tempfile::tempdir().expect("a directory");
    let full = File::options().write(true).open("/dev/full").expect("Linux has it");
    // Whoever runs the tests, it is not the user of the role `edge`: it says that it starts, and why it cannot.
    let ended = Command::new(env!("CARGO_BIN_EXE_honmaru"))
        .args(["role", "edge", "--state"])
        .arg(state.path())
        .stderr(full)
        .status()
        .expect("it runs");
    assert_eq!(ended.code(), Some(1));
}

#[test]
fn a_command_says_how_it_went_by_its_status_where_its_words_have_no_room() {
    let state = tempfile::tempdir().expect("a directory");
    let full = || File::options().write(true).open("/dev/full").expect("Linux has it");
    for command in [&["ps", "--state"][..], &["destroy", "--state"]] {
        let ended = Command::new(env!("CARGO_BIN_EXE_honmaru"))
            .args(command)
            .arg(state.path())
            .stdin(std::process::Stdio::null())
            .stdout(full())
            .stderr(full())
            .status()
            .expect("it runs");
        assert_eq!(ended.code(), Some(1), "{command:?}");
    }
}
