//! Statistics from texts of both versions.

use serde_json::{Value, json};

use super::*;

/// Reads from texts instead of files.
fn from<'a>(texts: &'a [(&str, &str)]) -> impl Fn(&str) -> Option<String> + 'a {
    |file| texts.iter().find(|(name, _)| *name == file).map(|(_, text)| (*text).to_owned())
}

fn json(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap()
}

#[test]
fn nothing_read_is_nothing_used_and_has_the_keys_of_runc() {
    let four = json!({"limit": 0, "failcnt": 0});
    let wanted = json!({
        "cpu": {"usage": {"kernel": 0, "user": 0}, "throttling": {}},
        "cpuset": {
            "cpu_exclusive": 0, "mem_hardwall": 0, "mem_exclusive": 0, "memory_migrate": 0,
            "memory_spread_page": 0, "memory_spread_slab": 0, "memory_pressure": 0, "sched_load_balance": 0,
            "sched_relax_domain_level": 0,
        },
        "memory": {"usage": four, "swap": four, "kernel": four, "kernelTCP": four},
        "pids": {},
        "blkio": {},
        "hugetlb": {},
    });
    assert_eq!(json(&Stats::default()), wanted);
    assert_eq!(json(&Paths::default().stats()), wanted);
}

#[test]
fn cpu_time_of_version_1() {
    let read = from(&[
        ("cpuacct.usage", "11672011\n"),
        ("cpuacct.usage_percpu", "1992632 9679379 \n"),
        ("cpuacct.usage_all", "cpu user system\n0 1 2\n1 3 4\n"),
        ("cpuacct.stat", "user 7\nsystem 9\n"),
        ("cpu.stat", "nr_periods 3\nnr_throttled 2\nthrottled_time 1500\nnr_bursts 0\n"),
    ]);
    let wanted = json!({"total": 11_672_011, "percpu": [1_992_632, 9_679_379], "percpu_kernel": [2, 4],
        "percpu_user": [1, 3], "kernel": 90_000_000, "user": 70_000_000});
    let cpu = json(&v1::cpu(&read));
    assert_eq!(cpu["usage"], wanted);
    let wanted = json!({"periods": 3, "throttledPeriods": 2, "throttledTime": 1500});
    assert_eq!(cpu["throttling"], wanted);
}

#[test]
fn cpu_time_of_version_2_is_told_in_nanoseconds() {
    let read = from(&[
        (
            "cpu.stat",
            "usage_usec 12\nuser_usec 5\nsystem_usec 7\nnr_periods 3\nnr_throttled 2\nthrottled_usec 9\n",
        ),
        ("cpu.pressure", "some avg10=0.50 avg60=0.00 avg300=0.00 total=8\n"),
    ]);
    let cpu = json(&v2::cpu(&read));
    assert_eq!(cpu["usage"], json!({"total": 12_000, "kernel": 7_000, "user": 5_000}));
    assert_eq!(cpu["throttling"], json!({"periods": 3, "throttledPeriods": 2, "throttledTime": 9_000}));
    assert_eq!(cpu["psi"]["some"], json!({"avg10": 0.5, "avg60": 0.0, "avg300": 0.0, "total": 8}));
}

#[test]
fn memory_of_version_1() {
    let read = from(&[
        ("memory.stat", "cache 5\nrss 6\n"),
        ("memory.usage_in_bytes", "10\n"),
        ("memory.max_usage_in_bytes", "20\n"),
        ("memory.limit_in_bytes", "9223372036854771712\n"),
        ("memory.failcnt", "3\n"),
        ("memory.memsw.usage_in_bytes", "11\n"),
        ("memory.kmem.tcp.usage_in_bytes", "12\n"),
    ]);
    let memory = json(&v1::memory(&read));
    assert_eq!(
        memory["usage"],
        json!({"limit": 9_223_372_036_854_771_712_u64, "usage": 10, "max": 20, "failcnt": 3})
    );
    assert_eq!((&memory["cache"], &memory["raw"]), (&json!(5), &json!({"cache": 5, "rss": 6})));
    assert_eq!((&memory["swap"]["usage"], &memory["kernelTCP"]["usage"]), (&json!(11), &json!(12)));
    assert_eq!(memory.get("psi"), None);
}

#[test]
fn memory_of_version_2_has_the_meaning_of_version_1() {
    let read = from(&[
        ("memory.stat", "anon 6\nfile 5\n"),
        ("memory.current", "10\n"),
        ("memory.peak", "20\n"),
        ("memory.max", "100\n"),
        ("memory.swap.current", "4\n"),
        ("memory.swap.max", "50\n"),
        ("memory.events", "low 0\nhigh 0\nmax 3\noom 1\n"),
    ]);
    let memory = json(&v2::memory(&read));
    assert_eq!(memory["usage"], json!({"limit": 100, "usage": 10, "max": 20, "failcnt": 3}));
    assert_eq!(memory["swap"], json!({"limit": 150, "usage": 14, "failcnt": 0}));
    assert_eq!(memory["cache"], json!(5));
    let unlimited = from(&[("memory.max", "max"), ("memory.swap.max", "7")]);
    assert_eq!(v2::memory(&unlimited).swap.limit, u64::MAX);
}

#[test]
fn block_devices_of_version_1() {
    let throttled = from(&[
        ("blkio.io_serviced_recursive", "Total 0\n"),
        ("blkio.throttle.io_serviced_recursive", "8:0 Read 2\n8:0 Total 2\nTotal 2\n"),
        ("blkio.throttle.io_service_bytes", "8:0 Read 4096\n"),
    ]);
    let wanted = json!({
        "ioServicedRecursive": [
            {"major": 8, "op": "Read", "value": 2}, {"major": 8, "op": "Total", "value": 2},
        ],
        "ioServiceBytesRecursive": [{"major": 8, "op": "Read", "value": 4096}],
    });
    assert_eq!(json(&v1::block_io(&throttled)), wanted);
    let bfq = from(&[
        ("blkio.bfq.io_serviced_recursive", "8:16 Read 2\n"),
        ("blkio.bfq.sectors_recursive", "8:16 99\n"),
        ("blkio.throttle.io_serviced_recursive", "8:0 Read 7\n"),
    ]);
    let wanted = json!({
        "ioServicedRecursive": [{"major": 8, "minor": 16, "op": "Read", "value": 2}],
        "sectorsRecursive": [{"major": 8, "minor": 16, "value": 99}],
    });
    assert_eq!(json(&v1::block_io(&bfq)), wanted);
}

#[test]
fn block_devices_of_version_2() {
    let read = from(&[("io.stat", "8:0 rbytes=4096 wbytes=0 rios=1 wios=2 dbytes=9 dios=9\n8:16\nbroken\n")]);
    let wanted = json!({
        "ioServiceBytesRecursive": [{"major": 8, "op": "Read", "value": 4096}, {"major": 8, "op": "Write"}],
        "ioServicedRecursive": [{"major": 8, "op": "Read", "value": 1}, {"major": 8, "op": "Write", "value": 2}],
    });
    assert_eq!(json(&v2::block_io(&read)), wanted);
}

#[test]
fn cpusets_processes_and_huge_pages() {
    let read = from(&[
        ("cpuset.cpus", "0-1\n"),
        ("cpuset.mems", "0\n"),
        ("cpuset.sched_load_balance", "1\n"),
        ("cpuset.sched_relax_domain_level", "-1\n"),
        ("pids.current", "3\n"),
        ("pids.max", "max\n"),
        ("hugetlb.2MB.usage_in_bytes", "4\n"),
        ("hugetlb.2MB.failcnt", "1\n"),
        ("hugetlb.1GB.rsvd.current", "5\n"),
        ("hugetlb.1GB.events", "max 6\n"),
    ]);
    let set = v1::cpuset(&read);
    assert_eq!(
        (set.cpus, set.mems, set.sched_load_balance, set.sched_relax_domain_level),
        (vec![0, 1], vec![0], 1, -1)
    );
    assert_eq!(parse::pids(&read), Pids { current: 3, limit: 0 });
    assert_eq!(parse::pids(&from(&[("pids.max", "7\n")])).limit, 7);
    assert_eq!(v2::pids(&from(&[("cgroup.procs", "70\n80\n")])), Pids { current: 2, limit: 0 });
    assert_eq!(v2::pids(&read), Pids { current: 3, limit: 0 });
    let sizes = ["2MB".to_owned(), "1GB".to_owned(), "64KB".to_owned()];
    assert_eq!(json(&v1::hugetlb(&read, &sizes)), json!({"2MB": {"usage": 4, "failcnt": 1}}));
    assert_eq!(json(&v2::hugetlb(&read, &sizes)), json!({"1GB": {"usage": 5, "failcnt": 6}}));
}
