//! What `doctor` finds. No other runtime has this command.

use integration::bundle::mount;
use integration::test::text;
use integration::{Kind, Outcome, Test, World, runtime};
use serde_json::{Value, json};

/// `doctor` in JSON, about a bundle with the default configuration, changed by `edit`.
fn doctor(test: &Test, edit: impl FnOnce(&mut Value)) -> (Outcome, Vec<Value>) {
    let bundle = test.bundle(edit);
    let outcome = test.runtime(&["doctor", "--format", "json", &text(&bundle.path)]);
    let findings = serde_json::from_str(&outcome.stdout).expect("doctor prints a list");
    (outcome, findings)
}

/// The one finding about this field.
fn about<'a>(findings: &'a [Value], subject: &str) -> &'a Value {
    let mut all = findings.iter().filter(|finding| finding["subject"] == subject);
    let found = all.next().unwrap_or_else(|| panic!("nothing about {subject}: {findings:#?}"));
    assert!(all.next().is_none(), "more than one about {subject}: {findings:#?}");
    found
}

fn ours() -> bool {
    runtime().kind == Kind::Ours
}

#[test]
fn a_bundle_that_can_be_run_is_well_in_every_world() {
    if !ours() {
        return;
    }
    for world in World::all() {
        let test = Test::at(world);
        let (outcome, findings) = doctor(&test, |_| {});
        outcome.ok();
        assert_eq!(about(&findings, "bundle")["verdict"], "good");
        assert_eq!(about(&findings, "kernel")["verdict"], "good");
        assert!(test.cgroups().is_empty(), "it makes nothing");
    }
}

#[test]
fn what_a_bundle_needs_and_the_machine_lacks_is_named() {
    if !ours() {
        return;
    }
    let test = Test::new();
    let (outcome, findings) = doctor(&test, |config| {
        mount(config, "/data", "bind", "/not/there", &["bind"]);
        mount(config, "/other", "nofs", "nofs", &[]);
        config["linux"]["namespaces"][1]["path"] = json!("/not/a/namespace");
        config["hooks"] = json!({"createRuntime": [{"path": "/not/a/hook"}]});
        config["process"]["capabilities"]["bounding"] = json!(["CAP_FLY"]);
        config["linux"]["seccomp"] = integration::agent::profile("/not/an/agent".as_ref(), &["mkdir"]);
    });
    outcome.fails_with(&["4 things have to be put right"]);
    for (subject, verdict, words) in [
        ("/mounts/7/source", "bad", "/not/there: no such file or directory"),
        ("/mounts/8", "fair", "nofs"),
        ("/linux/namespaces", "bad", "/not/a/namespace: no such file or directory"),
        ("/hooks/createRuntime", "bad", "/not/a/hook: no such file or directory"),
        ("/linux/seccomp/listenerPath", "bad", "/not/an/agent: no such file or directory"),
        ("config.json", "fair", "CAP_FLY"),
    ] {
        let finding = about(&findings, subject);
        let found = finding["found"].as_str().unwrap_or_default();
        assert!(finding["verdict"] == verdict && found.contains(words), "{finding}");
        assert!(finding["advice"].is_string(), "{finding}");
    }
    let (outcome, findings) = doctor(&test, |config| config["process"]["cwd"] = json!("relative"));
    outcome.fails_with(&["one thing has to be put right"]);
    assert_eq!(about(&findings, "bundle")["verdict"], "bad");
}

#[test]
fn a_limit_above_the_callers_needs_a_capability() {
    if !ours() {
        return;
    }
    let test = Test::new();
    let bundle = test.bundle(|config| {
        config["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 999_999, "hard": 999_999}]);
    });
    let script = "ulimit -n 4096; exec setpriv --bounding-set -sys_resource \"$@\"";
    let call = test.call_by(script, &["doctor", &text(&bundle.path)]);
    let said = call.run().fails_with(&["one thing has to be put right"]).stdout;
    assert!(said.contains("a hard limit of 999999 is above 4096"), "{said}");
}

#[test]
fn users_other_than_root_are_told_what_they_need() {
    if !ours() {
        return;
    }
    let test = Test::new();
    // The binary may lie where only root can go: it is opened before.
    let script = "runtime=$1; shift; exec 9<\"$runtime\"; exec setpriv --reuid=65534 --clear-groups /proc/self/fd/9 \"$@\"";
    let said = test.call_by(script, &["doctor"]).run().stdout;
    assert!(said.contains("user 65534") && said.contains("newuidmap"), "{said}");
}
