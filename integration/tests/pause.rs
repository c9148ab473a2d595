//! Pausing: who may be paused, what paused means to the other commands, and how it ends.

use std::fs;
use std::path::PathBuf;

use integration::bundle::shell;
use integration::{Bundle, Exit, Test, World, promise};
use serde_json::json;

fn sleeper(test: &Test) -> Bundle {
    test.bundle(|config| config["process"]["args"] = json!(["/bin/sleep", "1000"]))
}

#[test]
fn pause_and_resume_in_every_world() {
    for world in World::all() {
        let test = Test::at(world);
        let container = test.start(&sleeper(&test));
        for _ in 0..3 {
            let paused = container.command(&["pause"]).ok();
            assert_eq!((paused.stdout.as_str(), paused.stderr.as_str()), ("", ""), "{world:?}");
            assert_eq!(container.status(), "paused", "{world:?}");
            container.command(&["resume"]).ok();
            assert_eq!(container.status(), "running", "{world:?}");
        }
    }
}

#[test]
fn a_created_container_can_be_paused_too() {
    let test = Test::new();
    let container = test.create(&sleeper(&test));
    container.command(&["pause"]).ok();
    assert_eq!(container.status(), "paused");
    container.start().fails_with(&["start"]);
    container.command(&["resume"]).ok();
    assert_eq!(container.status(), "created");
    container.start().ok();
    assert_eq!(container.status(), "running");
}

#[test]
fn what_is_in_the_wrong_state_is_refused() {
    let test = Test::new();
    let container = test.start(&sleeper(&test));
    container.command(&["resume"]).fails_with(&["container not paused"]);
    container.command(&["pause"]).ok();
    container.command(&["pause"]).fails_with(&["container not running"]);
    container.command(&["resume"]).ok();
    container.kill("KILL").ok();
    container.wait();
    container.command(&["pause"]).fails_with(&["container not running"]);
    container.command(&["resume"]).fails_with(&["container not paused"]);
}

#[test]
fn a_paused_container_is_deleted_by_force_alone() {
    for world in World::all() {
        let test = Test::at(world);
        let container = test.start(&sleeper(&test));
        container.command(&["pause"]).ok();
        container.delete().fails_with(&["that is not stopped: paused"]);
        assert_eq!(container.status(), "paused", "{world:?}");
        container.delete_by_force().ok();
    }
}

#[test]
fn sigkill_ends_a_paused_container_and_other_signals_wait() {
    for world in World::all() {
        let test = Test::at(world);
        let container = test.start(&test.bundle(|config| {
            shell(config, "trap 'exit 7' TERM; echo ready; while :; do sleep 0.05; done");
        }));
        container.has_said("ready");
        container.command(&["pause"]).ok();
        container.kill("TERM").ok();
        assert_eq!(container.status(), "paused", "{world:?}");
        container.command(&["resume"]).ok();
        assert_eq!(container.wait(), Exit::Code(7), "{world:?}");

        let container = test.start(&sleeper(&test));
        container.command(&["pause"]).ok();
        container.kill("KILL").ok();
        assert_eq!(container.wait(), Exit::Signal(9), "{world:?}");
    }
}

#[test]
fn what_another_process_has_frozen_is_paused_and_can_be_resumed() {
    let test = Test::at(World::Unified);
    let container = test.start(&sleeper(&test));
    let cgroup = container.cgroup2().expect("this world has cgroup2");
    fs::write(cgroup.join("cgroup.freeze"), "1").expect("a cgroup can be frozen");
    let paused = integration::leaks::soon(integration::command::DEADLINE, || {
        (container.status() == "paused").then_some(())
    });
    assert!(paused.is_some());
    container.command(&["resume"]).ok();
    assert_eq!(container.status(), "running");
}

#[test]
fn what_a_container_has_frozen_below_it_stays_so() {
    let test = Test::at(World::Unified);
    let container = test.start(&sleeper(&test));
    let nested = container.cgroup2().expect("this world has cgroup2").join("nested");
    fs::create_dir(&nested).expect("a cgroup can be made below");
    fs::write(nested.join("cgroup.freeze"), "1").expect("a cgroup can be frozen");
    container.command(&["pause"]).ok();
    container.command(&["resume"]).ok();
    let frozen = fs::read_to_string(nested.join("cgroup.freeze")).expect("the cgroup is there");
    assert_eq!(frozen.trim(), "1");
}

#[test]
fn pauses_and_resumes_at_once_lose_nothing() {
    promise("pauses and resumes at once", || {
        let test = Test::new();
        let container = test.start(&sleeper(&test));
        let calls: Vec<_> = (0..40)
            .map(|number| {
                test.call(&[if number % 2 == 0 { "pause" } else { "resume" }, &container.id]).spawn()
            })
            .collect();
        for call in calls {
            let outcome = call.finish();
            let refused = outcome.stderr.contains("not running") || outcome.stderr.contains("not paused");
            assert!(outcome.succeeded() || refused, "{outcome:#?}");
        }
        if container.status() == "paused" {
            container.command(&["resume"]).ok();
        }
        assert_eq!(container.status(), "running");
    });
}

/// A process that is born frozen would never say that it is ready.
#[test]
fn nothing_is_made_below_a_frozen_cgroup() {
    for world in World::all() {
        let test = Test::at(world);
        let Some((frozen, file, words)) = freezer(&test) else { continue };
        fs::create_dir(&frozen).expect("a cgroup can be made");
        fs::write(frozen.join(file), words[0]).expect("a cgroup can be frozen");
        test.try_create(&sleeper(&test)).fails_with(&["frozen"]);
        fs::write(frozen.join(file), words[1]).expect("a cgroup can be thawed");
        test.create(&sleeper(&test));
    }
}

/// The test's own cgroup where it can be frozen, the file for that, and what is written there to freeze and to thaw.
fn freezer(test: &Test) -> Option<(PathBuf, &'static str, [&'static str; 2])> {
    let v1 =
        test.world.hierarchies().into_iter().find(|one| one.name.split(',').any(|name| name == "freezer"));
    match v1 {
        Some(hierarchy) => Some((hierarchy.root.join(&test.mark), "freezer.state", ["FROZEN", "THAWED"])),
        None => Some((test.world.cgroup2()?.join(&test.mark), "cgroup.freeze", ["1", "0"])),
    }
}
