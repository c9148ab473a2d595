//! A container with its processes, as the service knows them.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::time::SystemTime;

use runtime_core::container::{self, Container};
use runtime_core::state::StateRoot;

use super::{Call, Service};
use crate::oom::Alarm;
use crate::protos::api::Status;
use crate::refusal::Refusal;
use crate::stdio::{Held, Owner, Streams};

/// A process: that of a container, or with a name of its own a further one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Who {
    pub(crate) task: String,
    /// Empty for the container's first process.
    pub(crate) exec: String,
}

impl Who {
    pub(crate) fn new(task: &str, exec: &str) -> Self {
        Who { task: task.to_owned(), exec: exec.to_owned() }
    }

    /// How events call it.
    pub(super) fn name(&self) -> &str {
        if self.is_first() { &self.task } else { &self.exec }
    }

    pub(super) fn is_first(&self) -> bool {
        self.exec.is_empty()
    }
}

/// Where a process is in its life, as containerd was told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It was made, or, for a further process, announced.
    Created,
    /// Somebody starts it. If it ends now, that is told after it has started.
    Starting,
    Running,
    Stopped,
}

/// How a process ended, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exit {
    pub(super) status: u32,
    pub(super) at: SystemTime,
}

/// What is held of a process that lives.
#[derive(Debug)]
pub(super) enum Handle {
    /// The first one. The library knows it by its container.
    First(OwnedFd),
    Further(container::Process),
}

impl AsFd for Handle {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Handle::First(pidfd) => pidfd.as_fd(),
            Handle::Further(process) => process.pidfd(),
        }
    }
}

/// A process of a container.
#[derive(Debug)]
pub(crate) struct Process {
    pub(super) streams: Streams,
    /// What is executed; of further processes only.
    pub(super) document: Vec<u8>,
    pub(super) stage: Stage,
    pub(super) pid: u32,
    pub(super) handle: Option<Handle>,
    pub(super) held: Held,
    pub(super) console: Option<u64>,
    pub(super) exit: Option<Exit>,
    /// Who waits for its end.
    pub(super) waiters: Vec<Call>,
}

impl Process {
    /// One that does not run yet.
    pub(super) fn new(streams: Streams, document: Vec<u8>) -> Self {
        Process {
            streams,
            document,
            stage: Stage::Created,
            pid: 0,
            handle: None,
            held: Held::default(),
            console: None,
            exit: None,
            waiters: Vec::new(),
        }
    }

    /// What becomes readable when it ends; nothing while nobody wants to know.
    pub(crate) fn watched(&self) -> Option<BorrowedFd<'_>> {
        self.handle.as_ref().filter(|_| self.stage != Stage::Starting).map(AsFd::as_fd)
    }

    /// Whether it is there, or will be in a moment.
    pub(super) fn is_alive(&self) -> bool {
        self.exit.is_none() && (self.handle.is_some() || self.stage == Stage::Starting)
    }
}

/// A container.
#[derive(Debug)]
pub(crate) struct Task {
    pub(super) root: StateRoot,
    pub(super) container: Container,
    pub(super) bundle: PathBuf,
    pub(super) stream_owner: Owner,
    /// Whether somebody else's processes are in its pid namespace, and so outlive its first one.
    pub(super) shares_pids: bool,
    /// Whether its root file system was mounted by us.
    pub(super) has_mounts: bool,
    pub(super) is_paused: bool,
    pub(super) alarm: Option<Alarm>,
    pub(super) first: Process,
    pub(super) execs: BTreeMap<String, Process>,
}

impl Task {
    pub(super) fn processes_mut(&mut self) -> impl Iterator<Item = &mut Process> {
        self.execs.values_mut().chain([&mut self.first])
    }

    /// What containerd calls the state of a process.
    pub(super) fn status(&self, process: &Process) -> Status {
        match process.stage {
            Stage::Created | Stage::Starting => Status::CREATED,
            Stage::Running if self.is_paused => Status::PAUSED,
            Stage::Running => Status::RUNNING,
            Stage::Stopped => Status::STOPPED,
        }
    }
}

impl Service {
    pub(super) fn task(&self, id: &str) -> Result<&Task, Refusal> {
        self.tasks.get(id).ok_or_else(|| no_task(id))
    }

    pub(super) fn task_mut(&mut self, id: &str) -> Result<&mut Task, Refusal> {
        self.tasks.get_mut(id).ok_or_else(|| no_task(id))
    }

    pub(super) fn process(&self, who: &Who) -> Result<(&Task, &Process), Refusal> {
        let task = self.task(&who.task)?;
        let process = if who.is_first() { Some(&task.first) } else { task.execs.get(&who.exec) };
        process.map(|process| (task, process)).ok_or_else(|| no_exec(&who.exec))
    }

    pub(super) fn process_mut(&mut self, who: &Who) -> Result<&mut Process, Refusal> {
        let task = self.task_mut(&who.task)?;
        let process = if who.is_first() { Some(&mut task.first) } else { task.execs.get_mut(&who.exec) };
        process.ok_or_else(|| no_exec(&who.exec))
    }

    /// The processes whose end is of interest. A container's first one comes last: it was the last to end, if its end is
    /// seen together with others.
    pub(crate) fn watched(&self) -> impl Iterator<Item = (Who, BorrowedFd<'_>)> {
        self.tasks.iter().flat_map(|(id, task)| {
            let further = task.execs.iter().map(|(exec, process)| (exec.as_str(), process));
            let all = further.chain([("", &task.first)]);
            all.filter_map(move |(exec, process)| Some((Who::new(id, exec), process.watched()?)))
        })
    }

    /// The containers that may run out of memory.
    pub(crate) fn alarms(&self) -> impl Iterator<Item = (&str, BorrowedFd<'_>)> {
        self.tasks.iter().filter_map(|(id, task)| Some((id.as_str(), task.alarm.as_ref()?.as_fd())))
    }
}

fn no_task(id: &str) -> Refusal {
    Refusal::not_found(format!("container {id} not found"))
}

fn no_exec(exec: &str) -> Refusal {
    Refusal::not_found(format!("process does not exist {exec}"))
}
