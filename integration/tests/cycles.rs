//! A thousand lives: what one container leaves behind unnoticed, many make plain.
//!
//! `CYCLES` says how many in each world.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Write, stderr};
use std::path::Path;
use std::time::Duration;

use integration::{Bundle, Exit, Test, World, bpf, leaks};
use serde_json::json;

const USUAL: usize = 100;

/// By how much a number of the whole machine may change because of others; lives that leak change it by hundreds.
const SWAY: usize = 40;

/// The kernel takes network namespaces and cgroups apart a few at a time.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn many_lives_leave_nothing() {
    let cycles = std::env::var("CYCLES").map_or(USUAL, |text| text.parse().expect("CYCLES is a number"));
    World::all().into_iter().for_each(|world| many(world, cycles));
}

fn many(world: World, cycles: usize) {
    let test = Test::at(world);
    let bundle = test.bundle(|config| config["process"]["args"] = json!(["/bin/sleep", "1000"]));
    // The first one fills caches.
    live(&test, &bundle);
    let before = census(world);
    (0..cycles).for_each(|_| live(&test, &bundle));
    let left = leaks::settled(&test);
    assert!(left.is_empty(), "{left:#?}");
    assert_eq!(entries(&test.state_root()), 0, "the state directory holds something");
    let shrunk = leaks::soon(PATIENCE, || growth(&before, world).is_empty().then_some(()));
    let grown = growth(&before, world);
    assert!(shrunk.is_some(), "{grown:?} more after {cycles} lives in {world:?}");
    let kinds: Vec<_> = before.keys().collect();
    // Told even when the test succeeds.
    let _ = writeln!(stderr(), "cycles: {cycles} lives in {world:?}, 0 leaks; no growth of {kinds:?}");
}

/// From create to delete.
fn live(test: &Test, bundle: &Bundle) {
    let container = test.create(bundle);
    container.start().ok();
    container.kill("KILL").ok();
    assert_eq!(container.wait(), Exit::Signal(9));
    container.delete().ok();
}

/// What has grown, and by how much.
fn growth(before: &BTreeMap<&'static str, usize>, world: World) -> BTreeMap<&'static str, usize> {
    let now = census(world).into_iter();
    let grown = now.map(|(name, count)| (name, count.saturating_sub(before.get(name).copied().unwrap_or(0))));
    grown.filter(|(_, more)| *more > SWAY).collect()
}

/// The whole machine's numbers: they also see what has lost its name, such as a namespace that only a descriptor or a
/// mount keeps, or a cgroup that was removed and is not gone.
fn census(world: World) -> BTreeMap<&'static str, usize> {
    BTreeMap::from([
        ("mounts", world.mountinfo().lines().count()),
        ("processes", numbered(Path::new("/proc"))),
        ("descriptors", entries(Path::new("/proc/self/fd"))),
        ("open files", number("/proc/sys/fs/file-nr", |line| line.split_whitespace().next())),
        (
            "keys",
            number("/proc/key-users", |line| {
                line.trim().strip_prefix("0:")?.split_whitespace().nth(1)?.split('/').next()
            }),
        ),
        ("BPF programs", bpf::programs()),
        (
            "memory cgroups",
            number("/proc/cgroups", |line| line.strip_prefix("memory")?.split_whitespace().nth(1)),
        ),
        (
            "network namespaces",
            number("/proc/slabinfo", |line| line.strip_prefix("net_namespace")?.split_whitespace().next()),
        ),
        (
            "pid namespaces",
            number("/proc/slabinfo", |line| line.strip_prefix("pid_namespace")?.split_whitespace().next()),
        ),
    ])
}

fn entries(directory: &Path) -> usize {
    fs::read_dir(directory).map_or(0, Iterator::count)
}

fn numbered(directory: &Path) -> usize {
    let names = fs::read_dir(directory).into_iter().flatten().flatten().map(|entry| entry.file_name());
    names.filter(|name| name.to_string_lossy().parse::<u32>().is_ok()).count()
}

/// The first number that is found in a line of a file; 0 where the kernel does not tell.
fn number(file: &str, find: impl Fn(&str) -> Option<&str>) -> usize {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().find_map(|line| find(line)?.parse().ok()).unwrap_or(0)
}
