//! One test per rule; each is red without its check.

use oci_spec::runtime::{Capability, LinuxNamespaceType};
use serde_json::{Value, json};

use super::*;

/// A valid document that has something of everything the rules look at.
pub(super) fn sample() -> Value {
    json!({
        "ociVersion": "1.2.0",
        "root": { "path": "rootfs" },
        "hostname": "box",
        "domainname": "example",
        "process": {
            "user": { "uid": 0, "gid": 0, "additionalGids": [5] },
            "cwd": "/",
            "args": ["sh"],
            "env": ["A=1"],
            "oomScoreAdj": 0,
            "capabilities": { "bounding": ["CAP_CHOWN", "CAP_KILL"] },
            "rlimits": [
                { "type": "RLIMIT_NOFILE", "soft": 1, "hard": 2 },
                { "type": "RLIMIT_CORE", "soft": 0, "hard": 0 },
            ],
        },
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc" },
            { "destination": "/data", "type": "none", "source": "/data", "options": ["rbind"] },
        ],
        "hooks": { "poststop": [{ "path": "/bin/true", "env": ["B=2"], "timeout": 1 }] },
        "annotations": { "a": "b" },
        "linux": {
            "namespaces": [
                { "type": "mount" }, { "type": "uts" }, { "type": "ipc" }, { "type": "pid" },
                { "type": "network", "path": "/run/netns/x" }, { "type": "user" }, { "type": "time" },
            ],
            "uidMappings": [
                { "containerID": 0, "hostID": 1000, "size": 10 },
                { "containerID": 10, "hostID": 1010, "size": 10 },
            ],
            "gidMappings": [{ "containerID": 0, "hostID": 1000, "size": 10 }],
            "timeOffsets": { "boottime": { "secs": 1, "nanosecs": 2 } },
            "devices": [{ "path": "/dev/x", "type": "c", "major": 1, "minor": 3, "fileMode": 438 }],
            "sysctl": { "kernel.shmmax": "1", "net.ipv4.ip_forward": "1" },
            "maskedPaths": ["/proc/kcore"],
            "readonlyPaths": ["/proc/sys"],
            "rootfsPropagation": "rslave",
            "personality": { "domain": "LINUX32" },
        },
    })
}

fn parse(document: &Value) -> Result<Spec, ConfigError> {
    Spec::parse(document.to_string().into_bytes())
}

/// Sets what a pointer leads to; `-` at the end appends.
fn put(document: &mut Value, pointer: &str, value: Value) {
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    match document.pointer_mut(parent).unwrap() {
        Value::Object(members) => drop(members.insert(last.into(), value)),
        Value::Array(list) if last == "-" => list.push(value),
        Value::Array(list) => list[last.parse::<usize>().unwrap()] = value,
        _ => unreachable!(),
    }
}

fn remove(document: &mut Value, pointer: &str) {
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    match document.pointer_mut(parent).unwrap() {
        Value::Object(members) => drop(members.remove(last).unwrap()),
        Value::Array(list) => drop(list.remove(last.parse().unwrap())),
        _ => unreachable!(),
    }
}

/// The sample with these values.
fn with(changes: &[(&str, Value)]) -> Result<Spec, ConfigError> {
    let mut document = sample();
    for (pointer, value) in changes {
        put(&mut document, pointer, value.clone());
    }
    parse(&document)
}

fn without(pointers: &[&str]) -> Result<Spec, ConfigError> {
    let mut document = sample();
    pointers.iter().for_each(|pointer| remove(&mut document, pointer));
    parse(&document)
}

#[track_caller]
fn assert_refused(result: Result<Spec, ConfigError>, pointer: &str, words: &str) {
    let error = result.expect_err("it should have been refused");
    assert_eq!(error.pointer.as_str(), pointer, "{error}");
    assert!(error.problem.contains(words), "{error}");
}

#[track_caller]
fn refused(pointer: &str, value: Value, at: &str, words: &str) {
    assert_refused(with(&[(pointer, value)]), at, words);
}

#[track_caller]
fn accepted(pointer: &str, value: Value) -> Spec {
    with(&[(pointer, value)]).unwrap()
}

#[test]
fn the_sample_is_valid_and_is_kept() {
    let text = sample().to_string();
    let spec = Spec::parse(text.clone().into_bytes()).unwrap();
    assert_eq!(spec.raw(), text.as_bytes());
    assert_eq!(spec.warnings(), []);
    assert_eq!(spec.hostname().as_deref(), Some("box"));
    assert!(spec.namespace(LinuxNamespaceType::Uts).is_some());
    assert!(spec.namespace(LinuxNamespaceType::Cgroup).is_none());
}

#[test]
fn documents_that_are_not_json() {
    for (text, words) in [
        ("", "not valid JSON"),
        ("{} x", "trailing characters"),
        ("[]", "one JSON object"),
        ("NaN", "not valid JSON"),
        (&"[".repeat(10_000), "recursion limit"),
        (&"{\"a\":".repeat(10_000), "recursion limit"),
    ] {
        assert_refused(Spec::parse(text.as_bytes().to_vec()), "", words);
    }
    assert_refused(Spec::parse(b"{\"\xff\":1}".to_vec()), "", "not valid JSON");
    assert_refused(Spec::parse(vec![b' '; MAX_SIZE + 1]), "", "may have 3145728 at most");
}

#[test]
fn a_set_of_capabilities_has_an_end() {
    let mut document = sample();
    put(&mut document, "/process/capabilities/bounding", json!(vec!["CAP_X"; 1000]));
    assert_eq!(parse(&document).unwrap().warnings().len(), 1000);
    put(&mut document, "/process/capabilities/bounding", json!(vec!["CAP_X"; 1001]));
    assert_refused(parse(&document), "/process/capabilities/bounding", "there may be 1000");
}

#[test]
fn versions() {
    for good in ["1.0.0", "1.0.2-dev", "1.3.0+dev", "1.0", "1.99.0-rc.1"] {
        accepted("/ociVersion", json!(good));
    }
    for bad in ["", "0.9.0", "2.0.0", "10.0.0", "1", "1.", "1.x", "v1.0.0"] {
        refused("/ociVersion", json!(bad), "/ociVersion", "only 1.x is");
    }
    refused("/ociVersion", json!(1), "/ociVersion", "a string is expected here, not integer `1`");
    refused("/ociVersion", json!(null), "/ociVersion", "is missing");
    assert_refused(without(&["/ociVersion"]), "/ociVersion", "is missing");
}

#[test]
fn wrong_types_are_named_with_their_pointer() {
    refused("/process/args/0", json!(5), "/process/args/0", "a string is expected here, not integer `5`");
    refused(
        "/root/readonly",
        json!("yes"),
        "/root/readonly",
        "a boolean is expected here, not string \"yes\"",
    );
    refused(
        "/process/user/uid",
        json!(-1),
        "/process/user/uid",
        "out of range: u32 is expected here, not integer `-1`",
    );
    refused("/process/user/uid", json!(1u64 << 32), "/process/user/uid", "out of range");
    refused("/linux/devices/0/type", json!("x"), "/linux/devices/0/type", "the value `x` is unknown");
    refused("/process/rlimits/0/type", json!("X"), "/process/rlimits/0/type", "`RLIMIT_CPU`");
    refused("/linux/sysctl", json!({ "a/b": 1 }), "/linux/sysctl/a~1b", "a string is expected");
    refused(
        "/mounts/1/uidMappings",
        json!({}),
        "/mounts/1/uidMappings",
        "a sequence is expected here, not map",
    );
    assert_refused(without(&["/process/cwd"]), "/process/cwd", "missing");
    assert_refused(without(&["/mounts/0/destination"]), "/mounts/0/destination", "missing");
}

#[test]
fn a_list_is_no_object() {
    refused("/root", json!(["rootfs", true]), "/root", "an object is expected here, not a list");
    refused("/process/rlimits/0", json!(["RLIMIT_CORE", 1, 1]), "/process/rlimits/0", "an object");
    refused("/mounts/1/uidMappings", json!([[0, 0, 1]]), "/mounts/1/uidMappings/0", "an object");
    refused("/linux/timeOffsets/boottime", json!([1, 2]), "/linux/timeOffsets/boottime", "an object");
    let resources = json!({ "devices": [[true]] });
    refused("/linux/resources", resources, "/linux/resources/devices/0", "an object");
}

#[test]
fn long_and_odd_texts_stay_one_short_line() {
    let error = with(&[("/root/readonly", json!("x".repeat(1 << 20)))]).unwrap_err().to_string();
    assert!(error.len() < 400, "{error}");
    let error = with(&[("/linux/devices/0/type", json!("a\nb"))]).unwrap_err().to_string();
    assert!(!error.contains('\n'), "{error}");
    let error = with(&[("/linux/sysctl", json!({ "a\nb": 1 }))]).unwrap_err().to_string();
    assert!(!error.contains('\n'), "{error}");
}

#[test]
fn unknown_members_and_foreign_sections_are_ignored() {
    for pointer in
        ["/x", "/process/x", "/process/user/x", "/linux/x", "/linux/namespaces/0/x", "/mounts/0/x", "/root/x"]
    {
        accepted(pointer, json!({ "x": [1] }));
    }
    for pointer in [
        "/vm",
        "/windows",
        "/solaris",
        "/freebsd",
        "/zos",
        "/uidMappings",
        "/process/commandLine",
        "/process/user/username",
    ] {
        accepted(pointer, json!(7));
    }
}

#[test]
fn null_is_absent() {
    for pointer in [
        "/mounts",
        "/hooks",
        "/annotations",
        "/hostname",
        "/process/user",
        "/process/env",
        "/process/capabilities",
        "/process/rlimits",
        "/process/rlimits/0/soft",
        "/process/oomScoreAdj",
        "/process/scheduler",
        "/process/ioPriority",
        "/process/apparmorProfile",
        "/process/consoleSize",
        "/root/readonly",
        "/hooks/poststop/0/args",
        "/mounts/0/options",
        "/linux/resources",
        "/linux/seccomp",
        "/linux/sysctl",
        "/linux/devices",
        "/linux/devices/0/fileMode",
        "/linux/timeOffsets",
        "/linux/timeOffsets/boottime",
        "/linux/maskedPaths",
        "/linux/personality",
        "/linux/intelRdt",
        "/linux/netDevices",
        "/linux/cgroupsPath",
        "/linux/namespaces/0/path",
    ] {
        accepted(pointer, Value::Null);
    }
    let mut document = sample();
    document["linux"] = Value::Null;
    remove(&mut document, "/hostname");
    remove(&mut document, "/domainname");
    parse(&document).unwrap();
}

#[test]
fn an_empty_text_is_none() {
    let spec = with(&[
        ("/hostname", json!("")),
        ("/process/apparmorProfile", json!("")),
        ("/process/execCPUAffinity", json!({ "initial": "", "final": "0-3" })),
        ("/linux/cgroupsPath", json!("")),
        ("/linux/rootfsPropagation", json!("")),
        ("/linux/namespaces/0/path", json!("")),
        ("/mounts/0/type", json!("")),
    ])
    .unwrap();
    assert_eq!(spec.hostname(), &None);
    let linux = spec.linux().as_ref().unwrap();
    assert_eq!(linux.cgroups_path(), &None);
    assert_eq!(linux.rootfs_propagation(), &None);
    assert_eq!(linux.namespaces().as_ref().unwrap()[0].path(), &None);
    assert_eq!(spec.mounts().as_ref().unwrap()[0].typ(), &None);
}

#[test]
fn a_missing_user_is_root() {
    let spec = without(&["/process/user"]).unwrap();
    let user = spec.process().as_ref().unwrap().user();
    assert_eq!((user.uid(), user.gid()), (0, 0));
}

#[test]
fn the_last_of_two_equal_keys_wins() {
    let text = sample().to_string().replacen(
        "\"hostname\":\"box\"",
        "\"hostname\":\"first\",\"hostname\":\"last\"",
        1,
    );
    assert_eq!(Spec::parse(text.into_bytes()).unwrap().hostname().as_deref(), Some("last"));
}

#[test]
fn unknown_capabilities_are_left_out_with_a_warning() {
    let names = json!(["CAP_CHOWN", "CAP_NEW", "kill", "CAP_\n"]);
    let spec = accepted("/process/capabilities/bounding", names);
    let capabilities = spec.process().as_ref().unwrap().capabilities().as_ref().unwrap();
    let bounding = capabilities.bounding().as_ref().unwrap();
    assert_eq!(bounding.len(), 2);
    assert!(bounding.contains(&Capability::Chown) && bounding.contains(&Capability::Kill));
    let texts: Vec<String> = spec.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), 2);
    let expected = "config.json, /process/capabilities/bounding/1: the capability \"CAP_NEW\" is unknown and is left out";
    assert_eq!(texts[0], expected);
    refused(
        "/process/capabilities/bounding",
        json!([1]),
        "/process/capabilities/bounding/0",
        "a string is expected",
    );
}

#[test]
fn what_is_not_supported_is_refused_by_name() {
    for (pointer, value) in [
        ("/linux/intelRdt", json!({ "closID": "x" })),
        ("/linux/netDevices", json!({ "eth0": {} })),
        ("/linux/personality/flags", json!(["X"])),
    ] {
        refused(pointer, value, pointer, &format!("{} is not supported yet", pointer[1..].replace('/', ".")));
        for nothing in [json!(null), json!(""), json!([]), json!({})] {
            let result = with(&[(pointer, nothing)]);
            assert!(!result.is_err_and(|error| error.problem.contains("supported")), "{pointer}");
        }
    }
    accepted("/linux/intelRdt", json!({ "enableCMT": true, "enableMBM": true }));
    accepted("/process/execCPUAffinity", json!({ "initial": "0-3,7" }));
}

#[test]
fn nul_characters_are_refused_where_the_kernel_would_see_them() {
    for (pointer, value) in [
        ("/process/args/0", json!("a\0b")),
        ("/process/env/0", json!("A=\0")),
        ("/process/cwd", json!("/\0")),
        ("/root/path", json!("\0")),
        ("/hostname", json!("a\0")),
        ("/mounts/1/source", json!("/a\0")),
        ("/hooks/poststop/0/path", json!("/a\0")),
        ("/linux/maskedPaths/0", json!("/a\0")),
        ("/linux/resources", json!({ "unified": { "a": "\0" } })),
    ] {
        let at = if pointer.ends_with("resources") { "/linux/resources/unified/a" } else { pointer };
        refused(pointer, value, at, "NUL");
    }
    refused("/linux/resources", json!({ "unified": { "a\0": "" } }), "/linux/resources/unified/a\\0", "NUL");
    accepted("/annotations/a", json!("\0"));
    accepted("/x", json!("\0"));
    accepted("/process/args/0", json!("\\u0000"));
}

#[test]
fn the_root_is_needed() {
    assert_refused(without(&["/root"]), "/root", "missing");
    assert_refused(without(&["/root/path"]), "/root/path", "missing");
    refused("/root/path", json!(""), "/root/path", "missing");
}

#[test]
fn the_process_is_needed() {
    assert_refused(without(&["/process"]), "/process", "missing");
    assert_refused(without(&["/process/args"]), "/process/args", "missing");
    refused("/process/args", json!([]), "/process/args", "missing");
    refused("/process/args/0", json!(""), "/process/args/0", "empty");
    refused("/process/cwd", json!("home"), "/process/cwd", "absolute");
    refused("/process/cwd", json!(""), "/process/cwd", "absolute");
}

#[test]
fn variables_have_a_name_and_a_value() {
    accepted("/process/env", json!(["A=", "B==c"]));
    for bad in ["A", "", "=x"] {
        refused("/process/env/0", json!(bad), "/process/env/0", "NAME=value");
        refused("/hooks/poststop/0/env/0", json!(bad), "/hooks/poststop/0/env/0", "NAME=value");
    }
}

#[test]
fn the_id_that_means_none_is_refused() {
    for pointer in [
        "/process/user/uid",
        "/process/user/gid",
        "/process/user/additionalGids/0",
        "/linux/devices/0/uid",
        "/linux/devices/0/gid",
    ] {
        refused(pointer, json!(u32::MAX), pointer, "as none");
        accepted(pointer, json!(u32::MAX - 1));
    }
}

#[test]
fn resource_limits_are_ordered_and_unique() {
    refused(
        "/process/rlimits/1/type",
        json!("RLIMIT_NOFILE"),
        "/process/rlimits/1/type",
        "RLIMIT_NOFILE is given twice",
    );
    refused("/process/rlimits/0/soft", json!(3), "/process/rlimits/0/soft", "above the hard limit 2");
    accepted("/process/rlimits/0/hard", json!(u64::MAX));
}

#[test]
fn the_oom_score_has_a_range() {
    for (bad, good) in [(1001, 1000), (-1001, -1000)] {
        refused("/process/oomScoreAdj", json!(bad), "/process/oomScoreAdj", "-1000 to 1000");
        accepted("/process/oomScoreAdj", json!(good));
    }
}

#[test]
fn scheduling_makes_sense() {
    let all = [
        "RESET_ON_FORK",
        "RECLAIM",
        "DL_OVERRUN",
        "KEEP_POLICY",
        "KEEP_PARAMS",
        "UTIL_CLAMP_MIN",
        "UTIL_CLAMP_MAX",
    ];
    let flags = all.map(|flag| format!("SCHED_FLAG_{flag}"));
    for good in [
        json!({ "policy": "SCHED_OTHER", "nice": -20 }),
        json!({ "policy": "SCHED_BATCH", "nice": 19, "priority": 0, "runtime": 0, "flags": flags }),
        json!({ "policy": "SCHED_FIFO", "priority": 99 }),
        json!({ "policy": "SCHED_RR", "priority": 1 }),
        json!({ "policy": "SCHED_IDLE" }),
        json!({ "policy": "SCHED_DEADLINE", "runtime": 1000, "deadline": 2000, "period": 2000 }),
    ] {
        accepted("/process/scheduler", good);
    }
    for (bad, member, problem) in [
        (json!({ "policy": "SCHED_NEW" }), "policy", "unknown"),
        (json!({ "policy": "SCHED_ISO" }), "policy", "not part of Linux"),
        (json!({ "policy": "SCHED_OTHER", "nice": 20 }), "nice", "-20 to 19"),
        (json!({ "policy": "SCHED_OTHER", "priority": 1 }), "priority", "has no priority"),
        (json!({ "policy": "SCHED_FIFO" }), "priority", "from 1 to 99, not 0"),
        (json!({ "policy": "SCHED_RR", "priority": 100 }), "priority", "from 1 to 99"),
        (json!({ "policy": "SCHED_RR", "priority": 1, "period": 1 }), "period", "SCHED_RR has no period"),
        (json!({ "policy": "SCHED_OTHER", "flags": ["SCHED_FLAG_X"] }), "flags/0", "unknown"),
    ] {
        refused("/process/scheduler", bad, &format!("/process/scheduler/{member}"), problem);
    }
    for (class, level) in [("RT", 0), ("BE", 7), ("IDLE", 0)] {
        accepted(
            "/process/ioPriority",
            json!({ "class": format!("IOPRIO_CLASS_{class}"), "priority": level }),
        );
    }
    for bad in [-1, 8] {
        let priority = json!({ "class": "IOPRIO_CLASS_BE", "priority": bad });
        refused("/process/ioPriority", priority, "/process/ioPriority/priority", "to 7 are allowed");
    }
}

#[test]
fn namespaces_are_unique_and_their_paths_absolute() {
    refused(
        "/linux/namespaces/1",
        json!({ "type": "mount" }),
        "/linux/namespaces/1",
        "of this type is given twice",
    );
    refused("/linux/namespaces/4/path", json!("x"), "/linux/namespaces/4/path", "absolute");
    refused("/linux/namespaces/4/type", json!("X"), "/linux/namespaces/4/type", "unknown");
}

#[test]
fn names_need_a_uts_namespace_and_have_a_length() {
    for pointer in ["/hostname", "/domainname"] {
        accepted(pointer, json!("x".repeat(64)));
        refused(pointer, json!("x".repeat(65)), pointer, "64 at most");
    }
    assert_refused(without(&["/linux/namespaces/1"]), "/hostname", "UTS");
    assert_refused(without(&["/linux/namespaces/1", "/hostname"]), "/domainname", "UTS");
}

#[test]
fn time_offsets_need_a_new_time_namespace() {
    const OFFSETS: &str = "/linux/timeOffsets";
    assert_refused(without(&["/linux/namespaces/6"]), OFFSETS, "need a time namespace");
    refused("/linux/namespaces/6/path", json!("/x"), OFFSETS, "joined by path");
    refused(OFFSETS, json!({ "realtime": {} }), "/linux/timeOffsets/realtime", "only boottime and monotonic");
    refused(
        "/linux/timeOffsets/boottime/nanosecs",
        json!(1_000_000_000),
        "/linux/timeOffsets/boottime/nanosecs",
        "more than a second",
    );
    accepted("/linux/timeOffsets/boottime/nanosecs", json!(999_999_999));
}

#[test]
fn mappings_and_user_namespaces_belong_together() {
    let unmapped = ["/linux/uidMappings", "/linux/gidMappings"];
    assert_refused(without(&["/linux/namespaces/5"]), "/linux/uidMappings", "isn't enabled");
    assert_refused(without(&["/linux/namespaces/5", unmapped[0]]), "/linux/gidMappings", "isn't enabled");
    assert_refused(without(&unmapped), "/linux/uidMappings", "no namespace path to join");
    assert_refused(without(&unmapped[..1]), "/linux/uidMappings", "give both");
    assert_refused(without(&unmapped[1..]), "/linux/gidMappings", "give both");
    let mut joining = sample();
    put(&mut joining, "/linux/namespaces/5/path", json!("/proc/1/ns/user"));
    parse(&joining).unwrap();
    unmapped.iter().for_each(|pointer| remove(&mut joining, pointer));
    parse(&joining).unwrap();
}

fn range(inside: u32, outside: u32, size: u32) -> Value {
    json!({ "containerID": inside, "hostID": outside, "size": size })
}

#[test]
fn ranges_of_ids_are_valid_and_disjoint() {
    const UIDS: &str = "/linux/uidMappings";
    for (ranges, at, words) in [
        (json!([range(0, 0, 0)]), "/0/size", "empty"),
        (json!([range(1, 0, u32::MAX)]), "/0/containerID", "beyond the last"),
        (json!([range(0, 1, u32::MAX)]), "/0/hostID", "beyond the last"),
        (json!([range(0, 0, 10), range(9, 100, 1)]), "/1/containerID", "9 is in two"),
        (json!([range(0, 50, 10), range(100, 59, 10)]), "/1/hostID", "59 is in two"),
        (json!([range(5, 50, 10), range(0, 100, 6)]), "/0/containerID", "5 is in two"),
        (json!((0..341).map(|n| range(n, n, 1)).collect::<Vec<_>>()), "", "340 at most"),
    ] {
        refused(UIDS, ranges.clone(), &format!("{UIDS}{at}"), words);
        refused("/linux/gidMappings", ranges, &format!("/linux/gidMappings{at}"), words);
    }
    accepted(UIDS, json!((0..340).map(|n| range(n, n, 1)).collect::<Vec<_>>()));
    accepted(UIDS, json!([range(0, 0, u32::MAX)]));
}

#[test]
fn mounts_have_a_destination() {
    refused("/mounts/0/destination", json!(""), "/mounts/0/destination", "empty");
    let spec = accepted("/mounts/0/destination", json!("proc"));
    assert_eq!(spec.warnings()[0].pointer.as_str(), "/mounts/0/destination");
    assert_eq!(spec.warnings().len(), 1);
}

#[test]
fn mapped_mounts_are_binds_with_both_maps() {
    let maps = json!([range(0, 1000, 1)]);
    let both = |mount: &str| {
        with(&[
            (&format!("{mount}/uidMappings"), maps.clone()),
            (&format!("{mount}/gidMappings"), maps.clone()),
        ])
    };
    both("/mounts/1").unwrap();
    assert_refused(both("/mounts/0"), "/mounts/0", "only supported for bind-mounts");
    refused("/mounts/0/options", json!(["idmap"]), "/mounts/0", "only supported for bind-mounts");
    refused("/mounts/1/uidMappings", maps.clone(), "/mounts/1/gidMappings", "give both");
    refused("/mounts/1/gidMappings", maps.clone(), "/mounts/1/uidMappings", "give both");
    refused("/mounts/1/uidMappings", json!([range(0, 0, 0)]), "/mounts/1/gidMappings", "give both");
    let empty = [("/mounts/1/uidMappings", json!([range(0, 0, 0)])), ("/mounts/1/gidMappings", maps.clone())];
    assert_refused(with(&empty), "/mounts/1/uidMappings/0/size", "empty");
    accepted("/mounts/1/options", json!(["rbind", "ridmap"]));
    let mut unmapped = sample();
    put(&mut unmapped, "/mounts/1/options", json!(["rbind", "idmap"]));
    ["/linux/namespaces/5", "/linux/uidMappings", "/linux/gidMappings"]
        .iter()
        .for_each(|at| remove(&mut unmapped, at));
    assert_refused(parse(&unmapped), "/mounts/1/options", "needs mappings");
}

#[test]
fn restricted_paths_are_absolute_and_need_a_mount_namespace() {
    for pointer in ["/linux/maskedPaths", "/linux/readonlyPaths"] {
        refused(&format!("{pointer}/0"), json!("x"), &format!("{pointer}/0"), "absolute");
    }
    let private = "without a private MNT namespace";
    assert_refused(without(&["/linux/namespaces/0"]), "/linux/maskedPaths", private);
    assert_refused(without(&["/linux/namespaces/0", "/linux/maskedPaths"]), "/linux/readonlyPaths", private);
    without(&["/linux/namespaces/0", "/linux/maskedPaths", "/linux/readonlyPaths"]).unwrap();
}

#[test]
fn the_propagation_is_one_of_four() {
    for good in ["shared", "slave", "private", "unbindable", "rshared", "rslave", "rprivate", "runbindable"] {
        accepted("/linux/rootfsPropagation", json!(good));
    }
    for bad in ["r", "rrslave", "Shared", "none"] {
        refused("/linux/rootfsPropagation", json!(bad), "/linux/rootfsPropagation", "is unknown");
    }
}

#[test]
fn devices_are_complete() {
    const DEVICE: &str = "/linux/devices/0";
    refused("/linux/devices/0/path", json!("x"), "/linux/devices/0/path", "absolute");
    refused("/linux/devices/0/type", json!("a"), "/linux/devices/0/type", "c, b, u or p");
    refused("/linux/devices/0/fileMode", json!(0o200_000), "/linux/devices/0/fileMode", "octal 7777");
    accepted("/linux/devices/0/fileMode", json!(0o7777));
    // As podman gives it: all that stat said.
    accepted("/linux/devices/0/fileMode", json!(0o20_644));
    for (number, first_bad) in [("major", 0x1000), ("minor", 0x10_0000)] {
        let at = format!("{DEVICE}/{number}");
        refused(&at, json!(null), &at, "missing");
        refused(&at, json!(-1), &at, "out of range");
        refused(&at, json!(first_bad), &at, "out of range");
        accepted(&at, json!(first_bad - 1));
        assert_refused(without(&[&at]), &at, "missing");
    }
    accepted(DEVICE, json!({ "type": "p", "path": "/dev/fifo" }));
    accepted(DEVICE, json!({ "type": "p", "path": "/dev/fifo", "major": null, "minor": null }));
}

#[test]
fn hooks_are_absolute_and_finite() {
    for kind in ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"] {
        let hooks = format!("/hooks/{kind}");
        refused(&hooks, json!([{ "path": "true" }]), &format!("{hooks}/0/path"), "absolute");
        for bad in [0, -1] {
            let hook = json!([{ "path": "/true", "timeout": bad }]);
            refused(&hooks, hook, &format!("{hooks}/0/timeout"), "above 0");
        }
    }
}

#[test]
fn annotations_have_names() {
    refused("/annotations", json!({ "": "x" }), "/annotations/", "empty");
}
