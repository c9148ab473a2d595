//! The verbs: what engines and people do with containers.

mod agent;
mod child;
mod console;
mod create;
mod delete;
mod exec;
mod guest;
mod hooks;
mod members;
mod pause;
mod process;
mod start;
mod status;
mod stdio;
mod update;
mod wait;

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use oci_spec::runtime::LinuxResources;
use rustix::io::Errno;
use rustix::process::Signal;

use crate::bundle::Bundle;
use crate::cgroup::{Driver, Stats, Threshold, Watch};
use crate::error::{Context, Error, Result, Wanted};
use crate::spec::{ContainerId, ExecProcess};
use crate::state::{End, Record, Signs, State, StateRoot};

pub use child::Child;
pub use console::{Console, Terminal};
pub use exec::ExecOptions;
pub use process::{Exit, Process};
pub use status::Status;
pub use stdio::{Stdio, Stream};

/// To be waited for again and again: the kernel takes no time without end.
const A_LONG_TIME: Duration = Duration::from_secs(3600);

/// How a container is made, apart from what its configuration says.
#[derive(Debug, Clone, Default)]
pub struct CreateOptions {
    /// The program's standard streams.
    pub stdio: Stdio,
    /// Move the root file system over `/` instead of pivoting to it: for hosts that run from an initramfs.
    pub no_pivot: bool,
    /// Stay in the caller's session keyring.
    pub no_new_keyring: bool,
    /// How many descriptors from 3 on the program inherits besides the standard streams.
    pub preserve_fds: u32,
    /// How many descriptors from 3 on, before those, are sockets that a service manager listens on for the program
    /// (sd_listen_fds(3)).
    pub listen_fds: u32,
    /// Where the service manager listens for readiness: a path, or `@` and the name of an abstract socket. The program
    /// gets a socket of its own, and what it says is passed on (sd_notify(3)).
    pub notify_socket: Option<PathBuf>,
    /// Where the process id is written; absolute.
    pub pid_file: Option<PathBuf>,
    /// Who gets the program's terminal, if it has one.
    pub console: Console,
    /// A UNIX stream socket that is sent a pidfd of the container's first process, with the word `standard`.
    pub pidfd_socket: Option<PathBuf>,
    /// Who makes the container's cgroup.
    pub driver: Driver,
    /// Where `newuidmap` and `newgidmap` are looked for, should they be needed; directories that aren't absolute are left
    /// out.
    pub helper_directories: Vec<PathBuf>,
}

/// How a container is started.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StartOptions {
    /// Where the service manager listens for readiness, as for [`CreateOptions::notify_socket`]. Of use only if the
    /// container was made with one.
    pub notify_socket: Option<PathBuf>,
}

/// A container that has been made.
#[derive(Debug, Clone)]
pub struct Container {
    root: StateRoot,
    id: ContainerId,
}

impl Container {
    /// Makes a container, up to the point where only the user's program is missing: [`Container::start`] executes it.
    ///
    /// # Errors
    /// The configuration can't be carried out; then nothing is left.
    pub fn create(
        root: &StateRoot,
        id: &ContainerId,
        bundle: &Bundle,
        options: &CreateOptions,
    ) -> Result<Child> {
        Child::of(create::make(root, id, bundle, options, create::Until::AwaitingStart)?, root)
    }

    /// Makes a container and executes the user's program in one go.
    ///
    /// # Errors
    /// The configuration can't be carried out, or the program can't be executed; then nothing is left.
    pub fn run(
        root: &StateRoot,
        id: &ContainerId,
        bundle: &Bundle,
        options: &CreateOptions,
    ) -> Result<Child> {
        Child::of(create::make(root, id, bundle, options, create::Until::Executed)?, root)
    }

    /// The container with that name.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub fn find(root: &StateRoot, id: &ContainerId) -> Result<Self> {
        match root.has(id)? {
            true => Ok(Container { root: root.clone(), id: id.clone() }),
            false => Err(Error::NotFound(id.to_string())),
        }
    }

    /// All containers, also those that are being made or removed.
    ///
    /// # Errors
    /// The state directory can't be read.
    pub fn list(root: &StateRoot) -> Result<Vec<Self>> {
        Ok(root.ids()?.into_iter().map(|id| Container { root: root.clone(), id }).collect())
    }

    /// Its name.
    pub fn id(&self) -> &ContainerId {
        &self.id
    }

    /// The user who made it, on the host.
    ///
    /// # Errors
    /// It is gone, or its record is damaged.
    pub fn owner(&self) -> Result<u32> {
        Ok(self.record()?.owner)
    }

    /// The container's state, seen without waiting for other commands.
    ///
    /// # Errors
    /// It is gone, or its record is damaged.
    pub fn state(&self) -> Result<State> {
        self.state_with_owner(|_| String::new())
    }

    /// The same with the name of its owner, who is known by the user id.
    ///
    /// # Errors
    /// As for [`Container::state`].
    pub fn state_with_owner(&self, name: impl FnOnce(u32) -> String) -> Result<State> {
        let seen = self.root.look(&self.id)?;
        let (record, awaits_start) = seen.ok_or_else(|| Error::NotFound(self.id.to_string()))?;
        let status = status(&record, awaits_start)?;
        if status == Status::Stopped {
            // Its process may be reaped by the time when somebody wants to know.
            let _ = wait::look(&self.root, &record);
        }
        Ok(record.state(status, name(record.owner)))
    }

    /// Waits until the container's first process has ended; says how it did, and keeps that for those who ask later. Any
    /// process may wait, not only a parent.
    ///
    /// # Errors
    /// It is gone; or [`Error::ExitUnknown`].
    pub fn wait(&self) -> Result<End> {
        loop {
            if let Some(end) = wait::wait(self, A_LONG_TIME)? {
                return Ok(end);
            }
        }
    }

    /// The same, but not for longer than `time`: then it has not ended, and this is `None`.
    ///
    /// # Errors
    /// As for [`Container::wait`].
    pub fn wait_for(&self, time: Duration) -> Result<Option<End>> {
        wait::wait(self, time)
    }

    /// Executes the user's program in a container that was created.
    ///
    /// # Errors
    /// It was started before, or is dead; or the program can't be executed, or a hook failed: then it is dead.
    pub fn start(&self) -> Result<()> {
        self.start_with(&StartOptions::default())
    }

    /// [`Container::start`], with options. Waits for the program to be ready, if somebody is to hear of that.
    ///
    /// # Errors
    /// As for [`Container::start`]; or the service manager can't be reached.
    pub fn start_with(&self, options: &StartOptions) -> Result<()> {
        start::start(&self.root, &self.id, options)
    }

    /// Starts a further process in the container, whose parent this process is.
    ///
    /// # Errors
    /// The container doesn't run, or is paused; the process can't be started as asked for: then it is gone.
    pub fn exec(&self, process: &ExecProcess, options: &ExecOptions) -> Result<Process> {
        exec::exec(self, process, options)
    }

    /// Sends a signal to the container's first process, or with `all` to every one. SIGKILL reaches every process of a
    /// container that shares its pid namespace, since the death of the first one doesn't end them.
    ///
    /// # Errors
    /// The container does not run, or the signal is none.
    pub fn kill(&self, signal: i32, all: bool) -> Result<()> {
        let record = self.record()?;
        let deadline = Instant::now() + self.root.patience();
        let named = Signal::from_named_raw(signal);
        match (named, all) {
            (Some(Signal::KILL), _) if all || !record.private_pid_namespace => {
                self.refuse_stopped(&record)?;
                members::signal_all(&record, Signal::KILL, deadline)
            }
            (Some(named), true) => {
                self.refuse_stopped(&record)?;
                members::signal_all(&record, named, deadline)
            }
            _ => {
                let process = self.process(&record)?;
                match crate::sys::process::send_signal(process.as_fd(), signal) {
                    // It has ended since it was opened, and somebody has reaped it.
                    Err(Errno::SRCH) => return Err(self.not_running(Status::Stopped)),
                    sent => sent.doing(|| format!("cannot send signal {signal}"))?,
                }
                if signal == Signal::KILL.as_raw() && record.cgroup.is_frozen().unwrap_or(false) {
                    record.cgroup.thaw()?;
                }
                Ok(())
            }
        }
    }

    /// The processes of the container, also those in cgroups that it made itself, ascending, as this process numbers
    /// them. Without a private pid namespace a stopped container may have some.
    ///
    /// # Errors
    /// It is gone, or its cgroup can't be read.
    pub fn pids(&self) -> Result<Vec<u32>> {
        members::pids(&self.record()?)
    }

    /// What the container has used so far.
    ///
    /// # Errors
    /// It is gone, or its record is damaged.
    pub fn stats(&self) -> Result<Stats> {
        Ok(self.record()?.cgroup.stats())
    }

    /// Watches the container from now on: for memory and processes that run out, for being paused and resumed, and for the
    /// end of its first and of its last process.
    ///
    /// # Errors
    /// It is gone, or its record is damaged; or the kernel has no descriptors or watches left.
    pub fn watch(&self) -> Result<Watch> {
        self.watch_for(&[])
    }

    /// The same, and for processes that wait for longer than they should.
    ///
    /// # Errors
    /// As for [`Container::watch`]; or the kernel doesn't take a threshold, or tells nothing about waiting.
    pub fn watch_for(&self, thresholds: &[Threshold]) -> Result<Watch> {
        let record = self.record()?;
        record.cgroup.watch(thresholds, record.init.open()?)
    }

    /// Makes all processes of a container that was created or runs stand still. Waits until they do; where they don't,
    /// they are let run on.
    ///
    /// # Errors
    /// It is stopped or paused; or a process can't be frozen.
    pub fn pause(&self) -> Result<()> {
        pause::pause(&self.root, &self.id)
    }

    /// Lets the processes of a paused container run on.
    ///
    /// # Errors
    /// It is not paused; or a cgroup around it is frozen.
    pub fn resume(&self) -> Result<()> {
        pause::resume(&self.root, &self.id)
    }

    /// Sets other limits for a container that isn't stopped, all of them or none. Fields that are missing leave their
    /// limits alone, and so do zeros where they mean that there is no limit to be set; device rules never change.
    ///
    /// # Errors
    /// It is stopped; a limit makes no sense ([`Error::Update`]); the kernel refuses one, or the host has no controller
    /// for it.
    pub fn update(&self, resources: &LinuxResources) -> Result<()> {
        update::update(&self.root, &self.id, resources)
    }

    /// Removes a container and everything that belongs to it. With `force` it is killed first if it runs, and what a
    /// creation that was cut short left behind is removed too; a container that doesn't exist is no error then.
    ///
    /// # Errors
    /// It runs, or does not exist (both only without `force`); or something can't be removed.
    pub fn delete(root: &StateRoot, id: &ContainerId, force: bool) -> Result<()> {
        delete::delete(root, id, force)
    }

    fn record(&self) -> Result<Record> {
        self.root.peek(&self.id)?.ok_or_else(|| Error::NotFound(self.id.to_string()))
    }

    fn process(&self, record: &Record) -> Result<OwnedFd> {
        record.init.open()?.ok_or_else(|| self.not_running(Status::Stopped))
    }

    fn refuse_stopped(&self, record: &Record) -> Result<()> {
        // Without a pid namespace of its own its processes outlive the first one, and must be reachable.
        if record.init.is_alive()? || !record.private_pid_namespace && !record.cgroup.pids()?.is_empty() {
            return Ok(());
        }
        Err(self.not_running(Status::Stopped))
    }

    fn not_running(&self, status: Status) -> Error {
        Error::Status { id: self.id.to_string(), status, wanted: Wanted::Kill }
    }
}

fn status(record: &Record, awaits_start: bool) -> Result<Status> {
    let alive = record.init.is_alive()?;
    // Its freezer is of interest only where something could be frozen.
    let frozen = alive && record.cgroup.is_frozen().unwrap_or(false);
    Ok(Signs { alive, awaits_start, frozen }.status())
}
