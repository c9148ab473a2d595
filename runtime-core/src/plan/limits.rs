//! The cgroup and its limits, and the limits of the process itself.

use oci_spec::runtime::{LinuxResources, PosixRlimit, PosixRlimitType};

use super::capabilities::SYS_ADMIN;
use super::draft::Draft;
use super::namespaces::Wish;
use super::{Action, Pointer, Request};
use crate::cgroup::{self, Closed, Hierarchy, Paths, Start};
use crate::error::ConfigError;
use crate::host::Host;
use crate::spec::Spec;
use crate::step::{Namespace, Point, Step};

/// What is done to a cgroup when it has a process, with the fields that ask for it.
pub(super) struct Limits {
    /// First of all, where systemd makes it.
    unit: Option<(Pointer, Start)>,
    /// Before the process does anything.
    resources: Vec<(Pointer, Action)>,
    /// Before the user's program does anything; the rules let init make every node.
    devices: Option<(Pointer, Action)>,
}

/// Makes the cgroup, unless that takes a process; answers where it is, and its limits.
pub(super) fn make_cgroup(
    plan: &mut Draft,
    spec: &Spec,
    host: &Host,
    request: &Request,
) -> Result<(Paths, Limits), ConfigError> {
    let linux = spec.oci().linux().as_ref();
    let path = linux.and_then(|linux| linux.cgroups_path().as_deref());
    let resources = linux.and_then(|linux| linux.resources().as_ref());
    if let (Some(wanted), Some(closed)) = (resources, &host.closed) {
        refuse_closed(wanted, host, closed)?;
    }
    let manager = request.systemd.as_ref().map(|manager| (manager, spec.oci().annotations()));
    let plan_cgroup = if restricts_devices(host) { cgroup::plan } else { cgroup::plan_limits };
    let planned = plan_cgroup(request.id.as_str(), path, resources, &host.cgroups, manager)?;
    let origin = if path.is_some() { Pointer::of("/linux/cgroupsPath") } else { Pointer::NONE };
    if planned.start.is_none() && (host.closed.is_none() || !planned.paths.is_empty()) {
        plan.host(origin.clone(), Action::CreateCgroup(planned.paths.clone()));
    }
    let mut limits = Limits {
        unit: planned.start.map(|start| (origin, start)),
        resources: planned.knobs.into_iter().map(|(origin, knob)| (origin, Action::SetLimit(knob))).collect(),
        devices: planned.devices.map(|(origin, rules)| (origin, Action::RestrictDevices(rules))),
    };
    if host.cgroups.v1_with("devices").is_some() {
        // Version 1 takes one rule after the other: in between, init may be forbidden what it needs.
        limits.resources.extend(limits.devices.take());
    }
    Ok((planned.paths, limits))
}

/// Brings the process into its cgroup, as far as there is one and it wasn't born there.
pub(super) fn enter_cgroup(plan: &mut Draft, host: &Host, limits: &mut Limits) {
    let mut inside = born_in_cgroup(host, limits);
    if let Some((origin, start)) = limits.unit.take() {
        inside = start.takes_process;
        plan.host(origin, Action::StartUnit(start));
    }
    let has_v2_cgroup = host.closed.is_none() || host.cgroups.v2.is_some();
    if !inside && has_v2_cgroup || !host.cgroups.v1.is_empty() {
        plan.host(Pointer::NONE, Action::EnterCgroup { born_inside: inside });
    }
}

/// Whether the process is born in its cgroup.
pub(super) fn born_in_cgroup(host: &Host, limits: &Limits) -> bool {
    host.has_clone_into_cgroup() && limits.unit.is_none()
}

/// Whether there is anybody to restrict devices: a cgroup, and for version 2 privileges too. An ordinary user has neither;
/// then a container, which is in a user namespace, can make no device, and opens of those that are attached what the
/// host lets its user open.
fn restricts_devices(host: &Host) -> bool {
    let may_load_programs = host.permitted & SYS_ADMIN != 0;
    match host.cgroups.v1_with("devices") {
        Some(_) => true,
        None if host.cgroups.v2.is_some() => may_load_programs,
        // Without any hierarchy that is an error, unless it is what somebody wanted.
        None => host.closed.is_none(),
    }
}

/// A limit in a hierarchy in which the container gets no cgroup is refused, never left out.
fn refuse_closed(wanted: &LinuxResources, host: &Host, closed: &Closed) -> Result<(), ConfigError> {
    for (origin, knob) in cgroup::plan_limits("any", None, Some(wanted), &host.mounted_cgroups(), None)?.knobs
    {
        let is_closed = match knob.hierarchy {
            Hierarchy::V1(controller) => host.cgroups.v1_with(controller).is_none(),
            Hierarchy::V2 => host.cgroups.v2.is_none(),
        };
        if is_closed {
            return Err(ConfigError::new(origin, format!("cannot set {knob}: {}", closed.why)));
        }
    }
    Ok(())
}

/// Limits what the process may use.
pub(super) fn limit_resources(plan: &mut Draft, limits: &mut Limits) {
    limits.resources.drain(..).for_each(|(origin, action)| plan.host(origin, action));
}

/// Limits which devices the program may use, while init works: the kernel takes its time to check the rules.
pub(super) fn limit_devices(plan: &mut Draft, limits: Limits) {
    if let Some((origin, action)) = limits.devices {
        plan.host(origin, action);
    }
}

/// The process's own limits that init sets, while it has the privileges for it.
pub(super) fn limit_myself(plan: &mut Draft, spec: &Spec) {
    if Wish::of(spec, Namespace::User) != Wish::Host {
        return;
    }
    for (origin, limit) in rlimits(spec) {
        let (soft, hard) = (limit.soft(), limit.hard());
        plan.init(origin, Step::SetLimit { resource: resource(limit.typ()), soft, hard });
    }
}

/// The process's own limits that the parent sets: in a user namespace only it may raise them.
pub(super) fn limit_process(plan: &mut Draft, spec: &Spec) {
    if Wish::of(spec, Namespace::User) != Wish::Host {
        for (origin, limit) in rlimits(spec) {
            let (soft, hard) = (limit.soft(), limit.hard());
            plan.host(origin, Action::SetRlimit { resource: resource(limit.typ()), soft, hard });
        }
    }
}

/// How willingly the kernel kills the process when memory runs out.
pub(super) fn set_score(plan: &mut Draft, spec: &Spec) {
    if let Some(score) = score(spec) {
        plan.host("/process/oomScoreAdj", Action::SetOomScoreAdj(score));
    }
}

/// The same before the process hides from those in the container's user namespace, if there is one: it hides from an
/// ordinary user who makes it, too.
pub(super) fn set_score_early(plan: &mut Draft, spec: &Spec) {
    if is_scored_early(spec) {
        plan.init("/process/oomScoreAdj", Step::Barrier { point: Point::Visible });
        set_score(plan, spec);
    }
}

/// Whether [`set_score_early`] does it.
pub(super) fn is_scored_early(spec: &Spec) -> bool {
    Wish::of(spec, Namespace::User) != Wish::Host && score(spec).is_some()
}

fn score(spec: &Spec) -> Option<i32> {
    spec.oci().process().as_ref()?.oom_score_adj()
}

/// Refuses a limit that leaves init no descriptor to wait on, besides its dialogue: it would die without a word.
pub(super) fn leave_descriptors(spec: &Spec, inherited: u32) -> Result<(), ConfigError> {
    let needed = u64::from(inherited) + 2;
    let too_few = |limit: &PosixRlimit| limit.typ() == PosixRlimitType::RlimitNofile && limit.soft() < needed;
    match rlimits(spec).find(|(_, limit)| too_few(limit)) {
        None => Ok(()),
        Some((origin, _)) => {
            let problem =
                format!("a container that waits for its start needs {needed} descriptors until then");
            Err(ConfigError::new(origin.child("soft"), problem))
        }
    }
}

fn rlimits(spec: &Spec) -> impl Iterator<Item = (Pointer, &PosixRlimit)> {
    let rlimits = spec.oci().process().as_ref().and_then(|process| process.rlimits().as_ref());
    let origin = Pointer::of("/process/rlimits");
    rlimits.into_iter().flatten().enumerate().map(move |(index, limit)| (origin.child(index), limit))
}

/// The resource limits, by the names of the specification and the numbers of the kernel.
const RESOURCES: [(PosixRlimitType, u32, &str); 16] = [
    (PosixRlimitType::RlimitCpu, libc::RLIMIT_CPU, "RLIMIT_CPU"),
    (PosixRlimitType::RlimitFsize, libc::RLIMIT_FSIZE, "RLIMIT_FSIZE"),
    (PosixRlimitType::RlimitData, libc::RLIMIT_DATA, "RLIMIT_DATA"),
    (PosixRlimitType::RlimitStack, libc::RLIMIT_STACK, "RLIMIT_STACK"),
    (PosixRlimitType::RlimitCore, libc::RLIMIT_CORE, "RLIMIT_CORE"),
    (PosixRlimitType::RlimitRss, libc::RLIMIT_RSS, "RLIMIT_RSS"),
    (PosixRlimitType::RlimitNproc, libc::RLIMIT_NPROC, "RLIMIT_NPROC"),
    (PosixRlimitType::RlimitNofile, libc::RLIMIT_NOFILE, "RLIMIT_NOFILE"),
    (PosixRlimitType::RlimitMemlock, libc::RLIMIT_MEMLOCK, "RLIMIT_MEMLOCK"),
    (PosixRlimitType::RlimitAs, libc::RLIMIT_AS, "RLIMIT_AS"),
    (PosixRlimitType::RlimitLocks, libc::RLIMIT_LOCKS, "RLIMIT_LOCKS"),
    (PosixRlimitType::RlimitSigpending, libc::RLIMIT_SIGPENDING, "RLIMIT_SIGPENDING"),
    (PosixRlimitType::RlimitMsgqueue, libc::RLIMIT_MSGQUEUE, "RLIMIT_MSGQUEUE"),
    (PosixRlimitType::RlimitNice, libc::RLIMIT_NICE, "RLIMIT_NICE"),
    (PosixRlimitType::RlimitRtprio, libc::RLIMIT_RTPRIO, "RLIMIT_RTPRIO"),
    (PosixRlimitType::RlimitRttime, libc::RLIMIT_RTTIME, "RLIMIT_RTTIME"),
];

fn resource(kind: PosixRlimitType) -> u32 {
    RESOURCES.iter().find(|(known, ..)| *known == kind).map_or(u32::MAX, |(_, number, _)| *number)
}

/// The name of a resource limit.
pub(super) fn limit_name(resource: u32) -> &'static str {
    RESOURCES.iter().find(|(_, number, _)| *number == resource).map_or("an unknown limit", |(.., name)| name)
}
