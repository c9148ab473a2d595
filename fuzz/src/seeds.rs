//! Where fuzzers begin: sound inputs, small enough to be read.

use std::fs;
use std::path::Path;

use runtime_core::Spec;
use runtime_core::plan;
use runtime_core::wire::{Failure, Report, put_message};

use crate::configurations::request;
use crate::hosts::hosts;

const HERE: &str = env!("CARGO_MANIFEST_DIR");

/// The seeds of a target, the same ones in the same order on every machine.
pub fn seeds(name: &str) -> Vec<Vec<u8>> {
    let mut seeds = files_in(&Path::new(HERE).join("seeds").join(name));
    match name {
        "config" => seeds.extend(configurations()),
        "messages" => seeds.extend(messages()),
        _ => {}
    }
    seeds
}

fn files_in(directory: &Path) -> Vec<Vec<u8>> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths.into_iter().map(|path| fs::read(path).expect("a file")).collect()
}

/// Those that the planner's tests have.
fn configurations() -> Vec<Vec<u8>> {
    let core = Path::new(HERE).join("../runtime-core/tests");
    let mut cases: Vec<_> = fs::read_dir(core.join("plans"))
        .expect("the planner's tests")
        .map(|case| case.expect("an entry").path().join("config.json"))
        .collect();
    cases.sort();
    cases.push(core.join("data/full.json"));
    cases.into_iter().map(|path| fs::read(path).expect("a configuration")).collect()
}

/// What init is sent for the longest of the configurations, and what it answers.
fn messages() -> Vec<Vec<u8>> {
    let mut messages: Vec<Vec<u8>> = configurations().into_iter().filter_map(message).collect();
    messages.sort_by_key(Vec::len);
    messages.drain(..messages.len().saturating_sub(8));
    let failure = Failure { step: 3, errno: 2, call: 1, item: 4 };
    for report in [Report::AtBarrier { step: 1 }, Report::Failed(failure), Report::Born { step: 1, pid: 7 }] {
        messages.push(report.to_bytes().to_vec());
    }
    messages
}

fn message(config: Vec<u8>) -> Option<Vec<u8>> {
    let [host, _] = hosts();
    let plan = plan::create(&Spec::parse(config).ok()?, &host, &request()).ok()?;
    let mut bytes = Vec::new();
    put_message(&[], plan.steps().into_iter(), &mut bytes);
    Some(bytes)
}
