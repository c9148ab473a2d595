//! `io.containerd.cgroups.v2.Metrics`.

use std::collections::BTreeMap;
use std::fs;

use runtime_core::cgroup::{BlockIo, Cpu, Paths, Pressure, Stall, Stats};

use super::counted;
use crate::protos::cgroups_v2::metrics::{
    CPUStat, HugeTlbStat, IOEntry, IOStat, MemoryEvents, MemoryStat, Metrics, PSIData, PSIStats, PidsStat,
};

const NANOSECONDS_PER_MICROSECOND: u64 = 1000;

/// What the library's figures, which are those of version 1, leave out.
#[derive(Debug, Default)]
pub(super) struct Files {
    swap_usage: u64,
    swap_limit: u64,
    swap_peak: u64,
    events: BTreeMap<String, u64>,
}

impl Files {
    pub(super) fn of(cgroup: &Paths) -> Self {
        let read =
            |file: &str| fs::read_to_string(cgroup.v2().unwrap_or_default().join(file)).unwrap_or_default();
        Files {
            swap_usage: number(&read("memory.swap.current")),
            swap_limit: number(&read("memory.swap.max")),
            swap_peak: number(&read("memory.swap.peak")),
            events: keyed(&read("memory.events")),
        }
    }
}

/// `max` is the highest number.
fn number(text: &str) -> u64 {
    match text.trim() {
        "max" => u64::MAX,
        text => text.parse().unwrap_or_default(),
    }
}

fn keyed(text: &str) -> BTreeMap<String, u64> {
    let pairs = text.lines().filter_map(|line| line.split_once(' '));
    pairs.map(|(key, value)| (key.to_owned(), number(value))).collect()
}

/// The message.
pub(super) fn metrics(stats: &Stats, files: &Files) -> Metrics {
    Metrics {
        pids: Some(pids(stats)).into(),
        cpu: Some(cpu(&stats.cpu)).into(),
        memory: Some(memory(stats, files)).into(),
        io: Some(io(&stats.blkio)).into(),
        hugetlb: hugetlb(stats),
        memory_events: Some(events(files)).into(),
        ..Metrics::default()
    }
}

/// Here no limit is the highest number.
fn pids(stats: &Stats) -> PidsStat {
    let limit = if stats.pids.limit == 0 { u64::MAX } else { stats.pids.limit };
    PidsStat { current: stats.pids.current, limit, ..PidsStat::default() }
}

fn cpu(cpu: &Cpu) -> CPUStat {
    CPUStat {
        usage_usec: cpu.usage.total / NANOSECONDS_PER_MICROSECOND,
        user_usec: cpu.usage.user / NANOSECONDS_PER_MICROSECOND,
        system_usec: cpu.usage.kernel / NANOSECONDS_PER_MICROSECOND,
        nr_periods: cpu.throttling.periods,
        nr_throttled: cpu.throttling.throttled_periods,
        throttled_usec: cpu.throttling.throttled_time / NANOSECONDS_PER_MICROSECOND,
        psi: cpu.psi.as_ref().map(pressure).into(),
        ..CPUStat::default()
    }
}

fn memory(stats: &Stats, files: &Files) -> MemoryStat {
    MemoryStat {
        usage: stats.memory.usage.usage,
        usage_limit: stats.memory.usage.limit,
        max_usage: stats.memory.usage.max,
        swap_usage: files.swap_usage,
        swap_limit: files.swap_limit,
        swap_max_usage: files.swap_peak,
        psi: stats.memory.psi.as_ref().map(pressure).into(),
        ..memory_by_kind(stats)
    }
}

/// `memory.stat`: what the memory is used for.
fn memory_by_kind(stats: &Stats) -> MemoryStat {
    let of = |key| counted(stats, key);
    MemoryStat {
        anon: of("anon"),
        file: of("file"),
        kernel_stack: of("kernel_stack"),
        slab: of("slab"),
        sock: of("sock"),
        shmem: of("shmem"),
        file_mapped: of("file_mapped"),
        file_dirty: of("file_dirty"),
        file_writeback: of("file_writeback"),
        anon_thp: of("anon_thp"),
        inactive_anon: of("inactive_anon"),
        active_anon: of("active_anon"),
        inactive_file: of("inactive_file"),
        active_file: of("active_file"),
        unevictable: of("unevictable"),
        slab_reclaimable: of("slab_reclaimable"),
        slab_unreclaimable: of("slab_unreclaimable"),
        ..memory_by_deed(stats)
    }
}

/// `memory.stat`: what was done with it.
fn memory_by_deed(stats: &Stats) -> MemoryStat {
    let of = |key: &str| counted(stats, key);
    // Newer kernels count pages with and without a file apart.
    let both = |key: &str| of(key) + of(&format!("{key}_anon")) + of(&format!("{key}_file"));
    MemoryStat {
        pgfault: of("pgfault"),
        pgmajfault: of("pgmajfault"),
        workingset_refault: both("workingset_refault"),
        workingset_activate: both("workingset_activate"),
        workingset_nodereclaim: of("workingset_nodereclaim"),
        pgrefill: of("pgrefill"),
        pgscan: of("pgscan"),
        pgsteal: of("pgsteal"),
        pgactivate: of("pgactivate"),
        pgdeactivate: of("pgdeactivate"),
        pglazyfree: of("pglazyfree"),
        pglazyfreed: of("pglazyfreed"),
        thp_fault_alloc: of("thp_fault_alloc"),
        thp_collapse_alloc: of("thp_collapse_alloc"),
        ..MemoryStat::default()
    }
}

fn events(Files { events, .. }: &Files) -> MemoryEvents {
    let of = |key: &str| events.get(key).copied().unwrap_or_default();
    MemoryEvents {
        low: of("low"),
        high: of("high"),
        max: of("max"),
        oom: of("oom"),
        oom_kill: of("oom_kill"),
        oom_group_kill: of("oom_group_kill"),
        ..MemoryEvents::default()
    }
}

/// One entry for each device, from one for each device and kind.
fn io(io: &BlockIo) -> IOStat {
    let mut devices: BTreeMap<(u64, u64), IOEntry> = BTreeMap::new();
    let bytes = io.service_bytes.iter().map(|entry| (entry, true));
    for (entry, is_bytes) in bytes.chain(io.serviced.iter().map(|entry| (entry, false))) {
        let device = devices.entry((entry.major, entry.minor)).or_default();
        (device.major, device.minor) = (entry.major, entry.minor);
        match (is_bytes, entry.op.as_str()) {
            (true, "Read") => device.rbytes = entry.value,
            (true, "Write") => device.wbytes = entry.value,
            (false, "Read") => device.rios = entry.value,
            (false, "Write") => device.wios = entry.value,
            _ => {}
        }
    }
    let psi = io.psi.as_ref().map(pressure).into();
    IOStat { usage: devices.into_values().collect(), psi, ..IOStat::default() }
}

fn hugetlb(stats: &Stats) -> Vec<HugeTlbStat> {
    let entries = stats.hugetlb.iter().map(|(size, pages)| HugeTlbStat {
        current: pages.usage,
        max: pages.max,
        failcnt: pages.failcnt,
        pagesize: size.clone(),
        ..HugeTlbStat::default()
    });
    entries.collect()
}

fn pressure(pressure: &Pressure) -> PSIStats {
    let (some, full) = (Some(stall(&pressure.some)).into(), Some(stall(&pressure.full)).into());
    PSIStats { some, full, ..PSIStats::default() }
}

fn stall(stall: &Stall) -> PSIData {
    PSIData {
        avg10: stall.avg10,
        avg60: stall.avg60,
        avg300: stall.avg300,
        total: stall.total,
        ..PSIData::default()
    }
}

#[cfg(test)]
mod tests {
    use runtime_core::cgroup::BlockIoEntry;

    use super::*;

    #[test]
    fn times_are_microseconds_and_devices_have_one_entry() {
        let mut stats = Stats::default();
        stats.cpu.usage.total = 5_000;
        let entry = |op: &str, value| BlockIoEntry { major: 8, minor: 1, op: op.into(), value };
        stats.blkio.service_bytes = vec![entry("Read", 10), entry("Write", 20)];
        stats.blkio.serviced = vec![entry("Read", 1)];
        stats.memory.raw.insert("workingset_refault_file".into(), 2);
        let told = metrics(&stats, &Files::default());
        assert_eq!((told.cpu.usage_usec, told.pids.limit, told.memory.workingset_refault), (5, u64::MAX, 2));
        let [device] = told.io.usage.as_slice() else { panic!("there is one device") };
        assert_eq!((device.major, device.rbytes, device.wbytes, device.rios, device.wios), (8, 10, 20, 1, 0));
    }

    #[test]
    fn what_only_version_2_counts_is_read_from_its_files() {
        let events = keyed("low 0\nhigh 1\nmax 2\noom 3\noom_kill 4\noom_group_kill 5\n");
        let files = Files { events, swap_limit: number("max\n"), ..Files::default() };
        let told = metrics(&Stats::default(), &files);
        assert_eq!((told.memory_events.high, told.memory_events.oom_group_kill), (1, 5));
        assert_eq!(told.memory.swap_limit, u64::MAX);
    }
}
