//! What the fuzz targets do with their bytes. `tests/bounded.rs` does the same on a stable toolchain, for a moment.

use std::path::Path;

use runtime_core::cgroup::{Hierarchies, V1, V2};
use runtime_core::container::Status;
use runtime_core::error::ConfigError;
use runtime_core::host::Modules;
use runtime_core::plan::{self, Request};
use runtime_core::state::{Intent, Record};
use runtime_core::step::Step;
use runtime_core::wire::{Borrowed, Message, Report, put_message};
use runtime_core::{ContainerId, Host, Plan, Spec};
use serde_json::{Value, json};

/// A configuration: refused in one sentence, or planned the same way twice, and the plan crosses to init whole.
pub fn config(bytes: &[u8]) {
    for host in hosts() {
        match planned(bytes, &host) {
            Ok(plan) => {
                assert_eq!(planned(bytes, &host).as_ref(), Ok(&plan));
                check(&plan);
            }
            Err(error) => check_sentence(&error),
        }
    }
}

/// The options, type, source and destination of a mount: a line each.
pub fn mounts(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.lines();
    let [destination, kind, source] = [(); 3].map(|()| lines.next().unwrap_or_default());
    let options: Vec<&str> = lines.collect();
    let config = json!({
        "ociVersion": "1.2.0",
        "process": {"cwd": "/", "args": ["x"]},
        "root": {"path": "rootfs"},
        "mounts": [{"destination": destination, "type": kind, "source": source, "options": options}],
        "linux": {"namespaces": [{"type": "mount"}]},
    });
    self::config(config.to_string().as_bytes());
}

/// What init reads: any bytes, to the end, without a panic.
pub fn wire(bytes: &[u8]) {
    if let Some(report) = Report::from_bytes(bytes) {
        assert_eq!(report.to_bytes(), bytes);
    }
    let Some(message) = Message::open(bytes) else { return };
    let _ = (message.blob(0), message.blob(u32::MAX));
    for (_, step) in message.steps::<Step<Borrowed<'_>>>() {
        step.iter().for_each(read);
    }
}

/// Records: what is understood is written and read again as the same.
pub fn state(bytes: &[u8]) {
    if let Ok(record) = serde_json::from_slice::<Record>(bytes) {
        let again: Record = serde_json::from_value(json!(record)).expect("what was written can be read");
        assert_eq!(again, record);
        let _ = (record.state(Status::Running, ""), record.cgroup.to_string());
    }
    if let Ok(intent) = serde_json::from_slice::<Intent>(bytes) {
        let again: Intent = serde_json::from_value(json!(intent)).expect("what was written can be read");
        assert_eq!(again, intent);
        // Nothing that a record says leads out of the hierarchies that it names.
        for (_, directory) in intent.cgroup.directories() {
            assert!(
                !directory.components().any(|part| part == std::path::Component::ParentDir)
                    || has_parents(bytes)
            );
        }
    }
}

/// Mount points of hierarchies are taken as they are written; only the path below them is checked.
fn has_parents(bytes: &[u8]) -> bool {
    let document: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let places = document["cgroup"].as_array().cloned().unwrap_or_default();
    places.iter().any(|place| place["mount"].as_str().is_some_and(|mount| mount.contains("..")))
}

fn planned(bytes: &[u8], host: &Host) -> Result<Plan, ConfigError> {
    let id = ContainerId::new("fuzz").map_err(|_| ConfigError::new("", "not a name"))?;
    plan::create(&Spec::parse(bytes.to_vec())?, host, &Request::new(&id, "/bundle/rootfs".into()))
}

/// A plan can be listed, and init reads as many steps as were written.
fn check(plan: &Plan) {
    assert_eq!(plan.to_json().as_array().map(Vec::len), Some(plan.entries.len()));
    assert!(!plan.to_string().is_empty());
    let steps = plan.steps();
    let mut message = Vec::new();
    put_message(&[], steps.iter().copied(), &mut message);
    let opened = Message::open(&message).expect("what was written is a message");
    let numbers: Vec<u32> = opened
        .steps::<Step<Borrowed<'_>>>()
        .map(|(number, step)| {
            read(&step.expect("what was written is a step"));
            number
        })
        .collect();
    assert_eq!(numbers, steps.iter().map(|(number, _)| *number).collect::<Vec<_>>());
}

/// Looks at every item of a step's lists.
fn read(step: &Step<Borrowed<'_>>) {
    match step {
        Step::MakeNodes { nodes, links, .. } => {
            let _ = (nodes.iter().count(), links.iter().count());
        }
        Step::ProtectPaths { paths }
        | Step::MaskPaths { paths, .. }
        | Step::FindProgram { candidates: paths } => {
            let _ = paths.iter().count();
        }
        Step::Mount { propagation, .. } => {
            let _ = propagation.iter().count();
        }
        Step::BecomeUser { groups, .. } => {
            let _ = groups.iter().count();
        }
        Step::Execute { candidates, arguments, environment, .. } => {
            let _ = [candidates, arguments, environment].map(|list| list.iter().count());
        }
        _ => {}
    }
}

fn check_sentence(error: &ConfigError) {
    let text = error.to_string();
    assert!(!text.contains('\n') && text.len() < 2000, "{text}");
}

/// The hosts that plans are made for: version 2 alone, and version 1 alone.
pub fn hosts() -> [Host; 2] {
    let v2 = V2 {
        mount: "/sys/fs/cgroup".into(),
        root: "/".into(),
        own: "/engine".into(),
        controllers: ["cpuset", "cpu", "io", "memory", "pids"].map(str::to_owned).into(),
    };
    let v1 = |name: &str| V1 {
        controllers: vec![name.into()],
        mount: Path::new("/sys/fs/cgroup").join(name),
        root: "/".into(),
        own: "/engine".into(),
    };
    let host = |v1, v2| Host {
        cgroups: Hierarchies { v1, v2, owner: Some((0, 0)) },
        closed: None,
        uid: 0,
        gid: 0,
        bounding: (1 << 41) - 1,
        permitted: (1 << 41) - 1,
        ignored_signals: 0,
        kernel: (6, 12),
        has_groups: false,
        denies_groups: false,
        in_user_namespace: false,
        on_some_cpus: false,
        descriptor_limit: 1024,
        has_clone3: true,
        has_mount_calls: true,
        modules: Modules { apparmor: true, selinux: true },
    };
    [host(Vec::new(), Some(v2)), host(["memory", "cpu", "devices", "pids"].map(v1).into(), None)]
}
