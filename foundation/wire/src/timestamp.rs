//! Timestamps as text: ISO 8601, HTTP dates (RFC 7231) and epoch seconds. In trees they are epoch seconds as numbers.

use crate::model::TimestampFormat;
use serde_json::{Number, Value};
use std::fmt::Write;

const DAY_S: i64 = 86_400;
const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];
const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
/// The years 0000 to 9999, all that the two date formats can say.
const EPOCH_S_MIN: i64 = -62_167_219_200;
const EPOCH_S_MAX: i64 = 253_402_300_799;

/// Reads any of the three formats, whichever the model names: AWS's own front ends are as lenient.
/// Nothing for what is no time, or beyond the years 0000 to 9999.
pub(crate) fn parse(text: &str) -> Option<Value> {
    let text = text.trim();
    let (seconds, fraction) = iso8601(text).or_else(|| http_date(text)).or_else(|| epoch(text))?;
    within(seconds)?;
    value(seconds, fraction)
}

/// Reads a timestamp in one format only. ISO 8601 is then Smithy's `date-time`: RFC 3339 in UTC, with its `T` and `Z`.
pub(crate) fn parse_as(text: &str, format: TimestampFormat) -> Option<Value> {
    let (seconds, fraction) = match format {
        TimestampFormat::Iso8601 if text.as_bytes().get(10) == Some(&b'T') && text.ends_with('Z') => iso8601(text),
        TimestampFormat::Iso8601 => None,
        TimestampFormat::HttpDate => http_date(text),
        TimestampFormat::EpochSeconds => epoch(text),
    }?;
    within(seconds)?;
    value(seconds, fraction)
}

/// A number of seconds as it came in JSON or CBOR, when it is a time.
pub(crate) fn from_number(number: Number) -> Option<Value> {
    let seconds = number.as_f64()?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a float beyond i64 saturates, and is rejected"
    )]
    within(seconds as i64)?;
    Some(Value::Number(number))
}

fn within(seconds: i64) -> Option<()> {
    (EPOCH_S_MIN..=EPOCH_S_MAX).contains(&seconds).then_some(())
}

fn value(seconds: i64, fraction: f64) -> Option<Value> {
    if fraction == 0.0 {
        Some(seconds.into())
    } else {
        Number::from_f64(seconds as f64 + fraction).map(Value::Number)
    }
}

/// Writes epoch seconds; milliseconds are kept where there are any.
pub(crate) fn format(number: &Number, format: TimestampFormat) -> String {
    if format == TimestampFormat::EpochSeconds {
        return number.to_string();
    }
    #[expect(clippy::cast_possible_truncation, reason = "clamped to the years 0000 to 9999")]
    let ms = match number.as_i64() {
        Some(seconds) => seconds.clamp(EPOCH_S_MIN, EPOCH_S_MAX) * 1_000,
        None => {
            let seconds = number.as_f64().unwrap_or_default();
            (seconds.clamp(EPOCH_S_MIN as f64, EPOCH_S_MAX as f64) * 1_000.0).round() as i64
        }
    };
    let (seconds, ms) = (ms.div_euclid(1_000), ms.rem_euclid(1_000));
    let (days, second) = (seconds.div_euclid(DAY_S), seconds.rem_euclid(DAY_S));
    let (year, month, day) = civil(days);
    let (h, m, s) = (second / 3_600, second / 60 % 60, second % 60);
    let mut out = String::with_capacity(30);
    let fraction = |out: &mut String| {
        if ms != 0 {
            let _ = write!(out, ".{ms:03}");
        }
    };
    if format == TimestampFormat::Iso8601 {
        let _ = write!(out, "{year:04}-{month:02}-{day:02}T{h:02}:{m:02}:{s:02}");
        fraction(&mut out);
        out.push('Z');
    } else {
        let name = |names: &[&'static str], at: i64| usize::try_from(at).ok().and_then(|at| names.get(at).copied());
        let weekday = name(&WEEKDAYS, days.rem_euclid(7)).unwrap_or_default();
        let month = name(&MONTHS, month - 1).unwrap_or_default();
        let _ = write!(out, "{weekday}, {day:02} {month} {year:04} {h:02}:{m:02}:{s:02}");
        fraction(&mut out);
        out.push_str(" GMT");
    }
    out
}

/// Epoch seconds as CloudTrail's records write times within requests and answers, for example
/// `Nov 22, 2026, 4:05:09 PM`.
pub(crate) fn in_words(number: &Number) -> Option<String> {
    let seconds = number.as_i64().or_else(|| {
        #[expect(
            clippy::cast_possible_truncation,
            reason = "a float beyond i64 saturates, and is rejected"
        )]
        number.as_f64().map(|seconds| seconds.floor() as i64)
    })?;
    within(seconds)?;
    let (year, month, day) = civil(seconds.div_euclid(DAY_S));
    let second = seconds.rem_euclid(DAY_S);
    let (h, m, s) = (second / 3_600, second / 60 % 60, second % 60);
    let month = usize::try_from(month - 1).ok().and_then(|at| MONTHS.get(at))?;
    let (hour, half) = (if h % 12 == 0 { 12 } else { h % 12 }, if h < 12 { "AM" } else { "PM" });
    Some(format!("{month} {day}, {year}, {hour}:{m:02}:{s:02} {half}"))
}

/// Days since the epoch of a date. Ref: H. Hinnant, "chrono-compatible low-level date algorithms".
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// The date of a day since the epoch; the inverse of [`days`].
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    (
        year_of_era + era * 400 + i64::from(month <= 2),
        month,
        day_of_year - (153 * shifted_month + 2) / 5 + 1,
    )
}

/// The rest of a text that is read from its front.
struct Reader<'t>(&'t str);

impl Reader<'_> {
    fn digits(&mut self, count: usize) -> Option<i64> {
        let (head, tail) = self.0.split_at_checked(count)?;
        let number = head.bytes().all(|b| b.is_ascii_digit()).then(|| head.parse().ok())??;
        self.0 = tail;
        Some(number)
    }

    fn skip(&mut self, any: &[char]) -> Option<char> {
        let first = self.0.chars().next().filter(|c| any.contains(c))?;
        self.0 = self.0.get(first.len_utf8()..)?;
        Some(first)
    }

    /// `.123`, or nothing.
    fn fraction(&mut self) -> Option<f64> {
        if !self.0.starts_with('.') {
            return Some(0.0);
        }
        let end = self
            .0
            .char_indices()
            .skip(1)
            .find(|(_, c)| !c.is_ascii_digit())
            .map_or(self.0.len(), |(at, _)| at);
        let (text, rest) = self.0.split_at_checked(end)?;
        self.0 = rest;
        if text.len() < 2 {
            None
        } else {
            format!("0{text}").parse().ok()
        }
    }

    /// `HH:MM:SS` in seconds; 60 is allowed for a leap second.
    fn time(&mut self) -> Option<i64> {
        let h = self.digits(2)?;
        self.skip(&[':'])?;
        let m = self.digits(2)?;
        self.skip(&[':'])?;
        let s = self.digits(2)?;
        (h < 24 && m < 60 && s <= 60).then_some(h * 3_600 + m * 60 + s)
    }
}

fn date(year: i64, month: i64, day: i64) -> Option<i64> {
    let days = days(year, month, day);
    // A day that the month does not have comes back as another.
    (civil(days) == (year, month, day)).then_some(days)
}

/// `2026-11-22T00:49:20.123Z`, also with an offset.
fn iso8601(text: &str) -> Option<(i64, f64)> {
    let mut reader = Reader(text);
    let year = reader.digits(4)?;
    reader.skip(&['-'])?;
    let month = reader.digits(2)?;
    reader.skip(&['-'])?;
    let day = reader.digits(2)?;
    let days = (1..=12).contains(&month).then(|| date(year, month, day))??;
    if reader.0.is_empty() {
        return Some((days * DAY_S, 0.0));
    }
    reader.skip(&['T', 't', ' '])?;
    let time = reader.time()?;
    let fraction = reader.fraction()?;
    let offset = match reader.skip(&['Z', 'z', '+', '-']) {
        Some(sign @ ('+' | '-')) => {
            let hours = reader.digits(2)?;
            let _ = reader.skip(&[':']);
            let offset = hours * 3_600 + reader.digits(2)? * 60;
            if sign == '-' { -offset } else { offset }
        }
        Some(_) => 0,
        // Without a zone, AWS reads UTC.
        None => 0,
    };
    reader.0.is_empty().then_some((days * DAY_S + time - offset, fraction))
}

/// `Sun, 22 Nov 2026 00:49:20 GMT`, with or without milliseconds.
fn http_date(text: &str) -> Option<(i64, f64)> {
    let (_, rest) = text.split_once(", ")?;
    let mut words = rest.split_ascii_whitespace();
    let (day, month, year) = (words.next()?, words.next()?, words.next()?);
    let mut time = Reader(words.next()?);
    let zone = words.next()?;
    let number = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_digit())
            .then(|| text.parse::<i64>().ok())?
    };
    let month = MONTHS.iter().zip(1..).find(|(name, _)| **name == month)?.1;
    let year = number(year).filter(|_| year.len() == 4)?;
    let days = date(year, month, number(day).filter(|_| day.len() <= 2)?)?;
    let second = time.time()?;
    let fraction = time.fraction()?;
    let done = time.0.is_empty() && matches!(zone, "GMT" | "UTC" | "+0000") && words.next().is_none();
    done.then_some((days * DAY_S + second, fraction))
}

fn epoch(text: &str) -> Option<(i64, f64)> {
    if let Ok(seconds) = text.parse::<i64>() {
        return Some((seconds, 0.0));
    }
    let plain = text
        .bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'+' | b'e' | b'E'));
    let seconds = plain
        .then(|| text.parse::<f64>().ok())?
        .filter(|seconds| seconds.is_finite())?;
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a float beyond i64 saturates, and is rejected"
    )]
    Some((seconds.floor() as i64, seconds - seconds.floor()))
}

#[cfg(test)]
mod tests {
    use super::{format, parse};
    use crate::model::TimestampFormat::{EpochSeconds, HttpDate, Iso8601};
    use proptest::prelude::{any, proptest};
    use serde_json::{Number, json};

    #[test]
    fn the_three_formats_are_read() {
        for text in [
            "2000-01-02T20:34:56Z",
            "2000-01-02T21:34:56+01:00",
            "Sun, 02 Jan 2000 20:34:56 GMT",
            "946845296",
        ] {
            assert_eq!(parse(text), Some(json!(946_845_296)), "{text}");
        }
        assert_eq!(parse("Sun, 02 Jan 2000 20:34:56.456 GMT"), Some(json!(946_845_296.456)));
        assert_eq!(parse("2000-01-02T20:34:56.5Z"), Some(json!(946_845_296.5)));
        assert_eq!(parse("-1.5"), Some(json!(-1.5)));
    }

    #[test]
    fn what_is_no_time_is_rejected() {
        for text in [
            "",
            "x",
            "2000-13-01T00:00:00Z",
            "2001-02-29T00:00:00Z",
            "2000-01-02T24:00:00Z",
            "NaN",
            "1e300",
            "2000-01-02T20:34:56.Z",
            "Sun, 32 Jan 2000 20:34:56 GMT",
            "99999999999999999",
            "2000-01-02T20:34:56Zx",
            "é",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_three_formats_are_written() {
        let at = Number::from(946_845_296);
        assert_eq!(format(&at, Iso8601), "2000-01-02T20:34:56Z");
        assert_eq!(format(&at, HttpDate), "Sun, 02 Jan 2000 20:34:56 GMT");
        assert_eq!(format(&at, EpochSeconds), "946845296");
        assert_eq!(
            format(&Number::from_f64(0.25).unwrap(), Iso8601),
            "1970-01-01T00:00:00.250Z"
        );
    }

    proptest! {
        #[test]
        fn every_second_survives(seconds in super::EPOCH_S_MIN..=super::EPOCH_S_MAX) {
            for style in [Iso8601, HttpDate, EpochSeconds] {
                let text = format(&Number::from(seconds), style);
                assert_eq!(parse(&text), Some(json!(seconds)), "{text}");
            }
        }

        #[test]
        fn no_text_panics(text in any::<String>(), near in "[0-9TZ:., GMTJan+-]{0,32}") {
            let _ = (parse(&text), parse(&near));
        }
    }
}
