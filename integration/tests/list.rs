//! The list of containers: its forms, what it does about broken entries, and that it stays quick.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use integration::{Bundle, Container, Kind, Test, runtime};
use serde_json::{Value, json};

fn sleeper(test: &Test) -> Bundle {
    test.bundle(|config| config["process"]["args"] = json!(["/bin/sleep", "1000"]))
}

#[test]
fn an_empty_list_is_null_or_a_head() {
    let test = Test::new();
    assert_eq!(test.runtime(&["list", "-f", "json"]).ok().stdout, "null\n");
    let table = test.runtime(&["list"]).ok().stdout;
    let head: Vec<_> = table.split_whitespace().collect();
    assert_eq!(head, ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"]);
    assert_eq!(test.runtime(&["list", "-q"]).ok().stdout, "");
}

#[test]
fn every_form_tells_the_same() {
    let test = Test::new();
    let container = test.start(&sleeper(&test));
    let listed = test.runtime(&["list", "-f", "json"]).ok().stdout;
    let listed: Value = serde_json::from_str(&listed).expect("JSON");
    let mut wanted = container.state();
    wanted["owner"] = json!("root");
    assert_eq!(listed, json!([wanted]));
    let table = test.runtime(&["list"]).ok().stdout;
    let row: Vec<_> = table.lines().nth(1).unwrap_or_default().split_whitespace().collect();
    let text = |key: &str| wanted[key].as_str().unwrap_or_default().to_owned();
    let pid = container.pid.to_string();
    assert_eq!(row, [&text("id"), &pid, "running", &text("bundle"), &text("created"), "root"]);
    assert_eq!(test.runtime(&["list", "--quiet"]).ok().stdout, format!("{}\n", container.id));
}

#[test]
fn a_broken_entry_is_told_and_hides_no_other() {
    let test = Test::new();
    let container = test.create(&sleeper(&test));
    let broken = test.state_root().join("broken");
    fs::create_dir(&broken).expect("a directory can be made");
    fs::write(broken.join("state.json"), "{").expect("a file can be written");
    let listed = test.runtime(&["list", "--quiet"]).ok();
    assert_eq!(listed.stdout, format!("{}\n", container.id));
    assert!(listed.stderr.contains("broken"), "{listed:?}");
    fs::remove_dir_all(broken).expect("a directory can be removed");
}

/// The shortest of some runs.
fn shortest(runs: usize, mut run: impl FnMut()) -> Duration {
    let times = (0..runs).map(|_| {
        let start = Instant::now();
        run();
        start.elapsed()
    });
    times.min().unwrap_or_default()
}

/// Another entry that is about the same container.
fn copy(container: &Container<'_>, state: &Path, id: &str) {
    let (from, to) = (state.join(&container.id), state.join(id));
    fs::create_dir(&to).expect("a directory can be made");
    let record = fs::read_to_string(from.join("state.json")).expect("a record");
    let record = record.replace(&container.id, id);
    fs::write(to.join("state.json"), record).expect("a record can be written");
}

/// Far above what it takes, and far below what it takes when each entry looks at all others.
#[test]
fn a_thousand_containers_are_listed_quickly() {
    if runtime().kind != Kind::Ours {
        return println!("the records of others have other forms: not tested");
    }
    let test = Test::new();
    let container = test.start(&sleeper(&test));
    let state = test.state_root();
    let alone = shortest(20, || drop(container.state()));
    (0..999).for_each(|number| copy(&container, &state, &format!("copy{number}")));
    let crowded = shortest(20, || drop(container.state()));
    let listing = shortest(5, || {
        assert_eq!(test.runtime(&["list", "--quiet"]).ok().stdout.lines().count(), 1000);
    });
    (0..999).for_each(|number| {
        fs::remove_dir_all(state.join(format!("copy{number}"))).expect("a directory can be removed");
    });
    assert!(crowded < alone * 3, "{crowded:?} after {alone:?}");
    assert!(listing < Duration::from_secs(1), "{listing:?}");
}
