//! The measures, taken in turn so that a change of the machine's mood meets everybody.

use std::collections::BTreeMap;

use crate::contender::{Contender, Shape};
use crate::spawn::{peak, time};

/// What is measured many times: name and unit come first because the table prints them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Measure {
    /// `run` of `/bin/true`, in µs.
    Run,
    /// `create`, `start` and `delete`, in µs.
    Cycle,
    /// [`Measure::Run`] with a filter.
    RunFiltered,
    /// [`Measure::Cycle`] with a filter.
    CycleFiltered,
    /// `exec` of `/bin/true`.
    Exec,
    /// [`Measure::Exec`] with a filter.
    ExecFiltered,
    /// The largest resident set of the runtime's own process during `run`, in KiB.
    Peak,
    /// The resident set of the init that waits for `start`, in KiB.
    WaitingInit,
    /// System calls of everything in a plain `run`.
    SystemCalls,
}

impl Measure {
    /// In the order of the table.
    pub const ALL: [Measure; 9] = [
        Measure::Run,
        Measure::Cycle,
        Measure::RunFiltered,
        Measure::CycleFiltered,
        Measure::Exec,
        Measure::ExecFiltered,
        Measure::Peak,
        Measure::WaitingInit,
        Measure::SystemCalls,
    ];

    /// How the table calls it.
    pub fn name(self) -> &'static str {
        match self {
            Measure::Run => "run",
            Measure::Cycle => "create+start+delete",
            Measure::RunFiltered => "run, seccomp",
            Measure::CycleFiltered => "create+start+delete, seccomp",
            Measure::Exec => "exec",
            Measure::ExecFiltered => "exec, seccomp",
            Measure::Peak => "peak memory of the runtime",
            Measure::WaitingInit => "memory of the waiting init",
            Measure::SystemCalls => "system calls of a run",
        }
    }

    /// What it is counted in.
    pub fn unit(self) -> &'static str {
        match self {
            Measure::Peak | Measure::WaitingInit => "KiB",
            Measure::SystemCalls => "calls",
            _ => "ms",
        }
    }
}

/// The samples of one contender.
pub struct Results {
    /// Its name.
    pub name: String,
    /// Sorted samples: µs, KiB or calls.
    pub samples: BTreeMap<Measure, Vec<i64>>,
    /// Why it was taken out, or could not be measured in some way.
    pub error: Option<String>,
}

impl Results {
    /// The middle sample.
    pub fn median(&self, measure: Measure) -> Option<i64> {
        let samples = self.samples.get(&measure)?;
        samples.get(samples.len() / 2).copied()
    }

    /// The smallest sample.
    pub fn minimum(&self, measure: Measure) -> Option<i64> {
        self.samples.get(&measure)?.first().copied()
    }

    fn add(&mut self, measure: Measure, sample: i64) {
        self.samples.entry(measure).or_default().push(sample);
    }
}

/// Measures everybody, `rounds` times what takes time and once what only counts.
pub fn all(contenders: &mut [Contender], rounds: usize) -> Vec<Results> {
    let mut results: Vec<Results> = contenders.iter_mut().map(start).collect();
    for _ in 0..rounds {
        each(contenders, &mut results, round);
    }
    each(contenders, &mut results, once);
    results.iter_mut().flat_map(|one| one.samples.values_mut()).for_each(|samples| samples.sort_unstable());
    results
}

fn start(contender: &mut Contender) -> Results {
    let ready =
        contender.prove().and_then(|()| if contender.is_floor() { Ok(()) } else { contender.settle() });
    Results { name: contender.name.clone(), samples: BTreeMap::new(), error: ready.err() }
}

type Step = fn(&Contender, &mut Results) -> Result<(), String>;

/// One failure ends a contender's part: what fails quickly would look quick.
fn each(contenders: &[Contender], results: &mut [Results], step: Step) {
    for (contender, result) in contenders.iter().zip(results).filter(|(_, result)| result.error.is_none()) {
        result.error = step(contender, result).err();
    }
}

fn round(contender: &Contender, results: &mut Results) -> Result<(), String> {
    results.add(Measure::Run, micros(time(&mut contender.run(Shape::Plain))?));
    if contender.is_floor() {
        return Ok(());
    }
    results.add(Measure::Cycle, micros(contender.cycle(Shape::Plain)?));
    results.add(Measure::RunFiltered, micros(time(&mut contender.run(Shape::Filtered))?));
    results.add(Measure::CycleFiltered, micros(contender.cycle(Shape::Filtered)?));
    results.add(Measure::Exec, micros(time(&mut contender.exec(Shape::Plain))?));
    results.add(Measure::ExecFiltered, micros(time(&mut contender.exec(Shape::Filtered))?));
    Ok(())
}

fn once(contender: &Contender, results: &mut Results) -> Result<(), String> {
    if !contender.is_floor() {
        results.add(Measure::WaitingInit, contender.waiting_init()?);
    }
    results.add(Measure::Peak, peak(&mut contender.run(Shape::Plain))?);
    results.add(Measure::SystemCalls, contender.system_calls()?);
    Ok(())
}

fn micros(time: std::time::Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}
