//! Plans for hosts of every kind.

use std::path::Path;

use super::*;

const V1_CONTROLLERS: [&str; 12] = [
    "cpu", "cpuacct", "cpuset", "memory", "devices", "freezer", "blkio", "pids", "hugetlb", "rdma",
    "net_cls", "net_prio",
];

fn unified() -> Hierarchies {
    let controllers = ["cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma", "misc"];
    Hierarchies { v1: vec![], v2: Some(v2("/sys/fs/cgroup", &controllers)), ..Hierarchies::default() }
}

fn v2(mount: &str, controllers: &[&str]) -> V2 {
    let controllers = controllers.iter().map(|name| name.to_string()).collect();
    V2 { mount: mount.into(), root: "/".into(), own: "/".into(), controllers }
}

fn legacy() -> Hierarchies {
    let v1 = |name: &&str| V1 {
        controllers: vec![name.to_string()],
        mount: Path::new("/sys/fs/cgroup").join(name),
        root: "/".into(),
        own: "/".into(),
    };
    Hierarchies { v1: V1_CONTROLLERS.iter().map(v1).collect(), v2: None, ..Hierarchies::default() }
}

fn hybrid() -> Hierarchies {
    let mut host = legacy();
    host.v1.retain(|v1| !["hugetlb", "net_cls"].contains(&v1.controllers[0].as_str()));
    host.v2 = Some(v2("/sys/fs/cgroup/unified", &["hugetlb"]));
    host
}

fn planned(host: &Hierarchies, json: &str) -> Result<Planned, ConfigError> {
    let resources: LinuxResources = serde_json::from_str(json).unwrap();
    plan("ID", None, Some(&resources), host, None)
}

/// Each limit as `field: file = value`, with what may go wrong.
fn listing(host: &Hierarchies, json: &str) -> Vec<String> {
    let line = |(at, knob): &(Pointer, Knob)| {
        let field = at.as_str().strip_prefix("/linux/resources/").unwrap();
        let tolerance = match &knob.tolerance {
            Tolerance::Strict => String::new(),
            Tolerance::Missing => " (may be missing)".into(),
            Tolerance::Instead { file, value } => format!(" (or {file} = {value})"),
            Tolerance::After { file, .. } => format!(" (or after {file})"),
        };
        format!("{field}: {knob}{tolerance}")
    };
    planned(host, json).unwrap().knobs.iter().map(line).collect()
}

fn refused(host: &Hierarchies, json: &str) -> (String, String) {
    let error = planned(host, json).unwrap_err();
    (error.pointer.as_str().strip_prefix("/linux/resources/").unwrap().into(), error.problem)
}

#[test]
fn memory() {
    let json = r#"{"memory":{"limit":1000,"reservation":500,"swap":3000,"kernel":7,"kernelTCP":8,"swappiness":60,
                   "disableOOMKiller":true,"useHierarchy":true,"checkBeforeUpdate":true}}"#;
    assert_eq!(
        listing(&unified(), json),
        [
            "memory/swap: memory.swap.max = 2000",
            "memory/limit: memory.max = 1000",
            "memory/reservation: memory.low = 500",
        ]
    );
    assert_eq!(
        listing(&legacy(), json),
        [
            "memory/limit: memory.limit_in_bytes = 1000 (or after memory.memsw.limit_in_bytes)",
            "memory/swap: memory.memsw.limit_in_bytes = 3000",
            "memory/reservation: memory.soft_limit_in_bytes = 500",
            "memory/kernelTCP: memory.kmem.tcp.limit_in_bytes = 8",
            "memory/swappiness: memory.swappiness = 60",
            "memory/disableOOMKiller: memory.oom_control = 1",
        ]
    );
}

#[test]
fn unlimited_memory() {
    let json = r#"{"memory":{"limit":-1}}"#;
    assert_eq!(
        listing(&unified(), json),
        ["memory/swap: memory.swap.max = max (may be missing)", "memory/limit: memory.max = max"]
    );
    assert_eq!(
        listing(&legacy(), json),
        [
            "memory/limit: memory.limit_in_bytes = -1 (or after memory.memsw.limit_in_bytes)",
            "memory/swap: memory.memsw.limit_in_bytes = -1 (may be missing)",
        ]
    );
    assert_eq!(
        listing(&unified(), r#"{"memory":{"limit":9,"swap":9}}"#)[0],
        "memory/swap: memory.swap.max = 0 (may be missing)"
    );
}

#[test]
fn memory_mistakes() {
    for host in [unified(), legacy()] {
        for (json, field) in [
            (r#"{"memory":{"swap":10}}"#, "memory/swap"),
            (r#"{"memory":{"limit":10,"swap":9}}"#, "memory/swap"),
            (r#"{"memory":{"limit":-2}}"#, "memory/limit"),
            (r#"{"memory":{"reservation":-5}}"#, "memory/reservation"),
        ] {
            assert_eq!(refused(&host, json).0, field, "{json}");
        }
    }
    assert_eq!(refused(&legacy(), r#"{"memory":{"swappiness":101}}"#).0, "memory/swappiness");
}

#[test]
fn zero_is_no_limit_but_of_pids() {
    let json = r#"{"memory":{"limit":0,"swap":0,"reservation":0},"cpu":{"shares":0,"quota":0,"period":0,
                   "realtimeRuntime":0,"realtimePeriod":0,"cpus":"","mems":""},"blockIO":{"weight":0},
                   "network":{"classID":0},"pids":{"limit":0}}"#;
    for host in [unified(), legacy()] {
        assert_eq!(listing(&host, json), ["pids/limit: pids.max = 0"]);
    }
    assert_eq!(listing(&unified(), r#"{"pids":{"limit":-1}}"#), ["pids/limit: pids.max = max"]);
}

#[test]
fn cpu() {
    let json = r#"{"cpu":{"shares":512,"quota":50000,"period":20000,"burst":1000,"cpus":"0-1","mems":"0"}}"#;
    let sets = ["cpu/cpus: cpuset.cpus = 0-1", "cpu/mems: cpuset.mems = 0"];
    assert_eq!(
        listing(&unified(), json),
        [
            "cpu/shares: cpu.weight = 59",
            "cpu/quota: cpu.max = 50000 20000 (or after cpu.max.burst)",
            "cpu/burst: cpu.max.burst = 1000",
            sets[0],
            sets[1],
        ]
    );
    assert_eq!(
        listing(&legacy(), json),
        [
            "cpu/shares: cpu.shares = 512",
            "cpu/period: cpu.cfs_period_us = 20000 (or after cpu.cfs_quota_us)",
            "cpu/quota: cpu.cfs_quota_us = 50000 (or after cpu.cfs_burst_us)",
            "cpu/burst: cpu.cfs_burst_us = 1000",
            sets[0],
            sets[1],
        ]
    );
    assert_eq!(listing(&unified(), r#"{"cpu":{"period":20000}}"#), ["cpu/period: cpu.max = max 20000"]);
}

#[test]
fn an_idle_cgroup_has_no_weight() {
    for host in [unified(), legacy()] {
        assert_eq!(listing(&host, r#"{"cpu":{"idle":1,"shares":512}}"#), ["cpu/idle: cpu.idle = 1"]);
    }
    assert_eq!(
        listing(&unified(), r#"{"cpu":{"idle":0,"shares":1024}}"#),
        ["cpu/idle: cpu.idle = 0 (may be missing)", "cpu/shares: cpu.weight = 100"]
    );
}

#[test]
fn realtime_is_for_version_1() {
    let json = r#"{"cpu":{"realtimeRuntime":900,"realtimePeriod":1000}}"#;
    assert_eq!(
        listing(&legacy(), json),
        [
            "cpu/realtimePeriod: cpu.rt_period_us = 1000 (or after cpu.rt_runtime_us)",
            "cpu/realtimeRuntime: cpu.rt_runtime_us = 900",
        ]
    );
    assert_eq!(refused(&unified(), json).0, "cpu");
}

#[test]
fn block_io() {
    let json = r#"{"blockIO":{"weight":100,"leafWeight":20,
        "weightDevice":[{"major":8,"minor":0,"weight":500,"leafWeight":300}],
        "throttleReadBpsDevice":[{"major":8,"minor":0,"rate":600}],
        "throttleWriteIOPSDevice":[{"major":8,"minor":16,"rate":0}]}}"#;
    assert_eq!(
        listing(&unified(), json),
        [
            "blockIO/weight: io.bfq.weight = 100 (or io.weight = 910)",
            "blockIO/weightDevice/0/weight: io.bfq.weight = 8:0 500 (or io.weight = 8:0 4950)",
            "blockIO/throttleReadBpsDevice/0: io.max = 8:0 rbps=600",
            "blockIO/throttleWriteIOPSDevice/0: io.max = 8:16 wiops=max",
        ]
    );
    assert_eq!(
        listing(&legacy(), json),
        [
            "blockIO/weight: blkio.weight = 100 (or blkio.bfq.weight = 100)",
            "blockIO/leafWeight: blkio.leaf_weight = 20",
            "blockIO/weightDevice/0/weight: blkio.weight_device = 8:0 500 (or blkio.bfq.weight_device = 8:0 500)",
            "blockIO/weightDevice/0/leafWeight: blkio.leaf_weight_device = 8:0 300",
            "blockIO/throttleReadBpsDevice/0: blkio.throttle.read_bps_device = 8:0 600",
            "blockIO/throttleWriteIOPSDevice/0: blkio.throttle.write_iops_device = 8:16 0",
        ]
    );
}

#[test]
fn hugepages() {
    let json = r#"{"hugepageLimits":[{"pageSize":"2MB","limit":4096},{"pageSize":"1GB","limit":-1}]}"#;
    let v2 = [
        "hugepageLimits/0/limit: hugetlb.2MB.max = 4096",
        "hugepageLimits/0/limit: hugetlb.2MB.rsvd.max = 4096 (may be missing)",
        "hugepageLimits/1/limit: hugetlb.1GB.max = max",
        "hugepageLimits/1/limit: hugetlb.1GB.rsvd.max = max (may be missing)",
    ];
    assert_eq!(listing(&unified(), json), v2);
    assert_eq!(listing(&hybrid(), json), v2, "each controller has its own version");
    assert_eq!(
        listing(&legacy(), json)[2..],
        [
            "hugepageLimits/1/limit: hugetlb.1GB.limit_in_bytes = -1",
            "hugepageLimits/1/limit: hugetlb.1GB.rsvd.limit_in_bytes = -1 (may be missing)",
        ]
    );
    for size in ["", "MB", "2", "02MB", "2TB", "../2MB", "2 MB"] {
        let json = format!(r#"{{"hugepageLimits":[{{"pageSize":{size:?},"limit":1}}]}}"#);
        assert_eq!(refused(&unified(), &json).0, "hugepageLimits/0/pageSize");
    }
}

#[test]
fn network_is_for_version_1() {
    let json = r#"{"network":{"classID":1048577,"priorities":[{"name":"eth0","priority":5}]}}"#;
    assert_eq!(
        listing(&legacy(), json),
        ["network/classID: net_cls.classid = 1048577", "network/priorities/0: net_prio.ifpriomap = eth0 5"]
    );
    assert_eq!(listing(&unified(), json), [""; 0]);
    assert_eq!(refused(&hybrid(), json).0, "network/classID");
}

#[test]
fn rdma() {
    let json =
        r#"{"rdma":{"mlx5_1":{"hcaHandles":3,"hcaObjects":10000},"mlx4_0":{"hcaObjects":1000},"x":{}}}"#;
    let lines = [
        "rdma/mlx4_0: rdma.max = mlx4_0 hca_object=1000",
        "rdma/mlx5_1: rdma.max = mlx5_1 hca_handle=3 hca_object=10000",
    ];
    for host in [unified(), legacy()] {
        assert_eq!(listing(&host, json), lines);
    }
}

#[test]
fn unified_entries_come_last() {
    let json = r#"{"unified":{"memory.high":"5","cgroup.max.depth":"3","io.max":"8:0 rbps=1\n8:16 wbps=2\n"},
                   "pids":{"limit":3}}"#;
    assert_eq!(
        listing(&unified(), json),
        [
            "pids/limit: pids.max = 3",
            "unified/cgroup.max.depth: cgroup.max.depth = 3",
            "unified/io.max: io.max = 8:0 rbps=1; 8:16 wbps=2",
            "unified/memory.high: memory.high = 5",
        ]
    );
}

#[test]
fn unified_mistakes() {
    for (host, entry, words) in [
        (unified(), "../x/memory.max", "no name of a cgroup file"),
        (unified(), "..", "no name of a cgroup file"),
        (unified(), "memory", "no name of a cgroup file"),
        (unified(), "", "no name of a cgroup file"),
        (unified(), "dmem.max", "needs the controller \"dmem\""),
        (hybrid(), "memory.max", "needs the controller \"memory\""),
        (legacy(), "memory.max", "needs cgroup version 2"),
    ] {
        let (_, problem) = refused(&host, &format!(r#"{{"unified":{{{entry:?}:"1"}}}}"#));
        assert!(problem.contains(words), "{entry}: {problem}");
    }
    let (at, _) = refused(&unified(), r#"{"unified":{"a/b":"1"}}"#);
    assert_eq!(at, "unified/a~1b");
}

#[test]
fn a_limit_without_its_controller_is_refused() {
    let mut bare = unified();
    bare.v2.as_mut().unwrap().controllers.clear();
    for (json, field, name) in [
        (r#"{"memory":{"limit":1}}"#, "memory", "memory"),
        (r#"{"cpu":{"shares":1}}"#, "cpu", "cpu"),
        (r#"{"cpu":{"cpus":"0"}}"#, "cpu/cpus", "cpuset"),
        (r#"{"pids":{"limit":1}}"#, "pids/limit", "pids"),
        (r#"{"blockIO":{"weight":10}}"#, "blockIO/weight", "io"),
        (r#"{"hugepageLimits":[{"pageSize":"2MB","limit":1}]}"#, "hugepageLimits/0/limit", "hugetlb"),
        (r#"{"rdma":{"x":{"hcaHandles":1}}}"#, "rdma/x", "rdma"),
    ] {
        let (at, problem) = refused(&bare, json);
        assert_eq!(at, field);
        assert!(problem.contains(&format!("controller {name:?}")), "{problem}");
        assert_eq!(refused(&Hierarchies { v2: None, ..unified() }, json).0, field, "no cgroups at all");
    }
    assert_eq!(listing(&bare, r#"{"memory":{"swappiness":5},"cpu":{},"blockIO":{}}"#), [""; 0]);
}

#[test]
fn controllers_are_enabled_where_something_needs_them() {
    let enabled = |host: &Hierarchies, json| {
        let paths = planned(host, json).unwrap().paths;
        paths.place(Version::V2, None).unwrap().controllers.join(" ")
    };
    assert_eq!(enabled(&unified(), "{}"), "");
    assert_eq!(enabled(&unified(), r#"{"memory":{},"pids":{"limit":1}}"#), "memory pids");
    assert_eq!(enabled(&unified(), r#"{"unified":{"cgroup.max.depth":"1","misc.max":"a 1"}}"#), "misc");
    assert_eq!(enabled(&unified(), r#"{"cpu":{"cpus":"0"},"blockIO":{}}"#), "cpu cpuset io");
    assert_eq!(enabled(&hybrid(), r#"{"memory":{"limit":1},"hugepageLimits":[]}"#), "");
}

#[test]
fn devices_are_restricted_wherever_that_is_possible() {
    let hole = r#"{"devices":[{"allow":true,"type":"c"},{"allow":false,"type":"c","major":4}]}"#;
    for (host, json, restricted) in [
        (unified(), r#"{"devices":[{"allow":false}]}"#, true),
        (unified(), "{}", true),
        (legacy(), "{}", true),
        (unified(), r#"{"devices":[{"allow":true}]}"#, false),
        (unified(), hole, true),
    ] {
        assert_eq!(planned(&host, json).unwrap().devices.is_some(), restricted, "{json}");
    }
    assert_eq!(refused(&hybrid(), hole).0, "devices");
    assert_eq!(refused(&Hierarchies::default(), "{}").0, "devices");
    assert!(plan("ID", None, None, &unified(), None).unwrap().devices.is_some(), "without resources, too");
}
