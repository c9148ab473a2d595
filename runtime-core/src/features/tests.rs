//! What is told against what is accepted.

use std::path::Path;

use serde_json::{Value, json};

use super::*;
use crate::cgroup::{Hierarchies, V2};
use crate::host::{Host, Modules};
use crate::plan::Request;
use crate::spec::{ContainerId, Spec};

fn host() -> Host {
    let controllers = ["cpu", "memory", "pids", "rdma"].map(String::from).to_vec();
    let v2 = V2 { mount: "/c".into(), root: "/".into(), own: "/".into(), controllers };
    Host {
        on_some_cpus: false,
        closed: None,
        uid: 0,
        gid: 0,
        cgroups: Hierarchies { v1: Vec::new(), v2: Some(v2), owner: Some((0, 0)), parent: None },
        bounding: u64::MAX,
        permitted: u64::MAX,
        ignored_signals: 0,
        has_groups: false,
        denies_groups: false,
        in_user_namespace: false,
        kernel: (6, 18),
        descriptor_limit: 1024,
        has_clone3: true,
        has_mount_calls: true,
        modules: Modules { apparmor: true, selinux: true },
    }
}

/// Whether a usual configuration with this value at that place can be planned.
fn accepted(pointer: &str, value: Value) -> Result<(), String> {
    let mut config = json!({
        "ociVersion": "1.2.0",
        "root": {"path": "rootfs"},
        "process": {"cwd": "/", "args": ["x"]},
        "mounts": [],
        "linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}]},
    });
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    config.pointer_mut(parent).unwrap()[name] = value;
    let spec = Spec::parse(config.to_string().into_bytes()).map_err(|error| error.to_string())?;
    if let Some(warning) = spec.warnings().first() {
        return Err(warning.to_string());
    }
    let request = Request::new(&ContainerId::new("x").unwrap(), Path::new("/r").into());
    plan::create(&spec, &host(), &request).map(drop).map_err(|error| error.to_string())
}

#[test]
fn every_seccomp_word_that_is_told_is_accepted() {
    let Seccomp { actions, operators, archs, known_flags, supported_flags, .. } = features().linux.seccomp;
    for action in &actions {
        let rule = json!({"names": ["read"], "action": action});
        let profile = json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/l", "syscalls": [rule]});
        assert_eq!(accepted("/linux/seccomp", profile), Ok(()), "{action}");
        // What an agent is to decide about can't be everything.
        let default = accepted("/linux/seccomp", json!({"defaultAction": action}));
        assert_eq!(default.is_ok(), action != "SCMP_ACT_NOTIFY", "{default:?}");
    }
    for op in &operators {
        let rule = json!({"names": ["read"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 1, "op": op}]});
        let profile = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]});
        assert_eq!(accepted("/linux/seccomp", profile), Ok(()), "{op}");
    }
    for arch in &archs {
        let profile = json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": [arch]});
        assert_eq!(accepted("/linux/seccomp", profile), Ok(()), "{arch}");
    }
    for flag in &supported_flags {
        let profile = json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": [flag]});
        assert_eq!(accepted("/linux/seccomp", profile), Ok(()), "{flag}");
    }
    assert!(
        actions.len() == 9
            && operators.len() == 7
            && archs.contains(&"SCMP_ARCH_X86_64".into())
            && known_flags.len() == 4
    );
}

#[test]
fn an_action_is_told_exactly_if_it_is_accepted() {
    let told = features().linux.seccomp.actions;
    for action in [
        "SCMP_ACT_ALLOW",
        "SCMP_ACT_ERRNO",
        "SCMP_ACT_KILL",
        "SCMP_ACT_KILL_PROCESS",
        "SCMP_ACT_KILL_THREAD",
        "SCMP_ACT_LOG",
        "SCMP_ACT_NOTIFY",
        "SCMP_ACT_TRACE",
        "SCMP_ACT_TRAP",
    ] {
        let rule = json!({"names": ["read"], "action": action});
        let profile = json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/l", "syscalls": [rule]});
        assert_eq!(told.contains(&action.into()), accepted("/linux/seccomp", profile).is_ok(), "{action}");
    }
}

#[test]
fn what_is_disabled_is_refused_and_what_is_enabled_is_not() {
    let linux = features().linux;
    for (enabled, pointer, value) in [
        (linux.apparmor.enabled, "/process/apparmorProfile", json!("profile")),
        (linux.selinux.enabled, "/process/selinuxLabel", json!("label")),
        (linux.intel_rdt.enabled, "/linux/intelRdt", json!({"closID": "x"})),
        (linux.net_devices.enabled, "/linux/netDevices", json!({"eth0": {}})),
        (
            !linux.memory_policy.modes.is_empty(),
            "/linux/memoryPolicy",
            json!({"mode": "MPOL_BIND", "nodes": "0"}),
        ),
        (linux.cgroup.rdma, "/linux/resources", json!({"rdma": {"mlx5": {"hcaHandles": 3}}})),
    ] {
        let answer = accepted(pointer, value);
        assert_eq!(answer.is_ok(), enabled, "{pointer}: {answer:?}");
    }
    let mapped = json!([{"destination": "/x", "type": "bind", "source": "/y", "options": ["bind", "idmap"],
        "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}],
        "gidMappings": [{"containerID": 0, "hostID": 1000, "size": 1}]}]);
    assert_eq!(accepted("/mounts", mapped).is_ok(), linux.mount_extensions.idmap.enabled);
}

#[test]
fn every_namespace_and_capability_that_is_told_is_accepted() {
    let linux = features().linux;
    for namespace in &linux.namespaces {
        let namespaces = json!([{"type": "mount"}, {"type": "pid"}, {"type": "ipc"}]);
        let mut namespaces = namespaces.as_array().unwrap().clone();
        namespaces.retain(|one| one["type"] != *namespace);
        namespaces.push(json!({"type": namespace}));
        let maps = json!([{"containerID": 0, "hostID": 1000, "size": 1}]);
        let maps = if *namespace == "user" { maps } else { json!([]) };
        let linux = json!({"namespaces": namespaces, "uidMappings": maps, "gidMappings": maps});
        assert_eq!(accepted("/linux", linux), Ok(()), "{namespace}");
    }
    assert_eq!(linux.namespaces, ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"]);
    for capability in &linux.capabilities {
        let sets = json!({"bounding": [capability], "effective": [capability], "permitted": [capability]});
        assert_eq!(accepted("/process/capabilities", sets), Ok(()), "{capability}");
    }
    assert_eq!(linux.capabilities.len(), 41);
}

#[test]
fn every_hook_that_is_told_is_run() {
    for hook in features().hooks {
        let hooks = json!({hook: [{"path": "/bin/true"}]});
        assert_eq!(accepted("/hooks", hooks), Ok(()), "{hook}");
    }
    assert_eq!(features().hooks.len(), 6);
}

#[test]
fn the_document_is_that_of_the_specification() {
    let document = serde_json::to_value(features()).unwrap();
    let read: oci_spec::runtime::Features = serde_json::from_value(document.clone()).unwrap();
    assert_eq!(read.mount_options().as_ref().map(Vec::len), Some(features().mount_options.len()));
    let members = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let known = serde_json::to_value(&read).unwrap();
    for pointer in ["", "/linux", "/linux/cgroup", "/linux/seccomp", "/linux/intelRdt", "/linux/memoryPolicy"]
    {
        let (ours, known) = (document.pointer(pointer).unwrap(), known.pointer(pointer).unwrap());
        assert_eq!(members(ours), members(known), "{pointer}");
    }
    for word in ["rro", "rbind", "tmpcopyup", "idmap", "ridmap", "rshared", "noatime", "lazytime"] {
        assert!(read.mount_options().as_ref().unwrap().contains(&word.to_owned()), "{word}");
    }
}
