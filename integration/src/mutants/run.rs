//! Builds mutants, runs their tests, and says which of them nobody has noticed.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

use serde_json::Value;

use super::build::{Copy, mixture, results};
use super::mixtures::{BUILDS, MOST, code};
use super::page::{self, Verdict};
use super::{MUTANTS, Mutant, room, workspace};

/// Fewer are built one by one.
const FEW: usize = 8;

/// How a mutant's test ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Passed,
    Failed,
}

/// Tries all mutants, or those whose defence or loss has one of these words; true if each was noticed.
///
/// # Errors
/// The copy can't be made, or a test that should pass doesn't.
pub fn run(words: &[String]) -> Result<bool, String> {
    assert!(MUTANTS.len() <= MOST, "more mutants than can be told apart");
    room::enter().map_err(|error| format!("cannot make a room for mutants: {error}"))?;
    let is_chosen = |mutant: &Mutant| {
        words.is_empty()
            || words.iter().any(|word| mutant.defence == word || mutant.loss.contains(word.as_str()))
    };
    let chosen: Vec<usize> = (0..MUTANTS.len()).filter(|&place| is_chosen(&MUTANTS[place])).collect();
    let bench = Bench { copy: Copy::new().map_err(|error| error.to_string())?, programs: programs(&chosen)? };
    let mut verdicts = BTreeMap::new();
    if chosen.len() > FEW {
        verdicts = bench.mixed(&chosen);
    }
    let rest: Vec<usize> = chosen.iter().copied().filter(|place| !verdicts.contains_key(place)).collect();
    if !rest.is_empty() {
        verdicts.extend(bench.one_by_one(&rest)?);
    }
    if words.is_empty() {
        page::write(&verdicts).map_err(|error| error.to_string())?;
    }
    Ok(verdicts.values().all(|verdict| *verdict == Verdict::Noticed))
}

struct Bench {
    copy: Copy,
    /// The test programs, by name.
    programs: BTreeMap<String, PathBuf>,
}

impl Bench {
    /// Those that the eight builds tell apart.
    fn mixed(&self, chosen: &[usize]) -> BTreeMap<usize, Verdict> {
        let mut failed: BTreeMap<usize, u8> = BTreeMap::new();
        for build in BUILDS {
            println!("build {build}");
            match self.copy.build(&mixture(build)) {
                Ok((binary, source)) => {
                    for &place in chosen {
                        let is_noticed = self.ends(place, &binary, source) == End::Failed;
                        *failed.entry(place).or_default() |= u8::from(is_noticed) << build;
                    }
                }
                Err(problem) => {
                    println!("build {build} is no program:\n{problem}");
                    return BTreeMap::new();
                }
            }
        }
        let clear = failed.into_iter().filter(|(place, builds)| *builds == code(*place));
        clear.map(|(place, _)| (place, Verdict::Noticed)).collect()
    }

    /// Each in a build of its own; a test counts only if it passes without any.
    fn one_by_one(&self, places: &[usize]) -> Result<BTreeMap<usize, Verdict>, String> {
        let (binary, source) = self.copy.build(&[])?;
        for &place in places {
            if self.ends(place, &binary, source) == End::Failed {
                return Err(format!("{:?} fails without any mutant", MUTANTS[place].test));
            }
        }
        let verdict = |&place: &usize| {
            let mutant = &MUTANTS[place];
            println!("{} {}", mutant.defence, mutant.loss);
            let verdict = match self.copy.build(&[mutant]) {
                Err(problem) => Verdict::NoProgram(problem),
                Ok((binary, source)) => match self.ends(place, &binary, source) {
                    End::Failed => Verdict::Noticed,
                    End::Passed => Verdict::Survived,
                },
            };
            println!("    {verdict}");
            (place, verdict)
        };
        Ok(places.iter().map(verdict).collect())
    }

    /// How the mutant's test ends with a binary; remembered, so that a run that was cut short goes on.
    fn ends(&self, place: usize, binary: &PathBuf, source: u64) -> End {
        let (program, function) = MUTANTS[place].test;
        let memory = results().join("ends").join(format!("{source:016x}-{program}-{function}"));
        match fs::read_to_string(&memory).as_deref() {
            Ok("passed") => return End::Passed,
            Ok("failed") => return End::Failed,
            _ => {}
        }
        let mut test = Command::new(&self.programs[program]);
        test.args(["--exact", function]).env("RUNTIME", binary).current_dir(workspace().join("integration"));
        let output = test.output().expect("a test program that was just built runs");
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(said.contains("running 1 test"), "{program} has no test {function}: {said}");
        let (end, word) =
            if output.status.success() { (End::Passed, "passed") } else { (End::Failed, "failed") };
        println!("  {word}: {program} {function}");
        let kept = fs::create_dir_all(results().join("ends")).and_then(|()| fs::write(&memory, word));
        kept.expect("what a test said can be kept");
        end
    }
}

/// Builds the test programs that are needed.
fn programs(chosen: &[usize]) -> Result<BTreeMap<String, PathBuf>, String> {
    let names: BTreeSet<&str> = chosen.iter().map(|&place| MUTANTS[place].test.0).collect();
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo
        .args(["test", "--package", "integration", "--no-run", "--message-format", "json"])
        .current_dir(workspace());
    for name in &names {
        cargo.args(["--test", name]);
    }
    let output = cargo.output().map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&output.stdout);
    let messages = said.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let found = messages.filter_map(|message| {
        let name = message["target"]["name"].as_str()?.to_owned();
        Some((name, PathBuf::from(message["executable"].as_str()?)))
    });
    let programs: BTreeMap<_, _> = found.collect();
    match names.iter().find(|name| !programs.contains_key(**name)) {
        Some(missing) => Err(format!("{missing} is not built: {}", String::from_utf8_lossy(&output.stderr))),
        None => Ok(programs),
    }
}
