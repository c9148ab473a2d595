//! Who is measured, and how each is told to do the same thing.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use integration::Bundle;
use integration::command::{adopt_orphans, collect};
use integration::runtime::{binaries, find};
use integration::test::text;
use serde_json::json;

use crate::spawn;

/// The shapes of a container that are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// The default configuration.
    Plain,
    /// The same with a seccomp profile of the size of Docker's.
    Filtered,
}

/// A program that makes containers.
pub struct Contender {
    /// Its name in the table.
    pub name: String,
    path: PathBuf,
    root: PathBuf,
    directory: PathBuf,
    cgroup: String,
    plain: Bundle,
    filtered: Bundle,
}

/// Ours, the peers that are found, and the floor, which comes last.
pub fn all(directory: &Path) -> Vec<Contender> {
    adopt_orphans();
    let ours =
        ("runtime", std::env::var_os("OURS").map_or_else(|| binaries().join("runtime"), PathBuf::from));
    let peers = ["crun", "runc", "youki"].into_iter().filter_map(|name| Some((name, peer(name)?)));
    let floor = ("floor", binaries().join("floor"));
    let all = std::iter::once(ours).chain(peers).chain([floor]);
    all.map(|(name, path)| Contender::new(name, path, &directory.join(name))).collect()
}

fn peer(name: &str) -> Option<PathBuf> {
    let given = std::env::var_os("PEERS").unwrap_or_default();
    let found = std::env::split_paths(&given).map(|place| place.join(name)).find(|path| path.is_file());
    found.or_else(|| find(Path::new(name)))
}

fn resident(shape: Shape) -> &'static str {
    match shape {
        Shape::Plain => "resident",
        Shape::Filtered => "resident-filtered",
    }
}

/// State directories lie on a tmpfs, as below /run on every host; we are in a mount namespace of our own.
fn mount_state(root: &Path) {
    let made = std::fs::create_dir_all(root).and_then(|()| {
        Ok(rustix::mount::mount("none", root, "tmpfs", rustix::mount::MountFlags::empty(), c"mode=700")?)
    });
    if let Err(error) = made {
        eprintln!("{} is no tmpfs: {error}", root.display());
    }
}

impl Contender {
    fn new(name: &str, path: PathBuf, directory: &Path) -> Self {
        let cgroup = format!("/bench-{}-{name}", std::process::id());
        let plain = Bundle::new(directory.join("plain"), &cgroup, |_| {});
        let filtered = Bundle::new(directory.join("filtered"), &cgroup, |config| {
            config["linux"]["seccomp"] = integration::seccomp::docker_sized();
        });
        let root = directory.join("state");
        mount_state(&root);
        let name = name.to_owned();
        Self { name, path, root, directory: directory.to_owned(), cgroup, plain, filtered }
    }

    /// Whether it can do no more than `run` a plain container.
    pub fn is_floor(&self) -> bool {
        self.name == "floor"
    }

    fn bundle(&self, shape: Shape) -> &Bundle {
        match shape {
            Shape::Plain => &self.plain,
            Shape::Filtered => &self.filtered,
        }
    }

    fn call(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        command.arg("--root").arg(&self.root).args(arguments);
        command
    }

    /// The command that runs a whole container.
    pub fn run(&self, shape: Shape) -> Command {
        if !self.is_floor() {
            return self.call(&["run", "--bundle", &text(&self.bundle(shape).path), "bench"]);
        }
        let mut command = Command::new(&self.path);
        command.arg(self.plain.inside("")).arg(format!("/sys/fs/cgroup/bench-{}-floor", std::process::id()));
        command.arg("/bin/true");
        command
    }

    /// Makes the containers that `exec` enters.
    ///
    /// # Errors
    /// When one of them does not run.
    pub fn settle(&self) -> Result<(), String> {
        for shape in [Shape::Plain, Shape::Filtered] {
            let id = resident(shape);
            let cgroup = format!("{}-{id}", self.cgroup);
            let bundle = Bundle::new(self.directory.join(id), &cgroup, |config| {
                config["process"]["args"] = json!(["/bin/sleep", "1000000"]);
                if shape == Shape::Filtered {
                    config["linux"]["seccomp"] = integration::seccomp::docker_sized();
                }
            });
            // Nobody waits for the end of its output.
            spawn::time(&mut self.call(&["run", "--detach", "--bundle", &text(&bundle.path), id]))?;
        }
        Ok(())
    }

    /// The command that runs a program in one of them.
    pub fn exec(&self, shape: Shape) -> Command {
        self.call(&["exec", resident(shape), "/bin/true"])
    }

    /// Whether it really runs the payload: a program that does nothing is the fastest of all.
    ///
    /// # Errors
    /// With what it said, when it does not.
    pub fn prove(&mut self) -> Result<(), String> {
        let mut command = self.run(Shape::Plain);
        if self.is_floor() {
            command = Command::new(&self.path);
            command
                .arg(self.plain.inside(""))
                .arg(format!("/sys/fs/cgroup/bench-{}-floor", std::process::id()));
            command.args(["/bin/echo", "ran"]);
        }
        self.plain.edit(|config| config["process"]["args"] = json!(["/bin/echo", "ran"]));
        let said = spawn::output(&mut command);
        self.plain.edit(|config| config["process"]["args"] = json!(["/bin/true"]));
        match said?.trim() {
            "ran" => Ok(()),
            other => Err(format!("`run` ends well, but its container said {other:?}")),
        }
    }

    /// Creates, starts and deletes a container; the time is the sum of the three commands.
    ///
    /// # Errors
    /// When one of them fails.
    pub fn cycle(&self, shape: Shape) -> Result<Duration, String> {
        let (create, pid) = self.create(shape)?;
        let start = spawn::time(&mut self.call(&["start", "bench"]))?;
        collect(pid, Duration::from_secs(10))
            .map_err(|error| format!("the container of {}: {error}", self.name))?;
        let delete = spawn::time(&mut self.call(&["delete", "bench"]))?;
        Ok(create + start + delete)
    }

    fn create(&self, shape: Shape) -> Result<(Duration, i32), String> {
        let file = self.root.with_extension("pid");
        let bundle = text(&self.bundle(shape).path);
        let time = spawn::time(&mut self.call(&[
            "create",
            "--bundle",
            &bundle,
            "--pid-file",
            &text(&file),
            "bench",
        ]))?;
        let pid = fs::read_to_string(&file).ok().and_then(|text| text.trim().parse().ok());
        Ok((time, pid.ok_or_else(|| format!("{} wrote no pid file", self.name))?))
    }

    /// The resident set of the process that waits for `start`, in KiB.
    ///
    /// # Errors
    /// When the container cannot be created.
    pub fn waiting_init(&self) -> Result<i64, String> {
        let (_, pid) = self.create(Shape::Plain)?;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let size = status
            .lines()
            .find_map(|line| line.strip_prefix("VmRSS:")?.trim().split(' ').next()?.parse().ok());
        let _ = self.call(&["delete", "--force", "bench"]).output();
        let _ = collect(pid, Duration::from_secs(10));
        size.ok_or_else(|| format!("{}: no VmRSS of process {pid}", self.name))
    }

    /// The system calls of the runtime and its init in one plain `run`, without those of the program that it runs.
    ///
    /// # Errors
    /// When strace is not installed, or the run fails under it.
    pub fn system_calls(&self) -> Result<i64, String> {
        let run = self.run(Shape::Plain);
        let trace = self.root.with_extension("strace");
        let mut strace = Command::new("strace");
        strace.args(["-f", "-o"]).arg(&trace).arg(run.get_program()).args(run.get_args());
        spawn::output(&mut strace)?;
        match calls_before_the_program(&fs::read_to_string(&trace).unwrap_or_default()) {
            0 => Err("strace counted nothing".into()),
            count => Ok(count),
        }
    }

    /// Removes what a contender that failed half-way may have left.
    pub fn clean(&self) {
        if !self.is_floor() {
            for id in ["bench", resident(Shape::Plain), resident(Shape::Filtered)] {
                let _ = self.call(&["delete", "--force", id]).output();
            }
        }
        let _ = fs::remove_dir(format!("/sys/fs/cgroup/bench-{}-{}", std::process::id(), self.name));
    }
}

/// Counts the calls in a trace. A process counts until it executes the program.
fn calls_before_the_program(trace: &str) -> i64 {
    let mut programs = std::collections::HashSet::new();
    let mut count = 0;
    for (pid, call) in trace.lines().filter_map(|line| line.split_once(' ')) {
        let call = call.trim_start();
        let is_call = !call.starts_with(['+', '-', '<']);
        if !is_call || programs.contains(pid) {
            continue;
        }
        count += 1;
        if call.starts_with("execve(\"/bin/true\"") {
            programs.insert(pid);
        }
    }
    count
}
