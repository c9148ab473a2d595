//! Hooks that succeed, fail, talk and hang.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::{AsRawFd, IntoRawFd};
use std::time::Instant;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, kill_process};

use super::*;
use crate::container::Status;
use crate::state::scratch::Scratch;

fn state(bundle: &Path) -> State {
    State {
        oci_version: "1.3.0".into(),
        id: "c1".into(),
        pid: 42,
        status: Status::Creating,
        bundle: bundle.into(),
        rootfs: bundle.join("rootfs"),
        created: "2030-01-31T23:59:59.123456789Z".into(),
        annotations: BTreeMap::new(),
        owner: String::new(),
    }
}

fn shell(script: &str) -> Hook {
    Hook {
        path: "/bin/sh".into(),
        args: ["sh", "-c", script].map(String::from).into(),
        env: Vec::new(),
        timeout: None,
    }
}

fn hooks(hooks: impl Into<Vec<Hook>>) -> Hooks {
    Hooks { kind: Kind::CreateRuntime, hooks: hooks.into() }
}

/// What the script prints.
fn printed(script: &str) -> String {
    let hook = shell(&format!("{script}; exit 1"));
    let error = hooks([hook]).run(&state(Path::new("/tmp"))).unwrap_err().to_string();
    let (_, printed) = error.split_once("exit status 1, stdout: ").expect(&error);
    printed.strip_suffix(", stderr: ").expect(printed).to_owned()
}

fn spec(hooks: &str) -> runtime::Spec {
    serde_json::from_str(&format!(r#"{{"ociVersion":"1.3.0","hooks":{hooks}}}"#)).unwrap()
}

#[test]
fn the_hooks_of_each_kind_are_found_in_their_order() {
    let kinds = [
        Kind::Prestart,
        Kind::CreateRuntime,
        Kind::CreateContainer,
        Kind::StartContainer,
        Kind::Poststart,
        Kind::Poststop,
    ];
    for kind in kinds {
        let spec = spec(&format!(
            r#"{{"{kind}":[{{"path":"/a","args":["x","y"],"env":["K=v"],"timeout":3}},{{"path":"/b"}}]}}"#
        ));
        let found = planned(&spec, kind).unwrap();
        let paths: Vec<_> = found.hooks.iter().map(|hook| hook.path.to_str().unwrap()).collect();
        assert_eq!((found.kind, paths), (kind, vec!["/a", "/b"]));
        assert_eq!(found.hooks[0].timeout, Some(Duration::from_secs(3)));
        assert_eq!((found.hooks[0].args.len(), found.hooks[0].env.len()), (2, 1));
        assert_eq!(serde_json::to_string(&kind).unwrap(), format!("\"{kind}\""));
        let others = kinds.iter().filter(|other| **other != kind);
        assert!(others.into_iter().all(|other| planned(&spec, *other).is_none()), "{kind}");
    }
    assert_eq!(planned(&spec(r#"{"prestart":[]}"#), Kind::Prestart), None);
    assert_eq!(planned(&runtime::Spec::default(), Kind::Poststop), None);
}

#[test]
fn a_list_says_how_many_there_are() {
    assert_eq!(hooks([shell(""), shell("")]).to_string(), "run 2 createRuntime hooks");
    assert_eq!(hooks([shell("")]).to_string(), "run 1 createRuntime hook");
}

#[test]
fn hooks_survive_being_written_down() {
    let mut hook = shell("x");
    hook.timeout = Some(Duration::from_secs(7));
    let hooks = hooks([hook, Hook { args: Vec::new(), ..shell("") }]);
    let json = serde_json::to_string(&hooks).unwrap();
    assert_eq!(serde_json::from_str::<Hooks>(&json).unwrap(), hooks);
}

#[test]
fn the_state_is_read_from_standard_input_up_to_its_end() {
    let state = state(Path::new("/tmp"));
    assert_eq!(printed("/bin/cat"), serde_json::to_string(&state).unwrap());
    assert_eq!(printed("/bin/cat /dev/stdin"), serde_json::to_string(&state).unwrap());
}

#[test]
fn arguments_are_passed_as_written_and_the_first_is_the_name() {
    let mut hook = shell("echo \"$0,$1\"; exit 1");
    hook.args.extend(["zero".into(), "one two".into()]);
    let error = hooks([hook]).run(&state(Path::new("/tmp"))).unwrap_err().to_string();
    assert!(error.contains("stdout: zero,one two, stderr"), "{error}");

    let named = Hook { args: vec!["name".into()], ..shell("") };
    assert_eq!(named.argv().unwrap(), [c"name".to_owned()]);
    let unnamed = Hook { args: Vec::new(), ..shell("") };
    assert_eq!(unnamed.argv().unwrap(), [c"/bin/sh".to_owned()]);
    assert_eq!(Hook { args: vec!["a\0b".into()], ..shell("") }.argv(), Err(Errno::INVAL));
}

#[test]
fn the_environment_is_the_one_that_was_given() {
    let mut hook = shell("/bin/cat /proc/$$/environ; exit 1");
    hook.env = vec!["A=b=c".into(), "odd".into()];
    let error = hooks([hook]).run(&state(Path::new("/tmp"))).unwrap_err().to_string();
    assert!(error.contains("stdout: A=b=c\0odd\0, stderr"), "{error:?}");
    assert_eq!(printed("/bin/cat /proc/$$/environ"), "");
}

#[test]
fn the_working_directory_is_the_bundle_or_the_root_when_that_is_gone() {
    let bundle = Scratch::new();
    let gone = bundle.path().join("gone");
    for (directory, expected) in [(bundle.path(), bundle.path()), (&gone, Path::new("/"))] {
        let error = hooks([shell("/bin/pwd -P; exit 1")]).run(&state(directory)).unwrap_err().to_string();
        assert!(error.contains(&format!("stdout: {}, ", expected.display())), "{error}");
    }
}

#[test]
fn a_hook_leads_a_group_of_its_own_with_default_signals_and_no_foreign_descriptors() {
    // The name of a shell has no spaces, so that the process group is the fifth word.
    assert_eq!(printed("read a b c d group rest < /proc/$$/stat; [ $group = $$ ] && echo own"), "own");
    // Rust programs ignore SIGPIPE; the shell itself ignores and blocks nothing.
    let signals = printed(
        "while read -r line; do case $line in SigIgn*|SigBlk*) echo $line; esac; done < /proc/$$/status",
    );
    assert_eq!(signals, "SigBlk: 0000000000000000\nSigIgn: 0000000000000000");
    let inherited = rustix::io::dup(fs::File::open("/").unwrap()).unwrap().into_raw_fd();
    assert_eq!(printed(&format!("[ -e /proc/$$/fd/{inherited} ] || echo closed")), "closed");
}

#[test]
fn the_first_failure_ends_a_list_unless_all_must_run() {
    let scratch = Scratch::new();
    let path = scratch.path().join("ran");
    let note = |word: &str, status| shell(&format!("echo {word} >> {}; exit {status}", path.display()));
    let hooks = hooks([note("a", 0), note("b", 1), note("c", 2), note("d", 0)]);
    let error = hooks.run(&state(scratch.path())).unwrap_err();
    assert_eq!(error.problem(), Problem::Status(1));
    assert_eq!(fs::read_to_string(&path).unwrap(), "a\nb\n");

    let problems: Vec<_> = hooks.run_all(&state(scratch.path())).iter().map(HookError::problem).collect();
    assert_eq!(problems, [Problem::Status(1), Problem::Status(2)]);
    assert_eq!(fs::read_to_string(&path).unwrap(), "a\nb\na\nb\nc\nd\n");
}

#[test]
fn a_failure_names_the_hook_its_place_and_what_it_printed() {
    let failing = shell("echo out; echo err >&2; exit 3");
    let error = hooks([shell(""), failing]).run(&state(Path::new("/tmp"))).unwrap_err().to_string();
    let hook = "error running createRuntime hook #1 (/hooks/createRuntime/1 of config.json, /bin/sh)";
    assert_eq!(error, format!("{hook}: exit status 3, stdout: out, stderr: err"));

    let error = hooks([shell("kill -9 $$")]).run(&state(Path::new("/tmp"))).unwrap_err();
    assert_eq!(error.problem(), Problem::Signal(9));
    assert!(error.to_string().contains(": killed by signal 9, stdout: , stderr: "), "{error}");
}

#[test]
fn a_missing_executable_is_told_in_the_words_of_libc() {
    let hook = Hook { path: "/nowhere/at/all".into(), ..shell("") };
    let error = hooks([hook]).run(&state(Path::new("/tmp"))).unwrap_err();
    let hook = "error running createRuntime hook #0 (/hooks/createRuntime/0 of config.json, /nowhere/at/all)";
    assert_eq!(error.to_string(), format!("{hook}: cannot start it: no such file or directory"));
}

#[test]
fn a_hook_that_runs_past_its_time_is_killed_with_its_group() {
    let mut hook = shell("/bin/sleep 100 & echo $!; wait");
    hook.timeout = Some(Duration::from_millis(700));
    let begun = Instant::now();
    let error = hooks([hook]).run(&state(Path::new("/tmp"))).unwrap_err();
    assert!(begun.elapsed() >= Duration::from_millis(700) && begun.elapsed() < Duration::from_secs(8));
    assert_eq!(error.problem(), Problem::Timeout(Duration::from_millis(700)));
    let text = error.to_string();
    let (_, rest) = text.split_once(": hook ran past specified timeout of 0.7s, stdout: ").expect(&text);
    let sleeper = Pid::from_raw(rest.strip_suffix(", stderr: ").unwrap().parse().unwrap()).unwrap();
    assert!(ends_soon(sleeper), "the hook's own child is still there");
}

// It was sent a signal, which takes its time.
fn ends_soon(pid: Pid) -> bool {
    let Ok(pidfd) = pidfd_open(pid, PidfdFlags::empty()) else { return true };
    let patience = Timespec { tv_sec: 5, tv_nsec: 0 };
    poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&patience)) == Ok(1)
}

#[test]
#[allow(clippy::zombie_processes)] // `supervise` waits for it.
fn a_hook_that_leads_no_group_is_killed_alone() {
    let (streams, _ends) = Streams::new(&state(Path::new("/tmp"))).unwrap();
    let child = std::process::Command::new("/bin/sleep").arg("100").spawn().unwrap();
    let pid = Pid::from_child(&child);
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).unwrap();
    let hook = Hook { timeout: Some(Duration::from_millis(100)), ..shell("") };
    let begun = Instant::now();
    let error = streams.supervise(pidfd.as_fd(), pid, &hook, Kind::CreateContainer, 0).unwrap_err();
    assert_eq!(error.problem(), Problem::Timeout(Duration::from_millis(100)));
    assert!(begun.elapsed() < Duration::from_secs(5));
}

#[test]
fn a_flood_of_output_blocks_nobody_and_is_cut() {
    let flood = "i=0; while [ $i -lt 3000 ]; do echo $LINE; echo $LINE >&2; i=$((i+1)); done; exit 1";
    let hook = Hook { env: vec![format!("LINE={}", "x".repeat(99))], ..shell(flood) };
    let text = hooks([hook.clone()]).run(&state(Path::new("/tmp"))).unwrap_err().to_string();
    let dropped = 3000 * 100 - (64 << 10);
    assert_eq!(text.matches(&format!(" [{dropped} more bytes]")).count(), 2);
    assert!(text.len() < 2 * (64 << 10) + 1000);

    let succeeding = Hook { args: shell(&flood.replace("exit 1", "exit 0")).args, ..hook };
    hooks([succeeding]).run(&state(Path::new("/tmp"))).unwrap();
}

#[test]
fn a_hook_that_reads_nothing_of_a_long_state_blocks_nobody() {
    let mut state = state(Path::new("/tmp"));
    state.annotations.insert("long".into(), "x".repeat(3 << 20));
    hooks([shell("exit 0"), shell("[ $(/usr/bin/wc -c) -gt 3000000 ]")]).run(&state).unwrap();
}

#[test]
fn a_hook_may_close_its_output_and_go_on() {
    let begun = Instant::now();
    hooks([shell("exec >&- 2>&-; /bin/sleep 0.2")]).run(&state(Path::new("/tmp"))).unwrap();
    assert!(begun.elapsed() >= Duration::from_millis(200));
}

#[test]
fn background_processes_are_neither_waited_for_nor_killed() {
    for status in [0, 1] {
        let scratch = Scratch::new();
        let script = format!("/bin/sleep 100 & echo $! > {}/pid; exit {status}", scratch.path().display());
        let begun = Instant::now();
        let result = hooks([shell(&script)]).run(&state(Path::new("/tmp")));
        assert_eq!(result.is_ok(), status == 0);
        assert!(begun.elapsed() < Duration::from_secs(5));
        let pid = fs::read_to_string(scratch.path().join("pid")).unwrap();
        let sleeper = Pid::from_raw(pid.trim().parse().unwrap()).unwrap();
        kill_process(sleeper, Signal::KILL).expect("it should still be there");
    }
}

#[test]
fn what_a_background_process_goes_on_to_print_is_not_read_for_ever() {
    let mut endless = streams::Captured::from(OwnedFd::from(fs::File::open("/dev/zero").unwrap()));
    endless.drain();
    assert_eq!(endless.to_string().len(), 64 << 10);
}

#[test]
#[allow(clippy::zombie_processes)] // `supervise` waits for it.
fn what_a_hook_printed_just_before_its_end_is_kept() {
    let (streams, ends) = Streams::new(&state(Path::new("/tmp"))).unwrap();
    let script = "/usr/bin/head -c 60000 /dev/zero | /usr/bin/tr '\\0' x; exit 1";
    let mut command = std::process::Command::new("/bin/sh");
    let child = command.args(["-c", script]).stdout(ends.stdout).spawn().unwrap();
    drop(command);
    let pid = Pid::from_child(&child);
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).unwrap();
    poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], None).unwrap();
    let error = streams.supervise(pidfd.as_fd(), pid, &shell(""), Kind::Poststart, 0).unwrap_err();
    assert!(error.to_string().contains(&format!("stdout: {}, stderr", "x".repeat(60_000))));
}

#[test]
#[allow(clippy::zombie_processes)] // `supervise` waits for it.
fn streams_supervise_a_process_that_somebody_else_started() {
    let (streams, ends) = Streams::new(&state(Path::new("/tmp"))).unwrap();
    assert!([&ends.stdin, &ends.stdout, &ends.stderr].iter().all(|end| end.as_fd().as_raw_fd() > 2));
    let child = std::process::Command::new("/bin/sh")
        .args(["-c", "/usr/bin/wc -c; exit 4"])
        .stdin(ends.stdin)
        .stdout(ends.stdout)
        .stderr(ends.stderr)
        .spawn()
        .unwrap();
    let pid = Pid::from_child(&child);
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).unwrap();
    let error = streams.supervise(pidfd.as_fd(), pid, &shell(""), Kind::StartContainer, 2).unwrap_err();
    assert!(error.to_string().starts_with("error running startContainer hook #2 (/hooks/startContainer/2 "));
    assert_eq!(error.problem(), Problem::Status(4));
}

#[test]
fn an_exit_status_that_somebody_else_took_is_a_failure() {
    let (streams, ends) = Streams::new(&state(Path::new("/tmp"))).unwrap();
    let mut child = std::process::Command::new("/bin/true").spawn().unwrap();
    let pid = Pid::from_child(&child);
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).unwrap();
    child.wait().unwrap();
    drop(ends);
    let error = streams.supervise(pidfd.as_fd(), pid, &shell(""), Kind::Poststart, 0).unwrap_err();
    assert_eq!(error.problem(), Problem::Lost);
}
