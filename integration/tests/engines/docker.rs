//! Docker, through its own client.

use std::time::{Duration, Instant};

use integration::engines::docker::{Docker, IMAGE};
use integration::engines::report::Run;
use integration::engines::{Case, Room, Subject, case};
use integration::{Exit, World};

use crate::{Wish, docker_options, nothing_is_left};

pub(crate) fn drive(subject: &Subject, wish: &Wish) -> Run {
    let cases: Vec<_> = CASES.iter().chain(docker_options::CASES).copied().collect();
    drive_in("Docker", Room::new, &cases, subject, wish)
}

/// As most machines have it today, but perhaps without controllers: those that the machine uses in version 1.
pub(crate) fn drive_unified(subject: &Subject, wish: &Wish) -> Run {
    drive_in("Docker on cgroup2 alone", || Room::at(World::Unified), CASES, subject, wish)
}

pub(crate) fn drive_in(
    engine: &str,
    room: fn() -> Room,
    cases: &[Case<Docker>],
    subject: &Subject,
    wish: &Wish,
) -> Run {
    if !wish.wants_any(engine, cases) {
        return Run::default();
    }
    drive_daemon(engine, Docker::start(room(), subject, &[]), cases, wish)
}

pub(crate) fn drive_daemon(engine: &str, mut docker: Docker, cases: &[Case<Docker>], wish: &Wish) -> Run {
    let versions = docker.versions();
    let mut verdicts = wish.judge(engine, cases, &docker);
    docker.remove_all();
    verdicts.push(nothing_is_left(docker.stop()));
    Run { versions, verdicts }
}

pub(crate) const CASES: &[Case<Docker>] = &[
    case("info names the runtime", info),
    case("run", run),
    case("run -d, logs", logs),
    case("run -it", terminal),
    case("run -it in tmux: colours, size, Ctrl-C, Ctrl-D, vi", person),
    case("run -i with input", input),
    case("exec", exec),
    case("exec -it, resized", exec_terminal),
    case("exec -d", exec_detached),
    case("exec with user, directory, environment", exec_as),
    case("exec returns the status", exec_status),
    case("stop by its signal", stop),
    case("stop by force", stop_by_force),
    case("start after stop", start_again),
    case("restart", restart),
    case("kill with a signal", kill),
    case("pause, unpause", pause),
    case("top", top),
    case("stats", stats),
    case("update", update),
    case("rm -f", remove),
    case("commit", commit),
    case("cp in and out", copy),
    case("create, start -a", create),
    case("wait", wait),
    case("events", events),
    case("exit status of the program", exit_of_program),
    case("exit status 125", exit_125),
    case("exit status 126", exit_126),
    case("exit status 127", exit_127),
    case("exit status 137", exit_137),
    case("out of memory is noticed", out_of_memory),
    case("build with RUN", build),
    case("two containers on one network", pair),
    case("restart policy", restart_policy),
    case("health check", health),
];

fn info(docker: &Docker) {
    let answer = docker.docker(&["info", "--format", "{{.DefaultRuntime}} {{json .Runtimes}}"]).ok().stdout;
    assert!(answer.starts_with("runtime ") && answer.contains("\"runtime\":{\"path\":"), "{answer}");
}

fn run(docker: &Docker) {
    let outcome = docker.run(&[], &["echo", "hello"]).ok();
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("hello\n", ""));
}

fn logs(docker: &Docker) {
    let name = docker.detached(&[], &["sh", "-c", "echo out; echo err >&2"]);
    docker.docker(&["wait", &name]).ok();
    let outcome = docker.docker(&["logs", &name]).ok();
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("out\n", "err\n"));
    docker.remove(&name);
}

fn terminal(docker: &Docker) {
    let mut terminal = docker.terminal(&["run", "--rm", "-it", IMAGE, "sh"]);
    terminal.expect("# ");
    terminal.write("echo at $(tty); exit 7\n");
    let (seen, exit) = terminal.finish();
    assert!(seen.contains("at /dev/pts/0"), "{seen}");
    assert_eq!(exit, Exit::Code(7), "{seen}");
}

fn person(docker: &Docker) {
    let screen = docker.screen();
    // Busybox takes the terminal's answer that its own short prompt stands at 1;5 for half a key, and eats what follows.
    let run = format!("docker run -it --rm -e PS1='inside> ' {IMAGE} sh; echo status $?");
    screen.types(&[&run, "Enter"]);
    screen.shows("\ninside>");
    screen.session("inside>");
    screen.types(&["(exit 7)", "Enter"]);
    // Pressed too early it would not meet the shell.
    screen.shows("(exit 7)\ninside>");
    screen.types(&["C-d"]);
    screen.shows("\nstatus 7\nhost>");
    screen.print("outside again");
}

fn input(docker: &Docker) {
    let file = docker.room.write("input", "from afar\n");
    let input = std::fs::File::open(docker.room.outside(&file)).expect("the input was written");
    let outcome = docker.call(&["run", "--rm", "-i", IMAGE, "cat"]).stdin(input).run().ok();
    assert_eq!(outcome.stdout, "from afar\n");
}

fn exec(docker: &Docker) {
    let name = docker.sleeper(&[]);
    let outcome = docker.docker(&["exec", &name, "sh", "-c", "cat /proc/1/comm; echo err >&2"]).ok();
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("sleep\n", "err\n"));
    docker.remove(&name);
}

fn exec_terminal(docker: &Docker) {
    let name = docker.sleeper(&[]);
    let mut terminal = docker.terminal(&["exec", "-it", &name, "sh"]);
    terminal.expect("# ");
    terminal.write("size() { until [ \"$(stty size)\" = \"$1\" ]; do sleep 0.1; done; echo now $1; }\n");
    terminal.write("size '33 77'\n");
    terminal.expect("now 33 77");
    terminal.resize(44, 88);
    terminal.write("size '44 88'; exit 3\n");
    let (seen, exit) = terminal.finish();
    assert!(seen.contains("now 44 88"), "{seen}");
    assert_eq!(exit, Exit::Code(3), "{seen}");
    docker.remove(&name);
}

fn exec_detached(docker: &Docker) {
    let name = docker.sleeper(&[]);
    docker.docker(&["exec", "-d", &name, "touch", "/tmp/was-here"]).ok();
    let look = || docker.docker(&["exec", &name, "ls", "/tmp/was-here"]).succeeded();
    assert!(soon(look), "the command did not run");
    docker.remove(&name);
}

fn exec_as(docker: &Docker) {
    let name = docker.sleeper(&[]);
    let options = ["exec", "--user", "user", "--workdir", "/etc", "--env", "A=b c", name.as_str()];
    let program = ["sh", "-c", "id; pwd; echo $A"];
    let outcome = docker.docker(&[&options[..], &program].concat()).ok();
    let expected = "uid=1000(user) gid=1000(user) groups=1000(user),2000(extra)\n/etc\nb c\n";
    assert_eq!(
        outcome.stdout.replace("groups=2000(extra),1000(user)", "groups=1000(user),2000(extra)"),
        expected
    );
    docker.remove(&name);
}

fn exec_status(docker: &Docker) {
    let name = docker.sleeper(&[]);
    docker.docker(&["exec", &name, "sh", "-c", "exit 9"]).exits(9);
    docker.docker(&["exec", &name, "/etc"]).exits(126);
    // Of an exec, older versions say 126.
    let outcome = docker.docker(&["exec", &name, "nowhere"]);
    assert!([Exit::Code(126), Exit::Code(127)].contains(&outcome.exit), "{outcome:#?}");
    assert!((outcome.stdout + &outcome.stderr).contains("executable file not found in $PATH"));
    docker.docker(&["exec", &name, "sh", "-c", "kill -9 $$"]).exits(137);
    docker.remove(&name);
}

/// Ends with 5 when it is asked to.
const POLITE: [&str; 3] = ["sh", "-c", "trap 'exit 5' TERM; echo ready; while :; do sleep 0.1; done"];

fn polite(docker: &Docker) -> String {
    let name = docker.detached(&[], &POLITE);
    assert!(soon(|| docker.docker(&["logs", &name]).stdout.contains("ready")), "the program did not start");
    name
}

fn stop(docker: &Docker) {
    let name = polite(docker);
    docker.docker(&["stop", &name]).ok();
    assert_eq!(docker.inspect(&name, "{{.State.Status}} {{.State.ExitCode}}"), "exited 5");
    docker.remove(&name);
}

fn stop_by_force(docker: &Docker) {
    let name = docker.sleeper(&[]);
    let start = Instant::now();
    docker.docker(&["stop", "--time", "1", &name]).ok();
    assert!(start.elapsed() < Duration::from_secs(9), "{:?}", start.elapsed());
    assert_eq!(docker.inspect(&name, "{{.State.ExitCode}}"), "137");
    docker.remove(&name);
}

fn start_again(docker: &Docker) {
    let name = docker.detached(&[], &["sh", "-c", "echo x >> /count; cat /count; echo ."]);
    docker.docker(&["wait", &name]).ok();
    docker.docker(&["start", &name]).ok();
    docker.docker(&["wait", &name]).ok();
    assert_eq!(docker.docker(&["logs", &name]).ok().stdout, "x\n.\nx\nx\n.\n");
    docker.remove(&name);
}

fn restart(docker: &Docker) {
    let name = polite(docker);
    let before = docker.inspect(&name, "{{.State.Pid}}");
    docker.docker(&["restart", &name]).ok();
    let after = docker.inspect(&name, "{{.State.Running}} {{.State.Pid}}");
    assert!(after.starts_with("true") && after != format!("true {before}"), "{before}, {after}");
    docker.remove(&name);
}

fn kill(docker: &Docker) {
    let program = ["sh", "-c", "trap 'exit 6' USR1; echo ready; while :; do sleep 0.1; done"];
    let name = docker.detached(&[], &program);
    assert!(soon(|| docker.docker(&["logs", &name]).stdout.contains("ready")), "the program did not start");
    docker.docker(&["kill", "--signal", "USR1", &name]).ok();
    assert_eq!(docker.docker(&["wait", &name]).ok().stdout, "6\n");
    docker.remove(&name);
}

fn pause(docker: &Docker) {
    let name = docker.detached(&[], &["sh", "-c", "while :; do echo x; sleep 0.05; done"]);
    docker.docker(&["pause", &name]).ok();
    assert_eq!(docker.inspect(&name, "{{.State.Status}}"), "paused");
    let lines = || docker.docker(&["logs", &name]).ok().stdout.len();
    // What was written before may still be on its way to the log.
    std::thread::sleep(Duration::from_millis(300));
    let before = lines();
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!(lines(), before, "a paused program went on");
    docker.docker(&["exec", &name, "true"]).fails_with(&["is paused"]);
    docker.docker(&["unpause", &name]).ok();
    assert!(soon(|| lines() > before), "the program does not go on");
    docker.remove(&name);
}

fn top(docker: &Docker) {
    let name = docker.sleeper(&[]);
    let all = docker.docker(&["top", &name]).ok().stdout;
    assert!(all.contains("PID") && all.contains("sleep 1000"), "{all}");
    let few = docker.docker(&["top", &name, "-o", "pid,comm"]).ok().stdout;
    assert!(few.contains("COMMAND") && few.contains("sleep"), "{few}");
    docker.remove(&name);
}

fn stats(docker: &Docker) {
    docker.room.need_controller("memory");
    let name = docker.sleeper(&["--memory", "64m"]);
    let format = "{{.MemUsage}} {{.PIDs}}";
    let seen = docker.docker(&["stats", "--no-stream", "--format", format, &name]).ok().stdout;
    assert!(seen.contains("/ 64MiB 1"), "{seen}");
    docker.remove(&name);
}

fn update(docker: &Docker) {
    docker.room.need_controller("memory");
    let name = docker.sleeper(&["--memory", "64m", "--memory-swap", "64m"]);
    docker.docker(&["update", "--memory", "96m", "--memory-swap", "96m", "--pids-limit", "55", &name]).ok();
    let program = ["sh", "-c", &knobs(&["memory.limit_in_bytes memory.max", "pids.max pids.max"])];
    let seen = docker.docker(&[&["exec", name.as_str()], &program[..]].concat()).ok().stdout;
    assert_eq!(seen, format!("{}\n55\n", 96 << 20));
    docker.remove(&name);
}

fn remove(docker: &Docker) {
    let name = docker.sleeper(&[]);
    docker.docker(&["rm", &name]).fails();
    docker.remove(&name);
    docker.docker(&["inspect", &name]).fails();
}

fn commit(docker: &Docker) {
    let name = docker.sleeper(&[]);
    docker.docker(&["exec", &name, "sh", "-c", "echo mine > /mine"]).ok();
    docker.docker(&["commit", &name, "committed"]).ok();
    let seen = docker.docker(&["run", "--rm", "committed", "cat", "/mine"]).ok().stdout;
    assert_eq!(seen, "mine\n");
    docker.remove(&name);
}

fn copy(docker: &Docker) {
    let name = docker.sleeper(&["--tmpfs", "/scratch"]);
    let file = docker.room.write("copied", "content");
    docker.docker(&["cp", &file, &format!("{name}:/in")]).ok();
    docker.docker(&["exec", &name, "sh", "-c", "cat /in > /out; echo ' back' >> /out"]).ok();
    let back = docker.room.path("back");
    docker.docker(&["cp", &format!("{name}:/out"), &back]).ok();
    let seen = std::fs::read_to_string(docker.room.outside(&back)).expect("a file came back");
    assert_eq!(seen, "content back\n");
    docker.remove(&name);
}

fn create(docker: &Docker) {
    let name = format!("{}x", docker.room.fresh());
    docker.docker(&["create", "--name", &name, IMAGE, "sh", "-c", "echo created; exit 4"]).ok();
    let outcome = docker.docker(&["start", "-a", &name]).exits(4);
    assert_eq!(outcome.stdout, "created\n");
    docker.remove(&name);
}

fn wait(docker: &Docker) {
    let name = docker.detached(&[], &["sh", "-c", "sleep 0.5; exit 11"]);
    assert_eq!(docker.docker(&["wait", &name]).ok().stdout, "11\n");
    docker.remove(&name);
}

fn events(docker: &Docker) {
    let name = docker.detached(&[], &["sh", "-c", "exit 2"]);
    docker.docker(&["wait", &name]).ok();
    let filter = format!("container={name}");
    let now = ["events", "--since", "1m", "--until", "0s", "--filter", &filter, "--format", "{{.Status}}"];
    let order = || {
        let seen = docker.docker(&now).ok().stdout;
        let wanted = seen.lines().filter(|line| ["create", "start", "die"].contains(line));
        wanted.map(String::from).collect::<Vec<_>>()
    };
    // What happened in this second is told in the next.
    assert!(soon(|| order() == ["create", "start", "die"]), "{:?}", order());
    docker.remove(&name);
}

fn exit_of_program(docker: &Docker) {
    docker.run(&[], &["sh", "-c", "exit 42"]).exits(42);
}

fn exit_125(docker: &Docker) {
    docker.run(&["--network", "container:nobody"], &["true"]).exits(125);
}

fn exit_126(docker: &Docker) {
    docker.run(&[], &["/etc"]).exits(126);
    docker.run(&[], &["/etc/passwd"]).exits(126).fails_with(&["permission denied"]);
}

fn exit_127(docker: &Docker) {
    docker.run(&[], &["nowhere"]).exits(127).fails_with(&["executable file not found"]);
    docker.run(&[], &["/nowhere"]).exits(127).fails_with(&["no such file or directory"]);
}

fn exit_137(docker: &Docker) {
    let name = docker.sleeper(&[]);
    docker.docker(&["kill", &name]).ok();
    assert_eq!(docker.docker(&["wait", &name]).ok().stdout, "137\n");
    docker.remove(&name);
}

fn out_of_memory(docker: &Docker) {
    docker.room.need_controller("memory");
    let options = ["--memory", "16m", "--memory-swap", "16m"];
    let noticed = || {
        let name = docker.detached(&options, &["dd", "if=/dev/zero", "of=/dev/null", "bs=64M", "count=1"]);
        assert_eq!(docker.docker(&["wait", &name]).ok().stdout, "137\n");
        let noticed = docker.inspect(&name, "{{.State.OOMKilled}}");
        docker.remove(&name);
        noticed == "true"
    };
    // The engine hears of it on another way than of the end, and sometimes too late, whatever the runtime.
    assert!(soon(noticed), "the engine does not say that memory ran out");
}

fn build(docker: &Docker) {
    let recipe = format!("FROM {IMAGE}\nRUN echo built > /built\nUSER user\nRUN id -u >> /tmp/id\n");
    docker.room.write("context/Dockerfile", recipe);
    docker.docker(&["build", "--tag", "made", &docker.room.path("context")]).ok();
    let seen = docker.docker(&["run", "--rm", "made", "cat", "/built", "/tmp/id"]).ok().stdout;
    assert_eq!(seen, "built\n1000\n");
    docker.room.write("context/Dockerfile", format!("FROM {IMAGE}\nRUN exit 3\n"));
    docker.docker(&["build", &docker.room.path("context")]).fails_with(&["returned a non-zero code: 3"]);
}

fn pair(docker: &Docker) {
    docker.docker(&["network", "create", "pair"]).ok();
    docker.room.write("site/index.html", "page\n");
    let site = format!("{}:/site:ro", docker.room.path("site"));
    let options = ["--network", "pair", "--hostname", "web", "--network-alias", "web", "-v", &site];
    let server = docker.detached(&options, &["httpd", "-f", "-p", "80", "-h", "/site"]);
    // A static busybox can't look names up for wget.
    let program =
        "set -e; to=$(nslookup web 127.0.0.11 | sed -n 's/^Address: //p' | tail -n 1); wget -q -O - $to";
    let seen = docker.run(&["--network", "pair"], &["sh", "-c", program]).ok().stdout;
    assert_eq!(seen, "page\n");
    docker.remove(&server);
    docker.docker(&["network", "rm", "pair"]).ok();
}

fn restart_policy(docker: &Docker) {
    let program = ["sh", "-c", "echo x >> /count; [ $(wc -l < /count) = 3 ]"];
    let name = docker.detached(&["--restart", "on-failure:5"], &program);
    let settled = || docker.inspect(&name, "{{.RestartCount}} {{.State.Status}}") == "2 exited";
    assert!(soon(settled), "{}", docker.inspect(&name, "{{json .State}} {{.RestartCount}}"));
    docker.remove(&name);
}

fn health(docker: &Docker) {
    let name = docker.sleeper(&["--health-cmd", "test -e /etc/passwd", "--health-interval", "1s"]);
    assert!(soon(|| docker.inspect(&name, "{{.State.Health.Status}}") == "healthy"), "is not healthy");
    docker.remove(&name);
}

/// A shell script that prints cgroup knobs, each named as version 1 and version 2 have it.
pub(crate) fn knobs(names: &[&str]) -> String {
    let look = |name: &&str| {
        let (v1, v2) = name.split_once(' ').unwrap_or((name, name));
        let controller = v1.split('.').next().unwrap_or_default();
        format!("cat /sys/fs/cgroup/{controller}/{v1} 2>/dev/null || cat /sys/fs/cgroup/{v2}")
    };
    names.iter().map(look).collect::<Vec<_>>().join("; ")
}

/// Whether this comes true in a while.
pub(crate) fn soon(what: impl Fn() -> bool) -> bool {
    integration::leaks::soon(Duration::from_secs(30), || what().then_some(())).is_some()
}
