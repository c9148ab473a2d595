//! Failures: the words that engines look for, and that nothing is left behind.

use std::fs;

use integration::test::text;
use integration::{Test, promise, promises};
use serde_json::{Value, json};

/// A `create` that must fail with one of these texts, in a test of its own so that leaks are its own too.
fn refused(name: &str, texts: &[&str], edit: impl FnOnce(&mut Value)) {
    promise(name, || {
        let test = Test::new();
        test.try_create(&test.bundle(edit)).fails_with(texts);
    });
}

fn executing(name: &str, program: &str, texts: &[&str]) {
    refused(name, texts, |config| config["process"]["args"] = json!([program]));
}

#[test]
fn a_program_that_is_nowhere_fails_create() {
    // With the name quoted in the middle or not: engines look for both.
    executing("a name that is not in PATH", "nowhere", &["not found in $path"]);
    executing("a path that is not there", "/bin/nowhere", &["no such file or directory"]);
}

#[test]
fn a_program_that_cannot_be_executed_fails_create() {
    executing("a directory as the program", "/etc", &["is a directory", "permission denied"]);
    executing("a file that is not executable", "/etc/passwd", &["permission denied"]);
}

#[test]
fn configurations_that_make_no_sense_are_refused_and_leave_nothing() {
    type Edit = fn(&mut Value);
    let cases: &[(&str, Edit)] = &[
        ("no arguments", |config| config["process"]["args"] = json!([])),
        ("a relative working directory", |config| config["process"]["cwd"] = json!("tmp")),
        ("an unknown namespace", |config| config["linux"]["namespaces"] = json!([{"type": "soul"}])),
        ("a namespace twice", |config| {
            config["linux"]["namespaces"] = json!([{"type": "mount"}, {"type": "pid"}, {"type": "pid"}]);
        }),
        ("a namespace of another type", |config| {
            config["linux"]["namespaces"][1]["path"] = json!("/proc/self/ns/uts");
        }),
        ("a namespace that is not there", |config| {
            config["linux"]["namespaces"][1]["path"] = json!("/not/there")
        }),
        ("an unknown rlimit", |config| config["process"]["rlimits"][0]["type"] = json!("RLIMIT_LUCK")),
        ("an rlimit twice", |config| {
            let one = config["process"]["rlimits"][0].clone();
            config["process"]["rlimits"] = json!([one, one]);
        }),
        ("a host name without a namespace", |config| integration::bundle::namespace(config, "uts", None)),
        ("an unknown seccomp action", |config| {
            config["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_MAYBE"})
        }),
        ("a sysctl that is not namespaced", |config| {
            config["linux"]["sysctl"] = json!({"vm.swappiness": "1"})
        }),
        ("a sysctl that is not there", |config| config["linux"]["sysctl"] = json!({"net.not.there": "1"})),
        ("a file system that is not there", |config| {
            integration::bundle::mount(config, "/data", "nofs", "nofs", &[]);
        }),
        ("an unknown propagation", |config| config["linux"]["rootfsPropagation"] = json!("sideways")),
        ("a root that is a number", |config| config["root"]["path"] = json!(3)),
        ("an oom score out of range", |config| config["process"]["oomScoreAdj"] = json!(2000)),
        ("a terminal without a socket", |config| config["process"]["terminal"] = json!(true)),
    ];
    promises(cases.iter().map(|(name, edit)| {
        let refused = move || {
            let test = Test::new();
            test.try_create(&test.bundle(edit)).fails();
        };
        (name, refused)
    }));
}

#[test]
fn a_configuration_that_is_not_json_is_refused() {
    let test = Test::new();
    let bundle = test.bundle(|_| {});
    for text in ["", "{", "[]", "null", "\0", "{\"ociVersion\": 1}"] {
        fs::write(bundle.path.join("config.json"), text).expect("config.json can be written");
        promise(&format!("config.json {text:?}"), || drop(test.try_create(&bundle).fails()));
    }
}

#[test]
fn a_bundle_without_a_configuration_is_refused() {
    let test = Test::new();
    let bundle = test.bundle(|_| {});
    fs::remove_file(bundle.path.join("config.json")).expect("config.json was there");
    test.try_create(&bundle).fails_with(&["config.json"]);
    test.runtime(&["create", "--bundle", "/not/there", "name"]).fails_with(&["no such file"]);
}

#[test]
fn a_failure_is_logged_as_one_json_line() {
    let test = Test::new();
    let bundle = test.bundle(|config| config["process"]["args"] = json!(["nowhere"]));
    let log = test.directory.join("log");
    test.runtime(&[
        "--log",
        &text(&log),
        "--log-format",
        "json",
        "create",
        "--bundle",
        &text(&bundle.path),
        "it",
    ])
    .fails();
    let said = fs::read_to_string(&log).unwrap_or_default();
    promise("one line of log", || {
        let line: Value = serde_json::from_str(said.trim()).expect("the log is one JSON object");
        assert_eq!(line["level"], "error", "{said}");
        assert!(
            line["msg"].as_str().is_some_and(|text| text.contains("nowhere")) && line["time"].is_string(),
            "{said}"
        );
    });
}

#[test]
fn an_unknown_command_is_refused() {
    let test = Test::new();
    for arguments in [&["fly"][..], &["create", "--fly"]] {
        promise(&format!("{arguments:?}"), || assert!(!test.runtime(arguments).succeeded()));
    }
}
