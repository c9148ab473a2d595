//! `ps`: the processes of a container, as the host sees them.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::process::{Command, Stdio};

use clap::{Arg, ArgMatches, value_parser};

use super::{Session, Verb};
use crate::args::{container, format, text_of};
use crate::failure::Failure;
use crate::output;
use runtime_core::error::Context;

pub(super) const VERB: Verb = Verb {
    name: "ps",
    about: "List the processes of a container",
    arguments: |table| {
        table.args([
            format("table"),
            container(),
            Arg::new("ARGUMENTS")
                .help("What the host's ps is told for a table; its output needs a column PID [default: -ef]")
                .num_args(0..)
                .trailing_var_arg(true)
                .allow_hyphen_values(true)
                .value_parser(value_parser!(OsString)),
        ])
    },
    run,
};

fn run(matches: &ArgMatches, session: &Session<'_>) -> Result<u8, Failure> {
    let pids = session.find(matches)?.pids()?;
    match text_of(matches, "format") {
        "json" => output::print_line(&pids),
        _ => {
            let asked: Vec<_> = matches.get_many::<OsString>("ARGUMENTS").into_iter().flatten().collect();
            let table = host_processes(&asked)?;
            output::print(&rows(&table, &pids.into_iter().collect())?)
        }
    }
    .map(|()| 0)
}

// RUNC-COMPAT: what the table looks like is left to the host's own ps.
fn host_processes(arguments: &[&OsString]) -> Result<String, Failure> {
    let mut ps = Command::new("ps");
    if arguments.is_empty() {
        ps.arg("-ef");
    }
    let output = ps.args(arguments).stdin(Stdio::null()).output();
    let output = output.doing(|| "cannot run the host's ps (use --format json)".into())?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let said = said.lines().find(|line| !line.trim().is_empty()).unwrap_or("it says nothing");
    Err(Failure::Refused(format!("the host's ps failed ({}): {said}", output.status)))
}

/// The head of a table, and the rows about these processes.
fn rows(table: &str, pids: &BTreeSet<u32>) -> Result<String, Failure> {
    let mut lines = table.lines();
    let head = lines.next().unwrap_or_default();
    let column = head.split_whitespace().position(|name| name == "PID").ok_or_else(|| {
        Failure::Refused("the output of the host's ps has no column PID: ask it for one".into())
    })?;
    let is_wanted = |line: &&str| {
        let pid = line.split_whitespace().nth(column).and_then(|pid| pid.parse().ok());
        pid.is_some_and(|pid| pids.contains(&pid))
    };
    Ok([head].into_iter().chain(lines.filter(is_wanted)).flat_map(|line| [line, "\n"]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_chosen_by_the_column_of_pids() {
        let table = "USER       PID CMD\nroot         7 sleep 8\nroot         8 sleep 7\nroot\nann  x 7\n";
        let chosen = rows(table, &BTreeSet::from([7])).unwrap();
        assert_eq!(chosen, "USER       PID CMD\nroot         7 sleep 8\n");
        assert_eq!(rows("  PID\n", &BTreeSet::from([7])).unwrap(), "  PID\n");
    }

    #[test]
    fn a_table_without_pids_is_refused() {
        for table in ["", "CMD\nsleep 7\n", "PPID LWP\n7 7\n"] {
            assert!(rows(table, &BTreeSet::from([7])).is_err(), "{table:?}");
        }
    }
}
