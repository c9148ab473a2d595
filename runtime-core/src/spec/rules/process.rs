//! The process (config.md, "Process").

use oci_spec::runtime as oci;

use super::{Check, check_absolute, check_env, check_id, list, wrong};
use crate::plan::Pointer;

const PROCESS: Pointer = Pointer::of("/process");

pub(super) fn check(spec: &oci::Spec) -> Check {
    let Some(process) = spec.process() else {
        return wrong(PROCESS, "the process is missing; a container can't be made without one");
    };
    check_args(process)?;
    check_absolute(process.cwd(), || PROCESS.child("cwd"))?;
    check_env(process.env(), || PROCESS.child("env"))?;
    check_user(process.user())?;
    check_rlimits(process)?;
    check_scheduler(process)?;
    check_io_priority(process)?;
    check_oom_score(process)
}

fn check_args(process: &oci::Process) -> Check {
    match list(process.args()).first().map(String::as_str) {
        None => wrong("/process/args", "the command is missing; give at least the program to run"),
        Some("") => wrong("/process/args/0", "the program to run may not be empty"),
        Some(_) => Ok(()),
    }
}

fn check_user(user: &oci::User) -> Check {
    check_id(user.uid(), || Pointer::of("/process/user/uid"))?;
    check_id(user.gid(), || Pointer::of("/process/user/gid"))?;
    for (index, gid) in list(user.additional_gids()).iter().enumerate() {
        check_id(*gid, || Pointer::of("/process/user/additionalGids").child(index))?;
    }
    Ok(())
}

fn check_rlimits(process: &oci::Process) -> Check {
    let limits = list(process.rlimits());
    for (index, limit) in limits.iter().enumerate() {
        let pointer = || PROCESS.child("rlimits").child(index);
        if limits.iter().take(index).any(|earlier| earlier.typ() == limit.typ()) {
            return wrong(
                pointer().child("type"),
                format!("{} is given twice; keep one of them", limit.typ()),
            );
        }
        if limit.soft() > limit.hard() {
            let problem =
                format!("the soft limit {} is above the hard limit {}; lower it", limit.soft(), limit.hard());
            return wrong(pointer().child("soft"), problem);
        }
    }
    Ok(())
}

fn check_scheduler(process: &oci::Process) -> Check {
    use oci::LinuxSchedulerPolicy as Policy;
    let Some(scheduler) = process.scheduler() else { return Ok(()) };
    let pointer = |member: &'static str| Pointer::of("/process/scheduler").child(member);
    let policy = *scheduler.policy();
    if policy == Policy::SchedIso {
        return wrong(pointer("policy"), "SCHED_ISO is not part of Linux; SCHED_OTHER comes nearest");
    }
    if let Some(nice) = scheduler.nice().filter(|nice| !(-20..=19).contains(nice)) {
        return wrong(pointer("nice"), format!("{nice} is out of range: -20 to 19 are allowed"));
    }
    let priority = scheduler.priority().unwrap_or(0);
    let real_time = matches!(policy, Policy::SchedFifo | Policy::SchedRr);
    if real_time && !(1..=99).contains(&priority) {
        return wrong(pointer("priority"), format!("{policy} needs a priority from 1 to 99, not {priority}"));
    }
    if !real_time && priority != 0 {
        return wrong(
            pointer("priority"),
            format!("{policy} has no priority; leave it out, or take SCHED_FIFO"),
        );
    }
    let times = [
        ("runtime", scheduler.runtime()),
        ("deadline", scheduler.deadline()),
        ("period", scheduler.period()),
    ];
    match times.into_iter().find(|(_, time)| time.is_some_and(|time| time != 0)) {
        Some((member, _)) if policy != Policy::SchedDeadline => {
            wrong(pointer(member), format!("{policy} has no {member}; leave it out, or take SCHED_DEADLINE"))
        }
        _ => Ok(()),
    }
}

fn check_io_priority(process: &oci::Process) -> Check {
    match process.io_priority().as_ref().map(oci::LinuxIOPriority::priority) {
        Some(level) if !(0..=7).contains(&level) => wrong(
            "/process/ioPriority/priority",
            format!("{level} is out of range: 0, which gets most, to 7 are allowed"),
        ),
        _ => Ok(()),
    }
}

fn check_oom_score(process: &oci::Process) -> Check {
    match process.oom_score_adj() {
        Some(score) if !(-1000..=1000).contains(&score) => {
            wrong("/process/oomScoreAdj", format!("{score} is out of range: -1000 to 1000 are allowed"))
        }
        _ => Ok(()),
    }
}
