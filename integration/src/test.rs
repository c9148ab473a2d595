//! One test: its names, its directories, and the account that is settled when it ends.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::io::Errno;
use serde_json::Value;

use crate::bundle::{Bundle, base};
use crate::command::{Call, Groups, Outcome};
use crate::container::Container;
use crate::leaks::{self, Traces};
use crate::login::{self, Login};
use crate::missing::Missing;
use crate::runtime::{binaries, runtime};
use crate::user::{self, User};
use crate::world::World;

/// Names that belong to this test alone, and everything that it makes.
///
/// Dropping it fails the test if the runtime left anything behind.
#[derive(Debug)]
pub struct Test {
    /// The layout of cgroups in which every command runs.
    pub world: World,
    /// A word that is part of every id, path and cgroup of this test and of no other.
    pub mark: String,
    /// The test's own directory.
    pub directory: PathBuf,
    missing: Option<Missing>,
    pub(crate) traces: RefCell<Traces>,
    pub(crate) groups: Groups,
    user: Option<User>,
    login: Option<&'static Login>,
    serial: Cell<u32>,
}

impl Default for Test {
    fn default() -> Self {
        Self::new()
    }
}

/// How often something is repeated: the number in this variable, or the usual one.
///
/// # Panics
/// When the variable is no number.
pub fn repetitions(variable: &str, usual: usize) -> usize {
    let told = std::env::var(variable).ok();
    told.map_or(usual, |text| text.parse().unwrap_or_else(|_| panic!("{variable}={text}: not a number")))
}

impl Test {
    /// A test in the usual world.
    pub fn new() -> Self {
        Self::at(World::usual())
    }

    /// A test in this world.
    ///
    /// # Panics
    /// When its directories cannot be made.
    pub fn at(world: World) -> Self {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let mark = format!("it{}n{serial}x", std::process::id());
        let directory = base().join(&mark);
        fs::create_dir(&directory).expect("a test has a directory of its own");
        for part in ["state", "tmp", "output", "bundles"] {
            fs::create_dir(directory.join(part)).expect("a test has a directory of its own");
        }
        Self {
            world,
            mark,
            directory,
            missing: Missing::everywhere().cloned(),
            traces: RefCell::default(),
            groups: Groups::default(),
            user: None,
            login: None,
            serial: Cell::new(0),
        }
    }

    /// The same, where some system calls are missing for the runtime and all that it starts: this errno says so.
    pub fn without(mut self, errno: Errno, calls: &[&str]) -> Self {
        self.missing = Some(Missing::these(errno, calls));
        self
    }

    /// What takes system calls away from the program that follows, if anything does.
    fn launcher(&self, missing: Option<&Missing>) -> Vec<String> {
        let place = match self.user {
            Some(_) => user::WITHOUT.into(),
            None => text(&binaries().join("without")),
        };
        missing.map(|missing| vec![place, missing.to_string()]).unwrap_or_default()
    }

    /// A test whose commands are run by an ordinary user who may make no cgroup.
    pub fn of_user(world: World) -> Self {
        let mut test = Self::at(world);
        test.give_to(User::new(world));
        test
    }

    /// A test whose commands are run by an ordinary user who has been given the test's cgroup.
    pub fn of_user_with_cgroup() -> Self {
        let mut test = Self::at(World::Unified);
        test.give_to(User::with_cgroup(&test.mark));
        test
    }

    fn give_to(&mut self, user: User) {
        ["state", "tmp"].iter().for_each(|part| user::give(&self.directory.join(part)));
        self.user = Some(user);
    }

    /// A test whose commands are run by somebody who has logged in, with a systemd of his own.
    ///
    /// # Panics
    /// When its directories can't be made his.
    pub fn of_login(login: &'static Login) -> Self {
        let mut test = Self::at(World::Host);
        let id = Some(login::UID);
        for part in ["state", "tmp"] {
            chown(test.directory.join(part), id, id).expect("root may give things away");
        }
        test.login = Some(login);
        test
    }

    /// The binary under test, as the commands see it.
    fn binary(&self) -> PathBuf {
        if self.user.is_some() { user::BINARY.into() } else { runtime().path.clone() }
    }

    /// A name that nothing else has.
    pub fn fresh(&self) -> String {
        self.serial.set(self.serial.get() + 1);
        format!("{}-{}", self.mark, self.serial.get())
    }

    /// A new bundle with the default configuration, changed by `edit`.
    pub fn bundle(&self, edit: impl FnOnce(&mut Value)) -> Bundle {
        let name = self.fresh();
        Bundle::new(self.directory.join("bundles").join(&name), &format!("/{}/{name}", self.mark), edit)
    }

    /// The state directory of the runtime.
    pub fn state_root(&self) -> PathBuf {
        self.directory.join("state")
    }

    /// A command of the runtime, ready to be run: global options, then these arguments.
    pub fn call(&self, arguments: &[&str]) -> Call {
        self.launched(self.missing.as_ref(), &self.words(&[], arguments))
    }

    /// The same, where other system calls are missing than for the rest of the test.
    pub fn call_without(&self, missing: &Missing, arguments: &[&str]) -> Call {
        self.launched(Some(missing), &self.words(&[], arguments))
    }

    /// A command of the runtime that a shell executes by `exec "$@"`, after whatever the script prepares.
    pub fn call_by(&self, script: &str, arguments: &[&str]) -> Call {
        self.launched(self.missing.as_ref(), &self.words(&["/bin/sh", "-c", script, "sh"], arguments))
    }

    /// A command line of the runtime.
    fn words(&self, before: &[&str], arguments: &[&str]) -> Vec<String> {
        let own = [text(&self.binary()), "--root".into(), text(&self.state_root())];
        let words = before.iter().map(|&word| word.into()).chain(own);
        words.chain(arguments.iter().map(|&word| word.into())).collect()
    }

    fn launched(&self, missing: Option<&Missing>, words: &[String]) -> Call {
        let all = [self.launcher(missing), words.to_vec()].concat();
        let words: Vec<&str> = all.iter().map(String::as_str).collect();
        self.program(Path::new(words[0]), &words[1..])
    }

    /// Another program, ready to be run in the same world.
    pub fn program(&self, program: &Path, arguments: &[&str]) -> Call {
        let output = self.directory.join("output").join(self.fresh());
        let program = program.as_os_str();
        match (&self.user, self.login) {
            (Some(user), _) => Call::entering(user.entrance(), program, arguments, output, &self.groups),
            (None, Some(login)) => {
                let call = Call::entering(login.entrance(), program, arguments, output, &self.groups);
                login::environment().into_iter().fold(call, |call, (name, value)| call.env(name, value))
            }
            (None, None) => Call::new(self.world, program, arguments, output, &self.groups),
        }
        .env(leaks::MARK, &self.mark)
        .env("TMPDIR", self.directory.join("tmp"))
    }

    /// Runs a command of the runtime.
    pub fn runtime(&self, arguments: &[&str]) -> Outcome {
        self.call(arguments).run()
    }

    /// `run` of a fresh container in the foreground.
    pub fn run(&self, bundle: &Bundle) -> Outcome {
        self.runtime(&["run", "--bundle", &text(&bundle.path), &self.fresh()])
    }

    /// `run` of a bundle with the default configuration, changed by `edit`.
    pub fn run_with(&self, edit: impl FnOnce(&mut Value)) -> Outcome {
        self.run(&self.bundle(edit))
    }

    /// `create` that must succeed.
    pub fn create(&self, bundle: &Bundle) -> Container<'_> {
        Container::create(self, bundle)
    }

    /// `create` and `start` that must succeed.
    pub fn start(&self, bundle: &Bundle) -> Container<'_> {
        let container = self.create(bundle);
        container.start().ok();
        container
    }

    /// `create` that may fail.
    pub fn try_create(&self, bundle: &Bundle) -> Outcome {
        let id = self.fresh();
        let outcome = self.runtime(&["create", "--bundle", &text(&bundle.path), &id]);
        if outcome.succeeded() {
            drop(Container::of(self, &id, outcome.clone()));
        }
        outcome
    }

    /// The directories of this test's cgroups, in every hierarchy that has them.
    pub fn cgroups(&self) -> BTreeSet<PathBuf> {
        let hierarchies = self.world.hierarchies().into_iter();
        hierarchies.map(|hierarchy| hierarchy.root.join(&self.mark)).filter(|path| path.is_dir()).collect()
    }
}

impl Drop for Test {
    fn drop(&mut self) {
        self.user = None;
        let failing = std::thread::panicking();
        let left = match failing {
            true => leaks::now(self),
            false => leaks::settled(self),
        };
        leaks::clean(self);
        assert!(failing || left.is_empty(), "the runtime left something behind: {left:#?}");
    }
}

/// A path of ours as text.
pub fn text(path: &std::path::Path) -> String {
    path.to_str().expect("paths of tests are plain text").to_owned()
}
