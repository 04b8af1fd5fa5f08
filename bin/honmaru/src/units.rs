//! Sizes and spans of time as people write and read them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

const UNITS: [(&str, u64); 4] = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30), ("TiB", 1 << 40)];

/// A number of bytes: `500000`, `10MiB`, `1.5GiB`; shown with the unit that fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteSize(pub u64);

impl FromStr for ByteSize {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no size: a number of bytes, or one with KiB, MiB, GiB or TiB, is expected");
        let text = text.trim();
        let Some((number, unit)) = UNITS
            .iter()
            .find_map(|(name, unit)| Some((text.strip_suffix(name)?.trim_end(), *unit)))
        else {
            return text.parse().map(Self).map_err(|_| wrong());
        };
        let (whole, part) = number.split_once('.').unwrap_or((number, ""));
        let digits = |text: &str| text.len() <= 15 && text.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(part) || part.len() > 3 || number.ends_with('.') {
            return Err(wrong());
        }
        let whole: u64 = whole.parse().map_err(|_| wrong())?;
        let thousandths: u64 = format!("{part:0<3}").parse().map_err(|_| wrong())?;
        let bytes = u128::from(whole) * u128::from(unit) + u128::from(thousandths) * u128::from(unit) / 1_000;
        u64::try_from(bytes).map(Self).map_err(|_| wrong())
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = UNITS.iter().rev().find(|(_, unit)| self.0 >= *unit);
        let shown = match unit {
            None => format!("{} B", self.0),
            Some((name, unit)) => {
                let tenths = u128::from(self.0) * 10 / u128::from(*unit);
                format!("{}.{} {name}", tenths / 10, tenths % 10)
            }
        };
        f.pad(&shown)
    }
}

/// A span of time: `0`, `30s`, `15m`, `2h`, `7d`.
pub fn span(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is no span of time: `30s`, `15m`, `2h` or `7d` is expected");
    let (number, unit) = match text.strip_suffix(|c: char| c.is_ascii_alphabetic()) {
        Some(number) => (number, &text[number.len()..]),
        None => (text, "s"),
    };
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 24 * 3_600,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_and_shown() {
        for (text, bytes) in [
            ("0", 0),
            ("1023", 1_023),
            ("10MiB", 10 << 20),
            ("1.5 GiB", 3 << 29),
            ("2TiB", 2 << 40),
        ] {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
        }
        for text in ["", "x", "-1", "1.GiB", ".5GiB", "1GB", "99999999999TiB", "1.2345GiB"] {
            assert!(text.parse::<ByteSize>().is_err(), "{text}");
        }
        for (bytes, shown) in [(0, "0 B"), (1_023, "1023 B"), (1_536, "1.5 KiB"), (5 << 30, "5.0 GiB")] {
            assert_eq!(ByteSize(bytes).to_string(), shown);
        }
        assert_eq!(format!("{:>8}|", ByteSize(7)), "     7 B|");
    }

    #[test]
    fn spans_are_read() {
        for (text, seconds) in [
            ("0", 0),
            ("0s", 0),
            ("90", 90),
            ("15m", 900),
            ("2h", 7_200),
            ("7d", 604_800),
        ] {
            assert_eq!(span(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "h", "1w", "-1s", "1.5h", "1é", "99999999999999999999d"] {
            assert!(span(text).is_err(), "{text}");
        }
    }
}
