//! How the program shares processors and disks with others (config.md, "Linux Process": `scheduler`, `ioPriority`).
//!
//! The parent sets it, since a process in a user namespace may not ask for more than usual.

use std::fmt::{self, Display, Formatter};

use oci_spec::runtime::{IOPriorityClass, LinuxSchedulerFlag as Flag, LinuxSchedulerPolicy as Policy};

use super::Action;
use super::draft::Draft;
use crate::spec::Spec;

/// What sched_setattr(2) takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scheduling {
    /// `SCHED_*` number.
    pub policy: u32,
    /// `SCHED_FLAG_*` bits.
    pub flags: u64,
    /// From -20, which gets most, to 19.
    pub nice: i32,
    /// Of real-time policies.
    pub priority: u32,
    /// In nanoseconds, as the next two: how long it may run in each period.
    pub runtime: u64,
    /// Until when in each period it has to.
    pub deadline: u64,
    /// The length of a period.
    pub period: u64,
}

/// The policies in the order of their numbers. No kernel of Linux has SCHED_ISO, whose number is kept free.
const POLICIES: [Policy; 7] = [
    Policy::SchedOther,
    Policy::SchedFifo,
    Policy::SchedRr,
    Policy::SchedBatch,
    Policy::SchedIso,
    Policy::SchedIdle,
    Policy::SchedDeadline,
];

/// The classes of ioprio_set(2) in the order of their numbers, from 1.
const CLASSES: [IOPriorityClass; 3] =
    [IOPriorityClass::IoprioClassRt, IOPriorityClass::IoprioClassBe, IOPriorityClass::IoprioClassIdle];

/// Sets both, where they are given.
pub(super) fn set(plan: &mut Draft, spec: &Spec) {
    let Some(process) = spec.oci().process() else { return };
    if let Some(wanted) = process.scheduler() {
        let flags = wanted.flags().iter().flatten().fold(0, |bits, flag| bits | bit(*flag));
        let scheduling = Scheduling {
            policy: number(POLICIES, *wanted.policy()),
            flags,
            nice: wanted.nice().unwrap_or(0),
            priority: wanted.priority().unwrap_or(0).unsigned_abs(),
            runtime: wanted.runtime().unwrap_or(0),
            deadline: wanted.deadline().unwrap_or(0),
            period: wanted.period().unwrap_or(0),
        };
        plan.host("/process/scheduler", Action::SetScheduling(scheduling));
    }
    if let Some(wanted) = process.io_priority() {
        let class = 1 + number(CLASSES, wanted.class());
        let level = u32::try_from(wanted.priority()).unwrap_or(0);
        plan.host("/process/ioPriority", Action::SetIoPriority { class, level });
    }
}

/// A number by the order of all that have one.
fn number<T: PartialEq>(numbered: impl IntoIterator<Item = T>, wanted: T) -> u32 {
    numbered.into_iter().zip(0..).find(|(one, _)| *one == wanted).map_or(0, |(_, number)| number)
}

fn bit(flag: Flag) -> u64 {
    match flag {
        Flag::SchedResetOnFork => 1,
        Flag::SchedFlagReclaim => 1 << 1,
        Flag::SchedFlagDLOverrun => 1 << 2,
        Flag::SchedFlagKeepPolicy => 1 << 3,
        Flag::SchedFlagKeepParams => 1 << 4,
        Flag::SchedFlagUtilClampMin => 1 << 5,
        Flag::SchedFlagUtilClampMax => 1 << 6,
    }
}

impl Scheduling {
    /// As the kernel takes it.
    pub(crate) fn attributes(&self) -> libc::sched_attr {
        libc::sched_attr {
            size: size_of::<libc::sched_attr>() as u32,
            sched_policy: self.policy,
            sched_flags: self.flags,
            sched_nice: self.nice,
            sched_priority: self.priority,
            sched_runtime: self.runtime,
            sched_deadline: self.deadline,
            sched_period: self.period,
        }
    }
}

impl Display for Scheduling {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let policy = POLICIES.get(self.policy as usize).map(ToString::to_string).unwrap_or_default();
        write!(f, "schedule it by {policy}, nice {}, priority {}", self.nice, self.priority)?;
        if self.period + self.deadline + self.runtime > 0 {
            write!(f, ", {} of {} ns within {} ns", self.runtime, self.period, self.deadline)?;
        }
        if self.flags != 0 { write!(f, ", flags {:#x}", self.flags) } else { Ok(()) }
    }
}

/// The name of a class of ioprio_set(2).
pub(super) fn class_name(class: u32) -> String {
    CLASSES.get((class as usize).wrapping_sub(1)).map(ToString::to_string).unwrap_or_default()
}
