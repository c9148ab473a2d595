//! Commands at once: on one container, held against the model of its life, and on many.
//!
//! `make test-concurrency` runs as many sequences as are wanted.

use std::process::Command;
use std::thread;

use integration::runtime::binaries;
use integration::test::text;
use integration::{Kind, Test, World, runtime};
use serde_json::{Value, json};

/// How many sequences are run in each world in the usual run, and for how many seconds at most.
const SAMPLE: [&str; 2] = ["count=120", "seconds=10"];

#[test]
fn whatever_overlaps_can_be_put_in_an_order() {
    // The model is of our words.
    if runtime().kind != Kind::Ours {
        return;
    }
    for world in World::all() {
        let world = if world == World::Host { "world=host" } else { "world=v2" };
        let mut sequences = Command::new(binaries().join("sequences"));
        let done = sequences.env("RUNTIME", &runtime().path).args(SAMPLE).arg(world).output();
        let done = done.expect("the program was built with this test");
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        assert!(done.status.success(), "{world}: {said}{}", String::from_utf8_lossy(&done.stderr));
        eprintln!("concurrency, {world}: {}", said.trim());
    }
}

#[test]
fn many_containers_live_at_once_and_lists_are_whole() {
    let test = Test::new();
    let sleeping = |config: &mut Value| config["process"]["args"] = json!(["/bin/sleep", "1000"]);
    let lives: Vec<_> = (0..12)
        .map(|_| {
            let (id, place) = (test.fresh(), text(&test.bundle(sleeping).path));
            [vec!["create", "--bundle", &place, &id], vec!["start", &id], vec!["delete", "--force", &id]]
                .map(|line| test.call(&line))
        })
        .collect();
    let lists: Vec<_> = (0..40).map(|_| test.call(&["list", "--format", "json"])).collect();
    thread::scope(|scope| {
        for life in lives {
            scope.spawn(move || life.map(|call| call.run().ok()));
        }
        for list in lists {
            let outcome = list.run().ok();
            let all: Value = serde_json::from_str(&outcome.stdout).expect("a list is JSON");
            let whole = |state: &Value| state["status"].is_string() && state["bundle"].is_string();
            assert!(all.as_array().into_iter().flatten().all(whole), "{all}");
        }
    });
}
