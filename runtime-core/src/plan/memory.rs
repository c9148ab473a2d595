//! On which memory nodes the container allocates (config-linux.md, "Memory policy").

use std::ops::RangeInclusive;

use oci_spec::runtime::{LinuxMemoryPolicy, MemoryPolicyFlagType as Flag, MemoryPolicyModeType as Mode};

use super::affinity::ranges;
use super::draft::Draft;
use super::{Owned, Pointer};
use crate::error::ConfigError;
use crate::spec::Spec;
use crate::step::Step;

const ORIGIN: Pointer = Pointer::of("/linux/memoryPolicy");

/// How many nodes a mode is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nodes {
    None,
    Some,
    Any,
}

/// The modes, their numbers for the kernel, and their nodes.
const MODES: [(Mode, u32, Nodes); 7] = [
    (Mode::MpolDefault, 0, Nodes::None),
    (Mode::MpolPreferred, 1, Nodes::Any),
    (Mode::MpolBind, 2, Nodes::Some),
    (Mode::MpolInterleave, 3, Nodes::Some),
    (Mode::MpolLocal, 4, Nodes::None),
    (Mode::MpolPreferredMany, 5, Nodes::Some),
    (Mode::MpolWeightedInterleave, 6, Nodes::Some),
];

const FLAGS: [(Flag, u32); 3] = [
    (Flag::MpolFNumaBalancing, 1 << 13),
    (Flag::MpolFRelativeNodes, 1 << 14),
    (Flag::MpolFStaticNodes, 1 << 15),
];

/// One more than the largest node of any kernel.
const END: usize = 1024;

/// The names of modes and of flags, sorted.
pub(crate) fn names() -> (Vec<String>, Vec<String>) {
    let mut modes: Vec<String> = MODES.iter().map(|(mode, ..)| mode.to_string()).collect();
    modes.sort_unstable();
    (modes, FLAGS.iter().map(|(flag, _)| flag.to_string()).collect())
}

/// The name of a mode with that number, flags and all.
pub(super) fn name(mode: u32) -> String {
    let known = MODES
        .iter()
        .filter(|(_, number, _)| *number == mode & !all_flags())
        .map(|(mode, ..)| mode.to_string());
    let flags = FLAGS.iter().filter(|(_, bit)| mode & bit != 0).map(|(flag, _)| flag.to_string());
    known.chain(flags).collect::<Vec<_>>().join(" | ")
}

fn all_flags() -> u32 {
    FLAGS.iter().fold(0, |all, (_, bit)| all | bit)
}

/// Sets the policy, which executions and births inherit.
pub(super) fn set_policy(plan: &mut Draft, spec: &Spec) -> Result<(), ConfigError> {
    let policy = spec.oci().linux().as_ref().and_then(|linux| linux.memory_policy().as_ref());
    if let Some(policy) = policy {
        plan.init(ORIGIN, step(policy)?);
    }
    Ok(())
}

fn step(policy: &LinuxMemoryPolicy) -> Result<Step<Owned>, ConfigError> {
    let known = MODES.iter().find(|(mode, ..)| *mode == policy.mode());
    let (_, mode, wanted) = known.copied().unwrap_or((Mode::MpolDefault, 0, Nodes::None));
    let nodes = mask(policy.nodes().as_deref().unwrap_or(""))?;
    let wrong = match (wanted, nodes.is_empty()) {
        (Nodes::None, false) => "takes no nodes; leave them out",
        (Nodes::Some, true) => "needs at least one node",
        _ => "",
    };
    if !wrong.is_empty() {
        return Err(ConfigError::new(ORIGIN.child("nodes"), format!("the mode {} {wrong}", policy.mode())));
    }
    let flags = policy.flags().iter().flatten();
    let bits = flags
        .filter_map(|flag| FLAGS.iter().find(|(each, _)| each == flag))
        .fold(0, |all, (_, bit)| all | bit);
    Ok(Step::SetMemoryPolicy { mode: mode | bits, nodes })
}

/// A list of nodes as the kernel's set; without words if there is none.
fn mask(list: &str) -> Result<Vec<u64>, ConfigError> {
    if list.is_empty() {
        return Ok(Vec::new());
    }
    let refused = |problem: String| Err(ConfigError::new(ORIGIN.child("nodes"), problem));
    let Some(ranges) = ranges(list) else {
        return refused(format!("{list:?} is no list of memory nodes such as 0-3,7"));
    };
    let last = ranges.iter().map(RangeInclusive::end).copied().max().unwrap_or(0);
    if last >= END {
        return refused(format!(
            "there is no memory node {last}: the last one of any machine is {}",
            END - 1
        ));
    }
    let mut words = vec![0u64; last / 64 + 1];
    for node in ranges.into_iter().flatten() {
        if let Some(word) = words.get_mut(node / 64) {
            *word |= 1 << (node % 64);
        }
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_nodes_are_sets() {
        assert_eq!(mask("0-3,7").unwrap(), [0b1000_1111]);
        assert_eq!(mask("64, 1").unwrap(), [2, 1]);
        assert_eq!(mask("1023").unwrap().len(), 16);
        assert!(mask("").unwrap().is_empty());
        for bad in ["1024", "0-18446744073709551615", "3-1", "x", "1,"] {
            assert_eq!(mask(bad).unwrap_err().pointer.as_str(), "/linux/memoryPolicy/nodes", "{bad}");
        }
    }
}
