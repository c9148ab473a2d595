//! What the container is like, as far as it matters to who makes it.

use serde_json::{Value, json};

use crate::bundle::{busybox, mount, namespace};
use crate::seccomp;
use crate::test::text;
use crate::world::World;

/// A configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shape {
    /// The default one.
    Plain,
    /// With a user namespace and its maps.
    User,
    /// With eighty mounts more.
    Mounts,
    /// With hooks of every kind.
    Hooks,
    /// With a terminal.
    Terminal,
    /// With a system call filter, devices, limits and sysctls.
    Seccomp,
    /// Without namespaces for pids, IPC and cgroups.
    Shared,
    /// In namespaces that are there already.
    Joined,
}

impl Shape {
    /// All shapes.
    pub const ALL: [Shape; 8] = [
        Shape::Plain,
        Shape::User,
        Shape::Mounts,
        Shape::Hooks,
        Shape::Terminal,
        Shape::Seccomp,
        Shape::Shared,
        Shape::Joined,
    ];

    /// The word that chooses it.
    pub fn name(self) -> &'static str {
        match self {
            Shape::Plain => "plain",
            Shape::User => "user",
            Shape::Mounts => "mounts",
            Shape::Hooks => "hooks",
            Shape::Terminal => "terminal",
            Shape::Seccomp => "seccomp",
            Shape::Shared => "shared",
            Shape::Joined => "joined",
        }
    }

    /// Gives a configuration this shape; the process is the one whose namespaces can be joined.
    pub fn form(self, config: &mut Value, holder: Option<i32>) {
        match self {
            Shape::Plain => {}
            Shape::User => user_namespace(config),
            Shape::Mounts => many_mounts(config),
            Shape::Hooks => hooks(config),
            Shape::Terminal => config["process"]["terminal"] = json!(true),
            Shape::Seccomp => seccomp_and_devices(config),
            Shape::Joined => holder.into_iter().for_each(|pid| join(config, pid)),
            Shape::Shared => ["pid", "ipc", "cgroup"].iter().for_each(|kind| namespace(config, kind, None)),
        }
    }
}

fn join(config: &mut Value, holder: i32) {
    for (kind, link) in [("network", "net"), ("ipc", "ipc"), ("uts", "uts"), ("pid", "pid")] {
        let path = format!("/proc/{holder}/ns/{link}");
        namespace(config, kind, Some(json!({"type": kind, "path": path})));
    }
}

fn user_namespace(config: &mut Value) {
    namespace(config, "user", Some(json!({"type": "user"})));
    let ids = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
    config["linux"]["uidMappings"] = ids.clone();
    config["linux"]["gidMappings"] = ids;
}

fn many_mounts(config: &mut Value) {
    for number in 0..20 {
        let place = |kind: &str| format!("/tmp/{kind}{number}");
        mount(config, "/tmp", "tmpfs", "tmpfs", &["size=1m"]);
        mount(config, &place("tree"), "bind", "/etc", &["rbind", "ro", "nosuid"]);
        mount(config, &place("file"), "bind", "/etc/passwd", &["bind"]);
        mount(config, &place("new"), "tmpfs", "tmpfs", &["size=1m", "nodev"]);
    }
}

fn hooks(config: &mut Value) {
    let busybox = text(&busybox());
    let outside =
        json!([{"path": busybox, "args": ["true"]}, {"path": busybox, "args": ["cat", "/dev/null"]}]);
    for kind in ["prestart", "createRuntime", "poststart", "poststop"] {
        config["hooks"][kind] = outside.clone();
    }
    config["hooks"]["createContainer"] = outside;
    config["hooks"]["startContainer"] = json!([{"path": "/bin/true"}]);
}

fn seccomp_and_devices(config: &mut Value) {
    config["linux"]["seccomp"] = seccomp::docker_sized();
    config["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1", "kernel.domainname": "example"});
    config["linux"]["devices"] = json!([{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229}]);
    config["linux"]["resources"]["devices"] = json!([
        {"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw"}
    ]);
    if World::Host.hierarchy("pids").is_some() {
        config["linux"]["resources"]["pids"] = json!({"limit": 64});
    }
    config["process"]["oomScoreAdj"] = json!(300);
}
