//! Replays all advisories on ours and on the peers that are found in `PEERS`, and writes `specs/defences.md`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use integration::advisories::{ADVISORIES, Advisory, Standing};
use integration::attack::rounds;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../specs/defences.md");

/// Peers need several times as long, and are asked for so many times fewer rounds of each race.
const FEWER_FOR_PEERS: usize = 5;

/// The status of a test program that came to its end.
const SOME_FAILED: i32 = 101;

/// Peers have given the null device of the host away, so that nobody gets that. With `/dev` comes a mount namespace.
const ROOM: &str = "set -e
    dev=$(mktemp -d); mount -t tmpfs -o mode=755 dev $dev
    for name in null zero full random urandom tty fuse; do [ ! -e /dev/$name ] || cp -a /dev/$name $dev/; done
    mkdir $dev/pts $dev/shm $dev/mqueue; mount -t tmpfs -o mode=1777 shm $dev/shm
    mount -t devpts -o newinstance,ptmxmode=0666,mode=0620,gid=5 devpts $dev/pts
    ln -s pts/ptmx $dev/ptmx; ln -s /proc/self/fd $dev/fd
    mount --move $dev /dev; rmdir $dev
    exec \"$@\"";

/// What a runtime made of every test: nothing is said of those that it passed.
struct Run {
    name: &'static str,
    version: String,
    failures: BTreeMap<String, Option<String>>,
}

fn main() -> io::Result<ExitCode> {
    let program = test_program()?;
    let peers = ["runc", "crun"].into_iter().filter_map(|name| Some((name, Some(peer(name)?))));
    let all = std::iter::once(("ours", None)).chain(peers);
    let runs =
        all.map(|(name, path)| Run::of(name, path.as_deref(), &program)).collect::<io::Result<Vec<_>>>()?;
    std::fs::write(PAGE, page(&runs))?;
    let ours = &runs[0].failures;
    ours.keys().for_each(|test| eprintln!("ours fails {test}"));
    Ok(if ours.values().any(Option::is_some) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn peer(name: &str) -> Option<PathBuf> {
    let given = std::env::var_os("PEERS").unwrap_or_default();
    std::env::split_paths(&given).map(|place| place.join(name)).find(|path| path.is_file())
}

/// Builds the tests; where they are.
fn test_program() -> io::Result<PathBuf> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.args([
        "test",
        "--package",
        "integration",
        "--test",
        "advisories",
        "--no-run",
        "--message-format=json",
    ]);
    let output = cargo.stderr(Stdio::inherit()).output()?;
    let messages = String::from_utf8_lossy(&output.stdout).into_owned();
    let built = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let mut programs = built.filter(|message| message["target"]["name"] == "advisories");
    let found = programs.find_map(|message| message["executable"].as_str().map(PathBuf::from));
    found.ok_or_else(|| io::Error::other("the tests can't be built"))
}

impl Run {
    fn of(name: &'static str, path: Option<&Path>, program: &Path) -> io::Result<Self> {
        eprintln!("{name}: all tests");
        let mut room = Command::new("unshare");
        room.args(["--mount", "--propagation", "private", "/bin/sh", "-c", ROOM, "sh"]).arg(program);
        room.arg("--test-threads=2").env_remove("RUNTIME");
        if let Some(path) = path {
            room.env("RUNTIME", path).env("ROUNDS", (rounds() / FEWER_FOR_PEERS).to_string());
        }
        let output = room.stdin(Stdio::null()).stderr(Stdio::null()).output()?;
        if !matches!(output.status.code(), Some(0 | SOME_FAILED)) {
            return Err(io::Error::other(format!("the tests of {name} did not end: {}", output.status)));
        }
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let version = path.map(version).transpose()?.unwrap_or_default();
        Ok(Self { name, version, failures: failures(&said) })
    }

    /// One cell of the table.
    fn result(&self, advisory: &Advisory) -> String {
        let failed: Vec<_> =
            advisory.tests.iter().filter(|test| self.failures.contains_key(**test)).collect();
        match (advisory.standing, failed.len()) {
            (Standing::Elsewhere(_), _) => "–".to_owned(),
            (Standing::Partly(_), 0) => "holds, in part".to_owned(),
            (_, 0) => "holds".to_owned(),
            (_, failed) if failed == advisory.tests.len() => "**fails**".to_owned(),
            (_, failed) => format!("**fails** {failed} of {}", advisory.tests.len()),
        }
    }
}

fn version(path: &Path) -> io::Result<String> {
    let output = Command::new(path).arg("--version").output()?.stdout;
    let first = String::from_utf8_lossy(&output).lines().next().unwrap_or_default().to_owned();
    Ok(first.replace(" version", ""))
}

/// The tests that failed, each with the first line of why.
fn failures(said: &str) -> BTreeMap<String, Option<String>> {
    let mut names = BTreeMap::new();
    for line in said.lines().filter_map(|line| line.strip_prefix("test ")) {
        if let Some((test, "FAILED")) = line.split_once(" ... ") {
            let name = test.rsplit("::").next().unwrap_or(test);
            names.insert(name.to_owned(), reason(said, test));
        }
    }
    names
}

fn reason(said: &str, test: &str) -> Option<String> {
    let (_, report) = said.split_once(&format!("---- {test} stdout ----\n"))?;
    let (_, after) = report.split_once(" panicked at ")?;
    let line = after.lines().nth(1)?;
    let kept = line.split([':', '{', '\u{1b}']).take(2).collect::<Vec<_>>().join(":");
    Some(kept.replace('|', "\\|").chars().take(120).collect())
}

fn page(runs: &[Run]) -> String {
    let mut page = String::from(HEAD);
    let _ = writeln!(page, "{}\n", versions(runs));
    let names: Vec<&str> = runs.iter().map(|run| run.name).collect();
    let _ = writeln!(page, "| advisory | whose | the mistake | defence | tests | {} |", names.join(" | "));
    let _ = writeln!(page, "|---|---|---|---|---|{}", "---|".repeat(runs.len()));
    for (row, number) in ADVISORIES.iter().zip(1..) {
        let results: Vec<String> = runs.iter().map(|run| run.result(row)).collect();
        let tests: Vec<String> = row.tests.iter().map(|test| format!("`{test}`")).collect();
        let note = if row.standing == Standing::Whole { String::new() } else { format!(" [{number}]") };
        let (id, of, mistake, defences) = (row.id, row.of, row.mistake, row.defences);
        let _ = writeln!(
            page,
            "| {id}{note} | {of} | {mistake} | {defences} | {} | {} |",
            tests.join(", "),
            results.join(" | ")
        );
    }
    page.push_str("\n## What is not tested, and why\n\n");
    for (row, number) in ADVISORIES.iter().zip(1..) {
        let _ = match row.standing {
            Standing::Whole => Ok(()),
            Standing::Partly(why) => writeln!(page, "* [{number}] {}, in part: {why}.", row.id),
            Standing::Elsewhere(why) => writeln!(page, "* [{number}] {}, not at all: {why}.", row.id),
        };
    }
    runs.iter().for_each(|run| tell_failures(&mut page, run));
    page
}

fn versions(runs: &[Run]) -> String {
    let peers: Vec<&str> =
        runs.iter().map(|run| run.version.as_str()).filter(|one| !one.is_empty()).collect();
    let (all, applying) = (ADVISORIES.len(), ADVISORIES.iter().filter(|row| !row.tests.is_empty()).count());
    let sum = |run: &Run| {
        let fails = ADVISORIES.iter().filter(|row| run.result(row).contains("fails")).count();
        format!("{} {} of {applying}", run.name, applying - fails)
    };
    let sums: Vec<String> = runs.iter().map(sum).collect();
    let (rounds, fewer) = (rounds(), rounds() / FEWER_FOR_PEERS);
    let peers = match peers.as_slice() {
        [] => "No peers were tried.".to_owned(),
        peers => format!("Peers: {}, with {fewer} rounds.", peers.join(", ")),
    };
    format!(
        "{all} advisories, or groups of them with one mistake; {applying} apply. They hold with: {}. Each race was run {rounds}\n\
         times on each resolver. {peers}",
        sums.join(", "),
    )
}

fn tell_failures(page: &mut String, run: &Run) {
    if run.failures.is_empty() {
        return;
    }
    let _ = writeln!(page, "\n## Assertions that {} does not meet\n", run.name);
    for (test, why) in &run.failures {
        let _ = writeln!(page, "* `{test}`: {}", why.as_deref().unwrap_or("no word"));
    }
}

const HEAD: &str = "# Defences

Every advisory that is known to us, what stands against it here (the numbers are those of the [threat model](threat-model.md)),
and what came of replaying it. Written by `make defences`; the table itself is `integration/src/advisories.rs`, the tests lie in
`integration/tests/advisories`.

\"Fails\" says that an assertion was not met, no more. The tests are written for what this runtime promises, so that a peer may
fail by what it refuses where we carry on, by what it accepts where we refuse, or by a word. What its own advisory is about may be
mended in a later version than the one that was tried. Peers have a `/dev` and mounts of their own, and fewer rounds of each race.

";
