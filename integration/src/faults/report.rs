//! What trials have found, as tables.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::{fs, io};

use serde_json::Value;

use super::fault::KINDS;
use super::operation::Operation;
use super::setting::Setting;
use super::shape::Shape;

/// Trials, and those after which something was wrong.
#[derive(Debug, Clone, Copy, Default)]
pub struct Count {
    /// How many were made.
    pub trials: usize,
    /// After how many something was wrong.
    pub wrong: usize,
    /// How many found another way to their point than the usual one.
    pub drifted: usize,
    /// How many never came to their point.
    pub missed: usize,
    /// How long they took, in microseconds.
    pub time: u64,
}

/// One file of results.
#[derive(Debug, Default)]
pub struct Results {
    /// The runtime, the setting, the command and the shape.
    pub name: [String; 4],
    /// How many points there are.
    pub points: usize,
    /// By kind of fault.
    pub counts: BTreeMap<String, Count>,
    /// What was wrong, in full.
    pub wrong: Vec<String>,
}

/// Reads all results of a directory.
///
/// # Errors
/// When they can't be read.
pub fn read(directory: &Path) -> io::Result<Vec<Results>> {
    let mut files: Vec<_> = fs::read_dir(directory)?.flatten().map(|entry| entry.path()).collect();
    files.sort();
    files
        .iter()
        .filter(|path| path.extension().is_some_and(|ending| ending == "jsonl"))
        .map(|path| file(path))
        .collect()
}

fn file(path: &Path) -> io::Result<Results> {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut words = stem.split('.').map(str::to_owned);
    let name = std::array::from_fn(|_| words.next().unwrap_or_default());
    let mut results = Results { name, ..Results::default() };
    for line in fs::read_to_string(path)?.lines() {
        results.add(&serde_json::from_str(line).unwrap_or_default(), line);
    }
    Ok(results)
}

impl Results {
    fn add(&mut self, line: &Value, text: &str) {
        if let Some(points) = line["points"].as_object() {
            let sum = points.values().filter_map(Value::as_u64).sum::<u64>();
            self.points = usize::try_from(sum).unwrap_or(0);
        }
        let Some(wrong) = line["wrong"].as_array() else { return };
        let count = self.counts.entry(line["kind"].as_str().unwrap_or("round").to_owned()).or_default();
        count.trials += usize::from(line["kind"].is_string());
        count.wrong += usize::from(!wrong.is_empty());
        count.drifted += usize::from(line["drifted"] == true);
        count.missed += usize::from(line["struck"] == false);
        count.time += line["us"].as_u64().unwrap_or(0);
        if !wrong.is_empty() {
            self.wrong.push(format!("{}: {text}", self.name.join(" ")));
        }
    }

    /// Everything in one number.
    pub fn all(&self) -> Count {
        sum(self.counts.values())
    }
}

fn sum<'a>(counts: impl Iterator<Item = &'a Count>) -> Count {
    counts.fold(Count::default(), |sum, one| Count {
        trials: sum.trials + one.trials,
        wrong: sum.wrong + one.wrong,
        drifted: sum.drifted + one.drifted,
        missed: sum.missed + one.missed,
        time: sum.time + one.time,
    })
}

/// All results in a few lines.
pub fn summary(results: &[Results]) -> String {
    let mut text = String::new();
    for one in results {
        for (kind, count) in &one.counts {
            let Count { trials, wrong, drifted, missed, time } = count;
            let each = time / (*trials).max(1) as u64 / 1000;
            let _ = writeln!(
                text,
                "{}: {kind} at {trials} (of {} points), {wrong} wrong, {drifted} drifted, {missed} missed, {each} ms each",
                one.name.join(" "),
                one.points
            );
        }
    }
    text
}

/// The page that is kept.
pub fn markdown(results: &[Results]) -> String {
    let mut text = String::from(HEAD);
    let _ = writeln!(text, "\n## Points\n\nSystem calls at which a fault can strike, each counted once.\n");
    text += &grid(results, "ours", |found| match found.iter().map(|one| one.points).max() {
        Some(points) => points.to_string(),
        None => "–".into(),
    });
    let _ = writeln!(
        text,
        "\n## Trials\n\n`trials` or, where something was wrong, `wrong/trials`; all settings together.\n"
    );
    text += &grid(results, "ours", |found| cell(sum(found.iter().flat_map(|one| one.counts.values()))));
    let _ = writeln!(
        text,
        "\n| fault | trials | wrong | reached another way | not reached |\n|---|---|---|---|---|"
    );
    for kind in KINDS {
        let ours = results.iter().filter(|one| one.name[0] == "ours");
        let Count { trials, wrong, drifted, missed, .. } = sum(ours.filter_map(|one| one.counts.get(kind)));
        let _ = writeln!(text, "| {kind} | {trials} | {wrong} | {drifted} | {missed} |");
    }
    let _ = writeln!(text, "\n| setting | trials | wrong |\n|---|---|---|");
    for setting in Setting::ALL {
        let here = results.iter().filter(|one| one.name[0] == "ours" && one.name[1] == setting.name());
        let Count { trials, wrong, .. } = sum(here.flat_map(|one| one.counts.values()));
        let _ = writeln!(text, "| {} | {trials} | {wrong} |", setting.name());
    }
    text + &peers(results)
}

/// The same trials on several runtimes: death of the command itself, which is what they have in common.
fn peers(results: &[Results]) -> String {
    let names = ["ours", "runc", "crun"];
    let mut text = String::from(PEERS);
    for operation in Operation::ALL {
        let of = |name: &str| {
            let found = results.iter().filter(|one| one.name[0] == name && one.name[2] == operation.name());
            cell(sum(found.filter_map(|one| one.counts.get("kill"))))
        };
        let cells = names.map(of).join(" | ");
        let _ = writeln!(text, "| {} | {cells} |", operation.name());
    }
    text
}

fn cell(count: Count) -> String {
    match (count.trials, count.wrong) {
        (0, _) => "–".into(),
        (trials, 0) => trials.to_string(),
        (trials, wrong) => format!("{wrong}/{trials}"),
    }
}

/// Commands down, shapes across.
fn grid(results: &[Results], runtime: &str, cell: impl Fn(&[&Results]) -> String) -> String {
    let names: Vec<_> = Shape::ALL.iter().map(|shape| shape.name()).collect();
    let mut text = format!("| | {} |\n|---|{}\n", names.join(" | "), "---|".repeat(names.len()));
    for operation in Operation::ALL {
        let cells = names.iter().map(|shape| {
            let wanted = [operation.name(), shape];
            let fits = |one: &&Results| one.name[0] == runtime && one.name[2..] == wanted;
            cell(&results.iter().filter(fits).collect::<Vec<_>>())
        });
        let _ = writeln!(text, "| {} | {} |", operation.name(), cells.collect::<Vec<_>>().join(" | "));
    }
    text
}

const HEAD: &str = "\
# Faults

Written by `make test-faults`. A command is followed from system call to system call, and at one of them it is killed
(`kill` before the call, `kill-after` it), or the call fails (`error`: once, with each of ENOMEM, EIO, EINTR, EAGAIN, ENOSPC,
EMFILE, EPERM, ENOENT, EBUSY, ENODEV; `lasting`: with all but EINTR and EAGAIN, and so do all later calls of that number), moves
one byte only (`short`), is disturbed by signals from there on (`storm`), or waits, stopped (`stop`). This is done to the command,
to the process that it makes before that executes init, and to init (also the one that `exec` makes inside and the one of a hook
inside). Each trial has a pid namespace, a mount namespace and a cgroup for itself. Settings: root in the machine's own cgroups
(`host`) or where there is nothing but cgroup2 (`unified`); an ordinary user who has been given a cgroup there (`rootless`); and
root with cgroups that systemd makes (`systemd`), in virtual machines, where there is no pid namespace of the trial's own.

Afterwards `delete --force` must exit with 0 within five seconds, and no process, mount, cgroup, file, key or BPF program may be
left. A command that was not killed itself ends within five seconds, without a panic: it fails with a sentence, and leaves nothing if
it was to make a container; or succeeds, and the program inside finds all that it finds otherwise.
";

const PEERS: &str = "
## Beside others

The command alone is killed before each of its calls, or before a sample of them: `trials`, or `wrong/trials`. Ours is
killed in all its processes.

| | ours | runc | crun |
|---|---|---|---|
";
