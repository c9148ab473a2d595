//! Other limits for containers that exist: what changes, what doesn't, and what is remembered.

use std::fs::File;
use std::io::Write;

use integration::bundle::shell;
use integration::{Container, Outcome, Test, World, bpf, promise};
use serde_json::{Value, json};

/// A test where these controllers can limit something; none where the machine has no such world.
fn test_with(controllers: &[&str]) -> Option<Test> {
    let has_all = |world: &World| controllers.iter().all(|name| world.hierarchy(name).is_some());
    let world = World::all().into_iter().find(has_all);
    if world.is_none() {
        println!("no world with {controllers:?}: not tested");
    }
    world.map(Test::at)
}

fn sleeper(test: &Test, resources: Value) -> Container<'_> {
    test.start(&test.bundle(|config| {
        config["process"]["args"] = json!(["/bin/sleep", "1000"]);
        for (name, section) in resources.as_object().into_iter().flatten() {
            config["linux"]["resources"][name] = section.clone();
        }
    }))
}

fn update(container: &Container<'_>, test: &Test, options: &[&str]) -> Outcome {
    test.runtime(&[&["update"], options, &[container.id.as_str()]].concat())
}

/// `update --resources -`, as containerd calls it.
fn update_from(test: &Test, container: &Container<'_>, resources: &Value) -> Outcome {
    let path = test.directory.join(test.fresh());
    let mut file = File::create(&path).expect("a file of the test");
    file.write_all(resources.to_string().as_bytes()).expect("a file of the test");
    let stdin = File::open(&path).expect("a file of the test");
    test.call(&["update", "--resources=-", &container.id]).stdin(stdin).run()
}

#[track_caller]
fn says(container: &Container<'_>, controller: &str, file: &str, value: &str) {
    assert_eq!(seen(container, controller, file).as_deref(), Some(value), "{file}");
}

const UNLIMITED: &str = "9223372036854771712";

/// What a file of version 1 says, or would say were its limit not in version 2.
fn seen(container: &Container<'_>, controller: &str, file: &str) -> Option<String> {
    let read = |file: &str| container.cgroup_file(controller, file);
    let bandwidth = |place| Some(read("cpu.max")?.split(' ').nth(place)?.replace("max", "-1"));
    let bytes = |file| Some(read(file)?.replace("max", UNLIMITED).parse::<u64>().expect("a number of bytes"));
    let unlimited = UNLIMITED.parse().expect("a number");
    read(file).or_else(|| match file {
        "memory.limit_in_bytes" => Some(bytes("memory.max")?.to_string()),
        "memory.soft_limit_in_bytes" => read("memory.low"),
        "memory.memsw.limit_in_bytes" => {
            let both = bytes("memory.max")? + bytes("memory.swap.max")?;
            Some(both.min(unlimited).to_string())
        }
        "cpu.cfs_quota_us" => bandwidth(0),
        "cpu.cfs_period_us" => bandwidth(1),
        "cpu.cfs_burst_us" => read("cpu.max.burst"),
        "cpu.shares" => Some(read("cpu.weight")?.replace("59", "512")),
        _ => None,
    })
}

#[test]
fn every_option_changes_its_file() {
    let Some(test) = test_with(&["cpu", "cpuset", "memory", "pids"]) else { return };
    let container = sleeper(&test, json!({}));
    for (option, value, controller, file, seen) in [
        ("--pids-limit", "55", "pids", "pids.max", "55"),
        ("--pids-limit", "-1", "pids", "pids.max", "max"),
        ("--cpu-share", "512", "cpu", "cpu.shares", "512"),
        ("--cpu-period", "50000", "cpu", "cpu.cfs_period_us", "50000"),
        ("--cpu-quota", "20000", "cpu", "cpu.cfs_quota_us", "20000"),
        ("--cpu-quota", "-1", "cpu", "cpu.cfs_quota_us", "-1"),
        ("--cpuset-cpus", "0", "cpuset", "cpuset.cpus", "0"),
        ("--cpuset-mems", "0", "cpuset", "cpuset.mems", "0"),
        ("--memory", "64M", "memory", "memory.limit_in_bytes", "67108864"),
        ("--memory", "33554432", "memory", "memory.limit_in_bytes", "33554432"),
        ("--memory-reservation", "16m", "memory", "memory.soft_limit_in_bytes", "16777216"),
    ] {
        let said = update(&container, &test, &[option, value]).ok();
        assert_eq!((said.stdout.as_str(), said.stderr.as_str()), ("", ""), "{option}");
        says(&container, controller, file, seen);
    }
}

#[test]
fn an_idle_container_has_no_share() {
    promise("update --cpu-idle and --cpu-burst", || {
        let Some(test) = test_with(&["cpu"]) else { return };
        let container = sleeper(&test, json!({"cpu": {"shares": 512}}));
        update(&container, &test, &["--cpu-idle", "1"]).ok();
        says(&container, "cpu", "cpu.idle", "1");
        update(&container, &test, &["--cpu-idle=0"]).ok();
        says(&container, "cpu", "cpu.idle", "0");
        update(&container, &test, &["--cpu-quota", "20000", "--cpu-burst", "10000"]).ok();
        update(&container, &test, &["--cpu-burst", "0", "--cpu-quota", "5000"]).ok();
        says(&container, "cpu", "cpu.cfs_burst_us", "0");
    });
}

#[test]
fn memory_and_swap_move_together_in_both_directions() {
    let Some(test) = test_with(&["memory"]) else { return };
    let container = sleeper(&test, json!({"memory": {"limit": 33_554_432, "swap": 67_108_864}}));
    if seen(&container, "memory", "memory.memsw.limit_in_bytes").is_none() {
        return println!("the kernel doesn't count swap: not tested");
    }
    for (limit, swap, seen) in [
        ("256M", "512M", ["268435456", "536870912"]),
        ("32M", "32M", ["33554432", "33554432"]),
        ("64M", "64M", ["67108864", "67108864"]),
    ] {
        update(&container, &test, &["--memory", limit, "--memory-swap", swap]).ok();
        says(&container, "memory", "memory.limit_in_bytes", seen[0]);
        says(&container, "memory", "memory.memsw.limit_in_bytes", seen[1]);
    }
    update(&container, &test, &["--memory", "-1"]).ok();
    says(&container, "memory", "memory.limit_in_bytes", UNLIMITED);
    says(&container, "memory", "memory.memsw.limit_in_bytes", UNLIMITED);
}

#[test]
fn quota_and_period_are_remembered_from_update_to_update() {
    let Some(test) = test_with(&["cpu"]) else { return };
    let container = sleeper(&test, json!({"cpu": {"quota": 20_000, "period": 50_000}}));
    update(&container, &test, &["--cpu-quota", "10000"]).ok();
    says(&container, "cpu", "cpu.cfs_period_us", "50000");
    update(&container, &test, &["--cpu-period", "40000"]).ok();
    says(&container, "cpu", "cpu.cfs_quota_us", "10000");
    update(&container, &test, &["--cpu-quota", "8000"]).ok();
    says(&container, "cpu", "cpu.cfs_period_us", "40000");
}

#[test]
fn swap_is_counted_from_a_limit_that_an_update_has_set() {
    promise("swap without limit is told", || {
        let Some(test) = test_with(&["memory"]) else { return };
        let container = sleeper(&test, json!({}));
        update(&container, &test, &["--memory-swap", "64M"])
            .fails_with(&["unable to set swap limit without memory limit"]);
        update(&container, &test, &["--memory", "32M"]).ok();
        update(&container, &test, &["--memory-swap", "64M"]).ok();
        says(&container, "memory", "memory.memsw.limit_in_bytes", "67108864");
    });
}

#[test]
fn a_document_on_standard_input_counts_alone() {
    let Some(test) = test_with(&["pids", "memory"]) else { return };
    let container = sleeper(&test, json!({"pids": {"limit": 77}}));
    let everything = json!({
        "devices": [{"allow": true, "access": "rwm"}],
        "memory": {"limit": 33_554_432, "reservation": 0, "swap": 0},
        "cpu": {"shares": 0, "quota": 0, "period": 0, "cpus": "", "mems": ""},
        "blockIO": {"weight": 0},
    });
    let said = update_from(&test, &container, &everything).ok();
    assert_eq!((said.stdout.as_str(), said.stderr.as_str()), ("", ""));
    says(&container, "memory", "memory.limit_in_bytes", "33554432");
    says(&container, "pids", "pids.max", "77");
    update_from(&test, &container, &json!([1])).fails();
    update_from(&test, &container, &json!({"memory": {"limit": "much"}})).fails();
    update(&container, &test, &["--resources", "/nonexistent"]).fails_with(&["no such file"]);
}

#[test]
fn device_rules_stay_as_they_are_in_every_world() {
    for world in World::all() {
        let test = Test::at(world);
        let container = sleeper(&test, json!({"devices": [{"allow": false, "access": "rwm"}]}));
        let rules = || container.cgroup_file("devices", "devices.list");
        let programs = || container.cgroup2().map(|path| bpf::device_programs(&path));
        let before = (rules(), programs());
        let all = json!({"devices": [{"allow": true, "access": "rwm"}]});
        update_from(&test, &container, &all).ok();
        assert_eq!((rules(), programs()), before, "{world:?}");
        assert_ne!(before.0.as_deref(), Some("a *:* rwm"), "{world:?}");
    }
}

#[test]
fn a_refused_limit_leaves_all_others_as_they_were() {
    let Some(test) = test_with(&["cpuset", "memory", "cpu"]) else { return };
    let container = sleeper(&test, json!({"memory": {"limit": 33_554_432}, "cpu": {"shares": 512}}));
    update(&container, &test, &["--memory", "64M", "--cpu-share", "100", "--cpuset-cpus", "4000"]).fails();
    says(&container, "memory", "memory.limit_in_bytes", "33554432");
    says(&container, "cpu", "cpu.shares", "512");
    promise("a failed update is not remembered", || {
        // Had the limit of 64 MiB been kept, these 48 would be less than it.
        update(&container, &test, &["--memory-swap", "48M"]).ok();
        says(&container, "memory", "memory.memsw.limit_in_bytes", "50331648");
    });
}

#[test]
fn only_what_lives_can_be_updated() {
    let Some(test) = test_with(&["pids"]) else { return };
    let container = sleeper(&test, json!({}));
    container.command(&["pause"]).ok();
    update(&container, &test, &["--pids-limit", "44"]).ok();
    says(&container, "pids", "pids.max", "44");
    container.command(&["resume"]).ok();
    container.kill("KILL").ok();
    container.wait();
    update(&container, &test, &["--pids-limit", "55"]).fails_with(&["container not running"]);
    test.runtime(&["update", "--pids-limit", "55", "nobody"]).fails_with(&["does not exist"]);

    let created = test.create(&test.bundle(|config| shell(config, "exit 3")));
    update(&created, &test, &["--pids-limit", "33"]).ok();
    says(&created, "pids", "pids.max", "33");
    created.start().ok();
    assert_eq!(created.finish(), integration::Exit::Code(3));
}

#[test]
fn what_cannot_be_done_is_refused() {
    let Some(test) = test_with(&["memory"]) else { return };
    let container = sleeper(&test, json!({}));
    update(&container, &test, &["--memory", "much"]).fails();
    update(&container, &test, &["--memory", "-5"]).fails();
    update(&container, &test, &["--l3-cache-schema", "L3:0=1"]).fails();
    update(&container, &test, &["--kernel-memory", "64M"]).ok();
}

#[test]
fn a_controller_that_nobody_asked_for_before_is_enabled_in_a_cgroup2_tree() {
    promise("a controller is enabled by update", || {
        let test = Test::at(World::Unified);
        if test.world.hierarchy("hugetlb").is_none() {
            return println!("no hugetlb in cgroup2: not tested");
        }
        let container = sleeper(&test, json!({}));
        let limit = json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 4_194_304}]});
        update_from(&test, &container, &limit).ok();
        says(&container, "hugetlb", "hugetlb.2MB.max", "4194304");
        update_from(&test, &container, &json!({"unified": {"cgroup.max.depth": "7"}})).ok();
        let cgroup = container.cgroup2().expect("this world has cgroup2");
        let depth = std::fs::read_to_string(cgroup.join("cgroup.max.depth")).expect("the file is there");
        assert_eq!(depth.trim(), "7");

        // The second entry is refused: the first is taken back.
        let bad = json!({"unified": {"cgroup.max.depth": "5", "cgroup.max.descendants": "many"}});
        update_from(&test, &container, &bad).fails_with(&["cgroup.max.descendants"]);
        let depth = std::fs::read_to_string(cgroup.join("cgroup.max.depth")).expect("the file is there");
        assert_eq!(depth.trim(), "7");
    });
}
