//! The commands, one file each.

mod checkpoint;
mod completion;
pub(crate) mod create;
mod delete;
mod doctor;
mod events;
pub(crate) mod exec;
mod features;
mod foreground;
pub(crate) mod kill;
mod list;
mod pause;
mod plan;
mod ps;
mod resume;
mod run;
mod spec;
mod start;
mod state;
mod update;
mod wait;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use clap::{ArgMatches, Command};

use crate::failure::Failure;
use crate::log::Log;
use crate::{args, compat};
use runtime_core::cgroup::Driver;
use runtime_core::container::Container;
use runtime_core::state::StateRoot;
use runtime_core::{Bundle, ContainerId, Error};

/// A command.
pub(crate) struct Verb {
    /// Its word on the command line.
    pub(crate) name: &'static str,
    /// What it does, for the help.
    pub(crate) about: &'static str,
    /// Its table of arguments.
    pub(crate) arguments: fn(Command) -> Command,
    /// Does it; the result is the exit status.
    pub(crate) run: fn(&ArgMatches, &Session<'_>) -> Result<u8, Failure>,
}

/// All commands, in the order of the help.
pub(crate) const VERBS: &[Verb] = &[
    create::VERB,
    start::VERB,
    run::VERB,
    exec::VERB,
    state::VERB,
    kill::VERB,
    wait::VERB,
    delete::VERB,
    list::VERB,
    ps::VERB,
    events::VERB,
    pause::VERB,
    resume::VERB,
    update::VERB,
    features::VERB,
    spec::VERB,
    plan::VERB,
    doctor::VERB,
    checkpoint::CHECKPOINT,
    checkpoint::RESTORE,
    completion::COMPLETION,
    completion::MAN,
];

impl Verb {
    /// The command with this name.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn named(word: &OsStr) -> Result<&'static Verb, Failure> {
        VERBS.iter().find(|verb| verb.name == word).ok_or_else(|| {
            let names: Vec<_> = VERBS.iter().map(|verb| verb.name).collect();
            let word = word.to_string_lossy();
            Failure::Usage(format!("there is no command {word:?} (the commands are {})", names.join(", ")))
        })
    }
}

/// What the global options say.
pub(crate) struct Session<'a> {
    /// The absolute path of `--root`.
    pub(crate) given_root: Option<PathBuf>,
    /// Who makes cgroups.
    pub(crate) driver: Driver,
    /// Where to report.
    pub(crate) log: &'a Log,
}

impl<'a> Session<'a> {
    /// The session for these global options.
    ///
    /// # Errors
    /// `--root` leads to no place for state.
    pub(crate) fn new(globals: &ArgMatches, log: &'a Log) -> Result<Self, Failure> {
        Ok(Session {
            given_root: args::path_of(globals, "root").map(|path| compat::given_root(path)).transpose()?,
            driver: driver(globals),
            log,
        })
    }

    /// The state root, made if missing.
    ///
    /// # Errors
    /// The library's.
    pub(crate) fn make_root(&self) -> Result<StateRoot, Failure> {
        if let Some(path) = &self.given_root {
            return Ok(StateRoot::open(path)?);
        }
        let default = compat::default_root();
        let root = StateRoot::open(&default.path).map_err(|error| compat::advise(error, &default))?;
        if default.private {
            compat::keep_from_cleaners(&default.path);
        }
        Ok(root)
    }

    /// The state root, if there is one.
    ///
    /// # Errors
    /// The library's.
    pub(crate) fn existing_root(&self) -> Result<Option<StateRoot>, Failure> {
        let default = || compat::default_root().path;
        Ok(StateRoot::existing(&self.given_root.clone().unwrap_or_else(default))?)
    }

    /// The container with the id in `matches`. Looking for it makes nothing.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn find(&self, matches: &ArgMatches) -> Result<Container, Failure> {
        let id = id_of(matches)?;
        match self.existing_root()? {
            Some(root) => Ok(Container::find(&root, &id)?),
            None => Err(Error::NotFound(id.as_str().into()).into()),
        }
    }
}

/// The container id among the arguments.
///
/// # Errors
/// It has characters that can't be part of one.
pub(crate) fn id_of(matches: &ArgMatches) -> Result<ContainerId, Failure> {
    Ok(ContainerId::new(args::text_of(matches, "ID"))?)
}

/// Opens a bundle, and reports what is odd in it.
///
/// # Errors
/// It isn't one.
pub(crate) fn open_bundle(path: &Path, log: &Log) -> Result<Bundle, Failure> {
    let bundle = Bundle::open(path)?;
    bundle.spec().warnings().iter().for_each(|warning| log.warning(&warning.to_string()));
    Ok(bundle)
}

fn driver(globals: &ArgMatches) -> Driver {
    match args::text_of(globals, "cgroup-manager") {
        "disabled" => Driver::Nobody,
        "systemd" => Driver::Systemd(compat::systemd()),
        _ if args::is_set(globals, "systemd-cgroup") => Driver::Systemd(compat::systemd()),
        _ => Driver::Ourselves,
    }
}
