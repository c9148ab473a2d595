//! The first process of namespaces that belong to trials alone: it runs their commands, and collects whoever ends.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, makedev, mknodat, symlink};
use rustix::mount::{MountFlags, mount};

use super::follow::{Children, Wish};
use super::leftovers::Baseline;
use super::operation::{Names, Operation};
use super::ptrace;
use super::setting::{self, Setting};
use super::shape::Shape;
use crate::bundle::Bundle;
use crate::runtime::runtime;
use crate::terminal::{Receiver, Terminal};
use crate::test::text;
use crate::user::{self, Session};
use crate::world::World;

/// How often waiting is interrupted to look at the time.
const TICK: libc::timeval = libc::timeval { tv_sec: 0, tv_usec: 100_000 };

/// Where trials put what they need.
#[derive(Debug, Clone)]
pub struct Place {
    /// A word in the names of all ids and cgroups.
    pub mark: String,
    /// State, temporary files, output.
    pub run: PathBuf,
    /// The bundle.
    pub bundle: PathBuf,
}

impl Place {
    /// A place in this directory.
    pub fn new(directory: &Path, mark: String) -> Self {
        Self { mark, run: directory.join("run"), bundle: directory.join("bundle") }
    }
}

/// What a command did.
#[derive(Debug, Clone)]
pub struct Done {
    /// Its end; none if it did not come in time.
    pub status: Option<ExitStatus>,
    /// What it wrote to standard output, when that is a file.
    pub stdout: String,
    /// What it wrote to standard error.
    pub stderr: String,
    /// How long it took.
    pub took: Duration,
}

impl Done {
    /// Whether it exited with 0.
    pub fn succeeded(&self) -> bool {
        self.status.is_some_and(|status| status.success())
    }
}

/// The keeper: this process, once it is one.
#[derive(Debug)]
pub struct Keeper {
    /// Where it works.
    pub place: Place,
    /// Where this is, and who asks.
    pub setting: Setting,
    /// The command on which faults are tried.
    pub operation: Operation,
    /// What its container is like.
    pub shape: Shape,
    /// How things were.
    pub baseline: Baseline,
    /// Its children.
    pub children: Children,
    session: Option<Session>,
    receiver: Receiver,
    /// Those that commands have sent, and which stay as long as their containers.
    terminals: Vec<OwnedFd>,
    serial: u32,
}

impl Keeper {
    /// Settles in the namespaces that this process was born in.
    ///
    /// # Errors
    /// When something can't be mounted or made.
    pub fn new(place: Place, setting: Setting, operation: Operation, shape: Shape) -> io::Result<Self> {
        furnish(&place, setting)?;
        let cgroup = format!("/{}/c", place.mark);
        let holder = (shape == Shape::Joined).then(hold).transpose()?;
        let bundle = Bundle::new(place.bundle.clone(), &cgroup, |config| {
            config["process"]["args"] = operation.payload();
            shape.form(config, holder);
            setting.form(config, &place.mark);
        });
        drop(bundle);
        fs::write(place.run.join("resources"), resources())?;
        let receiver = Receiver::at(&place.run.join("console"));
        let session = setting.settle(&place);
        tick()?;
        Ok(Self {
            baseline: Baseline::now(&place, setting),
            place,
            setting,
            operation,
            shape,
            children: Children::default(),
            session,
            receiver,
            terminals: Vec::new(),
            serial: 0,
        })
    }

    /// A name that no container had before.
    pub fn fresh(&mut self) -> String {
        self.serial += 1;
        format!("{}-{}", self.place.mark, self.serial)
    }

    /// The arguments of a command for this container.
    pub fn line(&self, operation: Operation, id: &str) -> Vec<String> {
        self.with_names(id, |names| operation.line(names))
    }

    /// The commands before the one on which faults are tried.
    pub fn setup(&self, id: &str) -> Vec<Vec<String>> {
        self.with_names(id, |names| self.operation.setup(names))
    }

    fn with_names<T>(&self, id: &str, make: impl FnOnce(&Names<'_>) -> T) -> T {
        let run = |name: &str| text(&self.place.run.join(name));
        make(&Names {
            id,
            bundle: &text(&self.place.bundle),
            pid_file: &run("pid/file"),
            console: &run("console"),
            resources: &run("resources"),
            shape: self.shape,
        })
    }

    /// Runs a command to its end, or kills it when its time is up; follows it if that is wished.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn run(&mut self, arguments: &[String], wish: Option<Wish>) -> io::Result<Done> {
        let output = |ending: &str| self.place.run.join(format!("output.{ending}"));
        let binary = if self.session.is_some() { Path::new(user::BINARY) } else { &runtime().path };
        let mut command = Command::new(binary);
        command.arg("--root").arg(self.place.run.join("state")).args(self.setting.options());
        command.args(arguments).current_dir("/");
        command.env_clear().env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("TMPDIR", self.place.run.join("tmp")).process_group(0);
        command.stdout(File::create(output("out"))?).stderr(File::create(output("err"))?);
        let needs_terminal =
            self.shape == Shape::Terminal && arguments.first().is_some_and(|word| word == "run");
        let terminal = needs_terminal.then(|| Terminal::new(24, 80));
        let (_master, slave) = terminal.map_or((None, None), |(master, slave)| (Some(master), Some(slave)));
        command.stdin(slave.map_or_else(Stdio::null, Stdio::from));
        let traced = wish.is_some();
        let session = self.session.as_ref().map(Session::procs);
        // SAFETY: between fork and exec this makes system calls and touches no memory.
        unsafe { command.pre_exec(move || setting::enter(session.as_ref()).and_then(|()| prepare(traced))) };
        let begun = Instant::now();
        let pid = command.spawn()?.id().cast_signed();
        if let Some(wish) = wish {
            self.children.follow(pid, wish);
        }
        let status = self.children.wait_for(pid, self.setting.deadline());
        let took = begun.elapsed();
        if status.is_none() {
            super::follow::kill(pid, libc::SIGKILL);
            self.children.wait_for(pid, self.setting.deadline());
        }
        let read =
            |ending: &str| fs::read(output(ending)).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        Ok(Done { status, stdout: read("out")?, stderr: read("err")?, took })
    }

    /// Waits for the end of the process whose number the last command has written.
    pub fn program_ends(&mut self) -> bool {
        let pid = fs::read_to_string(self.place.run.join("pid/file")).unwrap_or_default();
        let ends = |pid| self.children.wait_for(pid, self.setting.deadline()).is_some();
        pid.trim().parse().is_ok_and(ends)
    }

    /// Keeps the terminals that have been sent so far: what comes next is the next command's.
    pub fn keep_terminals(&mut self) {
        self.terminals.extend(std::iter::from_fn(|| self.receiver.try_receive()).map(|(_, master)| master));
    }

    /// What the container's program has said, wherever its standard output is.
    pub fn said(&mut self) -> String {
        let sent = self.receiver.try_receive().map(|(_, master)| master);
        // That of a container which is started was sent when it was created.
        if let Some(master) = sent.or_else(|| self.terminals.pop()) {
            return Terminal::of(master).to_the_end();
        }
        fs::read_to_string(self.place.run.join("output.out")).unwrap_or_default()
    }

    /// Forgets the terminals: nobody is left who has one.
    pub fn drop_terminals(&mut self) {
        self.keep_terminals();
        self.terminals.clear();
    }
}

/// A limit that can be changed everywhere would need a controller; where there is none, the update changes nothing.
fn resources() -> &'static str {
    match World::Host.hierarchy("pids") {
        Some(_) => r#"{"pids": {"limit": 77}}"#,
        None => "{}",
    }
}

/// Somebody in namespaces of his own, which others can join; he ends with this process.
fn hold() -> io::Result<i32> {
    let arguments = ["--net", "--ipc", "--uts", "--pid", "--fork", "--kill-child", "sleep", "1000000"];
    let keeper = Command::new("unshare").args(arguments).stdin(Stdio::null()).spawn()?;
    let list = format!("/proc/{0}/task/{0}/children", keeper.id());
    let child = || fs::read_to_string(&list).ok()?.trim().parse().ok();
    crate::leaks::soon(Setting::Host.deadline(), child)
        .ok_or_else(|| io::Error::other("unshare starts no child"))
}

/// Between fork and exec: the same addresses each time, and somebody who watches.
fn prepare(traced: bool) -> io::Result<()> {
    // SAFETY: this touches no memory.
    unsafe { libc::personality(libc::ADDR_NO_RANDOMIZE as libc::c_ulong) };
    if traced { ptrace::ask_to_be_traced() } else { Ok(()) }
}

/// Mounts what must be ours: processes, cgroups, devices, and a place for state.
fn furnish(place: &Place, setting: Setting) -> io::Result<()> {
    setting.mount()?;
    devices()?;
    fs::create_dir_all(&place.run)?;
    mount("tmpfs", &place.run, "tmpfs", MountFlags::empty(), None)?;
    ["state", "tmp", "pid"].iter().try_for_each(|part| fs::create_dir(place.run.join(part)))
}

/// Devices of our own: a runtime that gives `/dev/null` away gives away nothing of the machine's.
fn devices() -> io::Result<()> {
    mount("tmpfs", "/dev", "tmpfs", MountFlags::empty(), Some(c"mode=755"))?;
    let nodes =
        [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];
    for (name, major, minor) in nodes.into_iter().chain([("fuse", 10, 229)]) {
        let path = Path::new("/dev").join(name);
        mknodat(CWD, &path, FileType::CharacterDevice, Mode::from_raw_mode(0o666), makedev(major, minor))?;
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o666))?;
    }
    ["pts", "shm"].iter().try_for_each(|name| fs::create_dir(Path::new("/dev").join(name)))?;
    mount("devpts", "/dev/pts", "devpts", MountFlags::empty(), Some(c"newinstance,ptmxmode=0666,mode=0620"))?;
    mount("tmpfs", "/dev/shm", "tmpfs", MountFlags::empty(), Some(c"mode=1777"))?;
    Ok(symlink("pts/ptmx", "/dev/ptmx")?)
}

/// Has waiting interrupted again and again.
fn tick() -> io::Result<()> {
    extern "C" fn nothing(_: i32) {}
    // SAFETY: all zeros is a valid action, whose handler does nothing.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = nothing as extern "C" fn(i32) as usize;
    let timer = libc::itimerval { it_interval: TICK, it_value: TICK };
    // SAFETY: the kernel reads the action, which is whole.
    let handled = unsafe { libc::sigaction(libc::SIGALRM, &raw const action, std::ptr::null_mut()) };
    // SAFETY: the kernel reads the timer, which is whole.
    let set = unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const timer, std::ptr::null_mut()) };
    if handled == 0 && set == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Bears a process like this one, in a mount namespace of its own, and a pid namespace if the setting has one; none in
/// that process, to which orphans come either way.
///
/// # Errors
/// When the kernel refuses.
pub fn bear(setting: Setting) -> io::Result<Option<i32>> {
    let pids = if setting.has_pids() { libc::CLONE_NEWPID } else { 0 };
    let flags = pids | libc::CLONE_NEWNS | libc::SIGCHLD;
    let child = born(
        // SAFETY: this is fork, by a process with one thread, for which the child is a copy with everything in order.
        unsafe { libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) },
    )?;
    if child.is_none() {
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    }
    Ok(child)
}

/// Bears a process like this one; none in that process.
///
/// # Errors
/// When the kernel refuses.
pub fn fork() -> io::Result<Option<i32>> {
    // SAFETY: as above.
    born(unsafe { libc::fork() }.into())
}

fn born(answer: libc::c_long) -> io::Result<Option<i32>> {
    match answer {
        -1 => Err(io::Error::last_os_error()),
        0 => Ok(None),
        pid => i32::try_from(pid).map(Some).map_err(io::Error::other),
    }
}
