//! Faults from the command line: `faults [WORD …]`; words choose what is tried.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that speaks to people")]

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use std::{fs, io};

use integration::faults::campaign::{self, Choice, Combination};
use integration::faults::fault::{Fault, KINDS, Point};
use integration::faults::report;

const USAGE: &str = "\
faults [WORD ...]
    create start run run-detach exec kill pause resume update delete delete-force   commands
    plain user mounts hooks terminal seccomp shared joined                          shapes
    host unified rootless systemd                                                   cgroups, and who asks for them
    fault=kill|kill-after|error|lasting|short|storm|stop|ENOMEM|EIO+|...            faults
    at=PROCESS:ORDINAL   one point
    share=N              one of N trials
    limit=N              at most N trials of each command with each shape
    seed=N               chooses which
    seconds=N            nothing new is begun after that
    workers=N            how many at a time
    results=DIRECTORY    where they are kept, and found again
    report=FILE          the tables; `only-report` makes no trial
";

fn main() -> ExitCode {
    match Wish::read(std::env::args().skip(1)).map(Wish::go) {
        Some(Ok(status)) => status,
        Some(Err(error)) => {
            eprintln!("faults: {error}");
            ExitCode::from(125)
        }
        None => {
            eprint!("{USAGE}");
            ExitCode::from(2)
        }
    }
}

struct Wish {
    choice: Choice,
    report: Option<PathBuf>,
    trials: bool,
}

impl Wish {
    fn read(words: impl Iterator<Item = String>) -> Option<Self> {
        let results = integration::runtime::binaries().join("../../faults");
        let mut wish = Self { choice: Choice::everything(results), report: None, trials: true };
        let (mut chosen, mut kinds) = (Vec::new(), Vec::new());
        for word in words {
            match word.split_once('=') {
                Some(("fault", value)) if KINDS.contains(&value) => kinds.push(value.to_owned()),
                Some((name, value)) => wish.set(name, value)?,
                None if word == "only-report" => wish.trials = false,
                None => chosen.push(word),
            }
        }
        if !kinds.is_empty() {
            wish.choice.kinds = kinds;
        }
        wish.choose(&chosen).then_some(wish)
    }

    fn set(&mut self, name: &str, value: &str) -> Option<()> {
        let choice = &mut self.choice;
        match name {
            "fault" => choice.fault = Some(Fault::named(value)?),
            "at" => choice.point = Some(Point::named(value)?),
            "share" => choice.share = value.parse().ok().filter(|&share| share > 0)?,
            "limit" => choice.limit = value.parse().ok()?,
            "seed" => choice.seed = value.parse().ok()?,
            "seconds" => choice.time = Duration::from_secs(value.parse().ok()?),
            "workers" => choice.workers = value.parse().ok().filter(|&workers| workers > 0)?,
            "results" => choice.results = value.into(),
            "report" => self.report = Some(value.into()),
            _ => return None,
        }
        Some(())
    }

    /// Words of one sort widen the choice, words of another one narrow it; false if one is no such word.
    fn choose(&mut self, words: &[String]) -> bool {
        let all = Combination::all();
        let names = |one: &Combination| [one.setting.name(), one.operation.name(), one.shape.name()];
        let of_sort = |sort: usize| -> Vec<&String> {
            words.iter().filter(|word| all.iter().any(|one| names(one)[sort] == **word)).collect()
        };
        let sorts: [_; 3] = std::array::from_fn(of_sort);
        let fits = |one: &Combination| {
            (0..3).all(|sort| {
                sorts[sort].is_empty() || sorts[sort].iter().any(|word| **word == names(one)[sort])
            })
        };
        self.choice.combinations = all.iter().copied().filter(fits).collect();
        words.iter().all(|word| sorts.iter().any(|sort| sort.contains(&word)))
    }

    fn go(self) -> io::Result<ExitCode> {
        let begun = Instant::now();
        if self.trials {
            campaign::wage(&self.choice)?;
        }
        let results = report::read(&self.choice.results)?;
        print!("{}", report::summary(&results));
        let (trials, wrong): (usize, Vec<_>) = (
            results.iter().map(|one| one.all().trials).sum(),
            results.iter().flat_map(|one| &one.wrong).collect(),
        );
        wrong.iter().for_each(|one| println!("{one}"));
        println!("{trials} trials, {} wrong, {:.1?}", wrong.len(), begun.elapsed());
        if let Some(file) = self.report {
            fs::write(file, report::markdown(&results))?;
        }
        Ok(if wrong.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
