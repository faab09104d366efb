//! Sizes and times as people write them.

use std::time::Duration;

/// A number of bytes: `65536`, `64k`, `64KiB`, `16MiB`, `1GB`. A bare letter and `iB` count by 1,024, `B` by 1,000.
pub(crate) fn size(text: &str) -> Result<usize, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let (thousand, unit) = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => (1, 0),
        "k" | "kib" => (1024, 1),
        "m" | "mib" => (1024, 2),
        "g" | "gib" => (1024, 3),
        "kb" => (1000, 1),
        "mb" => (1000, 2),
        "gb" => (1000, 3),
        other => return Err(format!("'{other}' is no unit of size; use k, MiB, GB and the like")),
    };
    let number: usize = digits
        .trim()
        .parse()
        .map_err(|_| format!("'{text}' is no size; write a number, such as 65536 or 16MiB"))?;
    number
        .checked_mul(usize::pow(thousand, unit))
        .ok_or_else(|| format!("{text} is more than this machine counts"))
}

/// A time: `20`, `20s`, `1.5s`, `500ms`, `2m`. Without a unit it counts seconds.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let seconds = match &text[digits.len()..] {
        "" | "s" => 1.0,
        "ms" => 0.001,
        "m" | "min" => 60.0,
        "h" => 3600.0,
        other => return Err(format!("'{other}' is no unit of time; use ms, s, m or h")),
    };
    let number: f64 =
        digits.parse().map_err(|_| format!("'{text}' is no time; write a number, such as 20s or 500ms"))?;
    Duration::try_from_secs_f64(number * seconds)
        .map_err(|_| format!("'{text}' is no time that can be waited"))
}

/// An interval that can be switched off: a time, or `off`.
pub(crate) fn interval(text: &str) -> Result<Interval, String> {
    match text {
        "off" | "none" | "0" => Ok(Interval(None)),
        text => duration(text).map(|duration| Interval((!duration.is_zero()).then_some(duration))),
    }
}

/// `None`: never.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Interval(pub(crate) Option<Duration>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_as_people_write_them() {
        let good =
            [("0", 0), ("65536", 65_536), ("64k", 65_536), ("16MiB", 16 << 20), ("1GB", 1_000_000_000)];
        for (text, bytes) in good {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for text in ["", "k", "-1", "1.5MiB", "3 parsecs", "99999999999999999999", "18446744073709551615k"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_as_people_write_them() {
        let good = [("20", 20_000), ("20s", 20_000), ("1.5s", 1_500), ("500ms", 500), ("2m", 120_000)];
        for (text, millis) in good {
            assert_eq!(duration(text), Ok(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "-1", "1y", "nan", "inf", "1e300"] {
            assert!(duration(text).is_err(), "{text}");
        }
        assert_eq!(interval("off"), Ok(Interval(None)));
    }
}
