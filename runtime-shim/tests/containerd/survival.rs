//! What happens when containerd or a shim dies.

use crate::engine::{Engine, ended_with, soon};

#[test]
fn containers_outlive_containerd_and_nothing_outlives_a_shim() {
    let Some(mut engine) = Engine::start() else { return };
    outlives_containerd(&mut engine);
    ends_while_containerd_is_away(&mut engine);
    dies_with_its_shim(&engine);
    engine.stop();
}

fn outlives_containerd(engine: &mut Engine) {
    let name = engine.sleeper();
    let (pid, shims) = (engine.pid(&name), engine.shims());
    engine.restart();
    assert_eq!((engine.status(&name).as_str(), engine.pid(&name), engine.shims()), ("RUNNING", pid, shims));
    engine.ctr(&["task", "exec", "--exec-id", "x", &name, "true"]).ok();
    let events = engine.events();
    engine.ctr(&["task", "kill", "--signal", "SIGKILL", &name]).ok();
    events.are(&name, &["exit"]);
    ended_with(engine, &name, 137);
    engine.ctr(&["container", "delete", &name]).ok();
}

fn ends_while_containerd_is_away(engine: &mut Engine) {
    let name = engine.detached(&[], &["sh", "-c", "sleep 2; exit 9"]);
    engine.restart();
    assert!(soon(|| engine.status(&name) == "STOPPED"));
    ended_with(engine, &name, 9);
    engine.ctr(&["container", "delete", &name]).ok();
}

/// containerd notices, and has the shim's binary clean up.
fn dies_with_its_shim(engine: &Engine) {
    let name = engine.sleeper();
    let shims = engine.shims();
    assert_eq!(shims.len(), 1);
    engine.room.run("kill", &["-9", &shims[0].to_string()]).ok();
    assert!(soon(|| engine.status(&name).is_empty()), "{}", engine.status(&name));
    let lives = || engine.room.processes().iter().any(|pid| command_line(*pid).contains("sleep\x00100000"));
    assert!(soon(|| !lives()), "its program lives on");
    engine.ctr(&["container", "delete", &name]).ok();
}

fn command_line(pid: i32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default()
}
