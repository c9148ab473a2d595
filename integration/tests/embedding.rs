//! The library inside a big engine: many threads, a large heap, and nothing about the engine that changes.

use std::fs;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use integration::World;
use integration::command::ends_within;
use integration::runtime::binaries;
use serde_json::{Value, json};

/// A deadlock, not a slow machine.
const PATIENCE: Duration = Duration::from_secs(150);

/// How much more a creation may cost in a process with a large heap.
const DEARER: f64 = 1.3;

#[test]
fn threads_make_containers_at_once_while_others_allocate() {
    let report =
        report(&engine(&["--heap", "500", "--busy", "8", "--makers", "8", "--rounds", "48", "--users"]));
    assert_eq!(report["made"], 48);
    assert_eq!(report["changed"], json!([]));
}

#[test]
fn a_creation_leaves_its_caller_as_it_was() {
    for users in [&["--users"][..], &[]] {
        let small = ["--small", "--busy", "0", "--makers", "2", "--rounds", "6"];
        assert_eq!(report(&engine(&[&small, users].concat()))["changed"], json!([]), "{users:?}");
    }
}

/// A busy machine makes single measurements worthless, and three pairs of them good enough.
#[test]
fn a_large_heap_makes_creations_no_dearer() {
    let median = |heap| {
        let engine = engine(&["--heap", heap, "--busy", "0", "--makers", "1", "--rounds", "60"]);
        report(&engine)["median"].as_f64().expect("a time is a number")
    };
    let ratios = (0..3).map(|_| median("500") / median("0"));
    let mut seen = Vec::new();
    let found = ratios.inspect(|ratio| seen.push(*ratio)).any(|ratio| ratio <= DEARER);
    assert!(found, "a creation costs that many times more with a heap of 500 MB: {seen:?}");
}

#[test]
fn the_library_says_nothing_and_asks_no_environment() {
    let arguments = ["--small", "--busy", "0", "--makers", "1", "--rounds", "2"];
    let poisoned = [
        "HOME",
        "PATH",
        "XDG_RUNTIME_DIR",
        "LD_PRELOAD_X",
        "NOTIFY_SOCKET",
        "LISTEN_FDS",
        "RUST_LOG",
        "SECCOMP",
    ];
    let nowhere =
        run(command(&arguments).env_clear().envs(poisoned.map(|name| (name, "/nonexistent/\u{1}"))));
    for output in [nowhere, run(command(&arguments).env_clear())] {
        assert_eq!(report(&output)["changed"], json!([]));
    }
}

/// Its report is the only thing that the engine may have printed.
fn report(output: &Output) -> Value {
    let (said, complaints) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success() && complaints.is_empty(), "{output:?}");
    assert_eq!(said.lines().count(), 1, "{said}");
    serde_json::from_str(&said).expect("the report is JSON")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn engine(arguments: &[&str]) -> Output {
    run(&mut command(arguments))
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(binaries().join("embedder"));
    command.args(arguments);
    command
}

/// Runs an engine to its end, and looks for what it left behind.
fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the engine can be started");
    let pid = child.id();
    if !ends_within(pid.cast_signed(), PATIENCE) {
        let _ = child.kill();
        panic!("{command:?} hangs: {:?}", child.wait_with_output());
    }
    let output = child.wait_with_output().expect("a child can be waited for");
    let cgroups = World::Unified.cgroup2().expect("the world has cgroup2");
    for place in [cgroups, integration::bundle::base().to_owned()] {
        let left = fs::read_dir(&place).into_iter().flatten().flatten().map(|entry| entry.path());
        let ours: Vec<_> = left.filter(|path| path.ends_with(format!("embedder{pid}"))).collect();
        assert!(ours.is_empty() || !output.status.success(), "left behind: {ours:?}");
    }
    output
}
