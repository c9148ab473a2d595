//! Containers whose cgroups systemd makes. All but one of these need systemd, and say so where there is none.

use std::fs;
use std::path::Path;
use std::process::Command;

use integration::command::{DEADLINE, end};
use integration::faults::sample::wage;
use integration::killer;
use integration::test::{repetitions, text};
use integration::units::{self, alone, create, exec, feels_its_limits, start};
use integration::{Bundle, Container, Kind, Test, leaks, runtime};
use serde_json::{Value, json};

/// A test where systemd runs.
fn test_with_systemd() -> Option<Test> {
    let runs = Path::new("/run/systemd/system").is_dir();
    if !runs {
        println!("no systemd: not tested");
    }
    runs.then(Test::new)
}

/// A bundle, and the name of its unit.
fn bundle(test: &Test, edit: impl FnOnce(&mut Value)) -> (Bundle, String) {
    units::bundle(test, |config| {
        config["process"]["args"] = json!(["/bin/sleep", "1000"]);
        edit(config);
    })
}

fn systemctl(arguments: &[&str]) -> String {
    let said = Command::new("systemctl").args(arguments).output().expect("systemctl can be run");
    String::from_utf8_lossy(&said.stdout).trim().to_owned()
}

fn property(unit: &str, name: &str) -> String {
    systemctl(&["show", "--value", "--property", name, unit])
}

/// What systemd knows of the units of a test, whatever has become of them.
fn units(test: &Test) -> String {
    systemctl(&["list-units", "--all", "--no-legend", "--plain", &format!("{}*", test.mark)])
}

/// Systemd forgets a unit a moment after it has ended.
fn nothing_is_left(test: &Test) {
    let gone = leaks::soon(DEADLINE, || units(test).is_empty().then_some(()));
    assert!(gone.is_some(), "left: {}", units(test));
}

/// What may be done to systemd and its bus while containers run. Who logs in later needs what the bus took along.
fn upset_systemd() {
    systemctl(&["daemon-reload"]);
    systemctl(&["restart", "dbus"]);
    systemctl(&["restart", "systemd-logind"]);
}

fn is_v1(test: &Test) -> bool {
    test.world.hierarchy("memory").is_some_and(|hierarchy| !hierarchy.name.is_empty())
}

/// Where the cgroup of a unit lies, as `/proc/PID/cgroup` tells it.
fn is_at(container: &Container<'_>, path: &str) -> bool {
    let table = container.proc("cgroup");
    let mut own = table.lines().filter(|line| line.contains(":name=systemd:") || line.starts_with("0::"));
    own.all(|line| line.ends_with(&format!(":{path}")))
}

#[test]
fn without_systemd_nothing_is_made_and_the_sentence_says_why() {
    if Path::new("/run/systemd/private").exists() || runtime().kind != Kind::Ours {
        return println!("there is a systemd: not tested");
    }
    let test = Test::new();
    let (bundle, _) = bundle(&test, |_| ());
    for command in ["create", "run"] {
        let said = test.runtime(&["--systemd-cgroup", command, "--bundle", &text(&bundle.path), "c"]);
        let said = said.fails_with(&["cannot reach systemd", "leave --systemd-cgroup out"]);
        assert_eq!(said.stderr.trim().lines().count(), 1, "{said:?}");
    }
    let left = fs::read_dir(test.state_root()).expect("the state root is there");
    let left: Vec<_> = left.flatten().map(|entry| entry.file_name()).filter(|name| name == "c").collect();
    assert!(left.is_empty(), "{left:?}");
}

/// A file of a cgroup with its values, and the unit's property with its own: as versions 1 and 2 have them.
type Limit = (&'static str, &'static str, &'static [&'static str], &'static str, &'static str);

const LIMITS_V2: [Limit; 5] = [
    ("memory", "memory.max", &["67108864"], "MemoryMax", "67108864"),
    // What systemd writes anew has whole percents.
    ("cpu", "cpu.max", &["12345 50000", "12500 50000"], "CPUQuotaPerSecUSec", "250ms"),
    ("cpu", "cpu.weight", &["59"], "CPUWeight", "59"),
    ("cpuset", "cpuset.cpus", &["0"], "AllowedCPUs", "0"),
    ("pids", "pids.max", &["50"], "TasksMax", "50"),
];

const LIMITS_V1: [Limit; 5] = [
    ("memory", "memory.limit_in_bytes", &["67108864"], "MemoryLimit", "67108864"),
    ("cpu", "cpu.cfs_quota_us", &["12345", "12500"], "CPUQuotaPerSecUSec", "250ms"),
    ("cpu", "cpu.shares", &["512"], "CPUShares", "512"),
    ("cpuset", "cpuset.cpus", &["0"], "AllowedCPUs", ""),
    ("pids", "pids.max", &["50"], "TasksMax", "50"),
];

fn limited(config: &mut Value) {
    config["linux"]["resources"]["memory"] = json!({"limit": 64 << 20});
    config["linux"]["resources"]["cpu"] =
        json!({"quota": 12345, "period": 50000, "shares": 512, "cpus": "0"});
    config["linux"]["resources"]["pids"] = json!({"limit": 50});
}

#[test]
fn limits_are_exact_and_survive_what_happens_to_systemd() {
    let Some(test) = test_with_systemd() else { return };
    let (bundle, unit) = bundle(&test, limited);
    let container = start(&test, &bundle);
    let limits = if is_v1(&test) { LIMITS_V1 } else { LIMITS_V2 };
    let value = |limit: &Limit| container.cgroup_file(limit.0, limit.1).unwrap_or_default();
    for limit in &limits {
        assert_eq!(value(limit), limit.2[0], "{}", limit.1);
        assert_eq!(property(&unit, limit.3), limit.4, "{}", limit.3);
    }
    for (name, value) in [
        ("Delegate", "yes"),
        ("Slice", "system.slice"),
        ("CollectMode", "inactive-or-failed"),
        ("DefaultDependencies", "no"),
        ("ActiveState", "active"),
    ] {
        assert_eq!(property(&unit, name), value, "{name}");
    }
    upset_systemd();
    for limit in &limits {
        assert!(limit.2.contains(&value(limit).as_str()), "{} is {}", limit.1, value(limit));
    }
    container.delete_by_force().ok();
    nothing_is_left(&test);
}

#[test]
fn updates_survive_what_happens_to_systemd() {
    let Some(test) = test_with_systemd() else { return };
    let (bundle, unit) = bundle(&test, limited);
    let container = start(&test, &bundle);
    test.runtime(&["update", "--memory", "33554432", "--pids-limit", "40", &container.id]).ok();
    let limits = if is_v1(&test) { LIMITS_V1 } else { LIMITS_V2 };
    let check = || {
        for (limit, new) in [(&limits[0], "33554432"), (&limits[4], "40")] {
            assert_eq!(container.cgroup_file(limit.0, limit.1).as_deref(), Some(new), "{}", limit.1);
            assert_eq!(property(&unit, limit.3), new, "{}", limit.3);
        }
    };
    check();
    upset_systemd();
    check();
    container.delete_by_force().ok();
    nothing_is_left(&test);
}

#[test]
fn limits_are_felt_whatever_happens_to_systemd() {
    const MIB: u64 = 1 << 20;
    let Some(test) = test_with_systemd() else { return };
    let (bundle, _) = bundle(&test, |config| {
        // It collects what others leave, which would count as long as nobody does.
        config["process"]["args"] = json!(["/bin/sh", "-c", "sleep 1000; true"]);
        config["linux"]["resources"]["memory"] = json!({"limit": 32 * MIB, "swap": 32 * MIB});
        config["linux"]["resources"]["cpu"] = json!({"quota": 20000, "period": 100_000});
        config["linux"]["resources"]["pids"] = json!({"limit": 10});
    });
    let container = start(&test, &bundle);
    let throttled = || {
        let text = container.cgroup_file("cpu", "cpu.stat").unwrap_or_default();
        let count = text.lines().find_map(|line| line.strip_prefix("nr_throttled ")?.parse::<u64>().ok());
        count.unwrap_or_else(|| panic!("cpu.stat counts nothing: {text}"))
    };
    let feel = || {
        alone(&container);
        let before = throttled();
        exec(&container, "i=0; while [ $i -lt 3000 ]; do i=$((i+1)); done").ok();
        assert!(throttled() > before, "nobody was slowed down");
        feels_its_limits(&container);
    };
    feel();
    upset_systemd();
    feel();
}

#[test]
fn an_update_that_is_refused_changes_nothing() {
    let Some(test) = test_with_systemd() else { return };
    let (bundle, unit) = bundle(&test, |config| {
        config["linux"]["resources"]["pids"] = json!({"limit": 50});
    });
    let container = start(&test, &bundle);
    let refused = test.runtime(&["update", "--pids-limit", "40", "--cpuset-cpus", "4000", &container.id]);
    refused.fails_with(&["cpuset.cpus"]);
    assert_eq!(container.cgroup_file("pids", "pids.max").as_deref(), Some("50"));
    assert_eq!(property(&unit, "TasksMax"), "50");
}

#[test]
fn device_rules_survive_what_happens_to_systemd() {
    let Some(test) = test_with_systemd() else { return };
    let (bundle, unit) = bundle(&test, |config| {
        config["linux"]["devices"] = json!([
            {"path": "/dev/yes", "type": "c", "major": 5, "minor": 1},
            {"path": "/dev/no", "type": "c", "major": 10, "minor": 229},
        ]);
        config["linux"]["resources"]["devices"] = json!([
            {"allow": false, "access": "rwm"},
            {"allow": true, "type": "c", "major": 5, "minor": 1, "access": "rwm"},
        ]);
    });
    let container = start(&test, &bundle);
    let check = || {
        let open =
            |device: &str| test.runtime(&["exec", &container.id, "/bin/sh", "-c", &format!(": <{device}")]);
        open("/dev/yes").ok();
        open("/dev/null").ok();
        open("/dev/no").fails_with(&["not permitted"]);
    };
    check();
    assert_eq!(property(&unit, "DevicePolicy"), "strict");
    assert!(property(&unit, "DeviceAllow").contains("/dev/char/5:1 rwm"));
    upset_systemd();
    check();
    test.runtime(&["update", "--pids-limit", "40", &container.id]).ok();
    check();
}

#[test]
fn processes_are_where_the_unit_is() {
    let Some(test) = test_with_systemd() else { return };
    let (bundle, unit) = bundle(&test, |_| ());
    let container = start(&test, &bundle);
    assert!(is_at(&container, &format!("/system.slice/{unit}")), "{}", container.proc("cgroup"));
    let file = text(&test.directory.join("pid"));
    test.runtime(&["exec", "--detach", "--pid-file", &file, &container.id, "/bin/sleep", "1000"]).ok();
    let pid = fs::read_to_string(&file).expect("the pid file is there");
    let cgroup = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("the process is there");
    assert_eq!(cgroup, container.proc("cgroup"));
    // It is a child of this process by now, and nobody else collects it.
    end(pid.parse().expect("a pid file has a number"));
}

#[test]
fn a_paused_container_stays_so_until_it_is_resumed() {
    let Some(test) = test_with_systemd() else { return };
    let (bundle, unit) = bundle(&test, |_| ());
    let container = start(&test, &bundle);
    container.command(&["pause"]).ok();
    upset_systemd();
    assert_eq!(container.status(), "paused");
    container.command(&["resume"]).ok();
    assert_eq!(container.status(), "running");
    container.command(&["pause"]).ok();
    container.delete_by_force().ok();
    assert_eq!(property(&unit, "ActiveState"), "inactive");
    nothing_is_left(&test);
}

#[test]
fn a_unit_of_others_is_left_alone() {
    let Some(test) = test_with_systemd() else { return };
    let (bundle, unit) = bundle(&test, |_| ());
    let mut other = Command::new("systemd-run")
        .args(["--scope", "--quiet", "--unit", &unit, "sleep", "1000"])
        .spawn()
        .expect("systemd-run can be run");
    let active = leaks::soon(DEADLINE, || (property(&unit, "ActiveState") == "active").then_some(()));
    active.expect("the other unit runs");
    create(&test, &bundle, "c").fails_with(&[&unit, "not empty"]);
    test.runtime(&["delete", "--force", "c"]).ok();
    assert_eq!(property(&unit, "ActiveState"), "active");
    systemctl(&["stop", &unit]);
    other.wait().expect("it has ended");
}

#[test]
fn a_unit_that_failed_makes_way() {
    let Some(test) = test_with_systemd() else { return };
    let (bundle, unit) = bundle(&test, |_| ());
    let mut other = Command::new("systemd-run")
        .args(["--scope", "--quiet", "--property=RuntimeMaxSec=1", "--unit", &unit, "sleep", "1000"])
        .spawn()
        .expect("systemd-run can be run");
    other.wait().expect("it has ended");
    let failed = leaks::soon(DEADLINE, || (property(&unit, "ActiveState") == "failed").then_some(()));
    failed.expect("a scope that runs too long has failed");
    let container = start(&test, &bundle);
    assert_eq!(property(&unit, "ActiveState"), "active");
    container.delete_by_force().ok();
    nothing_is_left(&test);
}

#[test]
fn slices_are_made_and_a_container_can_be_one() {
    let Some(test) = test_with_systemd() else { return };
    let (in_slice, unit) = bundle(&test, |config| {
        config["linux"]["cgroupsPath"] = json!(format!("{0}-a.slice:{0}:x", test.mark));
    });
    let unit = format!("{}-x.scope", unit.split('-').next().unwrap_or_default());
    let container = start(&test, &in_slice);
    let path = format!("/{0}.slice/{0}-a.slice/{unit}", test.mark);
    assert!(is_at(&container, &path), "{}", container.proc("cgroup"));
    let (slice, _) = bundle(&test, |config| {
        config["linux"]["cgroupsPath"] = json!(format!("::{}-b.slice", test.mark));
        config["linux"]["resources"]["pids"] = json!({"limit": 50});
    });
    let other = start(&test, &slice);
    assert!(is_at(&other, &format!("/{0}.slice/{0}-b.slice", test.mark)), "{}", other.proc("cgroup"));
    assert_eq!(other.cgroup_file("pids", "pids.max").as_deref(), Some("50"));
    // Who has made the cgroups above, where systemd doesn't, removes them if nobody else is there.
    other.delete_by_force().ok();
    container.delete_by_force().ok();
    assert!(!units(&test).contains(".scope") && !units(&test).contains("-b.slice"), "{}", units(&test));
    systemctl(&["stop", &format!("{}.slice", test.mark)]);
}

#[test]
fn annotations_set_what_is_harmless_and_nothing_else() {
    let Some(test) = test_with_systemd() else { return };
    let (harmless, unit) = bundle(&test, |config| {
        config["annotations"] = json!({
            "org.systemd.property.TimeoutStopSec": "1.5",
            "org.systemd.property.KillSignal": "10",
            "org.systemd.property.After": "['dbus.service']",
        });
    });
    let _container = start(&test, &harmless);
    assert_eq!(property(&unit, "TimeoutStopUSec"), "1.500000s");
    assert_eq!(property(&unit, "KillSignal"), "10");
    assert!(property(&unit, "After").contains("dbus.service"));
    for (name, value) in [("ExecStop", "'/bin/true'"), ("KillSignal", "'x"), ("User", "'nobody'")] {
        let (bundle, unit) = bundle(&test, |config| {
            config["annotations"] = json!({format!("org.systemd.property.{name}"): value});
        });
        create(&test, &bundle, "c").fails_with(&[&format!("/annotations/org.systemd.property.{name}")]);
        assert_eq!(property(&unit, "LoadState"), "not-found");
    }
}

#[test]
fn many_lives_and_deaths_leave_no_unit() {
    /// A creation makes about so many calls until the unit is there, and after it.
    const CALLS: usize = 260;
    let Some(test) = test_with_systemd() else { return };
    let (bundle, _) = bundle(&test, |_| ());
    let path = text(&bundle.path);
    for cycle in 0..repetitions("LIVES", 200) {
        let id = test.fresh();
        let create = ["--systemd-cgroup", "create", "--bundle", &path, &id];
        match cycle % 4 {
            // Each of the other lives uses the name of one that ended badly.
            0 => {
                killer::kill_at(test.call(&create), (cycle * 37 % CALLS + 1) as u32);
            }
            1 => {
                test.runtime(&create).ok();
                test.runtime(&["kill", &id, "KILL"]).ok();
            }
            _ => {
                test.runtime(&create).ok();
            }
        }
        test.runtime(&["delete", "--force", &id]).ok();
        leaks::reap_orphans(&test);
    }
    nothing_is_left(&test);
    assert_eq!(systemctl(&["list-units", "--failed", "--no-legend", &format!("{}*", test.mark)]), "");
}

/// A sample of what `make test-faults` does where systemd runs.
#[test]
fn faults_leave_no_unit() {
    if test_with_systemd().is_some() {
        wage(&["systemd", "plain", "create", "run", "delete-force", "limit=4"]);
    }
}
