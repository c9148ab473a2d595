//! What the host sees of a container: the files of its cgroup, the program on it, its processes.

use serde_json::Value;

use crate::{Container, World};

/// A limit: where the configuration has it, its controller, its file in version 1 and in version 2, and its text there.
type Limit = (&'static str, &'static str, [&'static str; 2], fn(&Value) -> String);

const LIMITS: [Limit; 3] = [
    ("/linux/resources/memory/limit", "memory", ["memory.limit_in_bytes", "memory.max"], plain),
    ("/linux/resources/pids/limit", "pids", ["pids.max", "pids.max"], plain),
    ("/linux/resources/cpu/cpus", "cpuset", ["cpuset.cpus", "cpuset.cpus"], plain),
];

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Every way in which a created container is not on the host what its configuration asks for.
pub fn differences_outside(config: &Value, container: &Container<'_>) -> Vec<String> {
    let mut differences = Vec::new();
    let mut same = |what: &str, wanted: &str, seen: &str| {
        if wanted != seen {
            differences.push(format!("outside, {what}: {seen:?}, foretold was {wanted:?}"));
        }
    };
    let path = config["linux"]["cgroupsPath"].as_str().unwrap_or_default();
    same("the cgroup", path.trim_start_matches('/'), &container.cgroup_path());
    for (pointer, controller, [old, new], text) in LIMITS {
        let Some(hierarchy) = container.world().hierarchy(controller) else { continue };
        let file = if hierarchy.name.is_empty() { new } else { old };
        if let (Some(wanted), Some(seen)) = (config.pointer(pointer), container.cgroup_file(controller, file))
        {
            same(file, &text(wanted), &seen);
        }
    }
    devices(config, container, &mut same);
    differences
}

/// In version 2 there is one program; in version 1 a list, which denies by default.
fn devices(_config: &Value, container: &Container<'_>, same: &mut impl FnMut(&str, &str, &str)) {
    match container.world() {
        World::Unified => {
            let cgroup = container.cgroup2().unwrap_or_default();
            let programs = crate::bpf::device_programs(&cgroup).len();
            same("device programs", "1", &programs.to_string());
        }
        World::Host => {
            let list = container.cgroup_file("devices", "devices.list").unwrap_or_default();
            same("devices that anybody may use", "none", if list.contains("a *:*") { "all" } else { "none" });
        }
    }
}
