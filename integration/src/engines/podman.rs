//! Podman and Buildah, which have no daemon: each command stands alone.

use std::process::Command;

use crate::command::{Call, Outcome};
use crate::engines::terminal::Terminal;
use crate::engines::{Room, Subject, documented, image};

/// Podman and Buildah in a room, with one store of images and containers.
#[derive(Debug)]
pub struct Podman {
    /// Where they live.
    pub room: Room,
    configuration: String,
}

/// What this machine needs besides the README's configuration: the usual limits are raised by default, which takes
/// CAP_SYS_RESOURCE.
const LIMITS: &str = "\n[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n";

impl Podman {
    /// Makes a store with an image; the configuration is the one that the README shows.
    pub fn start(room: Room, subject: &Subject) -> Self {
        let configuration =
            room.fitting(documented::snippet("`/etc/containers/containers.conf`", subject)) + LIMITS;
        let configuration = room.write("containers.conf", configuration);
        room.write("policy.json", r#"{"default": [{"type": "insecureAcceptAnything"}]}"#);
        let started = Self { room, configuration };
        let tar = image::rootfs(&started.room);
        started.podman(&["import", "--change", "ENV PATH=/bin", &tar, image::IMAGE]).ok();
        started
    }

    /// The version of Podman.
    pub fn versions(&self) -> String {
        let version = self.podman(&["version", "--format", "{{.Client.Version}}"]).ok().stdout;
        let conmon = self.room.run("conmon", &["--version"]).stdout;
        let conmon = conmon.lines().next().unwrap_or_default().replace(" version", "");
        format!("Podman {}, {conmon}", version.trim())
    }

    /// A command of Podman, ready to be run.
    pub fn call(&self, arguments: &[&str]) -> Call {
        let store = self.store();
        let store: Vec<_> = store.iter().map(String::as_str).collect();
        let own = ["--tmpdir", &self.room.path("tmp"), "--network-config-dir", &self.room.path("networks")];
        let own = [&own[..], &["--events-backend", "file"]].concat();
        self.room
            .call("podman", &[&store[..], &own, arguments].concat())
            .env("CONTAINERS_CONF", &self.configuration)
    }

    /// Runs a command of Podman.
    pub fn podman(&self, arguments: &[&str]) -> Outcome {
        self.call(arguments).run()
    }

    /// Runs a command of Buildah.
    pub fn buildah(&self, arguments: &[&str]) -> Outcome {
        let store = self.store();
        let store: Vec<_> = store.iter().map(String::as_str).collect();
        let call = self.room.call("buildah", &[&store[..], arguments].concat());
        call.env("CONTAINERS_CONF", &self.configuration).env("BUILDAH_ISOLATION", "oci").run()
    }

    /// A command of Podman on a terminal.
    pub fn terminal(&self, arguments: &[&str]) -> Terminal {
        let mut command: Command = self.room.command("podman");
        command.args(self.store()).args(["--tmpdir", &self.room.path("tmp"), "--events-backend", "file"]);
        command.args(arguments).env("CONTAINERS_CONF", &self.configuration);
        Terminal::open(command)
    }

    fn store(&self) -> [String; 6] {
        let path = |name| self.room.path(name);
        let option = |name: &str| format!("--{name}");
        [
            option("root"),
            path("store"),
            option("runroot"),
            path("run"),
            option("storage-driver"),
            "overlay".into(),
        ]
    }

    /// `run --rm` with these options.
    pub fn run(&self, options: &[&str], program: &[&str]) -> Outcome {
        let parent = self.cgroup_parent();
        self.podman(&[&["run", "--rm", &parent], options, &[image::IMAGE], program].concat())
    }

    /// `run --detach`: the name of a container that runs.
    pub fn detached(&self, options: &[&str], program: &[&str]) -> String {
        let (name, parent) = (format!("{}x", self.room.fresh()), self.cgroup_parent());
        let start = ["run", "--detach", "--name", &name, &parent];
        self.podman(&[&start[..], options, &[image::IMAGE], program].concat()).ok();
        name
    }

    /// `run --detach` in a pod: the name of a container that runs.
    pub fn detached_in_pod(&self, pod: &str, program: &[&str]) -> String {
        let name = format!("{}x", self.room.fresh());
        let start = ["run", "--detach", "--pod", pod, "--name", &name, image::IMAGE];
        self.podman(&[&start[..], program].concat()).ok();
        name
    }

    /// `run --rm` with these options, by a shell that runs `script` with Podman's command line as its arguments.
    pub fn wrapped(&self, script: &str, options: &[&str], program: &[&str]) -> Outcome {
        let (parent, store) = (self.cgroup_parent(), self.store());
        let store: Vec<_> = store.iter().map(String::as_str).collect();
        let shell = ["-c", script, "podman"];
        let run = ["--tmpdir", &self.room.path("tmp"), "--events-backend", "file", "run", "--rm", &parent];
        let all = [&shell[..], &store, &run, options, &[image::IMAGE], program].concat();
        self.room.call("sh", &all).env("CONTAINERS_CONF", &self.configuration).run()
    }

    /// A container that sleeps.
    pub fn sleeper(&self, options: &[&str]) -> String {
        self.detached(options, &["sleep", "1000"])
    }

    /// What puts a container's cgroup where the room finds it.
    pub fn cgroup_parent(&self) -> String {
        format!("--cgroup-parent={}", self.room.cgroup_parent())
    }

    /// The same for a build, which is given the container's cgroup itself and not a parent of it.
    pub fn build_cgroup(&self) -> String {
        let separator = if self.room.has_systemd() { ":buildah:" } else { "/" };
        format!("{}{separator}build", self.cgroup_parent())
    }

    /// What `inspect` says with this format.
    pub fn inspect(&self, name: &str, format: &str) -> String {
        self.podman(&["inspect", "--format", format, name]).ok().stdout.trim().to_owned()
    }

    /// `rm --force`, which must succeed.
    pub fn remove(&self, name: &str) {
        self.podman(&["rm", "--force", "--time", "0", name]).ok();
    }

    /// Removes everything that runs, and says what is left.
    pub fn stop(&self) -> Vec<String> {
        let pods = self.podman(&["pod", "ps", "--quiet", "--no-trunc"]).stdout;
        self.podman(&["pod", "rm", "--all", "--force", "--time", "0"]);
        self.podman(&["rm", "--all", "--force", "--time", "0"]);
        let own: Vec<_> = pods.lines().chain(["conmon"]).collect();
        self.room.left(&["/run/runc".into(), "/run/runtime".into()], &own)
    }
}
