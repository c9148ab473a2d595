//! Podman as an ordinary user runs it, in a room in which there is one.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::command::{Call, Outcome};
use crate::engines::{Room, Subject, documented, image};
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
        // The runtime's own place may be root's alone.
        let path = room.write("bin/runtime", fs::read(&subject.path).expect("the runtime can be read"));
        fs::set_permissions(room.outside(&path), PermissionsExt::from_mode(0o755)).expect("its mode");
        let installed = Subject { name: subject.name, path: path.into() };
        let configuration = documented::snippet("`/etc/containers/containers.conf`", &installed) + LIMITS;
        let configuration = room.write("containers.conf", configuration);
        let accept = r#"{"default": [{"type": "insecureAcceptAnything"}]}"#;
        room.write("home/.config/containers/policy.json", accept);
        let tar = image::rootfs(&room);
        let (home, run) = (room.path("home"), room.directory("user"));
        room.run("chown", &["-R", &format!("{UID}:{UID}"), &home, &run]).ok();
        room.run("chmod", &["700", &run]).ok();
        let started = Self { room, configuration };
        started.podman(&["import", "--change", "ENV PATH=/bin", &tar, image::IMAGE]).ok();
        started
    }

    /// A command of Podman, ready to be run.
    pub fn call(&self, arguments: &[&str]) -> Call {
        let id = UID.to_string();
        let own = ["--reuid", &id, "--regid", &id, "--clear-groups", "podman"];
        let store = ["--storage-driver", "vfs", "--events-backend", "file"];
        self.room
            .call("setpriv", &[&own[..], &store, arguments].concat())
            .env("HOME", self.room.path("home"))
            .env("TMPDIR", self.room.path("home"))
            .env("XDG_RUNTIME_DIR", self.room.path("user"))
            .env("CONTAINERS_CONF", &self.configuration)
    }

    /// Runs a command of Podman.
    pub fn podman(&self, arguments: &[&str]) -> Outcome {
        self.call(arguments).run()
    }

    /// `run --rm` with these options.
    pub fn run(&self, options: &[&str], program: &[&str]) -> Outcome {
        let run = ["run", "--rm", "--network", "none"];
        self.podman(&[&run[..], options, &[image::IMAGE], program].concat())
    }

    /// `run --detach`: the name of a container that runs.
    pub fn detached(&self, program: &[&str]) -> String {
        let name = format!("{}x", self.room.fresh());
        let start = ["run", "--detach", "--network", "none", "--name", &name, image::IMAGE];
        self.podman(&[&start[..], program].concat()).ok();
        name
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
        self.room.left(&["runc", "runtime"].map(|name| self.room.path(&format!("user/{name}"))), &["conmon"])
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
