//! `run`: create and start in one go, and in the foreground wait for the end.

use std::mem::{self, ManuallyDrop};
use std::path::PathBuf;

use clap::{Arg, ArgMatches};
use runtime_core::signals;
use rustix::process::Pid;

use super::foreground::{Attended, Readiness, status};
use super::{Session, Verb, create, open_bundle};
use crate::args::{flag, is_set, path_of, text_of};
use crate::failure::Failure;
use crate::terminal::Relay;
use crate::{absolute, naming, output};
use runtime_core::container::{Child, Container, CreateOptions, Exit};
use runtime_core::error::Context;
use runtime_core::state::StateRoot;
use runtime_core::{Bundle, ContainerId, Error, Spec};

pub(super) const VERB: Verb = Verb {
    name: "run",
    about: "Make a container, run its program and wait for it",
    arguments: |table| {
        create::making(table).args([
            flag("detach", "Return when the program runs").short('d'),
            flag("keep", "Leave the container for `delete` when it has ended"),
            flag("no-subreaper", "Do not adopt processes that lost their parent"),
            Arg::new("ID").required(true).value_name("ID|BUNDLE/").help(
                "The container's name, or, with a slash, the path of its bundle, whose name it then takes",
            ),
        ])
    },
    run,
};

fn run(matches: &ArgMatches, session: &Session<'_>) -> Result<u8, Failure> {
    let subject = subject(matches)?;
    let options = create::options(matches, session)?;
    let bundle = open_bundle(&subject.bundle, session.log)?;
    let detached = is_set(matches, "detach");
    let options = CreateOptions { console: create::console(matches, &bundle, detached)?, ..options };
    let launch = Launch { root: session.make_root()?, ids: subject.ids, bundle, options };
    if detached {
        let (id, running) = launch.go()?;
        running.wait_until_ready()?;
        return if subject.named { Ok(0) } else { output::print(&format!("{}\n", id.as_str())).map(|()| 0) };
    }
    if !is_set(matches, "no-subreaper") {
        // Any pid sets it; the one that is set is this process.
        rustix::process::set_child_subreaper(Some(Pid::INIT))
            .doing(|| "cannot become a child subreaper".into())?;
    }
    // This process ends with the container: the kernel takes back all at once what would be given back piece by piece.
    foreground(&ManuallyDrop::new(launch), is_set(matches, "keep"), session)
}

// What is run.
struct Subject {
    bundle: PathBuf,
    // To be tried in this order until one is free.
    ids: Vec<ContainerId>,
    // Whether the user chose the id.
    named: bool,
}

// `run bundle/` or `run [-b bundle] id`: a slash can't be part of an id.
fn subject(matches: &ArgMatches) -> Result<Subject, Failure> {
    let argument = text_of(matches, "ID");
    if !naming::is_path(argument) {
        let bundle = create::bundle_path(matches)?;
        return Ok(Subject { bundle, ids: vec![ContainerId::new(argument)?], named: true });
    }
    if path_of(matches, "bundle").is_some() {
        let problem = format!(
            "{argument:?} is the path of a bundle, and so is the value of --bundle: give one of them"
        );
        return Err(Failure::Usage(problem));
    }
    let bundle = absolute(argument.as_ref())?;
    Ok(Subject { ids: naming::candidates(&bundle)?, bundle, named: false })
}

struct Launch {
    root: StateRoot,
    ids: Vec<ContainerId>,
    bundle: Bundle,
    options: CreateOptions,
}

impl Launch {
    // Only the attempt itself can tell whether an id is free: another command may take it at any moment.
    fn go(&self) -> Result<(&ContainerId, Child), Failure> {
        let mut taken = Error::Exists(self.bundle.path().display().to_string());
        for id in &self.ids {
            match Container::run(&self.root, id, &self.bundle, &self.options) {
                Err(error @ Error::Exists(_)) => taken = error,
                running => return Ok((id, running?)),
            }
        }
        Err(taken.into())
    }
}

// The container has this process's standard streams themselves: with pipes in between, every byte would be copied
// twice, and the container would hang when this process is stopped.
//
// Signals are blocked before the container exists, so that none ends this process without reaching the container.
// The init program clears the mask that it inherits. They stay blocked to the end: one that comes too late must not
// replace the container's status by a death of our own.
fn foreground(launch: &Launch, keep: bool, session: &Session<'_>) -> Result<u8, Failure> {
    let blocked = signals::block_all();
    let queue = ManuallyDrop::new(blocked.queue()?);
    mem::forget(blocked);
    let (_, mut running) = launch.go()?;
    let relay = running.take_terminal().map(|terminal| Relay::new(terminal.into())).transpose();
    let pass_on = |signal| {
        if let Err(error) = running.signal(signal) {
            session.log.debug(|| format!("cannot pass on signal {signal}: {error}"));
        }
    };
    let tell = || {
        if let Err(error) = running.pass_on_readiness() {
            session.log.debug(|| error.to_string());
        }
    };
    let attended = relay.and_then(|relay| {
        let readiness = running.readiness().map(|socket| Readiness { socket, pass_on: &tell });
        let (pidfd, pid) = (running.pidfd(), running.pid());
        Attended { pidfd, pid, signals: &queue, pass_on: &pass_on, relay, readiness }.until_its_end()
    });
    let exit = attended.and_then(|()| Ok(running.wait()?));
    tell_about_memory(&exit, &running, launch.bundle.spec(), session);
    let deleted = match &exit {
        Ok(exit) if keep => running.leave(*exit),
        _ if keep => Ok(()),
        _ => running.delete(),
    };
    let status = status(exit?);
    deleted.map(|()| status).or_else(|error| match status {
        0 => Err(error.into()),
        // The status of the program says more to the caller than that of the cleaning up.
        status => {
            session.log.error(&error.to_string());
            Ok(status)
        }
    })
}

// Exit status 137 alone would not say why.
fn tell_about_memory(exit: &Result<Exit, Failure>, running: &Child, spec: &Spec, session: &Session<'_>) {
    if !matches!(exit, Ok(Exit::Signal(9))) || !running.ran_out_of_memory() {
        return;
    }
    let resources = spec.oci().linux().as_ref().and_then(|linux| linux.resources().as_ref());
    let limit = resources.and_then(|resources| resources.memory().as_ref()).and_then(|memory| memory.limit());
    let limit =
        limit.map_or_else(String::new, |limit| format!(" (linux.resources.memory.limit: {limit} bytes)"));
    session.log.error(&format!("the container was killed because it ran out of memory{limit}"));
}
