//! `start`: a container's program, or a further process.

use std::time::SystemTime;

use runtime_core::container::{self, Container, ExecOptions, Terminal};
use runtime_core::spec::ExecProcess;

use super::create::taker;
use super::task::{Handle, Stage, Who};
use super::{Answer, Call, Service, now};
use crate::protos::api::{StartRequest, StartResponse};
use crate::protos::events::task::{TaskExecStarted, TaskStart};
use crate::refusal::Refusal;
use crate::stdio::logger::Subject;
use crate::stdio::{self, ConsoleEnds, Held, Owner, Streams};

/// Words that users of runc look for.
const START_FAILED: &str = "OCI runtime start failed";
const EXEC_FAILED: &str = "OCI runtime exec failed";

/// Everything that a further process is started from.
struct Further {
    container: Container,
    document: Vec<u8>,
    streams: Streams,
    owner: Owner,
    subject: Subject,
}

/// A further process that was started.
struct Started {
    process: container::Process,
    held: Held,
    terminal: Option<(Terminal, ConsoleEnds)>,
}

impl Service {
    pub(super) fn start(&mut self, call: Call, request: StartRequest) -> Answer {
        let who = Who { task: request.id, exec: request.exec_id };
        let (task, process) = self.process(&who)?;
        if process.stage != Stage::Created || process.exit.is_some() {
            return Err(Refusal::wrong_state("cannot start a process that was started already"));
        }
        if !who.is_first() && task.first.exit.is_some() {
            let text = format!("container {} init process is not running", who.task);
            return Err(Refusal::wrong_state(text));
        }
        self.process_mut(&who)?.stage = Stage::Starting;
        if who.is_first() { self.start_first(call, who) } else { self.start_further(call, who) }
    }

    fn start_first(&mut self, call: Call, who: Who) -> Answer {
        let container = self.task(&who.task)?.container.clone();
        let work = move || container.start().map_err(|error| Refusal::from(error).while_doing(START_FAILED));
        self.later(call, work, move |service, started| {
            let process = service.process_mut(&who)?;
            // From here on its end is told; one that couldn't be started is dead.
            process.stage = if started.is_ok() { Stage::Running } else { Stage::Created };
            let pid = process.pid;
            started?;
            service.publish(&TaskStart { container_id: who.task, pid, ..TaskStart::default() });
            now(&StartResponse { pid, ..StartResponse::default() })
        })
    }

    fn start_further(&mut self, call: Call, who: Who) -> Answer {
        let (task, process) = self.process(&who)?;
        let further = Further {
            container: task.container.clone(),
            document: process.document.clone(),
            streams: process.streams.clone(),
            owner: task.stream_owner,
            subject: Subject { id: who.exec.clone(), namespace: self.namespace.clone() },
        };
        let work = move || further.carry_out().map_err(|refusal| refusal.while_doing(EXEC_FAILED));
        self.later(call, work, move |service, started| {
            let answer = service.started_further(&who, started);
            // The container's end is told after this one's, whatever becomes of it.
            service.tell_first_exit(&who.task, SystemTime::now());
            answer
        })
    }

    fn started_further(&mut self, who: &Who, started: Result<Started, Refusal>) -> Answer {
        let process = self.process_mut(who)?;
        process.stage = Stage::Created;
        let Started { process: handle, held, terminal } = started?;
        let pid = handle.pid().as_raw_pid().unsigned_abs();
        let (held, console) = self.connected(terminal, held);
        let process = self.process_mut(who)?;
        (process.stage, process.pid) = (Stage::Running, pid);
        (process.held, process.console) = (held, console);
        process.handle = Some(Handle::Further(handle));
        process.document = Vec::new();
        let (container_id, exec_id) = (who.task.clone(), who.exec.clone());
        self.publish(&TaskExecStarted { container_id, exec_id, pid, ..TaskExecStarted::default() });
        now(&StartResponse { pid, ..StartResponse::default() })
    }
}

impl Further {
    fn carry_out(self) -> Result<Started, Refusal> {
        let opened = stdio::open(&self.streams, self.owner, &self.subject)?;
        let options = ExecOptions {
            stdio: opened.program,
            console: taker(self.streams.terminal),
            ..ExecOptions::default()
        };
        let mut process = self.container.exec(&ExecProcess::Document(self.document), &options)?;
        let terminal = process.take_terminal().zip(opened.console);
        Ok(Started { process, held: opened.held, terminal })
    }
}
