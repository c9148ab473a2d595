//! `config.json`, and parts of it.

use std::collections::BTreeMap;

use runtime_core::plan::{self, Joining, Request};
use runtime_core::spec::{ExecProcess, sysctl_path};
use runtime_core::{ContainerId, Spec};
use serde_json::{Value, json};

use crate::hosts::hosts;
use crate::plans::{check_plan, check_refusal};

/// A document: refused in one sentence, or planned the same way twice, for a container and for one more process of it,
/// and the plan crosses to init whole.
pub(crate) fn document(bytes: &[u8]) {
    let spec = match Spec::parse(bytes.to_vec()) {
        Ok(spec) => spec,
        Err(refusal) => return check_refusal(&refusal),
    };
    assert_eq!(spec.raw(), bytes);
    spec.warnings().iter().for_each(check_refusal);
    let request = request();
    for host in hosts() {
        let planned = plan::create(&spec, &host, &request);
        assert_eq!(planned, plan::create(&spec, &host, &request));
        planned.map_or_else(|refusal| check_refusal(&refusal), |plan| check_plan(&plan));
    }
    one_more_process(&spec);
}

/// The container's own process, once more.
fn one_more_process(spec: &Spec) {
    let document: Value = serde_json::from_slice(spec.raw()).expect("it was parsed before");
    let process = ExecProcess::Document(document["process"].to_string().into_bytes());
    let joining = Joining {
        container: request(),
        inherited_descriptors: 3,
        pid_file: None,
        pidfd_socket: None,
        console_socket: None,
        window_size: None,
    };
    let [host, _] = hosts();
    let planned =
        Spec::parse_with(spec.raw().to_vec(), &process).and_then(|spec| plan::exec(&spec, &host, &joining));
    planned.map_or_else(|refusal| check_refusal(&refusal), |plan| check_plan(&plan));
}

pub(crate) fn request() -> Request {
    let id = ContainerId::new("fuzz").expect("a name");
    Request::new(&id, "/bundle/rootfs".into())
}

/// The destination, type, source and options of a mount: a line each.
pub(crate) fn mounts(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.lines();
    let [destination, kind, source] = [(); 3].map(|()| lines.next().unwrap_or_default());
    let options: Vec<&str> = lines.collect();
    let mut config = minimal();
    config["mounts"] =
        json!([{"destination": destination, "type": kind, "source": source, "options": options}]);
    document(config.to_string().as_bytes());
}

/// Kernel parameters, a line each: those that are accepted are below `/proc/sys`, and of a kind that belongs to one of
/// the container's namespaces.
pub(crate) fn sysctls(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let parameters: BTreeMap<&str, &str> = text.lines().map(|line| (line, "1")).collect();
    let mut config = minimal();
    config["linux"]["sysctl"] = json!(parameters);
    document(config.to_string().as_bytes());
    let Ok(_) = Spec::parse(config.to_string().into_bytes()) else { return };
    for name in parameters.keys() {
        let path = sysctl_path(name).expect("it was accepted");
        assert!(is_private(&path) && !path.split('/').any(climbs), "{name:?} is {path:?}");
    }
}

fn climbs(part: &str) -> bool {
    matches!(part, "" | "." | "..")
}

/// What user_namespaces(7), ipc_namespaces(7), network_namespaces(7) and uts_namespaces(7) have for each namespace.
fn is_private(path: &str) -> bool {
    const IPC: [&str; 8] =
        ["msgmax", "msgmnb", "msgmni", "sem", "shmall", "shmmax", "shmmni", "shm_rmid_forced"];
    let kernel = path.strip_prefix("kernel/");
    ["net/", "fs/mqueue/", "user/"].iter().any(|start| path.starts_with(start))
        || kernel.is_some_and(|name| IPC.contains(&name) || name == "domainname")
}

/// With every namespace, so that nothing is refused for the want of one.
pub(crate) fn minimal() -> Value {
    let kinds = ["mount", "pid", "network", "ipc", "uts", "cgroup"];
    json!({
        "ociVersion": "1.2.0",
        "process": {"cwd": "/", "args": ["x"]},
        "root": {"path": "rootfs"},
        "linux": {"namespaces": kinds.map(|kind| json!({"type": kind}))},
    })
}
