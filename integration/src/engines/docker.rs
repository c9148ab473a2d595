//! Docker: `dockerd` with a runtime as its default one.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::command::{Call, Outcome};
use crate::engines::daemon::Daemon;
use crate::engines::terminal::Terminal;
use crate::engines::{Room, Subject, documented, image};
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
        let mut config: Value =
            serde_json::from_str(&documented::snippet("`/etc/docker/daemon.json`", subject))
                .expect("the README's daemon.json is JSON");
        let config_of_machine = json!({
            "data-root": room.path("data"), "exec-root": room.path("exec"), "pidfile": room.path("pid"),
            "hosts": [socket(&room)], "cgroup-parent": format!("/{}", room.mark), "userland-proxy": true
        });
        merge(&mut config, config_of_machine);
        for (name, path) in others {
            config["runtimes"][name] = json!({ "path": path });
        }
        let file = room.write("daemon.json", config.to_string());
        let answers = || docker(&room, &["version"]).run().succeeded();
        let daemon = Daemon::start(&room, "dockerd", &["--config-file", &file], answers);
        let tar = image::rootfs(&room);
        let started = Self { daemon: Some(daemon), room, runtime: subject.name };
        started.docker(&["import", "--change", "ENV PATH=/bin", &tar, IMAGE]).ok();
        started
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
        docker(&self.room, arguments)
    }

    /// Runs a command of the client.
    pub fn docker(&self, arguments: &[&str]) -> Outcome {
        self.call(arguments).run()
    }

    /// A command of the client on a terminal.
    pub fn terminal(&self, arguments: &[&str]) -> Terminal {
        let mut command: Command = self.room.command("docker");
        command.args(arguments).env("DOCKER_HOST", socket(&self.room));
        Terminal::open(command)
    }

    /// A window in front of which somebody sits who uses the client.
    pub fn screen(&self) -> Screen<'_> {
        let who = format!("docker run -it, {}", self.runtime);
        let call =
            |arguments: &[&str]| self.room.call("tmux", arguments).env("DOCKER_HOST", socket(&self.room));
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
        self.room.left(&[self.room.path("exec/runtime-runc/moby")], &[])
    }
}

fn socket(room: &Room) -> String {
    format!("unix://{}", room.path("docker.sock"))
}

fn docker(room: &Room, arguments: &[&str]) -> Call {
    // The old builder is the one that uses the daemon's runtime.
    room.call("docker", arguments).env("DOCKER_HOST", socket(room)).env("DOCKER_BUILDKIT", "0")
}

/// Adds the members of one object to another.
fn merge(config: &mut Value, more: Value) {
    if let (Value::Object(config), Value::Object(more)) = (config, more) {
        config.extend(more);
    }
}
