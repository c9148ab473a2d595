//! A room for one engine: mounts and network of its own, so that nothing of the machine is changed, and a mark by
//! which everything that was started in it is found again.
//!
//! A thread of the test program sits in it; commands enter between fork and exec.

use std::cell::Cell;
use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

use crate::command::{self, Call, Groups, Outcome};
use crate::engines::case::not_here;
use crate::leaks::{reap_strangers, soon};
use crate::login::{self, Login};
use crate::world::{World, mount_lone_cgroup2};

/// Directories that engines write to wherever they are told to keep their things.
const PRIVATE: [&str; 4] = ["/run", "/var/lib", "/etc/cni", "/etc/docker"];

/// The same on a machine with systemd, whose own files in `/run` engines have to see.
const BESIDE_SYSTEMD: [&str; 10] = [
    "/run/runc",
    "/run/runtime",
    "/run/containerd",
    "/run/docker",
    "/run/containers",
    "/run/libpod",
    "/run/netns",
    "/var/lib",
    "/etc/cni",
    "/etc/docker",
];

/// How long the processes of a stopped engine may take to go.
const PATIENCE: Duration = Duration::from_secs(10);

/// The two views of the machine that make a room.
#[derive(Debug)]
struct Views {
    mounts: File,
    network: File,
    /// `/proc/self/task/TID` of the thread that lives there.
    thread: PathBuf,
}

/// Who makes the cgroups in a room.
#[derive(Debug, Clone, Copy)]
enum Driver {
    /// The runtime.
    Files,
    /// The systemd of the machine.
    Systemd,
    /// That of somebody who has logged in.
    SystemdOf(&'static Login),
}

/// An engine's own view of mounts and network.
#[derive(Debug)]
pub struct Room {
    /// A word in the path, mounts and cgroups of everything that belongs to this room.
    pub mark: String,
    views: Arc<Views>,
    /// On the machine, for what commands print.
    output: PathBuf,
    groups: Groups,
    serial: Cell<u32>,
    driver: Driver,
    tenant: Option<(Sender<()>, JoinHandle<()>)>,
}

impl Room {
    /// A fresh room on the machine's own cgroups.
    pub fn new() -> Self {
        Self::at(World::Host)
    }

    /// A fresh room with this layout of cgroups.
    ///
    /// # Panics
    /// When the machine does not allow it.
    pub fn at(world: World) -> Self {
        Self::furnished(world, &PRIVATE, Driver::Files)
    }

    /// A fresh room on a machine whose systemd makes the cgroups.
    ///
    /// # Panics
    /// When the machine does not allow it.
    pub fn beside_systemd() -> Self {
        Self::of_systemd(Driver::Systemd)
    }

    /// A fresh room for somebody who has logged in, and whose own systemd makes the cgroups. Ends the case where nobody
    /// can.
    pub fn of_login() -> Self {
        Self::of_systemd(Driver::SystemdOf(Login::get().unwrap_or_else(|why| not_here(why))))
    }

    fn of_systemd(driver: Driver) -> Self {
        for place in BESIDE_SYSTEMD.into_iter().filter(|place| place.starts_with("/run/")) {
            fs::create_dir_all(place).expect("a directory can be made");
        }
        Self::furnished(World::Host, &BESIDE_SYSTEMD, driver)
    }

    fn furnished(world: World, private: &'static [&'static str], driver: Driver) -> Self {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let mark = format!("room{}n{}x", std::process::id(), SERIAL.fetch_add(1, Ordering::Relaxed));
        let output = std::env::temp_dir().join(&mark);
        fs::create_dir_all(&output).expect("a temporary directory can be made");
        let (answer, made) = channel();
        let (leave, left) = channel::<()>();
        let name = mark.clone();
        let tenant = thread::spawn(move || {
            let _ = answer.send(furnish(&name, world, private));
            let _ = left.recv();
        });
        let views = made.recv().expect("the thread answers").expect("a room can be made (this needs root)");
        let groups = Arc::new(Mutex::default());
        let room = Self {
            mark,
            views: Arc::new(views),
            output,
            groups,
            serial: Cell::new(0),
            driver,
            tenant: Some((leave, tenant)),
        };
        room.run("ip", &["link", "set", "lo", "up"]).ok();
        room
    }

    /// A name that nothing else in this room has.
    pub fn fresh(&self) -> String {
        self.serial.set(self.serial.get() + 1);
        format!("c{}", self.serial.get())
    }

    /// The path, as seen in the room, of something that belongs to it.
    pub fn path(&self, name: &str) -> String {
        format!("/run/{}/{name}", self.mark)
    }

    /// The same file, as seen from the test program.
    pub fn outside(&self, path: &str) -> PathBuf {
        self.views.thread.join("root").join(path.trim_start_matches('/'))
    }

    /// Writes a file of the room, with its directory, and gives its path in the room.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        let outside = self.outside(&path);
        fs::create_dir_all(outside.parent().expect("a file lies in a directory")).expect("a directory");
        fs::write(&outside, text).expect("a file of the room can be written");
        path
    }

    /// Makes a directory of the room and gives its path in the room.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn directory(&self, name: &str) -> String {
        let path = self.path(name);
        fs::create_dir_all(self.outside(&path)).expect("a directory of the room can be made");
        path
    }

    /// The cgroup that holds those of all containers in this room, as engines are told: with systemd it is a slice.
    pub fn cgroup_parent(&self) -> String {
        if self.has_systemd() { self.slice() } else { format!("/{}", self.mark) }
    }

    /// Whether systemd makes the cgroups in it.
    pub fn has_systemd(&self) -> bool {
        !matches!(self.driver, Driver::Files)
    }

    /// Whose room it is, if not root's.
    pub fn login(&self) -> Option<&'static Login> {
        match self.driver {
            Driver::SystemdOf(login) => Some(login),
            Driver::Files | Driver::Systemd => None,
        }
    }

    fn slice(&self) -> String {
        format!("{}.slice", self.mark)
    }

    /// A configuration of the README for this room: it names the other way to make cgroups where systemd does.
    pub fn fitting(&self, documented: String) -> String {
        if !self.has_systemd() {
            return documented;
        }
        documented.replace("cgroupfs", "systemd").replace("SystemdCgroup = false", "SystemdCgroup = true")
    }

    /// What a process with one thread calls to enter.
    pub fn entrance(&self) -> impl Fn() -> io::Result<()> + Send + Sync + use<> {
        let views = Arc::clone(&self.views);
        move || {
            move_into_link_name_space(views.network.as_fd(), Some(LinkNameSpaceType::Network))?;
            Ok(move_into_link_name_space(views.mounts.as_fd(), Some(LinkNameSpaceType::Mount))?)
        }
    }

    /// A command in the room, ready to be run.
    pub fn call(&self, program: &str, arguments: &[&str]) -> Call {
        let output = self.output.join(self.fresh());
        Call::entering(self.entrance(), program.as_ref(), arguments, output, &self.groups)
            .env("HOME", self.path(""))
            .env("TMPDIR", self.path(""))
    }

    /// A command in the room by somebody who has logged in, ready to be run.
    pub fn call_as(&self, login: &Login, program: &str, arguments: &[&str]) -> Call {
        let (enter, become_him) = (self.entrance(), login.entrance());
        let both = move || enter().and_then(|()| become_him());
        let output = self.output.join(self.fresh());
        let call = Call::entering(both, program.as_ref(), arguments, output, &self.groups);
        login::environment().into_iter().fold(call, |call, (name, value)| call.env(name, value))
    }

    /// Runs a command in the room.
    pub fn run(&self, program: &str, arguments: &[&str]) -> Outcome {
        self.call(program, arguments).run()
    }

    /// A command in the room whose standard streams are the caller's business.
    pub fn command(&self, program: &str) -> Command {
        use std::os::unix::process::CommandExt;
        let mut command = Command::new(program);
        command.env("HOME", self.path("")).env("TMPDIR", self.path("")).current_dir("/");
        let enter = self.entrance();
        // SAFETY: between fork and exec this makes two system calls, on descriptors that stay open.
        unsafe { command.pre_exec(enter) };
        command
    }

    /// The same of somebody who has logged in.
    pub fn command_as(&self, login: &Login, program: &str) -> Command {
        use std::os::unix::process::CommandExt;
        let mut command = self.command(program);
        command.env_remove("TMPDIR").envs(login::environment());
        let become_him = login.entrance();
        // SAFETY: between fork and exec this makes five system calls, on a descriptor that stays open.
        unsafe { command.pre_exec(become_him) };
        command
    }

    /// Ends the case unless there is a controller of this name in the room.
    pub fn need_controller(&self, name: &str) {
        let words = fs::read_to_string(self.outside("/sys/fs/cgroup/cgroup.controllers")).unwrap_or_default();
        let unified = words.split_whitespace().any(|word| word == name);
        if !unified && !self.outside(&format!("/sys/fs/cgroup/{name}")).is_dir() {
            not_here(&format!("there is no {name} controller in this layout of cgroups"));
        }
    }

    /// The mount table of the room.
    pub fn mounts(&self) -> String {
        fs::read_to_string(self.views.thread.join("mountinfo")).unwrap_or_default()
    }

    /// Processes that live in this room, or in a container that was made in it.
    pub fn processes(&self) -> Vec<i32> {
        let us = rustix::process::getpid().as_raw_nonzero().get();
        let all = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
        let lives = |pid: &i32| {
            let table = fs::read(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
            String::from_utf8_lossy(&table).contains(&self.mark)
        };
        pids.filter(|&pid| pid != us).filter(lives).collect()
    }

    /// Directories of cgroups below those that are named after the room.
    pub fn cgroups(&self) -> Vec<PathBuf> {
        let hierarchies = World::Host.hierarchies().into_iter();
        let name = match self.driver {
            Driver::Files => self.mark.clone(),
            Driver::Systemd => self.slice(),
            Driver::SystemdOf(_) => format!("{}/{}", login::cgroup(), self.slice()),
        };
        let roots = hierarchies.map(|hierarchy| hierarchy.root.join(&name));
        roots.flat_map(|root| directories(&root)).collect()
    }

    /// Removes cgroups of this name, if nothing is in them: those which an engine makes for itself, and keeps.
    pub fn remove_cgroups(&self, name: &str) {
        for path in self.cgroups().iter().rev().filter(|path| path.ends_with(name)) {
            let _ = fs::remove_dir(path);
        }
    }

    /// What is left once the engine is gone, and its processes had time to go: processes, cgroups, and entries of
    /// these directories. Cgroups with the names in `own` are the engine's, and only may not have anything in them.
    pub fn left(&self, state: &[String], own: &[&str]) -> Vec<String> {
        let now = || {
            reap_strangers();
            own.iter().for_each(|name| self.remove_cgroups(name));
            let processes = self.processes().into_iter().map(|pid| format!("process {pid}"));
            let cgroups = self.cgroups().into_iter().map(|path| format!("cgroup {}", path.display()));
            let entries = state.iter().flat_map(|path| entries(&self.outside(path)));
            // A cache is not of any container.
            let kept =
                |path: &PathBuf| path.file_name().is_some_and(|name| name.as_encoded_bytes()[0] == b'.');
            let entries = entries.filter(|path| !kept(path)).map(|path| format!("state {}", path.display()));
            processes.chain(cgroups).chain(entries).chain(self.units()).collect::<Vec<_>>()
        };
        soon(PATIENCE, || Some(now()).filter(Vec::is_empty)).unwrap_or_else(now)
    }
}

/// What systemd calls the containers of the engines.
const UNITS: [&str; 4] = ["docker-*", "cri-containerd-*", "ctr-*", "libpod-*"];

impl Room {
    /// Asks the systemd that makes the cgroups.
    pub fn systemctl(&self, arguments: &[&str]) -> Outcome {
        match self.login() {
            Some(login) => self.call_as(login, "systemctl", &[&["--user"], arguments].concat()).run(),
            None => self.run("systemctl", arguments),
        }
    }

    /// Units of containers that systemd knows, whatever has become of them.
    fn units(&self) -> Vec<String> {
        if !self.has_systemd() {
            return Vec::new();
        }
        let list = [&["list-units", "--all", "--no-legend", "--plain"][..], &UNITS].concat();
        let listed = self.systemctl(&list).ok().stdout;
        listed.lines().map(|line| format!("unit {line}")).collect()
    }
}

impl Default for Room {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.processes().into_iter().for_each(command::end);
        for path in self.cgroups().into_iter().rev() {
            let _ = fs::remove_dir(path);
        }
        if self.has_systemd() {
            self.systemctl(&["stop", &self.slice()]);
        }
        for hierarchy in World::Host.hierarchies() {
            let _ = fs::remove_dir(hierarchy.root.join(&self.mark));
        }
        let _ = fs::remove_dir_all(&self.output);
        if let Some((leave, tenant)) = self.tenant.take() {
            drop(leave);
            let _ = tenant.join();
        }
    }
}

/// Directories below this one, outer ones first.
fn directories(path: &Path) -> Vec<PathBuf> {
    let inner = entries(path).into_iter().filter(|path| path.is_dir());
    inner.flat_map(|path| [vec![path.clone()], directories(&path)].concat()).collect()
}

fn entries(path: &Path) -> Vec<PathBuf> {
    fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

/// Gives the calling thread a network with nothing in it, and private directories wherever engines write.
fn furnish(mark: &str, world: World, private: &[&str]) -> io::Result<Views> {
    // SAFETY: no other thread relies on sharing its working directory with this one, and no descriptor is unshared.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS | UnshareFlags::NEWNET) }?;
    mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)?;
    // Engines expect what systemd does: everything is shared.
    mount_change("/", MountPropagationFlags::SHARED | MountPropagationFlags::REC)?;
    for place in private.iter().filter(|place| Path::new(place).is_dir()) {
        mount(mark, *place, "tmpfs", MountFlags::empty(), Some(c"mode=755"))?;
    }
    if world == World::Unified {
        mount_lone_cgroup2()?;
    }
    for directory in [format!("/run/{mark}"), "/run/lock".into(), "/var/lib/cni".into()] {
        fs::create_dir_all(directory)?;
    }
    if !private.contains(&"/run") {
        mount(mark, format!("/run/{mark}"), "tmpfs", MountFlags::empty(), Some(c"mode=755"))?;
    }
    let thread = PathBuf::from(format!("/proc/self/task/{}", rustix::thread::gettid()));
    Ok(Views {
        mounts: File::open(thread.join("ns/mnt"))?,
        network: File::open(thread.join("ns/net"))?,
        thread,
    })
}
