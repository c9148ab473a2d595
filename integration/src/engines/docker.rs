//! Docker: `dockerd` with a runtime as its default one.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::command::{Call, Outcome};
use crate::engines::daemon::Daemon;
use crate::engines::terminal::Terminal;
use crate::engines::{Room, Subject, documented, image};
use crate::login::{self, Login};
use crate::tmux::Screen;

/// The name of the image.
pub const IMAGE: &str = "busybox";

/// A Docker daemon in a room.
#[derive(Debug)]
pub struct Docker {
    // In the order in which they have to go.
    daemon: Option<Daemon>,
    /// Where it lives.
    pub room: Room,
    /// Where its daemon listens.
    host: String,
    /// What its runtime is called.
    runtime: &'static str,
}

impl Docker {
    /// Starts the daemon in a room, with the configuration that the README shows and more runtimes to choose from,
    /// and gives it an image.
    ///
    /// # Panics
    /// When it can't be started.
    pub fn start(room: Room, subject: &Subject, others: &[(&str, PathBuf)]) -> Self {
        let host = format!("unix://{}", room.path("docker.sock"));
        let mut config = documented_for(&room, subject);
        let config_of_machine = json!({
            "data-root": room.path("data"), "exec-root": room.path("exec"), "pidfile": room.path("pid"),
            "hosts": [host], "cgroup-parent": room.cgroup_parent(), "userland-proxy": true
        });
        merge(&mut config, config_of_machine);
        for (name, path) in others {
            config["runtimes"][name] = json!({ "path": path });
        }
        let file = room.write("daemon.json", config.to_string());
        let answers = || answers(&room, &host);
        let daemon = Daemon::start(&room, "dockerd", &["--config-file", &file], answers);
        Self::with_image(Self { daemon: Some(daemon), room, host, runtime: subject.name })
    }

    /// Starts the daemon of somebody who has logged in, as Debian's package has it.
    ///
    /// # Panics
    /// When it can't be started.
    pub fn rootless(room: Room, subject: &Subject, login: &Login) -> Self {
        const SCRIPT: &str = "/usr/share/docker.io/contrib/dockerd-rootless.sh";
        let host = format!("unix://{}/docker.sock", login::run_directory());
        let mut config = documented_for(&room, subject);
        merge(&mut config, json!({"cgroup-parent": room.cgroup_parent()}));
        let file = room.write("daemon.json", config.to_string());
        let answers = || answers(&room, &host);
        let mut command = room.command_as(login, SCRIPT);
        command.args(["--config-file", &file]);
        let daemon = Daemon::of(&room, "dockerd", command, answers);
        Self::with_image(Self { daemon: Some(daemon), room, host, runtime: subject.name })
    }

    fn with_image(self) -> Self {
        let tar = image::rootfs(&self.room);
        self.docker(&["import", "--change", "ENV PATH=/bin", &tar, IMAGE]).ok();
        self
    }

    /// Its version and that of its containerd.
    pub fn versions(&self) -> String {
        let format = "{{range .Server.Components}}{{.Name}} {{.Version}}\n{{end}}";
        let answer = self.docker(&["version", "--format", format]).ok().stdout;
        let wanted =
            answer.lines().filter(|line| line.starts_with("Engine") || line.starts_with("containerd"));
        wanted.collect::<Vec<_>>().join(", ").replace("Engine", "Docker")
    }

    /// A command of the client, ready to be run.
    pub fn call(&self, arguments: &[&str]) -> Call {
        docker(&self.room, &self.host, arguments)
    }

    /// Runs a command of the client.
    pub fn docker(&self, arguments: &[&str]) -> Outcome {
        self.call(arguments).run()
    }

    /// A command of the client on a terminal.
    pub fn terminal(&self, arguments: &[&str]) -> Terminal {
        let mut command: Command = self.room.command("docker");
        command.args(arguments).env("DOCKER_HOST", &self.host);
        Terminal::open(command)
    }

    /// A window in front of which somebody sits who uses the client.
    pub fn screen(&self) -> Screen<'_> {
        let who = format!("docker run -it, {}", self.runtime);
        let call = |arguments: &[&str]| self.room.call("tmux", arguments).env("DOCKER_HOST", &self.host);
        Screen::open(&who, self.room.path("tmux.sock"), call)
    }

    /// `run --rm` with these options.
    pub fn run(&self, options: &[&str], program: &[&str]) -> Outcome {
        self.docker(&[&["run", "--rm"], options, &[IMAGE], program].concat())
    }

    /// `run --detach`: the name of a container that runs.
    pub fn detached(&self, options: &[&str], program: &[&str]) -> String {
        let name = format!("{}x", self.room.fresh());
        let start = ["run", "--detach", "--name", name.as_str()];
        self.docker(&[&start[..], options, &[IMAGE], program].concat()).ok();
        name
    }

    /// A container that sleeps.
    pub fn sleeper(&self, options: &[&str]) -> String {
        self.detached(options, &["sleep", "1000"])
    }

    /// What `inspect` says with this format.
    pub fn inspect(&self, name: &str, format: &str) -> String {
        self.docker(&["inspect", "--format", format, name]).ok().stdout.trim().to_owned()
    }

    /// `rm --force`, which must succeed.
    pub fn remove(&self, name: &str) {
        self.docker(&["rm", "--force", name]).ok();
    }

    /// Removes every container, whatever state it is in.
    pub fn remove_all(&self) {
        let all = self.docker(&["ps", "--all", "--quiet"]).stdout;
        all.lines().for_each(|id| drop(self.docker(&["rm", "--force", id])));
    }

    /// Stops the daemon and says what is left.
    pub fn stop(&mut self) -> Vec<String> {
        self.daemon = None;
        let own = match self.room.login() {
            Some(_) => format!("{}/docker", login::run_directory()),
            None => self.room.path("exec"),
        };
        self.room.left(&[format!("{own}/runtime-runc/moby")], &[])
    }
}

fn documented_for(room: &Room, subject: &Subject) -> Value {
    let documented = room.fitting(documented::snippet("`/etc/docker/daemon.json`", subject));
    serde_json::from_str(&documented).expect("the README's daemon.json is JSON")
}

fn docker(room: &Room, host: &str, arguments: &[&str]) -> Call {
    // The old builder is the one that uses the daemon's runtime.
    room.call("docker", arguments).env("DOCKER_HOST", host).env("DOCKER_BUILDKIT", "0")
}

/// Whether the daemon takes requests. The client itself would wait for that, however long it takes.
fn answers(room: &Room, host: &str) -> bool {
    let socket = host.trim_start_matches("unix://");
    let ask = ["--silent", "--fail", "--max-time", "5", "--unix-socket", socket, "http://localhost/_ping"];
    room.run("curl", &ask).succeeded()
}

/// Adds the members of one object to another.
fn merge(config: &mut Value, more: Value) {
    if let (Value::Object(config), Value::Object(more)) = (config, more) {
        config.extend(more);
    }
}
