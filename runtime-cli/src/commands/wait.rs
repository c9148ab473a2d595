//! `wait`: how a container ended.

use clap::ArgMatches;

use super::foreground::status;
use super::{Session, Verb};
use crate::args::{container, flag, format, is_set, text_of};
use crate::failure::Failure;
use crate::output;

pub(super) const VERB: Verb = Verb {
    name: "wait",
    about: "Wait for a container to end and print its exit status",
    arguments: |table| {
        table.args([format("text"), flag("status", "Exit with that status, too").short('s'), container()])
    },
    run,
};

fn run(matches: &ArgMatches, session: &Session<'_>) -> Result<u8, Failure> {
    let end = session.find(matches)?.wait()?;
    let status = status(end.exit);
    match text_of(matches, "format") {
        "json" => output::print_pretty(&end)?,
        _ => output::print(&format!("{status}\n"))?,
    }
    Ok(if is_set(matches, "status") { status } else { 0 })
}
