//! Limits: that they are set, read back by another program's eyes, and that they limit.

use cgroups_rs::cpu::CpuController;
use cgroups_rs::memory::MemController;
use cgroups_rs::pid::PidController;
use cgroups_rs::{Cgroup, MaxValue, hierarchies};
use integration::bundle::shell;
use integration::{Container, Test, World, promise};
use serde_json::{Value, json};

/// A test where this controller can limit something; none where the runtime or the machine has no such world.
fn test_with(controller: &str) -> Option<Test> {
    let world = World::with(controller);
    if world.is_none() {
        println!("no world with {controller} for this runtime: not tested");
    }
    world.map(Test::at)
}

/// The container's cgroup as cgroups-rs sees it, which reads the machine's own hierarchies.
fn witness(container: &Container<'_>) -> Option<Cgroup> {
    let known = container.world() == World::Host;
    known.then(|| Cgroup::load(hierarchies::auto(), container.cgroup_path()))
}

fn limited(test: &Test, edit: impl FnOnce(&mut Value)) -> Container<'_> {
    let bundle = test.bundle(|config| {
        config["process"]["args"] = json!(["/bin/sleep", "1000"]);
        edit(&mut config["linux"]["resources"]);
    });
    test.create(&bundle)
}

#[test]
fn memory_limits_are_set() {
    let Some(test) = test_with("memory") else { return };
    let container = limited(&test, |resources| {
        resources["memory"] = json!({"limit": 33_554_432, "reservation": 16_777_216});
    });
    let Some(cgroup) = witness(&container) else { return };
    let memory: &MemController = cgroup.controller_of().expect("a memory controller");
    let seen = memory.memory_stat();
    assert_eq!((seen.limit_in_bytes, seen.soft_limit_in_bytes), (33_554_432, 16_777_216));
}

#[test]
fn cpu_shares_quota_and_period_are_set() {
    let Some(test) = test_with("cpu") else { return };
    let container = limited(&test, |resources| resources["cpu"] = json!({"shares": 512}));
    if let Some(cgroup) = witness(&container) {
        let cpu: &CpuController = cgroup.controller_of().expect("a cpu controller");
        assert_eq!(cpu.shares().ok(), Some(512));
    }
    let container = limited(&test, |resources| resources["cpu"] = json!({"quota": 20_000, "period": 50_000}));
    if let Some(cgroup) = witness(&container) {
        let cpu: &CpuController = cgroup.controller_of().expect("a cpu controller");
        assert_eq!((cpu.cfs_quota().ok(), cpu.cfs_period().ok()), (Some(20_000), Some(50_000)));
    }
}

#[test]
fn a_number_of_processes_is_set() {
    let Some(test) = test_with("pids") else { return };
    let container = limited(&test, |resources| resources["pids"] = json!({"limit": 77}));
    let Some(cgroup) = witness(&container) else { return };
    let pids: &PidController = cgroup.controller_of().expect("a pids controller");
    assert_eq!(pids.get_pid_max().ok(), Some(MaxValue::Value(77)));
}

#[test]
fn a_container_that_takes_too_much_memory_is_killed() {
    let Some(test) = test_with("memory") else { return };
    let outcome = test.run_with(|config| {
        config["linux"]["resources"]["memory"] = json!({"limit": 16_777_216});
        if std::fs::read_to_string("/proc/swaps").is_ok_and(|table| table.lines().count() > 1) {
            config["linux"]["resources"]["memory"]["swap"] = json!(16_777_216);
        }
        config["process"]["args"] = json!(["/bin/dd", "if=/dev/zero", "of=/dev/null", "bs=200M", "count=1"]);
    });
    outcome.exits(137);
}

#[test]
fn a_fork_loop_is_stopped_at_the_limit() {
    let Some(test) = test_with("pids") else { return };
    let outcome = test.run_with(|config| {
        config["linux"]["resources"]["pids"] = json!({"limit": 10});
        shell(config, "i=0; while [ $i -lt 40 ]; do sleep 30 & i=$((i+1)); done; wait");
    });
    assert!(!outcome.succeeded() && outcome.stderr.contains("fork"), "{outcome:#?}");
}

#[test]
fn a_set_of_cpus_binds_the_container() {
    let Some(test) = test_with("cpuset") else { return };
    let (_, seen) = integration::expected::probe(&test, |config| {
        config["linux"]["resources"]["cpu"] = json!({"cpus": "0", "mems": "0"});
    });
    assert_eq!(seen["affinity"], json!([0]));
}

#[test]
fn every_process_is_in_the_cgroup_of_the_configuration() {
    for world in World::all() {
        let test = Test::at(world);
        let container = limited(&test, |_| {});
        let table = container.proc("cgroup");
        // The kernel lists cgroup2 even where nobody has mounted it.
        let unused = |line: &str| line.starts_with("0::") && world.cgroup2().is_none();
        let outside: Vec<_> =
            table.lines().filter(|line| !line.contains(&test.mark) && !unused(line)).collect();
        let v2 = world == World::Unified;
        assert!(table.contains(&test.mark) && (v2 || outside.is_empty()), "{world:?}: {table}");
    }
}

#[test]
fn update_changes_the_limits_of_a_running_container() {
    let Some(test) = test_with("pids") else { return };
    let container = limited(&test, |resources| resources["pids"] = json!({"limit": 77}));
    container.start().ok();
    promise("update changes a limit", || {
        test.runtime(&["update", "--pids-limit", "55", &container.id]).ok();
        assert_eq!(container.cgroup_file("pids", "pids.max").as_deref(), Some("55"));
    });
}

#[test]
fn a_limit_that_makes_no_sense_is_refused() {
    let Some(world) = World::with("cpu") else { return };
    promise("a cpuset that this machine does not have", || {
        let test = Test::at(world);
        let bundle = test.bundle(|config| config["linux"]["resources"]["cpu"] = json!({"cpus": "4000"}));
        test.try_create(&bundle).fails();
    });
}

#[test]
fn a_device_that_is_not_allowed_cannot_be_opened_in_any_world() {
    for world in World::all() {
        let test = Test::at(world);
        let outcome = test.run_with(|config| {
            config["linux"]["devices"] =
                json!([{"path": "/dev/probe", "type": "c", "major": 1, "minor": 11, "fileMode": 0o666}]);
            shell(config, "(: >>/dev/probe) 2>/dev/null && echo opened; (: >>/dev/null) && echo null");
        });
        assert_eq!(outcome.ok().stdout, "null\n", "{world:?}");
    }
}
