//! Limits as their payload feels them: with the controllers of version 1 or of version 2, wherever a machine has them.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use integration::bundle::{memory_without_swap, shell, swaps};
use integration::command::DEADLINE;
use integration::leaks::soon;
use integration::user::{ours, with_all_ids};
use integration::{Container, Outcome, PROBER, Test, World, smallest};
use serde_json::{Value, json};

/// Runs a test in every world where this controller can limit something.
fn with(controller: &str, run: impl Fn(&Test)) {
    let worlds: Vec<_> =
        World::all().into_iter().filter(|world| world.hierarchy(controller).is_some()).collect();
    match worlds.is_empty() {
        true => println!("no world with {controller}: not tested"),
        false => worlds.into_iter().for_each(|world| run(&Test::at(world))),
    }
}

fn run(test: &Test, resources: Value, script: &str) -> Outcome {
    test.run_with(|config| {
        limit(config, resources);
        shell(config, script);
    })
}

fn limit(config: &mut Value, resources: Value) {
    for (name, section) in resources.as_object().into_iter().flatten() {
        config["linux"]["resources"][name] = section.clone();
    }
}

fn started<'a>(test: &'a Test, resources: Value, script: &str) -> Container<'a> {
    test.start(&test.bundle(|config| {
        limit(config, resources);
        shell(config, script);
    }))
}

/// A number that stands behind a word in a file of the container's cgroup.
fn counted(container: &Container<'_>, controller: &str, file: &str, word: &str) -> u64 {
    let text = container.cgroup_file(controller, file).unwrap_or_default();
    let found = text.lines().find_map(|line| line.strip_prefix(word)?.trim().parse().ok());
    found.unwrap_or_else(|| panic!("{file} has no {word}: {text:?}"))
}

const MIB: u64 = 1 << 20;

/// Fills a buffer of this many MiB.
fn fill(mebibytes: u64) -> String {
    format!("dd if=/dev/zero of=/dev/null bs={mebibytes}M count=1 2>/dev/null; echo $?")
}

#[test]
fn who_takes_too_much_memory_is_killed_and_counted() {
    with("memory", |test| {
        let memory = memory_without_swap(16 * MIB);
        let script = format!("{}; sleep 1000", fill(200));
        let container = started(test, json!({"memory": memory}), &script);
        container.has_said("137");
        let file = match container.cgroup_file("memory", "memory.events") {
            Some(_) => "memory.events",
            None => "memory.oom_control",
        };
        assert!(counted(&container, "memory", file, "oom_kill ") > 0);
    });
}

#[test]
fn swap_adds_to_memory_as_much_as_it_may() {
    if !swaps() {
        return println!("no swap on this machine: not tested");
    }
    with("memory", |test| {
        let limits = |swap: u64| json!({"memory": {"limit": 16 * MIB, "swap": swap * MIB}});
        assert_eq!(run(test, limits(16), &fill(64)).ok().stdout, "137\n");
        assert_eq!(run(test, limits(256), &fill(64)).ok().stdout, "0\n");
    });
}

#[test]
fn who_has_used_its_quota_waits() {
    with("cpu", |test| {
        let container =
            started(test, json!({"cpu": {"quota": 10_000, "period": 50_000}}), "while :; do :; done");
        let waited = || (counted(&container, "cpu", "cpu.stat", "nr_throttled ") > 0).then_some(());
        assert!(soon(DEADLINE, waited).is_some(), "{:?}", container.cgroup_file("cpu", "cpu.stat"));
    });
}

/// What the processes of a container have had of the processors.
fn used(container: &Container<'_>) -> u64 {
    match container.cgroup_file("cpuacct", "cpuacct.usage") {
        Some(nanoseconds) => nanoseconds.parse().expect("a number"),
        None => counted(container, "cpu", "cpu.stat", "usage_usec "),
    }
}

#[test]
fn who_has_more_shares_gets_more_of_a_processor() {
    with("cpu", |test| {
        if test.world.hierarchy("cpuset").is_none() {
            return println!("no cpuset beside cpu: not tested");
        }
        let busy = |shares: u32| {
            started(test, json!({"cpu": {"shares": shares, "cpus": "0"}}), "while :; do :; done")
        };
        let both = [busy(1024), busy(128)];
        let before = both.each_ref().map(used);
        let since = Instant::now();
        while since.elapsed() < Duration::from_secs(3) {
            std::thread::park_timeout(Duration::from_secs(1));
        }
        let [more, less] = [0, 1].map(|one| used(&both[one]) - before[one]);
        assert!(less > 0 && more > 2 * less, "{more} and {less}");
    });
}

#[test]
fn shares_are_weights_in_version_2() {
    with("cpu", |test| {
        let container = started(test, json!({"cpu": {"shares": 512}}), "sleep 1000");
        let seen = ["cpu.weight", "cpu.shares"].map(|file| container.cgroup_file("cpu", file));
        assert!(
            matches!(seen.each_ref().map(Option::as_deref), [Some("59"), _] | [None, Some("512")]),
            "{seen:?}"
        );
    });
}

/// The number of a disk that tests may write to: one whose serial number says so.
fn scratch() -> Option<(u32, u32)> {
    let disks = fs::read_dir("/sys/block").ok()?.flatten().map(|entry| entry.path());
    let named =
        |path: &Path| fs::read_to_string(path.join("serial")).is_ok_and(|name| name.trim() == "scratch");
    let number = fs::read_to_string(disks.into_iter().find(|path| named(path))?.join("dev")).ok()?;
    let (major, minor) = number.trim().split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// Throttles of the disk that tests may write to, each with a script that then takes four seconds, and none without.
const THROTTLES: [(&str, u64, &str); 4] = [
    ("throttleWriteBpsDevice", MIB, "dd if=/dev/zero of=/dev/disk bs=64k count=64 oflag=direct 2>/dev/null"),
    ("throttleReadBpsDevice", MIB, "dd if=/dev/disk of=/dev/null bs=64k count=64 iflag=direct 2>/dev/null"),
    ("throttleWriteIOPSDevice", 16, "dd if=/dev/zero of=/dev/disk bs=4k count=64 oflag=direct 2>/dev/null"),
    ("throttleReadIOPSDevice", 16, "dd if=/dev/disk of=/dev/null bs=4k count=64 iflag=direct 2>/dev/null"),
];

/// A container with the disk in it.
fn with_disk(config: &mut Value, (major, minor): (u32, u32)) {
    config["linux"]["devices"] =
        json!([{"path": "/dev/disk", "type": "b", "major": major, "minor": minor, "fileMode": 0o600}]);
    config["linux"]["resources"]["devices"] = json!([
        {"allow": false, "access": "rwm"},
        {"allow": true, "type": "b", "major": major, "minor": minor, "access": "rw"}
    ]);
}

#[test]
fn a_slow_disk_is_slow() {
    let Some(disk) = scratch() else {
        return println!("no disk with the serial number \"scratch\": not tested");
    };
    let Some(test) = ["io", "blkio"].into_iter().find_map(World::with).map(Test::at) else {
        return println!("no world with io or blkio: not tested");
    };
    for (throttle, rate, script) in THROTTLES {
        let taken = |limits: Value| {
            let start = Instant::now();
            let outcome = test.run_with(|config| {
                with_disk(config, disk);
                limit(config, limits);
                shell(config, script);
            });
            outcome.ok();
            start.elapsed()
        };
        taken(json!({}));
        let slow = taken(json!({"blockIO": {throttle: [{"major": disk.0, "minor": disk.1, "rate": rate}]}}));
        assert!(slow > Duration::from_secs(3), "{throttle}: what takes 4 seconds took {slow:?}");
    }
}

#[test]
fn processes_are_counted() {
    with("pids", |test| {
        let outcome =
            run(test, json!({"pids": {"limit": 10}}), "for i in $(seq 40); do sleep 30 & done; wait");
        assert!(!outcome.succeeded() && outcome.stderr.contains("fork"), "{outcome:#?}");
    });
}

#[test]
fn huge_pages_end_at_the_limit() {
    const PAGES: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages";
    let free = fs::read_to_string(PAGES).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
    if free < 4 {
        return println!("no huge pages set aside: not tested");
    }
    with("hugetlb", |test| {
        let take = |pages: &str| {
            test.run_with(|config| {
                limit(config, json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MIB}]}));
                config["process"]["args"] = json!([PROBER, "hugepages", pages]);
            })
        };
        assert_eq!(take("2").ok().stdout, "2 taken\n");
        let more = take("3");
        assert!(!more.succeeded() && more.stdout.is_empty(), "{more:#?}");
    });
}

#[test]
fn a_set_of_cpus_binds() {
    with("cpuset", |test| {
        let (_, seen) = integration::expected::probe(test, |config| {
            limit(config, json!({"cpu": {"cpus": "0", "mems": "0"}}));
        });
        assert_eq!(seen["affinity"], json!([0]));
    });
}

#[test]
fn a_device_opens_only_if_a_rule_allows_it() {
    for world in World::all() {
        let test = Test::at(world);
        let opened = |rules: Value| {
            let outcome = test.run_with(|config| {
                config["linux"]["devices"] =
                    json!([{"path": "/dev/probe", "type": "c", "major": 1, "minor": 11, "fileMode": 0o666}]);
                config["linux"]["resources"]["devices"] = rules;
                shell(config, "(: >>/dev/probe) 2>/dev/null && echo opened; true");
            });
            outcome.ok().stdout
        };
        let none = json!({"allow": false, "access": "rwm"});
        let rule =
            |access: &str| json!({"allow": true, "type": "c", "major": 1, "minor": 11, "access": access});
        assert_eq!(opened(json!([none])), "", "{world:?}");
        assert_eq!(opened(json!([none, rule("r")])), "", "{world:?}");
        assert_eq!(opened(json!([none, rule("w")])), "opened\n", "{world:?}");
        assert_eq!(opened(json!([none, rule("rw"), {"allow": false, "access": "w"}])), "", "{world:?}");
    }
}

/// In KiB. Each processor keeps up to 256 in hand.
fn little() -> u64 {
    let processors = std::thread::available_parallelism().map_or(1, usize::from) as u64;
    64 + 256 * processors
}

#[test]
fn a_container_starts_with_little_memory() {
    if World::Unified.hierarchy("memory").is_none() {
        return println!("no memory in version 2: not tested");
    }
    let test = Test::at(World::Unified);
    let bundle = test.bundle(|config| smallest::limit(config, little()));
    (0..20).for_each(|_| drop(test.run(&bundle).ok()));
}

/// Gives the cgroups below the root these controllers, as whoever hands a cgroup over does.
fn hand_down(controllers: &str) -> bool {
    let root = World::Unified.cgroup2().expect("this world has a tree");
    fs::write(root.join("cgroup.subtree_control"), controllers).is_ok()
}

#[test]
fn what_an_ordinary_user_sets_in_a_cgroup_of_his_is_felt() {
    if !ours() {
        return;
    }
    if !hand_down("+memory +pids") {
        return println!("no memory and pids in version 2: not tested");
    }
    let test = Test::of_user_with_cgroup();
    let run = |resources: Value, script: &str| {
        test.run_with(|config| {
            with_all_ids(config);
            limit(config, resources);
            shell(config, script);
        })
    };
    let memory = memory_without_swap(16 * MIB);
    assert_eq!(run(json!({"memory": memory}), &fill(200)).ok().stdout, "137\n");
    let many = run(json!({"pids": {"limit": 10}}), "for i in $(seq 40); do sleep 30 & done; wait");
    assert!(!many.succeeded() && many.stderr.contains("fork"), "{many:#?}");
}

#[test]
fn memory_that_is_taken_away_from_a_running_container_is_felt() {
    with("memory", |test| {
        let grow = "echo ready; while [ ! -e /tmp/go ]; do sleep 0.1; done";
        let script = format!("{grow}; {}; sleep 1000", fill(200));
        let bundle = test.bundle(|config| {
            config["root"]["readonly"] = json!(false);
            shell(config, &script);
        });
        let container = test.start(&bundle);
        container.has_said("ready");
        test.runtime(&["update", "--memory", "16M", "--memory-swap", "16M", &container.id]).ok();
        fs::write(bundle.inside("/tmp/go"), "").expect("the rootfs can be written");
        container.has_said("137");
        assert_eq!(container.status(), "running", "only who took too much is killed");
    });
}
