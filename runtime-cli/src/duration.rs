//! Durations as Go writes them.

use std::time::Duration;

const NANOSECOND: f64 = 1.0;
const UNITS: [(&str, f64); 8] = [
    ("ns", NANOSECOND),
    ("us", 1e3),
    ("µs", 1e3),
    ("μs", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("h", 3600e9),
];

/// RUNC-COMPAT: `1h15m30.5s`, `300ms`: numbers with units, one after the other. Only what is longer than nothing is of
/// use here.
pub(crate) fn parse(text: &str) -> Result<Duration, &'static str> {
    const WANTED: &str = "a duration such as 5s, 300ms or 1m30s is wanted";
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut nanoseconds = 0.0;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or(WANTED)?;
        let (number, after) = rest.split_at(end);
        let next = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(next);
        let (_, size) = UNITS.iter().find(|(name, _)| *name == unit).ok_or(WANTED)?;
        nanoseconds += number.parse::<f64>().map_err(|_| WANTED)? * size;
        rest = after;
    }
    if nanoseconds < 1.0 {
        return Err("the duration must be greater than 0");
    }
    Ok(Duration::from_nanos(nanoseconds as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_those_of_go() {
        for (text, milliseconds) in [
            ("5s", 5000),
            ("300ms", 300),
            ("1.5h", 5_400_000),
            ("1h15m30.5s", 4_530_500),
            ("+2m", 120_000),
            (".5s", 500),
            ("2000µs", 2),
            ("1000000ns", 1),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
    }

    #[test]
    fn what_is_no_time_to_wait_is_refused() {
        for text in ["", "0", "0s", "5", "s", "-1s", "1x", "1s 2s", "1.2.3s", "0.0001ns", "5 s", "é"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
