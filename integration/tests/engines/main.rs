//! Real engines with our binary as their runtime, and with runc: `make test-engines`.
//!
//! `cargo test --package integration --test engines -- [WORD …]` runs the cases whose engine or name has one of the
//! words; without words it writes `specs/engines.md`. With `RUNTIME` set, only that runtime is driven. `STRESS=full`
//! makes the stress cases long.

#![allow(clippy::print_stdout, reason = "a report is printed")]
#![allow(clippy::disallowed_methods, reason = "a test may sleep and look paths up; it guards nothing")]

mod buildah;
mod containerd;
mod cri;
mod docker;
mod docker_options;
mod person;
mod podman;
mod stress;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Mutex;
use std::{fs, thread};

use integration::engines::case::{judge, quiet_panics};
use integration::engines::report::{Run, Section, markdown, regressions};
use integration::engines::{Case, Subject, Verdict, subject};
use integration::leaks;

/// How a suite is run with a runtime.
type Drive = fn(&Subject, &Wish) -> Run;

/// The suites, in the order of the table.
const SUITES: [(&str, Drive); 8] = [
    ("Docker", docker::drive),
    ("Docker on cgroup2 alone", docker::drive_unified),
    ("containerd", containerd::drive),
    ("containerd's CRI plugin", cri::drive),
    ("Podman", podman::drive),
    ("Podman of an ordinary user", person::drive),
    ("Buildah", buildah::drive),
    ("Stress", stress::drive),
];

/// The last case of every suite.
const NOTHING_IS_LEFT: &str = "nothing is left: processes, cgroups, state";

/// How many engines run at a time.
const SIDE_BY_SIDE: usize = 4;

/// Which cases are wanted.
struct Wish {
    words: Vec<String>,
}

impl Wish {
    /// The wanted ones of a suite, each judged in turn.
    fn judge<E>(&self, engine: &str, cases: &[Case<E>], with: &E) -> Vec<(&'static str, Verdict)> {
        let wanted = cases.iter().filter(|case| self.wants(engine, case.name));
        wanted.map(|case| (case.name, case.judge(with))).collect()
    }

    fn wants(&self, engine: &str, case: &str) -> bool {
        let name = format!("{engine} {case}").to_lowercase();
        self.words.is_empty() || self.words.iter().any(|word| name.contains(word))
    }
}

fn main() -> ExitCode {
    quiet_panics();
    let words = std::env::args().skip(1).filter(|word| !word.starts_with('-'));
    let wish = Wish { words: words.map(|word| word.to_lowercase()).collect() };
    let alone = std::env::var_os("RUNTIME").is_some();
    let subjects = if alone { vec![Subject::ours()] } else { vec![Subject::runc(), Subject::ours()] };
    let mut sections = all(&subjects, &wish);
    sections.iter_mut().for_each(once_more);
    if wish.words.is_empty() && !alone {
        let versions: Vec<_> = subjects.iter().map(|one| (one.name, subject::version(&one.path))).collect();
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../specs/engines.md");
        fs::write(page, markdown(&sections, &versions)).expect("specs/engines.md can be written");
    }
    if wish.wants("Benchmark", "docker run") {
        if let Verdict::Failed(why) = judge(|| stress::measure(&Subject::ours())) {
            println!("Benchmark: {why}");
        }
    }
    let worse = regressions(&sections, "runc", "ours");
    worse.iter().for_each(|case| println!("fails with ours, and not with runc: {case}"));
    if worse.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Runs every suite with every runtime, a few side by side.
fn all(subjects: &[Subject], wish: &Wish) -> Vec<Section> {
    let jobs = SUITES.iter().flat_map(|suite| subjects.iter().map(move |subject| (suite, subject)));
    let jobs = Mutex::new(jobs);
    let runs = Mutex::new(BTreeMap::<&str, BTreeMap<&'static str, Run>>::new());
    thread::scope(|scope| {
        for _ in 0..SIDE_BY_SIDE {
            scope.spawn(|| {
                loop {
                    let job = jobs.lock().expect("no thread panics here").next();
                    let Some(((engine, drive), subject)) = job else { break };
                    let run = drive_one(engine, *drive, subject, wish);
                    let mut runs = runs.lock().expect("no thread panics here");
                    runs.entry(engine).or_default().insert(subject.name, run);
                }
            });
        }
    });
    leaks::reap_strangers();
    let mut runs = runs.into_inner().expect("no thread panics here");
    let section = |(engine, _): &(&'static str, Drive)| Section {
        engine,
        runs: runs.remove(engine).unwrap_or_default(),
    };
    SUITES.iter().map(section).collect()
}

/// Engines have deadlines of their own, and several of them at once can be too much for a small machine: a case that
/// only ours has failed is tried a second time, with nothing beside it. What is left behind is not a matter of time.
fn once_more(section: &mut Section) {
    let failed = regressions(std::slice::from_ref(section), "runc", "ours");
    let failed: Vec<_> = failed.into_iter().filter(|case| !case.contains(NOTHING_IS_LEFT)).collect();
    let suite = SUITES.iter().find(|(engine, _)| *engine == section.engine);
    let (Some((engine, drive)), false) = (suite, failed.is_empty()) else { return };
    println!("once more, alone: {}", failed.join(", "));
    // An engine that did not even start has no cases: then all are tried.
    let words =
        failed.iter().map(|case| case.replacen(": ", " ", 1).replace(" starts", "").to_lowercase()).collect();
    let mut again = drive_one(engine, *drive, &Subject::ours(), &Wish { words });
    again.verdicts.retain(|(case, verdict)| *case != NOTHING_IS_LEFT || *verdict != Verdict::Passed);
    if let Some(run) = section.runs.get_mut("ours") {
        run.replace(again);
    }
}

fn drive_one(engine: &str, drive: Drive, subject: &Subject, wish: &Wish) -> Run {
    let mut run = Run::default();
    let start = std::time::Instant::now();
    if let Verdict::Failed(why) = judge(|| run = drive(subject, wish)) {
        run.verdicts.push(("starts", Verdict::Failed(why)));
    }
    for (case, verdict) in &run.verdicts {
        print_verdict(engine, subject.name, case, verdict);
    }
    if !run.verdicts.is_empty() {
        println!("{engine}, {}: {} cases in {:.0?}", subject.name, run.verdicts.len(), start.elapsed());
    }
    run
}

fn print_verdict(engine: &str, runtime: &str, case: &str, verdict: &Verdict) {
    match verdict {
        Verdict::Passed => (),
        Verdict::NotHere(why) => println!("{engine}, {runtime}: {case} ... not possible here: {why}"),
        Verdict::Failed(why) => println!("{engine}, {runtime}: {case} ... FAILED\n{why}\n"),
    }
}

/// The last case of a suite: nothing may be left.
fn nothing_is_left(left: Vec<String>) -> (&'static str, Verdict) {
    (NOTHING_IS_LEFT, judge(|| assert!(left.is_empty(), "{left:#?}")))
}
