//! From a profile to a program for the kernel.
//!
//! libseccomp says what names mean; the program is written here, because libseccomp's own (2.5.4) is wrong for
//! profiles that are right: it forgets to load the number when the first call of a list isn't in the table, turns "at
//! most" into "more than" behind another condition on 32-bit architectures, and loses rules whose call has several.
//! The tests compare every verdict with the specification's.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::architecture::Architecture;
use super::numbers::{Table, Way};
use super::profile::{Action, Condition, ENOSYS, Operator, Profile, Rule};
use super::program::{Label, Program, Width};
use crate::error::{ConfigError, Result};

/// The kernel's `BPF_MAXINSNS`.
pub(super) const MAX_INSTRUCTIONS: usize = 4096;
/// libseccomp's marker for calls that a tracer has cancelled.
const CANCELLED: u32 = u32::MAX;
/// Where init waits until the agent has the descriptor: a number below x32's that no architecture ever gave to a system
/// call. With an agent it is the agent's, whatever the profile says, so that it's the one call which surely waits.
pub(crate) const RENDEZVOUS: u32 = 0x3fff_ffff;

// libseccomp promises nothing about threads.
static LIBSECCOMP: Mutex<()> = Mutex::new(());

/// What happens to a range of numbers.
#[derive(Debug, Clone, PartialEq)]
enum Decision {
    Return(Action),
    /// The action of the first alternative that matches, or the default.
    Try(Width, Vec<(Vec<Condition>, Action)>),
}

/// Decisions by the first number that they are for.
type Ranges = BTreeMap<u32, Decision>;

impl Profile {
    /// Compiles the profile into the bytes of a `struct sock_filter[]`. May be called from several threads, which
    /// then take turns.
    ///
    /// # Errors
    /// libseccomp doesn't know an architecture, or the program would be longer than the kernel accepts.
    pub fn compile(&self) -> Result<Vec<u8>> {
        let kinds = {
            let _turn = LIBSECCOMP.lock().unwrap_or_else(PoisonError::into_inner);
            self.kinds()?
        };
        let program = self.program(&kinds);
        match program.len() {
            length if length > MAX_INSTRUCTIONS => Err(too_long(length).into()),
            _ => Ok(program.bytes()),
        }
    }

    /// The decisions for each audit number, the native one first.
    fn kinds(&self) -> Result<Vec<(u32, Ranges)>> {
        let mut kinds: Vec<(u32, Ranges)> = Vec::new();
        for architecture in &self.architectures {
            let audit = architecture.audit();
            let ranges = self.ranges(*architecture)?;
            match kinds.iter_mut().find(|(kind, _)| *kind == audit) {
                Some((_, shared)) => shared.extend(ranges),
                None => kinds.push((audit, ranges)),
            }
        }
        for (audit, ranges) in &mut kinds {
            self.add_strangers(*audit, ranges);
        }
        if let Some((_, native)) = kinds.first_mut().filter(|_| self.has_agent()) {
            add_rendezvous(native);
        }
        Ok(kinds)
    }

    // x32 calls have the audit number of x86_64. A profile that doesn't list x32 means to kill them, as it does calls
    // of any architecture that it doesn't list.
    fn add_strangers(&self, audit: u32, ranges: &mut Ranges) {
        if audit == Architecture::X86_64.audit() && !self.architectures.contains(&Architecture::X32) {
            ranges.insert(Architecture::X32.begin(), Decision::Return(Action::KillThread));
            ranges.insert(CANCELLED, Decision::Return(self.default));
        }
    }

    fn ranges(&self, architecture: Architecture) -> Result<Ranges> {
        let mut table = Table::of(architecture)?;
        let default = Decision::Return(self.default);
        let calls = self.calls(architecture, &mut table);
        let mut ranges = Ranges::from([(architecture.begin(), default.clone())]);
        let last = self.last_mentioned(architecture, &mut table);
        if let Some(beyond) = last.and_then(|last| last.checked_add(1)).filter(|_| self.has_unknown_calls()) {
            ranges.insert(beyond, Decision::Return(Action::Errno(ENOSYS)));
            architecture.end().map(|end| ranges.insert(end, default.clone()));
        }
        for (number, decision) in calls {
            ranges.insert(number, decision);
            number.checked_add(1).map(|next| ranges.entry(next).or_insert_with(|| default.clone()));
        }
        if architecture.multiplexes_zero() && self.has_unknown_calls() {
            ranges.insert(0, Decision::Return(Action::Errno(ENOSYS)));
        }
        Ok(ranges)
    }

    /// Whether calls that the profile can't know fail with ENOSYS: they would hit a default that is not lenient, where
    /// libraries look for ENOSYS to fall back to what they did before.
    fn has_unknown_calls(&self) -> bool {
        !matches!(self.default, Action::Allow | Action::Log | Action::Trace(_) | Action::Errno(ENOSYS))
    }

    /// The highest number of the table that the profile mentions, with whatever action.
    fn last_mentioned(&self, architecture: Architecture, table: &mut Table) -> Option<u32> {
        let names = self.rules.iter().flat_map(|rule| &rule.names);
        let numbers = names.flat_map(|name| table.ways(name)).map(|way| way.number);
        numbers.filter(|number| architecture.end().is_none_or(|end| *number < end)).max()
    }

    fn calls(&self, architecture: Architecture, table: &mut Table) -> BTreeMap<u32, Decision> {
        let mut calls = BTreeMap::new();
        for rule in self.rules.iter().filter(|rule| rule.action != self.default) {
            for way in rule.names.iter().flat_map(|name| table.ways(name)) {
                let tried = Decision::Try(architecture.width(), Vec::new());
                calls.entry(way.number).or_insert(tried).add(rule, way);
            }
        }
        calls
    }

    fn program(&self, kinds: &[(u32, Ranges)]) -> Program {
        let mut program = Program::default();
        let mut otherwise = program.ret(Action::KillThread.code());
        for (audit, ranges) in kinds.iter().rev() {
            let found = self.search(&mut program, &distinct(ranges));
            let then = program.load_number(found);
            otherwise = program.if_architecture(*audit, then, otherwise);
        }
        program.load_architecture(otherwise);
        program
    }

    /// Finds the range with the loaded number by halving.
    fn search(&self, program: &mut Program, ranges: &[(u32, &Decision)]) -> Label {
        match ranges {
            [] => program.ret(self.default.code()),
            [(_, decision)] => self.decide(program, decision),
            _ => {
                let (below, above) = ranges.split_at(ranges.len() / 2);
                let then = self.search(program, above);
                let otherwise = self.search(program, below);
                let limit = above.first().map_or(0, |(first, _)| *first);
                program.if_at_least(limit, then, otherwise)
            }
        }
    }

    fn decide(&self, program: &mut Program, decision: &Decision) -> Label {
        match decision {
            Decision::Return(action) => program.ret(action.code()),
            Decision::Try(width, alternatives) => {
                let default = program.ret(self.default.code());
                alternatives.iter().rev().fold(default, |otherwise, (conditions, action)| {
                    let then = program.ret(action.code());
                    program.if_all(conditions, *width, then, otherwise)
                })
            }
        }
    }
}

impl Decision {
    // A rule without conditions decides for its call, and the first one stands.
    fn add(&mut self, rule: &Rule, way: Way) {
        let Decision::Try(_, alternatives) = self else {
            return;
        };
        match way.selector {
            Some(selector) => {
                let selected = Condition { argument: 0, operator: Operator::Equal, value: selector };
                alternatives.push((vec![selected], rule.action));
            }
            None if rule.alternatives.iter().any(Vec::is_empty) => *self = Decision::Return(rule.action),
            None => alternatives.extend(rule.alternatives.iter().map(|all| (all.clone(), rule.action))),
        }
    }
}

fn add_rendezvous(ranges: &mut Ranges) {
    let around = ranges.range(..=RENDEZVOUS).next_back().map(|(_, decision)| decision.clone());
    ranges.insert(RENDEZVOUS, Decision::Return(Action::Notify));
    around.map(|around| ranges.entry(RENDEZVOUS + 1).or_insert(around));
}

/// The ranges without those that decide the same as the one before.
fn distinct(ranges: &Ranges) -> Vec<(u32, &Decision)> {
    let mut distinct: Vec<(u32, &Decision)> =
        ranges.iter().map(|(first, decision)| (*first, decision)).collect();
    distinct.dedup_by(|(_, decision), (_, before)| decision == before);
    distinct
}

fn too_long(length: usize) -> ConfigError {
    let problem = format!(
        "the profile compiles to {length} instructions, but the kernel takes at most {MAX_INSTRUCTIONS}; \
         use fewer conditions or architectures"
    );
    ConfigError::new("/linux/seccomp", problem)
}
