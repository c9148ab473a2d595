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
use crate::world::{World, mount_lone_cgroup2};

/// Directories that engines write to wherever they are told to keep their things.
const PRIVATE: [&str; 4] = ["/run", "/var/lib", "/etc/cni", "/etc/docker"];

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
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let mark = format!("room{}n{}x", std::process::id(), SERIAL.fetch_add(1, Ordering::Relaxed));
        let output = std::env::temp_dir().join(&mark);
        fs::create_dir_all(&output).expect("a temporary directory can be made");
        let (answer, made) = channel();
        let (leave, left) = channel::<()>();
        let name = mark.clone();
        let tenant = thread::spawn(move || {
            let _ = answer.send(furnish(&name, world));
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
        let roots = hierarchies.map(|hierarchy| hierarchy.root.join(&self.mark));
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
            processes.chain(cgroups).chain(entries).collect::<Vec<_>>()
        };
        soon(PATIENCE, || Some(now()).filter(Vec::is_empty)).unwrap_or_else(now)
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
fn furnish(mark: &str, world: World) -> io::Result<Views> {
    // SAFETY: no other thread relies on sharing its working directory with this one, and no descriptor is unshared.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS | UnshareFlags::NEWNET) }?;
    mount_change("/", MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC)?;
    // Engines expect what systemd does: everything is shared.
    mount_change("/", MountPropagationFlags::SHARED | MountPropagationFlags::REC)?;
    for place in PRIVATE.into_iter().filter(|place| Path::new(place).is_dir()) {
        mount(mark, place, "tmpfs", MountFlags::empty(), Some(c"mode=755"))?;
    }
    if world == World::Unified {
        mount_lone_cgroup2()?;
    }
    for directory in [format!("/run/{mark}"), "/run/lock".into(), "/var/lib/cni".into()] {
        fs::create_dir_all(directory)?;
    }
    let thread = PathBuf::from(format!("/proc/self/task/{}", rustix::thread::gettid()));
    Ok(Views {
        mounts: File::open(thread.join("ns/mnt"))?,
        network: File::open(thread.join("ns/net"))?,
        thread,
    })
}
