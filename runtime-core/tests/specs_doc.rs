//! What `specs/` says is so: it names every step, and no test that isn't there.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

fn project() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: impl AsRef<Path>) -> String {
    let path = project().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What stands between backquotes in a column of the tables.
fn quoted(markdown: &str, column: usize) -> BTreeSet<String> {
    let cells = markdown.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").nth(column));
    cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).map(String::from).collect()
}

#[test]
fn every_step_is_described_and_nothing_else() {
    let vocabulary = read("runtime-core/src/step.rs");
    let body = vocabulary
        .split("pub enum Step {")
        .nth(1)
        .and_then(|rest| rest.split("\nvocabulary!").next())
        .unwrap();
    let body = body.split("\nwords!").next().unwrap();
    let variant = |line: &str| {
        let (code, rest) = line.trim().split_once(" => ")?;
        code.parse::<u8>().ok()?;
        rest.split(|letter: char| !letter.is_alphanumeric()).next().map(String::from)
    };
    let declared: BTreeSet<String> = body.lines().filter_map(variant).collect();
    assert!(declared.len() > 30, "{declared:?}");
    assert_eq!(declared, quoted(&read("specs/steps.md"), 0));
}

#[test]
fn every_test_that_the_tables_name_exists() {
    // A test's name is a sentence; a field's is a word.
    let mut named = quoted(&read("specs/coverage.md"), 1);
    let checklist = read("specs/cli.md").split("## What is easily missed").nth(1).map(String::from).unwrap();
    named.extend(quoted(&checklist, 1));
    let failures =
        read("specs/lifecycle.md").split("### What has gone wrong elsewhere").nth(1).map(String::from);
    let failures = failures.unwrap();
    assert_eq!(failures.lines().filter(|line| line.contains("| `")).count(), 26, "a failure has no test");
    named.extend(quoted(&failures, 2));
    named.retain(|name| name.contains('_') && name.chars().all(|letter| !letter.is_ascii_uppercase()));
    let mut sources = String::new();
    for part in ["runtime-core", "runtime-cli", "integration"] {
        collect(&project().join(part), &mut sources);
    }
    let missing: Vec<_> = named.iter().filter(|name| !sources.contains(&format!("fn {name}()"))).collect();
    assert!(
        missing.is_empty(),
        "specs/coverage.md, cli.md or lifecycle.md names tests that aren't there: {missing:?}"
    );
    assert!(named.len() > 60, "{named:?}");
}

fn collect(directory: &Path, sources: &mut String) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => collect(&path, sources),
            false if path.extension().is_some_and(|extension| extension == "rs") => {
                sources.push_str(&fs::read_to_string(&path).unwrap());
            }
            false => {}
        }
    }
}
