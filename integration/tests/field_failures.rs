//! Failures that runtimes had in the field and that belong to no other file of tests; `specs/lifecycle.md` lists them all.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use integration::bundle::{mount, namespace, shell};
use integration::command::{DEADLINE, collect, end, ends_within};
use integration::leaks;
use integration::test::text;
use integration::{Bundle, Container, Exit, Kind, Test, World, runtime};
use serde_json::{Value, json};

/// How often a race is tried that shows once in a while.
const ROUNDS: usize = 60;

fn ours() -> bool {
    runtime().kind == Kind::Ours
}

fn sleeper(test: &Test) -> Bundle {
    test.bundle(|config| config["process"]["args"] = json!(["/bin/sleep", "1000"]))
}

/// A program may end before whoever started it asks for its end.
#[test]
fn a_program_that_ends_at_once_keeps_nobody_waiting() {
    let test = Test::new();
    let bundle = test.bundle(|config| namespace(config, "network", None));
    let container = test.start(&sleeper(&test));
    for _ in 0..ROUNDS {
        test.run(&bundle).ok();
        test.runtime(&["exec", &container.id, "/bin/true"]).ok();
    }
}

/// A filter that kills a thread leaves a process with others half dead; init has one thread only.
#[test]
fn a_filter_that_kills_a_thread_ends_the_container() {
    for action in ["SCMP_ACT_KILL_THREAD", "SCMP_ACT_KILL_PROCESS"] {
        let test = Test::new();
        let bundle = test.bundle(|config| {
            let rules = json!([{"names": ["execve", "execveat"], "action": action}]);
            config["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules});
        });
        let begun = Instant::now();
        assert!(!test.run(&bundle).succeeded(), "{action}");
        let container = test.create(&bundle);
        container.start();
        let ended = container.wait();
        assert!(matches!(ended, Exit::Signal(signal) if signal == libc::SIGSYS), "{action}: {ended:?}");
        assert!(begun.elapsed() < DEADLINE, "{action}: {:?}", begun.elapsed());
    }
}

/// Where its processes have made cgroups, frozen ones too, all of it goes.
#[test]
fn cgroups_below_are_removed_with_their_processes_whatever_they_do() {
    let test = Test::at(World::Unified);
    let container = test.start(&test.bundle(|config| {
        config["root"]["readonly"] = json!(false);
        config["mounts"].as_array_mut().expect("mounts is a list").retain(|mount| mount["type"] != "cgroup");
        mount(config, "/sys/fs/cgroup", "cgroup", "cgroup", &["rw"]);
        shell(
            config,
            "cd /sys/fs/cgroup; mkdir -p a/b/c d; for place in a a/b/c d; do sleep 1000 & \
             echo $! > $place/cgroup.procs; done; echo 1 > a/b/cgroup.freeze; echo ready; wait",
        );
    }));
    container.has_said("ready");
    let begun = Instant::now();
    container.delete_by_force().ok();
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

/// Without a pid namespace nothing but the cgroup knows who belongs to a container whose first process has ended.
#[test]
fn who_outlives_the_first_process_is_killed_by_delete() {
    for world in World::all() {
        let test = Test::at(world);
        let container = test.start(&test.bundle(|config| {
            namespace(config, "pid", None);
            shell(config, "sleep 1000 & sleep 1000 & exit 3");
        }));
        assert_eq!(container.wait(), Exit::Code(3), "{world:?}");
        assert_eq!(container.status(), "stopped", "{world:?}");
        container.delete().ok();
        let left = leaks::settled(&test);
        assert!(left.is_empty(), "{world:?}: {left:#?}");
    }
}

/// The container's record, with other values at these places.
fn forge(test: &Test, container: &Container<'_>, forge: impl FnOnce(&mut Value)) -> Value {
    let path: PathBuf = test.state_root().join(&container.id).join("state.json");
    let text = fs::read_to_string(&path).expect("a container has a record");
    let honest: Value = serde_json::from_str(&text).expect("the record is JSON");
    let mut forged = honest.clone();
    forge(&mut forged);
    assert_ne!(forged, honest, "the record has no such field");
    fs::write(&path, forged.to_string()).expect("the record can be written");
    honest
}

/// When the container's first process started, as its record has it.
fn record_start(test: &Test, container: &Container<'_>) -> u64 {
    let text = fs::read_to_string(test.state_root().join(&container.id).join("state.json"));
    let record: Value = serde_json::from_str(&text.expect("a container has a record")).expect("it is JSON");
    record["init"]["startTime"].as_u64().expect("a number")
}

#[test]
fn a_record_of_another_boot_is_a_stopped_container_and_its_number_nobodys() {
    if !ours() {
        return;
    }
    let test = Test::at(World::Unified);
    let container = test.start(&sleeper(&test));
    let cgroup = container.cgroup2().expect("this world has cgroup2");
    let stranger = Stranger::new();
    forge(&test, &container, |record| {
        record["init"] = json!({"pid": stranger.pid(), "startTime": stranger.start(), "bootId": "another"});
        record["cgroup"] = json!([]);
    });
    assert_eq!(container.status(), "stopped");
    container.kill("KILL").fails_with(&["container not running"]);
    test.runtime(&["create", "--bundle", "/", &container.id]).fails();
    container.delete().ok();
    assert!(stranger.lives());
    // What the machine's end would have taken along.
    end(container.pid);
    leaks::soon(DEADLINE, || fs::remove_dir(&cgroup).ok()).expect("nobody is left in the cgroup");
}

#[test]
fn a_number_that_another_process_has_by_now_is_not_the_containers() {
    if !ours() {
        return;
    }
    let test = Test::new();
    let container = test.start(&sleeper(&test));
    // Who starts in the same hundredth of a second, and gets the number, can't be told apart.
    let own = record_start(&test, &container);
    let another = || Some(Stranger::new()).filter(|stranger| stranger.start() != own);
    let stranger = leaks::soon(DEADLINE, another).expect("time goes on");
    let honest = forge(&test, &container, |record| record["init"]["pid"] = json!(stranger.pid()));
    assert_eq!(container.status(), "stopped");
    for line in [&["kill", "--all"][..], &["kill"], &["exec"], &["pause"], &["update", "--cpu-share", "512"]]
    {
        let words = [line, &[&container.id, "KILL"]].concat();
        let words = if line[0] == "kill" { words } else { words[..=line.len()].to_vec() };
        drop(test.runtime(&words));
        assert!(stranger.lives(), "{line:?}");
    }
    let path = test.state_root().join(&container.id).join("state.json");
    fs::write(path, honest.to_string()).expect("the record can be written");
    container.delete_by_force().ok();
    assert!(stranger.lives());
}

/// A process that has nothing to do with any container.
struct Stranger(Child);

impl Stranger {
    fn new() -> Self {
        Self(Command::new("sleep").arg("1000").stdin(Stdio::null()).spawn().expect("sleep can be run"))
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    fn start(&self) -> u64 {
        let process = procfs::process::Process::new(self.0.id().cast_signed());
        process.and_then(|process| process.stat()).expect("a child can be seen").starttime
    }

    fn lives(&self) -> bool {
        !ends_within(self.0.id().cast_signed(), Duration::from_millis(20))
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// No clock that can be set has a part in who a process is. That of the boot can be shifted by a time namespace.
#[test]
fn a_command_whose_clocks_are_shifted_knows_the_container() {
    if !ours() {
        return;
    }
    let test = Test::new();
    let container = test.start(&sleeper(&test));
    for offset in ["100000", "-1"] {
        let shifted = |line: &[&str]| {
            let runtime = text(&runtime().path);
            let root = text(&test.state_root());
            let clocks = [&format!("--boottime={offset}"), &format!("--monotonic={offset}")];
            let before = ["--time", clocks[0], clocks[1], &runtime, "--root", &root];
            test.program("/usr/bin/unshare".as_ref(), &[&before[..], line].concat()).run()
        };
        let state: Value =
            serde_json::from_str(&shifted(&["state", &container.id]).ok().stdout).expect("JSON");
        assert_eq!(state["status"], "running", "{offset}");
        shifted(&["exec", &container.id, "/bin/true"]).ok();
        shifted(&["pause", &container.id]).ok();
        shifted(&["resume", &container.id]).ok();
        shifted(&["delete", &container.id]).fails_with(&["that is not stopped: running"]);
    }
}

/// An engine that comes back finds its containers, though whoever made them is gone.
#[test]
fn what_lost_its_creator_is_listed_and_can_be_deleted() {
    let test = Test::new();
    let (created, running) = (test.create(&sleeper(&test)), test.start(&sleeper(&test)));
    // Its creator is this process's child that has ended; the containers have been ours since.
    for (container, status) in [(&created, "created"), (&running, "running")] {
        assert_eq!(container.status(), status);
        assert!(test.runtime(&["list", "-q"]).ok().stdout.contains(&container.id));
    }
    created.start().ok();
    for container in [created, running] {
        container.delete_by_force().ok();
        assert_eq!(collect(container.pid, DEADLINE).ok(), Some(Exit::Signal(9)));
    }
}

/// What a hook has started ends with it when its time is over.
#[test]
fn a_hook_that_takes_too_long_is_ended_with_all_that_it_started() {
    let test = Test::new();
    let bundle = test.bundle(|config| {
        let script = "sleep 1000 & (sleep 1000) & wait";
        let busybox = text(&integration::bundle::busybox());
        let hook = json!({"path": busybox, "args": ["sh", "-c", script], "timeout": 1});
        config["hooks"]["createRuntime"] = json!([hook]);
    });
    test.try_create(&bundle).fails();
    let left = leaks::settled(&test);
    assert!(left.is_empty(), "{left:#?}");
}

/// A state directory that was left empty, as by a machine that crashed.
#[test]
fn an_empty_state_of_a_container_is_nothing() {
    if !ours() {
        return;
    }
    let test = Test::new();
    for name in ["left", "forced"] {
        fs::create_dir(test.state_root().join(name)).expect("a directory can be made");
    }
    test.runtime(&["state", "left"]).fails_with(&["does not exist"]);
    assert_eq!(test.runtime(&["list", "-q"]).ok().stdout, "");
    test.runtime(&["delete", "left"]).fails_with(&["does not exist"]);
    test.runtime(&["delete", "--force", "forced"]).ok();
    let left = leaks::settled(&test);
    assert!(left.is_empty(), "{left:#?}");
}
