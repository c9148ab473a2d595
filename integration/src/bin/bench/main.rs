//! How fast is it: ours, its peers, and the floor, measured in turn within one run.
//!
//! `bench [--rounds N] [--json]`. Peers are `runc`, `crun` and `youki`, looked up in the directories of the variable
//! PEERS and then in PATH; ours
//! lies beside this program unless OURS is its path. Everything happens in a private mount namespace where `/sys/fs/cgroup` is cgroup2.

#![allow(clippy::disallowed_methods, reason = "a benchmark may look paths up; it guards nothing")]

mod contender;
mod measure;
mod spawn;
mod table;

use std::process::ExitCode;

use integration::bundle;
use integration::world::move_to_lone_cgroup2;

use contender::Contender;
use measure::Results;

/// What the command line asked for.
struct Wish {
    rounds: usize,
    json: bool,
}

fn main() -> ExitCode {
    let Some(wish) = wish(std::env::args().skip(1)) else {
        eprintln!("usage: bench [--rounds N] [--json]");
        return ExitCode::from(2);
    };
    if let Err(error) = move_to_lone_cgroup2() {
        eprintln!("cannot mount a cgroup2 tree of our own: {error} (run as root)");
        return ExitCode::FAILURE;
    }
    let directory = bundle::base().join(format!("bench-{}", std::process::id()));
    let mut contenders = contender::all(&directory);
    let results = measure::all(&mut contenders, wish.rounds);
    print!("{}", if wish.json { table::json(&results) } else { table::text(&results, wish.rounds) });
    contenders.iter().for_each(Contender::clean);
    let _ = std::fs::remove_dir_all(&directory);
    exit_code(&results)
}

fn wish(mut arguments: impl Iterator<Item = String>) -> Option<Wish> {
    let mut wish = Wish { rounds: 200, json: false };
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--json" => wish.json = true,
            "--rounds" => wish.rounds = arguments.next()?.parse().ok().filter(|&rounds| rounds > 0)?,
            _ => return None,
        }
    }
    Some(wish)
}

/// A contender that failed is worth a look, but not when it is a peer that this machine does not suit.
fn exit_code(results: &[Results]) -> ExitCode {
    match results.iter().any(|one| one.name == "runtime" && one.error.is_none()) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
