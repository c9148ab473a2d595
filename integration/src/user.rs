//! An ordinary user, on a machine that knows none: a thread of the test program sits in a mount namespace of its own, in
//! which `/etc/passwd` and the files of sub-ids are copies with one more line. Commands enter it between fork and exec, and
//! give up everything but that user.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::mpsc::channel;
use std::thread;

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_bind, mount_change};
use rustix::process::{Gid, Uid};
use rustix::thread::{
    LinkNameSpaceType, UnshareFlags, move_into_link_name_space, set_thread_groups, set_thread_res_gid,
    set_thread_res_uid, unshare_unsafe,
};
use serde_json::{Value, json};

use crate::bundle::namespace;
use crate::runtime::{Kind, binaries, runtime};
use crate::world::{CGROUPS, World, mount_lone_cgroup2, stay};

/// The user's id, and that of his group.
pub const UID: u32 = 20_000;

/// The first of his sub-ids, of which there are [`SUBIDS`].
pub const SUBID: u32 = 200_000;

/// How many sub-ids he has.
pub const SUBIDS: u32 = 65_536;

/// Where the binary under test lies for him; its own place may be root's alone.
pub const BINARY: &str = "/mnt/runtime";

/// The same of the launcher that takes system calls away.
pub const WITHOUT: &str = "/mnt/without";

/// Where he lives.
#[derive(Debug)]
pub struct User {
    home: &'static Home,
    session: Option<Session>,
}

#[derive(Debug)]
struct Home {
    namespace: File,
}

/// A cgroup of his, in which his commands are.
#[derive(Debug)]
pub(crate) struct Session {
    cgroup: PathBuf,
    procs: File,
}

impl Session {
    /// Gives him this cgroup of version 2.
    ///
    /// # Panics
    /// When it can't be made.
    pub(crate) fn new(root: &Path) -> Self {
        let cgroup = root.join("session");
        fs::create_dir_all(&cgroup).expect("a cgroup can be made");
        for place in [root, &cgroup] {
            let files = ["", "cgroup.procs", "cgroup.subtree_control", "cgroup.threads"];
            files.iter().for_each(|file| give(&place.join(file)));
        }
        let procs =
            File::options().write(true).open(cgroup.join("cgroup.procs")).expect("a cgroup takes processes");
        Self { cgroup, procs }
    }

    /// Where his commands go.
    pub(crate) fn procs(&self) -> OwnedFd {
        self.procs.try_clone().expect("a descriptor can be copied").into()
    }
}

impl User {
    /// The user in this world, in the machine's own cgroups, in which he may do nothing.
    pub fn new(world: World) -> Self {
        Self { home: home(world), session: None }
    }

    /// The user in the world of version 2, who has been given this cgroup.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn with_cgroup(name: &str) -> Self {
        let root = World::Unified.cgroup2().expect("this world has one").join(name);
        Self { home: home(World::Unified), session: Some(Session::new(&root)) }
    }

    /// What a process with one thread calls to become him.
    pub(crate) fn entrance(&self) -> impl Fn() -> io::Result<()> + Send + Sync + 'static {
        let namespace = self.home.namespace.as_fd();
        let procs = self.session.as_ref().map(Session::procs);
        move || {
            move_into_link_name_space(namespace, Some(LinkNameSpaceType::Mount))?;
            match &procs {
                Some(procs) => enter(procs.as_fd()),
                None => become_him(),
            }
        }
    }
}

/// A process with one thread moves into his cgroup, and becomes him.
pub(crate) fn enter(procs: BorrowedFd<'_>) -> io::Result<()> {
    rustix::io::write(procs, b"0")?;
    become_him()
}

fn become_him() -> io::Result<()> {
    let (uid, gid) = (Uid::from_raw(UID), Gid::from_raw(UID));
    set_thread_groups(&[])?;
    set_thread_res_gid(gid, gid, gid)?;
    Ok(set_thread_res_uid(uid, uid, uid)?)
}

impl Drop for User {
    fn drop(&mut self) {
        if let Some(session) = &self.session {
            let gone = || (fs::remove_dir(&session.cgroup).is_ok() || !session.cgroup.exists()).then_some(());
            let _ = crate::leaks::soon(std::time::Duration::from_secs(2), gone);
        }
    }
}

/// Makes something his.
///
/// # Panics
/// When it is not there.
pub fn give(path: &Path) {
    chown(path, Some(UID), Some(UID)).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// Makes a directory and all that is in it his.
pub fn give_all(path: &Path) {
    let kind = fs::symlink_metadata(path).expect("it is there").file_type();
    if !kind.is_symlink() {
        give(path);
    }
    if kind.is_dir() {
        fs::read_dir(path).into_iter().flatten().flatten().for_each(|entry| give_all(&entry.path()));
    }
}

fn home(world: World) -> &'static Home {
    static HOST: OnceLock<Home> = OnceLock::new();
    static UNIFIED: OnceLock<Home> = OnceLock::new();
    let place = if world == World::Host { &HOST } else { &UNIFIED };
    place.get_or_init(|| {
        let (send, receive) = channel();
        thread::spawn(move || {
            let made = settle(world);
            let living = made.is_ok();
            send.send(made).expect("the test waits for its user");
            if living {
                stay();
            }
        });
        let made = receive.recv().expect("the thread answers before it sleeps");
        made.expect("a user can be made (the tests need root, and the package uidmap)")
    })
}

fn settle(world: World) -> io::Result<Home> {
    // SAFETY: no other thread relies on sharing its working directory with this one, and no descriptor is unshared.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }?;
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    if world == World::Unified && Path::new(CGROUPS).exists() {
        mount_lone_cgroup2()?;
    }
    move_in()?;
    let thread = PathBuf::from(format!("/proc/self/task/{}", rustix::thread::gettid()));
    Ok(Home { namespace: File::open(thread.join("ns/mnt"))? })
}

/// Has the mount namespace of this thread know him.
pub(crate) fn move_in() -> io::Result<()> {
    mount("none", "/mnt", "tmpfs", MountFlags::empty(), Some(c"mode=755"))?;
    for (binary, place) in [(&runtime().path, BINARY), (&binaries().join("without"), WITHOUT)] {
        fs::copy(binary, place)?;
        fs::set_permissions(place, PermissionsExt::from_mode(0o755))?;
    }
    let ids = format!("person:{SUBID}:{SUBIDS}\n");
    add("passwd", &format!("person:x:{UID}:{UID}::/nowhere:/bin/sh\n"))?;
    add("group", &format!("person:x:{UID}:\n"))?;
    add("subuid", &ids)?;
    add("subgid", &ids)
}

/// Puts a copy with one more line over a file of `/etc`.
fn add(file: &str, line: &str) -> io::Result<()> {
    let (place, copy) = (format!("/etc/{file}"), format!("/mnt/{file}"));
    fs::write(&copy, fs::read_to_string(&place)? + line)?;
    Ok(mount_bind(&copy, &place)?)
}

/// The worlds in which an ordinary user may make no cgroup. What he is promised, our runtime promises alone.
pub fn worlds() -> Vec<World> {
    if ours() { World::all() } else { Vec::new() }
}

/// Whether our own runtime is tried.
pub fn ours() -> bool {
    runtime().kind == Kind::Ours
}

/// A container in a user namespace whose root is the user himself, and nobody else.
pub fn alone(config: &mut Value) {
    mapped(config, json!([{"containerID": 0, "hostID": UID, "size": 1}]));
    // The group tty is nobody there.
    let mounts = config["mounts"].as_array_mut().expect("a list");
    mounts[2]["options"].as_array_mut().expect("a list").retain(|option| option != "gid=5");
}

/// A container with all the ids that the user has.
pub fn with_all_ids(config: &mut Value) {
    mapped(
        config,
        json!([{"containerID": 0, "hostID": UID, "size": 1}, {"containerID": 1, "hostID": SUBID, "size": SUBIDS}]),
    );
}

/// A container in a user namespace with these ids, users and groups.
pub fn mapped(config: &mut Value, ids: Value) {
    namespace(config, "user", Some(json!({"type": "user"})));
    config["linux"]["uidMappings"] = ids.clone();
    config["linux"]["gidMappings"] = ids;
    config["linux"]["resources"] = json!({});
}

/// A container that leaves the path of its cgroup to the runtime.
pub fn without_path(config: &mut Value) {
    config["linux"].as_object_mut().expect("an object").remove("cgroupsPath");
}
