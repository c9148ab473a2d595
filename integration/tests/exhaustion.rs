//! What a command needs runs out: room for files, descriptors, memory, processes, cgroups, and processes that move.
//!
//! Whatever it is, the command ends in good time: it has done its work, or says in a sentence what was missing and leaves
//! nothing, or what it leaves is told and goes with the next `delete`.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use integration::bundle::mount;
use integration::command::{DEADLINE, Outcome};
use integration::leaks;
use integration::test::text;
use integration::{Bundle, Exit, Kind, Test, World, runtime};
use serde_json::json;

/// In this time every command of these tests ends, or the harness kills it and fails the test; what holds a container is
/// waited for ten seconds. A loaded machine has the rest.
const BOUNDED: Duration = DEADLINE;

/// These promises are ours alone.
fn ours() -> bool {
    runtime().kind == Kind::Ours
}

fn sleeper(test: &Test) -> Bundle {
    test.bundle(|config| config["process"]["args"] = json!(["/bin/sleep", "1000"]))
}

/// A cgroup of the test's own, which is the parent of its containers'.
fn parent(test: &Test, hierarchy: &str) -> PathBuf {
    let all = test.world.hierarchies();
    let found = all.iter().find(|one| one.name.split(',').any(|name| name == hierarchy));
    let place = found.expect("the world has this hierarchy").root.join(&test.mark);
    fs::create_dir_all(&place).expect("a cgroup can be made");
    place
}

fn write(place: &Path, file: &str, value: &str) {
    fs::write(place.join(file), value)
        .unwrap_or_else(|error| panic!("{}: {error}", place.join(file).display()));
}

// Room for files. ------------------------------------------------------------------------------------------------------

/// The state directory on a file system of its own, with these options.
struct SmallState<'a> {
    test: &'a Test,
}

impl<'a> SmallState<'a> {
    fn new(test: &'a Test, options: &str) -> Self {
        let state = text(&test.state_root());
        test.program("/bin/mount".as_ref(), &["-t", "tmpfs", "-o", options, "none", &state]).run().ok();
        Self { test }
    }

    /// Whatever can be written is.
    fn fill(&self) {
        let file = text(&self.test.state_root().join(".cache"));
        let script =
            format!("cat /dev/zero > {file}/zeros; while :; do i=$((i+1)); : > {file}/$i || exit 0; done");
        let script = format!("mkdir {file}; {script}");
        self.test.program("/bin/sh".as_ref(), &["-c", &script]).run();
    }

    fn list(&self) -> String {
        let state = text(&self.test.state_root());
        self.test.program("/bin/ls".as_ref(), &[&state]).run().ok().stdout
    }
}

impl Drop for SmallState<'_> {
    fn drop(&mut self) {
        let state = text(&self.test.state_root());
        self.test.program("/bin/umount".as_ref(), &["--lazy", &state]).run();
    }
}

#[test]
fn a_full_state_directory_is_told_and_leaves_nothing() {
    if !ours() {
        return;
    }
    // From no room for anything to enough for all.
    let inodes = (2..=9).map(|count| format!("mode=700,nr_inodes={count}"));
    let pages = (1..=6).map(|count| format!("mode=700,size={}", count * 4096));
    let mut ends = [0, 0];
    for options in inodes.chain(pages) {
        let test = Test::new();
        let bundle = sleeper(&test);
        let state = SmallState::new(&test, &options);
        let id = test.fresh();
        let made = test.runtime(&["create", "--bundle", &text(&bundle.path), &id]);
        ends[usize::from(made.succeeded())] += 1;
        if made.succeeded() {
            test.runtime(&["delete", "--force", &id]).ok();
        } else {
            made.fails_with(&["no space left on device"]);
        }
        assert_eq!(state.list(), "", "{options}");
        drop(state);
        let left = leaks::settled(&test);
        assert!(left.is_empty(), "{options}: {left:#?}");
    }
    assert!(ends[0] > 3 && ends[1] > 3, "failures and successes: {ends:?}");
}

#[test]
fn a_container_lives_and_ends_though_the_state_directory_is_full() {
    if !ours() {
        return;
    }
    let test = Test::new();
    let bundle = sleeper(&test);
    let state = SmallState::new(&test, "mode=700,size=65536,nr_inodes=40");
    let container = test.create(&bundle);
    state.fill();
    container.start().ok();
    assert_eq!(container.status(), "running");
    container.command(&["pause"]).ok();
    container.command(&["resume"]).ok();
    test.runtime(&["list"]).ok();
    test.runtime(&["exec", &container.id, "/bin/true"]).ok();
    test.runtime(&["update", "--cpu-share", "512", &container.id]).fails();
    container.kill("KILL").ok();
    assert_eq!(container.wait(), Exit::Signal(9));
    assert_eq!(container.status(), "stopped");
    container.delete().ok();
    drop(container);
    drop(state);
}

// Descriptors. ---------------------------------------------------------------------------------------------------------

/// A command that may have this many descriptors.
fn with_descriptors(test: &Test, count: u32, line: &[&str]) -> Outcome {
    test.call_by(&format!("ulimit -S -n {count}; exec \"$@\""), line).run()
}

/// A failure with a sentence, whatever it is.
#[track_caller]
fn succeeds_or_says_why(outcome: &Outcome) {
    let said = outcome.stderr.trim();
    let fails = matches!(outcome.exit, Exit::Code(1 | 255)) && said.lines().count() == 1;
    assert!(outcome.succeeded() || fails && !said.contains("panicked"), "{outcome:#?}");
}

#[test]
fn without_descriptors_a_creation_fails_and_leaves_nothing() {
    if !ours() {
        return;
    }
    let mut failures = 0;
    for count in (3..=14).chain([18, 24, 32]) {
        let test = Test::new();
        let bundle = test.bundle(|config| {
            config["process"]["args"] = json!(["/bin/sleep", "1000"]);
            (0..20).for_each(|_| mount(config, "/tmp", "bind", "/etc", &["rbind", "ro"]));
        });
        let id = test.fresh();
        let made = with_descriptors(&test, count, &["create", "--bundle", &text(&bundle.path), &id]);
        succeeds_or_says_why(&made);
        if made.succeeded() {
            test.runtime(&["delete", "--force", &id]).ok();
        } else {
            failures += 1;
            assert_ne!(count, 32, "32 are enough for twenty mounts: {made:#?}");
        }
        let left = leaks::settled(&test);
        assert!(left.is_empty(), "with {count} descriptors: {left:#?}");
    }
    assert!(failures > 3, "{failures}");
}

#[test]
fn without_descriptors_every_command_fails_or_succeeds_and_delete_resumes() {
    if !ours() {
        return;
    }
    let test = Test::new();
    let bundle = sleeper(&test);
    for verb in ["start", "exec", "kill", "pause", "resume", "state", "delete"] {
        for count in (3..=13).step_by(2) {
            let container = test.create(&bundle);
            let id = container.id.clone();
            if !matches!(verb, "start" | "delete") {
                container.start().ok();
            }
            let line: Vec<&str> = match verb {
                "exec" => vec!["exec", &id, "/bin/true"],
                "kill" => vec!["kill", &id, "KILL"],
                "delete" => vec!["delete", "--force", &id],
                verb => vec![verb, &id],
            };
            succeeds_or_says_why(&with_descriptors(&test, count, &line));
            test.runtime(&["delete", "--force", &id]).ok();
        }
    }
}

// Memory. --------------------------------------------------------------------------------------------------------------

#[test]
fn without_address_space_a_creation_ends_and_delete_leaves_nothing() {
    if !ours() {
        return;
    }
    let test = Test::new();
    let bundle = sleeper(&test);
    // The program's own size is the most of it.
    let size = fs::metadata(&runtime().path).expect("the runtime is there").len() / 1024;
    for step in (0..24).step_by(3) {
        let id = test.fresh();
        let limit = size * (step + 1) / 16;
        let line = ["create", "--bundle", &text(&bundle.path), &id];
        let made = test.call_by(&format!("ulimit -v {limit}; exec \"$@\""), &line).run();
        // Who gets no memory to say so is as good as killed.
        let ended = matches!(made.exit, Exit::Code(0 | 1 | 126 | 127) | Exit::Signal(_));
        assert!(ended && !made.stderr.contains("panicked"), "{made:#?}");
        test.runtime(&["delete", "--force", &id]).ok();
        let left = leaks::settled(&test);
        assert!(left.is_empty(), "with {limit} KiB: {left:#?}");
    }
}

#[test]
fn a_limit_of_memory_that_is_too_low_to_create_is_named() {
    let Some(world) = World::with("memory").filter(|_| ours()) else { return };
    let test = Test::at(world);
    let bundle = test.bundle(|config| {
        config["linux"]["resources"]["memory"] = json!({"limit": 65_536, "swap": 65_536});
    });
    let said = test.runtime(&["create", "--bundle", &text(&bundle.path), &test.fresh()]);
    said.fails_with(&["container init was OOM-killed: /linux/resources/memory/limit"]);
}

#[test]
fn a_creation_that_is_killed_for_want_of_memory_leaves_nothing() {
    if !ours() || World::Host.hierarchy("memory").is_none_or(|one| one.name.is_empty()) {
        return;
    }
    let test = Test::at(World::Host);
    let bundle = sleeper(&test);
    let caller = parent(&test, "memory").join("caller");
    fs::create_dir_all(&caller).expect("a cgroup can be made");
    for kibibytes in [64, 128, 256, 512, 1024, 4096] {
        write(&caller, "memory.limit_in_bytes", &(kibibytes * 1024).to_string());
        let id = test.fresh();
        let script = format!("echo $$ > {}/cgroup.procs && exec \"$@\"", text(&caller));
        test.call_by(&script, &["create", "--bundle", &text(&bundle.path), &id]).run();
        test.runtime(&["delete", "--force", &id]).ok();
    }
    leaks::soon(BOUNDED, || fs::remove_dir(&caller).ok()).expect("nobody is left in the cgroup");
}

// Processes. -----------------------------------------------------------------------------------------------------------

#[test]
fn a_creator_that_may_have_no_more_processes_is_told_which_limit_it_is() {
    if !ours() || World::Host.hierarchy("pids").is_none_or(|one| one.name.is_empty()) {
        return;
    }
    let test = Test::at(World::Host);
    let bundle = sleeper(&test);
    let caller = parent(&test, "pids").join("caller");
    fs::create_dir_all(&caller).expect("a cgroup can be made");
    write(&caller, "pids.max", "1");
    let script = format!("echo $$ > {}/cgroup.procs && exec \"$@\"", text(&caller));
    let made = test.call_by(&script, &["create", "--bundle", &text(&bundle.path), &test.fresh()]).run();
    made.fails_with(&["pids.max"]);
    leaks::soon(BOUNDED, || fs::remove_dir(&caller).ok()).expect("nobody is left in the cgroup");
}

#[test]
fn a_container_that_may_have_no_more_processes_is_made_and_takes_no_further_one() {
    let Some(world) = World::with("pids").filter(|_| ours()) else { return };
    let test = Test::at(world);
    let bundle = test.bundle(|config| {
        config["process"]["args"] = json!(["/bin/sleep", "1000"]);
        config["linux"]["resources"]["pids"] = json!({"limit": 1});
    });
    let container = test.start(&bundle);
    let said = test.runtime(&["exec", &container.id, "/bin/true"]);
    said.fails_with(&["/linux/resources/pids/limit", "pids.max"]).exits(255);
    assert_eq!(container.status(), "running");
}

// Cgroups. -------------------------------------------------------------------------------------------------------------

#[test]
fn a_parent_that_may_have_no_more_cgroups_is_told_of_and_not_a_disk() {
    if !ours() {
        return;
    }
    let test = Test::at(World::Unified);
    let bundle = sleeper(&test);
    let parent = parent(&test, "");
    for (file, value) in [("cgroup.max.descendants", "0"), ("cgroup.max.depth", "0")] {
        write(&parent, file, value);
        let said = test.runtime(&["create", "--bundle", &text(&bundle.path), &test.fresh()]);
        let said = said.fails_with(&["cgroup.max.descendants"]);
        assert!(!said.stderr.contains("space left"), "{said:#?}");
        write(&parent, file, "max");
    }
    test.create(&bundle).delete().ok();
}

#[test]
fn nothing_is_made_below_a_frozen_cgroup() {
    if !ours() {
        return;
    }
    for world in World::all() {
        let test = Test::at(world);
        let bundle = sleeper(&test);
        let (hierarchy, file, frozen, thawed) = match world.hierarchy("freezer") {
            Some(_) => ("freezer", "freezer.state", "FROZEN", "THAWED"),
            None => ("", "cgroup.freeze", "1", "0"),
        };
        let parent = parent(&test, hierarchy);
        write(&parent, file, frozen);
        for verb in ["create", "run"] {
            let said = test.runtime(&[verb, "--bundle", &text(&bundle.path), &test.fresh()]);
            said.fails_with(&["is frozen"]);
        }
        write(&parent, file, thawed);
        let left = leaks::settled(&test);
        assert!(left.is_empty(), "{world:?}: {left:#?}");
        test.create(&bundle).delete().ok();
    }
}

#[test]
fn what_is_frozen_from_above_is_not_started_and_can_be_deleted() {
    if !ours() {
        return;
    }
    let test = Test::at(World::Unified);
    let parent = parent(&test, "");
    let container = test.create(&sleeper(&test));
    write(&parent, "cgroup.freeze", "1");
    let paused = leaks::soon(BOUNDED, || (container.status() == "paused").then_some(()));
    assert!(paused.is_some());
    test.runtime(&["start", &container.id]).fails();
    test.runtime(&["resume", &container.id]).fails_with(&["one above it"]);
    test.runtime(&["delete", "--force", &container.id]).ok();
    write(&parent, "cgroup.freeze", "0");
}

// Processes that do not move. ------------------------------------------------------------------------------------------

/// A process in a frozen cgroup of version 1 waits in the kernel and takes no signal, like one that waits for a disk that
/// is gone; unlike that, it can be released.
#[test]
fn a_process_that_cannot_die_is_told_and_deleted_when_it_can() {
    let freezer = World::Host.hierarchy("freezer").filter(|one| !one.name.is_empty());
    let Some(freezer) = freezer.filter(|_| ours()) else { return };
    let test = Test::at(World::Host);
    let container = test.start(&sleeper(&test));
    let elsewhere = freezer.root.join(format!("{}-elsewhere", test.mark));
    fs::create_dir(&elsewhere).expect("a cgroup can be made");
    write(&elsewhere, "cgroup.procs", &container.pid.to_string());
    write(&elsewhere, "freezer.state", "FROZEN");
    let stuck = leaks::soon(BOUNDED, || {
        fs::read_to_string(elsewhere.join("freezer.state"))
            .is_ok_and(|text| text.trim() == "FROZEN")
            .then_some(())
    });
    assert!(stuck.is_some());
    let said = test.runtime(&["delete", "--force", &container.id]);
    said.fails_with(&[&format!("process {} does not die", container.pid)]).exits(1);
    assert!(test.runtime(&["list"]).ok().stdout.contains(&container.id), "it must not be forgotten");
    write(&elsewhere, "freezer.state", "THAWED");
    assert_eq!(container.wait(), Exit::Signal(9));
    test.runtime(&["delete", "--force", &container.id]).ok();
    leaks::soon(BOUNDED, || fs::remove_dir(&elsewhere).ok()).expect("nobody is left in the cgroup");
}

/// A creator that stands still in the middle holds the container's lock; nobody waits for it for ever.
#[test]
fn a_command_that_stands_still_keeps_others_waiting_for_ten_seconds() {
    if !ours() {
        return;
    }
    let test = Test::new();
    let container = test.create(&sleeper(&test));
    let directory =
        fs::File::open(test.state_root().join(&container.id)).expect("the container has a directory");
    directory.lock().expect("the directory can be locked");
    let begun = Instant::now();
    test.runtime(&["delete", "--force", &container.id]).fails_with(&["is busy"]).exits(1);
    assert!(begun.elapsed() >= Duration::from_secs(10), "{:?}", begun.elapsed());
    // Who only looks does not wait.
    assert_eq!(container.status(), "created");
    drop(directory);
    container.delete().ok();
}
