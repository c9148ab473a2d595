//! `linux.seccomp`, normalised.

use oci_spec::runtime::{
    LinuxSeccomp, LinuxSeccompAction, LinuxSeccompArg, LinuxSeccompFilterFlag, LinuxSeccompOperator,
    LinuxSyscall,
};

use super::architecture::Architecture;
use crate::error::ConfigError;
use crate::plan::Pointer;

const EPERM: u32 = 1;
pub(super) const ENOSYS: u16 = 38;
/// The highest errno that the kernel lets a filter return.
const MAX_ERRNO: u32 = 4095;
/// System calls have six arguments.
const ARGUMENTS: usize = 6;

const FLAG_LOG: u32 = 1 << 1;
const FLAG_SPEC_ALLOW: u32 = 1 << 2;
const FLAG_NEW_LISTENER: u32 = 1 << 3;
const FLAG_WAIT_KILLABLE_RECV: u32 = 1 << 5;

/// Which system calls a container may make, as plain data. Names are not resolved: planning is on every run's path,
/// and what a name means is libseccomp's business.
#[derive(Debug, Clone, PartialEq, Hash)]
pub struct Profile {
    /// What happens to system calls that no rule matches.
    pub(super) default: Action,
    /// The native one first.
    pub(super) architectures: Vec<Architecture>,
    /// `SECCOMP_FILTER_FLAG_*` bits.
    flags: u32,
    /// One for each entry of `syscalls`, in that order.
    pub(super) rules: Vec<Rule>,
}

/// An entry of `syscalls`.
#[derive(Debug, Clone, PartialEq, Hash)]
pub(super) struct Rule {
    pub(super) names: Vec<String>,
    pub(super) action: Action,
    /// The rule matches if all conditions of one alternative hold. Without conditions: one empty alternative.
    pub(super) alternatives: Vec<Vec<Condition>>,
}

/// What happens to a system call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Action {
    KillThread,
    KillProcess,
    Trap,
    Errno(u16),
    Trace(u16),
    /// An agent outside decides.
    Notify,
    Log,
    Allow,
}

impl Action {
    /// The `SECCOMP_RET_*` value.
    pub(super) fn code(self) -> u32 {
        match self {
            Action::KillThread => 0,
            Action::KillProcess => 0x8000_0000,
            Action::Trap => 0x0003_0000,
            Action::Errno(errno) => 0x0005_0000 | u32::from(errno),
            Action::Trace(message) => 0x7ff0_0000 | u32::from(message),
            Action::Notify => 0x7fc0_0000,
            Action::Log => 0x7ffc_0000,
            Action::Allow => 0x7fff_0000,
        }
    }
}

/// What an argument must be like.
#[derive(Debug, Clone, Copy, PartialEq, Hash)]
pub(super) struct Condition {
    /// From 0.
    pub(super) argument: u32,
    pub(super) operator: Operator,
    /// What the argument is compared with.
    pub(super) value: u64,
}

/// How an argument is compared.
#[derive(Debug, Clone, Copy, PartialEq, Hash)]
pub(super) enum Operator {
    NotEqual,
    Less,
    LessOrEqual,
    Equal,
    GreaterOrEqual,
    Greater,
    /// Only the bits of the mask are compared, on both sides.
    MaskedEqual(u64),
}

impl Profile {
    /// Normalises `linux.seccomp`. `supports_spec_allow` tells whether the kernel has
    /// `SECCOMP_FILTER_FLAG_SPEC_ALLOW` (4.17), which is the default where it is there.
    ///
    /// # Errors
    /// What the specification forbids, and what the kernel can't do.
    pub fn plan(seccomp: &LinuxSeccomp, supports_spec_allow: bool) -> Result<Self, ConfigError> {
        let at = Pointer::of("/linux/seccomp");
        check_agent(seccomp, &at)?;
        Ok(Profile {
            default: action(seccomp.default_action(), seccomp.default_errno_ret(), || {
                at.child("defaultErrnoRet")
            })?,
            architectures: architectures(seccomp.architectures().as_deref().unwrap_or_default())?,
            flags: with_agent(flags(seccomp.flags().as_deref(), supports_spec_allow)?, seccomp),
            rules: seccomp
                .syscalls()
                .iter()
                .flatten()
                .enumerate()
                .map(|(index, entry)| rule(entry, || rule_at(index)))
                .collect::<Result<_, _>>()?,
        })
    }

    /// The `SECCOMP_FILTER_FLAG_*` bits with which the filter is to be installed.
    pub fn flags(&self) -> u32 {
        self.flags
    }

    /// Whether an agent decides about some calls.
    pub fn has_agent(&self) -> bool {
        self.flags & FLAG_NEW_LISTENER != 0
    }
}

/// Where the entry of `syscalls` with that index is.
fn rule_at(index: usize) -> Pointer {
    Pointer::of("/linux/seccomp/syscalls").child(index)
}

/// The first entry that leaves its calls to an agent.
pub(super) fn first_notifying(seccomp: &LinuxSeccomp) -> Option<usize> {
    let entries = seccomp.syscalls().as_deref().unwrap_or_default();
    entries.iter().position(|entry| entry.action() == LinuxSeccompAction::ScmpActNotify)
}

// An agent's path without the action that needs it is to be ignored.
fn check_agent(seccomp: &LinuxSeccomp, at: &Pointer) -> Result<(), ConfigError> {
    if seccomp.default_action() == LinuxSeccompAction::ScmpActNotify {
        let problem = "SCMP_ACT_NOTIFY can't be the default, which would leave everything to the agent, known or not; \
                       list the system calls that are its business";
        return Err(ConfigError::new(at.child("defaultAction"), problem));
    }
    if let (Some(index), None) = (first_notifying(seccomp), seccomp.listener_path()) {
        let problem = "SCMP_ACT_NOTIFY needs somebody who decides; name the agent's socket in linux.seccomp.listenerPath";
        return Err(ConfigError::new(rule_at(index).child("action"), problem));
    }
    if seccomp.listener_metadata().is_some() && seccomp.listener_path().is_none() {
        let problem = "there is no listenerPath that this could be sent to; add it, or remove this";
        return Err(ConfigError::new(at.child("listenerMetadata"), problem));
    }
    Ok(())
}

/// An action with its errno, whose place `at` tells.
fn action(
    name: LinuxSeccompAction,
    errno: Option<u32>,
    at: impl Fn() -> Pointer,
) -> Result<Action, ConfigError> {
    let bounded = |limit: u32| {
        let errno = errno.unwrap_or(EPERM);
        u16::try_from(errno).ok().filter(|errno| u32::from(*errno) <= limit).ok_or_else(|| {
            let problem = format!("{errno} is more than {limit}, the most that {name} can carry");
            ConfigError::new(at(), problem)
        })
    };
    let action = match name {
        LinuxSeccompAction::ScmpActErrno => return bounded(MAX_ERRNO).map(Action::Errno),
        LinuxSeccompAction::ScmpActTrace => return bounded(u16::MAX.into()).map(Action::Trace),
        LinuxSeccompAction::ScmpActKill | LinuxSeccompAction::ScmpActKillThread => Action::KillThread,
        LinuxSeccompAction::ScmpActKillProcess => Action::KillProcess,
        LinuxSeccompAction::ScmpActTrap => Action::Trap,
        LinuxSeccompAction::ScmpActLog => Action::Log,
        LinuxSeccompAction::ScmpActAllow => Action::Allow,
        LinuxSeccompAction::ScmpActNotify => Action::Notify,
    };
    match errno {
        Some(_) => {
            let problem = format!("{name} returns no errno; only SCMP_ACT_ERRNO and SCMP_ACT_TRACE do");
            Err(ConfigError::new(at(), problem))
        }
        None => Ok(action),
    }
}

/// Whether a rule may have this action.
pub(super) fn accepts_action(name: LinuxSeccompAction) -> bool {
    action(name, None, || Pointer::NONE).is_ok()
}

/// Whether a profile may list this architecture.
pub(super) fn accepts_architecture(arch: oci_spec::runtime::Arch) -> bool {
    architectures(&[arch]).is_ok()
}

/// Whether a profile may have this flag.
pub(super) fn accepts_flag(flag: LinuxSeccompFilterFlag) -> bool {
    flags(Some(&[flag]), true).is_ok()
}

fn architectures(listed: &[oci_spec::runtime::Arch]) -> Result<Vec<Architecture>, ConfigError> {
    let mut architectures = vec![Architecture::NATIVE];
    for (index, arch) in listed.iter().enumerate() {
        let architecture = Architecture::of(*arch);
        if !architecture.has_native_byte_order() {
            let problem =
                format!("a filter for this machine can't serve {arch}, whose byte order differs; remove it");
            return Err(ConfigError::new(Pointer::of("/linux/seccomp/architectures").child(index), problem));
        }
        if !architectures.contains(&architecture) {
            architectures.push(architecture);
        }
    }
    Ok(architectures)
}

fn flags(listed: Option<&[LinuxSeccompFilterFlag]>, supports_spec_allow: bool) -> Result<u32, ConfigError> {
    let Some(listed) = listed else {
        return Ok(if supports_spec_allow { FLAG_SPEC_ALLOW } else { 0 });
    };
    listed.iter().enumerate().try_fold(0, |flags, (index, flag)| match flag {
        LinuxSeccompFilterFlag::SeccompFilterFlagLog => Ok(flags | FLAG_LOG),
        LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow if supports_spec_allow => {
            Ok(flags | FLAG_SPEC_ALLOW)
        }
        LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow => {
            let problem =
                format!("this kernel has no {flag}; remove it, or leave `flags` out to have it if possible");
            Err(ConfigError::new(Pointer::of("/linux/seccomp/flags").child(index), problem))
        }
        // The process that is filtered has one thread, so there is none to synchronise with.
        LinuxSeccompFilterFlag::SeccompFilterFlagTsync => Ok(flags),
        LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv => Ok(flags | FLAG_WAIT_KILLABLE_RECV),
    })
}

// Waiting killably is about an agent's answer: without an agent nothing waits, and the kernel answers EINVAL.
fn with_agent(flags: u32, seccomp: &LinuxSeccomp) -> u32 {
    match first_notifying(seccomp) {
        Some(_) => flags | FLAG_NEW_LISTENER,
        None => flags & !FLAG_WAIT_KILLABLE_RECV,
    }
}

fn rule(entry: &LinuxSyscall, at: impl Fn() -> Pointer) -> Result<Rule, ConfigError> {
    if entry.names().is_empty() {
        return Err(ConfigError::new(at().child("names"), "the list is empty; name a system call"));
    }
    let conditions = entry
        .args()
        .iter()
        .flatten()
        .enumerate()
        .map(|(index, arg)| condition(arg, || at().child("args").child(index)))
        .collect::<Result<_, _>>()?;
    Ok(Rule {
        names: entry.names().clone(),
        action: action(entry.action(), entry.errno_ret(), || at().child("errnoRet"))?,
        alternatives: alternatives(conditions),
    })
}

fn condition(arg: &LinuxSeccompArg, at: impl Fn() -> Pointer) -> Result<Condition, ConfigError> {
    let Some(argument) = u32::try_from(arg.index()).ok().filter(|_| arg.index() < ARGUMENTS) else {
        let problem = format!("a system call has no argument {}; they count from 0 to 5", arg.index());
        return Err(ConfigError::new(at().child("index"), problem));
    };
    let (operator, value) = match arg.op() {
        LinuxSeccompOperator::ScmpCmpNe => (Operator::NotEqual, arg.value()),
        LinuxSeccompOperator::ScmpCmpLt => (Operator::Less, arg.value()),
        LinuxSeccompOperator::ScmpCmpLe => (Operator::LessOrEqual, arg.value()),
        LinuxSeccompOperator::ScmpCmpEq => (Operator::Equal, arg.value()),
        LinuxSeccompOperator::ScmpCmpGe => (Operator::GreaterOrEqual, arg.value()),
        LinuxSeccompOperator::ScmpCmpGt => (Operator::Greater, arg.value()),
        LinuxSeccompOperator::ScmpCmpMaskedEq => {
            (Operator::MaskedEqual(arg.value()), arg.value_two().unwrap_or(0))
        }
    };
    Ok(Condition { argument, operator, value })
}

// libseccomp takes one condition per argument. Profiles that have two for one meant "or" ever since runc had to
// split them, and it splits such an entry altogether.
fn alternatives(conditions: Vec<Condition>) -> Vec<Vec<Condition>> {
    let repeated = |(index, condition): (usize, &Condition)| {
        conditions.iter().take(index).any(|earlier| earlier.argument == condition.argument)
    };
    match conditions.iter().enumerate().any(repeated) {
        true => conditions.into_iter().map(|condition| vec![condition]).collect(),
        false => vec![conditions],
    }
}
