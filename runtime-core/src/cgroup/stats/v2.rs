//! The files of version 2, told in the terms of version 1.

use std::collections::BTreeMap;

use super::parse::{self, number, pressure};
use super::{BlockIo, BlockIoEntry, Cpu, CpuUsage, Hugetlb, Memory, MemoryUse, Pids, Read, Throttling};

const NANOSECONDS_PER_MICROSECOND: u64 = 1000;

pub(super) fn cpu(read: Read<'_>) -> Cpu {
    let table = parse::keyed(&read("cpu.stat").unwrap_or_default());
    let time = |key: &str| parse::of(&table, key).saturating_mul(NANOSECONDS_PER_MICROSECOND);
    Cpu {
        usage: CpuUsage {
            total: time("usage_usec"),
            kernel: time("system_usec"),
            user: time("user_usec"),
            ..CpuUsage::default()
        },
        throttling: Throttling {
            periods: parse::of(&table, "nr_periods"),
            throttled_periods: parse::of(&table, "nr_throttled"),
            throttled_time: time("throttled_usec"),
        },
        psi: pressure(read("cpu.pressure")),
    }
}

/// Swap alone becomes memory and swap together.
pub(super) fn memory(read: Read<'_>) -> Memory {
    let raw = parse::keyed(&read("memory.stat").unwrap_or_default());
    let events = parse::keyed(&read("memory.events").unwrap_or_default());
    let usage = MemoryUse {
        limit: number(read("memory.max")),
        usage: number(read("memory.current")),
        max: number(read("memory.peak")),
        failcnt: parse::of(&events, "max"),
    };
    let swap = MemoryUse {
        // No limit and anything is no limit.
        limit: number(read("memory.swap.max")).saturating_add(usage.limit),
        usage: number(read("memory.swap.current")).saturating_add(usage.usage),
        ..MemoryUse::default()
    };
    Memory {
        cache: parse::of(&raw, "file"),
        usage,
        swap,
        raw,
        psi: pressure(read("memory.pressure")),
        ..Memory::default()
    }
}

/// Without the controller nobody counts threads, but members can be counted.
pub(super) fn pids(read: Read<'_>) -> Pids {
    let members = || read("cgroup.procs").map_or(0, |text| text.lines().count() as u64);
    match parse::pids(read) {
        Pids { current: 0, limit } => Pids { current: members(), limit },
        counted => counted,
    }
}

/// What version 1 has no name for is left out.
pub(super) fn block_io(read: Read<'_>) -> BlockIo {
    let text = read("io.stat").unwrap_or_default();
    let of = |keys: [(&str, &str); 2]| {
        let entries = text.lines().flat_map(|line| keys.iter().filter_map(|key| entry(line, *key)));
        entries.collect::<Vec<_>>()
    };
    BlockIo {
        service_bytes: of([("rbytes", "Read"), ("wbytes", "Write")]),
        serviced: of([("rios", "Read"), ("wios", "Write")]),
        psi: pressure(read("io.pressure")),
        ..BlockIo::default()
    }
}

/// One number of a line such as `8:0 rbytes=4096 wbytes=0 rios=1 wios=0`.
fn entry(line: &str, (key, op): (&str, &str)) -> Option<BlockIoEntry> {
    let (device, rest) = line.split_once(' ')?;
    let (major, minor) = parse::device(device)?;
    let value = rest.split_whitespace().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))?;
    Some(BlockIoEntry { major, minor, op: op.into(), value: value.parse().ok()? })
}

/// Pages that are reserved count, where the kernel tells.
pub(super) fn hugetlb(read: Read<'_>, sizes: &[String]) -> BTreeMap<String, Hugetlb> {
    let of_size = |size: &String| {
        let reserved = read(&format!("hugetlb.{size}.rsvd.current"));
        let usage = number(Some(reserved.or_else(|| read(&format!("hugetlb.{size}.current")))?));
        let events = parse::keyed(&read(&format!("hugetlb.{size}.events")).unwrap_or_default());
        Some((size.clone(), Hugetlb { usage, max: 0, failcnt: parse::of(&events, "max") }))
    };
    sizes.iter().filter_map(of_size).collect()
}
