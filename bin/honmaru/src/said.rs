//! Words for people beside the data. A reader that went away and a full disk behind a redirection lose them, and nothing more:
//! `println!` and `eprintln!` would panic, and end `up`, or `deploy` between two steps.

use std::fmt::Arguments;
use std::io::Write;

/// Says a line on standard output.
macro_rules! say {
    ($($words:tt)*) => {
        $crate::said::line(&mut std::io::stdout().lock(), format_args!($($words)*))
    };
}

/// Says a line on standard error.
macro_rules! tell {
    ($($words:tt)*) => {
        $crate::said::line(&mut std::io::stderr().lock(), format_args!($($words)*))
    };
}

/// Writes a line, or as much of it as there is room for.
pub fn line(out: &mut impl Write, words: Arguments<'_>) {
    let _ = writeln!(out, "{words}").and_then(|()| out.flush());
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn a_line_is_written_whole() {
        let mut out = Vec::new();
        line(&mut out, format_args!("{} and {}", 1, 2));
        assert_eq!(out, b"1 and 2\n");
    }
}
