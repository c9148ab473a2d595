//! A sample of the faults that `make test-faults` makes: commands die, calls fail, and `delete --force` brings everything
//! back to what it was.
//!
//! The sample is the same each time; the campaign's program makes it, in processes of its own.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use integration::faults::report;
use integration::runtime::binaries;
use integration::{Kind, bundle, runtime};

/// Lets the campaign's program make the trials that these words choose; fails if one of them finds something.
#[track_caller]
fn wage(words: &[&str]) {
    // What the peers leave behind is theirs to count.
    if runtime().kind != Kind::Ours {
        return;
    }
    let results = Results::new();
    let mut command = Command::new(binaries().join("faults"));
    command.env("RUNTIME", &runtime().path).args(words).arg("seed=1");
    let output =
        command.arg(format!("results={}", results.0.display())).output().expect("the program is there");
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let files = report::read(&results.0).expect("there are results");
    let trials: usize = files.iter().map(|one| one.all().trials).sum();
    println!("{said}");
    assert!(output.status.success() && errors.is_empty() && trials > 0, "{trials} trials: {said}{errors}");
}

/// A directory for results, removed at the end.
struct Results(PathBuf);

impl Results {
    fn new() -> Self {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let name = format!("faults-{}-{}", std::process::id(), SERIAL.fetch_add(1, Ordering::Relaxed));
        Self(bundle::base().join(name))
    }
}

impl Drop for Results {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn create_can_die_at_any_call() {
    wage(&["create", "plain", "unified", "fault=kill"]);
}

#[test]
fn every_command_can_meet_any_fault() {
    wage(&["plain", "limit=14"]);
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
    let results = Results::new();
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
