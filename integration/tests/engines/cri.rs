//! containerd's CRI plugin: what a kubelet asks for.

use integration::engines::case::judge;
use integration::engines::containerd::Containerd;
use integration::engines::cri::Client;
use integration::engines::image::IMAGE;
use integration::engines::protobuf::{Answer, Message};
use integration::engines::report::Run;
use integration::engines::{Case, Room, Subject, case};

use crate::docker::soon;
use crate::{Wish, nothing_is_left};

pub(crate) fn drive(subject: &Subject, wish: &Wish) -> Run {
    drive_in("CRI", Room::new, CASES, subject, wish)
}

pub(crate) fn drive_in(
    engine: &str,
    room: fn() -> Room,
    cases: &[Case<Containerd>],
    subject: &Subject,
    wish: &Wish,
) -> Run {
    if !wish.wants_any(engine, cases) {
        return Run::default();
    }
    let mut containerd = Containerd::start(room(), subject, Some("k8s.io"));
    let versions = containerd.versions();
    let mut verdicts = wish.judge(engine, cases, &containerd);
    // What can't be removed is told as what is left.
    let _ = judge(|| containerd.remove_all());
    verdicts.push(nothing_is_left(containerd.stop()));
    Run { versions, verdicts }
}

pub(crate) const CASES: &[Case<Containerd>] = &[
    case("Version", version),
    case("RunPodSandbox, PodSandboxStatus, StopPodSandbox, RemovePodSandbox", sandbox),
    case("RunPodSandbox with a runtime handler", handler),
    case("RunPodSandbox on the host's network", host_network),
    case("CreateContainer, StartContainer, ContainerStatus", container),
    case("the status and the log of a container that ended", ended),
    case("a program that is not there", nowhere),
    case("ExecSync", exec),
    case("ContainerStats", stats),
    case("UpdateContainerResources", update),
    case("StopContainer, RemoveContainer", stop),
    case("containers of a pod share its namespaces", shared),
    case("one process namespace for the pod", shared_processes),
    case("security context: user, capabilities, read-only root, seccomp", security),
    case("mounts and environment", mounts),
];

/// Values of the CRI's `NamespaceMode`.
pub(crate) const POD: u64 = 0;
pub(crate) const CONTAINER: u64 = 1;
const NODE: u64 = 2;

/// A pod, which goes when it is dropped.
pub(crate) struct Pod<'a> {
    client: Client<'a>,
    id: String,
    config: Message,
    processes: u64,
}

impl<'a> Pod<'a> {
    /// A pod with these modes of its network and process namespaces.
    pub(crate) fn start(containerd: &'a Containerd, network: u64, processes: u64) -> Self {
        Self::with_handler(containerd, network, processes, "")
    }

    fn with_handler(containerd: &'a Containerd, network: u64, processes: u64, handler: &str) -> Self {
        let client = Client { room: &containerd.room, socket: containerd.socket() };
        let name = containerd.room.fresh();
        let metadata = Message::new().text(1, &name).text(2, &name).text(3, "default");
        let modes = Message::new().number(1, network).number(2, processes);
        let linux = Message::new()
            .text(1, &containerd.room.cgroup_parent())
            .message(2, &Message::new().message(1, &modes));
        let logs = containerd.room.directory(&format!("logs/{name}"));
        let hostname = if network == NODE { "" } else { "pod" };
        let config = Message::new().message(1, &metadata).text(2, hostname).text(3, &logs).message(8, &linux);
        let request = Message::new().message(1, &config).text(2, handler);
        let id = ok(client.call("RunPodSandbox", &request)).text(1);
        Self { client, id, config, processes }
    }

    fn call(&self, method: &str, request: &Message) -> Answer {
        ok(self.client.call(method, request))
    }

    /// Creates and starts a container that runs this, with `more` in its configuration.
    fn run(&self, program: &[&str], more: impl FnOnce(Message) -> Message) -> String {
        let id = self.create(program, more);
        self.call("StartContainer", &Message::new().text(1, &id));
        id
    }

    fn create(&self, program: &[&str], more: impl FnOnce(Message) -> Message) -> String {
        let name = self.client.room.fresh();
        let config = Message::new()
            .message(1, &Message::new().text(1, &name))
            .message(2, &Message::new().text(1, IMAGE))
            .texts(3, program)
            .text(11, "log")
            .message(15, &within(3, &Message::new().number(2, self.processes)));
        let request = Message::new().text(1, &self.id).message(2, &more(config)).message(3, &self.config);
        self.call("CreateContainer", &request).text(1)
    }

    /// A container that sleeps.
    pub(crate) fn sleeper(&self) -> String {
        self.run(&["sleep", "1000"], |config| config)
    }

    /// What `ExecSync` prints, with its status.
    fn exec(&self, container: &str, program: &[&str]) -> (String, String, u64) {
        let request = Message::new().text(1, container).texts(2, program).number(3, 20);
        let answer = self.call("ExecSync", &request);
        (answer.text(1), answer.text(2), answer.number(3))
    }

    /// What a program of a container prints.
    fn look(&self, container: &str, program: &[&str]) -> String {
        let (stdout, stderr, status) = self.exec(container, program);
        assert_eq!((stderr.as_str(), status), ("", 0), "{stdout}");
        stdout
    }

    fn status(&self, container: &str) -> Answer {
        self.call("ContainerStatus", &Message::new().text(1, container)).message(1)
    }

    /// What the container has written to its log, without what the engine adds.
    fn log(&self) -> String {
        let logs =
            self.client.room.run("sh", &["-c", &format!("cat {}/*/log", self.client.room.path("logs"))]);
        let line = |line: &str| line.splitn(4, ' ').last().unwrap_or_default().to_owned();
        logs.stdout.lines().map(line).collect::<Vec<_>>().join("\n")
    }
}

impl Drop for Pod<'_> {
    fn drop(&mut self) {
        let request = Message::new().text(1, &self.id);
        let gone = ["StopPodSandbox", "RemovePodSandbox"].map(|method| self.client.call(method, &request));
        assert!(std::thread::panicking() || gone.iter().all(Result::is_ok), "{gone:#?}");
    }
}

/// The part of a container's configuration for Linux that has this field in its security context. Parts that are
/// given one after the other are merged.
fn within(field: u32, value: &Message) -> Message {
    Message::new().message(2, &Message::new().message(field, value))
}

#[track_caller]
fn ok(answer: Result<Answer, String>) -> Answer {
    answer.unwrap_or_else(|error| panic!("{error}"))
}

/// `ContainerState`.
const RUNNING: u64 = 1;
const EXITED: u64 = 2;

fn version(containerd: &Containerd) {
    let client = Client { room: &containerd.room, socket: containerd.socket() };
    assert_eq!(ok(client.call("Version", &Message::new())).text(2), "containerd");
}

fn sandbox(containerd: &Containerd) {
    let pod = Pod::start(containerd, POD, CONTAINER);
    let request = Message::new().text(1, &pod.id);
    let status = pod.call("PodSandboxStatus", &request).message(1);
    assert_eq!(status.number(3), 0, "is not ready");
    assert!(status.message(5).text(1).starts_with("10.99.0."), "has no address: {status:?}");
    pod.call("StopPodSandbox", &request);
    assert_eq!(pod.call("PodSandboxStatus", &request).message(1).number(3), 1, "is still ready");
}

fn handler(containerd: &Containerd) {
    drop(Pod::with_handler(containerd, POD, CONTAINER, "runtime"));
}

fn host_network(containerd: &Containerd) {
    let pod = Pod::start(containerd, NODE, CONTAINER);
    let container = pod.sleeper();
    let here = containerd.room.run("readlink", &["/proc/self/ns/net"]).ok().stdout;
    assert_eq!(pod.look(&container, &["readlink", "/proc/self/ns/net"]), here);
}

fn container(containerd: &Containerd) {
    let pod = Pod::start(containerd, POD, CONTAINER);
    let container = pod.create(&["sleep", "1000"], |config| config);
    assert_eq!(pod.status(&container).number(3), 0, "is not merely created");
    pod.call("StartContainer", &Message::new().text(1, &container));
    assert_eq!(pod.status(&container).number(3), RUNNING);
}

fn ended(containerd: &Containerd) {
    let pod = Pod::start(containerd, POD, CONTAINER);
    let container = pod.run(&["sh", "-c", "echo last words; exit 3"], |config| config);
    assert!(soon(|| pod.status(&container).number(3) == EXITED), "does not end");
    assert_eq!(pod.status(&container).number(7), 3);
    assert!(soon(|| pod.log().contains("last words")), "{}", pod.log());
}

fn nowhere(containerd: &Containerd) {
    let pod = Pod::start(containerd, POD, CONTAINER);
    let container = pod.create(&["nowhere"], |config| config);
    let answer = pod.client.call("StartContainer", &Message::new().text(1, &container));
    let error = answer.expect_err("a program that is not there was started");
    assert!(error.contains("executable file not found in $PATH"), "{error}");
}

fn exec(containerd: &Containerd) {
    let pod = Pod::start(containerd, POD, CONTAINER);
    let container = pod.sleeper();
    let seen = pod.exec(&container, &["sh", "-c", "echo out; echo err >&2; exit 5"]);
    assert_eq!(seen, ("out\n".into(), "err\n".into(), 5));
}

fn stats(containerd: &Containerd) {
    let pod = Pod::start(containerd, POD, CONTAINER);
    let container = pod.sleeper();
    let stats = || pod.call("ContainerStats", &Message::new().text(1, &container)).message(1);
    assert!(soon(|| stats().message(3).message(2).number(1) > 0), "{:?}", stats());
    assert!(stats().message(2).message(2).number(1) > 0, "{:?}", stats());
}

fn update(containerd: &Containerd) {
    let pod = Pod::start(containerd, POD, CONTAINER);
    let limit = |mebibytes: u64| Message::new().number(4, mebibytes << 20);
    let container =
        pod.run(&["sleep", "1000"], |config| config.message(15, &Message::new().message(1, &limit(64))));
    let look = || {
        let file =
            format!("/sys/fs/cgroup/memory/{}/{container}/memory.limit_in_bytes", containerd.room.mark);
        let file = file + &format!(" /sys/fs/cgroup/{}/{container}/memory.max", containerd.room.mark);
        let scope = format!("{}/cri-containerd-{container}.scope", containerd.room.cgroup_parent());
        let file = file + &format!(" /sys/fs/cgroup/{scope}/memory.max");
        containerd.room.run("sh", &["-c", &format!("cat {file} 2>/dev/null")]).stdout.trim().to_owned()
    };
    assert_eq!(look(), (64_u64 << 20).to_string());
    pod.call("UpdateContainerResources", &Message::new().text(1, &container).message(2, &limit(96)));
    assert_eq!(look(), (96_u64 << 20).to_string());
}

fn stop(containerd: &Containerd) {
    let pod = Pod::start(containerd, POD, CONTAINER);
    let program = ["sh", "-c", "trap 'exit 5' TERM; echo ready; while :; do sleep 0.1; done"];
    let container = pod.run(&program, |config| config);
    assert!(soon(|| pod.log().contains("ready")));
    pod.call("StopContainer", &Message::new().text(1, &container).number(2, 5));
    assert_eq!((pod.status(&container).number(3), pod.status(&container).number(7)), (EXITED, 5));
    pod.call("RemoveContainer", &Message::new().text(1, &container));
    let answer = pod.client.call("ContainerStatus", &Message::new().text(1, &container));
    assert!(answer.is_err(), "a removed container is still known");
}

fn shared(containerd: &Containerd) {
    let pod = Pod::start(containerd, POD, CONTAINER);
    let (one, other) = (pod.sleeper(), pod.sleeper());
    for namespace in ["net", "ipc", "uts"] {
        let look = |container| pod.look(container, &["readlink", &format!("/proc/self/ns/{namespace}")]);
        assert_eq!(look(&one), look(&other));
    }
    let look = |container| pod.look(container, &["readlink", "/proc/self/ns/pid"]);
    assert_ne!(look(&one), look(&other));
    assert_eq!(pod.look(&one, &["hostname"]), "pod\n");
}

fn shared_processes(containerd: &Containerd) {
    let pod = Pod::start(containerd, POD, POD);
    let container = pod.sleeper();
    let seen = pod.look(&container, &["cat", "/proc/1/cmdline"]);
    assert_eq!(seen, "/bin/sleep\x00100000\0", "process 1 is not the sandbox's");
}

fn security(containerd: &Containerd) {
    let pod = Pod::start(containerd, POD, CONTAINER);
    let capabilities = Message::new().text(1, "NET_ADMIN").text(2, "ALL");
    let default_profile = Message::new().number(1, 0);
    let context = Message::new()
        .message(1, &capabilities)
        .message(5, &Message::new().number(1, 1000))
        .number(7, 1)
        .number(11, 1)
        .message(15, &default_profile);
    let linux = Message::new().message(2, &context);
    let container = pod.run(&["sleep", "1000"], |config| config.message(15, &linux));
    let status = pod.look(&container, &["cat", "/proc/1/status"]);
    for line in ["Uid:\t1000\t1000", "CapBnd:\t0000000000001000", "NoNewPrivs:\t1", "Seccomp:\t2"] {
        assert!(status.contains(line), "{line}: {status}");
    }
    let (_, error, _) = pod.exec(&container, &["touch", "/file"]);
    assert!(error.contains("Read-only file system"), "{error}");
}

fn mounts(containerd: &Containerd) {
    let pod = Pod::start(containerd, POD, CONTAINER);
    let source = containerd.room.directory("given");
    containerd.room.write("given/file", "content\n");
    let mount = Message::new().text(1, "/taken").text(2, &source).number(3, 1);
    let variable = Message::new().text(1, "A").text(2, "b c");
    let container = pod.run(&["sleep", "1000"], |config| config.message(6, &variable).message(7, &mount));
    assert_eq!(pod.look(&container, &["sh", "-c", "echo $A; cat /taken/file"]), "b c\ncontent\n");
    let (_, error, _) = pod.exec(&container, &["touch", "/taken/other"]);
    assert!(error.contains("Read-only file system"), "{error}");
}
