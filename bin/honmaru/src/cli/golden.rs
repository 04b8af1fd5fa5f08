//! Golden files: what people read, kept as it is meant. `HONMARU_GOLDEN=write` writes them anew, for review.

use std::path::PathBuf;

/// Compares a text with `golden/<name>`.
pub fn check(name: &str, text: &str) {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("src/cli/golden")
        .join(name);
    if std::env::var_os("HONMARU_GOLDEN").is_some_and(|value| value == "write") {
        std::fs::write(&path, text).expect("the golden file can be written");
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        text,
        expected,
        "{} differs; HONMARU_GOLDEN=write accepts the change",
        path.display()
    );
}
