//! Pods: several containers in one shim, as a kubelet asks for them.

use integration::engines::cri::Client;
use integration::engines::image::IMAGE;
use integration::engines::protobuf::{Answer, Message};

use crate::engine::{Engine, soon};

/// Values of the CRI: the host's network, a container's own processes, a container that runs or has ended.
const NODE: u64 = 2;
const CONTAINER: u64 = 1;
const RUNNING: u64 = 1;
const EXITED: u64 = 2;

/// A pod in the host's network.
struct Pod<'a> {
    client: Client<'a>,
    id: String,
    config: Message,
}

impl<'a> Pod<'a> {
    fn start(engine: &'a Engine) -> Self {
        let client = Client { room: &engine.room, socket: engine.socket() };
        let name = engine.room.fresh();
        let metadata = Message::new().text(1, &name).text(2, &name).text(3, "default");
        let modes = Message::new().number(1, NODE).number(2, CONTAINER);
        let security = Message::new().message(1, &modes);
        let linux = Message::new().text(1, &engine.room.cgroup_parent()).message(2, &security);
        let logs = engine.room.directory(&format!("logs/{name}"));
        let config = Message::new().message(1, &metadata).text(3, &logs).message(8, &linux);
        let id = ok(client.call("RunPodSandbox", &Message::new().message(1, &config))).text(1);
        Self { client, id, config }
    }

    fn call(&self, method: &str, request: &Message) -> Answer {
        ok(self.client.call(method, request))
    }

    fn run(&self, program: &[&str]) -> String {
        let config = Message::new()
            .message(1, &Message::new().text(1, &self.client.room.fresh()))
            .message(2, &Message::new().text(1, IMAGE))
            .texts(3, program)
            .text(11, "log");
        let request = Message::new().text(1, &self.id).message(2, &config).message(3, &self.config);
        let id = self.call("CreateContainer", &request).text(1);
        self.call("StartContainer", &Message::new().text(1, &id));
        id
    }

    fn exec(&self, container: &str, program: &[&str]) -> (String, u64) {
        let request = Message::new().text(1, container).texts(2, program).number(3, 20);
        let answer = self.call("ExecSync", &request);
        (answer.text(1), answer.number(3))
    }

    fn status(&self, container: &str) -> Answer {
        self.call("ContainerStatus", &Message::new().text(1, container)).message(1)
    }

    fn remove(&self) {
        let request = Message::new().text(1, &self.id);
        self.call("StopPodSandbox", &request);
        self.call("RemovePodSandbox", &request);
    }
}

#[track_caller]
fn ok(answer: Result<Answer, String>) -> Answer {
    answer.unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn a_pod_has_one_shim() {
    let Some(engine) = Engine::for_pods() else { return };
    let pod = Pod::start(&engine);
    let (one, other) = (pod.run(&["sleep", "99999"]), pod.run(&["sleep", "99999"]));
    assert_eq!(engine.shims().len(), 1, "the sandbox and two containers");
    assert_eq!(pod.exec(&one, &["sh", "-c", "echo one; exit 5"]), ("one\n".into(), 5));
    let stats = || pod.call("ContainerStats", &Message::new().text(1, &other)).message(1);
    assert!(soon(|| stats().message(3).message(2).number(1) > 0), "{:?}", stats());
    pod.call("StopContainer", &Message::new().text(1, &one).number(2, 0));
    assert_eq!((pod.status(&one).number(3), pod.status(&other).number(3)), (EXITED, RUNNING));
    let short = pod.run(&["sh", "-c", "exit 3"]);
    assert!(soon(|| pod.status(&short).number(3) == EXITED));
    assert_eq!(pod.status(&short).number(7), 3);
    let second = Pod::start(&engine);
    assert_eq!(engine.shims().len(), 2);
    second.remove();
    pod.remove();
    engine.stop();
}
