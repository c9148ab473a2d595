//! What tests said in guests, and the table that is made from it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};

use crate::engines::Verdict;

/// One test in one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Case {
    /// The program that it is part of.
    pub suite: String,
    /// Its name.
    pub name: String,
    /// What came of it.
    pub verdict: Verdict,
}

impl Case {
    /// A case of a run of a program; the run's title may say what sets it apart from others: `mounts without openat2`.
    pub fn new(title: &str, name: &str, verdict: Verdict) -> Self {
        let (suite, rest) = title.split_at(title.find(' ').unwrap_or(title.len()));
        Self { suite: suite.into(), name: format!("{name}{rest}"), verdict }
    }
}

/// All tests of one place.
#[derive(Debug, Clone)]
pub struct Column {
    /// The place.
    pub place: String,
    /// Its kernel's version.
    pub kernel: String,
    /// In the order in which they ended.
    pub cases: Vec<Case>,
}

/// Reads what the test programs printed, with `--show-output`, between the lines that the job put around them.
pub fn read(said: &str) -> Vec<Case> {
    let mut cases = Vec::new();
    for part in said.split("=== suite ").skip(1) {
        let (suite, rest) = part.split_once('\n').unwrap_or((part, ""));
        let (output, status) = rest.rsplit_once("=== status ").unwrap_or((rest, "none: the guest ended"));
        let outputs = outputs(output);
        let found: Vec<_> = output.lines().filter_map(|line| case(suite, line, &outputs)).collect();
        let failed = found.iter().any(|case| matches!(case.verdict, Verdict::Failed(_)));
        cases.extend(found);
        if status.trim() != "0" && !failed {
            let why = format!("ended with status {}:\n{}", status.trim(), last_lines(output, 30));
            cases.push(Case::new(suite, "(its program)", Verdict::Failed(why)));
        }
    }
    cases
}

fn case(suite: &str, line: &str, outputs: &BTreeMap<&str, &str>) -> Option<Case> {
    let (name, result) = line.strip_prefix("test ")?.split_once(" ... ")?;
    let output = outputs.get(name).copied().unwrap_or_default();
    let verdict = match (result, not_tested(output)) {
        ("ok", Some(why)) => Verdict::NotHere(why.to_owned()),
        ("ok", None) => Verdict::Passed,
        ("FAILED", _) => Verdict::Failed(output.to_owned()),
        (ignored, _) => Verdict::NotHere(ignored.to_owned()),
    };
    Some(Case::new(suite, name.split(" - ").next()?, verdict))
}

/// What each test printed.
fn outputs(text: &str) -> BTreeMap<&str, &str> {
    let parts = text.split("\n---- ").skip(1);
    parts.filter_map(|part| part.split_once(" stdout ----\n")).collect()
}

/// Why a test that passed has tested nothing: it says so itself.
fn not_tested(output: &str) -> Option<&str> {
    output.lines().find_map(|line| line.strip_suffix(": not tested"))
}

fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines.iter().skip(lines.len().saturating_sub(count)).copied().collect::<Vec<_>>().join("\n")
}

/// What stands before the table.
const HEAD: &str = "# Platforms

Written by `make test-vm`; changes by hand are lost. Each column is a place: the machine of the last run, the same where
system calls are missing (all newer ones, or another one each time, and the caller is told that there is no such call, or
that it may not), and virtual machines. Each row is a program of tests. A cell counts the tests that passed; those that
failed, or had nothing to test there, are named below. Where a cell is empty, the place decides nothing about the tests.
";

/// The table, as Markdown.
pub fn markdown(columns: &[Column]) -> String {
    let mut text = HEAD.to_owned();
    text.push('\n');
    for column in columns {
        let _ = writeln!(text, "* {}: Linux {}", column.place, column.kernel);
    }
    let names: Vec<_> = columns.iter().map(|column| column.place.as_str()).collect();
    let _ = writeln!(text, "\n| tests | {} |\n|---|{}", names.join(" | "), "---:|".repeat(names.len()));
    let suites: BTreeSet<_> =
        columns.iter().flat_map(|column| &column.cases).map(|case| &case.suite).collect();
    for suite in suites {
        let cells: Vec<_> = columns.iter().map(|column| cell(column, suite)).collect();
        let _ = writeln!(text, "| {suite} | {} |", cells.join(" | "));
    }
    let failed = |verdict: &Verdict| matches!(verdict, Verdict::Failed(_)).then(|| "failed".to_owned());
    let skipped = |verdict: &Verdict| match verdict {
        Verdict::NotHere(why) => Some(why.clone()),
        _ => None,
    };
    section(&mut text, "Failed", columns, failed);
    section(&mut text, "Nothing to test", columns, skipped);
    text
}

fn cell(column: &Column, suite: &str) -> String {
    let count = Count::of(column.cases.iter().filter(|case| case.suite == suite));
    let more = |count: usize, word: &str| if count > 0 { format!(", {count} {word}") } else { String::new() };
    match count.passed + count.failed + count.skipped {
        0 => String::new(),
        _ => {
            format!("{}{}{}", count.passed, more(count.failed, "**failed**"), more(count.skipped, "skipped"))
        }
    }
}

/// How many tests ended how.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// They passed.
    pub passed: usize,
    /// They failed.
    pub failed: usize,
    /// They had nothing to test.
    pub skipped: usize,
}

impl Count {
    fn of<'a>(cases: impl Iterator<Item = &'a Case>) -> Self {
        let mut count = Self::default();
        for case in cases {
            match case.verdict {
                Verdict::Passed => count.passed += 1,
                Verdict::Failed(_) => count.failed += 1,
                Verdict::NotHere(_) => count.skipped += 1,
            }
        }
        count
    }
}

impl fmt::Display for Count {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// All tests of all places.
pub fn total(columns: &[Column]) -> Count {
    Count::of(columns.iter().flat_map(|column| &column.cases))
}

/// What failed, with what was said.
pub fn failures(columns: &[Column]) -> String {
    let mut text = String::new();
    for column in columns {
        for case in &column.cases {
            if let Verdict::Failed(why) = &case.verdict {
                let _ = writeln!(text, "---- {}: {}, {}\n{why}", column.place, case.suite, case.name);
            }
        }
    }
    text
}

/// The tests of which something is to be said, each once, with the guests of which it is true.
fn section(text: &mut String, title: &str, columns: &[Column], said: impl Fn(&Verdict) -> Option<String>) {
    let mut all = BTreeMap::<_, Vec<&str>>::new();
    for column in columns {
        for case in &column.cases {
            if let Some(why) = said(&case.verdict) {
                all.entry((&case.suite, &case.name, why)).or_default().push(&column.place);
            }
        }
    }
    if !all.is_empty() {
        let _ = writeln!(text, "\n## {title}\n");
    }
    for ((suite, name, why), places) in all {
        let _ = writeln!(text, "* {suite}, {name} ({}): {why}", places.join(", "));
    }
}

#[cfg(test)]
mod tests {
    use super::{Column, failures, markdown, read, total};
    use crate::engines::Verdict;

    const SAID: &str = "noise\n=== suite limits\n\nrunning 4 tests\ntest a ... ok\ntest b ... ok\ntest c ... FAILED\n\
        test d ... ignored, why\n\nsuccesses:\n\n---- b stdout ----\nno world with io: not tested\n\n\nsuccesses:\n    a\n    b\n\n\
        failures:\n\n---- c stdout ----\nseen\n\n\nfailures:\n    c\n\n=== status 101\n=== suite felt\nrunning 1 test\n=== status 124\n";

    #[test]
    fn every_test_is_counted_once() {
        let cases = read(SAID);
        let passed = cases.iter().filter(|case| case.verdict == Verdict::Passed).count();
        assert_eq!((cases.len(), passed), (5, 1), "{cases:#?}");
        assert_eq!(cases[1].verdict, Verdict::NotHere("no world with io".into()));
        assert!(matches!(&cases[2].verdict, Verdict::Failed(why) if why.starts_with("seen")));
    }

    #[test]
    fn a_program_that_does_not_end_has_failed() {
        let cases = read(SAID);
        assert!(matches!(&cases[4].verdict, Verdict::Failed(why) if why.contains("status 124")));
        let cut = read("=== suite limits\ntest a ... ok\n");
        assert!(matches!(&cut[1].verdict, Verdict::Failed(why) if why.contains("the guest ended")));
    }

    #[test]
    fn the_end_counts_and_tells_why() {
        let columns = [Column { place: "v2 6.12".into(), kernel: String::new(), cases: read(SAID) }];
        assert_eq!(total(&columns).to_string(), "1 passed, 2 failed, 2 skipped");
        assert!(failures(&columns).starts_with("---- v2 6.12: limits, c\nseen\n"), "{}", failures(&columns));
    }

    #[test]
    fn runs_of_one_program_are_told_apart() {
        let cases = read("=== suite exec without openat2\ntest a ... ok\n=== status 0\n");
        assert_eq!((cases[0].suite.as_str(), cases[0].name.as_str()), ("exec", "a without openat2"));
    }

    #[test]
    fn the_table_counts_and_names() {
        let column = Column { place: "v2 6.12".into(), kernel: "6.12.1".into(), cases: read(SAID) };
        let text = markdown(&[column]);
        for line in [
            "| limits | 1, 1 **failed**, 2 skipped |",
            "* limits, c (v2 6.12): failed",
            "* limits, b (v2 6.12): no world with io",
        ] {
            assert!(text.lines().any(|one| one == line), "{line}\n{text}");
        }
    }
}
