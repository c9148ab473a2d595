//! The words of profiles that are accepted: each was put to the check that a profile meets.

use oci_spec::runtime::{Arch, LinuxSeccompAction, LinuxSeccompFilterFlag, LinuxSeccompOperator};

use super::{architecture, profile};

const ACTIONS: [LinuxSeccompAction; 9] = [
    LinuxSeccompAction::ScmpActAllow,
    LinuxSeccompAction::ScmpActErrno,
    LinuxSeccompAction::ScmpActKill,
    LinuxSeccompAction::ScmpActKillProcess,
    LinuxSeccompAction::ScmpActKillThread,
    LinuxSeccompAction::ScmpActLog,
    LinuxSeccompAction::ScmpActNotify,
    LinuxSeccompAction::ScmpActTrace,
    LinuxSeccompAction::ScmpActTrap,
];

const OPERATORS: [LinuxSeccompOperator; 7] = [
    LinuxSeccompOperator::ScmpCmpEq,
    LinuxSeccompOperator::ScmpCmpGe,
    LinuxSeccompOperator::ScmpCmpGt,
    LinuxSeccompOperator::ScmpCmpLe,
    LinuxSeccompOperator::ScmpCmpLt,
    LinuxSeccompOperator::ScmpCmpMaskedEq,
    LinuxSeccompOperator::ScmpCmpNe,
];

const FLAGS: [LinuxSeccompFilterFlag; 4] = [
    LinuxSeccompFilterFlag::SeccompFilterFlagLog,
    LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow,
    LinuxSeccompFilterFlag::SeccompFilterFlagTsync,
    LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv,
];

/// The actions of rules.
pub(crate) fn actions() -> Vec<String> {
    let accepted = ACTIONS.into_iter().filter(|action| profile::accepts_action(*action));
    accepted.map(|action| action.to_string()).collect()
}

/// The operators of conditions.
pub(crate) fn operators() -> Vec<String> {
    OPERATORS.iter().map(ToString::to_string).collect()
}

/// The architectures that a filter for this one can serve, sorted.
pub(crate) fn architectures() -> Vec<String> {
    let mut names: Vec<_> = architecture::constants().filter(|name| is_accepted(name)).collect();
    names.sort_unstable();
    names
}

fn is_accepted(name: &str) -> bool {
    name.parse::<Arch>().is_ok_and(profile::accepts_architecture)
}

/// The flags of filters, on a kernel that has all of them.
pub(crate) fn flags() -> Vec<String> {
    FLAGS.into_iter().filter(|flag| profile::accepts_flag(*flag)).map(|flag| flag.to_string()).collect()
}
