//! A sample of the faults that `make test-faults` makes: commands die, calls fail, and `delete --force` brings everything
//! back to what it was.
//!
//! The sample is the same each time; the campaign's program makes it, in processes of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use integration::faults::sample::{Results, wage};
use integration::runtime::binaries;
use integration::{Kind, runtime};

#[test]
fn create_can_die_at_any_call() {
    wage(&["create", "plain", "unified", "fault=kill"]);
}

#[test]
fn a_piece_is_never_taken_for_the_whole() {
    wage(&["start", "kill", "exec", "update", "delete", "plain", "unified", "fault=short"]);
}

#[test]
fn signals_without_end_stop_nothing() {
    wage(&["run", "exec", "terminal", "unified", "fault=storm", "limit=20"]);
}

#[test]
fn every_command_can_meet_any_fault() {
    wage(&["plain", "limit=14"]);
}

#[test]
fn containers_of_ordinary_users_can_meet_any_fault() {
    wage(&["rootless", "create", "run", "exec", "delete-force", "limit=6"]);
}

#[test]
fn whatever_is_made_can_meet_any_fault() {
    let shapes = ["user", "mounts", "hooks", "terminal", "seccomp", "shared", "joined"];
    wage(&[&["create", "run", "start", "exec", "unified", "limit=14"][..], &shapes].concat());
}

/// The harness itself: a runtime that says that it has deleted a container, and has not, is not believed.
#[test]
fn what_is_left_is_found() {
    if runtime().kind != Kind::Ours {
        return;
    }
    let results = Results::fresh();
    fs::create_dir(&results.0).expect("a directory can be made");
    let liar = results.0.join("runtime");
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *'delete --force'*-[4-9]) exit 0;; esac\nexec {} \"$@\"\n",
        runtime().path.display()
    );
    fs::write(&liar, script).expect("a file can be written");
    fs::set_permissions(&liar, PermissionsExt::from_mode(0o755)).expect("a file can be made a program");
    let output = Command::new(binaries().join("faults"))
        .env("RUNTIME", &liar)
        .args(["update", "plain", "unified", "fault=stop", "limit=2", "workers=1"])
        .arg(format!("results={}", results.0.display()))
        .output()
        .expect("the program is there");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(!output.status.success(), "{said}");
    ["process", "sleep 1000", "cgroup /sys/fs/cgroup/", "file "].iter().for_each(|word| {
        assert!(said.contains(word), "nothing is said of {word}: {said}");
    });
}
