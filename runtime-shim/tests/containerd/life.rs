//! The life of containers and of their further processes.

use serde_json::Value;

use crate::engine::{Engine, ended_with, soon};

#[test]
fn containers_live_and_die() {
    let Some(engine) = Engine::start() else { return };
    runs(&engine);
    refuses(&engine);
    executes(&engine);
    tells_everything_in_order(&engine);
    tells_ends_in_order(&engine);
    kills(&engine);
    pauses(&engine);
    limits(&engine);
    engine.stop();
}

fn runs(engine: &Engine) {
    let outcome = engine.run(&[], &["sh", "-c", "echo hello; echo err >&2"]).ok();
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("hello\n", "err\n"));
    engine.run(&[], &["sh", "-c", "exit 7"]).exits(7);
    let name = engine.run(&[], &["sh", "-c", "cat /proc/1/comm"]).ok().stdout;
    assert_eq!(name, "cat\n", "it has process ids of its own");
}

fn refuses(engine: &Engine) {
    engine.run(&[], &["nowhere"]).fails_with(&["executable file not found in $PATH"]);
    let name = engine.sleeper();
    engine.ctr(&["task", "delete", &name]).fails_with(&["running"]);
    engine.ctr(&["task", "checkpoint", &name]).fails_with(&["can't checkpoint"]);
    engine.remove(&name);
}

fn executes(engine: &Engine) {
    let name = engine.sleeper();
    let exec = |id: &str, program: &[&str]| {
        engine.ctr(&[&["task", "exec", "--exec-id", id, &name], program].concat())
    };
    assert_eq!(exec("a", &["sh", "-c", "echo out; cat /proc/1/comm"]).ok().stdout, "out\nsleep\n");
    exec("b", &["sh", "-c", "exit 5"]).exits(5);
    exec("c", &["nowhere"]).fails_with(&["executable file not found in $PATH"]);
    let background = engine.call(&["task", "exec", "--exec-id", "d", &name, "sleep", "99999"]).spawn();
    let listed = || engine.ctr(&["task", "ps", &name]).ok().stdout;
    assert!(soon(|| listed().contains("d")), "{}", listed());
    exec("d", &["true"]).fails_with(&["already exists"]);
    engine.ctr(&["task", "kill", "--signal", "SIGKILL", "--exec-id", "d", &name]).ok();
    background.finish().exits(137);
    assert_eq!(engine.status(&name), "RUNNING");
    engine.remove(&name);
}

fn tells_everything_in_order(engine: &Engine) {
    let events = engine.events();
    let name = engine.sleeper();
    engine.ctr(&["task", "exec", "--exec-id", "x", &name, "true"]).ok();
    engine.ctr(&["task", "pause", &name]).ok();
    engine.ctr(&["task", "resume", &name]).ok();
    engine.remove(&name);
    #[rustfmt::skip]
    events.are(&name, &[
        "create", "start", "exec-added x", "exec-started x", "exit x", "paused", "resumed", "exit", "delete",
    ]);
}

/// What ends with a container has ended before it.
fn tells_ends_in_order(engine: &Engine) {
    for _ in 0..5 {
        let events = engine.events();
        let name = engine.sleeper();
        for id in ["xa", "xb"] {
            engine.ctr(&["task", "exec", "--detach", "--exec-id", id, &name, "sleep", "99999"]).ok();
        }
        engine.ctr(&["task", "kill", "--signal", "SIGKILL", &name]).ok();
        assert!(soon(|| engine.status(&name) == "STOPPED"));
        engine.remove(&name);
        assert!(soon(|| events.of(&name).last().is_some_and(|last| last == "delete")));
        let seen = events.of(&name);
        let place = |wanted: &str| seen.iter().position(|seen| seen == wanted).expect(wanted);
        assert!(place("exit xa") < place("exit") && place("exit xb") < place("exit"), "{seen:?}");
    }
    for _ in 0..20 {
        let events = engine.events();
        let name = engine.detached(&[], &["true"]);
        assert!(soon(|| engine.status(&name) == "STOPPED"));
        engine.remove(&name);
        events.are(&name, &["create", "start", "exit", "delete"]);
    }
}

fn kills(engine: &Engine) {
    let name = engine.detached(&[], &["sh", "-c", "trap 'exit 3' TERM; while :; do sleep 0.1; done"]);
    assert!(soon(|| {
        engine.ctr(&["task", "kill", &name]);
        engine.status(&name) == "STOPPED"
    }));
    engine.ctr(&["task", "kill", &name]).fails_with(&["not found", "already finished"]);
    ended_with(engine, &name, 3);
    engine.ctr(&["container", "delete", &name]).ok();
    let shared = engine.detached(
        &["--with-ns", &format!("pid:/proc/{}/ns/pid", std::process::id())],
        &["sh", "-c", "sleep 99999 & sleep 99999; true"],
    );
    assert!(soon(|| engine.ctr(&["task", "ps", &shared]).stdout.lines().count() == 4));
    engine.ctr(&["task", "kill", "--all", "--signal", "SIGKILL", &shared]).ok();
    assert!(soon(|| engine.status(&shared) == "STOPPED"));
    engine.remove(&shared);
}

fn pauses(engine: &Engine) {
    let name = engine.sleeper();
    engine.ctr(&["task", "pause", &name]).ok();
    assert_eq!(engine.status(&name), "PAUSED");
    engine.ctr(&["task", "exec", "--exec-id", "x", &name, "true"]).fails_with(&["paused"]);
    engine.ctr(&["task", "resume", &name]).ok();
    assert_eq!(engine.status(&name), "RUNNING");
    engine.remove(&name);
}

fn limits(engine: &Engine) {
    let memory = (64 << 20).to_string();
    let name = engine.detached(&["--memory-limit", &memory], &["sleep", "99999"]);
    let text = engine.ctr(&["task", "metrics", "--format", "json", &name]).ok().stdout;
    let seen: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    assert_eq!(seen["pids"]["current"], 1, "{text}");
    assert_eq!(seen["memory"]["usage"]["limit"], 64 << 20, "{text}");
    engine.remove(&name);
    let events = engine.events();
    let script = "sleep 1; head -c 100000000 /dev/zero | tail > /dev/null; exit 0";
    let name = engine.detached(&["--memory-limit", &memory], &["sh", "-c", script]);
    assert!(soon(|| engine.status(&name) == "STOPPED"));
    assert!(soon(|| events.of(&name).contains(&"exit".to_owned())));
    let seen = events.of(&name);
    assert!(seen.contains(&"oom".to_owned()), "{seen:?}");
    engine.remove(&name);
}
