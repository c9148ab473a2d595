//! A thousand lives: what one container leaves behind unnoticed, many make plain.
//!
//! `CYCLES` says how many in each world; `make test-cycles` runs ten thousand, and compares the last of them with the
//! first.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::{Write, stderr};
use std::path::Path;
use std::time::{Duration, Instant};

use integration::test::repetitions;
use integration::{Bundle, Container, Exit, Test, World, bpf, leaks};
use serde_json::json;

/// By how much a number of the whole machine may change because of others; lives that leak change it by hundreds.
const SWAY: usize = 40;

/// The kernel takes network namespaces and cgroups apart a few at a time.
const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn many_lives_leave_nothing() {
    let cycles = repetitions("CYCLES", 100);
    World::all().into_iter().for_each(|world| many(world, cycles));
}

fn many(world: World, cycles: usize) {
    let test = Test::at(world);
    let bundle = test.bundle(|config| config["process"]["args"] = json!(["/bin/sleep", "1000"]));
    // The first one fills caches.
    live(&test, &bundle);
    let before = census(world);
    let lives: Vec<_> = (0..cycles).map(|_| live(&test, &bundle)).collect();
    let left = leaks::settled(&test);
    assert!(left.is_empty(), "{left:#?}");
    assert_eq!(entries(&test.state_root()), 0, "the state directory holds something");
    let shrunk = leaks::soon(PATIENCE, || growth(&before, world).is_empty().then_some(()));
    let grown = growth(&before, world);
    assert!(shrunk.is_some(), "{grown:?} more after {cycles} lives in {world:?}");
    let change: Vec<_> =
        census(world).iter().map(|(name, now)| format!("{name} {} → {now}", before[name])).collect();
    // Told even when the test succeeds.
    let _ = writeln!(stderr(), "cycles: {cycles} lives in {world:?}, 0 leaks; {}", change.join(", "));
    let tenth = lives.len().div_ceil(10);
    let (first, last) = (Tenth::of(&lives[..tenth]), Tenth::of(&lives[lives.len() - tenth..]));
    let _ = writeln!(stderr(), "cycles: the first tenth {first}, the last {last}");
    // Few lives tell of the machine's other work only.
    if cycles >= 1000 {
        assert!(last.resident * 100 <= first.resident * 102, "init grows: {first}, {last}");
        assert!(last.shortest * 4 <= first.shortest * 5, "lives take longer and longer: {first}, {last}");
    }
}

/// What one life has cost.
#[derive(Debug, Clone, Copy)]
struct Life {
    time: Duration,
    /// Of init while it waits, in KiB.
    resident: usize,
}

/// The costs of many lives. What others do on the machine makes some longer, and none shorter.
struct Tenth {
    shortest: Duration,
    median: Duration,
    p99: Duration,
    resident: usize,
}

impl Tenth {
    fn of(lives: &[Life]) -> Self {
        let mut times: Vec<_> = lives.iter().map(|life| life.time).collect();
        times.sort_unstable();
        let mut resident: Vec<_> = lives.iter().map(|life| life.resident).collect();
        resident.sort_unstable();
        let at = |percent: usize| times[(times.len() - 1) * percent / 100];
        Self { shortest: at(0), median: at(50), p99: at(99), resident: resident[resident.len() / 2] }
    }
}

impl fmt::Display for Tenth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { shortest, median, p99, resident } = self;
        write!(
            f,
            "{shortest:.1?} at least, {median:.1?} at the median, {p99:.1?} at p99, init of {resident} KiB"
        )
    }
}

/// From create to delete.
fn live(test: &Test, bundle: &Bundle) -> Life {
    let begun = Instant::now();
    let container = test.create(bundle);
    let resident = resident(&container);
    container.start().ok();
    container.kill("KILL").ok();
    assert_eq!(container.wait(), Exit::Signal(9));
    container.delete().ok();
    Life { time: begun.elapsed(), resident }
}

fn resident(container: &Container<'_>) -> usize {
    let status = container.proc("status");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("init is there");
    line.trim_end_matches("kB").trim().parse().expect("a size is a number")
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
        ("dying cgroups", world.cgroup2().map_or(0, |root| dying(&root))),
        ("network devices", entries(Path::new("/sys/class/net"))),
        (
            "segments and queues",
            ["shm", "msg", "sem"].map(|kind| lines(&format!("/proc/sysvipc/{kind}"))).iter().sum(),
        ),
        ("locks", lines("/proc/locks")),
        ("temporary files", entries(&std::env::temp_dir())),
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

/// Cgroups that were removed and are still held by something.
fn dying(root: &Path) -> usize {
    let find = |line: &str| line.strip_prefix("nr_dying_descendants ")?.parse().ok();
    let text = fs::read_to_string(root.join("cgroup.stat")).unwrap_or_default();
    text.lines().find_map(find).unwrap_or(0)
}

fn lines(file: &str) -> usize {
    fs::read_to_string(file).map_or(0, |text| text.lines().count())
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
