//! `io.containerd.cgroups.v1.Metrics`.

use runtime_core::cgroup::{BlockIo, BlockIoEntry, Cpu, MemoryUse, Stats};

use super::counted;
use crate::protos::cgroups::metrics::{
    BlkIOEntry, BlkIOStat, CPUStat, CPUUsage, HugetlbStat, MemoryEntry, MemoryOomControl, MemoryStat,
    Metrics, PidsStat, Throttle,
};

/// The message.
pub(super) fn metrics(stats: &Stats, oom_kills: Option<u64>) -> Metrics {
    let oom = MemoryOomControl { oom_kill: oom_kills.unwrap_or_default(), ..MemoryOomControl::default() };
    let pids = PidsStat { current: stats.pids.current, limit: stats.pids.limit, ..PidsStat::default() };
    Metrics {
        hugetlb: hugetlb(stats),
        pids: Some(pids).into(),
        cpu: Some(cpu(&stats.cpu)).into(),
        memory: Some(memory(stats)).into(),
        blkio: Some(block_io(&stats.blkio)).into(),
        memory_oom_control: Some(oom).into(),
        ..Metrics::default()
    }
}

fn hugetlb(stats: &Stats) -> Vec<HugetlbStat> {
    let entries = stats.hugetlb.iter().map(|(size, pages)| HugetlbStat {
        usage: pages.usage,
        max: pages.max,
        failcnt: pages.failcnt,
        pagesize: size.clone(),
        ..HugetlbStat::default()
    });
    entries.collect()
}

fn cpu(cpu: &Cpu) -> CPUStat {
    let usage = CPUUsage {
        total: cpu.usage.total,
        kernel: cpu.usage.kernel,
        user: cpu.usage.user,
        per_cpu: cpu.usage.percpu.clone(),
        ..CPUUsage::default()
    };
    let throttling = Throttle {
        periods: cpu.throttling.periods,
        throttled_periods: cpu.throttling.throttled_periods,
        throttled_time: cpu.throttling.throttled_time,
        ..Throttle::default()
    };
    CPUStat { usage: Some(usage).into(), throttling: Some(throttling).into(), ..CPUStat::default() }
}

fn memory(stats: &Stats) -> MemoryStat {
    let of = |key| counted(stats, key);
    MemoryStat {
        cache: of("cache"),
        rss: of("rss"),
        rss_huge: of("rss_huge"),
        mapped_file: of("mapped_file"),
        dirty: of("dirty"),
        writeback: of("writeback"),
        pg_pg_in: of("pgpgin"),
        pg_pg_out: of("pgpgout"),
        pg_fault: of("pgfault"),
        pg_maj_fault: of("pgmajfault"),
        inactive_anon: of("inactive_anon"),
        active_anon: of("active_anon"),
        inactive_file: of("inactive_file"),
        active_file: of("active_file"),
        unevictable: of("unevictable"),
        hierarchical_memory_limit: of("hierarchical_memory_limit"),
        hierarchical_swap_limit: of("hierarchical_memsw_limit"),
        usage: Some(entry(&stats.memory.usage)).into(),
        swap: Some(entry(&stats.memory.swap)).into(),
        kernel: Some(entry(&stats.memory.kernel)).into(),
        kernel_tcp: Some(entry(&stats.memory.kernel_tcp)).into(),
        ..memory_with_others(stats)
    }
}

/// The same, with the cgroups below.
fn memory_with_others(stats: &Stats) -> MemoryStat {
    let of = |key| counted(stats, key);
    MemoryStat {
        total_cache: of("total_cache"),
        total_rss: of("total_rss"),
        total_rss_huge: of("total_rss_huge"),
        total_mapped_file: of("total_mapped_file"),
        total_dirty: of("total_dirty"),
        total_writeback: of("total_writeback"),
        total_pg_pg_in: of("total_pgpgin"),
        total_pg_pg_out: of("total_pgpgout"),
        total_pg_fault: of("total_pgfault"),
        total_pg_maj_fault: of("total_pgmajfault"),
        total_inactive_anon: of("total_inactive_anon"),
        total_active_anon: of("total_active_anon"),
        total_inactive_file: of("total_inactive_file"),
        total_active_file: of("total_active_file"),
        total_unevictable: of("total_unevictable"),
        ..MemoryStat::default()
    }
}

fn entry(kind: &MemoryUse) -> MemoryEntry {
    MemoryEntry {
        limit: kind.limit,
        usage: kind.usage,
        max: kind.max,
        failcnt: kind.failcnt,
        ..MemoryEntry::default()
    }
}

fn block_io(io: &BlockIo) -> BlkIOStat {
    let entries = |entries: &[BlockIoEntry]| entries.iter().map(block_io_entry).collect();
    BlkIOStat {
        io_service_bytes_recursive: entries(&io.service_bytes),
        io_serviced_recursive: entries(&io.serviced),
        io_queued_recursive: entries(&io.queued),
        io_service_time_recursive: entries(&io.service_time),
        io_wait_time_recursive: entries(&io.wait_time),
        io_merged_recursive: entries(&io.merged),
        io_time_recursive: entries(&io.time),
        sectors_recursive: entries(&io.sectors),
        ..BlkIOStat::default()
    }
}

fn block_io_entry(entry: &BlockIoEntry) -> BlkIOEntry {
    BlkIOEntry {
        op: entry.op.clone(),
        major: entry.major,
        minor: entry.minor,
        value: entry.value,
        ..BlkIOEntry::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_finds_its_place() {
        let mut stats = Stats::default();
        stats.pids.current = 3;
        stats.cpu.usage.percpu = vec![1, 2];
        stats.cpu.throttling.throttled_time = 5;
        stats.memory.swap.limit = 7;
        stats.memory.raw.insert("total_rss".into(), 11);
        let entry = BlockIoEntry { major: 8, minor: 0, op: "Read".into(), value: 4096 };
        stats.blkio.service_bytes.push(entry);
        let told = metrics(&stats, Some(13));
        assert_eq!((told.pids.current, told.cpu.usage.per_cpu.as_slice()), (3, &[1, 2][..]));
        assert_eq!((told.cpu.throttling.throttled_time, told.memory.swap.limit), (5, 7));
        assert_eq!((told.memory.total_rss, told.memory_oom_control.oom_kill), (11, 13));
        assert_eq!(told.blkio.io_service_bytes_recursive[0].value, 4096);
    }
}
