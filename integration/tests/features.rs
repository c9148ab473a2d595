//! What a runtime says that it can do.

use integration::{Kind, Test, promise, runtime};
use serde_json::{Value, json};

fn features(test: &Test) -> Value {
    let said = test.runtime(&["features"]).ok();
    assert_eq!(said.stderr, "", "engines read both streams as one");
    serde_json::from_str(&said.stdout).expect("JSON")
}

fn words(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

#[test]
fn what_engines_look_for_is_there() {
    let test = Test::new();
    let features = features(&test);
    assert!(!features["ociVersionMin"].as_str().unwrap_or_default().is_empty());
    assert!(!features["ociVersionMax"].as_str().unwrap_or_default().is_empty());
    assert_eq!(words(&features["hooks"]).len(), 6);
    let options = words(&features["mountOptions"]);
    assert!(options.is_sorted() && options.contains(&"rro") && options.contains(&"rbind"), "{options:?}");
    let linux = &features["linux"];
    assert!(words(&linux["namespaces"]).contains(&"user"));
    assert!(words(&linux["capabilities"]).contains(&"CAP_SYS_ADMIN"));
    assert_eq!((&linux["cgroup"]["v1"], &linux["cgroup"]["v2"]), (&json!(true), &json!(true)));
    assert_eq!(linux["seccomp"]["enabled"], json!(true));
    for list in ["actions", "operators", "archs"] {
        assert!(words(&linux["seccomp"][list]).iter().all(|word| word.starts_with("SCMP_")), "{list}");
        assert!(!words(&linux["seccomp"][list]).is_empty(), "{list}");
    }
}

#[test]
fn what_is_newer_is_told_too() {
    promise("features of specification 1.2 and 1.3", || {
        let test = Test::new();
        let linux = &features(&test)["linux"];
        assert_eq!(linux["mountExtensions"]["idmap"]["enabled"], json!(true));
        for field in ["intelRdt", "netDevices"] {
            assert!(linux[field]["enabled"].is_boolean(), "{field}");
        }
    });
}

/// Whether a container with this configuration can be made.
fn is_accepted(test: &Test, edit: impl FnOnce(&mut Value)) -> bool {
    test.try_create(&test.bundle(edit)).succeeded()
}

#[test]
fn what_is_told_is_what_containers_get() {
    if runtime().kind != Kind::Ours {
        return println!("what the others claim depends on how they were built: not tested");
    }
    let test = Test::new();
    let features = features(&test);
    let linux = &features["linux"];
    for action in ["SCMP_ACT_LOG", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_NOTIFY"] {
        let told = words(&linux["seccomp"]["actions"]).contains(&action);
        let accepted = is_accepted(&test, |config| {
            let rule = json!({"names": ["swapoff"], "action": action});
            let profile =
                json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/not/there", "syscalls": [rule]});
            config["linux"]["seccomp"] = profile;
        });
        assert!(!told || accepted, "{action}: told {told}, accepted {accepted}");
    }
    // About the program: whether this kernel has the modules is another matter.
    assert_eq!((&linux["apparmor"]["enabled"], &linux["selinux"]["enabled"]), (&json!(true), &json!(true)));
}
