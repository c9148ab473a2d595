//! Many trials: which ones are chosen, who makes them, and where their results are kept.
//!
//! The results of one command with one shape in one setting are lines of a file, written as they come. What is in the
//! file is not tried again, so a campaign goes on where it was interrupted, unless the runtime is another build.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Error, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use serde_json::{Value, json};

use super::fault::{Fault, KINDS, Point};
use super::follow::{Role, Wish};
use super::keeper::{self, Keeper, Place};
use super::leftovers::Baseline;
use super::operation::Operation;
use super::setting::Setting;
use super::shape::Shape;
use super::trial::{Usual, Verdict};
use crate::bpf;
use crate::bundle::{self, base};
use crate::runtime::{Kind, runtime};

/// One command with one shape in one setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Combination {
    /// Where, and who asks.
    pub setting: Setting,
    /// The command.
    pub operation: Operation,
    /// The configuration.
    pub shape: Shape,
}

/// Which trials are wanted.
#[derive(Debug, Clone)]
pub struct Choice {
    /// The commands, with their shapes, in their settings.
    pub combinations: Vec<Combination>,
    /// The words of the faults.
    pub kinds: Vec<String>,
    /// Of so many trials one is made.
    pub share: u64,
    /// So many are made of each combination, at most.
    pub limit: usize,
    /// Decides which ones these are.
    pub seed: u64,
    /// Nothing new is begun after this time.
    pub time: Duration,
    /// How many combinations are worked on at a time.
    pub workers: usize,
    /// Where the results are.
    pub results: PathBuf,
    /// This point and no other.
    pub point: Option<Point>,
    /// This fault and no other.
    pub fault: Option<Fault>,
}

/// A trial that is to be made.
type Task = (Point, Fault);

/// So long may a keeper be silent.
const SILENCE: Duration = Duration::from_secs(300);

/// So often may a keeper end before its work is done without having done any.
const FRUITLESS: u32 = 3;

/// After so many trials somebody looks whether programs and keys are gone, which takes the kernel a moment.
const ROUND: usize = 100;

/// How a keeper ends that has left something to its successor.
const SPOILT: i32 = 3;

/// Makes the trials, in processes of their own.
///
/// # Errors
/// When something other than the runtime fails.
pub fn wage(choice: &Choice) -> io::Result<()> {
    fs::create_dir_all(&choice.results)?;
    bundle::prepare();
    let begun = Instant::now();
    let (mut busy, mut failed) = (0, 0);
    for (number, combination) in choice.combinations.iter().enumerate() {
        if busy == choice.workers {
            failed += usize::from(!one_succeeds()?);
            busy -= 1;
        }
        match keeper::fork()? {
            Some(_) => busy += 1,
            None => leave(Work { choice, combination: *combination, number, begun }.done().map(|()| 0)),
        }
    }
    for _ in 0..busy {
        failed += usize::from(!one_succeeds()?);
    }
    if failed == 0 { Ok(()) } else { Err(Error::other(format!("{failed} could not be tried"))) }
}

fn one_succeeds() -> io::Result<bool> {
    let ended = waitpid(None, WaitOptions::empty())?;
    Ok(ended.is_some_and(|(_, status)| status.exit_status() == Some(0)))
}

/// Ends this process, which is a copy of another one, without running what that one wants to be run at its end.
fn leave(result: io::Result<i32>) -> ! {
    let status = result.unwrap_or_else(|error| {
        eprintln!("faults: {error}");
        1
    });
    // SAFETY: this touches no memory.
    unsafe { libc::_exit(status) }
}

struct Work<'a> {
    choice: &'a Choice,
    combination: Combination,
    number: usize,
    begun: Instant,
}

impl Work<'_> {
    fn file(&self) -> PathBuf {
        self.choice.results.join(format!("{}.jsonl", self.combination.name()))
    }

    /// Lets one keeper after the other make trials until none are left.
    fn done(&self) -> io::Result<()> {
        self.begin_file()?;
        let (mut fruitless, mut serial) = (0, 0);
        while fruitless < FRUITLESS && self.begun.elapsed() < self.choice.time {
            let before = tried(&self.file()).len();
            serial += 1;
            let mark = format!("faults{}n{}k{serial}", std::process::id(), self.number);
            let directory = base().join(&mark);
            fs::create_dir(&directory)?;
            let place = Place::new(&directory, mark);
            let ended = self.let_keep(&place)?;
            clean(&place, &directory);
            if ended {
                return Ok(());
            }
            fruitless = if tried(&self.file()).len() > before { 0 } else { fruitless + 1 };
        }
        if fruitless == FRUITLESS {
            Err(Error::other(format!("{}: gets nowhere", self.combination.name())))
        } else {
            Ok(())
        }
    }

    /// Results of another build are of no use.
    fn begin_file(&self) -> io::Result<()> {
        let known = fs::read_to_string(self.file()).unwrap_or_default();
        let head: Value =
            known.lines().next().and_then(|line| serde_json::from_str(line).ok()).unwrap_or_default();
        match head["build"] == json!(build()) {
            true => Ok(()),
            false => fs::write(self.file(), format!("{}\n", json!({"build": build()}))),
        }
    }

    /// True when all is done. A keeper that stands still is killed, and everybody in its namespaces with it.
    fn let_keep(&self, place: &Place) -> io::Result<bool> {
        let Some(pid) = keeper::bear(self.combination.setting)? else { leave(self.keep(place)) };
        let pid = Pid::from_raw(pid).ok_or(io::ErrorKind::NotFound)?;
        let (mut heard, mut length) = (Instant::now(), 0);
        loop {
            if let Some((_, status)) = waitpid(Some(pid), WaitOptions::NOHANG)? {
                return Ok(status.exit_status() == Some(0));
            }
            let now = fs::metadata(self.file())?.len();
            if now != length {
                (heard, length) = (Instant::now(), now);
            }
            if heard.elapsed() > SILENCE {
                eprintln!("faults: {}: the keeper stands still", self.combination.name());
                let _ = kill_process(pid, Signal::KILL);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What the keeper does.
    fn keep(&self, place: &Place) -> io::Result<i32> {
        let Combination { setting, operation, shape } = self.combination;
        let mut file = OpenOptions::new().append(true).open(self.file())?;
        let mut keeper = Keeper::new(place.clone(), setting, operation, shape)?;
        let whom = if runtime().kind == Kind::Ours { Wish::Reference } else { Wish::CommandOnly };
        let usual = keeper.usual(&whom)?;
        writeln!(file, "{}", json!({"points": points(&usual)}))?;
        let tasks = self.tasks(&usual);
        for round in tasks.chunks(ROUND) {
            let mut programs = Vec::new();
            for &(point, fault) in round {
                if self.begun.elapsed() > self.choice.time {
                    return Ok(0);
                }
                let begun = Instant::now();
                let verdict = keeper.trial(&usual, point, fault)?;
                writeln!(file, "{}", line(&usual, point, fault, &verdict, begun.elapsed()))?;
                programs.extend(verdict.programs);
                if verdict.spoilt {
                    keeper.baseline.thaw(place);
                    return Ok(SPOILT);
                }
            }
            for wrong in lasting(place, &programs) {
                writeln!(file, "{}", json!({"point": "", "fault": "round", "wrong": [wrong]}))?;
            }
        }
        Ok(0)
    }

    /// What is left to be tried, in an order that depends on the seed.
    fn tasks(&self, usual: &Usual) -> Vec<Task> {
        let tried = tried(&self.file());
        let Choice { seed, share, limit, point, fault, kinds, .. } = self.choice;
        let chance = |task: &Task| {
            let mut hasher = DefaultHasher::new();
            (seed, self.combination.name(), task.0, task.1.to_string()).hash(&mut hasher);
            hasher.finish()
        };
        let of_kind = |kind: &String| {
            let all = usual
                .points()
                .flat_map(|(at, _, call)| Fault::of(kind, call).into_iter().map(move |fault| (at, fault)));
            all.collect::<Vec<Task>>()
        };
        let mut tasks: Vec<Task> = kinds.iter().flat_map(of_kind).collect();
        tasks.retain(|task| {
            point.is_none_or(|point| point == task.0) && fault.is_none_or(|fault| fault == task.1)
        });
        tasks.retain(|task| chance(task) % share == 0);
        tasks.sort_by_cached_key(chance);
        tasks.truncate(*limit);
        tasks.retain(|task| !tried.contains(&(task.0.to_string(), task.1.to_string())));
        tasks
    }
}

impl Combination {
    /// All that there are for the runtime, on this machine.
    pub fn all() -> Vec<Self> {
        let with = |setting: Setting| {
            Operation::ALL.into_iter().flat_map(move |operation| {
                let shapes = Shape::ALL.into_iter().filter(move |&shape| setting.has(shape));
                shapes.map(move |shape| Self { setting, operation, shape })
            })
        };
        Setting::here().into_iter().flat_map(with).collect()
    }

    /// Its name, which is that of its file.
    pub fn name(self) -> String {
        let kind = format!("{:?}", runtime().kind).to_lowercase();
        format!("{kind}.{}.{}.{}", self.setting.name(), self.operation.name(), self.shape.name())
    }
}

impl Choice {
    /// Everything, as fast as two workers are.
    pub fn everything(results: PathBuf) -> Self {
        Self {
            combinations: Combination::all(),
            kinds: KINDS.map(str::to_owned).to_vec(),
            share: 1,
            limit: usize::MAX,
            seed: 1,
            time: Duration::from_secs(1_000_000),
            workers: std::thread::available_parallelism().map_or(1, Into::into),
            results,
            point: None,
            fault: None,
        }
    }
}

/// The build of the runtime.
fn build() -> String {
    let found = fs::metadata(&runtime().path).map(|found| (found.len(), found.mtime(), found.mtime_nsec()));
    format!("{found:?}")
}

/// How many points there are, by role.
fn points(usual: &Usual) -> Value {
    let count = |wanted: Role| usual.points().filter(|&(_, role, _)| role == wanted).count();
    json!({"parent": count(Role::Parent), "trampoline": count(Role::Trampoline), "init": count(Role::Init)})
}

fn line(usual: &Usual, point: Point, fault: Fault, verdict: &Verdict, took: Duration) -> Value {
    let (role, call) = usual.at(point).unwrap_or((Role::Parent, 0));
    json!({
        "point": point.to_string(), "fault": fault.to_string(), "kind": fault.kind(),
        "role": format!("{role:?}").to_lowercase(), "call": call, "end": verdict.end, "struck": verdict.struck,
        "drifted": verdict.drifted, "us": u64::try_from(took.as_micros()).unwrap_or(0), "wrong": verdict.wrong,
    })
}

/// The points and faults in a file.
fn tried(file: &Path) -> BTreeSet<(String, String)> {
    let text = fs::read_to_string(file).unwrap_or_default();
    let entry = |line: &str| {
        let line: Value = serde_json::from_str(line).ok()?;
        Some((line["point"].as_str()?.to_owned(), line["fault"].as_str()?.to_owned()))
    };
    text.lines().filter_map(entry).collect()
}

/// What the kernel takes apart in its own time, and has not after a long one.
fn lasting(place: &Place, programs: &[u32]) -> Vec<String> {
    let left = || {
        let keys = fs::read_to_string("/proc/keys").unwrap_or_default();
        let keys = keys.lines().filter(|line| line.contains(&place.mark)).map(|line| format!("key {line}"));
        let programs = programs.iter().filter(|&&id| bpf::program_exists(id));
        keys.chain(programs.map(|id| format!("BPF program {id}"))).collect::<Vec<_>>()
    };
    let gone = || left().is_empty().then_some(());
    match crate::leaks::soon(Duration::from_secs(8), gone) {
        Some(()) => Vec::new(),
        None => left(),
    }
}

/// Takes away what a keeper used, and what the runtime left there.
fn clean(place: &Place, directory: &Path) {
    crate::leaks::soon(Duration::from_secs(2), || Baseline::remove_cgroups(place).then_some(()));
    let _ = fs::remove_dir_all(directory);
}
