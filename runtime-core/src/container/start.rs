//! `start`: the second half of what `create` began.

use std::os::fd::AsFd;
use std::time::Instant;

use rustix::io::Errno;

use super::{StartOptions, agent, hooks, status};
use crate::container::Status;
use crate::error::{Context, Error, Result, Wanted};
use crate::hooks::Kind;
use crate::host::Host;
use crate::launch::dialogue::{Dialogue, Heard};
use crate::launch::unexpected;
use crate::notify::Proxy;
use crate::plan;
use crate::seccomp::Agent;
use crate::spec::{ContainerId, Spec};
use crate::state::{Entry, Record, StateRoot};

pub(super) fn start(root: &StateRoot, id: &ContainerId, options: &StartOptions) -> Result<()> {
    let (entry, record) = root.lock_recorded(id)?;
    let wrong = |status| Error::Status { id: id.to_string(), status, wanted: Wanted::Start };
    match status(&record, entry.awaits_start()?)? {
        Status::Created => {}
        other => return Err(wrong(other)),
    }
    let socket = entry.connect()?.ok_or_else(|| wrong(Status::Stopped))?;
    let notify = readiness(&entry, &record, options)?;
    let (process, pid) = (record.init.open()?, record.init.pid);
    Start { entry, record, dialogue: Dialogue::over(socket) }.carry_out()?;
    // Other commands get their turn: a program may never become ready.
    match (notify, process) {
        (Some(notify), Some(process)) => notify.wait_until_ready(process.as_fd(), pid),
        _ => Ok(()),
    }
}

/// Where the program finds somebody to tell its readiness to, before it runs.
fn readiness(entry: &Entry, record: &Record, options: &StartOptions) -> Result<Option<Proxy>> {
    match (&record.request.notify_directory, &options.notify_socket) {
        (Some(_), Some(address)) => Ok(Some(Proxy::new(address, entry.notify_directory()?.as_fd())?)),
        _ => Ok(None),
    }
}

struct Start {
    entry: Entry,
    record: Record,
    dialogue: Dialogue,
}

impl Start {
    fn carry_out(self) -> Result<()> {
        // Init stands there already: only one that can't move takes its time.
        match self.hear(Some(Instant::now() + self.entry.root().patience()))? {
            Heard::AtBarrier(_) => {}
            heard => return Err(self.explain(heard)),
        }
        if let Err(error) = self.run_hooks(Kind::StartContainer) {
            self.end();
            return Err(error);
        }
        // Now and not later: killed from here on, this command leaves a container that runs or is dead.
        self.entry.withdraw_start_socket()?;
        self.go()?;
        if let Some(agent) = &self.record.agent {
            self.introduce(agent).inspect_err(|_| self.end())?;
        }
        match self.hear(None)? {
            Heard::End => {}
            heard => return Err(self.explain(heard)),
        }
        self.run_hooks(Kind::Poststart).inspect_err(|_| self.end())
    }

    fn hear(&self, deadline: Option<Instant>) -> Result<Heard> {
        loop {
            match self.dialogue.hear() {
                Err(Errno::TIMEDOUT) if self.record.cgroup.is_frozen().unwrap_or(false) => {
                    return Err(Error::Cgroup(format!(
                        "container {} cannot be started: its cgroup {}, or one above it, is frozen",
                        self.record.id, self.record.cgroup
                    )));
                }
                Err(Errno::TIMEDOUT) if deadline.is_none_or(|deadline| Instant::now() < deadline) => {}
                // It has died without having read our word.
                Err(Errno::CONNRESET) => return Err(self.explain(Heard::End)),
                heard => return heard.doing(lost),
            }
        }
    }

    /// Gives the word to go on. Who is killed before may have said why he failed.
    fn go(&self) -> Result<()> {
        match self.dialogue.go() {
            Err(Errno::PIPE | Errno::CONNRESET) => {
                Err(self.explain(self.dialogue.hear().unwrap_or(Heard::End)))
            }
            sent => sent.doing(lost),
        }
    }

    /// The filter is in force, and the program waits until its agent is there.
    fn introduce(&self, agent: &Agent) -> Result<()> {
        match self.dialogue.hear_with_descriptor().doing(lost)? {
            (Heard::AtBarrier(_), Some(listener)) => {
                let pid = self.record.init.pid.cast_unsigned();
                agent::tell(agent, listener.as_fd(), pid, &self.record, Status::Creating)?;
                self.go()
            }
            (heard, _) => Err(self.explain(heard)),
        }
    }

    fn run_hooks(&self, kind: Kind) -> Result<()> {
        match self.record.hooks(kind) {
            None => Ok(()),
            Some(found) => {
                let spec = self.spec()?;
                let host = Host::probe()?.knowing_modules_for(&spec);
                hooks::run(found, &self.record, &spec, &host)
            }
        }
    }

    fn spec(&self) -> Result<Spec> {
        let raw = self.entry.config()?.unwrap_or_default();
        Ok(Spec::parse(raw)?)
    }

    fn end(&self) {
        let _ = self.record.cgroup.kill_all(Instant::now() + self.entry.root().patience());
    }

    /// The sentence about a failed step: the plan is made again to know what the step's number means.
    fn explain(&self, heard: Heard) -> Error {
        if heard == Heard::End {
            return Error::Died("the container's first process died while it was being started".into());
        }
        let plan = self.spec().and_then(|spec| {
            let host = Host::probe_around(&self.record.cgroup)?.knowing_modules_for(&spec);
            Ok(plan::create(&spec, &host, &self.record.request)?)
        });
        match plan {
            Ok(plan) => unexpected(&plan, heard),
            Err(error) => error,
        }
    }
}

fn lost() -> String {
    "the container does not answer".into()
}
