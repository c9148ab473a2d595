//! The files of version 1.

use std::collections::BTreeMap;

use super::parse::{self, number};
use super::{BlockIo, BlockIoEntry, Cpu, CpuUsage, Cpuset, Hugetlb, Memory, MemoryUse, Read, Throttling};

/// The kernel counts ticks for programs in hundredths of a second, whatever it uses itself.
const NANOSECONDS_PER_TICK: u64 = 10_000_000;

pub(super) fn cpu(read: Read<'_>) -> Cpu {
    Cpu { usage: cpu_usage(read), throttling: throttling(read), psi: None }
}

fn cpu_usage(read: Read<'_>) -> CpuUsage {
    let ticks = parse::keyed(&read("cpuacct.stat").unwrap_or_default());
    let (percpu_user, percpu_kernel) = per_cpu(&read("cpuacct.usage_all").unwrap_or_default());
    CpuUsage {
        total: number(read("cpuacct.usage")),
        percpu: parse::numbers(&read("cpuacct.usage_percpu").unwrap_or_default()),
        percpu_kernel,
        percpu_user,
        kernel: parse::of(&ticks, "system").saturating_mul(NANOSECONDS_PER_TICK),
        user: parse::of(&ticks, "user").saturating_mul(NANOSECONDS_PER_TICK),
    }
}

/// Lines of a CPU, its user and its system time, below a head.
fn per_cpu(text: &str) -> (Vec<u64>, Vec<u64>) {
    let row = |line: &str| match *parse::numbers(line).as_slice() {
        [_, user, system] => Some((user, system)),
        _ => None,
    };
    text.lines().filter_map(row).unzip()
}

fn throttling(read: Read<'_>) -> Throttling {
    let table = parse::keyed(&read("cpu.stat").unwrap_or_default());
    Throttling {
        periods: parse::of(&table, "nr_periods"),
        throttled_periods: parse::of(&table, "nr_throttled"),
        throttled_time: parse::of(&table, "throttled_time"),
    }
}

pub(super) fn cpuset(read: Read<'_>) -> Cpuset {
    let list = |file: &str| parse::list(&read(file).unwrap_or_default());
    let flag = |name: &str| number(read(&format!("cpuset.{name}")));
    let level = read("cpuset.sched_relax_domain_level").and_then(|text| text.trim().parse().ok());
    Cpuset {
        cpus: list("cpuset.cpus"),
        cpu_exclusive: flag("cpu_exclusive"),
        mems: list("cpuset.mems"),
        mem_hardwall: flag("mem_hardwall"),
        mem_exclusive: flag("mem_exclusive"),
        memory_migrate: flag("memory_migrate"),
        memory_spread_page: flag("memory_spread_page"),
        memory_spread_slab: flag("memory_spread_slab"),
        memory_pressure: flag("memory_pressure"),
        sched_load_balance: flag("sched_load_balance"),
        sched_relax_domain_level: level.unwrap_or_default(),
    }
}

pub(super) fn memory(read: Read<'_>) -> Memory {
    let raw = parse::keyed(&read("memory.stat").unwrap_or_default());
    Memory {
        cache: parse::of(&raw, "cache"),
        usage: memory_use(read, "memory"),
        swap: memory_use(read, "memory.memsw"),
        kernel: memory_use(read, "memory.kmem"),
        kernel_tcp: memory_use(read, "memory.kmem.tcp"),
        raw,
        psi: None,
    }
}

fn memory_use(read: Read<'_>, kind: &str) -> MemoryUse {
    let file = |name: &str| number(read(&format!("{kind}.{name}")));
    MemoryUse {
        limit: file("limit_in_bytes"),
        usage: file("usage_in_bytes"),
        max: file("max_usage_in_bytes"),
        failcnt: file("failcnt"),
    }
}

/// Which scheduler counts is found out by what it says: those that don't have empty files, or none.
pub(super) fn block_io(read: Read<'_>) -> BlockIo {
    let counts = |prefix: &&str| {
        read(&format!("{prefix}.io_serviced_recursive")).is_some_and(|text| !entries(&text).is_empty())
    };
    match ["blkio.bfq", "blkio"].into_iter().find(counts) {
        Some(prefix) => scheduled(read, prefix),
        None => throttled(read),
    }
}

fn scheduled(read: Read<'_>, prefix: &str) -> BlockIo {
    let file = |name: &str| entries(&read(&format!("{prefix}.{name}_recursive")).unwrap_or_default());
    BlockIo {
        service_bytes: file("io_service_bytes"),
        serviced: file("io_serviced"),
        queued: file("io_queued"),
        service_time: file("io_service_time"),
        wait_time: file("io_wait_time"),
        merged: file("io_merged"),
        time: file("time"),
        sectors: file("sectors"),
        psi: None,
    }
}

/// Older kernels count without those below.
fn throttled(read: Read<'_>) -> BlockIo {
    let file = |name: &str| {
        let path = format!("blkio.throttle.{name}");
        entries(&read(&format!("{path}_recursive")).or_else(|| read(&path)).unwrap_or_default())
    };
    BlockIo { service_bytes: file("io_service_bytes"), serviced: file("io_serviced"), ..BlockIo::default() }
}

/// Lines such as `8:0 Read 4096` or `8:0 12`; a sum of all devices has no numbers of one.
fn entries(text: &str) -> Vec<BlockIoEntry> {
    let entry = |line: &str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let (device, op, value) = match *words.as_slice() {
            [device, op, value] => (device, op, value),
            [device, value] => (device, "", value),
            _ => return None,
        };
        let (major, minor) = parse::device(device)?;
        Some(BlockIoEntry { major, minor, op: op.into(), value: value.parse().ok()? })
    };
    text.lines().filter_map(entry).collect()
}

pub(super) fn hugetlb(read: Read<'_>, sizes: &[String]) -> BTreeMap<String, Hugetlb> {
    let of_size = |size: &String| {
        let file = |name: &str| read(&format!("hugetlb.{size}.{name}"));
        let usage = number(Some(file("usage_in_bytes")?));
        let (max, failcnt) = (number(file("max_usage_in_bytes")), number(file("failcnt")));
        Some((size.clone(), Hugetlb { usage, max, failcnt }))
    };
    sizes.iter().filter_map(of_size).collect()
}
