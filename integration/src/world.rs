//! The two ways in which a machine can lay out its cgroups, both on one machine.
//!
//! A thread of the test program sits in a mount namespace of its own in which `/sys/fs/cgroup` is a lone cgroup2
//! tree; commands enter that namespace between fork and exec. The machine's own mounts are never touched.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::{fs, thread};

use rustix::fs::CWD;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

use crate::bpf;
use crate::runtime::{Kind, runtime};

/// Where cgroups are mounted, in every world.
pub const CGROUPS: &str = "/sys/fs/cgroup";

/// A layout of cgroups in which a runtime works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum World {
    /// The machine's own: cgroup v1, hybrid, or cgroup2.
    Host,
    /// Nothing but cgroup2, with whatever controllers the machine has left for it.
    Unified,
}

/// One cgroup hierarchy, as the test program can reach it.
#[derive(Debug, Clone)]
pub struct Hierarchy {
    /// `memory`, `cpu`, …, `name=systemd`; empty for cgroup2.
    pub name: String,
    /// The directory of its root cgroup.
    pub root: PathBuf,
}

struct Unified {
    namespace: File,
    /// `/proc/self/task/TID` of the thread that lives there.
    thread: PathBuf,
}

impl World {
    /// The worlds that the runtime under test claims to support on this machine.
    pub fn all() -> Vec<World> {
        let only_unified = host_is_unified() || runtime().kind == Kind::Crun && host_is_hybrid();
        match only_unified {
            true => vec![World::Unified],
            false => vec![World::Host, World::Unified],
        }
    }

    /// The world of a test that does not care: `WORLD=host` or the unified one.
    pub fn usual() -> World {
        match std::env::var("WORLD").as_deref() {
            Ok("host") => World::Host,
            _ => World::Unified,
        }
    }

    /// A world in which this controller can limit something, if the runtime supports one.
    pub fn with(controller: &str) -> Option<World> {
        World::all().into_iter().find(|world| world.hierarchy(controller).is_some())
    }

    /// What a process with one thread calls to move into this world: one system call at most.
    pub fn entrance(self) -> impl Fn() -> io::Result<()> + Send + Sync + 'static {
        let namespace = (self == World::Unified).then(|| unified().namespace.as_fd());
        move || match namespace {
            Some(namespace) => Ok(move_into_link_name_space(namespace, Some(LinkNameSpaceType::Mount))?),
            None => Ok(()),
        }
    }

    /// The mount table of this world.
    pub fn mountinfo(self) -> String {
        let path = match self {
            World::Host => PathBuf::from("/proc/self/mountinfo"),
            World::Unified => unified().thread.join("mountinfo"),
        };
        fs::read_to_string(path).expect("a mount table can be read")
    }

    /// The directory of the test program's tree at which this world's `/` can be reached.
    pub fn root(self) -> PathBuf {
        match self {
            World::Host => PathBuf::from("/"),
            World::Unified => unified().thread.join("root"),
        }
    }

    /// The namespaces of commands that run here.
    pub fn namespaces(self) -> BTreeSet<u64> {
        match self {
            World::Host => bpf::namespaces(Path::new("/proc/self")),
            World::Unified => bpf::namespaces(&unified().thread),
        }
    }

    /// The hierarchies of this world.
    pub fn hierarchies(self) -> Vec<Hierarchy> {
        let table = self.mountinfo();
        let root = self.root();
        table.lines().filter_map(|line| hierarchy(line, &root)).collect()
    }

    /// The hierarchy that holds this controller.
    pub fn hierarchy(self, controller: &str) -> Option<Hierarchy> {
        let holds = |hierarchy: &Hierarchy| match hierarchy.name.as_str() {
            "" => fs::read_to_string(hierarchy.root.join("cgroup.controllers"))
                .is_ok_and(|all| all.split_whitespace().any(|one| one == controller)),
            names => names.split(',').any(|one| one == controller),
        };
        self.hierarchies().into_iter().find(holds)
    }

    /// The cgroup2 tree of this world, if it has one.
    pub fn cgroup2(self) -> Option<PathBuf> {
        self.hierarchies().into_iter().find(|hierarchy| hierarchy.name.is_empty()).map(|found| found.root)
    }
}

fn hierarchy(line: &str, root: &Path) -> Option<Hierarchy> {
    let (left, right) = line.split_once(" - ")?;
    let place = left.split(' ').nth(4)?.strip_prefix('/')?;
    let mut right = right.split(' ');
    let name = match right.next()? {
        "cgroup2" => String::new(),
        "cgroup" => right.nth(1)?.split(',').filter(|&word| word != "rw").collect::<Vec<_>>().join(","),
        _ => return None,
    };
    Some(Hierarchy { name, root: root.join(place) })
}

fn host_is_unified() -> bool {
    World::Host.hierarchies().iter().all(|hierarchy| hierarchy.name.is_empty())
}

fn host_is_hybrid() -> bool {
    World::Host.hierarchies().iter().any(|hierarchy| hierarchy.name.is_empty())
}

fn unified() -> &'static Unified {
    static UNIFIED: OnceLock<Unified> = OnceLock::new();
    UNIFIED.get_or_init(|| {
        let (send, receive) = std::sync::mpsc::channel();
        thread::spawn(move || {
            let made = become_unified();
            let living = made.is_ok();
            send.send(made).expect("the test waits for its world");
            if living {
                stay();
            }
        });
        let made = receive.recv().expect("the thread answers before it sleeps");
        made.expect("a private cgroup2 tree can be mounted (the tests need root)")
    })
}

/// Keeps the thread, and with it its view of the mounts, for as long as the program runs.
pub(crate) fn stay() -> ! {
    loop {
        thread::park();
    }
}

fn become_unified() -> io::Result<Unified> {
    move_to_lone_cgroup2()?;
    let thread = PathBuf::from(format!("/proc/self/task/{}", rustix::thread::gettid()));
    Ok(Unified { namespace: File::open(thread.join("ns/mnt"))?, thread })
}

/// Gives the calling thread a mount namespace in which `/sys/fs/cgroup` is cgroup2 and nothing else.
pub fn move_to_lone_cgroup2() -> io::Result<()> {
    // SAFETY: no other thread relies on sharing its working directory with this one, and no descriptor is unshared.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    mount_lone_cgroup2()
}

/// Mounts cgroup2, and nothing else, at `/sys/fs/cgroup` of the calling thread's mount namespace, which is its own.
pub(crate) fn mount_lone_cgroup2() -> io::Result<()> {
    while unmount(CGROUPS, UnmountFlags::DETACH).is_ok() {}
    mount("none", CGROUPS, "cgroup2", MountFlags::NOSUID | MountFlags::NOEXEC | MountFlags::NODEV, None)?;
    Ok(rustix::fs::accessat(CWD, CGROUPS, rustix::fs::Access::EXISTS, rustix::fs::AtFlags::empty())?)
}
