//! Making a container: what stands outside of it while the plan is carried out.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::process::Pid;

use super::delete::remove_cgroup;
use super::{CreateOptions, agent, hooks};
use crate::bundle::Bundle;
use crate::cgroup::{Cgroup, Paths, Start};
use crate::container::Status;
use crate::error::{Context, Error, Result};
use crate::hooks::{Hooks, Kind, planned};
use crate::host::Host;
use crate::launch::{Descriptors, Keeper, Process, launch};
use crate::notify::Proxy;
use crate::plan::{self, Request};
use crate::publish::publish;
use crate::seccomp::{self, Agent};
use crate::spec::{ContainerId, Spec};
use crate::state::{Entry, Identity, Intent, Record, StateRoot, VERSION};
use crate::step::Namespace;
use crate::sys;

/// How far a creation goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Until {
    AwaitingStart,
    Executed,
}

/// A container that was made, under its lock.
pub(super) struct Made {
    pub(super) first: super::Process,
    pub(super) record: Record,
    pub(super) entry: Entry,
    pub(super) notify: Option<Proxy>,
}

/// Makes a container; on error nothing is left of it.
pub(super) fn make(
    root: &StateRoot,
    id: &ContainerId,
    bundle: &Bundle,
    options: &CreateOptions,
    until: Until,
) -> Result<Made> {
    let (streams, pipes) = options.stdio.open()?;
    let mut inherited: Vec<BorrowedFd<'_>> =
        sys::inherited::descriptors(options.listen_fds, options.preserve_fds)?;
    streams.replace(&mut inherited);
    bundle.check_rootfs()?;
    options.console.check(bundle.spec().wants_terminal())?;
    let (host, systemd) = Host::probe_for_new(bundle.spec(), id, &options.driver)?;
    let request = Request { systemd, ..request(root, id, bundle, options, until) };
    let plan = plan::create(bundle.spec(), &host, &request)?;
    let filters = seccomp::cache::load_all(&plan.filters, &root.filter_cache())?;
    let mut maker = Maker::new(root.create(id)?, bundle, &host, request, options);
    let listening = maker.listen_for_readiness(options, until);
    let inherited = Descriptors::new(inherited);
    match listening.and_then(|()| launch(&plan, &filters, &inherited, None, &mut maker)) {
        Ok((process, _)) => maker.finish(super::Process::new(process, pipes)),
        Err(error) => {
            let error = maker.explain(error);
            Err(match maker.undo() {
                Ok(()) => error,
                Err(left) => {
                    Error::Leftover(format!("{error}; and what was made could not be removed: {left}"))
                }
            })
        }
    }
}

fn request(
    root: &StateRoot,
    id: &ContainerId,
    bundle: &Bundle,
    options: &CreateOptions,
    until: Until,
) -> Request {
    let usual = Request::new(id, bundle.rootfs());
    Request {
        rootfs_is_open: bundle.open_root().is_some(),
        wait_for_start: until == Until::AwaitingStart,
        no_pivot: options.no_pivot,
        no_new_keyring: options.no_new_keyring,
        inherited_descriptors: usual.inherited_descriptors + options.listen_fds + options.preserve_fds,
        listen_fds: options.listen_fds,
        notify_directory: options.notify_socket.as_ref().map(|_| root.notify_directory(id)),
        pid_file: options.pid_file.clone(),
        console_socket: options.console.socket().map(Path::to_path_buf),
        terminal_size: options.console.size(),
        pidfd_socket: options.pidfd_socket.clone(),
        ..usual
    }
}

/// Who makes the container: keeps what must be undone if it fails.
struct Maker<'a> {
    entry: Entry,
    bundle: &'a Bundle,
    host: &'a Host,
    request: Request,
    options: &'a CreateOptions,
    cgroup: Option<Paths>,
    record: Option<Record>,
    start_socket: Option<OwnedFd>,
    notify: Option<Proxy>,
    hooks_ran: bool,
}

impl<'a> Maker<'a> {
    fn new(
        entry: Entry,
        bundle: &'a Bundle,
        host: &'a Host,
        request: Request,
        options: &'a CreateOptions,
    ) -> Self {
        Maker {
            entry,
            bundle,
            host,
            request,
            options,
            cgroup: None,
            record: None,
            start_socket: None,
            notify: None,
            hooks_ran: false,
        }
    }

    fn spec(&self) -> &'a Spec {
        self.bundle.spec()
    }

    fn describe(&self, process: &Process) -> Result<Record> {
        let pid = Pid::from_raw(process.pid.cast_signed())
            .ok_or_else(|| Error::Died("a process without id".into()))?;
        let oci = self.spec().oci();
        let later = [Kind::StartContainer, Kind::Poststart, Kind::Poststop];
        Ok(Record {
            version: VERSION,
            id: self.entry.id().clone(),
            oci_version: oci.version().clone(),
            init: Identity::of(pid)?,
            bundle: self.bundle.path().to_path_buf(),
            rootfs: self.request.rootfs.clone(),
            created: self.entry.root().timestamp(),
            owner: self.entry.owner(),
            annotations: oci
                .annotations()
                .iter()
                .flatten()
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
            cgroup: self.cgroup.clone().unwrap_or_default(),
            private_pid_namespace: plan::has_new_namespace(self.spec(), Namespace::Pid),
            agent: Agent::of(oci),
            hooks: later.into_iter().filter_map(|kind| planned(oci, kind)).collect(),
            request: self.request.clone(),
        })
    }

    /// Makes the place for the program's readiness; if the program runs at once, somebody must listen before.
    fn listen_for_readiness(&mut self, options: &CreateOptions, until: Until) -> Result<()> {
        let Some(address) = &options.notify_socket else { return Ok(()) };
        self.entry.make_notify_directory()?;
        if until == Until::Executed {
            self.notify = Some(Proxy::new(address, self.entry.notify_directory()?.as_fd())?);
        }
        Ok(())
    }

    /// Writes down which cgroup is about to be made.
    fn announce(&self, paths: &Paths) -> Result<Paths> {
        let mut paths = paths.clone();
        paths.note_missing_ancestors()?;
        self.entry.write_intent(&Intent {
            version: VERSION,
            id: self.entry.id().clone(),
            cgroup: paths.clone(),
            init: None,
            bundle: self.bundle.path().to_path_buf(),
        })?;
        Ok(paths)
    }

    fn finish(self, first: super::Process) -> Result<Made> {
        match self.record {
            Some(record) => Ok(Made { first, record, entry: self.entry, notify: self.notify }),
            None => Err(Error::Died("the plan records no container".into())),
        }
    }

    /// Who died without a word may have been killed for want of memory.
    fn explain(&self, error: Error) -> Error {
        let kills = self.cgroup.as_ref().and_then(Paths::oom_kills);
        match error {
            Error::Died(_) if kills.is_some_and(|count| count > 0) => Error::Died(
                "container init was OOM-killed: /linux/resources/memory/limit is too low for the container to be made"
                    .into(),
            ),
            error => error,
        }
    }

    /// Removes what was made. What can't be removed stays recorded, for `delete --force`.
    fn undo(self) -> Result<()> {
        // There may be no descriptors: what was the reason for that may still be there.
        drop((self.start_socket, self.notify));
        let patience = self.entry.root().patience();
        self.cgroup.as_ref().map_or(Ok(()), |cgroup| remove_cgroup(cgroup, patience))?;
        let state = self.record.as_ref().map(|record| record.state(Status::Stopped, ""));
        let removed = self.entry.remove();
        if let (true, Some(state), Some(poststop)) =
            (self.hooks_ran, state, planned(self.bundle.spec().oci(), Kind::Poststop))
        {
            let _ = poststop.run_all(&state);
        }
        removed
    }
}

impl Keeper for Maker<'_> {
    fn container(&self) -> Result<BorrowedFd<'_>> {
        Err(Error::Died("the plan of a creation enters a container".into()))
    }

    fn root(&self) -> Result<BorrowedFd<'_>> {
        let missing = || Error::Died("the plan takes a root that nobody has given".into());
        self.bundle.open_root().ok_or_else(missing)
    }

    fn keep_cgroup(&mut self, paths: &Paths) -> Result<Cgroup> {
        let paths = self.announce(paths)?;
        let cgroup = paths.create()?;
        self.cgroup = Some(paths);
        Ok(cgroup)
    }

    fn start_unit(&mut self, start: &Start, process: &Process) -> Result<Cgroup> {
        let paths = self.announce(&start.paths)?;
        let cgroup = paths.start(start, process.pid)?;
        self.cgroup = Some(paths);
        Ok(cgroup)
    }

    fn run_hooks(&mut self, hooks: &Hooks, process: &Process) -> Result<()> {
        self.hooks_ran = true;
        match &self.record {
            Some(record) => hooks::run(hooks, record, self.spec(), self.host),
            None => hooks::run(hooks, &self.describe(process)?, self.spec(), self.host),
        }
    }

    fn prepare(&mut self, process: &Process) -> Result<()> {
        let record = self.describe(process)?;
        self.entry.write_config(self.spec().raw())?;
        self.entry.prepare_record(&record)?;
        self.record = Some(record);
        if self.request.wait_for_start {
            // Before the record is shown: with the record alone the container would seem to run.
            self.start_socket = Some(self.entry.listen()?);
        }
        Ok(())
    }

    fn record(&mut self, _: &Process) -> Result<()> {
        self.entry.publish_record()
    }

    fn tell_agent(&self, agent: &Agent, listener: BorrowedFd<'_>, process: &Process) -> Result<()> {
        let unknown = || Error::Died("the plan tells an agent before there is a container".into());
        let record = self.record.as_ref().ok_or_else(unknown)?;
        agent::tell(agent, listener, process.pid, record, Status::Creating)
    }

    fn write_pid_file(&mut self, path: &Path, process: &Process) -> Result<()> {
        write_pid_file(path, process.pid)
    }

    fn helper_directories(&self) -> &[PathBuf] {
        &self.options.helper_directories
    }

    fn start_socket(&mut self) -> Result<OwnedFd> {
        self.start_socket.take().ok_or_else(|| Error::Died("the plan lends a start socket twice".into()))
    }
}

/// Engines read the file whole, without trimming: a number and nothing else, there at once or not at all.
pub(super) fn write_pid_file(path: &Path, pid: u32) -> Result<()> {
    let doing = || format!("cannot write the pid file {}", path.display());
    let directory = path.parent().unwrap_or(Path::new("/"));
    let place = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = rustix::fs::openat(CWD, directory, place, Mode::empty()).doing(doing)?;
    let name = path.file_name().unwrap_or_default();
    let content = pid.to_string();
    publish(directory.as_fd(), name, Mode::from_raw_mode(0o644), &[content.as_bytes()]).doing(doing)
}
