//! What a profile of the configuration becomes.

use serde_json::json;

use super::*;

/// The mistake that planning finds, as people see it.
fn mistake(value: Value) -> String {
    Profile::plan(&seccomp(value), false).unwrap_err().to_string()
}

fn with_entry(entry: Value) -> Value {
    json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [{"names": ["read"], "action": "SCMP_ACT_ALLOW"}, entry]})
}

#[test]
fn mistakes_are_found_with_their_place() {
    let notify = json!({"defaultAction": "SCMP_ACT_NOTIFY"});
    assert!(mistake(notify).contains("/linux/seccomp/defaultAction: SCMP_ACT_NOTIFY"));
    let mut notify = with_entry(json!({"names": ["read"], "action": "SCMP_ACT_NOTIFY"}));
    assert!(mistake(notify.clone()).contains("/linux/seccomp/syscalls/1/action: SCMP_ACT_NOTIFY"));
    notify["listenerPath"] = json!("/run/agent");
    assert!(Profile::plan(&seccomp(notify), false).is_ok());
    let metadata = json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerMetadata": "x"});
    assert!(mistake(metadata).contains("/linux/seccomp/listenerMetadata: "));
    let nameless = with_entry(json!({"names": [], "action": "SCMP_ACT_ALLOW"}));
    assert!(mistake(nameless).contains("/linux/seccomp/syscalls/1/names: "));
    let seventh = json!({"index": 6, "value": 0, "op": "SCMP_CMP_EQ"});
    let seventh = with_entry(json!({"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [seventh]}));
    assert!(mistake(seventh).contains("/linux/seccomp/syscalls/1/args/0/index: "));
    let foreign =
        json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86", "SCMP_ARCH_S390X"]});
    assert!(mistake(foreign).contains("/linux/seccomp/architectures/1: "));
}

#[test]
fn only_some_actions_have_an_errno() {
    let mut notify = with_entry(json!({"names": ["read"], "action": "SCMP_ACT_NOTIFY", "errnoRet": 1}));
    notify["listenerPath"] = json!("/run/agent");
    assert!(mistake(notify).contains("/linux/seccomp/syscalls/1/errnoRet: "));
    for action in ["ALLOW", "KILL", "KILL_PROCESS", "KILL_THREAD", "TRAP", "LOG"] {
        let action = format!("SCMP_ACT_{action}");
        let default = json!({"defaultAction": action, "defaultErrnoRet": 1});
        assert!(mistake(default).contains("/linux/seccomp/defaultErrnoRet: "));
        let entry = with_entry(json!({"names": ["read"], "action": action, "errnoRet": 1}));
        assert!(mistake(entry).contains("/linux/seccomp/syscalls/1/errnoRet: "));
    }
    let too_high = json!({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 4096});
    assert!(mistake(too_high).contains("4096 is more than 4095"));
    let too_high = json!({"defaultAction": "SCMP_ACT_TRACE", "defaultErrnoRet": 65536});
    assert!(mistake(too_high).contains("65536 is more than 65535"));
}

#[test]
fn an_agent_is_ignored_while_nothing_is_left_to_it() {
    let value =
        json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/run/agent", "listenerMetadata": "x"});
    assert!(!profile(value.clone()).has_agent());
    assert_eq!(profile(value), profile(json!({"defaultAction": "SCMP_ACT_ALLOW"})));
}

#[test]
fn an_agent_brings_its_flags() {
    let with_flags = |flags: Value| {
        let entry = json!({"names": ["read"], "action": "SCMP_ACT_NOTIFY"});
        let profile = profile(json!({
            "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/a", "flags": flags, "syscalls": [entry]
        }));
        assert!(profile.has_agent());
        profile.flags()
    };
    const NEW_LISTENER: u32 = 8;
    const WAIT_KILLABLE_RECV: u32 = 32;
    assert_eq!(with_flags(json!([])), NEW_LISTENER);
    // The kernel takes it beside a listener only with another flag, and there is no other thread to be filtered.
    assert_eq!(with_flags(json!(["SECCOMP_FILTER_FLAG_TSYNC"])), NEW_LISTENER);
    let killable = json!(["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]);
    assert_eq!(with_flags(killable), NEW_LISTENER | WAIT_KILLABLE_RECV);
}

#[test]
fn flags() {
    let flags = |flags: Value, supports| {
        let mut value = json!({"defaultAction": "SCMP_ACT_ALLOW"});
        if !flags.is_null() {
            value["flags"] = flags;
        }
        Profile::plan(&seccomp(value), supports).map(|profile| profile.flags())
    };
    assert_eq!(flags(json!(null), true), Ok(4));
    assert_eq!(flags(json!(null), false), Ok(0));
    assert_eq!(flags(json!([]), true), Ok(0));
    assert_eq!(flags(json!(["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"]), true), Ok(6));
    let without_effect = ["SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"];
    assert_eq!(flags(json!(without_effect), true), Ok(0));
    let missing = flags(json!(["SECCOMP_FILTER_FLAG_SPEC_ALLOW"]), false).unwrap_err();
    assert_eq!(missing.pointer.as_str(), "/linux/seccomp/flags/0");
}

#[test]
fn summaries() {
    let summary = Profile::plan(&docker_size(), true).unwrap().summary();
    let expected = "368 system calls allowed, 1 system call fails with ENOSYS, the others fail with EPERM \
                    (x86_64, x86, x32)";
    assert_eq!(summary, expected);
    let nothing = profile(json!({"defaultAction": "SCMP_ACT_LOG"})).summary();
    assert_eq!(nothing, "all system calls logged (x86_64)");
    let entry = json!({"names": ["a", "b", "b"], "action": "SCMP_ACT_ERRNO", "errnoRet": 95});
    let denials = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [entry]});
    assert_eq!(profile(denials).summary(), "2 system calls fail with errno 95, the others allowed (x86_64)");
    let left = |names: Value| {
        let entry = json!({"names": names, "action": "SCMP_ACT_NOTIFY"});
        profile(json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/a", "syscalls": [entry]}))
            .summary()
    };
    assert_eq!(left(json!(["a"])), "1 system call goes to the agent, the others allowed (x86_64)");
    assert_eq!(left(json!(["a", "b"])), "2 system calls go to the agent, the others allowed (x86_64)");
}

#[test]
fn what_the_machine_cannot_know_is_refused_when_compiling() {
    let unknown = json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_SH"]});
    let error = profile(unknown).compile().unwrap_err().to_string();
    assert!(error.contains("/linux/seccomp/architectures") && error.contains("SCMP_ARCH_SH"), "{error}");
    let entry = |value: u64| {
        let args = json!([{"index": 0, "value": value, "op": "SCMP_CMP_EQ"}]);
        json!({"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": args})
    };
    let entries: Vec<_> = (0..2000).map(entry).collect();
    let long = json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": entries});
    let error = profile(long).compile().unwrap_err().to_string();
    assert!(error.contains("/linux/seccomp: ") && error.contains("at most 4096"), "{error}");
}

#[test]
fn every_little_endian_architecture_compiles() {
    for name in
        ["ARM", "AARCH64", "MIPSEL", "MIPSEL64", "MIPSEL64N32", "PPC64LE", "RISCV64", "X86", "X32", "NATIVE"]
    {
        let architectures = [format!("SCMP_ARCH_{name}")];
        let names = ["read", "socket", "semop", "cacheflush", "set_tls"];
        let entry = json!({"names": names, "action": "SCMP_ACT_ALLOW"});
        let value =
            json!({"defaultAction": "SCMP_ACT_ERRNO", "architectures": architectures, "syscalls": [entry]});
        assert!(profile(value).compile().is_ok(), "{name}");
    }
}
