//! What goes to standard output.

use std::io::{self, Write};

use serde::Serialize;

use crate::failure::Failure;
use runtime_core::error::Context;

/// Prints `text`. A reader that went away has read enough: that is no failure.
///
/// # Errors
/// Standard output is full, or can't be written to.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    offer(text).map(drop)
}

/// Prints `value` as one line of JSON; answers whether the reader is still there.
///
/// # Errors
/// As [`print()`].
pub(crate) fn offer_line(value: &impl Serialize) -> Result<bool, Failure> {
    offer(&(serde_json::to_string(value).map_err(unprintable)? + "\n"))
}

fn offer(text: &str) -> Result<bool, Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(false),
        written => Ok(written.map(|()| true).doing(|| "cannot write to standard output".into())?),
    }
}

/// Prints `value` as JSON, indented by two spaces.
///
/// # Errors
/// As [`print()`].
pub(crate) fn print_pretty(value: &impl Serialize) -> Result<(), Failure> {
    print(&(serde_json::to_string_pretty(value).map_err(unprintable)? + "\n"))
}

/// Prints `value` as one line of JSON.
///
/// # Errors
/// As [`print()`].
pub(crate) fn print_line(value: &impl Serialize) -> Result<(), Failure> {
    offer_line(value).map(drop)
}

// A path that isn't UTF-8.
fn unprintable(error: serde_json::Error) -> Failure {
    Failure::Refused(format!("cannot express this as JSON: {error}"))
}

/// Rows in columns that are as wide as their widest cell and three blanks, and at least 12; the last one is not filled
/// up.
pub(crate) fn columns<const N: usize>(rows: &[[String; N]]) -> String {
    let width = |column: &String| column.chars().count() + 3;
    let mut widths = [12; N];
    for row in rows {
        widths.iter_mut().zip(row).for_each(|(widest, cell)| *widest = (*widest).max(width(cell)));
    }
    if let Some(last) = widths.last_mut() {
        *last = 0;
    }
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.chain(["\n".into()]).collect::<String>()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_the_last_is_not_filled() {
        let row = |cells: [&str; 3]| cells.map(String::from);
        let rows = [row(["ID", "BUNDLE", "OWNER"]), row(["a", "/a/long/bundle", "root"])];
        assert_eq!(columns(&rows), "ID          BUNDLE           OWNER\na           /a/long/bundle   root\n");
    }
}
