//! With the kernel: these tests need root and cgroups, make their own ones, and remove them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::devices::reference::Dice;
use super::*;
use crate::error::{Error, Result};

fn soon() -> Instant {
    Instant::now() + Duration::from_secs(5)
}

/// A container's cgroup with a process in it, all gone at the end whatever happens.
struct Sample {
    paths: Paths,
    children: Vec<Child>,
}

impl Sample {
    fn paths(name: &str, resources: &str) -> (Paths, Planned) {
        let hierarchies = Hierarchies::probe().unwrap();
        let resources: LinuxResources = serde_json::from_str(resources).unwrap();
        let path = format!("/runtime-test-{}-{name}", std::process::id());
        let planned = plan("ID", Some(Path::new(&path)), Some(&resources), &hierarchies, None).unwrap();
        (planned.paths.clone(), planned)
    }

    fn new(name: &str) -> (Sample, Cgroup) {
        let mut paths = Self::paths(name, "{}").0;
        paths.note_missing_ancestors().unwrap();
        let cgroup = paths.create().unwrap();
        (Sample { paths, children: Vec::new() }, cgroup)
    }

    /// Starts a process that sleeps in the cgroup.
    fn sleeper(&mut self, cgroup: &Cgroup) -> u32 {
        let child = Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().unwrap();
        let pid = child.id();
        self.children.push(child);
        cgroup.enter(pid, false).unwrap();
        pid
    }

    fn directories(&self) -> Vec<PathBuf> {
        self.paths.directories().map(|(_, directory)| directory).collect()
    }

    fn remains(&self) -> Vec<PathBuf> {
        self.directories().into_iter().filter(|directory| directory.exists()).collect()
    }

    fn reap(&mut self) {
        for mut child in self.children.drain(..) {
            child.wait().unwrap();
        }
    }
}

impl Drop for Sample {
    fn drop(&mut self) {
        _ = self.paths.kill_all(soon());
        for child in &mut self.children {
            _ = child.kill();
            _ = child.wait();
        }
        _ = self.paths.remove(soon());
    }
}

#[test]
fn a_life() {
    let (mut sample, cgroup) = Sample::new("life");
    assert!(sample.directories().iter().all(|directory| directory.is_dir()));
    let pid = sample.sleeper(&cgroup);
    assert_eq!(sample.paths.pids().unwrap(), [pid]);
    assert_eq!(sample.paths.oom_kills().unwrap_or(0), 0);
    assert!(sample.paths.v1("memory").is_none() || sample.paths.oom_kills().is_some());
    assert_eq!(cgroup.birthplace().is_some(), sample.paths.v2().is_some());
    let stuck = sample.paths.remove(Instant::now()).unwrap_err().to_string();
    assert!(stuck.contains(&format!("1 process(es) are left: {pid}")), "{stuck}");
    sample.paths.kill_all(soon()).unwrap();
    sample.reap();
    sample.paths.remove(soon()).unwrap();
    assert_eq!(sample.remains(), [""; 0].map(PathBuf::from));
    assert_gone_is_fine(&sample.paths).unwrap();
}

fn assert_gone_is_fine(paths: &Paths) -> Result<()> {
    paths.kill_all(soon())?;
    paths.thaw()?;
    paths.remove(Instant::now())?;
    assert_eq!(paths.pids()?, [0; 0]);
    assert_eq!((paths.oom_kills(), paths.is_frozen()?), (None, false));
    assert!(paths.open().is_err());
    Ok(())
}

#[test]
fn removal_waits_for_the_last_process_and_takes_nested_cgroups_along() {
    let (mut sample, cgroup) = Sample::new("nested");
    for directory in sample.directories() {
        fs::create_dir_all(directory.join("a/b")).unwrap();
        fs::create_dir_all(directory.join("c")).unwrap();
    }
    let pid = sample.sleeper(&cgroup);
    for directory in sample.directories() {
        let cpuset = directory.join("cpuset.cpus").exists();
        if !cpuset {
            fs::write(directory.join("a/b/cgroup.procs"), pid.to_string()).unwrap();
        }
    }
    assert_eq!(sample.paths.pids().unwrap(), [pid]);
    let mut child = sample.children.pop().unwrap();
    let paths = sample.paths.clone();
    let remover = std::thread::spawn(move || paths.remove(soon()));
    rustix::event::poll(&mut [], Some(&rustix::event::Timespec { tv_sec: 0, tv_nsec: 20_000_000 })).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    remover.join().unwrap().unwrap();
    assert_eq!(sample.remains().len(), 0);
}

#[test]
fn ancestors_that_were_missing_go_too() {
    let (mut paths, _) = Sample::paths("above/a/b", "{}");
    paths.note_missing_ancestors().unwrap();
    assert!(paths.places.iter().all(|place| place.missing == 2));
    drop(paths.create().unwrap());
    let (mut second, _) = Sample::paths("above/a/c", "{}");
    second.note_missing_ancestors().unwrap();
    assert!(second.places.iter().all(|place| place.missing == 0));
    drop(second.create().unwrap());
    paths.remove(soon()).unwrap();
    assert!(second.directories().all(|(_, directory)| directory.exists()), "others still use what is above");
    second.remove(soon()).unwrap();
    paths.remove(soon()).unwrap();
    let mut tops = paths.places.iter().flat_map(|place| place.ancestors().take(2));
    assert!(tops.all(|above| !above.exists()));
}

#[test]
fn an_occupied_cgroup_is_refused_and_left_alone() {
    let (mut sample, cgroup) = Sample::new("occupied");
    sample.paths.open().unwrap();
    drop(sample.paths.create().expect("an empty one may be there already"));
    sample.sleeper(&cgroup);
    let sentence = sample.paths.create().unwrap_err().to_string();
    assert!(sentence.starts_with("container's cgroup is not empty: 1 process(es) found in /"), "{sentence}");
    assert!(sample.paths.clone().note_missing_ancestors().is_err());
    assert_eq!(sample.remains().len(), sample.directories().len());
}

#[test]
fn a_failed_creation_leaves_nothing() {
    let (mut paths, _) = Sample::paths("failed/x", "{}");
    paths.note_missing_ancestors().unwrap();
    // The last hierarchy can't be made.
    paths.places.last_mut().unwrap().mount = "/proc".into();
    let good = paths.places.len() - 1;
    assert!(matches!(paths.create(), Err(Error::System { .. })));
    for place in &paths.places[..good] {
        assert!(place.ancestors().take(1).all(|above| !above.exists()), "{place:?}");
    }
}

#[test]
fn freezing() {
    let (mut sample, cgroup) = Sample::new("frozen");
    sample.sleeper(&cgroup);
    sample.paths.freeze(soon()).unwrap();
    assert!(sample.paths.is_frozen().unwrap());
    sample.paths.thaw().unwrap();
    assert!(!sample.paths.is_frozen().unwrap());
    sample.paths.freeze(soon()).unwrap();
    sample.paths.kill_all(soon()).unwrap();
    sample.reap();
    sample.paths.freeze(soon()).unwrap();
    assert!(matches!(sample.paths.create(), Err(Error::Cgroup(sentence)) if sentence.contains("is frozen")));
}

#[test]
fn version_1_kills_by_freezing() {
    let (mut sample, cgroup) = Sample::new("v1kill");
    for _ in 0..3 {
        sample.sleeper(&cgroup);
    }
    let mut v1 = sample.paths.clone();
    v1.places.retain(|place| place.version == Version::V1);
    // A nested cgroup that was frozen from inside must not keep its processes alive.
    if let Some(freezer) = v1.v1("freezer") {
        let nested = freezer.join("nested");
        fs::create_dir(&nested).unwrap();
        fs::write(nested.join("cgroup.procs"), sample.children[0].id().to_string()).unwrap();
        fs::write(nested.join("freezer.state"), "FROZEN").unwrap();
        v1.kill_all(soon()).unwrap();
        sample.reap();
        assert!(!v1.is_frozen().unwrap());
    }
}

#[test]
fn limits_are_set() {
    let hierarchies = Hierarchies::probe().unwrap();
    if ["memory", "pids", "cpu", "cpuset"].iter().any(|name| hierarchies.version_of(name).is_none()) {
        return;
    }
    let (paths, planned) = Sample::paths(
        "limits",
        r#"{"memory":{"limit":67108864,"swap":134217728},"pids":{"limit":7},"cpu":{"shares":512,"quota":50000,
            "period":20000,"cpus":"0"}}"#,
    );
    let cgroup = paths.create().unwrap();
    let sample = Sample { paths, children: Vec::new() };
    for (_, knob) in &planned.knobs {
        match cgroup.apply(knob) {
            Err(_) if knob.file.contains("memsw") => continue,
            result => result.unwrap(),
        }
        let mut files = sample.directories().into_iter().map(|directory| directory.join(&knob.file));
        let file = files.find(|file| file.exists()).unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap().trim(), knob.value, "{}", file.display());
    }
    // Raising the period alone doesn't fit the old quota and so on: in either order it ends up right.
    for (quota, period) in [(900_000, 900_000), (5_000, 5_000), (400_000, 100_000)] {
        let json = format!(r#"{{"cpu":{{"quota":{quota},"period":{period}}}}}"#);
        for (_, knob) in knobs::knobs(&serde_json::from_str(&json).unwrap(), &hierarchies).unwrap() {
            cgroup.apply(&knob).unwrap();
        }
    }
}

#[test]
fn a_missing_file_says_why() {
    let (sample, cgroup) = Sample::new("why");
    let knob = Knob::new(Hierarchy::V2, "memory.max", 5);
    if sample.paths.v2().is_some() && !sample.paths.v2().unwrap().join("memory.max").exists() {
        let sentence = cgroup.apply(&knob).unwrap_err().to_string();
        assert!(sentence.contains("the controller \"memory\" could not be enabled in /"), "{sentence}");
    }
    cgroup.apply(&knob.clone().may_be_missing()).unwrap_or_default();
    let instead = knob.instead("cgroup.max.depth", 5);
    if let Some(v2) = sample.paths.v2().filter(|v2| !v2.join("memory.max").exists()) {
        cgroup.apply(&instead).unwrap();
        assert_eq!(fs::read_to_string(v2.join("cgroup.max.depth")).unwrap().trim(), "5");
    }
}

#[test]
fn controllers_are_enabled_down_the_tree() {
    let hierarchies = Hierarchies::probe().unwrap();
    let Some(controller) = hierarchies.v2.as_ref().and_then(|v2| v2.controllers.first()) else { return };
    let enabled = std::collections::BTreeSet::from([controller.clone(), "nonsense".into()]);
    let path = format!("/runtime-test-{}-enabled/a/b", std::process::id());
    let mut paths = Paths::decide("ID", Some(Path::new(&path)), enabled, &hierarchies).unwrap();
    paths.note_missing_ancestors().unwrap();
    drop(paths.create().unwrap());
    let sample = Sample { paths, children: Vec::new() };
    let controllers = fs::read_to_string(sample.paths.v2().unwrap().join("cgroup.controllers")).unwrap();
    assert!(controllers.split_whitespace().any(|each| each == controller), "{controllers:?}");
}

/// The version 2 part of a sample alone, as on a unified host.
fn v2_only(paths: &Paths) -> Paths {
    let mut paths = paths.clone();
    paths.places.retain(|place| place.version == Version::V2);
    paths
}

#[test]
fn the_verifier_accepts_every_program_and_replaces_the_last_one() {
    use std::os::fd::AsFd;
    let (sample, all) = Sample::new("ebpf");
    let paths = v2_only(&sample.paths);
    if paths.is_empty() {
        return;
    }
    drop(all);
    let cgroup = paths.open().unwrap();
    let mut dice = Dice(3);
    for _ in 0..200 {
        let rules = DeviceRules::from_rules(dice.rules());
        cgroup.restrict(&rules).unwrap_or_else(|error| panic!("{rules}: {error}"));
        assert_eq!(crate::sys::bpf::attached(cgroup.birthplace().unwrap().as_fd()).unwrap().len(), 1);
    }
}

#[test]
fn the_kernel_enforces_the_program() {
    let (mut sample, all) = Sample::new("enforced");
    // Only the program of version 2 is looked at.
    let paths = v2_only(&sample.paths);
    if paths.is_empty() {
        return;
    }
    drop(all);
    let cgroup = paths.open().unwrap();
    let deny_zero_writing =
        r#"[{"allow":true,"type":"a"},{"allow":false,"type":"c","major":1,"access":"w"}]"#;
    let rules: Vec<_> = serde_json::from_str(deny_zero_writing).unwrap();
    let rules = DeviceRules::new(&rules, &Pointer::NONE).unwrap();
    cgroup.restrict(&rules).unwrap();
    assert_eq!(fs::metadata("/dev/kmsg").unwrap().rdev() >> 8, 1);
    let script = "read _; (: > /dev/null) && ! (: > /dev/kmsg) && (: < /dev/kmsg)";
    let mut shell =
        Command::new("sh").args(["-c", script]).stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    cgroup.enter(shell.id(), false).unwrap();
    drop(shell.stdin.take());
    let status = shell.wait().unwrap();
    assert!(status.success(), "{status}");
    sample.reap();
}

#[test]
fn version_1_devices_are_written() {
    let (sample, cgroup) = Sample::new("devices");
    let Some(directory) = sample.paths.v1("devices") else { return };
    let rules = DeviceRules::new(&[], &Pointer::NONE).unwrap();
    cgroup.restrict(&rules).unwrap();
    let mut listed: Vec<String> =
        fs::read_to_string(directory.join("devices.list")).unwrap().lines().map(str::to_owned).collect();
    let mut wanted: Vec<String> =
        exceptions::writes(&rules).unwrap().into_iter().skip(1).map(|(_, line)| line).collect();
    listed.sort();
    wanted.sort();
    assert_eq!(listed, wanted);
}

#[test]
fn a_life_with_version_2_alone() {
    let (mut sample, cgroup) = Sample::new("v2life");
    let paths = v2_only(&sample.paths);
    if paths.is_empty() {
        return;
    }
    for _ in 0..3 {
        sample.sleeper(&cgroup);
    }
    assert_eq!(paths.pids().unwrap().len(), 3);
    paths.freeze(soon()).unwrap();
    paths.kill_all(soon()).unwrap();
    sample.reap();
    paths.remove(soon()).unwrap();
    assert!(!paths.v2().unwrap().exists());
}

#[test]
fn every_member_is_signalled_and_nobody_else() {
    let (mut sample, cgroup) = Sample::new("signal");
    let inside = sample.sleeper(&cgroup);
    let outside = Command::new("sleep").arg("60").spawn().unwrap();
    sample.paths.signal_all(rustix::process::Signal::TERM, soon()).unwrap();
    let status = sample.children[0].wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(15), "{inside}");
    sample.children = vec![outside];
    assert!(sample.children[0].try_wait().unwrap().is_none());
}

#[test]
fn trees_deeper_than_a_path_can_be_are_listed_and_removed() {
    let (sample, _cgroup) = Sample::new("deep");
    let Some(v2) = sample.paths.v2() else { return };
    let name = "d".repeat(200);
    let mut here = files::open_directory(rustix::fs::CWD, v2.as_os_str()).unwrap();
    for _ in 0..30 {
        rustix::fs::mkdirat(&here, &name, rustix::fs::Mode::from_raw_mode(0o755)).unwrap();
        here = files::open_directory(&here, name.as_ref()).unwrap();
    }
    assert_eq!(sample.paths.pids().unwrap(), [0; 0]);
    sample.paths.remove(soon()).unwrap();
    assert!(!v2.exists());
}
