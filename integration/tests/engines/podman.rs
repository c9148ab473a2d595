//! Podman, with the configuration that the README shows.

use integration::Exit;
use integration::engines::image::IMAGE;
use integration::engines::podman::Podman;
use integration::engines::report::Run;
use integration::engines::{Case, Room, Subject, case};

use crate::docker::{knobs, soon};
use crate::{Wish, nothing_is_left};

pub(crate) fn drive(subject: &Subject, wish: &Wish) -> Run {
    drive_in("Podman", Room::new, CASES, subject, wish)
}

pub(crate) fn drive_in(
    engine: &str,
    room: fn() -> Room,
    cases: &[Case<Podman>],
    subject: &Subject,
    wish: &Wish,
) -> Run {
    if !wish.wants_any(engine, cases) {
        return Run::default();
    }
    let podman = Podman::start(room(), subject);
    let versions = podman.versions();
    let mut verdicts = wish.judge(engine, cases, &podman);
    verdicts.push(nothing_is_left(podman.stop()));
    Run { versions, verdicts }
}

pub(crate) const CASES: &[Case<Podman>] = &[
    case("info names the runtime", info),
    case("run", run),
    case("run -d, logs", logs),
    case("run -it", terminal),
    case("exec", exec),
    case("exec -it", exec_terminal),
    case("exec -d", exec_detached),
    case("exec returns the status", exec_status),
    case("stop, start", stop),
    case("restart", restart),
    case("kill", kill),
    case("pause, unpause", pause),
    case("top", top),
    case("stats", stats),
    case("healthcheck run", health),
    case("init, start -a", init),
    case("wait", wait),
    case("rm -f", remove),
    case("exit status of the program", exit_of_program),
    case("exit status 125", exit_125),
    case("exit status 126", exit_126),
    case("exit status 127", exit_127),
    case("pod of two containers", pod),
    case("run --memory, --pids-limit, --cpu-shares", limits),
    case("run --user, --workdir, --env, --hostname", surroundings),
    case("run --cap-drop, --cap-add", capabilities),
    case("run --read-only", read_only),
    case("run -v", volumes),
    case("run --tmpfs", tmpfs),
    case("run --device", device),
    case("run --ulimit", ulimit),
    case("run --security-opt seccomp=FILE", seccomp),
    case("run --uidmap", user_namespace),
    case("run --network none, host", networks),
    case("run on the default network", network),
    case("run --init", init_process),
    case("run --cgroupns private", cgroup_namespace),
    case("run --preserve-fds", preserved),
    case("commit, cp", commit),
    case("build with RUN", build),
];

fn info(podman: &Podman) {
    let seen =
        podman.podman(&["info", "--format", "{{.Host.OCIRuntime.Name}} {{.Host.OCIRuntime.Version}}"]).ok();
    assert!(seen.stdout.starts_with("runtime ") && seen.stdout.contains("version"), "{seen:#?}");
}

fn run(podman: &Podman) {
    let outcome = podman.run(&[], &["sh", "-c", "echo hello; echo err >&2"]).ok();
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("hello\n", "err\n"));
}

fn logs(podman: &Podman) {
    let name = podman.detached(&[], &["sh", "-c", "echo out; echo err >&2"]);
    podman.podman(&["wait", &name]).ok();
    let outcome = podman.podman(&["logs", &name]).ok();
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("out\n", "err\n"));
    podman.remove(&name);
}

fn terminal(podman: &Podman) {
    let parent = podman.cgroup_parent();
    let mut terminal = podman.terminal(&["run", "--rm", "-it", &parent, IMAGE, "sh"]);
    terminal.expect("# ");
    terminal.write("echo at $(tty); exit 7\n");
    let (seen, exit) = terminal.finish();
    assert!(seen.contains("at /dev/pts/0"), "{seen}");
    assert_eq!(exit, Exit::Code(7), "{seen}");
}

fn exec(podman: &Podman) {
    let name = podman.sleeper(&[]);
    let program = ["sh", "-c", "cat /proc/1/comm; echo $A; pwd; echo err >&2"];
    let options = ["exec", "--env", "A=b c", "--workdir", "/etc", "--user", "user", name.as_str()];
    let outcome = podman.podman(&[&options[..], &program].concat()).ok();
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("sleep\nb c\n/etc\n", "err\n"));
    podman.remove(&name);
}

fn exec_terminal(podman: &Podman) {
    let name = podman.sleeper(&[]);
    let mut terminal = podman.terminal(&["exec", "-it", &name, "sh"]);
    terminal.expect("# ");
    terminal.write("tty; exit 3\n");
    let (seen, exit) = terminal.finish();
    assert!(seen.contains("/dev/pts/0"), "{seen}");
    assert_eq!(exit, Exit::Code(3), "{seen}");
    podman.remove(&name);
}

fn exec_detached(podman: &Podman) {
    let name = podman.sleeper(&[]);
    podman.podman(&["exec", "-d", &name, "touch", "/tmp/was-here"]).ok();
    assert!(soon(|| podman.podman(&["exec", &name, "ls", "/tmp/was-here"]).succeeded()));
    podman.remove(&name);
}

fn exec_status(podman: &Podman) {
    let name = podman.sleeper(&[]);
    podman.podman(&["exec", &name, "sh", "-c", "exit 9"]).exits(9);
    podman.podman(&["exec", &name, "/etc"]).exits(126);
    podman.podman(&["exec", &name, "nowhere"]).exits(127);
    podman.remove(&name);
}

fn polite(podman: &Podman) -> String {
    let program = ["sh", "-c", "trap 'exit 5' TERM; echo ready; while :; do sleep 0.1; done"];
    let name = podman.detached(&[], &program);
    assert!(soon(|| podman.podman(&["logs", &name]).stdout.contains("ready")), "the program did not start");
    name
}

fn stop(podman: &Podman) {
    let name = polite(podman);
    podman.podman(&["stop", &name]).ok();
    assert_eq!(podman.inspect(&name, "{{.State.Status}} {{.State.ExitCode}}"), "exited 5");
    podman.podman(&["start", &name]).ok();
    assert_eq!(podman.inspect(&name, "{{.State.Status}}"), "running");
    podman.podman(&["stop", "--time", "0", &name]).ok();
    assert_eq!(podman.inspect(&name, "{{.State.ExitCode}}"), "137");
    podman.remove(&name);
}

fn restart(podman: &Podman) {
    let name = polite(podman);
    let before = podman.inspect(&name, "{{.State.Pid}}");
    podman.podman(&["restart", &name]).ok();
    assert_ne!(podman.inspect(&name, "{{.State.Pid}}"), before);
    podman.remove(&name);
}

fn kill(podman: &Podman) {
    let name = polite(podman);
    podman.podman(&["kill", "--signal", "TERM", &name]).ok();
    assert_eq!(podman.podman(&["wait", &name]).ok().stdout, "5\n");
    podman.remove(&name);
}

fn pause(podman: &Podman) {
    let name = podman.sleeper(&[]);
    podman.podman(&["pause", &name]).ok();
    assert_eq!(podman.inspect(&name, "{{.State.Status}}"), "paused");
    podman.podman(&["unpause", &name]).ok();
    assert_eq!(podman.inspect(&name, "{{.State.Status}}"), "running");
    podman.remove(&name);
}

fn top(podman: &Podman) {
    let name = podman.sleeper(&[]);
    let seen = podman.podman(&["top", &name]).ok().stdout;
    assert!(seen.contains("sleep 1000"), "{seen}");
    podman.remove(&name);
}

fn stats(podman: &Podman) {
    let name = podman.sleeper(&[]);
    let seen = podman.podman(&["stats", "--no-stream", "--format", "{{.PIDs}}", &name]).ok().stdout;
    assert_eq!(seen, "1\n");
    podman.remove(&name);
}

fn health(podman: &Podman) {
    let options = ["--health-cmd", "test -e /healthy", "--health-interval", "disable"];
    let name = podman.sleeper(&options);
    podman.podman(&["healthcheck", "run", &name]).exits(1);
    podman.podman(&["exec", &name, "touch", "/healthy"]).ok();
    podman.podman(&["healthcheck", "run", &name]).ok();
    podman.remove(&name);
}

fn init(podman: &Podman) {
    let (name, parent) = (format!("{}x", podman.room.fresh()), podman.cgroup_parent());
    podman.podman(&["create", "--name", &name, &parent, IMAGE, "sh", "-c", "echo started; exit 4"]).ok();
    podman.podman(&["init", &name]).ok();
    assert_eq!(podman.inspect(&name, "{{.State.Status}}"), "initialized");
    assert_eq!(podman.podman(&["start", "-a", &name]).exits(4).stdout, "started\n");
    podman.remove(&name);
}

fn wait(podman: &Podman) {
    let name = podman.detached(&[], &["sh", "-c", "sleep 0.5; exit 11"]);
    assert_eq!(podman.podman(&["wait", &name]).ok().stdout, "11\n");
    podman.remove(&name);
}

fn remove(podman: &Podman) {
    let name = podman.sleeper(&[]);
    podman.podman(&["rm", &name]).fails();
    podman.remove(&name);
    podman.podman(&["inspect", &name]).fails();
}

fn exit_of_program(podman: &Podman) {
    podman.run(&[], &["sh", "-c", "exit 42"]).exits(42);
}

fn exit_125(podman: &Podman) {
    podman.run(&["--sysctl", "kernel.nonsense=1"], &["true"]).exits(125);
}

fn exit_126(podman: &Podman) {
    podman.run(&[], &["/etc"]).exits(126);
    podman.run(&[], &["/etc/passwd"]).exits(126).fails_with(&["permission denied"]);
}

fn exit_127(podman: &Podman) {
    podman.run(&[], &["nowhere"]).exits(127).fails_with(&["executable file not found"]);
}

fn pod(podman: &Podman) {
    let parent = podman.cgroup_parent();
    let create = ["pod", "create", "--name", "pod", "--network", "none", "--infra-image", IMAGE, &parent];
    let infra = ["--infra-command", "sleep 100000", "--hostname", "shared"];
    let id = podman.podman(&[&create[..], &infra].concat()).ok().stdout;
    let one = podman.detached_in_pod("pod", &["sleep", "1000"]);
    let other = podman.detached_in_pod("pod", &["sleep", "1000"]);
    let look = |name: &str| podman.podman(&["exec", name, "readlink", "/proc/self/ns/net"]).ok().stdout;
    assert_eq!(look(&one), look(&other));
    assert_eq!(podman.podman(&["exec", &one, "hostname"]).ok().stdout, "shared\n");
    podman.podman(&["pod", "stop", "--time", "0", "pod"]).ok();
    podman.podman(&["pod", "rm", "pod"]).ok();
    podman.room.remove_cgroups(id.trim());
}

fn limits(podman: &Podman) {
    let options = ["--memory", "64m", "--memory-swap", "64m", "--pids-limit", "20", "--cpu-shares", "512"];
    let look = knobs(&["memory.limit_in_bytes memory.max", "pids.max pids.max"]);
    let seen = podman.run(&options, &["sh", "-c", &look]).ok().stdout;
    assert_eq!(seen, format!("{}\n20\n", 64 << 20));
}

fn surroundings(podman: &Podman) {
    let options = ["--user", "1000:2000", "--workdir", "/etc", "--env", "A=b c", "--hostname", "somewhere"];
    let outcome = podman.run(&options, &["sh", "-c", "id -u; id -g; pwd; echo $A; hostname"]).ok();
    assert_eq!(outcome.stdout, "1000\n2000\n/etc\nb c\nsomewhere\n");
}

fn capabilities(podman: &Podman) {
    let options = ["--cap-drop", "ALL", "--cap-add", "NET_ADMIN"];
    let outcome = podman.run(&options, &["grep", "CapBnd", "/proc/self/status"]).ok();
    assert_eq!(outcome.stdout, "CapBnd:\t0000000000001000\n");
}

fn read_only(podman: &Podman) {
    podman.run(&["--read-only"], &["touch", "/file"]).fails_with(&["read-only file system"]);
}

fn volumes(podman: &Podman) {
    let shared = podman.room.directory("volume");
    let (rw, ro) = (format!("{shared}:/rw"), format!("{shared}:/ro:ro"));
    let program = "echo mine > /rw/file && cat /ro/file && touch /ro/other";
    let outcome = podman.run(&["-v", &rw, "-v", &ro, "-v", "named:/data"], &["sh", "-c", program]);
    assert_eq!(outcome.fails_with(&["read-only file system"]).stdout, "mine\n");
    podman.podman(&["volume", "rm", "named"]).ok();
}

fn tmpfs(podman: &Podman) {
    let options = ["--tmpfs", "/scratch:size=1m", "--tmpfs", "/etc:tmpcopyup"];
    let outcome =
        podman.run(&options, &["sh", "-c", "grep /scratch /proc/mounts; grep user /etc/passwd"]).ok();
    assert!(outcome.stdout.contains("size=1024k") && outcome.stdout.contains("user:x:1000"), "{outcome:#?}");
}

fn device(podman: &Podman) {
    let outcome = podman.run(&["--device", "/dev/full:/dev/mine:rw"], &["sh", "-c", "echo > /dev/mine"]);
    outcome.fails_with(&["no space left"]);
}

fn ulimit(podman: &Podman) {
    // An option replaces the whole list of the configuration.
    let options = ["--ulimit", "nofile=100:200", "--ulimit", "nproc=1024:1024"];
    let outcome = podman.run(&options, &["sh", "-c", "ulimit -Sn; ulimit -Hn"]).ok();
    assert_eq!(outcome.stdout, "100\n200\n");
}

fn seccomp(podman: &Podman) {
    let profile = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}]}"#;
    let profile = podman.room.write("profile.json", profile);
    let outcome = podman.run(&["--security-opt", &format!("seccomp={profile}")], &["mkdir", "/tmp/new"]);
    outcome.fails_with(&["no space left"]);
}

fn user_namespace(podman: &Podman) {
    let options = ["--uidmap", "0:100000:2000", "--gidmap", "0:100000:2000"];
    let outcome = podman.run(&options, &["sh", "-c", "id -u; cat /proc/self/uid_map"]).ok();
    assert_eq!(outcome.stdout.split_whitespace().collect::<Vec<_>>(), ["0", "0", "100000", "2000"]);
}

fn networks(podman: &Podman) {
    assert_eq!(podman.run(&["--network", "none"], &["ls", "/sys/class/net"]).ok().stdout, "lo\n");
    let here = podman.room.run("readlink", &["/proc/self/ns/net"]).ok().stdout;
    assert_eq!(podman.run(&["--network", "host"], &["readlink", "/proc/self/ns/net"]).ok().stdout, here);
}

fn network(podman: &Podman) {
    let outcome = podman.run(&["-p", "8081:80"], &["ip", "-4", "address", "show", "eth0"]).ok();
    assert!(outcome.stdout.contains("inet 10."), "{outcome:#?}");
}

fn init_process(podman: &Podman) {
    let init = ["--init", "--init-path", "/usr/bin/docker-init"];
    let outcome = podman.run(&init, &["cat", "/proc/1/cmdline"]).ok();
    assert!(outcome.stdout.contains("init"), "{outcome:#?}");
}

fn cgroup_namespace(podman: &Podman) {
    let outcome = podman.run(&["--cgroupns", "private"], &["cat", "/proc/self/cgroup"]).ok();
    let inside = outcome.stdout.lines().all(|line| line.ends_with(":/") || line.ends_with(":/.."));
    assert!(inside, "{}", outcome.stdout);
}

fn preserved(podman: &Podman) {
    let file = podman.room.write("handed-down", "from afar\n");
    let run = format!("exec 3< {file}; exec \"$0\" \"$@\"");
    let outcome = podman.wrapped(&run, &["--preserve-fds", "1"], &["cat", "/proc/self/fd/3"]).ok();
    assert_eq!(outcome.stdout, "from afar\n");
}

fn commit(podman: &Podman) {
    let name = podman.sleeper(&[]);
    let file = podman.room.write("copied", "content\n");
    podman.podman(&["cp", &file, &format!("{name}:/in")]).ok();
    podman.podman(&["commit", "--quiet", &name, "committed"]).ok();
    let parent = podman.cgroup_parent();
    let outcome = podman.podman(&["run", "--rm", &parent, "localhost/committed", "cat", "/in"]).ok();
    assert_eq!(outcome.stdout, "content\n");
    podman.remove(&name);
}

fn build(podman: &Podman) {
    podman.room.write("context/Dockerfile", format!("FROM {IMAGE}\nRUN echo built > /built\n"));
    let (context, parent) = (podman.room.path("context"), podman.cgroup_parent());
    let cgroup = podman.build_cgroup();
    podman.podman(&["build", "--isolation", "oci", &cgroup, "--tag", "made", &context]).ok();
    let seen = podman.podman(&["run", "--rm", &parent, "localhost/made", "cat", "/built"]).ok().stdout;
    assert_eq!(seen, "built\n");
}
