//! containerd, driven by its own client `ctr` or through the CRI.

use std::process::Command;

use crate::command::{Call, Outcome};
use crate::engines::daemon::Daemon;
use crate::engines::terminal::Terminal;
use crate::engines::{Room, Subject, documented, image};

/// A containerd daemon in a room.
#[derive(Debug)]
pub struct Containerd {
    // In the order in which they have to go.
    daemon: Option<Daemon>,
    /// Where it lives.
    pub room: Room,
    /// What it runs containers with.
    pub subject: Subject,
    /// The namespace of containers and images.
    namespace: String,
}

impl Containerd {
    /// Starts the daemon with the configuration that the README shows, and gives it an image. Without a name for the
    /// namespace, it is the room's, and so are the cgroups.
    pub fn start(room: Room, subject: &Subject, namespace: Option<&str>) -> Self {
        let file = room.write("config.toml", configuration(&room, subject));
        room.write("cni/10-bridge.conflist", NETWORK);
        let answers = || ctr(&room, "default", &["version"]).run().succeeded();
        let daemon = Daemon::start(&room, "containerd", &["--config", &file], answers);
        let namespace = namespace.unwrap_or(&room.mark).to_owned();
        let started = Self { daemon: Some(daemon), room, subject: subject.clone(), namespace };
        started.ctr(&["images", "import", &image::archive(&started.room)]).ok();
        started
    }

    /// Its version.
    pub fn versions(&self) -> String {
        let answer = self.ctr(&["version"]).ok().stdout;
        let versions: Vec<_> =
            answer.lines().filter_map(|line| line.trim().strip_prefix("Version:")).collect();
        format!("containerd {}", versions.last().unwrap_or(&"").trim())
    }

    /// The daemon's socket.
    pub fn socket(&self) -> String {
        socket(&self.room)
    }

    /// Runs a command of `ctr`.
    pub fn ctr(&self, arguments: &[&str]) -> Outcome {
        ctr(&self.room, &self.namespace, arguments).run()
    }

    /// A command of `ctr` on a terminal.
    pub fn terminal(&self, arguments: &[&str]) -> Terminal {
        let mut command: Command = self.room.command("ctr");
        command.args(["--address", &self.socket(), "--namespace", &self.namespace]).args(arguments);
        Terminal::open(command)
    }

    /// `ctr run` of a container of this name with the runtime, up to its options.
    pub fn starting(&self, name: &str, options: &[&str]) -> Vec<String> {
        let mut words = ["run", "--runc-binary", self.subject.path()].map(str::to_owned).to_vec();
        if self.room.has_systemd() {
            let cgroup = format!("{}:ctr:{name}", self.room.cgroup_parent());
            words.extend(["--runc-systemd-cgroup".to_owned(), "--cgroup".to_owned(), cgroup]);
        }
        words.extend(options.iter().map(|&option| option.to_owned()));
        words
    }

    fn start_with(&self, name: &str, options: &[&str], program: &[&str]) -> Outcome {
        let start = self.starting(name, options);
        let start: Vec<_> = start.iter().map(String::as_str).collect();
        self.ctr(&[&start[..], &[image::IMAGE, name], program].concat())
    }

    /// `ctr run --rm` with these options.
    pub fn run(&self, options: &[&str], program: &[&str]) -> Outcome {
        self.start_with(&self.room.fresh(), &[&["--rm"], options].concat(), program)
    }

    /// `ctr run --detach`: the name of a container that runs.
    pub fn detached(&self, options: &[&str], program: &[&str]) -> String {
        let name = self.room.fresh();
        self.start_with(&name, &[&["--detach"], options].concat(), program).ok();
        name
    }

    /// Stops and removes a container.
    pub fn remove(&self, name: &str) {
        self.ctr(&["task", "delete", "--force", name]).ok();
        self.ctr(&["container", "delete", name]).ok();
    }

    /// Removes every container, whatever state it is in.
    pub fn remove_all(&self) {
        for name in self.ctr(&["container", "list", "--quiet"]).stdout.lines() {
            self.ctr(&["task", "delete", "--force", name]);
            self.ctr(&["container", "delete", name]);
        }
    }

    /// Stops the daemon and says what is left.
    pub fn stop(&mut self) -> Vec<String> {
        self.daemon = None;
        self.room.left(&[format!("/run/containerd/runc/{}", self.namespace)], &[])
    }
}

/// A network for pods.
const NETWORK: &str = r#"{
    "cniVersion": "0.4.0",
    "name": "pods",
    "plugins": [{
        "type": "bridge", "bridge": "pods0", "isGateway": true, "ipMasq": false,
        "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.99.0.0/24"}]]}
    }]
}"#;

fn socket(room: &Room) -> String {
    room.path("containerd.sock")
}

fn ctr(room: &Room, namespace: &str, arguments: &[&str]) -> Call {
    let start = ["--address", &socket(room), "--namespace", namespace];
    room.call("ctr", &[&start[..], arguments].concat())
}

/// The README's configuration, and what belongs to this machine: paths, and that a machine which lacks
/// CAP_SYS_RESOURCE can't lower an OOM score.
fn configuration(room: &Room, subject: &Subject) -> String {
    let documented = room.fitting(documented::snippet("`/etc/containerd/config.toml`", subject));
    let (root, state, socket) = (room.path("root"), room.path("state"), socket(room));
    let (networks, image) = (room.path("cni"), image::IMAGE);
    format!(
        r#"
root = "{root}"
state = "{state}"
{documented}

[grpc]
  address = "{socket}"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{image}"
  restrict_oom_score_adj = true

[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "{networks}"
"#
    )
}
