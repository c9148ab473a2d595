//! Limits as files and values: which controller, which version, which order. Pure.

use std::collections::BTreeSet;
use std::fmt;

use oci_spec::runtime::LinuxResources;

use super::hierarchies::{Hierarchies, Version};
use super::{v1, v2};
use crate::error::ConfigError;
use crate::plan::Pointer;

pub(super) type Result<T> = std::result::Result<T, ConfigError>;

/// One limit: a value for a file of the container's cgroup.
#[derive(Debug, Clone, PartialEq)]
pub struct Knob {
    /// Where the file is.
    pub hierarchy: Hierarchy,
    /// Its name.
    pub file: String,
    /// What is written; several lines are written one by one.
    pub value: String,
    /// What may go wrong.
    pub tolerance: Tolerance,
}

/// Which of a container's cgroups a file is in.
#[derive(Debug, Clone, PartialEq)]
pub enum Hierarchy {
    /// The one in the version 1 hierarchy with this controller.
    V1(&'static str),
    /// The one in the hierarchy of version 2.
    V2,
}

/// What may go wrong when a limit is set.
#[derive(Debug, Clone, PartialEq)]
pub enum Tolerance {
    /// Nothing.
    Strict,
    /// The file may be missing: then the limit holds anyway.
    Missing,
    /// Where the file is missing, this one is written.
    Instead {
        /// The other file.
        file: String,
        /// Its value.
        value: String,
    },
    /// The kernel refuses the value as long as another one, which comes later, doesn't fit it: then that one is
    /// written first.
    After {
        /// The other file.
        file: String,
        /// Its value.
        value: String,
    },
}

impl fmt::Display for Knob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {}", self.file, self.value.trim_end().replace('\n', "; "))
    }
}

/// The limits in the order in which they are set.
pub(super) type Knobs = Vec<(Pointer, Knob)>;

impl Knob {
    pub(super) fn new(hierarchy: Hierarchy, file: impl Into<String>, value: impl ToString) -> Self {
        Knob { hierarchy, file: file.into(), value: value.to_string(), tolerance: Tolerance::Strict }
    }

    /// The controller that the file belongs to, by its name.
    pub(super) fn controller(&self) -> &str {
        self.file.split('.').next().unwrap_or_default()
    }

    pub(super) fn may_be_missing(mut self) -> Self {
        self.tolerance = Tolerance::Missing;
        self
    }

    /// An older kernel lacks the file, and zero is what it does.
    pub(super) fn zero_may_be_missing(self) -> Self {
        if self.value == "0" { self.may_be_missing() } else { self }
    }

    pub(super) fn instead(mut self, file: &str, value: impl ToString) -> Self {
        self.tolerance = Tolerance::Instead { file: file.into(), value: value.to_string() };
        self
    }

    /// Lets `later` be written first where that is what the kernel wants.
    pub(super) fn after(mut self, later: Option<&Knob>) -> Self {
        if let Some(Knob { file, value, .. }) = later {
            self.tolerance = Tolerance::After { file: file.clone(), value: value.clone() };
        }
        self
    }
}

pub(super) fn resources() -> Pointer {
    Pointer::of("/linux/resources")
}

/// A limit that is set: engines send zero for one that isn't.
pub(super) fn set<T: PartialEq + Default>(limit: Option<T>) -> Option<T> {
    limit.filter(|limit| *limit != T::default())
}

/// Adds the limits of one section of the resources.
type Section = fn(&mut Knobs, &LinuxResources, &Hierarchies) -> Result<()>;

/// All limits of `wanted`, for the files that this host has.
///
/// Some fields have no meaning any more and are ignored: `memory.useHierarchy`, `memory.kernel`, and with version 2
/// also `memory.kernelTCP`, `memory.swappiness`, `memory.disableOOMKiller`, `network` and the leaf weights of
/// `blockIO`. `memory.checkBeforeUpdate` concerns updates alone. Anything else that the host has no controller for is
/// an error.
pub(super) fn knobs(wanted: &LinuxResources, hierarchies: &Hierarchies) -> Result<Knobs> {
    let mut knobs = Knobs::new();
    let sections: [Section; 8] = [memory, cpu, cpuset, pids, block_io, hugepages, network, rdma];
    for section in sections {
        section(&mut knobs, wanted, hierarchies)?;
    }
    unified(&mut knobs, wanted, hierarchies)?;
    Ok(knobs)
}

/// The controllers of version 2 that the container needs: those of its limits, and those whose section is there at
/// all, as an engine that writes an empty one wants to read the statistics.
pub(super) fn enabled(
    knobs: &[(Pointer, Knob)],
    wanted: Option<&LinuxResources>,
    hierarchies: &Hierarchies,
) -> BTreeSet<String> {
    let limited = knobs.iter().map(|(_, knob)| knob).filter(|knob| knob.hierarchy == Hierarchy::V2);
    let sections = wanted.map(|wanted| {
        [
            ("memory", wanted.memory().is_some()),
            ("cpu", wanted.cpu().is_some()),
            ("pids", wanted.pids().is_some()),
            ("io", wanted.block_io().is_some()),
        ]
    });
    let named = sections.into_iter().flatten().filter(|(_, named)| *named).map(|(name, _)| name);
    let available = |name: &&str| hierarchies.version_of(name) == Some(Version::V2);
    limited.map(Knob::controller).chain(named).filter(available).map(str::to_owned).collect()
}

/// The version of a controller that a limit needs; `names` is what the two versions call it.
fn version(hierarchies: &Hierarchies, names: [&str; 2], at: &Pointer) -> Result<Version> {
    let [v1, v2] = names;
    let found = match hierarchies.version_of(v1) {
        Some(Version::V1) => Some(Version::V1),
        _ => hierarchies.version_of(v2),
    };
    found.ok_or_else(|| {
        let name = if hierarchies.has_v1_controllers() { v1 } else { v2 };
        ConfigError::new(
            at.clone(),
            format!(
                "this needs the cgroup controller {name:?}, which the host doesn't offer here: \
                 enable it (or have it delegated), or remove the limit"
            ),
        )
    })
}

fn memory(knobs: &mut Knobs, wanted: &LinuxResources, hierarchies: &Hierarchies) -> Result<()> {
    let Some(memory) = wanted.memory().as_ref() else { return Ok(()) };
    let at = resources().child("memory");
    for (name, amount) in
        [("limit", memory.limit()), ("reservation", memory.reservation()), ("swap", memory.swap())]
    {
        if let Some(amount) = amount.filter(|&amount| amount < -1) {
            return Err(ConfigError::new(
                at.child(name),
                format!("{amount} is no amount of memory: use -1 for any amount"),
            ));
        }
    }
    let v2_has_it = hierarchies.version_of("memory") == Some(Version::V2);
    let asks =
        [set(memory.limit()), set(memory.reservation()), set(memory.swap())].iter().any(Option::is_some);
    let v1_asks = set(memory.kernel_tcp()).is_some()
        || memory.swappiness().is_some()
        || memory.disable_oom_killer() == Some(true);
    match asks || v1_asks && hierarchies.has_v1_controllers() && !v2_has_it {
        false => Ok(()),
        true => match version(hierarchies, ["memory", "memory"], &at)? {
            Version::V1 => v1::memory(knobs, memory, &at),
            Version::V2 => v2::memory(knobs, memory, &at),
        },
    }
}

fn cpu(knobs: &mut Knobs, wanted: &LinuxResources, hierarchies: &Hierarchies) -> Result<()> {
    let Some(cpu) = wanted.cpu().as_ref() else { return Ok(()) };
    let at = resources().child("cpu");
    let realtime = set(cpu.realtime_runtime()).is_some() || set(cpu.realtime_period()).is_some();
    let asks = set(cpu.shares()).is_some()
        || set(cpu.quota()).is_some()
        || set(cpu.period()).is_some()
        || set(cpu.burst()).is_some()
        || set(cpu.idle()).is_some();
    let version = match version(hierarchies, ["cpu", "cpu"], &at) {
        // Zeros are what a host without the controller does anyway.
        Err(_) if !asks && !realtime => return Ok(()),
        version => version?,
    };
    match version {
        Version::V1 => v1::cpu(knobs, cpu, &at),
        Version::V2 if realtime => Err(ConfigError::new(
            at,
            "cgroup version 2 has no realtimeRuntime and realtimePeriod: remove them, or use a version 1 host",
        )),
        Version::V2 => v2::cpu(knobs, cpu, &at),
    }
}

fn cpuset(knobs: &mut Knobs, wanted: &LinuxResources, hierarchies: &Hierarchies) -> Result<()> {
    let Some(cpu) = wanted.cpu().as_ref() else { return Ok(()) };
    for (name, list) in [("cpus", cpu.cpus()), ("mems", cpu.mems())] {
        let Some(list) = list.as_ref().filter(|list| !list.is_empty()) else { continue };
        let at = resources().child("cpu").child(name);
        let hierarchy = hierarchy(hierarchies, "cpuset", &at)?;
        knobs.push((at, Knob::new(hierarchy, format!("cpuset.{name}"), list)));
    }
    Ok(())
}

/// For controllers whose files have the same names in both versions.
fn hierarchy(hierarchies: &Hierarchies, name: &'static str, at: &Pointer) -> Result<Hierarchy> {
    Ok(match version(hierarchies, [name, name], at)? {
        Version::V1 => Hierarchy::V1(name),
        Version::V2 => Hierarchy::V2,
    })
}

/// A limit of zero is one: no process may be made. Only a negative one means none.
fn pids(knobs: &mut Knobs, wanted: &LinuxResources, hierarchies: &Hierarchies) -> Result<()> {
    let Some(pids) = wanted.pids().as_ref() else { return Ok(()) };
    let at = resources().child("pids").child("limit");
    let hierarchy = hierarchy(hierarchies, "pids", &at)?;
    knobs.push((at, Knob::new(hierarchy, "pids.max", super::convert::or_max(pids.limit()))));
    Ok(())
}

fn block_io(knobs: &mut Knobs, wanted: &LinuxResources, hierarchies: &Hierarchies) -> Result<()> {
    let Some(block_io) = wanted.block_io().as_ref() else { return Ok(()) };
    let at = resources().child("blockIO");
    let mut asked = Knobs::new();
    match hierarchies.version_of("blkio") {
        Some(Version::V1) => v1::block_io(&mut asked, block_io, &at)?,
        _ => v2::block_io(&mut asked, block_io, &at)?,
    }
    if let Some((at, _)) = asked.first() {
        version(hierarchies, ["blkio", "io"], at)?;
    }
    knobs.append(&mut asked);
    Ok(())
}

fn hugepages(knobs: &mut Knobs, wanted: &LinuxResources, hierarchies: &Hierarchies) -> Result<()> {
    let limits = wanted.hugepage_limits().as_deref().unwrap_or_default();
    for (number, limit) in limits.iter().enumerate() {
        let at = resources().child("hugepageLimits").child(number);
        let size = limit.page_size();
        if !is_page_size(size) {
            return Err(ConfigError::new(
                at.child("pageSize"),
                format!("{size:?} is no page size such as 64KB, 2MB or 1GB"),
            ));
        }
        let at = at.child("limit");
        let (hierarchy, end, value) = match version(hierarchies, ["hugetlb", "hugetlb"], &at)? {
            Version::V1 => (Hierarchy::V1("hugetlb"), "limit_in_bytes", limit.limit().max(-1).to_string()),
            Version::V2 => (Hierarchy::V2, "max", super::convert::or_max(limit.limit())),
        };
        let usage = Knob::new(hierarchy.clone(), format!("hugetlb.{size}.{end}"), &value);
        let reserved = Knob::new(hierarchy, format!("hugetlb.{size}.rsvd.{end}"), &value).may_be_missing();
        knobs.extend([(at.clone(), usage), (at, reserved)]);
    }
    Ok(())
}

fn is_page_size(size: &str) -> bool {
    let number = ["KB", "MB", "GB"].iter().find_map(|unit| size.strip_suffix(unit)).unwrap_or_default();
    !number.is_empty() && !number.starts_with('0') && number.bytes().all(|byte| byte.is_ascii_digit())
}

/// Version 2 leaves this to the network's own filters, and so it is ignored there.
fn network(knobs: &mut Knobs, wanted: &LinuxResources, hierarchies: &Hierarchies) -> Result<()> {
    let Some(network) = wanted.network().as_ref().filter(|_| hierarchies.has_v1_controllers()) else {
        return Ok(());
    };
    let at = resources().child("network");
    if let Some(class) = set(network.class_id()) {
        let at = at.child("classID");
        let hierarchy = hierarchy(hierarchies, "net_cls", &at)?;
        knobs.push((at, Knob::new(hierarchy, "net_cls.classid", class)));
    }
    for (number, each) in network.priorities().iter().flatten().enumerate() {
        let at = at.child("priorities").child(number);
        let hierarchy = hierarchy(hierarchies, "net_prio", &at)?;
        knobs.push((
            at,
            Knob::new(hierarchy, "net_prio.ifpriomap", format!("{} {}", each.name(), each.priority())),
        ));
    }
    Ok(())
}

fn rdma(knobs: &mut Knobs, wanted: &LinuxResources, hierarchies: &Hierarchies) -> Result<()> {
    let mut devices: Vec<_> = wanted.rdma().iter().flatten().collect();
    devices.sort_by_key(|(name, _)| *name);
    for (name, limit) in devices {
        let at = resources().child("rdma").child(name);
        let limits = [("hca_handle", limit.hca_handles()), ("hca_object", limit.hca_objects())];
        let limits = limits.iter().filter_map(|(key, value)| Some(format!(" {key}={}", (*value)?)));
        let limits: String = limits.collect();
        if limits.is_empty() {
            continue;
        }
        let hierarchy = hierarchy(hierarchies, "rdma", &at)?;
        knobs.push((at, Knob::new(hierarchy, "rdma.max", format!("{name}{limits}"))));
    }
    Ok(())
}

/// Files of version 2 by their names, after everything else, in the order of the names.
fn unified(knobs: &mut Knobs, wanted: &LinuxResources, hierarchies: &Hierarchies) -> Result<()> {
    let mut files: Vec<_> = wanted.unified().iter().flatten().collect();
    files.sort();
    for (file, value) in files {
        let at = resources().child("unified").child(file);
        let knob = Knob::new(Hierarchy::V2, file, value);
        let problem = match knob.controller() {
            _ if file.contains('/') || !file.contains('.') || file.starts_with('.') => {
                Some("is no name of a cgroup file such as memory.high".into())
            }
            _ if hierarchies.v2.is_none() => {
                Some("needs cgroup version 2, which this host doesn't mount".into())
            }
            "cgroup" => None,
            name if hierarchies.version_of(name) == Some(Version::V2) => None,
            name => Some(format!(
                "needs the controller {name:?}, which cgroup version 2 doesn't offer here: enable it (or have it \
                 delegated), or remove the entry"
            )),
        };
        match problem {
            Some(problem) => return Err(ConfigError::new(at, format!("{file:?} {problem}"))),
            None => knobs.push((at, knob)),
        }
    }
    Ok(())
}
