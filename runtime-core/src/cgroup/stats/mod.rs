//! What a container has used: one picture for both versions, with the names and units of version 1.
//!
//! As JSON it has the keys that runc's `events` prints and its readers expect, with what is zero left out where runc
//! leaves it out.

mod parse;
mod v1;
mod v2;

use std::collections::BTreeMap;
use std::ffi::OsStr;

use rustix::fs::{CWD, Dir, Mode, OFlags, openat};
use serde::Serialize;

use super::files;
use super::hierarchies::Version;
use super::paths::{Paths, Place};

pub use parse::{Pressure, Stall};

/// What the processes of a container's cgroup, and of those below it, have used so far.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Stats {
    /// CPU time.
    pub cpu: Cpu,
    /// Where its processes may run; version 1 only.
    pub cpuset: Cpuset,
    /// Memory.
    pub memory: Memory,
    /// Processes.
    pub pids: Pids,
    /// Block devices.
    pub blkio: BlockIo,
    /// Huge pages, by their size such as `2MB`.
    pub hugetlb: BTreeMap<String, Hugetlb>,
}

/// CPU time.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Cpu {
    /// How much was used.
    pub usage: CpuUsage,
    /// How much was kept back.
    pub throttling: Throttling,
    /// How long processes waited for a CPU.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Pressure>,
}

/// CPU time in nanoseconds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct CpuUsage {
    /// On all CPUs.
    #[serde(skip_serializing_if = "is_zero")]
    pub total: u64,
    /// On each CPU; version 1 only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu: Vec<u64>,
    /// In the kernel, on each CPU; version 1 only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu_kernel: Vec<u64>,
    /// Outside of the kernel, on each CPU; version 1 only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub percpu_user: Vec<u64>,
    /// In the kernel.
    pub kernel: u64,
    /// Outside of the kernel.
    pub user: u64,
}

/// What a quota of CPU time did.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Throttling {
    /// Periods in which processes wanted to run.
    #[serde(skip_serializing_if = "is_zero")]
    pub periods: u64,
    /// Those in which the quota was used up.
    #[serde(skip_serializing_if = "is_zero")]
    pub throttled_periods: u64,
    /// How long they had to wait, in nanoseconds.
    #[serde(skip_serializing_if = "is_zero")]
    pub throttled_time: u64,
}

/// The files of version 1's cpuset.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[allow(missing_docs, reason = "each is the kernel's file of that name")]
pub struct Cpuset {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub cpus: Vec<u16>,
    pub cpu_exclusive: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mems: Vec<u16>,
    pub mem_hardwall: u64,
    pub mem_exclusive: u64,
    pub memory_migrate: u64,
    pub memory_spread_page: u64,
    pub memory_spread_slab: u64,
    pub memory_pressure: u64,
    pub sched_load_balance: u64,
    pub sched_relax_domain_level: i64,
}

/// Memory, in bytes.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Memory {
    /// Cached contents of files.
    #[serde(skip_serializing_if = "is_zero")]
    pub cache: u64,
    /// All of it.
    pub usage: MemoryUse,
    /// Memory and swap together, with both versions.
    pub swap: MemoryUse,
    /// The kernel's, on behalf of the container; version 1 only.
    pub kernel: MemoryUse,
    /// The network's buffers; version 1 only.
    #[serde(rename = "kernelTCP")]
    pub kernel_tcp: MemoryUse,
    /// The whole of `memory.stat`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub raw: BTreeMap<String, u64>,
    /// How long processes waited for memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Pressure>,
}

/// One kind of memory, in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct MemoryUse {
    /// How much there may be; the highest number if there is no limit.
    pub limit: u64,
    /// How much there is.
    #[serde(skip_serializing_if = "is_zero")]
    pub usage: u64,
    /// The most that there was.
    #[serde(skip_serializing_if = "is_zero")]
    pub max: u64,
    /// How often the limit was hit.
    pub failcnt: u64,
}

/// Processes and threads.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Pids {
    /// How many there are.
    #[serde(skip_serializing_if = "is_zero")]
    pub current: u64,
    /// How many there may be; 0 for any number.
    #[serde(skip_serializing_if = "is_zero")]
    pub limit: u64,
}

/// Block devices.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct BlockIo {
    /// Bytes moved.
    #[serde(rename = "ioServiceBytesRecursive", skip_serializing_if = "Vec::is_empty")]
    pub service_bytes: Vec<BlockIoEntry>,
    /// Operations.
    #[serde(rename = "ioServicedRecursive", skip_serializing_if = "Vec::is_empty")]
    pub serviced: Vec<BlockIoEntry>,
    /// Operations that wait.
    #[serde(rename = "ioQueueRecursive", skip_serializing_if = "Vec::is_empty")]
    pub queued: Vec<BlockIoEntry>,
    /// Time that operations took, in nanoseconds.
    #[serde(rename = "ioServiceTimeRecursive", skip_serializing_if = "Vec::is_empty")]
    pub service_time: Vec<BlockIoEntry>,
    /// Time that operations waited, in nanoseconds.
    #[serde(rename = "ioWaitTimeRecursive", skip_serializing_if = "Vec::is_empty")]
    pub wait_time: Vec<BlockIoEntry>,
    /// Operations that were joined with others.
    #[serde(rename = "ioMergedRecursive", skip_serializing_if = "Vec::is_empty")]
    pub merged: Vec<BlockIoEntry>,
    /// Time on the device, in milliseconds.
    #[serde(rename = "ioTimeRecursive", skip_serializing_if = "Vec::is_empty")]
    pub time: Vec<BlockIoEntry>,
    /// Sectors moved.
    #[serde(rename = "sectorsRecursive", skip_serializing_if = "Vec::is_empty")]
    pub sectors: Vec<BlockIoEntry>,
    /// How long processes waited for devices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub psi: Option<Pressure>,
}

/// A number about one device, and one kind of operation on it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct BlockIoEntry {
    /// The device's major number.
    #[serde(skip_serializing_if = "is_zero")]
    pub major: u64,
    /// Its minor number.
    #[serde(skip_serializing_if = "is_zero")]
    pub minor: u64,
    /// `Read`, `Write`, …; empty where they aren't told apart.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub op: String,
    /// The number.
    #[serde(skip_serializing_if = "is_zero")]
    pub value: u64,
}

/// Huge pages of one size, in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Hugetlb {
    /// How much there is.
    #[serde(skip_serializing_if = "is_zero")]
    pub usage: u64,
    /// The most that there was; version 1 only.
    #[serde(skip_serializing_if = "is_zero")]
    pub max: u64,
    /// How often the limit was hit.
    pub failcnt: u64,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// Reads a file of the container's cgroup; `None` if there is no such file.
type Read<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Paths {
    /// What the container has used so far. What the kernel doesn't count is zero.
    pub fn stats(&self) -> Stats {
        let sizes = page_sizes();
        Stats {
            cpu: self.counted("cpuacct", v1::cpu, v2::cpu),
            cpuset: self.counted("cpuset", v1::cpuset, |_| Cpuset::default()),
            memory: self.counted("memory", v1::memory, v2::memory),
            pids: self.counted("pids", parse::pids, v2::pids),
            blkio: self.counted("blkio", v1::block_io, v2::block_io),
            hugetlb: self.counted(
                "hugetlb",
                |read| v1::hugetlb(read, &sizes),
                |read| v2::hugetlb(read, &sizes),
            ),
        }
    }

    /// What the version that has this controller counts.
    fn counted<T>(&self, controller: &str, v1: impl Fn(Read<'_>) -> T, v2: impl Fn(Read<'_>) -> T) -> T {
        match self.place(Version::V1, Some(controller)) {
            // Controllers that belong together may be in hierarchies of their own: a file's name tells which it is.
            Some(_) => v1(&|file| text(self.place(Version::V1, file.split('.').next())?, file)),
            None => v2(&|file| text(self.place(Version::V2, None)?, file)),
        }
    }
}

fn text(place: &Place, file: &str) -> Option<String> {
    files::read(CWD, place.directory().join(file).as_os_str()).ok()
}

/// The sizes of this machine's huge pages, as cgroups name them.
fn page_sizes() -> Vec<String> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = openat(CWD, OsStr::new("/sys/kernel/mm/hugepages"), flags, Mode::empty());
    let entries = directory.and_then(Dir::read_from);
    let names = entries.into_iter().flatten().flatten();
    names.filter_map(|entry| parse::page_size(entry.file_name().to_str().ok()?)).collect()
}

#[cfg(test)]
mod tests;
