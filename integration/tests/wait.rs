//! How a container ended, for those who aren't its parent. No other runtime has this command.

use std::time::Duration;

use integration::bundle::shell;
use integration::command::ends_within;
use integration::test::text;
use integration::{Bundle, Exit, Kind, Test, World, runtime};
use serde_json::{Value, json};

/// A bundle whose program ends when there is a file `/end`.
fn bundle(test: &Test) -> Bundle {
    test.bundle(|config| shell(config, "until [ -e /end ]; do sleep 0.02; done; exit 7"))
}

fn let_end(bundle: &Bundle) {
    std::fs::write(bundle.inside("end"), "").expect("a file can be written");
}

fn ours() -> bool {
    runtime().kind == Kind::Ours
}

#[test]
fn anybody_can_wait_for_the_end() {
    let test = Test::new();
    let bundle = bundle(&test);
    if !ours() {
        return;
    }
    let container = test.start(&bundle);
    let waiting: Vec<_> = (0..3).map(|_| test.call(&["wait", &container.id]).spawn()).collect();
    for wait in &waiting {
        assert!(!ends_within(wait.pid(), Duration::from_millis(100)), "it runs still");
    }
    let_end(&bundle);
    // Its parent reaps it at once, as engines do.
    assert_eq!(container.wait(), Exit::Code(7));
    for wait in waiting {
        assert_eq!(wait.finish().ok().stdout, "7\n");
    }
    assert_eq!(container.command(&["wait"]).ok().stdout, "7\n", "it is kept");
    container.command(&["wait", "--status"]).exits(7);
    container.delete().ok();
    container.command(&["wait"]).fails_with(&["container does not exist"]);
}

#[test]
fn an_end_is_kept_by_whoever_sees_it_first() {
    let test = Test::new();
    if !ours() {
        return;
    }
    let container = test.start(&test.bundle(|config| shell(config, "exit 5")));
    assert!(ends_within(container.pid, Duration::from_secs(20)));
    assert_eq!(container.status(), "stopped");
    assert_eq!(container.wait(), Exit::Code(5));
    assert_eq!(container.command(&["wait"]).ok().stdout, "5\n");
    container.delete().ok();
}

#[test]
fn an_end_that_nobody_saw_is_not_known() {
    let test = Test::new();
    if !ours() {
        return;
    }
    let container = test.start(&test.bundle(|config| shell(config, "exit 5")));
    assert_eq!(container.wait(), Exit::Code(5));
    container.command(&["wait"]).fails_with(&["exit status of container"]);
    container.delete().ok();
}

#[test]
fn a_run_that_keeps_its_container_keeps_how_it_ended() {
    let test = Test::new();
    if !ours() {
        return;
    }
    let bundle = test.bundle(|config| shell(config, "kill -9 $$; kill -9 1; exit 4"));
    let id = test.fresh();
    test.runtime(&["run", "--keep", "--bundle", &text(&bundle.path), &id]).exits(4);
    let said = test.runtime(&["wait", "--format", "json", &id]).ok().stdout;
    let end: Value = serde_json::from_str(&said).expect("wait prints JSON");
    assert_eq!(
        (&end["exit"], &end["outOfMemory"], &end["id"]),
        (&json!({"code": 4}), &json!(false), &json!(id))
    );
    assert!(end["seen"].as_str().is_some_and(|time| time.ends_with('Z')), "{said}");
    test.runtime(&["delete", &id]).ok();
}

#[test]
fn a_signal_and_the_lack_of_memory_are_told() {
    let Some(world) = World::with("memory").filter(|_| ours()) else { return };
    let test = Test::at(world);
    let bundle = test.bundle(|config| {
        config["linux"]["resources"]["memory"] = json!({"limit": 8 << 20});
        config["process"]["args"] = json!(["/bin/dd", "if=/dev/zero", "of=/dev/null", "bs=256M", "count=1"]);
    });
    let container = test.start(&bundle);
    let wait = test.call(&["wait", "-f", "json", &container.id]).spawn();
    let said = wait.finish().ok().stdout;
    let end: Value = serde_json::from_str(&said).expect("wait prints JSON");
    assert_eq!((&end["exit"], &end["outOfMemory"]), (&json!({"signal": 9}), &json!(true)));
    container.finish();
}
