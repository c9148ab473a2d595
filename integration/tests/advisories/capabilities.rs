//! What a process may do: the five sets of capabilities.

use std::fs;

use integration::bundle::shell;
use integration::expected::CAPABILITIES;
use integration::{Outcome, Test};
use rustix::fs::{XattrFlags, setxattr};
use serde_json::{Value, json};

use crate::room::{exec, sleeping};

const SETS: [(&str, &str); 5] = [
    ("bounding", "CapBnd"),
    ("effective", "CapEff"),
    ("permitted", "CapPrm"),
    ("inheritable", "CapInh"),
    ("ambient", "CapAmb"),
];

const STATUS: &str = "cat /proc/self/status";

/// A set as a process sees its own.
fn set(outcome: &Outcome, name: &str) -> u64 {
    let mut lines = outcome.stdout.lines().filter_map(|line| line.split_once(":\t"));
    let found = lines.rfind(|(key, _)| *key == name);
    let (_, digits) = found.unwrap_or_else(|| panic!("no {name}: {outcome:?}"));
    u64::from_str_radix(digits, 16).expect("a set of capabilities")
}

fn bit(name: &str) -> u64 {
    1 << CAPABILITIES.iter().position(|one| *one == name).expect("a capability")
}

#[test]
fn cve_2022_24769_cve_2022_29162_nothing_is_inheritable_unless_asked_for() {
    let test = Test::new();
    let said = test.run_with(|config| shell(config, STATUS)).ok();
    assert_eq!((set(&said, "CapInh"), set(&said, "CapAmb")), (0, 0));
    let said = test.run_with(|config| {
        config["process"]["capabilities"] = json!({"bounding": ["CAP_NET_RAW", "CAP_SETUID"]});
        config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
        shell(config, STATUS);
    });
    let said = said.ok();
    let all = SETS.map(|(_, name)| set(&said, name));
    assert_eq!(all, [bit("NET_RAW") | bit("SETUID"), 0, 0, 0, 0]);
}

#[test]
fn cve_2022_27650_cve_2025_27612_a_further_process_inherits_nothing() {
    let test = Test::new();
    let container = sleeping(&test, |_| {});
    let status = ["/bin/sh", "-c", STATUS];
    for options in
        [&["--cap", "CAP_NET_RAW", "--user", "1000"][..], &["--cap", "CAP_NET_RAW"], &["--user", "1000"], &[]]
    {
        let said = exec(&test, &container, options, &status).ok();
        assert_eq!((set(&said, "CapInh"), set(&said, "CapAmb")), (0, 0), "{options:?}");
    }
    // As a library's caller would, with a whole process of its own.
    let process = json!({
        "args": status, "cwd": "/", "env": ["PATH=/bin"], "user": {"uid": 1000, "gid": 1000},
        "capabilities": {"bounding": ["CAP_NET_RAW"], "permitted": ["CAP_NET_RAW"], "effective": ["CAP_NET_RAW"]}
    });
    let file = test.directory.join("process.json");
    fs::write(&file, process.to_string()).expect("the test's own file");
    let said = test.runtime(&["exec", "--process", &integration::test::text(&file), &container.id]).ok();
    assert_eq!(SETS.map(|(_, name)| set(&said, name)), [bit("NET_RAW"), 0, 0, 0, 0]);
}

/// The kernel's second version of the attribute: permitted, then inheritable capabilities of a file.
fn inheritable_capability(name: &str) -> Vec<u8> {
    const SECOND_VERSION: u32 = 0x0200_0000;
    let inheritable = bit(name) as u32;
    [SECOND_VERSION, 0, inheritable, 0, 0].iter().flat_map(|word| word.to_le_bytes()).collect()
}

#[test]
fn cve_2022_29162_a_file_with_inheritable_capabilities_gives_none() {
    let test = Test::new();
    let bundle = test.bundle(|config| {
        config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
        config["process"]["noNewPrivileges"] = json!(false);
        config["process"]["capabilities"] =
            json!({"bounding": ["CAP_NET_RAW"], "permitted": ["CAP_NET_RAW"], "effective": ["CAP_NET_RAW"]});
        config["process"]["args"] = json!([
            "/bin/busybox-gifted",
            "sh",
            "-c",
            "/bin/busybox-gifted cat /proc/self/status; sleep 1000"
        ]);
    });
    let gifted = bundle.inside("bin/busybox-gifted");
    fs::copy(integration::bundle::busybox(), &gifted).expect("the root is ours");
    setxattr(&gifted, "security.capability", &inheritable_capability("NET_RAW"), XattrFlags::empty())
        .expect("root may give capabilities");
    let container = test.start(&bundle);
    let command = ["/bin/busybox-gifted", "cat", "/proc/self/status"];
    for options in [&["--cap", "CAP_NET_RAW"][..], &[]] {
        let said = exec(&test, &container, &[options, &["--user", "1000"]].concat(), &command).ok();
        assert_eq!([set(&said, "CapPrm"), set(&said, "CapInh")], [0, 0], "{options:?}");
    }
    let first = Outcome { stdout: container.stdout(), ..exec(&test, &container, &[], &["/bin/true"]) };
    assert_eq!([set(&first, "CapPrm"), set(&first, "CapInh")], [0, 0]);
}

/// Every combination of sets that are there and sets that are not: none is more than was asked for.
#[test]
fn cve_2022_29162_a_set_that_is_missing_is_empty() {
    let test = Test::new();
    for combination in 0..1_u32 << SETS.len() {
        let there = |index: usize| combination & 1 << index != 0;
        let asked: serde_json::Map<String, Value> = (0..SETS.len())
            .filter(|index| there(*index))
            .map(|index| (SETS[index].0.to_owned(), json!(["CAP_NET_RAW"])))
            .collect();
        let outcome = test.run_with(|config| {
            config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
            config["process"]["capabilities"] = Value::Object(asked);
            shell(config, STATUS);
        });
        if !outcome.succeeded() {
            assert!(outcome.stdout.is_empty(), "{combination:05b}: {outcome:?}");
            continue;
        }
        let asked_for = |index: usize| if there(index) { bit("NET_RAW") } else { 0 };
        let [bounding, effective, permitted, inheritable, ambient] =
            SETS.map(|(_, name)| set(&outcome, name));
        assert_eq!(bounding, asked_for(0), "{combination:05b}");
        assert_eq!(inheritable & !asked_for(3), 0, "{combination:05b}");
        assert_eq!(ambient & !(asked_for(4) & asked_for(3) & asked_for(2)), 0, "{combination:05b}");
        assert_eq!((effective | permitted) & !ambient, 0, "{combination:05b}");
    }
}
