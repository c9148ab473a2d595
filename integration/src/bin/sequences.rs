//! Sequences of commands at once on one container, held against the model of its life: `sequences [NAME=VALUE …]`.
//!
//! What is wrong is told with its seed; `from=SEED count=1` runs that sequence again, which may take another course.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that speaks to people")]
#![allow(clippy::disallowed_methods, reason = "it guards nothing")]

use std::io;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Stdio};
use std::str::FromStr;
use std::time::{Duration, Instant};

use integration::bundle::base;
use integration::runtime::runtime;
use integration::sequences::{Account, Order, work};
use integration::world::move_to_lone_cgroup2;
use serde_json::{Value, json};

const USAGE: &str = "\
sequences [NAME=VALUE ...]
    from=SEED        the first one (0)
    count=NUMBER     how many (1000)
    seconds=NUMBER   and for how long at most (600)
    workers=NUMBER   side by side, each with a container of its own (2)
    world=v2|host    a lone cgroup2 tree, or the machine's own layout (v2)
";

/// A worker gets its order as one argument after this word.
const WORKER: &str = "worker";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let done = match words.as_slice() {
        [word, order] if word == WORKER => serve(order).map(|()| true),
        words => Wish::parsed(words).and_then(|wish| wish.fulfil()),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("sequences: {error}");
            ExitCode::from(125)
        }
    }
}

/// What is to be run.
struct Wish {
    from: u64,
    count: u64,
    seconds: u64,
    workers: u64,
    unified: bool,
}

impl Wish {
    fn parsed(words: &[String]) -> io::Result<Self> {
        let mut wish = Wish { from: 0, count: 1000, seconds: 600, workers: 2, unified: true };
        for word in words {
            let (name, value) = word.split_once('=').ok_or_else(|| io::Error::other(USAGE))?;
            match (name, value) {
                ("from", value) => wish.from = number(value)?,
                ("count", value) => wish.count = number(value)?,
                ("seconds", value) => wish.seconds = number(value)?,
                ("workers", value) => wish.workers = number(value)?.max(1),
                ("world", "v2") => wish.unified = true,
                ("world", "host") => wish.unified = false,
                _ => return Err(io::Error::other(USAGE)),
            }
        }
        Ok(wish)
    }

    /// Whether all was well.
    fn fulfil(&self) -> io::Result<bool> {
        let begun = Instant::now();
        let root = base().join(format!("sequences-{}", std::process::id()));
        std::fs::create_dir(&root)?;
        let workers =
            (0..self.workers).map(|worker| self.employ(worker, &root)).collect::<io::Result<Vec<_>>>()?;
        let accounts = workers.into_iter().map(account).collect::<io::Result<Vec<_>>>();
        std::fs::remove_dir_all(&root)?;
        let total = accounts?.into_iter().fold(Account::default(), sum);
        total.violations.iter().for_each(|violation| println!("{violation}"));
        let (sequences, seconds) = (total.sequences, begun.elapsed().as_secs_f64());
        println!(
            "sequences: {sequences} from {} on, {} commands, {:.1} sequences/s, {} violations, {} undecided; next from={}",
            self.from,
            total.commands,
            sequences as f64 / seconds,
            total.violations.len(),
            total.undecided,
            total.next,
        );
        Ok(total.violations.is_empty() && total.undecided * 1000 <= sequences)
    }

    fn employ(&self, worker: u64, root: &PathBuf) -> io::Result<Child> {
        let order = json!({
            "from": self.from + worker,
            "step": self.workers,
            "until": self.from + self.count,
            "seconds": self.seconds,
            "root": root,
            "unified": self.unified,
        });
        let mut command = Command::new(std::env::current_exe()?);
        // Whoever is first builds it.
        command.env("RUNTIME", &runtime().path).args([WORKER, &order.to_string()]);
        command.stdout(Stdio::piped()).spawn()
    }
}

fn number(text: &str) -> io::Result<u64> {
    u64::from_str(text).map_err(|error| io::Error::other(format!("{text:?}: {error}")))
}

/// What a worker has told at its end.
fn account(worker: Child) -> io::Result<Account> {
    let output = worker.wait_with_output()?;
    let told: Value = serde_json::from_slice(&output.stdout)
        .map_err(|error| io::Error::other(format!("a worker ended with {}: {error}", output.status)))?;
    let number = |name: &str| told[name].as_u64().unwrap_or_default();
    let violations = told["violations"].as_array().into_iter().flatten();
    Ok(Account {
        sequences: number("sequences"),
        commands: number("commands"),
        undecided: number("undecided"),
        violations: violations.filter_map(|one| one.as_str().map(str::to_owned)).collect(),
        next: number("next"),
    })
}

/// All of one and all of the other; the next seed is the first that nobody has run.
fn sum(one: Account, mut other: Account) -> Account {
    other.violations.splice(0..0, one.violations);
    Account {
        sequences: one.sequences + other.sequences,
        commands: one.commands + other.commands,
        undecided: one.undecided + other.undecided,
        violations: other.violations,
        next: if one.next == 0 { other.next } else { one.next.min(other.next) },
    }
}

/// Works, as told in the argument, and tells the account.
fn serve(order: &str) -> io::Result<()> {
    let order: Value = serde_json::from_str(order).map_err(io::Error::other)?;
    if order["unified"] == true {
        move_to_lone_cgroup2()?;
    }
    let number = |name: &str| order[name].as_u64().unwrap_or_default();
    let account = work(&Order {
        from: number("from"),
        step: number("step").max(1),
        until: number("until"),
        time: Duration::from_secs(number("seconds")),
        root: PathBuf::from(order["root"].as_str().unwrap_or_default()),
    });
    println!(
        "{}",
        json!({
            "sequences": account.sequences,
            "commands": account.commands,
            "undecided": account.undecided,
            "violations": account.violations,
            "next": account.next,
        })
    );
    Ok(())
}
