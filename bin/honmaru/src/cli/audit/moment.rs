//! A moment as people write it: so long ago, or a time of UTC.

use honmaru_base::Time;

/// A moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// Milliseconds before now.
    Ago(i64),
    /// Milliseconds since the epoch.
    At(i64),
}

impl Moment {
    /// Milliseconds since the epoch.
    pub fn ms(self, now: Time) -> i64 {
        match self {
            Self::Ago(ms) => now.as_ms().saturating_sub(ms),
            Self::At(ms) => ms,
        }
    }
}

/// Reads `10m`, `2026-01-31` or `2026-01-31T12:00:00Z`.
pub fn moment(text: &str) -> Result<Moment, String> {
    let ago = crate::cli::logs::since_ms(text).ok().map(Moment::Ago);
    let moment = ago.or_else(|| date(text).map(Moment::At));
    moment.ok_or_else(|| {
        format!("`{text}` is no time: write for example `10m`, `2h`, `2026-01-31` or `2026-01-31T12:00:00Z`")
    })
}

/// A moment as the APIs write it, in milliseconds since the epoch; parts of seconds are left out.
pub fn at_ms(text: &str) -> Option<i64> {
    match text.split_once('.') {
        Some((whole, _)) => date(&format!("{whole}Z")),
        None => date(text),
    }
}

/// RFC 3339 in UTC, without parts of seconds; the time of day may be left away.
fn date(text: &str) -> Option<i64> {
    let (date, time) = match text.split_once('T') {
        Some((date, time)) => (date, time.strip_suffix('Z')?),
        None => (text, "00:00:00"),
    };
    let numbers = |text: &str, separator: char| -> Option<[i64; 3]> {
        let parts: Vec<&str> = text.split(separator).collect();
        let is_plain = parts
            .iter()
            .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
        let numbers: Vec<i64> = parts.iter().filter_map(|part| part.parse().ok()).collect();
        numbers.try_into().ok().filter(|_| is_plain)
    };
    let ([year, month, day], [hour, minute, second]) = (numbers(date, '-')?, numbers(time, ':')?);
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days_of_month = match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    let is_there = (1_970..=9_999).contains(&year)
        && (1..=days_of_month).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..=60).contains(&second);
    if !is_there {
        return None;
    }
    // Years begin in March here, so that leap days come last.
    let (y, m) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    Some((((days * 24 + hour) * 60 + minute) * 60 + second) * 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read() {
        assert_eq!(moment("10m"), Ok(Moment::Ago(600_000)));
        for (text, s) in [
            ("1970-01-01", 0),
            ("1970-01-01T00:00:01Z", 1),
            ("2000-02-29T23:59:59Z", 951_868_799),
            ("2026-01-31T12:00:00Z", 1_769_860_800),
            ("2026-03-01", 1_772_323_200),
        ] {
            assert_eq!(moment(text), Ok(Moment::At(s * 1_000)), "{text}");
            assert_eq!(at_ms(text), Some(s * 1_000), "{text}");
            if text.len() > 10 {
                assert_eq!(at_ms(&text.replace('Z', ".123Z")), Some(s * 1_000), "{text}");
                assert_eq!(Time::from_ms(s * 1_000).rfc3339(), text);
            }
        }
        for text in [
            "",
            "now",
            "2026-02-29",
            "2026-13-01",
            "2026-01-31T12:00:00",
            "2026-01-31T25:00:00Z",
            "2026-1",
            "+026-01-01",
        ] {
            assert!(moment(text).is_err(), "{text}");
        }
    }
}
