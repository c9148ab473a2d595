//! The payload's world is exactly what was asked for: everything that the prober sees, for many configurations, equals
//! what is foretold from the configuration and the caller's world, and there is nothing else.

use integration::bundle::{mount, namespace};
use integration::expected::CAPABILITIES;
use integration::foretold::{self, Caller};
use integration::{Kind, Test, World, runtime};
use serde_json::{Value, json};

/// Fewer values would mean that the prober was not asked.
const FEWEST: usize = 200;

/// Compares the whole world of this configuration's payload. What only our runtime promises is asked of it alone.
#[track_caller]
fn is_as_foretold(edit: impl FnOnce(&mut Value)) {
    if runtime().kind != Kind::Ours {
        return;
    }
    let test = Test::at(World::Unified);
    let mut bundle = test.bundle(edit);
    let caller = Caller::of(&test, &bundle.config);
    let (differences, compared) = foretold::compare(&test, &mut bundle, &caller);
    assert!(differences.is_empty(), "{differences:#?}");
    assert!(compared >= FEWEST, "{compared} values");
}

fn all_capabilities() -> Value {
    json!(CAPABILITIES.map(|name| format!("CAP_{name}")).as_slice())
}

fn with_users(config: &mut Value) {
    namespace(config, "user", Some(json!({"type": "user"})));
    let ids = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
    config["linux"]["uidMappings"] = ids.clone();
    config["linux"]["gidMappings"] = ids;
}

#[test]
fn by_default() {
    is_as_foretold(|_| {});
}

#[test]
fn of_an_ordinary_user() {
    is_as_foretold(|config| {
        config["process"]["user"] =
            json!({"uid": 1000, "gid": 1001, "additionalGids": [2000, 5], "umask": 0o27});
        config["process"]["cwd"] = json!("/home");
    });
}

#[test]
fn of_a_user_with_ambient_capabilities() {
    is_as_foretold(|config| {
        let net = json!(["CAP_NET_RAW", "CAP_NET_BIND_SERVICE"]);
        config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
        config["process"]["capabilities"] = json!({
            "bounding": net, "permitted": net, "effective": net, "inheritable": net, "ambient": ["CAP_NET_RAW"]
        });
    });
}

#[test]
fn without_capabilities() {
    is_as_foretold(|config| config["process"]["capabilities"] = json!({}));
}

#[test]
fn with_all_capabilities_and_new_privileges() {
    is_as_foretold(|config| {
        let all = all_capabilities();
        config["process"]["capabilities"] = json!({"bounding": all, "permitted": all, "effective": all});
        config["process"]["noNewPrivileges"] = json!(false);
    });
}

#[test]
fn with_a_bounding_set_beyond_the_permitted_one() {
    is_as_foretold(|config| {
        config["process"]["capabilities"] =
            json!({"bounding": all_capabilities(), "permitted": ["CAP_KILL"], "effective": ["CAP_KILL"]});
    });
}

#[test]
fn with_every_field_of_the_process() {
    is_as_foretold(|config| {
        config["process"]["env"] = json!(["PATH=/bin", "EMPTY=", "SPACED=a b = c", "HOME=/tmp"]);
        config["process"]["noNewPrivileges"] = json!(false);
        config["process"]["oomScoreAdj"] = json!(321);
        config["process"]["cwd"] = json!("/var");
        config["process"]["rlimits"] = json!([
            {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
            {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200},
            {"type": "RLIMIT_NPROC", "soft": 1000, "hard": 2000},
            {"type": "RLIMIT_STACK", "soft": 4_194_304, "hard": 8_388_608}
        ]);
    });
}

#[test]
fn with_less_of_processors_and_disks() {
    is_as_foretold(|config| {
        config["process"]["scheduler"] = json!({"policy": "SCHED_BATCH", "nice": 7});
        config["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_BE", "priority": 6});
    });
}

#[test]
fn behind_a_filter() {
    is_as_foretold(|config| config["linux"]["seccomp"] = integration::seccomp::docker_sized());
}

#[test]
fn behind_a_filter_with_new_privileges() {
    is_as_foretold(|config| {
        config["linux"]["seccomp"] = integration::seccomp::docker_sized();
        config["process"]["noNewPrivileges"] = json!(false);
        config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    });
}

#[test]
fn behind_a_filter_that_allows_by_default() {
    is_as_foretold(|config| {
        config["linux"]["seccomp"] = json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "architectures": ["SCMP_ARCH_X86_64"],
            "syscalls": [
                {"names": ["mount", "ptrace"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13},
                {"names": ["bpf", "unshare"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}
            ]
        });
    });
}

#[test]
fn in_a_user_namespace() {
    is_as_foretold(with_users);
}

#[test]
fn of_a_user_in_a_user_namespace() {
    is_as_foretold(|config| {
        with_users(config);
        config["process"]["user"] = json!({"uid": 1000, "gid": 1000, "additionalGids": [7]});
        config["linux"]["seccomp"] = integration::seccomp::docker_sized();
    });
}

#[test]
fn of_a_mighty_root_of_a_user_namespace() {
    is_as_foretold(|config| {
        with_users(config);
        let all = all_capabilities();
        config["process"]["capabilities"] = json!({"bounding": all, "permitted": all, "effective": all});
    });
}

#[test]
fn with_namespaces_of_the_host() {
    is_as_foretold(|config| {
        for kind in ["network", "ipc", "uts", "cgroup"] {
            namespace(config, kind, None);
        }
        config.as_object_mut().expect("an object").remove("hostname");
        let mounts = config["mounts"].as_array_mut().expect("mounts is a list");
        mounts.retain(|mount| {
            !["sysfs", "cgroup", "mqueue"].contains(&mount["type"].as_str().unwrap_or_default())
        });
        config["linux"]["maskedPaths"] = json!(["/proc/keys", "/proc/acpi"]);
    });
}

#[test]
fn among_the_processes_of_the_host() {
    is_as_foretold(|config| {
        namespace(config, "pid", None);
        config["linux"]["maskedPaths"] = json!(["/proc/kcore"]);
    });
}

#[test]
fn with_namespaces_of_another_container() {
    if runtime().kind != Kind::Ours {
        return;
    }
    let test = Test::at(World::Unified);
    let other = test.start(&test.bundle(|config| config["process"]["args"] = json!(["/bin/sleep", "1000"])));
    let mut bundle = test.bundle(|config| {
        for (kind, link) in [("network", "net"), ("ipc", "ipc")] {
            let path = format!("/proc/{}/ns/{link}", other.pid);
            namespace(config, kind, Some(json!({"type": kind, "path": path})));
        }
    });
    let caller = Caller::of(&test, &bundle.config);
    let (differences, _) = foretold::compare(&test, &mut bundle, &caller);
    assert!(differences.is_empty(), "{differences:#?}");
}

#[test]
fn with_a_time_and_a_name_of_its_own() {
    is_as_foretold(|config| {
        namespace(config, "time", Some(json!({"type": "time"})));
        config["linux"]["timeOffsets"] =
            json!({"monotonic": {"secs": 86_400, "nanosecs": 7}, "boottime": {"secs": 1000, "nanosecs": 0}});
        config["hostname"] = json!("somebody");
        config["domainname"] = json!("somewhere");
    });
}

#[test]
fn with_parameters_and_devices() {
    is_as_foretold(|config| {
        config["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1", "kernel.shm_rmid_forced": "1"});
        config["linux"]["devices"] = json!([
            {"path": "/dev/forbidden", "type": "c", "major": 1, "minor": 11, "fileMode": 0o600, "uid": 3, "gid": 4},
            {"path": "/dev/other_null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o622},
            {"path": "/dev/readable", "type": "c", "major": 10, "minor": 229, "fileMode": 0o640}
        ]);
        config["linux"]["resources"]["devices"] = json!([
            {"allow": false, "access": "rwm"},
            {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "r"},
            {"allow": true, "type": "c", "major": 1, "minor": 11, "access": "rw"},
            {"allow": false, "type": "c", "major": 1, "minor": 11, "access": "rw"}
        ]);
        for set in ["bounding", "effective", "permitted"] {
            config["process"]["capabilities"][set] = json!(["CAP_DAC_OVERRIDE"]);
        }
    });
}

#[test]
fn with_mounts_of_all_kinds() {
    is_as_foretold(|config| {
        config["root"]["readonly"] = json!(false);
        mount(config, "/data", "tmpfs", "tmpfs", &["ro", "nosuid", "nodev", "noexec", "noatime", "size=64k"]);
        mount(config, "/more", "bind", "/etc", &["rbind", "ro", "nosuid", "nodev", "noexec"]);
        mount(config, "/usr", "bind", "/usr", &["bind", "rro"]);
        mount(config, "/data2", "tmpfs", "tmpfs", &["nosymfollow", "nodiratime", "size=128k"]);
        mount(config, "/data2", "tmpfs", "over", &["nosuid", "size=256k"]);
    });
}

#[test]
fn with_nothing_hidden_and_a_writable_root() {
    is_as_foretold(|config| {
        config["root"]["readonly"] = json!(false);
        config["linux"]["maskedPaths"] = json!([]);
        config["linux"]["readonlyPaths"] = json!([]);
    });
}

#[test]
fn with_hidden_places_of_the_root() {
    is_as_foretold(|config| {
        for list in ["maskedPaths", "readonlyPaths"] {
            let more = if list == "maskedPaths" { "/proc/meminfo" } else { "/proc/fs" };
            config["linux"][list].as_array_mut().expect("a list").push(json!(more));
        }
        config["linux"]["readonlyPaths"] = json!(["/proc/sys", "/sys/kernel", "/proc/sysrq-trigger"]);
    });
}

#[test]
fn in_another_domain_with_a_memory_policy() {
    is_as_foretold(|config| {
        config["linux"]["personality"] = json!({"domain": "LINUX32"});
        config["linux"]["memoryPolicy"] = json!({"mode": "MPOL_BIND", "nodes": "0"});
    });
}
