//! Filters, seen from behind them.

use integration::bundle::shell;
use integration::expected::probe;
use integration::{Test, promise};
use serde_json::{Value, json};

/// What the prober's calls answer behind a filter that allows everything but these rules.
fn behind(rules: Value) -> Value {
    let (_, seen) = probe(&Test::new(), |config| {
        config["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rules});
    });
    seen["syscalls"].clone()
}

#[test]
fn a_forbidden_call_returns_the_errno_of_its_rule() {
    let seen = behind(json!([
        {"names": ["keyctl"], "action": "SCMP_ACT_ERRNO"},
        {"names": ["ptrace", "kcmp"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}
    ]));
    assert_eq!(
        (&seen["keyctl"], &seen["ptrace"], &seen["kcmp"]),
        (&json!("EPERM"), &json!("ENOSYS"), &json!("ENOSYS"))
    );
    assert_eq!(seen["getpid"], "0");
}

#[test]
fn a_condition_decides_by_the_argument() {
    let rule = |value: u64, op: &str| json!([{"names": ["setns"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5, "args": [{"index": 1, "value": value, "op": op}]}]);
    for (value, op, matches) in [
        (0, "SCMP_CMP_EQ", true),
        (1, "SCMP_CMP_EQ", false),
        (1, "SCMP_CMP_NE", true),
        (1, "SCMP_CMP_LT", true),
        (0, "SCMP_CMP_LE", true),
        (0, "SCMP_CMP_GE", true),
        (0, "SCMP_CMP_GT", false),
    ] {
        let seen = behind(rule(value, op));
        assert_eq!(seen["setns"], if matches { "EIO" } else { "EBADF" }, "{op} {value}");
    }
}

#[test]
fn unknown_calls_are_passed_over() {
    let seen = behind(json!([
        {"names": ["not_a_call"], "action": "SCMP_ACT_ERRNO"}, {"names": ["keyctl"], "action": "SCMP_ACT_ERRNO"}
    ]));
    assert_eq!(seen["keyctl"], "EPERM");
}

#[test]
fn the_default_action_refuses_what_no_rule_allows() {
    let (_, seen) =
        probe(&Test::new(), |config| config["linux"]["seccomp"] = integration::seccomp::docker_sized());
    for forbidden in ["keyctl", "bpf", "mount", "reboot", "userfaultfd", "perf_event_open"] {
        assert_eq!(seen["syscalls"][forbidden], "EPERM", "{forbidden}");
    }
    assert_eq!(seen["syscalls"]["clone3"], "ENOSYS");
    assert_eq!(seen["syscalls"]["getpid"], "0");
}

#[test]
fn kill_ends_the_process() {
    let test = Test::new();
    let outcome = test.run_with(|config| {
        config["linux"]["seccomp"] = json!({
            "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_KILL_PROCESS"}]
        });
        shell(config, "(mkdir /tmp/new); echo $?");
    });
    assert_eq!(outcome.stdout.trim(), "159");
}

#[test]
fn without_new_privileges_or_without_the_filter_is_still_installed() {
    for asked in [true, false] {
        let (_, seen) = probe(&Test::new(), |config| {
            config["process"]["noNewPrivileges"] = json!(asked);
            config["linux"]["seccomp"] = json!({
                "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["keyctl"], "action": "SCMP_ACT_ERRNO"}]
            });
        });
        assert_eq!(
            (&seen["seccomp"], &seen["syscalls"]["keyctl"]),
            (&json!("2"), &json!("EPERM")),
            "{asked}"
        );
    }
}

#[test]
fn a_filter_holds_for_exec_too() {
    promise("a filter holds for exec too", || {
        let test = Test::new();
        let container = test.start(&test.bundle(|config| {
            config["linux"]["seccomp"] = json!({
                "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["keyctl"], "action": "SCMP_ACT_ERRNO"}]
            });
            config["process"]["args"] = json!(["/bin/sleep", "1000"]);
        }));
        let said = test.runtime(&["exec", &container.id, integration::PROBER, "{}"]).ok().stdout;
        let seen: Value = serde_json::from_str(&said).expect("the prober prints JSON");
        assert_eq!((&seen["seccomp"], &seen["syscalls"]["keyctl"]), (&json!("2"), &json!("EPERM")));
    });
}
