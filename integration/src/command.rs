//! One command of the runtime under test: started in its world, watched by a deadline, its output kept.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;
use std::{fs, io};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, pidfd_open, pidfd_send_signal, set_child_subreaper,
};

use crate::world::World;

/// No command of a runtime may need longer; a slow machine is given the benefit of the doubt.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It returned this status.
    Code(i32),
    /// This signal ended it.
    Signal(i32),
}

impl From<ExitStatus> for Exit {
    fn from(status: ExitStatus) -> Self {
        status.code().map_or_else(|| Exit::Signal(status.signal().unwrap_or_default()), Exit::Code)
    }
}

/// What a command did.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The command line, for messages.
    pub line: String,
    /// How it ended.
    pub exit: Exit,
    /// Its standard output (and that of a container which inherited it, up to now).
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
    /// Where both are kept: a path to which `.out` and `.err` are added.
    pub output: PathBuf,
}

impl Outcome {
    /// Whether it exited with 0.
    pub fn succeeded(&self) -> bool {
        self.exit == Exit::Code(0)
    }

    /// Insists on success.
    ///
    /// # Panics
    /// When the command failed.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert!(self.succeeded(), "{self:#?}");
        self
    }

    /// Insists on an exit status.
    ///
    /// # Panics
    /// When the command ended in another way.
    #[track_caller]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.exit, Exit::Code(code), "{self:#?}");
        self
    }

    /// Insists on a failure of the runtime, with a message that contains one of these texts in any case.
    ///
    /// # Panics
    /// When the command succeeded, or said something else, or nothing.
    #[track_caller]
    pub fn fails_with(self, texts: &[&str]) -> Self {
        assert!(!self.succeeded(), "succeeded, and should not: {self:#?}");
        let said = self.stderr.to_lowercase();
        let fits = |text: &&str| said.contains(&text.to_lowercase());
        assert!(!said.trim().is_empty() && texts.iter().any(fits), "says none of {texts:?}: {self:#?}");
        self
    }

    /// Insists on a failure, whatever it says.
    ///
    /// # Panics
    /// When the command succeeded, or failed without a word.
    #[track_caller]
    pub fn fails(self) -> Self {
        self.fails_with(&[""])
    }
}

/// Insists on a refusal in one line, which says one of these words.
///
/// # Panics
/// When the command succeeded, was killed, or said something else, or more.
#[track_caller]
pub fn is_refused(outcome: Outcome, words: &[&str]) {
    let outcome = outcome.fails_with(words);
    assert!(matches!(outcome.exit, Exit::Code(_)), "{outcome:#?}");
    assert_eq!(outcome.stderr.trim_end().lines().count(), 1, "{outcome:#?}");
    assert!(!outcome.stderr.contains("panicked"), "{outcome:#?}");
}

/// A command to be run; its output goes to files, because a container may outlive the command and keep it open.
#[derive(Debug)]
pub struct Call {
    command: Command,
    output: PathBuf,
    line: String,
    groups: Groups,
}

/// The process groups of a test's commands: what else is in one of them was started by that command.
pub type Groups = Arc<Mutex<BTreeSet<i32>>>;

impl Call {
    /// Prepares `program arguments…` in this world; `output` is a path to which `.out` and `.err` are added.
    pub fn new<A: AsRef<OsStr>>(
        world: World,
        program: &OsStr,
        arguments: impl IntoIterator<Item = A>,
        output: PathBuf,
        groups: &Groups,
    ) -> Self {
        Self::entering(world.entrance(), program, arguments, output, groups)
    }

    /// Prepares a command that calls `enter` between fork and exec: nothing but system calls.
    pub fn entering<A: AsRef<OsStr>>(
        enter: impl Fn() -> io::Result<()> + Send + Sync + 'static,
        program: &OsStr,
        arguments: impl IntoIterator<Item = A>,
        output: PathBuf,
        groups: &Groups,
    ) -> Self {
        adopt_orphans();
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).current_dir("/").process_group(0);
        let line = format!("{command:?}");
        // SAFETY: between fork and exec this makes system calls only, on descriptors that stay open.
        unsafe { command.pre_exec(enter) };
        Self { command, output, line, groups: Arc::clone(groups) }
    }

    /// Sets a variable of the command's environment.
    pub fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Gives the command this for standard input.
    pub fn stdin(mut self, file: File) -> Self {
        self.command.stdin(file);
        self
    }

    /// Lets the caller change anything else.
    pub fn with(mut self, change: impl FnOnce(&mut Command)) -> Self {
        change(&mut self.command);
        self
    }

    /// Starts it.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn spawn(mut self) -> Running {
        let created =
            |ending| File::create(self.output.with_extension(ending)).expect("the output can be kept");
        self.command.stdout(created("out")).stderr(created("err"));
        self.start()
    }

    fn start(mut self) -> Running {
        let child = self.command.spawn().unwrap_or_else(|error| panic!("cannot run {}: {error}", self.line));
        self.groups.lock().expect("no test panics here").insert(child.id().cast_signed());
        claim(child.id().cast_signed());
        Running { child, output: self.output, line: self.line }
    }

    /// Starts it with a terminal as its standard streams, which does not control it.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn spawn_on(mut self, terminal: &OwnedFd) -> Running {
        let stream = || Stdio::from(terminal.try_clone().expect("a descriptor can be copied"));
        self.command.stdin(stream()).stdout(stream()).stderr(stream());
        self.start()
    }

    /// Starts it with this standard output.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn spawn_into(mut self, stdout: OwnedFd) -> Running {
        let errors = File::create(self.output.with_extension("err")).expect("the output can be kept");
        self.command.stdout(stdout).stderr(errors);
        self.start()
    }

    /// Runs it to its end.
    ///
    /// # Panics
    /// When it does not end within [`DEADLINE`].
    pub fn run(self) -> Outcome {
        self.spawn().finish()
    }
}

/// A command that runs.
#[derive(Debug)]
pub struct Running {
    child: Child,
    output: PathBuf,
    line: String,
}

impl Running {
    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.child.id().cast_signed()
    }

    /// What it has written so far to standard output.
    pub fn stdout(&self) -> String {
        text(self.output.with_extension("out"))
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not end within [`DEADLINE`]; it is killed then.
    pub fn finish(self) -> Outcome {
        self.finish_within(DEADLINE)
    }

    /// Waits for its end.
    ///
    /// # Panics
    /// When it does not end in time; it is killed then.
    pub fn finish_within(mut self, time: Duration) -> Outcome {
        if !ends_within(self.pid(), time) {
            let _ = self.child.kill();
            let _ = self.child.wait();
            let said = text(self.output.with_extension("err"));
            panic!("still running after {time:?}: {}\n{said}", self.line);
        }
        let exit = self.child.wait().expect("a child can be waited for").into();
        disclaim(self.pid());
        let (stdout, stderr) =
            (text(self.output.with_extension("out")), text(self.output.with_extension("err")));
        Outcome { line: self.line, exit, stdout, stderr, output: self.output }
    }
}

fn text(path: PathBuf) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// Children whose end somebody will ask for: commands, and inits of containers.
static CLAIMED: Mutex<BTreeSet<i32>> = Mutex::new(BTreeSet::new());

/// Says that somebody will collect this child.
pub fn claim(pid: i32) {
    CLAIMED.lock().expect("no test panics here").insert(pid);
}

/// Takes a claim back.
pub(crate) fn disclaim(pid: i32) {
    CLAIMED.lock().expect("no test panics here").remove(&pid);
}

/// Whether somebody will collect this child.
pub(crate) fn is_claimed(pid: i32) -> bool {
    CLAIMED.lock().expect("no test panics here").contains(&pid)
}

/// Makes the init of a detached container, whose parent ends, a child of this process.
pub fn adopt_orphans() {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        set_child_subreaper(Some(rustix::process::getpid())).expect("a process may adopt orphans")
    });
}

/// Waits until a process has ended (it may still be a zombie); false when the time is up.
pub fn ends_within(pid: i32, time: Duration) -> bool {
    let Some(handle) = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else {
        return true;
    };
    let time = Timespec::try_from(time).expect("a deadline is short");
    poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&time)).is_ok_and(|ready| ready > 0)
}

/// Waits for an adopted child to end and collects how it did.
///
/// # Errors
/// When it is not a child of this process, or does not end in time.
pub fn collect(pid: i32, time: Duration) -> io::Result<Exit> {
    if !ends_within(pid, time) {
        return Err(io::ErrorKind::TimedOut.into());
    }
    let (_, status) =
        rustix::process::waitpid(Pid::from_raw(pid), WaitOptions::empty())?.ok_or(io::ErrorKind::NotFound)?;
    Ok(ExitStatus::from_raw(status.as_raw()).into())
}

/// Sends SIGKILL to a process and collects it if it is ours.
pub fn end(pid: i32) {
    if let Some(handle) = Pid::from_raw(pid).and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) {
        let _ = pidfd_send_signal(&handle, Signal::KILL);
        let _ = collect(pid, Duration::from_secs(5));
    }
}
