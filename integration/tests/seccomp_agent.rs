//! System calls that a profile leaves to an agent.

use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

use integration::agent::{self, Answer};
use integration::bundle::shell;
use integration::command::DEADLINE;
use integration::leaks::soon;
use integration::test::text;
use integration::{Agent, Bundle, Test, promise};
use rustix::process::Signal;
use serde_json::{Value, json};

const EXECVE: i64 = libc::SYS_execve;

/// Directories can't be made: the disk's quota is exceeded, as nobody else would say. All else may be.
fn no_directories(number: i64) -> Answer {
    match number {
        libc::SYS_mkdir | libc::SYS_mkdirat => Answer::Errno(libc::EDQUOT),
        _ => Answer::Continue,
    }
}

/// Everything may be.
fn anything(_: i64) -> Answer {
    Answer::Continue
}

const MKDIR: [&str; 2] = ["mkdir", "mkdirat"];
const SCRIPT: &str = "mkdir /tmp/new 2>&1; echo $?";
const SAID: &str = "mkdir: can't create directory '/tmp/new': Disk quota exceeded\n1\n";

fn agent(test: &Test, answer: fn(i64) -> Answer) -> Agent {
    Agent::at(&test.directory.join("agent.sock"), Some(answer))
}

/// A bundle that runs this script behind this profile.
fn behind(test: &Test, profile: Value, script: &str) -> Bundle {
    test.bundle(|config| {
        config["linux"]["seccomp"] = profile;
        config["annotations"] = json!({"org.example.key": "value"});
        shell(config, script);
    })
}

/// Holds a message to what it must be; its pid.
#[track_caller]
fn checked(message: &Value, id: &str, bundle: &Bundle, status: &str) -> i64 {
    assert!(message["ociVersion"].as_str().is_some_and(|version| version.starts_with("1.")), "{message:#}");
    assert_eq!(message["fds"], json!(["seccompFd"]));
    assert_eq!(message["metadata"], "any words \u{2713}");
    let state = &message["state"];
    assert_eq!((&state["id"], &state["status"]), (&json!(id), &json!(status)));
    assert_eq!(state["bundle"], text(&bundle.path));
    assert_eq!(state["annotations"]["org.example.key"], "value");
    assert!(state["ociVersion"].is_string(), "{message:#}");
    message["pid"].as_i64().expect("there is a pid")
}

#[test]
fn an_agent_decides_for_a_run() {
    let test = Test::new();
    let agent = agent(&test, no_directories);
    let bundle = behind(&test, agent.profile(&MKDIR), SCRIPT);
    let id = test.fresh();
    let outcome = test.runtime(&["run", "--bundle", &text(&bundle.path), &id]).ok();
    assert_eq!(outcome.stdout, SAID);
    let told = agent.told(1);
    assert_eq!(told[0]["state"]["pid"].as_i64(), Some(checked(&told[0], &id, &bundle, "creating")));
    assert_eq!(agent.asked().len(), 1, "{:?}", agent.asked());
}

#[test]
fn an_agent_decides_for_a_container_that_is_created_and_started() {
    let test = Test::new();
    let agent = agent(&test, no_directories);
    let bundle = behind(&test, agent.profile(&MKDIR), SCRIPT);
    let container = test.create(&bundle);
    promise("a created container is not filtered yet", || assert_eq!(agent.told(0), [] as [Value; 0]));
    container.start().ok();
    container.wait();
    assert_eq!(container.stdout(), SAID);
    let pid = checked(&agent.told(1)[0], &container.id, &bundle, "creating");
    assert_eq!(pid, i64::from(container.pid));
    assert!(agent.asked().iter().all(|asked| asked.pid != 0), "{:?}", agent.asked());
}

#[test]
fn an_agent_decides_for_a_further_process() {
    let test = Test::new();
    let agent = agent(&test, no_directories);
    let bundle = behind(&test, agent.profile(&MKDIR), "sleep 1000");
    let container = test.start(&bundle);
    let pid_file = test.directory.join("pid");
    let exec = ["exec", "--pid-file", &text(&pid_file), &container.id, "/bin/sh", "-c", SCRIPT];
    assert_eq!(test.runtime(&exec).ok().stdout, SAID);
    let told = agent.told(2);
    let pid = checked(&told[1], &container.id, &bundle, "running");
    assert_eq!(pid.to_string(), std::fs::read_to_string(pid_file).expect("there is a pid file"));
    assert_eq!(told[1]["state"]["pid"], json!(container.pid));
}

#[test]
fn an_agent_is_told_once_and_left_alone() {
    promise("an agent is told once and left alone", || {
        let test = Test::new();
        let agent = agent(&test, anything);
        let bundle = behind(&test, agent.profile(&MKDIR), "sleep 1000");
        let id = test.fresh();
        let run = test.call(&["run", "--bundle", &text(&bundle.path), &id]).spawn();
        agent.told(1);
        let left_alone = agent.is_left_alone();
        let running = || Some(test.runtime(&["kill", &id, "KILL"]).succeeded()).filter(|killed| *killed);
        soon(DEADLINE, running).expect("the container can be killed");
        run.finish();
        assert!(left_alone);
    });
}

#[test]
fn an_agent_may_make_up_what_a_call_returns() {
    let test = Test::new();
    let agent = agent(&test, |_| Answer::Value(12345));
    let bundle = behind(&test, agent.profile(&["getuid"]), "id -ru");
    assert_eq!(test.run(&bundle).ok().stdout, "12345\n");
}

#[test]
fn mapped_users_have_an_agent_too() {
    let test = Test::new();
    let agent = agent(&test, no_directories);
    let mut bundle = behind(&test, agent.profile(&MKDIR), SCRIPT);
    let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    bundle.edit(|config| {
        integration::bundle::namespace(config, "user", Some(json!({"type": "user"})));
        config["linux"]["uidMappings"] = map.clone();
        config["linux"]["gidMappings"] = map;
        config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    });
    assert_eq!(test.run(&bundle).ok().stdout, SAID);
    bundle.edit(|config| shell(config, "sleep 1000"));
    let container = test.start(&bundle);
    let exec = ["exec", "--user", "1000:1000", &container.id, "/bin/sh", "-c", SCRIPT];
    assert_eq!(test.runtime(&exec).ok().stdout, SAID);
    agent.told(3);
}

#[test]
fn the_execution_itself_may_be_the_agents() {
    let test = Test::new();
    let agent = agent(&test, anything);
    let bundle = behind(&test, agent.profile(&["execve"]), "/bin/true; echo done");
    let container = test.start(&bundle);
    container.wait();
    assert_eq!(container.stdout(), "done\n");
    let asked = agent.asked();
    assert_eq!(asked.iter().map(|asked| asked.number).collect::<Vec<_>>(), [EXECVE, EXECVE]);
    assert_eq!(asked[0].pid.cast_signed(), container.pid);
}

#[test]
fn an_agent_may_refuse_the_execution() {
    let test = Test::new();
    let agent = agent(&test, |_| Answer::Errno(libc::EACCES));
    let bundle = behind(&test, agent.profile(&["execve"]), "echo never");
    let outcome = test.run(&bundle).fails_with(&["ermission denied"]);
    assert_eq!(outcome.stdout, "");
    assert!(agent.asked().iter().all(|asked| asked.number == EXECVE), "{:?}", agent.asked());
}

/// Whatever the runtime may want to do once the filter is in force.
const OURS: [&str; 22] = [
    "write",
    "read",
    "close",
    "sendmsg",
    "sendto",
    "recvmsg",
    "ioctl",
    "futex",
    "exit",
    "sched_yield",
    "clone",
    "clone3",
    "mmap",
    "capset",
    "prctl",
    "execve",
    "pidfd_getfd",
    "poll",
    "ppoll",
    "nanosleep",
    "getppid",
    "fcntl",
];

#[test]
fn every_call_may_be_the_agents() {
    promise("every call may be the agent's", || {
        for no_new_privileges in [true, false] {
            let test = Test::new();
            let agent = agent(&test, anything);
            let mut bundle = behind(&test, agent.profile(&OURS), "echo done");
            bundle.edit(|config| config["process"]["noNewPrivileges"] = json!(no_new_privileges));
            let container = test.start(&bundle);
            container.wait();
            assert_eq!(container.stdout(), "done\n");
            let first = agent.asked()[0].number;
            assert_eq!(first, if no_new_privileges { EXECVE } else { libc::SYS_capset });
        }
    });
}

#[test]
fn a_profile_need_allow_nothing_for_its_agent() {
    promise("a profile need allow nothing for its agent", || {
        let test = Test::new();
        let agent = agent(&test, no_directories);
        let needed = [
            "execve",
            "brk",
            "arch_prctl",
            "set_tid_address",
            "set_robust_list",
            "rseq",
            "prlimit64",
            "readlink",
            "readlinkat",
            "getrandom",
            "mprotect",
            "newfstatat",
            "getuid",
            "uname",
            "prctl",
            "exit_group",
        ];
        let mut profile = agent.profile(&MKDIR);
        profile["defaultAction"] = json!("SCMP_ACT_KILL_PROCESS");
        let rules = profile["syscalls"].as_array_mut().expect("there are rules");
        rules.push(json!({"names": needed, "action": "SCMP_ACT_ALLOW"}));
        let mut bundle = behind(&test, profile, "");
        bundle.edit(|config| config["process"]["args"] = json!(["/bin/true"]));
        test.run(&bundle).ok();
        agent.told(1);
    });
}

#[test]
fn a_filter_with_an_agent_may_have_flags() {
    let test = Test::new();
    let agent = agent(&test, no_directories);
    let mut profile = agent.profile(&MKDIR);
    profile["flags"] = json!(["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", "SECCOMP_FILTER_FLAG_LOG"]);
    promise("a filter with an agent may have flags", || {
        assert_eq!(test.run(&behind(&test, profile, SCRIPT)).ok().stdout, SAID);
    });
}

#[test]
fn calls_fail_when_the_agent_is_gone() {
    let test = Test::new();
    let agent = Agent::at(&test.directory.join("agent.sock"), None);
    let outcome = test.run(&behind(&test, agent.profile(&MKDIR), SCRIPT)).ok();
    assert_eq!(outcome.stdout, "mkdir: can't create directory '/tmp/new': Function not implemented\n1\n");
}

#[test]
fn the_execution_fails_when_the_agent_is_gone() {
    promise("the execution fails when the agent is gone", || {
        let test = Test::new();
        let agent = Agent::at(&test.directory.join("agent.sock"), None);
        let bundle = behind(&test, agent.profile(&["execve"]), "echo never");
        assert_eq!(test.run(&bundle).fails_with(&["function not implemented"]).stdout, "");
    });
}

#[test]
fn a_hook_of_the_start_has_the_agent_of_its_container() {
    promise("a hook of the start has the agent of its container", || {
        let test = Test::new();
        let agent = agent(&test, no_directories);
        let mut bundle = behind(&test, agent.profile(&MKDIR), SCRIPT);
        let hook = json!({"path": "/bin/sh", "args": ["sh", "-c", "! mkdir /tmp/hook"]});
        bundle.edit(|config| config["hooks"] = json!({"startContainer": [hook]}));
        let container = test.start(&bundle);
        container.wait();
        assert_eq!(container.stdout(), SAID);
        let told = agent.told(2);
        let pid = checked(&told[0], &container.id, &bundle, "created");
        assert_ne!(pid, i64::from(container.pid));
        checked(&told[1], &container.id, &bundle, "creating");
        assert_eq!(agent.asked().len(), 2);
    });
}

#[test]
fn an_agent_that_is_not_there_fails_a_run() {
    let test = Test::new();
    let path = test.directory.join("nobody.sock");
    let bundle = behind(&test, agent::profile(&path, &MKDIR), "echo never");
    let outcome =
        test.run(&bundle).fails_with(&["nobody.sock: no such file", "nobody.sock: connect: no such file"]);
    assert_eq!(outcome.stdout, "");
}

#[test]
fn an_agent_that_is_gone_by_then_fails_start_and_exec() {
    promise("an agent that is gone fails start", || {
        let test = Test::new();
        let agent = agent(&test, no_directories);
        let bundle = behind(&test, agent.profile(&MKDIR), "sleep 1000");
        let running = test.start(&bundle);
        let waiting = test.create(&behind(&test, agent.profile(&MKDIR), "echo never"));
        drop(agent);
        waiting.start().fails_with(&["agent.sock: connection refused"]);
        waiting.wait();
        assert_eq!((waiting.status().as_str(), waiting.stdout().as_str()), ("stopped", ""));
        waiting.delete().ok();
        test.runtime(&["exec", &running.id, "/bin/true"]).fails_with(&["agent.sock: connection refused"]);
        assert_eq!(running.status(), "running");
    });
}

/// A socket with a queue that is full: whoever connects has to wait.
fn busy_listener(path: &Path) -> (UnixListener, UnixStream) {
    let listener = UnixListener::bind(path).expect("a socket can be bound");
    rustix::net::listen(&listener, 0).expect("a queue can be short");
    let queue = UnixStream::connect(path).expect("the queue has one place");
    (listener, queue)
}

/// The first process of a container, when it waits for its agent.
fn waits_for_agent(test: &Test, id: &str) -> Option<i32> {
    const RENDEZVOUS: &str = "1073741823 ";
    let state: Value = serde_json::from_str(&test.runtime(&["state", id]).stdout).ok()?;
    let pid = i32::try_from(state["pid"].as_i64()?).ok()?;
    let call = std::fs::read_to_string(format!("/proc/{pid}/syscall")).ok()?;
    call.starts_with(RENDEZVOUS).then_some(pid)
}

fn is_stopped(pid: i32) -> Option<()> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    status.contains("State:\tT").then_some(())
}

#[test]
fn a_container_may_be_stopped_while_it_waits_for_its_agent() {
    promise("a container may be stopped while it waits for its agent", || {
        let test = Test::new();
        let path = test.directory.join("agent.sock");
        let (listener, _queue) = busy_listener(&path);
        let bundle = behind(&test, agent::profile(&path, &MKDIR), SCRIPT);
        let id = test.fresh();
        let run = test.call(&["run", "--bundle", &text(&bundle.path), &id]).spawn();
        let pid = soon(DEADLINE, || waits_for_agent(&test, &id)).expect("it waits for its agent");
        let process = rustix::process::Pid::from_raw(pid).expect("a process has an id");
        rustix::process::kill_process(process, Signal::STOP).expect("it can be stopped");
        soon(DEADLINE, || is_stopped(pid)).expect("it stops");
        rustix::process::kill_process(process, Signal::CONT).expect("it can go on");
        listener.accept().expect("somebody is first in the queue");
        let agent = Agent::on(listener, Some(no_directories));
        assert_eq!(run.finish().ok().stdout, SAID);
        agent.told(1);
    });
}

#[test]
fn nobody_waits_for_ever_for_an_agent_that_does_not_accept() {
    promise("nobody waits for ever for an agent that does not accept", || {
        let test = Test::new();
        let path = test.directory.join("agent.sock");
        let (_listener, _queue) = busy_listener(&path);
        let bundle = behind(&test, agent::profile(&path, &MKDIR), "echo never");
        test.run(&bundle).fails_with(&["agent.sock: connection timed out"]);
    });
}

#[test]
fn what_an_agent_cannot_be_asked_is_refused() {
    for (name, profile, words) in [
        (
            "an agent for everything",
            json!({"defaultAction": "SCMP_ACT_NOTIFY", "listenerPath": "/a"}),
            "SCMP_ACT_NOTIFY",
        ),
        (
            "calls for no agent",
            json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": MKDIR, "action": "SCMP_ACT_NOTIFY"}]}),
            "listenerPath",
        ),
        (
            "words for no agent",
            json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerMetadata": "x"}),
            "listenerPath",
        ),
    ] {
        let test = Test::new();
        let bundle = behind(&test, profile, "echo never");
        promise(name, || assert_eq!(test.run(&bundle).fails_with(&[words]).stdout, ""));
    }
}
