//! What `events` tells: what a container uses, that memory ran out, and the end.

use std::time::Duration;

use integration::bundle::{memory_without_swap, shell};
use integration::command::DEADLINE;
use integration::leaks::soon;
use integration::{Container, Test, World, promise};
use serde_json::{Value, json};

fn sleeper(test: &Test) -> Container<'_> {
    test.start(&test.bundle(|config| {
        config["process"]["args"] = json!(["/bin/sleep", "1000"]);
        if test.world.hierarchy("memory").is_some() {
            config["linux"]["resources"]["memory"] = json!({"limit": 33_554_432});
        }
    }))
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("every line is JSON")).collect()
}

#[test]
fn stats_are_one_line_with_the_keys_of_runc() {
    for world in World::all() {
        let test = Test::at(world);
        let container = sleeper(&test);
        let said = test.runtime(&["events", "--stats", &container.id]).ok();
        assert_eq!((said.stdout.lines().count(), said.stderr.as_str()), (1, ""), "{world:?}");
        let event = lines(&said.stdout).remove(0);
        assert_eq!((&event["type"], &event["id"]), (&json!("stats"), &json!(container.id)), "{world:?}");
        let data = &event["data"];
        for key in ["cpu", "cpuset", "memory", "pids", "blkio", "hugetlb", "intel_rdt", "network_interfaces"]
        {
            assert!(data.get(key).is_some(), "{world:?}: {key} in {data}");
        }
        assert_eq!(data["pids"]["current"], json!(1), "{world:?}");
        assert!(data["cpu"]["usage"]["total"].as_u64().is_some_and(|used| used > 0), "{world:?}: {data}");
        if test.world.hierarchy("memory").is_some() {
            assert_eq!(data["memory"]["usage"]["limit"], json!(33_554_432), "{world:?}");
            assert!(data["memory"]["usage"]["usage"].as_u64().is_some_and(|used| used > 0), "{world:?}");
        }
    }
}

#[test]
fn lines_come_at_the_interval_until_the_container_ends() {
    promise("events end with the container", || {
        for world in World::all() {
            let test = Test::at(world);
            let container = sleeper(&test);
            let call = test.call(&["events", "--interval", "40ms", &container.id]).spawn();
            std::thread::park_timeout(Duration::from_millis(400));
            container.kill("KILL").ok();
            container.wait();
            let said = call.finish().ok();
            let told = lines(&said.stdout);
            assert!((3..=20).contains(&told.len()), "{world:?}: {} lines", told.len());
            assert!(told.iter().all(|event| event["type"] == "stats"), "{world:?}");
            assert_eq!(said.stderr, "", "{world:?}");
        }
    });
}

#[test]
fn memory_that_runs_out_is_told_at_once() {
    let Some(world) = World::with("memory") else { return };
    promise("events tell that memory ran out", || {
        let test = Test::at(world);
        let container = test.create(&test.bundle(|config| {
            config["linux"]["resources"]["memory"] = memory_without_swap(16_777_216);
            shell(config, "while :; do dd if=/dev/zero of=/dev/null bs=200M count=1; sleep 0.1; done");
        }));
        let call = test.call(&["events", "--interval", "1h", &container.id]).spawn();
        container.start().ok();
        soon(DEADLINE, || call.stdout().contains("oom").then_some(())).expect("an event");
        assert_eq!(container.status(), "running", "the shell goes on");
        container.kill("KILL").ok();
        container.wait();
        let said = call.finish().ok();
        let oom = json!({"type": "oom", "id": container.id});
        let told = lines(&said.stdout);
        assert!(!told.is_empty() && told.iter().all(|event| *event == oom), "{said:?}");
    });
}

#[test]
fn what_has_stopped_tells_nothing() {
    let test = Test::new();
    let container = sleeper(&test);
    container.kill("KILL").ok();
    container.wait();
    test.runtime(&["events", "--stats", &container.id]).fails_with(&["is not running"]);
    test.runtime(&["events", "nobody"]).fails_with(&["does not exist"]);
}

#[test]
fn an_interval_is_longer_than_nothing() {
    let test = Test::new();
    let container = sleeper(&test);
    for interval in ["0s", "-1s", "soon", "5"] {
        test.runtime(&["events", "--interval", interval, &container.id]).fails();
    }
    test.runtime(&["events", "--interval=1h30m", "--stats", &container.id]).ok();
}

#[test]
fn an_update_is_seen_in_the_stats() {
    let Some(world) = World::with("pids") else { return };
    let test = Test::at(world);
    let container = sleeper(&test);
    test.runtime(&["update", "--pids-limit", "99", &container.id]).ok();
    let said = test.runtime(&["events", "--stats", &container.id]).ok();
    let event = lines(&said.stdout).remove(0);
    assert_eq!(event["data"]["pids"]["limit"], json!(99));
}
