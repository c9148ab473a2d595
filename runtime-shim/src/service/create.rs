//! `create`: a container, up to the point where only its program is missing.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use runtime_core::container::{Console as Taker, Container, CreateOptions, Terminal};
use runtime_core::state::StateRoot;
use runtime_core::{Bundle, ContainerId};

use super::task::{Handle, Process, Task};
use super::{Answer, Call, Service, now};
use crate::console::Console;
use crate::log;
use crate::oom::Alarm;
use crate::options::Options;
use crate::protos::api::{CreateTaskRequest, CreateTaskResponse, Mount};
use crate::protos::events::task::{TaskCreate, TaskIO};
use crate::refusal::{Doing, Refusal};
use crate::rootfs;
use crate::stdio::logger::Subject;
use crate::stdio::{self, ConsoleEnds, Held, Owner, Streams};

/// Words that users of runc look for.
const FAILED: &str = "OCI runtime create failed";

/// Everything that a container is made from.
struct Creation {
    id: ContainerId,
    namespace: String,
    bundle: PathBuf,
    mounts: Vec<Mount>,
    streams: Streams,
    options: Options,
}

/// A container that was made.
struct Created {
    root: StateRoot,
    container: Container,
    pid: u32,
    pidfd: OwnedFd,
    held: Held,
    terminal: Option<(Terminal, ConsoleEnds)>,
    shares_pids: bool,
    alarm: Option<Alarm>,
    stream_owner: Owner,
}

impl Service {
    pub(super) fn create(&mut self, call: Call, request: CreateTaskRequest) -> Answer {
        if !request.checkpoint.is_empty() {
            return Err(Refusal::unsupported(format!("{} can't restore containers", crate::NAME)));
        }
        let creation = Creation::of(&request, &self.namespace)?;
        let id = request.id.clone();
        if self.tasks.contains_key(&id) || !self.creating.insert(id.clone()) {
            return Err(runtime_core::Error::Exists(id).into());
        }
        let (bundle, mounts) = (creation.bundle.clone(), creation.mounts.clone());
        let work = move || creation.carry_out().map_err(|refusal| refusal.while_doing(FAILED));
        self.later(call, work, move |service, created| {
            service.creating.remove(&id);
            service.created(request, created?, bundle, !mounts.is_empty())
        })
    }

    fn created(
        &mut self,
        request: CreateTaskRequest,
        created: Created,
        bundle: PathBuf,
        has_mounts: bool,
    ) -> Answer {
        let streams = streams(&request);
        let mut first = Process::new(streams, Vec::new());
        (first.pid, first.handle) = (created.pid, Some(Handle::First(created.pidfd)));
        (first.held, first.console) = self.connected(created.terminal, created.held);
        let pid = created.pid;
        let task = Task {
            root: created.root,
            container: created.container,
            bundle,
            stream_owner: created.stream_owner,
            shares_pids: created.shares_pids,
            has_mounts,
            is_paused: false,
            alarm: created.alarm,
            first,
            execs: BTreeMap::new(),
        };
        self.tasks.insert(request.id.clone(), task);
        self.publish(&told(request, pid));
        now(&CreateTaskResponse { pid, ..CreateTaskResponse::default() })
    }

    /// Connects a process with what it was made for: its terminal, if it has one. The rest is held as long as it lives.
    pub(super) fn connected(
        &mut self,
        terminal: Option<(Terminal, ConsoleEnds)>,
        mut held: Held,
    ) -> (Held, Option<u64>) {
        let Some((master, ends)) = terminal else { return (held, None) };
        match Console::new(master, ends, std::mem::take(&mut held.outputs)) {
            Ok(console) => {
                let number = self.number();
                self.consoles.insert(number, console);
                (held, Some(number))
            }
            Err(refusal) => {
                log::warn(refusal);
                (held, None)
            }
        }
    }
}

impl Creation {
    fn of(request: &CreateTaskRequest, namespace: &str) -> Result<Self, Refusal> {
        Ok(Creation {
            id: ContainerId::new(&request.id)?,
            namespace: namespace.to_owned(),
            bundle: PathBuf::from(&request.bundle),
            mounts: request.rootfs.clone(),
            streams: streams(request),
            options: Options::of(request.options.as_ref())?,
        })
    }

    fn carry_out(self) -> Result<Created, Refusal> {
        self.options.save(&self.bundle)?;
        let place = rootfs::of(&self.bundle);
        rootfs::mount_all(&self.mounts, &place)?;
        self.make().inspect_err(|_| {
            if !self.mounts.is_empty() {
                _ = rootfs::unmount_all(&place);
            }
        })
    }

    fn make(&self) -> Result<Created, Refusal> {
        let root = self.options.state_root(&self.namespace)?;
        let bundle = Bundle::open(&self.bundle)?;
        let subject = Subject { id: self.id.to_string(), namespace: self.namespace.clone() };
        let opened = stdio::open(&self.streams, self.options.stream_owner, &subject)?;
        let cgroups_path = bundle.spec().linux().as_ref().and_then(|linux| linux.cgroups_path().as_deref());
        let options = CreateOptions {
            stdio: opened.program,
            no_pivot: self.options.no_pivot,
            no_new_keyring: self.options.no_new_keyring,
            console: taker(self.streams.terminal),
            driver: self.options.driver(cgroups_path),
            ..CreateOptions::default()
        };
        let mut child = Container::create(&root, &self.id, &bundle, &options)?;
        let pidfd = child.pidfd().try_clone_to_owned().doing(|| "cannot hold the container".into())?;
        let record = root.peek(&self.id)?;
        Ok(Created {
            container: child.container().clone(),
            pid: child.pid().as_raw_pid().unsigned_abs(),
            pidfd,
            held: opened.held,
            terminal: child.take_terminal().zip(opened.console),
            shares_pids: record.as_ref().is_some_and(|record| !record.private_pid_namespace),
            alarm: record.and_then(|record| Alarm::of(&record.cgroup)),
            stream_owner: self.options.stream_owner,
            root,
        })
    }
}

/// Who gets the terminal: we, and nobody if the process isn't to have one.
pub(super) fn taker(terminal: bool) -> Taker {
    if terminal { Taker::Caller { size: None } } else { Taker::Nobody }
}

fn streams(request: &CreateTaskRequest) -> Streams {
    Streams {
        stdin: request.stdin.clone(),
        stdout: request.stdout.clone(),
        stderr: request.stderr.clone(),
        terminal: request.terminal,
    }
}

fn told(request: CreateTaskRequest, pid: u32) -> TaskCreate {
    let io = TaskIO {
        stdin: request.stdin,
        stdout: request.stdout,
        stderr: request.stderr,
        terminal: request.terminal,
        ..TaskIO::default()
    };
    TaskCreate {
        container_id: request.id,
        bundle: request.bundle,
        rootfs: request.rootfs,
        io: Some(io).into(),
        checkpoint: request.checkpoint,
        pid,
        ..TaskCreate::default()
    }
}
