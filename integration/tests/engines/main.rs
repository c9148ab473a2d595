//! Real engines with our binary as their runtime, and with runc: `make test-engines`.
//!
//! `cargo test --package integration --test engines -- [WORD …]` runs the cases whose engine or name has one of the
//! words; without words it writes `specs/engines.md`. With `RUNTIME` set, only that runtime is driven. `STRESS=full`
//! makes the stress cases long.

#![allow(clippy::print_stdout, reason = "a report is printed")]
#![allow(clippy::disallowed_methods, reason = "a test may sleep and look paths up; it guards nothing")]

mod beside_systemd;
mod buildah;
mod containerd;
mod cri;
mod docker;
mod docker_options;
mod person;
mod podman;
mod rootless_docker;
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

/// Those in which systemd makes the cgroups: where it runs.
const BESIDE_SYSTEMD: [(&str, Drive); 7] = [
    ("Docker beside systemd", beside_systemd::drive_docker),
    ("containerd beside systemd", beside_systemd::drive_containerd),
    ("containerd's CRI plugin beside systemd", beside_systemd::drive_cri),
    ("Podman beside systemd", beside_systemd::drive_podman),
    ("Podman of an ordinary user beside systemd", person::drive_beside_systemd),
    ("Docker of an ordinary user beside systemd", rootless_docker::drive),
    ("Buildah beside systemd", beside_systemd::drive_buildah),
];

/// The only case of a suite whose engine didn't get that far.
const STARTS: &str = "starts";

/// The last case of every suite.
const NOTHING_IS_LEFT: &str = "nothing is left: processes, cgroups, state";

/// How many engines run at a time.
const SIDE_BY_SIDE: usize = 4;

/// Which cases are wanted, and with which runtime they are tried.
struct Wish {
    words: Vec<String>,
    runtime: &'static str,
}

impl Wish {
    /// The wanted ones of a suite, each judged in turn, and told at once: an engine may hang on the way out.
    fn judge<E>(&self, engine: &str, cases: &[Case<E>], with: &E) -> Vec<(&'static str, Verdict)> {
        let wanted = cases.iter().filter(|case| self.wants(engine, case.name));
        let judged = wanted.map(|case| (case.name, case.judge(with)));
        judged.inspect(|(case, verdict)| print_verdict(engine, self.runtime, case, verdict)).collect()
    }

    /// Whether a suite has a wanted one.
    fn wants_any<E>(&self, engine: &str, cases: &[Case<E>]) -> bool {
        cases.iter().any(|case| self.wants(engine, case.name))
    }

    fn wants(&self, engine: &str, case: &str) -> bool {
        let name = format!("{engine} {case}").to_lowercase();
        self.words.is_empty() || self.words.iter().any(|word| name.contains(word))
    }
}

fn main() -> ExitCode {
    quiet_panics();
    let words = words();
    let wish = Wish { words, runtime: "ours" };
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

/// The words of the command line; the options of other programs of tests mean nothing here.
fn words() -> Vec<String> {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    while let Some(place) = words.iter().position(|word| word == "--skip") {
        words.drain(place..words.len().min(place + 2));
    }
    words.retain(|word| !word.starts_with('-'));
    words.iter().map(|word| word.to_lowercase()).collect()
}

/// All suites that can run here.
fn suites() -> Vec<(&'static str, Drive)> {
    let beside_systemd = BESIDE_SYSTEMD.into_iter().filter(|_| beside_systemd::is_possible());
    SUITES.into_iter().chain(beside_systemd).collect()
}

/// Runs every suite with every runtime, a few side by side.
fn all(subjects: &[Subject], wish: &Wish) -> Vec<Section> {
    let suites = suites();
    let jobs = suites.iter().flat_map(|suite| subjects.iter().map(move |subject| (suite, subject)));
    let jobs = Mutex::new(jobs);
    let runs = Mutex::new(BTreeMap::<&str, BTreeMap<&'static str, Run>>::new());
    thread::scope(|scope| {
        for _ in 0..side_by_side() {
            scope.spawn(|| {
                loop {
                    let job = jobs.lock().expect("no thread panics here").next();
                    let Some(((engine, drive), subject)) = job else { break };
                    let run = drive_one(engine, *drive, subject, &wish.words);
                    let mut runs = runs.lock().expect("no thread panics here");
                    runs.entry(engine).or_default().insert(subject.name, run);
                }
            });
        }
    });
    leaks::reap_strangers();
    let mut runs = runs.into_inner().expect("no thread panics here");
    let section = |(engine, _): (&'static str, Drive)| Section {
        engine,
        runs: runs.remove(engine).unwrap_or_default(),
    };
    suites.into_iter().map(section).collect()
}

/// Engines have deadlines of their own, and several of them at once can be too much for a small machine: a case that
/// only ours has failed is tried a second time, with nothing beside it. What is left behind is not a matter of time.
fn once_more(section: &mut Section) {
    let failed = regressions(std::slice::from_ref(section), "runc", "ours");
    let failed: Vec<_> = failed.into_iter().filter(|case| !case.contains(NOTHING_IS_LEFT)).collect();
    let suites = suites();
    let suite = suites.iter().find(|(engine, _)| *engine == section.engine);
    let (Some((engine, drive)), false) = (suite, failed.is_empty()) else { return };
    println!("once more, alone: {}", failed.join(", "));
    // An engine that did not even start has no cases: then all are tried.
    let words: Vec<_> =
        failed.iter().map(|case| case.replacen(": ", " ", 1).replace(" starts", "").to_lowercase()).collect();
    let mut again = drive_one(engine, *drive, &Subject::ours(), &words);
    again.verdicts.retain(|(case, verdict)| *case != NOTHING_IS_LEFT || *verdict != Verdict::Passed);
    if let Some(run) = section.runs.get_mut("ours") {
        run.replace(again);
    }
}

fn drive_one(engine: &str, drive: Drive, subject: &Subject, words: &[String]) -> Run {
    let wish = &Wish { words: words.to_vec(), runtime: subject.name };
    let mut run = Run::default();
    let start = std::time::Instant::now();
    if let Verdict::Failed(why) = judge(|| run = drive(subject, wish)) {
        run.verdicts.push((STARTS, Verdict::Failed(why)));
    }
    for (case, verdict) in run.verdicts.iter().filter(|(case, _)| [STARTS, NOTHING_IS_LEFT].contains(case)) {
        print_verdict(engine, subject.name, case, verdict);
    }
    if !run.verdicts.is_empty() {
        println!("{engine}, {}: {} cases in {:.0?}", subject.name, run.verdicts.len(), start.elapsed());
    }
    run
}

fn print_verdict(engine: &str, runtime: &str, case: &str, verdict: &Verdict) {
    let name = format!("{engine}, {runtime}: {case}");
    match verdict {
        // In the words of other programs of tests, by which those of guests are counted.
        Verdict::Passed => println!("test {name} ... ok"),
        Verdict::NotHere(why) => println!("test {name} ... not possible here: {why}"),
        Verdict::Failed(why) => println!("test {name} ... FAILED\n\n---- {name} stdout ----\n{why}\n"),
    }
}

/// There is one systemd for all of them, and it is told to forget what others have left.
fn side_by_side() -> usize {
    if beside_systemd::is_possible() { 1 } else { SIDE_BY_SIDE }
}

/// The last case of a suite: nothing may be left.
fn nothing_is_left(left: Vec<String>) -> (&'static str, Verdict) {
    (NOTHING_IS_LEFT, judge(|| assert!(left.is_empty(), "{left:#?}")))
}
