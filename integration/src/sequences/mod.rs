//! Sequences of commands on one container, drawn from a seed, run for real, and held against the model of a
//! container's life.
//!
//! A worker is a process with a container's name of its own in a state directory that all workers share. It adopts what
//! its commands leave, so that after a sequence it has no child, or something was left.

pub mod arena;
pub mod draw;
pub mod lean;
pub mod tell;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::model::search::{Refuted, explain};
use arena::Arena;

/// Which sequences a worker runs.
#[derive(Debug, Clone)]
pub struct Order {
    /// The first seed.
    pub from: u64,
    /// The distance from one seed to the next: how many workers there are.
    pub step: u64,
    /// The seed before which it ends.
    pub until: u64,
    /// When it ends, wherever it is.
    pub time: Duration,
    /// The state directory.
    pub root: PathBuf,
}

/// What a worker has to tell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Account {
    /// How many sequences it has run.
    pub sequences: u64,
    /// How many commands these had.
    pub commands: u64,
    /// Sequences about which the search could not decide.
    pub undecided: u64,
    /// What was wrong.
    pub violations: Vec<String>,
    /// The first seed that it has not run.
    pub next: u64,
}

/// Runs sequences in the calling process, which must have one thread and lives in the world of the commands.
pub fn work(order: &Order) -> Account {
    let begun = Instant::now();
    let mut arena = Arena::new(&order.root);
    let mut account = Account::default();
    let mut seed = order.from;
    while seed < order.until && begun.elapsed() < order.time {
        one(&mut arena, seed, &mut account);
        seed += order.step;
    }
    account.next = seed;
    account
}

fn one(arena: &mut Arena, seed: u64, account: &mut Account) {
    let sequence = draw::sequence(seed);
    let run = arena.run(&sequence);
    account.sequences += 1;
    account.commands += run.history.len() as u64;
    let refuted = explain(&run.history, sequence.bundle.is_brief());
    let mut wrong = run.wrong;
    match refuted {
        Ok(()) => {}
        Err(Refuted::Undecided) => account.undecided += 1,
        Err(Refuted::By(place)) => wrong.push(format!("nothing explains what command {place} told")),
    }
    if !wrong.is_empty() {
        account.violations.push(format!("seed {seed}: {wrong:?}\n{}", tell::table(&run.history)));
    }
}
