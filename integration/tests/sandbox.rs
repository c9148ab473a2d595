//! The whole sandbox at once: a prober inside reports what it sees, and that must be what was asked for.

use std::fs::{self, File};
use std::os::fd::AsRawFd;

use integration::bundle::{mount, namespace};
use integration::expected::{Expected, probe};
use integration::{Test, World, promise};
use rustix::io::FdFlags;
use serde_json::{Value, json};

/// Promises that what the prober sees is what the configuration asks for.
fn asked_for(name: &str, world: World, edit: fn(&mut Value)) {
    let test = Test::at(world);
    let (config, seen) = probe(&test, edit);
    let differences = Expected::of(&config).differences(&seen);
    let (cgroup, others): (Vec<_>, Vec<_>) =
        differences.into_iter().partition(|one| one.starts_with("/sys/fs/cgroup "));
    promise(name, || assert!(others.is_empty(), "{name}: {others:#?}"));
    promise(&format!("a read-only cgroup mount, {world:?}"), || assert!(cgroup.is_empty(), "{cgroup:#?}"));
}

#[test]
fn the_default_sandbox_is_the_one_asked_for_in_every_world() {
    for world in World::all() {
        asked_for(&format!("the default sandbox, {world:?}"), world, |_| {});
    }
}

#[test]
fn an_ordinary_user_keeps_no_privileges() {
    asked_for("an ordinary user", World::usual(), |config| {
        config["process"]["user"] =
            json!({"uid": 1000, "gid": 1000, "additionalGids": [5, 2000], "umask": 0o27});
        config["process"]["cwd"] = json!("/home");
    });
}

#[test]
fn ambient_capabilities_reach_an_ordinary_user() {
    asked_for("ambient capabilities", World::usual(), |config| {
        let net = json!(["CAP_NET_RAW", "CAP_NET_BIND_SERVICE"]);
        config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
        config["process"]["capabilities"] = json!({
            "bounding": net, "permitted": net, "effective": net, "inheritable": net, "ambient": ["CAP_NET_RAW"]
        });
    });
}

#[test]
fn without_capabilities_there_are_none() {
    asked_for("no capabilities", World::usual(), |config| config["process"]["capabilities"] = json!({}));
}

#[test]
fn every_process_field_arrives() {
    asked_for("process fields", World::usual(), |config| {
        config["process"]["env"] = json!(["PATH=/bin", "EMPTY=", "SPACED=a b = c", "HOME=/tmp"]);
        config["process"]["noNewPrivileges"] = json!(false);
        config["process"]["oomScoreAdj"] = json!(321);
        config["process"]["rlimits"] = json!([
            {"type": "RLIMIT_CORE", "soft": 0, "hard": 0},
            {"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200},
            {"type": "RLIMIT_STACK", "soft": 4_194_304, "hard": 8_388_608}
        ]);
    });
}

#[test]
fn namespaces_that_are_not_listed_are_shared() {
    asked_for("shared namespaces", World::usual(), |config| {
        for kind in ["network", "ipc", "uts", "cgroup"] {
            namespace(config, kind, None);
        }
        config.as_object_mut().expect("an object").remove("hostname");
        let mounts = config["mounts"].as_array_mut().expect("mounts is a list");
        mounts.retain(|mount| mount["type"] != "sysfs" && mount["type"] != "cgroup");
        config["linux"]["maskedPaths"] = json!(["/proc/keys"]);
    });
}

#[test]
fn a_filter_is_installed_and_answers() {
    asked_for("a filter", World::usual(), |config| {
        config["linux"]["seccomp"] = integration::seccomp::docker_sized();
    });
}

#[test]
fn sysctls_devices_and_mounts_arrive() {
    asked_for("sysctls, devices, mounts", World::usual(), |config| {
        config["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1", "kernel.shm_rmid_forced": "1"});
        config["linux"]["devices"] = json!([
            {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 0o600},
            {"path": "/dev/deep/er", "type": "c", "major": 1, "minor": 3}
        ]);
        config["root"]["readonly"] = json!(false);
        mount(config, "/data", "tmpfs", "tmpfs", &["ro", "nosuid", "nodev", "noexec", "size=64k"]);
        mount(config, "/more", "bind", "/etc", &["rbind", "ro", "nosuid", "nodev", "noexec"]);
    });
}

#[test]
fn a_user_namespace_with_mappings_is_entered() {
    asked_for("a user namespace", World::usual(), |config| {
        namespace(config, "user", Some(json!({"type": "user"})));
        let mapping = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
        config["linux"]["uidMappings"] = mapping.clone();
        config["linux"]["gidMappings"] = mapping;
        config["process"]["rlimits"] = json!([]);
    });
}

/// CVE-2024-21626: a path through a descriptor that the caller forgot to close must not lead out.
#[test]
fn descriptors_of_the_caller_do_not_lead_out() {
    let test = Test::new();
    let busybox = integration::bundle::busybox();
    let directory = test.directory.join("output");
    fs::copy(busybox, directory.join("busybox")).expect("a program can be copied");
    fs::write(directory.join("secret"), "outside\n").expect("a file can be written");
    let outside = File::open(&directory).expect("it can be opened");
    rustix::io::fcntl_setfd(&outside, FdFlags::empty()).expect("a descriptor has flags");
    let place = format!("/proc/self/fd/{}", outside.as_raw_fd());
    let program = test.run_with(|config| {
        config["process"]["args"] = json!([format!("{place}/busybox"), "echo", "outside"]);
    });
    assert_eq!(program.fails().stdout, "");
    let inside = test.run_with(|config| {
        config["process"]["cwd"] = json!(place);
        integration::bundle::shell(config, "cat secret");
    });
    // Where paths are walked by hand, what the link says is read as a path inside the root.
    assert_eq!(inside.fails().stdout, "");
}
