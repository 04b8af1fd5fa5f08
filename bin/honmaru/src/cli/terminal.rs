//! What the terminal is like: whether there is one, how wide it is, and whether colours are welcome.

use std::io::IsTerminal;

/// A terminal that does not say how wide it is.
const WIDTH_DEFAULT: usize = 80;

/// Colours, or none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    has_color: bool,
}

impl Style {
    /// Without colours.
    #[cfg(test)]
    pub const fn plain() -> Self {
        Self { has_color: false }
    }

    /// As standard error allows.
    pub fn of_stderr() -> Self {
        Self {
            has_color: std::io::stderr().is_terminal() && allows_color(),
        }
    }

    /// As standard output allows.
    pub fn of_stdout() -> Self {
        Self {
            has_color: std::io::stdout().is_terminal() && allows_color(),
        }
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.has_color {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    /// For what failed.
    pub fn red(self, text: &str) -> String {
        self.paint("31", text)
    }

    /// For what is done.
    pub fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    /// For what needs a look.
    pub fn yellow(self, text: &str) -> String {
        self.paint("33", text)
    }

    /// For what goes on.
    pub fn cyan(self, text: &str) -> String {
        self.paint("36", text)
    }

    /// For what matters less.
    pub fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    /// One of six colours, the same for the same number.
    pub fn numbered(self, number: usize, text: &str) -> String {
        const CODES: [&str; 6] = ["36", "33", "32", "35", "34", "31"];
        self.paint(CODES.get(number % CODES.len()).copied().unwrap_or("0"), text)
    }
}

/// Ref: no-color.org: any value that is not empty.
fn allows_color() -> bool {
    let is_dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) && !is_dumb
}

/// Whether lines that were written to standard error can be redrawn.
pub fn can_redraw() -> bool {
    let is_dumb = std::env::var_os("TERM").is_none_or(|term| term == "dumb");
    std::io::stderr().is_terminal() && !is_dumb && std::env::var_os("CI").is_none()
}

/// Whether a question can be asked and answered.
pub fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Columns and rows of the terminal that a descriptor is, if it is one.
pub fn size_of(fd: impl std::os::fd::AsFd) -> Option<(u16, u16)> {
    rustix::termios::tcgetwinsize(fd)
        .ok()
        .filter(|size| size.ws_col > 0)
        .map(|size| (size.ws_col, size.ws_row))
}

/// The columns of standard error.
pub fn width() -> usize {
    size_of(std::io::stderr()).map_or(WIDTH_DEFAULT, |(columns, _)| usize::from(columns))
}

/// Text without the control characters of somebody else's output, which could move the cursor or change the terminal.
pub fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_only_where_they_are_welcome() {
        assert_eq!(Style::plain().red("x"), "x");
        assert_eq!(Style { has_color: true }.red("x"), "\u{1b}[31mx\u{1b}[0m");
    }

    #[test]
    fn strangers_do_not_steer_the_terminal() {
        assert_eq!(printable("a\x1b[2Jb\tc"), "a\u{fffd}[2Jb\tc");
    }
}
