//! A containerd that knows the shim.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use integration::Outcome;
use integration::command::{Call, Running};
use integration::engines::Room;
use integration::engines::daemon::Daemon;
use integration::engines::image::{self, IMAGE, is_installed};
use integration::engines::terminal::Terminal;
use integration::leaks;

/// How long anything may take that happens by itself.
const PATIENCE: Duration = Duration::from_secs(20);

const RUNTIME: &str = "io.containerd.runtime.v1";

/// The binary under test.
pub(crate) const SHIM: &str = env!("CARGO_BIN_EXE_containerd-shim-runtime-v1");

/// A daemon in a room.
pub(crate) struct Engine {
    daemon: Option<Daemon>,
    pub(crate) room: Room,
    namespace: String,
}

impl Engine {
    /// Starts one, and gives it an image. `None`, and a sentence, if a program is missing.
    pub(crate) fn start() -> Option<Self> {
        Self::with_namespace("")
    }

    /// The same for the CRI, which has a namespace of its own.
    pub(crate) fn for_pods() -> Option<Self> {
        Self::with_namespace("k8s.io")
    }

    fn with_namespace(namespace: &str) -> Option<Self> {
        for program in ["containerd", "ctr", "/bin/busybox", "ip", "curl"] {
            if !is_installed(program) {
                eprintln!("not run: {program} is not installed");
                return None;
            }
        }
        let room = Room::new();
        room.write("config.toml", configuration(&room));
        room.write("cni/10-bridge.conflist", NETWORK);
        let namespace = if namespace.is_empty() { room.mark.clone() } else { namespace.to_owned() };
        let daemon = Some(daemon(&room));
        let engine = Self { daemon, room, namespace };
        engine.ctr(&["images", "import", &image::archive(&engine.room)]).ok();
        Some(engine)
    }

    pub(crate) fn socket(&self) -> String {
        socket(&self.room)
    }

    /// Ends the daemon, and starts another one in its place.
    pub(crate) fn restart(&mut self) {
        self.daemon = None;
        self.daemon = Some(daemon(&self.room));
    }

    pub(crate) fn ctr(&self, arguments: &[&str]) -> Outcome {
        self.call(arguments).run()
    }

    pub(crate) fn call(&self, arguments: &[&str]) -> Call {
        call(&self.room, &self.namespace, arguments)
    }

    /// `ctr run` with the shim, up to its options.
    pub(crate) fn words<'a>(options: &[&'a str], name: &'a str, program: &[&'a str]) -> Vec<&'a str> {
        [&["run", "--runtime", RUNTIME], options, &[IMAGE, name], program].concat()
    }

    /// `ctr run --rm`.
    pub(crate) fn run(&self, options: &[&str], program: &[&str]) -> Outcome {
        let name = self.room.fresh();
        self.ctr(&Self::words(&[&["--rm"], options].concat(), &name, program))
    }

    /// The name of a container that runs.
    pub(crate) fn detached(&self, options: &[&str], program: &[&str]) -> String {
        let name = self.room.fresh();
        self.ctr(&Self::words(&[&["--detach"], options].concat(), &name, program)).ok();
        name
    }

    pub(crate) fn sleeper(&self) -> String {
        self.detached(&[], &["sleep", "100000"])
    }

    pub(crate) fn terminal(&self, arguments: &[&str]) -> Terminal {
        let mut command: Command = self.room.command("ctr");
        command.args(["--address", &self.socket(), "--namespace", &self.namespace]).args(arguments);
        Terminal::open(command)
    }

    /// Removes a container, whatever state it is in.
    pub(crate) fn remove(&self, name: &str) {
        self.ctr(&["task", "delete", "--force", name]).ok();
        self.ctr(&["container", "delete", name]).ok();
    }

    /// What containerd says of a container's task: `RUNNING` and the like.
    pub(crate) fn status(&self, name: &str) -> String {
        let list = self.ctr(&["task", "list"]).ok().stdout;
        let line = list.lines().find(|line| line.split_whitespace().next() == Some(name));
        line.and_then(|line| line.split_whitespace().nth(2)).unwrap_or_default().to_owned()
    }

    pub(crate) fn pid(&self, name: &str) -> i32 {
        let list = self.ctr(&["task", "list"]).ok().stdout;
        let line = list.lines().find(|line| line.split_whitespace().next() == Some(name));
        line.and_then(|line| line.split_whitespace().nth(1)?.parse().ok()).expect("it has a process")
    }

    /// The shims of this room.
    pub(crate) fn shims(&self) -> Vec<i32> {
        let is_shim =
            |pid: &i32| fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|exe| exe == Path::new(SHIM));
        self.room.processes().into_iter().filter(is_shim).collect()
    }

    /// What happens from now on.
    pub(crate) fn events(&self) -> Events {
        let listener = self.call(&["events"]).spawn();
        let events = Events { listener };
        // It says nothing when it listens: something has to happen until it tells it.
        let marker = self.room.fresh();
        let heard = soon(|| {
            self.ctr(&["namespaces", "label", &self.namespace, &format!("{marker}=x")]);
            events.listener.stdout().contains(&marker)
        });
        assert!(heard, "nobody hears events");
        events
    }

    /// What is left when everything was removed and the daemon has ended.
    pub(crate) fn stop(mut self) {
        self.daemon = None;
        let left = self.room.left(&[format!("/run/containerd/runtime/{}", self.namespace)], &[]);
        assert!(left.is_empty(), "{left:#?}");
        assert!(soon(|| self.shims().is_empty()), "shims are left");
        let sockets = fs::read_dir(self.room.outside("/run/containerd/s")).into_iter().flatten().count();
        assert_eq!(sockets, 0, "sockets are left");
        let mounts = self.room.mounts();
        let left: Vec<_> = mounts.lines().filter(|line| line.contains("/rootfs ")).collect();
        assert!(left.is_empty(), "{left:#?}");
    }
}

/// Events, as they are told.
pub(crate) struct Events {
    listener: Running,
}

impl Events {
    /// Waits for as many events of this container as these, and holds them against each other: topics without
    /// `/tasks/`, with the name of the process behind those about one.
    #[track_caller]
    pub(crate) fn are(&self, container: &str, wanted: &[&str]) {
        let seen = || self.of(container);
        soon(|| seen().len() >= wanted.len());
        assert_eq!(seen(), wanted, "{}", self.listener.stdout());
    }

    /// Those of this container up to now.
    pub(crate) fn of(&self, container: &str) -> Vec<String> {
        let text = self.listener.stdout();
        let lines = text.lines().filter(|line| line.contains(&format!("\"container_id\":\"{container}\"")));
        lines.filter_map(|line| Some(line.split_once("/tasks/")?.1)).map(shown).collect()
    }
}

impl Drop for Events {
    fn drop(&mut self) {
        integration::command::end(self.listener.pid());
    }
}

/// `exit c1 {"id":"x"}` is `exit x`.
fn shown(event: &str) -> String {
    let (topic, fields) = event.split_once(' ').unwrap_or((event, ""));
    let fields: serde_json::Value = serde_json::from_str(fields.trim()).unwrap_or_default();
    let named = fields["exec_id"].as_str().or(fields["id"].as_str());
    let container = fields["container_id"].as_str();
    match named.filter(|name| Some(*name) != container && !name.is_empty()) {
        Some(name) => format!("{topic} {name}"),
        None => topic.to_owned(),
    }
}

/// Removes a task; its program has ended with this.
#[track_caller]
pub(crate) fn ended_with(engine: &Engine, name: &str, status: u32) {
    let said = engine.ctr(&["task", "delete", name]).ok().stderr;
    assert!(said.contains(&format!("exit with non-zero exit code {status}\"")), "{said}");
}

/// Tries until it is so, or the time is up.
pub(crate) fn soon(mut is_so: impl FnMut() -> bool) -> bool {
    leaks::soon(PATIENCE, || is_so().then_some(())).is_some()
}

fn socket(room: &Room) -> String {
    room.path("containerd.sock")
}

fn call(room: &Room, namespace: &str, arguments: &[&str]) -> Call {
    let start = ["--address", &socket(room), "--namespace", namespace];
    room.call("ctr", &[&start[..], arguments].concat())
}

/// containerd looks for shims in its PATH.
fn daemon(room: &Room) -> Daemon {
    let directory = Path::new(SHIM).parent().expect("a file lies in a directory").display();
    let path = format!("{directory}:{}", std::env::var("PATH").unwrap_or_default());
    let mut command = room.command("containerd");
    command.args(["--config", &room.path("config.toml")]).env("PATH", path);
    Daemon::of(room, "containerd", command, || call(room, "default", &["version"]).run().succeeded())
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

fn configuration(room: &Room) -> String {
    let (root, state, socket) = (room.path("root"), room.path("state"), socket(room));
    let (networks, image) = (room.path("cni"), IMAGE);
    format!(
        r#"
version = 2
root = "{root}"
state = "{state}"

[grpc]
  address = "{socket}"

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{image}"
  restrict_oom_score_adj = true

[plugins."io.containerd.grpc.v1.cri".containerd]
  default_runtime_name = "runtime"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runtime]
  runtime_type = "{RUNTIME}"

[plugins."io.containerd.grpc.v1.cri".cni]
  bin_dir = "/usr/lib/cni"
  conf_dir = "{networks}"
"#
    )
}
