//! What a runtime may have left behind, attributed to one test by names that no other test has.
//!
//! Tests run side by side, so global counters say nothing. Instead every trace carries the test's mark (a path, an
//! id, a cgroup, a variable of the environment), or was written down when the container was made (its namespaces,
//! its BPF programs).

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use procfs::process::Stat;

use crate::bpf;
use crate::command;
use crate::container::Container;
use crate::test::Test;
use crate::world::World;

/// The variable by which a helper process that a runtime forgot can be told to be ours.
pub const MARK: &str = "INTEGRATION_TEST";

/// The kernel takes cgroups, keys and programs apart a moment after their last user.
const PATIENCE: Duration = Duration::from_secs(8);

/// No test waits this long between making a container and asking for its process id.
const ELIMINATION: Duration = Duration::from_millis(700);

/// What a test has seen its containers own.
#[derive(Debug, Default)]
pub struct Traces {
    namespaces: BTreeSet<u64>,
    programs: BTreeSet<u32>,
}

impl Traces {
    /// Writes down the namespaces of a container's init that its world has not, and the programs on its cgroup.
    pub fn remember(&mut self, container: &Container) {
        let worlds = container.world().namespaces();
        let its = bpf::namespaces(Path::new(&format!("/proc/{}", container.pid)));
        self.namespaces.extend(its.difference(&worlds));
        self.programs.extend(container.cgroup2().iter().flat_map(|path| bpf::device_programs(path)));
    }
}

/// Writes down what a test owns at this moment through processes that nobody has told it of: those of a command that
/// was cut short.
pub fn remember(test: &Test) {
    let ours: BTreeSet<_> = processes(test).into_iter().collect();
    let all = procfs::process::all_processes().into_iter().flatten().flatten().map(|process| process.pid);
    let (ours, others): (Vec<_>, Vec<_>) = all.partition(|pid| ours.contains(pid));
    let namespaces_of =
        |pids: Vec<i32>| pids.into_iter().flat_map(|pid| bpf::namespaces(Path::new(&format!("/proc/{pid}"))));
    let mut shared: BTreeSet<_> = namespaces_of(others).collect();
    shared.extend(test.world.namespaces());
    let mut traces = test.traces.borrow_mut();
    traces.namespaces.extend(namespaces_of(ours).filter(|id| !shared.contains(id)));
    traces.programs.extend(cgroups(test).iter().flat_map(|path| bpf::device_programs(path)));
}

/// What is left of a test at last; empty when nothing is.
pub fn settled(test: &Test) -> Vec<String> {
    let start = Instant::now();
    let strangers = ended_strangers();
    let settle = || {
        reap_orphans(test);
        let left = now(test);
        if start.elapsed() > ELIMINATION {
            strangers
                .intersection(&ended_strangers())
                .for_each(|&pid| drop(command::collect(pid, Duration::ZERO)));
        }
        let hopeless = start.elapsed() > 2 * ELIMINATION && !left.iter().all(|one| is_slow(one));
        (left.is_empty() || hopeless).then_some(left)
    };
    soon(PATIENCE, settle).unwrap_or_else(|| now(test))
}

/// The kernel frees keys and programs in its own time; nothing else may take long.
fn is_slow(left: &str) -> bool {
    left.starts_with("key ") || left.starts_with("BPF ")
}

/// Collects ended processes that a runtime left to us, except the inits of containers, whose end tests ask for. An
/// init cannot end before every process of its pid namespace is collected.
pub fn reap_orphans(test: &Test) {
    let ended = all_of(test).map(|stat| stat.pid).filter(|pid| ended_strangers().contains(pid));
    ended.for_each(|pid| drop(command::collect(pid, Duration::ZERO)));
}

/// Children of ours that have ended and that nobody will collect. One that stays so for long was left by a runtime;
/// its credentials hold keyrings until it is collected.
fn ended_strangers() -> BTreeSet<i32> {
    let us = rustix::process::getpid().as_raw_nonzero().get();
    let ended = user_processes()
        .filter(|stat| stat.ppid == us && stat.state == 'Z' && !command::is_claimed(stat.pid));
    ended.map(|stat| stat.pid).collect()
}

/// Collects ended children that nobody asks for, as the init of a machine does all the time; waits a moment lest one
/// is taken from somebody who is about to claim it.
pub fn reap_strangers() {
    let before = ended_strangers();
    std::thread::sleep(Duration::from_millis(30));
    before.intersection(&ended_strangers()).for_each(|&pid| drop(command::collect(pid, Duration::ZERO)));
}

/// What is left of a test at this moment.
pub fn now(test: &Test) -> Vec<String> {
    let mut left = mounts(test);
    left.extend(cgroups(test).into_iter().map(|path| format!("cgroup {}", path.display())));
    left.extend(processes(test).into_iter().map(|pid| format!("process {pid}: {}", describe(pid))));
    left.extend(files(test));
    left.extend(descriptors(test));
    left.extend(keys(test));
    left.extend(programs(test));
    left.extend(namespaces(test));
    left
}

/// Tries until there is an answer or the time is up.
pub fn soon<T>(time: Duration, mut attempt: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + time;
    loop {
        match attempt() {
            None if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(5)),
            answer => return answer,
        }
    }
}

/// Mounts on the host, or in the world of the commands, that name the test.
fn mounts(test: &Test) -> Vec<String> {
    let tables = [World::Host.mountinfo(), test.world.mountinfo()];
    let lines = tables.iter().flat_map(|table| table.lines());
    lines.filter(|line| line.contains(&test.mark)).map(|line| format!("mount {line}")).collect()
}

/// Cgroups below the one that holds the test's containers, and any elsewhere that names the test.
fn cgroups(test: &Test) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for hierarchy in hierarchies(test) {
        walk(&hierarchy, &mut |path| {
            let parent = path.parent() == Some(hierarchy.as_path()) && path.ends_with(&test.mark);
            if !parent && path.to_string_lossy().contains(&test.mark) {
                found.push(path.to_owned());
            }
        });
    }
    found
}

fn hierarchies(test: &Test) -> BTreeSet<PathBuf> {
    test.world.hierarchies().into_iter().map(|hierarchy| hierarchy.root).collect()
}

fn walk(directory: &Path, visit: &mut impl FnMut(&Path)) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            visit(&entry.path());
            walk(&entry.path(), visit);
        }
    }
}

/// Living processes that are of the test.
fn processes(test: &Test) -> Vec<i32> {
    all_of(test).filter(|stat| stat.state != 'Z').map(|stat| stat.pid).collect()
}

/// Processes in the test's cgroups, in the group of one of its commands, started for it, or adopted by us and rooted
/// in one of its bundles.
fn all_of(test: &Test) -> impl Iterator<Item = Stat> {
    let us = rustix::process::getpid().as_raw_nonzero().get();
    user_processes().filter(move |stat| stat.pid != us && is_of(stat, us, test))
}

/// All processes but the kernel's own, of which a machine has many.
fn user_processes() -> impl Iterator<Item = Stat> {
    const KERNEL_THREAD: u32 = 0x0020_0000;
    let all = procfs::process::all_processes().into_iter().flatten().flatten();
    all.filter_map(|process| process.stat().ok()).filter(|stat| stat.flags & KERNEL_THREAD == 0)
}

fn is_of(stat: &Stat, us: i32, test: &Test) -> bool {
    let file = |name: &str| fs::read(format!("/proc/{}/{name}", stat.pid)).unwrap_or_default();
    let names = |name: &str| String::from_utf8_lossy(&file(name)).contains(&test.mark);
    let grouped = || test.groups.lock().expect("no test panics here").contains(&stat.pgrp);
    grouped() || names("cgroup") || names("environ") || stat.ppid == us && names("mountinfo")
}

fn describe(pid: i32) -> String {
    let file = |name: &str| fs::read(format!("/proc/{pid}/{name}")).unwrap_or_default();
    let line = String::from_utf8_lossy(&file("cmdline")).replace('\0', " ");
    format!("{line:?} {}", String::from_utf8_lossy(&file("cgroup")).replace('\n', " "))
}

/// Entries of the state directory and of the temporary one; files elsewhere that name the test.
fn files(test: &Test) -> Vec<String> {
    let listed = |directory: PathBuf| {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        entries.map(|entry| entry.path())
    };
    let state = listed(test.state_root()).filter(|path| !is_shared_by_containers(path));
    let elsewhere =
        ["/tmp", "/run", "/dev/shm", "/var/lib"].into_iter().flat_map(|place| listed(place.into()));
    let elsewhere = elsewhere.filter(|path| path.to_string_lossy().contains(&test.mark));
    let all = state.chain(listed(test.directory.join("tmp"))).chain(elsewhere);
    all.map(|path| format!("file {}", path.display())).collect()
}

/// What a runtime keeps for all containers of one state directory, and does not grow: caches, empty directories.
fn is_shared_by_containers(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    name.starts_with('.')
}

/// Descriptors of this process that point into the test.
fn descriptors(test: &Test) -> Vec<String> {
    let entries = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let targets = entries.filter_map(|entry| fs::read_link(entry.path()).ok());
    let ours = targets.filter(|target| target.to_string_lossy().contains(&test.mark));
    ours.map(|target| format!("descriptor of {}", target.display())).collect()
}

/// Keyrings that are named after a container.
fn keys(test: &Test) -> Vec<String> {
    let table = fs::read_to_string("/proc/keys").unwrap_or_default();
    let lines = table.lines().filter(|line| line.contains(&test.mark));
    lines.map(|line| format!("key {line}")).collect()
}

/// Programs that were on a container's cgroup and are still loaded.
fn programs(test: &Test) -> Vec<String> {
    let traces = test.traces.borrow();
    traces
        .programs
        .iter()
        .filter(|&&id| bpf::program_exists(id))
        .map(|id| format!("BPF program {id}"))
        .collect()
}

/// Namespaces that were a container's and that a process still has.
fn namespaces(test: &Test) -> Vec<String> {
    let traces = test.traces.borrow();
    if traces.namespaces.is_empty() {
        return Vec::new();
    }
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten().map(|entry| entry.path());
    let holders = processes.filter(|path| path.join("ns").exists());
    let held = holders.flat_map(|path| {
        let common: Vec<_> = bpf::namespaces(&path).intersection(&traces.namespaces).copied().collect();
        common.into_iter().map(move |id| format!("namespace {id} of {}", path.display()))
    });
    held.collect()
}

/// Takes away what a test has made, whatever state it is in.
pub fn clean(test: &Test) {
    for pid in processes(test) {
        command::end(pid);
    }
    for hierarchy in hierarchies(test) {
        remove_cgroup(&hierarchy.join(&test.mark));
    }
    let mounted = mounts(test).into_iter().filter_map(|line| line.split(' ').nth(5).map(str::to_owned));
    for place in mounted.filter(|place| place.contains(&test.mark)) {
        let _ = rustix::mount::unmount(place.as_str(), rustix::mount::UnmountFlags::DETACH);
    }
    for other in files(test).iter().filter_map(|line| line.strip_prefix("file ")).map(Path::new) {
        let _ = fs::remove_dir_all(other).or_else(|_| fs::remove_file(other));
    }
    remove_tree(&test.directory);
}

fn remove_cgroup(path: &Path) {
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_cgroup(&entry.path());
        }
    }
    let _ = soon(Duration::from_secs(1), || (fs::remove_dir(path).is_ok() || !path.exists()).then_some(()));
}

/// Removes a tree, but never crosses into another file system: a mount that was left must not be emptied.
fn remove_tree(path: &Path) {
    let device = |path: &Path| fs::symlink_metadata(path).map(|found| found.dev()).ok();
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        let inner = entry.path();
        match entry.file_type() {
            Ok(kind) if kind.is_dir() && device(&inner) == device(path) => remove_tree(&inner),
            _ => drop(fs::remove_file(&inner)),
        }
    }
    let _ = fs::remove_dir(path);
}
