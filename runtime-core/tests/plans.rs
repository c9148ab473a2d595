//! Plans as text: one directory below `tests/plans` for each case, about one thing each.
//!
//! A case is a `config.json` and what comes of it on one host or several: `plan.txt` on a host with cgroup2 alone,
//! `plan.v1.txt` with version 1 alone and SELinux, `plan.hybrid.txt` with both versions and AppArmor, `plan.user.txt` and
//! `plan.user-with-cgroup.txt` for an ordinary user, or `error.txt` where it is refused (by the parser, or by the planner
//! on the first host). A `request.json` changes what the caller asks for besides.
//!
//! With `UPDATE_PLANS` in the environment the texts are written anew: read the difference before you commit it.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::fs;
use std::path::{Path, PathBuf};

use runtime_core::cgroup::{Closed, Hierarchies, V1, V2};
use runtime_core::error::ConfigError;
use runtime_core::host::Modules;
use runtime_core::plan::{self, Joining, Request};
use runtime_core::spec::ExecProcess;
use runtime_core::{ContainerId, Host, Plan, Spec};
use serde_json::Value;

type MakeHost = fn() -> Host;

/// The hosts for which plans are made, by the name of the file with the plan.
const HOSTS: [(&str, MakeHost); 6] = [
    ("plan.txt", unified),
    ("plan.v1.txt", version_1),
    ("plan.hybrid.txt", hybrid),
    ("plan.old-calls.txt", without_new_calls),
    ("plan.user.txt", ordinary_user),
    ("plan.user-with-cgroup.txt", user_with_cgroup),
];

const REFUSAL: &str = "error.txt";

#[test]
fn every_case_gives_the_plan_that_is_written_down() {
    let wrong: Vec<String> = cases().iter().flat_map(|case| differences(case)).collect();
    assert!(wrong.is_empty(), "{}\nUPDATE_PLANS=1 writes them anew", wrong.join("\n"));
}

#[test]
fn every_case_is_about_something() {
    for case in cases() {
        assert!(!expected(&case).is_empty(), "{} says neither plan nor error", case.display());
    }
}

#[test]
fn a_plan_is_the_same_each_time() {
    for case in cases() {
        let [first, second] = [outcome(&case, &hybrid()), outcome(&case, &hybrid())];
        assert_eq!(first.map_err(|error| error.to_string()), second.map_err(|error| error.to_string()));
    }
}

fn cases() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans");
    let mut cases: Vec<PathBuf> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() > 20, "the cases are not where they are looked for: {cases:?}");
    cases
}

/// The names of the texts that a case has. A new case without any gets a plan for the first host, or its refusal.
fn expected(case: &Path) -> Vec<&'static str> {
    let known = HOSTS.iter().map(|(name, _)| *name).chain([REFUSAL]);
    let found: Vec<_> = known.filter(|name| case.join(name).exists()).collect();
    match (found.is_empty() && updating(), outcome(case, &unified())) {
        (true, Ok(_)) => vec!["plan.txt"],
        (true, Err(_)) => vec![REFUSAL],
        (false, _) => found,
    }
}

fn updating() -> bool {
    std::env::var_os("UPDATE_PLANS").is_some()
}

/// What is not as it is written down, as sentences.
fn differences(case: &Path) -> Vec<String> {
    expected(case).into_iter().filter_map(|name| difference(case, name)).collect()
}

fn difference(case: &Path, name: &str) -> Option<String> {
    let host = HOSTS.iter().find(|(each, _)| *each == name).map_or(unified(), |(_, host)| host());
    let text = match (outcome(case, &host), name == REFUSAL) {
        (Ok(plan), false) => plan.to_string(),
        (Err(error), true) => format!("{error}\n"),
        (Ok(plan), true) => return Some(format!("{} is not refused:\n{plan}", case.display())),
        (Err(error), false) => return Some(format!("{} is refused: {error}", case.display())),
    };
    let file = case.join(name);
    if updating() {
        fs::write(&file, &text).unwrap();
    }
    let written = fs::read_to_string(&file).unwrap_or_default();
    (text != written).then(|| format!("{} should be\n{text}", file.display()))
}

fn outcome(case: &Path, host: &Host) -> Result<Plan, ConfigError> {
    if let Ok(process) = fs::read(case.join("exec.json")) {
        return further_process(case, process, host);
    }
    let spec = Spec::parse(fs::read(case.join("config.json")).unwrap())?;
    plan::create(&spec, host, &request(case))
}

/// A case with an exec.json is about a further process of the container.
fn further_process(case: &Path, process: Vec<u8>, host: &Host) -> Result<Plan, ConfigError> {
    let config = fs::read(case.join("config.json")).unwrap();
    let spec = Spec::parse_with(config, &ExecProcess::Document(process))?;
    let container = request(case);
    let joining = Joining {
        inherited_descriptors: container.inherited_descriptors,
        pid_file: container.pid_file.clone(),
        pidfd_socket: None,
        console_socket: None,
        window_size: None,
        container,
    };
    plan::exec(&spec, host, &joining)
}

/// The usual circumstances, with what the case changes.
fn request(case: &Path) -> Request {
    let id = ContainerId::new("example").unwrap();
    let mut request = serde_json::to_value(Request::new(&id, "/bundle/rootfs".into())).unwrap();
    if let Ok(text) = fs::read(case.join("request.json")) {
        let changes: serde_json::Map<String, Value> = serde_json::from_slice(&text).unwrap();
        request.as_object_mut().unwrap().extend(changes);
    }
    serde_json::from_value(request).unwrap()
}

/// All capabilities, nothing ignored, and a kernel that can do everything.
fn host(v1: &[&str], v2: Option<&[&str]>) -> Host {
    const ALL: u64 = (1 << 41) - 1;
    let mount = if v1.is_empty() { "/sys/fs/cgroup" } else { "/sys/fs/cgroup/unified" };
    let v2 = v2.map(|controllers| V2 {
        mount: mount.into(),
        root: "/".into(),
        own: "/engine/manager".into(),
        controllers: controllers.iter().map(ToString::to_string).collect(),
    });
    let v1 = v1.iter().map(|names| hierarchy(names)).collect();
    Host {
        cgroups: Hierarchies { v1, v2, owner: Some((0, 0)), parent: None },
        closed: None,
        uid: 0,
        gid: 0,
        bounding: ALL,
        permitted: ALL,
        ignored_signals: 0,
        kernel: (6, 12),
        has_groups: false,
        denies_groups: false,
        in_user_namespace: false,
        on_some_cpus: false,
        descriptor_limit: 1024,
        has_clone3: true,
        has_mount_calls: true,
        modules: Modules::default(),
    }
}

fn hierarchy(names: &str) -> V1 {
    V1 {
        controllers: names.split(',').map(str::to_owned).collect(),
        mount: Path::new("/sys/fs/cgroup").join(names.trim_start_matches("name=")),
        root: "/".into(),
        own: "/engine".into(),
    }
}

/// Cgroup2 with every controller.
fn unified() -> Host {
    host(&[], Some(&["cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma", "misc"]))
}

/// Version 1 alone, as old distributions mount it, on an old kernel.
fn version_1() -> Host {
    let hierarchies = [
        "cpu,cpuacct",
        "cpuset",
        "memory",
        "devices",
        "freezer",
        "pids",
        "blkio",
        "hugetlb",
        "net_cls,net_prio",
        "rdma",
        "name=systemd",
    ];
    let modules = Modules { selinux: true, apparmor: false };
    Host { kernel: (5, 4), modules, ..host(&hierarchies, None) }
}

/// The same behind a filter that knows no calls for mounts, nor clone3.
fn without_new_calls() -> Host {
    Host { has_clone3: false, has_mount_calls: false, ..unified() }
}

/// Cgroup2, for user 1000 who has been given a part of it.
fn user_with_cgroup() -> Host {
    Host { uid: 1000, gid: 1000, permitted: 0, ..unified() }
}

/// The same for one who has been given nothing.
fn ordinary_user() -> Host {
    let Host { cgroups: hierarchies, .. } = unified();
    let closed = Closed { hierarchies, why: "this user may make no cgroup".into() };
    Host { cgroups: Hierarchies::default(), closed: Some(closed), ..user_with_cgroup() }
}

/// Version 1 with most controllers, and version 2 beside it with the rest.
fn hybrid() -> Host {
    let v1 = ["cpu,cpuacct", "memory", "devices", "freezer", "pids", "name=systemd"];
    let modules = Modules { apparmor: true, selinux: false };
    Host { modules, ..host(&v1, Some(&["cpuset", "io"])) }
}
