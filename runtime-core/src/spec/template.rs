//! The config.json to start from, as the `spec` command writes it.

use serde::Serialize;
use serde_json::{Value, json};

/// The version of the specification that this runtime follows.
pub const OCI_VERSION: &str = "1.3.0";

/// A config.json for a shell in `rootfs`.
///
/// `rootless` is the caller's user and group id, when the container is to be made without privileges; `cgroup2` says
/// whether the host has the unified cgroup hierarchy, in which a cgroup namespace is worth having.
pub fn template(rootless: Option<(u32, u32)>, cgroup2: bool) -> Value {
    let mut document = json!({
        "ociVersion": OCI_VERSION,
        "process": process(),
        "root": { "path": "rootfs", "readonly": true },
        "hostname": "runtime",
        "mounts": mounts(rootless.is_some()),
        "linux": linux(rootless, cgroup2),
    });
    document["linux"]["maskedPaths"] = json!(MASKED);
    document["linux"]["readonlyPaths"] = json!(READ_ONLY);
    document
}

/// The text of [`template`]: one member a line, indented by tabs, the most edited sections first.
pub fn template_text(document: &Value) -> String {
    #[derive(Serialize)]
    #[serde(rename_all = "camelCase")]
    struct Ordered<'a> {
        oci_version: &'a Value,
        process: &'a Value,
        root: &'a Value,
        hostname: &'a Value,
        mounts: &'a Value,
        linux: &'a Value,
    }
    let ordered = Ordered {
        oci_version: &document["ociVersion"],
        process: &document["process"],
        root: &document["root"],
        hostname: &document["hostname"],
        mounts: &document["mounts"],
        linux: &document["linux"],
    };
    let mut text = Vec::new();
    let tabs = serde_json::ser::PrettyFormatter::with_indent(b"\t");
    let written = ordered.serialize(&mut serde_json::Serializer::with_formatter(&mut text, tabs));
    debug_assert!(written.is_ok(), "a value always has a text");
    String::from_utf8(text).unwrap_or_default()
}

const MASKED: [&str; 10] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/sys/firmware",
    "/proc/scsi",
];

const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

fn process() -> Value {
    let capabilities = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];
    json!({
        "terminal": true,
        "user": { "uid": 0, "gid": 0 },
        "args": ["sh"],
        "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
        "cwd": "/",
        "capabilities": { "bounding": capabilities, "effective": capabilities, "permitted": capabilities },
        "rlimits": [{ "type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024 }],
        "noNewPrivileges": true,
    })
}

fn mounts(rootless: bool) -> Value {
    let mut pts = vec!["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"];
    // The group tty is not mapped into a user namespace with a single id.
    if !rootless {
        pts.push("gid=5");
    }
    // A new sysfs needs a network namespace of one's own.
    let sys = if rootless {
        mount("/sys", "none", "/sys", &["rbind", "nosuid", "noexec", "nodev", "ro"])
    } else {
        mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"])
    };
    json!([
        mount("/proc", "proc", "proc", &[]),
        mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount("/dev/pts", "devpts", "devpts", &pts),
        mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
        mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        sys,
        mount("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"]),
    ])
}

fn mount(destination: &str, kind: &str, source: &str, options: &[&str]) -> Value {
    let mut mount = json!({ "destination": destination, "type": kind, "source": source });
    if !options.is_empty() {
        mount["options"] = json!(options);
    }
    mount
}

fn linux(rootless: Option<(u32, u32)>, cgroup2: bool) -> Value {
    let mut kinds = vec!["pid", "ipc", "uts", "mount"];
    kinds.push(if rootless.is_some() { "user" } else { "network" });
    if cgroup2 {
        kinds.push("cgroup");
    }
    let namespaces: Vec<Value> = kinds.iter().map(|kind| json!({ "type": kind })).collect();
    match rootless {
        None => json!({
            "namespaces": namespaces,
            "resources": { "devices": [{ "allow": false, "access": "rwm" }] },
        }),
        Some((uid, gid)) => json!({
            "namespaces": namespaces,
            "uidMappings": [{ "containerID": 0, "hostID": uid, "size": 1 }],
            "gidMappings": [{ "containerID": 0, "hostID": gid, "size": 1 }],
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Spec;

    #[test]
    fn templates_are_valid_without_a_warning() {
        for rootless in [None, Some((1000, 1001))] {
            for cgroup2 in [false, true] {
                let text = template_text(&template(rootless, cgroup2));
                let spec = Spec::parse(text.into_bytes()).unwrap();
                assert!(spec.warnings().is_empty());
            }
        }
    }

    #[test]
    fn the_text_is_the_document_indented_by_tabs() {
        let document = template(None, true);
        let text = template_text(&document);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), document);
        assert!(text.starts_with("{\n\t\"ociVersion\": "));
    }

    fn kinds(document: &Value) -> Vec<&str> {
        let namespaces = document["linux"]["namespaces"].as_array().unwrap();
        namespaces.iter().map(|namespace| namespace["type"].as_str().unwrap()).collect()
    }

    #[test]
    fn the_privileged_one_has_a_network_and_the_cgroup_namespace_where_it_helps() {
        assert_eq!(kinds(&template(None, false)), ["pid", "ipc", "uts", "mount", "network"]);
        assert_eq!(kinds(&template(None, true)), ["pid", "ipc", "uts", "mount", "network", "cgroup"]);
    }

    #[test]
    fn the_rootless_one_maps_the_caller_and_needs_nothing_else() {
        let document = template(Some((1000, 1001)), false);
        let linux = &document["linux"];
        assert_eq!(kinds(&document), ["pid", "ipc", "uts", "mount", "user"]);
        assert_eq!(linux["uidMappings"], json!([{ "containerID": 0, "hostID": 1000, "size": 1 }]));
        assert_eq!(linux["gidMappings"], json!([{ "containerID": 0, "hostID": 1001, "size": 1 }]));
        assert_eq!(linux.get("resources"), None);
        assert!(!document["mounts"].to_string().contains("gid="));
        assert_eq!(document["mounts"][5]["options"][0], "rbind");
    }
}
