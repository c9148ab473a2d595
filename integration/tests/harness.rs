//! The harness itself: what it is there to notice, it notices.

use std::fs;
use std::os::unix::fs::chown;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::{Command, Stdio};

use integration::attack::{Attacker, Sentinel};
use integration::command::DEADLINE;
use integration::expected::{Expected, probe};
use integration::{Test, World, leaks};
use serde_json::{Value, json};

/// Leaves something, and says how the account calls it.
fn noticed(leave: impl FnOnce(&Test), word: &str) {
    let test = Test::new();
    assert!(leaks::now(&test).is_empty());
    leave(&test);
    let left = leaks::now(&test);
    assert!(left.iter().any(|one| one.starts_with(word)), "{word}: {left:#?}");
    leaks::clean(&test);
    let left = leaks::now(&test);
    assert!(left.is_empty(), "not cleaned: {left:#?}");
}

#[test]
fn a_forgotten_cgroup_is_noticed() {
    let forget = |test: &Test| {
        let root = World::Unified.cgroup2().expect("the unified world has a tree");
        fs::create_dir_all(root.join(&test.mark).join("left")).expect("a cgroup can be made");
    };
    noticed(forget, "cgroup");
}

#[test]
fn a_forgotten_process_is_noticed() {
    let forget = |test: &Test| {
        let mut sleeper = Command::new("sleep");
        sleeper.arg("1000").env(leaks::MARK, &test.mark).stdin(Stdio::null());
        let pid = sleeper.spawn().expect("sleep can be run").id();
        // Whoever starts a program goes on when its new memory is there, a moment before the environment is.
        let environment = format!("/proc/{pid}/environ");
        let begun = || fs::read(&environment).is_ok_and(|text| !text.is_empty()).then_some(());
        leaks::soon(DEADLINE, begun).expect("sleep has an environment");
    };
    noticed(forget, "process");
}

#[test]
fn a_forgotten_record_is_noticed() {
    noticed(|test| fs::write(test.state_root().join("left"), "").expect("a file can be written"), "file");
}

#[test]
fn a_forgotten_temporary_file_is_noticed() {
    noticed(|test| fs::create_dir(test.directory.join("tmp/left")).expect("a directory can be made"), "file");
}

#[test]
fn every_difference_from_the_configuration_is_noticed() {
    let test = Test::at(World::Unified);
    let (config, seen) = probe(&test, |config| {
        config["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1"});
    });
    let expected = Expected::of(&config);
    assert_eq!(expected.differences(&seen), [""; 0]);
    for (pointer, instead) in [
        ("/ids/uids/1", json!(1)),
        ("/groups", json!([7])),
        ("/umask", json!(0)),
        ("/capabilities/bounding", json!(u64::MAX)),
        ("/capabilities/ambient", json!(1)),
        ("/noNewPrivileges", json!(false)),
        ("/seccomp", json!("2")),
        ("/args", json!([])),
        ("/cwd", json!("/tmp")),
        ("/env", json!(["LEAKED=1"])),
        ("/rlimits/RLIMIT_NOFILE/hard", json!(2048)),
        ("/names/host", json!("host")),
        ("/descriptors", json!({"0": "", "1": "", "2": "", "3": "/"})),
        ("/signals/blocked", json!(1)),
        ("/session/session", json!(0)),
        ("/tty/controlling", json!(true)),
        ("/keyring", json!("keyring;0;0;3f030000;_uid_ses.0")),
        ("/namespaces/net", namespace("net")),
        ("/namespaces/user", json!("user:[1]")),
        ("/cgroup", json!("0::/outside")),
        ("/mounts/0/options", json!(["rw"])),
        ("/mounts", json!([])),
        ("/masked/~1proc~1keys", json!("content")),
        ("/readonly/~1proc~1sys", json!("written")),
        ("/devices/~1dev~1null/minor", json!(5)),
        ("/files/~1dev~1ptmx/target", json!("/dev/ptmx")),
        ("/sysctls/~1proc~1sys~1net~1ipv4~1ip_forward", json!("0")),
    ] {
        let mut other = seen.clone();
        *other.pointer_mut(pointer).unwrap_or_else(|| panic!("nothing at {pointer}")) = instead;
        assert!(!expected.differences(&other).is_empty(), "{pointer}");
    }
}

fn namespace(name: &str) -> Value {
    json!(fs::read_link(format!("/proc/self/ns/{name}")).expect("a link").to_string_lossy())
}

// Attacks ---------------------------------------------------------------------------------------------------------

/// Whether dropping a sentinel fails after this was done to it.
fn tells(act: impl FnOnce(&Sentinel)) -> bool {
    let test = Test::new();
    let sentinel = Sentinel::new(&test);
    act(&sentinel);
    catch_unwind(AssertUnwindSafe(|| drop(sentinel))).is_err()
}

#[test]
fn whatever_happens_to_a_sentinel_is_told() {
    assert!(!tells(|_| {}));
    assert!(tells(|sentinel| fs::write(sentinel.join("new"), "").expect("a file can be written")));
    assert!(tells(
        |sentinel| fs::write(sentinel.join("below/deep"), "other\n").expect("a file can be written")
    ));
    assert!(tells(|sentinel| chown(sentinel.join("null"), Some(1), None).expect("root may give away")));
    assert!(tells(|sentinel| drop(fs::read(sentinel.join("passwd")))));
    assert!(tells(|sentinel| {
        fs::create_dir(sentinel.join("brief")).expect("a directory can be made");
        fs::remove_dir(sentinel.join("brief")).expect("it is empty");
    }));
}

#[test]
fn an_attacker_exchanges_until_he_is_stopped() {
    let test = Test::new();
    let [one, other] = ["one", "other"].map(|name| test.directory.join(name));
    fs::write(&one, "one").expect("a file can be written");
    fs::create_dir(&other).expect("a directory can be made");
    let attacker = Attacker::exchanging(vec![(one.clone(), other.clone())]);
    for seen in [true, false, true, false] {
        assert!(leaks::soon(DEADLINE, || (one.is_dir() == seen).then_some(())).is_some());
    }
    attacker.stop();
    assert!(one.exists() && other.exists());
}
