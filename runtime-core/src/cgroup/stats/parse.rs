//! The forms in which the kernel writes numbers. Pure.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Pids, Read};

/// A number on a line of its own. `max` is the highest one; what isn't there, or no number, is zero.
pub(super) fn number(text: Option<String>) -> u64 {
    match text.as_deref().map(str::trim) {
        None => 0,
        Some("max") => u64::MAX,
        Some(text) => text.parse().unwrap_or_default(),
    }
}

/// Lines such as `pgfault 12`. What is no such line is left out.
pub(super) fn keyed(text: &str) -> BTreeMap<String, u64> {
    let pair = |line: &str| {
        let (key, value) = line.split_once(' ')?;
        Some((key.to_owned(), value.trim().parse().ok()?))
    };
    text.lines().filter_map(pair).collect()
}

/// The number after `key`, or zero.
pub(super) fn of(table: &BTreeMap<String, u64>, key: &str) -> u64 {
    table.get(key).copied().unwrap_or_default()
}

/// A list such as `0-2,5`.
pub(super) fn list(text: &str) -> Vec<u16> {
    let range = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some(first.trim().parse::<u16>().ok()?..=last.trim().parse::<u16>().ok()?)
    };
    text.split(',').filter_map(range).flatten().collect()
}

/// Numbers between blanks.
pub(super) fn numbers(text: &str) -> Vec<u64> {
    text.split_whitespace().filter_map(|number| number.parse().ok()).collect()
}

/// Of both versions.
pub(super) fn pids(read: Read<'_>) -> Pids {
    let limit = read("pids.max").filter(|text| text.trim() != "max");
    Pids { current: number(read("pids.current")), limit: number(limit) }
}

/// A device's numbers, from `8:16`.
pub(super) fn device(text: &str) -> Option<(u64, u64)> {
    let (major, minor) = text.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// `2MB`, from `hugepages-2048kB`.
pub(super) fn page_size(name: &str) -> Option<String> {
    let kilobytes: u64 = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
    Some(match kilobytes {
        size if size >= 1 << 20 => format!("{}GB", size >> 20),
        size if size >= 1 << 10 => format!("{}MB", size >> 10),
        size => format!("{size}KB"),
    })
}

/// How long processes were kept waiting for something.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Pressure {
    /// While at least one of them waited.
    pub some: Stall,
    /// While all of them waited.
    pub full: Stall,
}

/// Shares of time in percent, and time.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Stall {
    /// Of the last ten seconds.
    pub avg10: f64,
    /// Of the last minute.
    pub avg60: f64,
    /// Of the last five minutes.
    pub avg300: f64,
    /// Since the beginning, in microseconds.
    pub total: u64,
}

/// Pressure, from lines such as `some avg10=0.00 avg60=0.00 avg300=0.00 total=0`.
pub(super) fn pressure(text: Option<String>) -> Option<Pressure> {
    let text = text?;
    let stall = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map(stall).unwrap_or_default()
    };
    let known = text.lines().any(|line| line.starts_with("some ") || line.starts_with("full "));
    known.then(|| Pressure { some: stall("some"), full: stall("full") })
}

fn stall(line: &str) -> Stall {
    let value = |key: &str| {
        line.split_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('=')).unwrap_or_default()
    };
    let share = |key| value(key).parse::<f64>().ok().filter(|share| share.is_finite()).unwrap_or_default();
    Stall {
        avg10: share("avg10"),
        avg60: share("avg60"),
        avg300: share("avg300"),
        total: value("total").parse().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_form() {
        let one = |text: &str| number(Some(text.into()));
        assert_eq!((one("12\n"), one("max\n"), one("-1\n"), one(""), number(None)), (12, u64::MAX, 0, 0, 0));
        assert_eq!(list("0-2,5,7-7\n"), [0, 1, 2, 5, 7]);
        assert_eq!((list("\n"), list("x,2-1,3")), (vec![], vec![3]));
        assert_eq!(numbers(" 1 2\n3 x"), [1, 2, 3]);
        assert_eq!((device("8:16"), device("8"), device("a:b")), (Some((8, 16)), None, None));
    }

    #[test]
    fn tables_are_read_line_by_line() {
        let table = keyed("anon 4096\nfile 0\nbroken\nodd one two\n");
        assert_eq!((table.len(), of(&table, "anon"), of(&table, "none")), (2, 4096, 0));
    }

    #[test]
    fn page_sizes_are_named_as_cgroups_do() {
        for (name, size) in
            [("hugepages-64kB", "64KB"), ("hugepages-2048kB", "2MB"), ("hugepages-1048576kB", "1GB")]
        {
            assert_eq!(page_size(name).as_deref(), Some(size));
        }
        assert_eq!(page_size("other"), None);
    }

    #[test]
    fn pressure_has_two_lines_and_older_kernels_one() {
        let both = "some avg10=1.50 avg60=0.25 avg300=0.00 total=123\nfull avg10=0.50 avg60=0.00 avg300=0.00 total=7\n";
        let read = pressure(Some(both.into())).unwrap();
        assert_eq!((read.some.avg10, read.some.avg60, read.some.total), (1.5, 0.25, 123));
        assert_eq!((read.full.avg10, read.full.total), (0.5, 7));
        let one = pressure(Some("some avg10=2.00 avg60=0.00 avg300=0.00 total=9\n".into())).unwrap();
        assert_eq!((one.some.total, one.full), (9, Stall::default()));
        assert_eq!((pressure(None), pressure(Some(String::new()))), (None, None));
    }
}
