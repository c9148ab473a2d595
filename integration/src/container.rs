//! A container that a test has created.

use std::cell::Cell;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

use crate::bundle::Bundle;
use crate::command::{DEADLINE, Exit, Outcome, claim, collect, disclaim};
use crate::leaks;
use crate::test::{Test, text};
use crate::world::World;

/// A container; deleted by force when dropped, unless the test has deleted it.
#[derive(Debug)]
pub struct Container<'a> {
    /// Its id.
    pub id: String,
    /// The process id of its init, as the host sees it.
    pub pid: i32,
    created: Outcome,
    test: &'a Test,
    gone: Cell<bool>,
}

impl<'a> Container<'a> {
    /// `create` that must succeed.
    pub(crate) fn create(test: &'a Test, bundle: &Bundle) -> Self {
        let id = test.fresh();
        let created = test.runtime(&["create", "--bundle", &text(&bundle.path), &id]).ok();
        Self::of(test, &id, created)
    }

    /// A container that a command has just made.
    ///
    /// # Panics
    /// When the runtime does not know it.
    pub fn of(test: &'a Test, id: &str, created: Outcome) -> Self {
        let mut container = Self { id: id.to_owned(), pid: 0, created, test, gone: Cell::new(false) };
        let pid = container.state()["pid"].as_i64().expect("a container that was created has a process");
        container.pid = i32::try_from(pid).expect("a process id is small");
        claim(container.pid);
        test.traces.borrow_mut().remember(&container);
        container
    }

    /// The test that has made it.
    pub(crate) fn test(&self) -> &'a Test {
        self.test
    }

    /// Runs a command of the runtime whose only further argument is the id.
    pub fn command(&self, verb: &[&str]) -> Outcome {
        self.test.runtime(&[verb, &[&self.id]].concat())
    }

    /// `start`.
    pub fn start(&self) -> Outcome {
        self.command(&["start"])
    }

    /// `state`, which must succeed.
    ///
    /// # Panics
    /// When it fails or does not print JSON.
    pub fn state(&self) -> Value {
        let said = self.command(&["state"]).ok().stdout;
        serde_json::from_str(&said).unwrap_or_else(|error| panic!("state is no JSON ({error}): {said}"))
    }

    /// The word for its state.
    pub fn status(&self) -> String {
        self.state()["status"].as_str().unwrap_or_default().to_owned()
    }

    /// `kill` with this signal.
    pub fn kill(&self, signal: &str) -> Outcome {
        self.test.runtime(&["kill", &self.id, signal])
    }

    /// `delete`.
    pub fn delete(&self) -> Outcome {
        let outcome = self.command(&["delete"]);
        self.gone.set(outcome.succeeded());
        outcome
    }

    /// `delete --force`.
    pub fn delete_by_force(&self) -> Outcome {
        let outcome = self.command(&["delete", "--force"]);
        self.gone.set(outcome.succeeded());
        outcome
    }

    /// Waits for the init to end and collects how it did.
    ///
    /// # Panics
    /// When it does not end in time.
    pub fn wait(&self) -> Exit {
        collect(self.pid, DEADLINE)
            .unwrap_or_else(|error| panic!("init {} of {}: {error}", self.pid, self.id))
    }

    /// Waits for the container to be gone by itself, and deletes it.
    pub fn finish(&self) -> Exit {
        let exit = self.wait();
        self.delete().ok();
        exit
    }

    /// What the container has written so far to standard output.
    pub fn stdout(&self) -> String {
        self.output("out")
    }

    /// What the container has written so far to standard error.
    pub fn stderr(&self) -> String {
        self.output("err")
    }

    fn output(&self, ending: &str) -> String {
        fs::read_to_string(self.created.output.with_extension(ending)).unwrap_or_default()
    }

    /// Waits until the container has written a line to standard output.
    ///
    /// # Panics
    /// When it has not after [`DEADLINE`].
    pub fn has_said(&self, line: &str) {
        let said = leaks::soon(DEADLINE, || self.stdout().lines().any(|one| one == line).then_some(()));
        assert!(
            said.is_some(),
            "never said {line:?}: {:?} {:?} {:?}",
            self.stdout(),
            self.stderr(),
            self.created
        );
    }

    /// Its directory in the cgroup2 tree of its world, if there is one.
    pub fn cgroup2(&self) -> Option<PathBuf> {
        self.cgroup(&self.test.world.cgroup2()?, "")
    }

    /// A file of its cgroup, read.
    pub fn cgroup_file(&self, controller: &str, file: &str) -> Option<String> {
        let hierarchy = self.test.world.hierarchy(controller)?;
        let path = self.cgroup(&hierarchy.root, &hierarchy.name)?.join(file);
        fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
    }

    fn cgroup(&self, root: &Path, name: &str) -> Option<PathBuf> {
        let table = self.proc("cgroup");
        let lines = table.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
        let (_, path) = lines.into_iter().find(|(hierarchy, _)| *hierarchy == name)?;
        Some(root.join(path.trim_start_matches('/')))
    }

    /// Its path below the root of every hierarchy, as in the configuration.
    pub fn cgroup_path(&self) -> String {
        let table = self.proc("cgroup");
        let paths = table.lines().filter_map(|line| line.splitn(3, ':').nth(2));
        let ours = paths.into_iter().find(|path| path.contains(&self.test.mark)).unwrap_or_default();
        ours.trim_start_matches('/').to_owned()
    }

    /// A file below its `/proc/PID`.
    pub fn proc(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.pid)).unwrap_or_default()
    }

    /// The link of one of its namespaces.
    pub fn namespace(&self, name: &str) -> String {
        let link = fs::read_link(format!("/proc/{}/ns/{name}", self.pid)).unwrap_or_default();
        link.to_string_lossy().into_owned()
    }

    /// The world it lives in.
    pub fn world(&self) -> World {
        self.test.world
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        leaks::reap_orphans(self.test);
        if !self.gone.get() {
            let _ = self.command(&["delete", "--force"]);
        }
        let _ = collect(self.pid, Duration::from_secs(2));
        disclaim(self.pid);
    }
}
