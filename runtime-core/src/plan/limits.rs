//! The cgroup and its limits, and the limits of the process itself.

use oci_spec::runtime::PosixRlimitType;

use super::draft::Draft;
use super::{Action, Pointer, Request};
use crate::cgroup::{self, Paths};
use crate::error::ConfigError;
use crate::host::Host;
use crate::spec::Spec;

/// Makes the cgroup and sets its limits.
pub(super) fn make_cgroup(
    plan: &mut Draft,
    spec: &Spec,
    host: &Host,
    request: &Request,
) -> Result<Paths, ConfigError> {
    let linux = spec.oci().linux().as_ref();
    let path = linux.and_then(|linux| linux.cgroups_path().as_deref());
    let resources = linux.and_then(|linux| linux.resources().as_ref());
    let planned = cgroup::plan(request.id.as_str(), path, resources, &host.cgroups)?;
    let origin = if path.is_some() { Pointer::of("/linux/cgroupsPath") } else { Pointer::NONE };
    plan.host(origin, Action::CreateCgroup(planned.paths.clone()));
    for (origin, knob) in planned.knobs {
        plan.host(origin, Action::SetLimit(knob));
    }
    if let Some((origin, rules)) = planned.devices {
        plan.host(origin, Action::RestrictDevices(rules));
    }
    Ok(planned.paths)
}

/// Limits of the process: only the parent may raise them, and only when nothing else needs descriptors or memory.
pub(super) fn limit_process(plan: &mut Draft, spec: &Spec) {
    let Some(process) = spec.oci().process() else { return };
    for (index, limit) in process.rlimits().iter().flatten().enumerate() {
        plan.host(
            Pointer::of("/process/rlimits").child(index),
            Action::SetRlimit {
                resource: resource(limit.typ()),
                name: limit.typ().to_string(),
                soft: limit.soft(),
                hard: limit.hard(),
            },
        );
    }
    if let Some(score) = process.oom_score_adj() {
        plan.host("/process/oomScoreAdj", Action::SetOomScoreAdj(score));
    }
}

fn resource(kind: PosixRlimitType) -> u32 {
    match kind {
        PosixRlimitType::RlimitCpu => libc::RLIMIT_CPU,
        PosixRlimitType::RlimitFsize => libc::RLIMIT_FSIZE,
        PosixRlimitType::RlimitData => libc::RLIMIT_DATA,
        PosixRlimitType::RlimitStack => libc::RLIMIT_STACK,
        PosixRlimitType::RlimitCore => libc::RLIMIT_CORE,
        PosixRlimitType::RlimitRss => libc::RLIMIT_RSS,
        PosixRlimitType::RlimitNproc => libc::RLIMIT_NPROC,
        PosixRlimitType::RlimitNofile => libc::RLIMIT_NOFILE,
        PosixRlimitType::RlimitMemlock => libc::RLIMIT_MEMLOCK,
        PosixRlimitType::RlimitAs => libc::RLIMIT_AS,
        PosixRlimitType::RlimitLocks => libc::RLIMIT_LOCKS,
        PosixRlimitType::RlimitSigpending => libc::RLIMIT_SIGPENDING,
        PosixRlimitType::RlimitMsgqueue => libc::RLIMIT_MSGQUEUE,
        PosixRlimitType::RlimitNice => libc::RLIMIT_NICE,
        PosixRlimitType::RlimitRtprio => libc::RLIMIT_RTPRIO,
        PosixRlimitType::RlimitRttime => libc::RLIMIT_RTTIME,
    }
}
