//! Where hooks run: on the host, or in the container.

use std::os::fd::AsFd;

use rustix::process::Pid;

use super::guest::Guest;
use crate::container::Status;
use crate::error::{Context, Error, Result};
use crate::hooks::{Hook, HookError, Hooks, Kind, Problem, Streams};
use crate::host::Host;
use crate::launch::{Descriptors, Process, launch};
use crate::plan;
use crate::spec::Spec;
use crate::state::{Record, State};

/// Runs hooks, where their kind says.
pub(super) fn run(hooks: &Hooks, record: &Record, spec: &Spec, host: &Host) -> Result<()> {
    let state = |status| record.state(status, "");
    match hooks.kind {
        Kind::Prestart | Kind::CreateRuntime => Ok(hooks.run(&state(Status::Creating))?),
        Kind::CreateContainer => run_inside(hooks, record, state(Status::Creating), spec, host),
        Kind::StartContainer => run_inside(hooks, record, state(Status::Created), spec, host),
        Kind::Poststart => Ok(hooks.run(&state(Status::Running))?),
        Kind::Poststop => Ok(hooks.run(&state(Status::Stopped))?),
    }
}

/// Each hook is a small plan of its own, carried out by the init program like a container's.
fn run_inside(hooks: &Hooks, record: &Record, mut state: State, spec: &Spec, host: &Host) -> Result<()> {
    state.pid = inner_pid(record.init.pid)?;
    for (index, hook) in hooks.hooks.iter().enumerate() {
        let plan = plan::hook(spec, host, &record.request, hooks.kind, hook)?;
        let (streams, ends) = Streams::new(&state)
            .map_err(|errno| HookError::new(hooks.kind, index, hook, Problem::Start(errno)))?;
        let process = {
            let descriptors =
                Descriptors::new(vec![ends.stdin.as_fd(), ends.stdout.as_fd(), ends.stderr.as_fd()]);
            start(&plan, &descriptors, record).map_err(|error| explain(hooks.kind, index, hook, error))?
        };
        drop(ends);
        let pid = Pid::from_raw(process.pid.cast_signed())
            .ok_or_else(|| Error::Died("a hook without id".into()))?;
        streams.supervise(process.pidfd.as_fd(), pid, hook, hooks.kind, index)?;
    }
    Ok(())
}

fn start(plan: &plan::Plan, descriptors: &Descriptors<'_>, record: &Record) -> Result<Process> {
    let filters = plan.filters.iter().map(crate::seccomp::Profile::compile).collect::<Result<Vec<_>>>()?;
    let cgroup = record.cgroup.open()?;
    let container =
        record.init.open()?.ok_or_else(|| Error::Died("the container died before its hooks ran".into()))?;
    let mut guest = Guest { container: container.as_fd(), record, status: Status::Created };
    launch(plan, &filters, descriptors, Some(cgroup), &mut guest).map(|(process, _)| process)
}

/// A hook that can't be executed is told like one that failed.
fn explain(kind: Kind, index: usize, hook: &Hook, error: Error) -> Error {
    match error {
        Error::Program { errno, .. } => HookError::new(kind, index, hook, Problem::Start(errno)).into(),
        other => other,
    }
}

/// The container's first process as the container numbers it.
fn inner_pid(pid: i32) -> Result<i32> {
    let path = format!("/proc/{pid}/status");
    let status = std::fs::read_to_string(&path).doing(|| format!("cannot read {path}"))?;
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:")).unwrap_or_default();
    Ok(numbers.split_whitespace().next_back().and_then(|number| number.parse().ok()).unwrap_or(pid))
}
