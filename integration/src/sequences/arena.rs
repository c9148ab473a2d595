//! Where sequences are run: one process starts all commands, notes when they begin and end, and looks for what is left.

use std::fs::{self, File};
use std::io::{Read, Seek};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, PidfdFlags, WaitOptions, pidfd_open, wait};

use super::draw::{Kind, Sequence};
use super::{lean, tell};
use crate::bundle::{Bundle, base};
use crate::command::{Exit, adopt_orphans};
use crate::model::{Answer, Told, Verb};
use crate::runtime::runtime;
use crate::world::CGROUPS;

/// No command may take longer, but for one in the foreground of a container that is paused.
const PATIENCE: Duration = Duration::from_secs(60);

/// For so many microseconds a command waits for another one's lock.
const LOCK: u64 = 10_000_000;

/// How long the kernel may need to let go of a cgroup and to end the last process.
const SETTLING: Duration = Duration::from_secs(5);

/// Orphans are collected as often as this.
const TICK: Duration = Duration::from_millis(2);

/// What a sequence has shown.
#[derive(Debug)]
pub struct Run {
    /// What all commands have told, in the order of their begins.
    pub history: Vec<Told>,
    /// What no command may do, and what was left at the end.
    pub wrong: Vec<String>,
}

/// One container's name, and everything that is needed to run commands on it.
#[derive(Debug)]
pub struct Arena {
    root: PathBuf,
    directory: PathBuf,
    id: String,
    bundles: Vec<(Kind, Bundle)>,
    /// What is mounted while no container is there.
    mounts: usize,
}

/// A command that runs.
struct Running {
    verb: Verb,
    pid: i32,
    handle: OwnedFd,
    begun: u64,
    output: [File; 2],
    /// Its place in the history.
    place: usize,
}

/// One sequence while it runs.
struct Game<'a> {
    arena: &'a Arena,
    bundle: &'a Path,
    begun: Instant,
    running: Vec<Running>,
    history: Vec<Option<Told>>,
    wrong: Vec<String>,
}

impl Arena {
    /// A place for sequences, with the containers of this state directory.
    ///
    /// # Panics
    /// When it can't be made.
    pub fn new(root: &Path) -> Self {
        adopt_orphans();
        let id = format!("sequence-{}", std::process::id());
        let directory = base().join(&id);
        let bundle = |kind| {
            let path = directory.join(format!("{kind:?}"));
            (kind, Bundle::new(path, &format!("/{id}"), |config| lean::form(kind, config)))
        };
        let bundles = Kind::ALL.map(bundle).to_vec();
        Self { root: root.to_owned(), id, bundles, directory: directory.clone(), mounts: mounts() }
    }

    /// Runs a sequence, then `delete --force`, and looks for what is left.
    ///
    /// # Panics
    /// When a command can't be started.
    pub fn run(&mut self, sequence: &Sequence) -> Run {
        let (_, bundle) = self
            .bundles
            .iter()
            .find(|(kind, _)| *kind == sequence.bundle)
            .expect("there is one of each kind");
        let mut game = Game {
            arena: self,
            bundle: &bundle.path,
            begun: Instant::now(),
            running: Vec::new(),
            history: Vec::new(),
            wrong: Vec::new(),
        };
        game.play(sequence);
        let Game { history, mut wrong, .. } = game;
        wrong.extend(self.left());
        Run { history: history.into_iter().flatten().collect(), wrong }
    }

    fn command(&self, verb: Verb, bundle: &Path) -> Command {
        let mut command = Command::new(&runtime().path);
        command
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .current_dir("/")
            .stdin(Stdio::null());
        command.arg("--root").arg(&self.root);
        let words: &[&str] = match verb {
            Verb::Create => &["create"],
            Verb::Start => &["start"],
            Verb::State => &["state"],
            Verb::List => &["list", "--format", "json"],
            Verb::Ps => &["ps", "--format", "json"],
            Verb::Exec => &["exec"],
            Verb::Kill => &["kill"],
            Verb::Pause => &["pause"],
            Verb::Resume => &["resume"],
            // Without a controller for it, an update of nothing goes the same way.
            Verb::Update if Path::new(CGROUPS).join("pids").exists() => &["update", "--pids-limit", "1000"],
            Verb::Update => &["update"],
            Verb::Delete => &["delete"],
            Verb::DeleteByForce => &["delete", "--force"],
        };
        command.args(words);
        match verb {
            Verb::Create => command.arg("--bundle").arg(bundle).arg(&self.id),
            Verb::List => &mut command,
            Verb::Exec => command.args([&self.id, "/bin/true"]),
            Verb::Kill => command.args([&self.id, "KILL"]),
            _ => command.arg(&self.id),
        };
        command
    }

    /// What is there that should not be, when every command has ended.
    fn left(&self) -> Vec<String> {
        let mut left = Vec::new();
        let deadline = Instant::now() + SETTLING;
        while let Some(child) = living_child() {
            if Instant::now() > deadline {
                left.push(format!("a process is left: {child}"));
                break;
            }
            std::thread::sleep(TICK);
        }
        left.extend(self.cgroups().into_iter().map(|path| format!("{} is left", path.display())));
        left.extend(self.root.join(&self.id).exists().then(|| "the state is left".into()));
        left.extend((mounts() != self.mounts).then(|| format!("{} mounts, not {}", mounts(), self.mounts)));
        left
    }

    /// The container's cgroups, in whatever hierarchy.
    fn cgroups(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(CGROUPS).into_iter().flatten().flatten().map(|entry| entry.path());
        let places = entries.map(|path| path.join(&self.id)).chain([Path::new(CGROUPS).join(&self.id)]);
        places.filter(|path| path.exists()).collect()
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

impl Game<'_> {
    fn play(&mut self, sequence: &Sequence) {
        for verb in &sequence.prelude {
            self.begin(*verb);
            self.watch(|game| game.running.is_empty(), PATIENCE);
        }
        let start = Instant::now();
        for (time, verb) in &sequence.commands {
            while let Some(left) = time.checked_sub(start.elapsed()).filter(|left| !left.is_zero()) {
                self.collect(left.min(TICK));
            }
            self.collect(Duration::ZERO);
            self.begin(*verb);
        }
        // An exec ends with the container, if that is paused and never resumed.
        self.watch(|game| game.running.iter().all(|command| command.verb == Verb::Exec), PATIENCE);
        self.watch(|game| game.running.is_empty(), 10 * TICK);
        self.begin(Verb::DeleteByForce);
        self.watch(|game| game.running.is_empty(), PATIENCE);
        self.give_up();
    }

    fn begin(&mut self, verb: Verb) {
        let output = ["out", "err"].map(|name| {
            File::from(memfd_create(name, MemfdFlags::CLOEXEC).expect("a file in memory can be made"))
        });
        let copy = |file: &File| file.try_clone().expect("a descriptor can be copied");
        let mut command = self.arena.command(verb, self.bundle);
        command.stdout(copy(&output[0])).stderr(copy(&output[1]));
        let begun = self.now();
        let pid = command.spawn().expect("the runtime can be run").id().cast_signed();
        let handle = Pid::from_raw(pid).map(|pid| pidfd_open(pid, PidfdFlags::empty()));
        let handle =
            handle.expect("a child has a number").expect("a child that was not collected can be opened");
        self.running.push(Running { verb, pid, handle, begun, output, place: self.history.len() });
        self.history.push(None);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.begun.elapsed().as_micros()).expect("a sequence is short")
    }

    /// Collects what ends until it is enough, or for so long.
    fn watch(&mut self, enough: impl Fn(&Self) -> bool, time: Duration) {
        let deadline = Instant::now() + time;
        while !enough(self) && Instant::now() < deadline {
            self.collect(TICK);
        }
    }

    /// Waits until a command ends, at most for so long, and collects all children that have.
    fn collect(&mut self, time: Duration) {
        let mut handles: Vec<_> =
            self.running.iter().map(|command| PollFd::new(&command.handle, PollFlags::IN)).collect();
        let time = Timespec::try_from(time).expect("a tick is short");
        let _ = poll(&mut handles, Some(&time));
        while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
            let pid = pid.as_raw_nonzero().get();
            if let Some(place) = self.running.iter().position(|command| command.pid == pid) {
                let command = self.running.swap_remove(place);
                self.ended(command, ExitStatus::from_raw(status.as_raw()).into());
            }
        }
    }

    fn ended(&mut self, command: Running, exit: Exit) {
        let Running { verb, begun, output, place, .. } = command;
        let ended = self.now();
        let [stdout, stderr] = output.map(text);
        let answer = match tell::answer(verb, &self.arena.id, exit, &stdout, &stderr) {
            Answer::Busy if ended - begun < LOCK => {
                Answer::Nonsense(format!("busy after {} µs", ended - begun))
            }
            answer => answer,
        };
        self.history[place] = Some(Told { verb, answer, begun, ended });
    }

    /// What still runs never ends.
    fn give_up(&mut self) {
        for command in std::mem::take(&mut self.running) {
            self.wrong.push(format!("{:?}, begun at {}, does not end", command.verb, command.begun));
            crate::command::end(command.pid);
        }
    }
}

fn text(mut file: File) -> String {
    let mut text = String::new();
    let read = file.rewind().and_then(|()| file.read_to_string(&mut text));
    read.map_or_else(|error| format!("unreadable: {error}"), |_| text)
}

/// A child that lives, if there is one; dead ones are collected.
fn living_child() -> Option<String> {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some(_)) => {}
            Ok(None) => break,
            Err(_) => return None,
        }
    }
    let list =
        fs::read_to_string(format!("/proc/self/task/{}/children", std::process::id())).unwrap_or_default();
    let lines = list.split_whitespace().map(|pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        format!("{pid} {}", String::from_utf8_lossy(&line).replace('\0', " "))
    });
    Some(lines.collect::<Vec<_>>().join(", "))
}

fn mounts() -> usize {
    fs::read_to_string("/proc/self/mountinfo").map_or(0, |table| table.lines().count())
}
