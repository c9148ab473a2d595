//! What a trial has left, seen from within the namespaces that it had for itself.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};

use super::keeper::Place;
use crate::bpf;
use crate::world::World;

/// How things were before any trial.
#[derive(Debug)]
pub struct Baseline {
    mounts: String,
    processes: BTreeSet<i32>,
    hierarchies: Vec<PathBuf>,
}

impl Baseline {
    /// How things are.
    pub fn now() -> Self {
        let hierarchies = World::Host.hierarchies().into_iter().map(|hierarchy| hierarchy.root).collect();
        Self { mounts: mounts(), processes: processes().collect(), hierarchies }
    }

    /// Everything that is there and was not.
    pub fn left(&self, place: &Place) -> Vec<String> {
        let new = processes().filter(|pid| !self.processes.contains(pid));
        let mut left: Vec<_> = new.filter_map(describe).collect();
        left.extend(self.cgroups(place).iter().map(|path| format!("cgroup {}", path.display())));
        left.extend(files(place));
        let now = mounts();
        if now != self.mounts {
            let known: BTreeSet<_> = self.mounts.lines().collect();
            left.extend(now.lines().filter(|line| !known.contains(line)).map(|line| format!("mount {line}")));
        }
        left
    }

    /// The cgroups of the container that is there.
    pub fn cgroups(&self, place: &Place) -> Vec<PathBuf> {
        let all = self.hierarchies.iter().flat_map(|root| below(&root.join(&place.mark)));
        all.collect()
    }

    /// The device programs on these cgroups.
    pub fn programs(&self, place: &Place) -> Vec<u32> {
        self.cgroups(place).iter().flat_map(|path| bpf::device_programs(path)).collect()
    }

    /// Lets whoever is frozen in them go on: nobody dies while he is frozen, with version 1.
    pub fn thaw(&self, place: &Place) {
        for path in self.cgroups(place) {
            for (file, word) in [("freezer.state", "THAWED"), ("cgroup.freeze", "0")] {
                let _ = OpenOptions::new()
                    .write(true)
                    .open(path.join(file))
                    .and_then(|mut file| file.write_all(word.as_bytes()));
            }
        }
    }

    /// Removes the cgroups of this place, when nobody is in them any more.
    pub fn remove_cgroups(&self, place: &Place) {
        for root in &self.hierarchies {
            remove(&root.join(&place.mark));
        }
    }
}

fn mounts() -> String {
    fs::read_to_string("/proc/self/mountinfo").unwrap_or_default()
}

fn below(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    directories
        .flat_map(|entry| {
            let mut found = below(&entry.path());
            found.push(entry.path());
            found
        })
        .collect()
}

fn remove(path: &Path) {
    for directory in below(path).iter().map(PathBuf::as_path).chain([path]) {
        let _ = fs::remove_dir(directory);
    }
}

/// Everybody in our pid namespace.
fn processes() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// None when it is gone meanwhile.
fn describe(pid: i32) -> Option<String> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default().replace('\0', " ");
    let stack = fs::read_to_string(format!("/proc/{pid}/wchan")).unwrap_or_default();
    let head: Vec<_> = stat.split(' ').take(4).collect();
    Some(format!("process {} {line}in {stack}", head.join(" ")))
}

/// What a runtime keeps for all containers is no leftover, unless it is half done.
fn files(place: &Place) -> Vec<String> {
    let listed = |path: PathBuf| fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    let hidden =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
    let state = listed(place.run.join("state")).filter(|path| !hidden(path));
    let drafts = listed(place.run.join("state/.cache/seccomp"))
        .chain(listed(place.run.join("pid")))
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().contains('.')));
    let temporary = listed(place.run.join("tmp"));
    let bundle = listed(place.bundle.clone())
        .filter(|path| !path.ends_with("rootfs") && !path.ends_with("config.json"));
    let all = state.chain(drafts).chain(temporary).chain(bundle);
    all.map(|path| format!("file {}", path.display())).collect()
}
