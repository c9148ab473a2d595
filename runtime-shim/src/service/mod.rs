//! The task service: everything that is known about the containers of a pod, and what containerd may ask of them.
//!
//! It is owned by one thread, which also takes what was done in the background: see [`Background`].

mod background;
mod change;
mod create;
mod delete;
mod exec;
mod exits;
mod kill;
mod look;
mod start;
mod streams;
mod task;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Instant, SystemTime};

use crate::console::Console;
use crate::event::{self, Event};
use crate::log;
use crate::protos::api::Empty;
use crate::protos::protobuf::Message;
use crate::publisher::Publisher;
use crate::refusal::Refusal;
use crate::ttrpc::{self, Connection, Frame, Question};

pub(crate) use background::Background;
pub(crate) use task::{Process, Task, Who};

/// The service's names: the same messages in both versions.
const NAMES: [&str; 2] = ["containerd.task.v2.Task", "containerd.task.v3.Task"];

/// Whom an answer goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Call {
    connection: u64,
    stream: u32,
}

/// What becomes of a question.
enum Reply {
    /// A message.
    Now(Vec<u8>),
    /// Somebody else will answer.
    Later,
}

type Answer = Result<Reply, Refusal>;

/// The containers of a pod.
#[derive(Debug)]
pub(crate) struct Service {
    namespace: String,
    tasks: BTreeMap<String, Task>,
    /// Names of containers that are being made.
    creating: BTreeSet<String>,
    pub(crate) connections: BTreeMap<u64, Connection>,
    pub(crate) consoles: BTreeMap<u64, Console>,
    pub(crate) publisher: Publisher,
    pub(crate) background: Background,
    /// The next number of a connection or a console.
    next: u64,
    /// Since when there is nothing to do any more.
    pub(crate) ending: Option<Instant>,
}

impl Service {
    pub(crate) fn new(namespace: &str, publisher: Publisher, background: Background) -> Self {
        Service {
            namespace: namespace.to_owned(),
            tasks: BTreeMap::new(),
            creating: BTreeSet::new(),
            connections: BTreeMap::new(),
            consoles: BTreeMap::new(),
            publisher,
            background,
            next: 0,
            ending: None,
        }
    }

    /// Takes a new client.
    pub(crate) fn connect(&mut self, connection: Connection) {
        let number = self.number();
        self.connections.insert(number, connection);
    }

    /// A client is gone. What it waits for is still done.
    pub(crate) fn disconnect(&mut self, connection: u64) {
        self.connections.remove(&connection);
        for process in self.tasks.values_mut().flat_map(Task::processes_mut) {
            process.waiters.retain(|call| call.connection != connection);
        }
    }

    /// Takes what a client has sent.
    pub(crate) fn receive(&mut self, connection: u64) {
        let Some(link) = self.connections.get_mut(&connection) else { return };
        match link.flush().and_then(|()| link.receive()) {
            Ok(frames) => frames.iter().for_each(|frame| self.take(connection, frame)),
            Err(_) => self.disconnect(connection),
        }
    }

    fn take(&mut self, connection: u64, frame: &Frame) {
        // Newer clients may send more; what nobody knows is not answered.
        if frame.kind != ttrpc::Kind::Request {
            return;
        }
        let call = Call { connection, stream: frame.stream };
        let answer = Question::read(frame).and_then(|question| self.ask(call, &question));
        self.finish(call, answer);
    }

    fn ask(&mut self, call: Call, Question { service, method, message, .. }: &Question) -> Answer {
        if !NAMES.contains(&service.as_str()) {
            return Err(Refusal::unsupported(format!("service {service}")));
        }
        match method.as_str() {
            "Create" => self.create(call, read(message)?),
            "Start" => self.start(call, read(message)?),
            "Exec" => self.exec(read(message)?),
            "Kill" => self.kill(call, read(message)?),
            "Delete" => self.delete(call, read(message)?),
            "State" => self.state(&read(message)?),
            "Wait" => self.wait(call, &read(message)?),
            "Connect" => self.connection(&read(message)?),
            "Pids" => self.pids(call, &read(message)?),
            "Stats" => self.stats(call, &read(message)?),
            "Pause" => self.pause(call, read(message)?),
            "Resume" => self.resume(call, read(message)?),
            "Update" => self.update(call, &read(message)?),
            "ResizePty" => self.resize(&read(message)?),
            "CloseIO" => self.close_io(&read(message)?),
            "Shutdown" => self.shut_down(),
            "Checkpoint" => Err(Refusal::unsupported(format!("{} can't checkpoint containers", crate::NAME))),
            _ => Err(Refusal::unsupported(format!("method {method}"))),
        }
    }

    /// Answers, unless somebody else will. A client that is gone hears nothing.
    fn finish(&mut self, call: Call, answer: Answer) {
        let answer = match answer {
            Ok(Reply::Later) => return,
            Ok(Reply::Now(message)) => Ok(message),
            Err(refusal) => Err(refusal),
        };
        let Some(link) = self.connections.get_mut(&call.connection) else { return };
        let sent = ttrpc::answer(call.stream, answer).map(|frame| link.send(&frame));
        if !matches!(sent, Ok(Ok(()))) {
            self.disconnect(call.connection);
        }
    }

    /// Tells containerd what has happened.
    fn publish<E: Event>(&mut self, event: &E) {
        let envelope = event::envelope(&self.namespace, event, SystemTime::now());
        if let Err(refusal) = envelope.and_then(|envelope| self.publisher.publish(envelope)) {
            log::warn(refusal);
        }
    }

    /// As long as there are containers, others need this process.
    fn shut_down(&mut self) -> Answer {
        if self.tasks.is_empty() && self.creating.is_empty() {
            self.ending = Some(Instant::now());
        }
        done()
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

fn read<M: Message>(message: &[u8]) -> Result<M, Refusal> {
    Ok(M::parse_from_bytes(message)?)
}

fn now(message: &impl Message) -> Answer {
    Ok(Reply::Now(message.write_to_bytes()?))
}

fn done() -> Answer {
    now(&Empty::new())
}
