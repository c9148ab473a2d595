//! Every advisory against a low-level runtime, replayed: the attack is made, and nothing may come of it.
//!
//! Which test belongs to which advisory is told in `integration/src/advisories.rs`.

mod capabilities;
mod cgroups;
mod configuration;
mod descriptors;
mod devices;
mod mounts;
mod procfs;
mod regressions;
mod room;
mod terminals;
mod users;

use std::collections::BTreeSet;
use std::fs;

use integration::advisories::{ADVISORIES, Standing};

/// The names of all tests of this program but those in this file.
fn tests() -> BTreeSet<String> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/advisories");
    let files = fs::read_dir(directory).expect("the source is here").flatten().map(|entry| entry.path());
    let sources =
        files.filter(|path| !path.ends_with("main.rs")).map(|path| fs::read_to_string(path).expect("text"));
    sources.flat_map(|source| tests_in(&source)).collect()
}

fn tests_in(source: &str) -> Vec<String> {
    let after = source.split("#[test]\nfn ").skip(1);
    after.filter_map(|rest| rest.split('(').next().map(str::to_owned)).collect()
}

#[test]
fn every_advisory_has_its_tests_and_every_test_its_advisory() {
    let tests = tests();
    let named: BTreeSet<String> =
        ADVISORIES.iter().flat_map(|row| row.tests.iter().map(|&name| name.to_owned())).collect();
    assert_eq!(named, tests);
    for row in ADVISORIES {
        let elsewhere = matches!(row.standing, Standing::Elsewhere(_));
        assert_eq!(row.tests.is_empty(), elsewhere, "{}", row.id);
    }
}

#[test]
fn an_advisory_is_told_once() {
    let ids: BTreeSet<&str> = ADVISORIES.iter().map(|row| row.id).collect();
    assert_eq!(ids.len(), ADVISORIES.len());
}
