//! Podman as an ordinary user runs it, in a room in which there is one.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::command::{Call, Outcome};
use crate::engines::{Room, Subject, documented, image};
use crate::login;
use crate::user::{SUBID, SUBIDS, UID};

/// What this machine needs besides the README's configuration, as for Podman of root.
const LIMITS: &str = "\n[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n";

/// A user with Podman, in a room.
#[derive(Debug)]
pub struct Person {
    /// Where he lives.
    pub room: Room,
    configuration: String,
}

impl Person {
    /// Gives the room a user with sub-ids, a home and a runtime directory, and him an image; the configuration is the
    /// one that the README shows.
    ///
    /// # Panics
    /// When something of that can't be made.
    pub fn start(subject: &Subject) -> Self {
        let room = Room::new();
        settle(&room);
        Self::furnished(room, subject)
    }

    /// The same for somebody who has logged in.
    ///
    /// # Panics
    /// When something of that can't be made.
    pub fn logged_in(subject: &Subject) -> Self {
        Self::furnished(Room::of_login(), subject)
    }

    fn furnished(room: Room, subject: &Subject) -> Self {
        // The runtime's own place may be root's alone.
        let path = room.write("bin/runtime", fs::read(&subject.path).expect("the runtime can be read"));
        fs::set_permissions(room.outside(&path), PermissionsExt::from_mode(0o755)).expect("its mode");
        let installed = Subject { name: subject.name, path: path.into() };
        let configuration =
            room.fitting(documented::snippet("`/etc/containers/containers.conf`", &installed)) + LIMITS;
        let configuration = room.write("containers.conf", configuration);
        let accept = r#"{"default": [{"type": "insecureAcceptAnything"}]}"#;
        room.write("home/.config/containers/policy.json", accept);
        let tar = image::rootfs(&room);
        let (home, run) = (room.path("home"), room.directory("user"));
        let (uid, ..) = ids(&room);
        room.run("chown", &["-R", &format!("{uid}:{uid}"), &home, &run]).ok();
        room.run("chmod", &["700", &run]).ok();
        let started = Self { room, configuration };
        started.podman(&["import", "--change", "ENV PATH=/bin", &tar, image::IMAGE]).ok();
        started
    }

    /// A command of Podman, ready to be run.
    pub fn call(&self, arguments: &[&str]) -> Call {
        let store = ["--storage-driver", "vfs", "--events-backend", "file"];
        let arguments = [&store[..], arguments].concat();
        let call = match self.room.login() {
            Some(login) => self.room.call_as(login, "podman", &arguments),
            None => self.call_in_room(&arguments).env("XDG_RUNTIME_DIR", self.room.path("user")),
        };
        call.env("HOME", self.room.path("home"))
            .env("TMPDIR", self.room.path("home"))
            .env("CONTAINERS_CONF", &self.configuration)
    }

    fn call_in_room(&self, arguments: &[&str]) -> Call {
        let id = UID.to_string();
        let own = ["--reuid", &id, "--regid", &id, "--clear-groups", "podman"];
        self.room.call("setpriv", &[&own[..], arguments].concat())
    }

    /// His id, the first of his sub-ids, and how many of these he has.
    pub fn ids(&self) -> (u32, u32, u32) {
        ids(&self.room)
    }

    fn run_directory(&self) -> String {
        self.room.login().map_or_else(|| self.room.path("user"), |_| login::run_directory())
    }

    /// Runs a command of Podman.
    pub fn podman(&self, arguments: &[&str]) -> Outcome {
        self.call(arguments).run()
    }

    /// `run --rm` with these options.
    pub fn run(&self, options: &[&str], program: &[&str]) -> Outcome {
        let run = ["run", "--rm", "--network", "none", &self.cgroup_parent()];
        self.podman(&[&run[..], options, &[image::IMAGE], program].concat())
    }

    /// `run --detach`: the name of a container that runs.
    pub fn detached(&self, program: &[&str]) -> String {
        let name = format!("{}x", self.room.fresh());
        self.detached_with(&name, &[], program);
        name
    }

    /// `run --detach` under this name with these options.
    pub fn detached_with(&self, name: &str, options: &[&str], program: &[&str]) {
        let start = ["run", "--detach", "--network", "none", "--name", name, &self.cgroup_parent()];
        self.podman(&[&start[..], options, &[image::IMAGE], program].concat()).ok();
    }

    /// Without systemd he may make no cgroup.
    fn cgroup_parent(&self) -> String {
        let parent = if self.room.has_systemd() { self.room.cgroup_parent() } else { String::new() };
        format!("--cgroup-parent={parent}")
    }

    /// The version of Podman.
    pub fn versions(&self) -> String {
        let version = self.podman(&["version", "--format", "{{.Client.Version}}"]).ok().stdout;
        format!("Podman {}", version.trim())
    }

    /// Removes everything that runs, and says what is left.
    pub fn stop(&self) -> Vec<String> {
        self.podman(&["rm", "--all", "--force", "--time", "0"]);
        // That ends the process which holds his user namespace.
        self.podman(&["system", "migrate"]);
        let state = ["runc", "runtime"].map(|name| format!("{}/{name}", self.run_directory()));
        self.room.left(&state, &["conmon"])
    }
}

fn ids(room: &Room) -> (u32, u32, u32) {
    match room.login() {
        Some(_) => (login::UID, login::SUBID, login::SUBIDS),
        None => (UID, SUBID, SUBIDS),
    }
}

fn settle(room: &Room) {
    let ids = format!("person:{SUBID}:{SUBIDS}\n");
    let user = format!("person:x:{UID}:{UID}::{}:/bin/sh\n", room.path("home"));
    let group = format!("person:x:{UID}:\n");
    for (file, line) in [("passwd", &user), ("group", &group), ("subuid", &ids), ("subgid", &ids)] {
        let place = format!("/etc/{file}");
        let copy = fs::read_to_string(&place).unwrap_or_default() + line;
        let copy = room.write(&format!("etc/{file}"), copy);
        room.run("mount", &["--bind", &copy, &place]).ok();
    }
}
