//! What a trial has left, seen from within the namespaces that it had for itself.

use std::collections::BTreeSet;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::keeper::Place;
use super::setting::Setting;
use crate::bpf;
use crate::world::World;

/// How things were before any trial.
#[derive(Debug)]
pub struct Baseline {
    setting: Setting,
    mounts: String,
    processes: BTreeSet<i32>,
    hierarchies: Vec<PathBuf>,
    /// Those of whoever asks.
    cgroups: BTreeSet<PathBuf>,
}

impl Baseline {
    /// How things are.
    pub fn now(place: &Place, setting: Setting) -> Self {
        let hierarchies = World::Host.hierarchies().into_iter().map(|hierarchy| hierarchy.root).collect();
        let (mounts, processes) = (mounts(), processes(setting).into_iter().collect());
        let mut now = Self { setting, mounts, processes, hierarchies, cgroups: BTreeSet::new() };
        now.cgroups = now.cgroups(place).into_iter().collect();
        now
    }

    /// Everything that is there and was not.
    pub fn left(&self, place: &Place) -> Vec<String> {
        let new = processes(self.setting).into_iter().filter(|pid| !self.processes.contains(pid));
        let mut left: Vec<_> = new.filter_map(describe).collect();
        left.extend(units(place, self.setting));
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
        let all = self.hierarchies.iter().flat_map(|root| {
            let units = directories(&root.join("system.slice")).into_iter();
            let ours = units.filter(|path| is_of(place, path));
            ours.flat_map(with_all_below).chain(below(&root.join(&place.mark))).collect::<Vec<_>>()
        });
        all.filter(|path| !self.cgroups.contains(path)).collect()
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

    /// Removes the cgroups of this place, and ends whoever is in them still, if the kernel can; true if none is left.
    pub fn remove_cgroups(place: &Place) -> bool {
        let roots = World::Host.hierarchies().into_iter().map(|hierarchy| hierarchy.root.join(&place.mark));
        let remove = |path: &PathBuf| {
            let _ = fs::write(path.join("cgroup.kill"), "1");
            fs::remove_dir(path).is_ok()
        };
        let there = roots.filter(|root| root.exists()).flat_map(with_all_below);
        there.filter(|path| !remove(path)).count() == 0
    }
}

fn mounts() -> String {
    fs::read_to_string("/proc/self/mountinfo").unwrap_or_default()
}

fn directories(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let directories = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    directories.map(|entry| entry.path()).collect()
}

/// The deepest come first.
fn below(directory: &Path) -> Vec<PathBuf> {
    directories(directory).into_iter().flat_map(with_all_below).collect()
}

fn with_all_below(directory: PathBuf) -> Vec<PathBuf> {
    let mut found = below(&directory);
    found.push(directory);
    found
}

/// Whether this is the cgroup of a unit of this place.
fn is_of(place: &Place, path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&format!("{}-", place.mark)))
}

/// What systemd knows of this place.
fn units(place: &Place, setting: Setting) -> Vec<String> {
    if setting != Setting::Systemd {
        return Vec::new();
    }
    let list = ["list-units", "--all", "--no-legend", "--plain", &format!("{}-*", place.mark)];
    let said = Command::new("systemctl").args(list).output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&said).lines().map(|line| format!("unit {line}")).collect()
}

/// Everybody in our pid namespace, or whoever descends from us.
fn processes(setting: Setting) -> Vec<i32> {
    let of_entry = |entry: fs::DirEntry| entry.file_name().to_str()?.parse().ok();
    match setting.has_pids() {
        true => fs::read_dir("/proc").into_iter().flatten().flatten().filter_map(of_entry).collect(),
        false => descendants(std::process::id().cast_signed()),
    }
}

fn descendants(pid: i32) -> Vec<i32> {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
    let children = lists
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<i32>>());
    children.flat_map(|child| [vec![child], descendants(child)].concat()).collect()
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
