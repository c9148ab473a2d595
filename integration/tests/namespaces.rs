//! Namespaces: new, shared, and joined by path.

use std::fs;

use integration::bundle::{namespace, shell};
use integration::{Container, Test, promises};
use serde_json::{Value, json};

/// The types in the configuration and their links below `/proc/PID/ns`.
const KINDS: [(&str, &str); 6] = [
    ("pid", "pid"),
    ("network", "net"),
    ("ipc", "ipc"),
    ("uts", "uts"),
    ("mount", "mnt"),
    ("cgroup", "cgroup"),
];

fn ours(name: &str) -> String {
    fs::read_link(format!("/proc/self/ns/{name}")).unwrap_or_default().to_string_lossy().into_owned()
}

fn sleeper(config: &mut Value) {
    config["process"]["args"] = json!(["/bin/sleep", "1000"]);
}

/// Leaves out what cannot be had without these namespaces.
fn without(config: &mut Value, kind: &str) {
    sleeper(config);
    namespace(config, kind, None);
    if kind == "uts" {
        config.as_object_mut().expect("an object").remove("hostname");
    }
    if kind == "network" {
        config["mounts"]
            .as_array_mut()
            .expect("a list")
            .retain(|mount| mount["type"] != "sysfs" && mount["type"] != "cgroup");
        config["linux"]["maskedPaths"] = json!([]);
    }
}

#[test]
fn each_namespace_is_new_when_listed() {
    let test = Test::new();
    let container = test.create(&test.bundle(sleeper));
    for (kind, link) in KINDS {
        assert_ne!(container.namespace(link), ours(link), "{kind}");
    }
    for link in ["user", "time"] {
        assert_eq!(container.namespace(link), ours(link));
    }
}

#[test]
fn each_namespace_is_shared_when_not_listed() {
    let test = Test::new();
    promises(KINDS.into_iter().filter(|(kind, _)| *kind != "mount").map(|(kind, link)| {
        let shared = || {
            let container = test.create(&test.bundle(|config| without(config, kind)));
            assert_eq!(container.namespace(link), ours(link));
        };
        (format!("a shared {kind} namespace"), shared)
    }));
}

fn joined<'a>(test: &'a Test, other: &Container<'_>, kind: &str, link: &str) -> Container<'a> {
    let path = format!("/proc/{}/ns/{link}", other.pid);
    test.create(&test.bundle(|config| {
        without(config, kind);
        namespace(config, kind, Some(json!({"type": kind, "path": path})));
    }))
}

#[test]
fn each_namespace_can_be_joined_by_its_path() {
    let test = Test::new();
    let first = test.start(&test.bundle(sleeper));
    promises(KINDS.into_iter().filter(|(kind, _)| *kind != "mount").map(|(kind, link)| {
        let shares = || {
            let second = joined(&test, &first, kind, link);
            assert_eq!(second.namespace(link), first.namespace(link));
        };
        (format!("a joined {kind} namespace"), shares)
    }));
}

#[test]
fn a_container_with_a_user_namespace_joins_the_namespaces_of_one_without() {
    let test = &Test::new();
    let first = &test.start(&test.bundle(sleeper));
    promises([("network", "net"), ("ipc", "ipc"), ("uts", "uts"), ("pid", "pid")].map(|(kind, link)| {
        let path = format!("/proc/{}/ns/{link}", first.pid);
        let shares = move || {
            let second = test.create(&test.bundle(|config| {
                without(config, kind);
                namespace(config, kind, Some(json!({"type": kind, "path": path})));
                namespace(config, "user", Some(json!({"type": "user"})));
                config["linux"]["uidMappings"] =
                    json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
                config["linux"]["gidMappings"] =
                    json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
                config["process"]["rlimits"] = json!([]);
                if kind == "ipc" {
                    // A queue file system can only be mounted by an owner of the ipc namespace.
                    config["mounts"]
                        .as_array_mut()
                        .expect("a list")
                        .retain(|mount| mount["type"] != "mqueue");
                }
                if kind == "pid" {
                    // A procfs can only be mounted by an owner of the pid namespace.
                    config["mounts"].as_array_mut().expect("a list").retain(|mount| mount["type"] != "proc");
                    config["linux"]["maskedPaths"] = json!([]);
                    config["linux"]["readonlyPaths"] = json!([]);
                }
            }));
            assert_eq!(second.namespace(link), first.namespace(link));
            assert_ne!(second.namespace("user"), first.namespace("user"));
        };
        (format!("a {kind} namespace joined from a user namespace"), shares)
    }));
}

#[test]
fn a_user_namespace_has_the_mappings_that_were_asked_for() {
    let test = Test::new();
    let container = test.create(&test.bundle(|config| {
        sleeper(config);
        namespace(config, "user", Some(json!({"type": "user"})));
        config["linux"]["uidMappings"] = json!([
            {"containerID": 0, "hostID": 100_000, "size": 1000}, {"containerID": 1000, "hostID": 5000, "size": 1}
        ]);
        config["linux"]["gidMappings"] = json!([{"containerID": 0, "hostID": 200_000, "size": 65536}]);
        config["process"]["rlimits"] = json!([]);
    }));
    let map = |file| container.proc(file).split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(map("uid_map"), ["0", "100000", "1000", "1000", "5000", "1"]);
    assert_eq!(map("gid_map"), ["0", "200000", "65536"]);
    container.start().ok();
    let owner =
        procfs::process::Process::new(container.pid).and_then(|process| process.status()).expect("it lives");
    assert_eq!((owner.euid, owner.egid), (100_000, 200_000));
}

#[test]
fn a_user_namespace_without_mappings_is_refused() {
    let test = Test::new();
    promises([("a user namespace without mappings", || {
        let bundle = test.bundle(|config| namespace(config, "user", Some(json!({"type": "user"}))));
        test.run(&bundle).fails();
    })]);
}

#[test]
fn host_and_domain_name_stay_inside() {
    let before = rustix::system::uname();
    promises([("hostname", "inside"), ("domainname", "example.org")].map(|(field, name)| {
        let shown = move || {
            let said = Test::new().run_with(|config| {
                config[field] = json!(name);
                shell(config, &format!("cat /proc/sys/kernel/{field}"));
            });
            assert_eq!(said.ok().stdout.trim(), name);
        };
        (field, shown)
    }));
    assert_eq!(rustix::system::uname().nodename(), before.nodename());
    assert_eq!(rustix::system::uname().domainname(), before.domainname());
}

#[test]
fn a_new_network_namespace_has_only_a_loopback() {
    let said = Test::new().run_with(|config| shell(config, "ls /sys/class/net")).ok().stdout;
    assert!(said.lines().all(|name| name == "lo" || name.ends_with('0')), "{said}");
}

#[test]
fn a_time_namespace_has_its_offsets() {
    promises([("a time namespace", || {
        let said = Test::new().run_with(|config| {
            namespace(config, "time", Some(json!({"type": "time"})));
            config["linux"]["timeOffsets"] = json!({"boottime": {"secs": 1_000_000, "nanosecs": 0}});
            shell(config, "cat /proc/uptime");
        });
        let uptime = said.ok().stdout;
        let seconds: f64 = uptime.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or_default();
        assert!(seconds > 1_000_000.0, "{uptime}");
    })]);
}

#[test]
fn a_namespace_of_another_kind_is_not_taken_for_it() {
    let test = Test::new();
    for (kind, wrong) in [("pid", "ipc"), ("network", "uts"), ("ipc", "net")] {
        let path = format!("/proc/self/ns/{wrong}");
        let said = test.run_with(|config| {
            namespace(config, kind, Some(json!({"type": kind, "path": path})));
        });
        said.fails_with(&[&format!("cannot open the {kind} namespace {path}")]);
    }
    let file = json!({"type": "pid", "path": "/etc/passwd"});
    test.run_with(|config| namespace(config, "pid", Some(file)))
        .fails_with(&["the pid namespace /etc/passwd"]);
}
