//! containerd through its own client: the runc shim, version 2, with the binary as its runtime.

use integration::Exit;
use integration::engines::case::{judge, not_here};
use integration::engines::containerd::Containerd;
use integration::engines::image::IMAGE;
use integration::engines::report::Run;
use integration::engines::{Case, Room, Subject, case};
use serde_json::Value;

use crate::docker::soon;
use crate::{Wish, nothing_is_left};

pub(crate) fn drive(subject: &Subject, wish: &Wish) -> Run {
    drive_in("containerd", Room::new, CASES, subject, wish)
}

pub(crate) fn drive_in(
    engine: &str,
    room: fn() -> Room,
    cases: &[Case<Containerd>],
    subject: &Subject,
    wish: &Wish,
) -> Run {
    if !wish.wants_any(engine, cases) {
        return Run::default();
    }
    let mut containerd = Containerd::start(room(), subject, None);
    let versions = containerd.versions();
    let mut verdicts = wish.judge(engine, cases, &containerd);
    // What can't be removed is told as what is left.
    let _ = judge(|| containerd.remove_all());
    verdicts.push(nothing_is_left(containerd.stop()));
    Run { versions, verdicts }
}

pub(crate) const CASES: &[Case<Containerd>] = &[
    case("run", run),
    case("run -t", terminal),
    case("run returns the status", status),
    case("a program that is not there", nowhere),
    case("task list", list),
    case("task exec", exec),
    case("task exec -t", exec_terminal),
    case("task exec returns the status", exec_status),
    case("task exec --user, --cwd", exec_as),
    case("task kill", kill),
    case("task kill --all", kill_all),
    case("task pause, resume", pause),
    case("task ps", ps),
    case("task metrics", metrics),
    case("events", events),
    case("task delete, container delete", delete),
    case("run --memory-limit, --cpu-shares", limits),
    case("run --env, --cwd", surroundings),
    case("run --mount", mount),
    case("run --read-only", read_only),
    case("run --cap-drop, --cap-add", capabilities),
    case("run --seccomp", seccomp),
    case("run --privileged", privileged),
    case("run --device", device),
    case("run --net-host", host_network),
    case("run --with-ns", joined),
    case("run --pid-file", pid_file),
    case("run --rootfs", rootfs),
    case("run --runc-root", root),
];

fn run(containerd: &Containerd) {
    let outcome = containerd.run(&[], &["sh", "-c", "echo hello; echo err >&2"]).ok();
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("hello\n", "err\n"));
}

fn terminal(containerd: &Containerd) {
    let name = containerd.room.fresh();
    let start = containerd.starting(&name, &["--rm", "-t"]);
    let start: Vec<_> = start.iter().map(String::as_str).collect();
    let mut terminal = containerd.terminal(&[&start[..], &[IMAGE, &name, "sh"]].concat());
    terminal.expect("# ");
    terminal.write("until [ \"$(stty size)\" = '33 77' ]; do sleep 0.1; done; echo at $(tty); exit 7\n");
    let (seen, exit) = terminal.finish();
    assert!(seen.contains("at /dev/pts/0"), "{seen}");
    assert_eq!(exit, Exit::Code(7), "{seen}");
}

fn status(containerd: &Containerd) {
    containerd.run(&[], &["sh", "-c", "exit 42"]).exits(42);
}

fn nowhere(containerd: &Containerd) {
    containerd.run(&[], &["nowhere"]).fails_with(&["executable file not found in $PATH"]);
    containerd.run(&[], &["/nowhere"]).fails_with(&["no such file or directory"]);
}

fn sleeper(containerd: &Containerd) -> String {
    containerd.detached(&[], &["sleep", "1000"])
}

/// The status of a task, as `task list` has it.
fn status_of(containerd: &Containerd, name: &str) -> String {
    let all = containerd.ctr(&["task", "list"]).ok().stdout;
    let line = all.lines().find(|line| line.split_whitespace().next() == Some(name));
    line.and_then(|line| line.split_whitespace().last()).unwrap_or_default().to_owned()
}

fn list(containerd: &Containerd) {
    let name = sleeper(containerd);
    assert_eq!(status_of(containerd, &name), "RUNNING");
    containerd.remove(&name);
}

fn exec_in(containerd: &Containerd, name: &str, options: &[&str], program: &[&str]) -> integration::Outcome {
    let id = containerd.room.fresh();
    let start = [&["task", "exec", "--exec-id", &id][..], options, &[name]].concat();
    containerd.ctr(&[&start[..], program].concat())
}

fn exec(containerd: &Containerd) {
    let name = sleeper(containerd);
    let outcome = exec_in(containerd, &name, &[], &["sh", "-c", "cat /proc/1/comm; echo err >&2"]).ok();
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("sleep\n", "err\n"));
    containerd.remove(&name);
}

fn exec_terminal(containerd: &Containerd) {
    let name = sleeper(containerd);
    let mut terminal = containerd.terminal(&["task", "exec", "-t", "--exec-id", "terminal", &name, "sh"]);
    terminal.expect("# ");
    terminal.write("tty; exit 3\n");
    let (seen, exit) = terminal.finish();
    assert!(seen.contains("/dev/pts/0"), "{seen}");
    assert_eq!(exit, Exit::Code(3), "{seen}");
    containerd.remove(&name);
}

fn exec_status(containerd: &Containerd) {
    let name = sleeper(containerd);
    exec_in(containerd, &name, &[], &["sh", "-c", "exit 9"]).exits(9);
    exec_in(containerd, &name, &[], &["nowhere"]).fails_with(&["executable file not found in $PATH"]);
    containerd.remove(&name);
}

fn exec_as(containerd: &Containerd) {
    let name = sleeper(containerd);
    let options = ["--user", "1000:1000", "--cwd", "/etc"];
    let outcome = exec_in(containerd, &name, &options, &["sh", "-c", "id -u; pwd"]).ok();
    assert_eq!(outcome.stdout, "1000\n/etc\n");
    containerd.remove(&name);
}

fn kill(containerd: &Containerd) {
    let shared = containerd.room.directory("shared");
    let option = format!("type=bind,src={shared},dst=/shared,options=rbind:rw");
    let program = ["sh", "-c", "trap 'exit 6' USR1; touch /shared/ready; while :; do sleep 0.1; done"];
    let name = containerd.detached(&["--mount", &option], &program);
    assert!(
        soon(|| containerd.room.outside(&format!("{shared}/ready")).exists()),
        "the program did not start"
    );
    containerd.ctr(&["task", "kill", "--signal", "USR1", &name]).ok();
    assert!(soon(|| status_of(containerd, &name) == "STOPPED"), "the program did not end");
    let outcome = containerd.ctr(&["task", "delete", &name]).ok();
    assert!(outcome.stderr.contains("exit code 6"), "{outcome:#?}");
    containerd.ctr(&["container", "delete", &name]).ok();
}

fn kill_all(containerd: &Containerd) {
    let name = containerd.detached(&[], &["sh", "-c", "sleep 1000 & sleep 1000 & wait"]);
    containerd.ctr(&["task", "kill", "--all", "--signal", "KILL", &name]).ok();
    assert!(soon(|| status_of(containerd, &name) == "STOPPED"));
    containerd.remove(&name);
}

fn pause(containerd: &Containerd) {
    let name = sleeper(containerd);
    containerd.ctr(&["task", "pause", &name]).ok();
    assert_eq!(status_of(containerd, &name), "PAUSED");
    containerd.ctr(&["task", "resume", &name]).ok();
    assert_eq!(status_of(containerd, &name), "RUNNING");
    containerd.remove(&name);
}

fn ps(containerd: &Containerd) {
    let name = containerd.detached(&[], &["sh", "-c", "sleep 1000 & sleep 1000 & wait"]);
    let count = || containerd.ctr(&["task", "ps", &name]).ok().stdout.lines().count();
    assert!(soon(|| count() == 4), "{} lines for three processes", count());
    containerd.remove(&name);
}

fn metrics(containerd: &Containerd) {
    let name = sleeper(containerd);
    let text = containerd.ctr(&["task", "metrics", "--format", "json", &name]).ok().stdout;
    let seen: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(seen["pids"]["current"], 1, "{text}");
    containerd.remove(&name);
}

fn events(containerd: &Containerd) {
    let room = &containerd.room;
    let socket = containerd.socket();
    let listener = room.call("ctr", &["--address", &socket, "--namespace", &room.mark, "events"]).spawn();
    containerd.run(&[], &["true"]).ok();
    let topics = ["/tasks/create", "/tasks/start", "/tasks/exit", "/tasks/delete"];
    let seen = || topics.iter().all(|topic| listener.stdout().contains(topic));
    let complete = soon(seen);
    integration::command::end(listener.pid());
    assert!(complete, "{}", listener.stdout());
}

fn delete(containerd: &Containerd) {
    let name = sleeper(containerd);
    containerd.ctr(&["task", "delete", &name]).fails();
    containerd.remove(&name);
    assert!(!containerd.ctr(&["container", "list", "--quiet"]).stdout.lines().any(|line| line == name));
}

fn limits(containerd: &Containerd) {
    let memory = (64 << 20).to_string();
    let name = containerd.detached(&["--memory-limit", &memory, "--cpu-shares", "512"], &["sleep", "1000"]);
    let group = format!("{}/{name}", mark(containerd));
    let look = format!(
        "cat /sys/fs/cgroup/memory/{group}/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/{group}/memory.max"
    );
    let outcome = containerd.room.run("sh", &["-c", &look]);
    containerd.remove(&name);
    assert_eq!(outcome.ok().stdout.trim(), memory);
}

fn mark(containerd: &Containerd) -> &str {
    &containerd.room.mark
}

fn surroundings(containerd: &Containerd) {
    let outcome = containerd.run(&["--env", "A=b c", "--cwd", "/etc"], &["sh", "-c", "echo $A; pwd"]).ok();
    assert_eq!(outcome.stdout, "b c\n/etc\n");
}

fn mount(containerd: &Containerd) {
    let source = containerd.room.directory("mounted");
    let option = format!("type=bind,src={source},dst=/inside,options=rbind:ro");
    let outcome = containerd.run(&["--mount", &option], &["touch", "/inside/file"]);
    outcome.fails_with(&["read-only file system"]);
}

fn read_only(containerd: &Containerd) {
    containerd.run(&["--read-only"], &["touch", "/file"]).fails_with(&["read-only file system"]);
}

fn capabilities(containerd: &Containerd) {
    let options = ["--cap-drop", "CAP_CHOWN", "--cap-add", "CAP_NET_ADMIN"];
    let outcome = containerd.run(&options, &["grep", "CapBnd", "/proc/self/status"]).ok();
    assert_eq!(outcome.stdout, "CapBnd:\t00000000a80435fa\n");
}

fn seccomp(containerd: &Containerd) {
    let outcome = containerd.run(&["--seccomp"], &["grep", "Seccomp:", "/proc/self/status"]).ok();
    assert_eq!(outcome.stdout, "Seccomp:\t2\n");
}

fn privileged(containerd: &Containerd) {
    let outcome = containerd.run(&["--privileged"], &["mount", "-t", "tmpfs", "none", "/tmp"]);
    if outcome.stderr.contains("unable to apply caps: operation not permitted") {
        not_here("runc needs every capability that is asked for, and this machine lacks one");
    }
    outcome.ok();
}

fn device(containerd: &Containerd) {
    let outcome =
        containerd.run(&["--device", "/dev/kmsg"], &["sh", "-c", "echo hello from a test > /dev/kmsg"]);
    outcome.ok();
}

fn host_network(containerd: &Containerd) {
    let namespace = ["readlink", "/proc/self/ns/net"];
    let here = containerd.room.run("readlink", &namespace[1..]).ok().stdout;
    assert_eq!(containerd.run(&["--net-host"], &namespace).ok().stdout, here);
}

fn joined(containerd: &Containerd) {
    let name = sleeper(containerd);
    let all = containerd.ctr(&["task", "list"]).ok().stdout;
    let pid = all.lines().find(|line| line.split_whitespace().next() == Some(&name));
    let pid = pid.and_then(|line| line.split_whitespace().nth(1)).expect("the task has a pid");
    let namespace = format!("ipc:/proc/{pid}/ns/ipc");
    let look = ["readlink", "/proc/self/ns/ipc"];
    let theirs = exec_in(containerd, &name, &[], &look).ok().stdout;
    assert_eq!(containerd.run(&["--with-ns", &namespace], &look).ok().stdout, theirs);
    containerd.remove(&name);
}

fn pid_file(containerd: &Containerd) {
    let file = containerd.room.path("task.pid");
    let name = containerd.detached(&["--pid-file", &file], &["sleep", "1000"]);
    let pid = std::fs::read_to_string(containerd.room.outside(&file)).expect("a pid file");
    assert!(containerd.ctr(&["task", "list"]).ok().stdout.contains(&pid), "{pid}");
    containerd.remove(&name);
}

fn rootfs(containerd: &Containerd) {
    let (directory, name) = (containerd.room.path("rootfs"), containerd.room.fresh());
    let start = containerd.starting(&name, &["--rm", "--rootfs"]);
    let start: Vec<_> = start.iter().map(String::as_str).collect();
    let outcome = containerd.ctr(&[&start[..], &[&directory, &name, "/bin/echo", "hello"]].concat()).ok();
    assert_eq!(outcome.stdout, "hello\n");
}

fn root(containerd: &Containerd) {
    let root = containerd.room.directory("elsewhere");
    let name = containerd.detached(&["--runc-root", &root], &["sleep", "1000"]);
    let state = containerd.room.outside(&format!("{root}/{}/{name}", mark(containerd)));
    let kept = state.is_dir();
    containerd.remove(&name);
    assert!(kept && !state.exists(), "{}", state.display());
}
