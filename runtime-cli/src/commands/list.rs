//! `list`: all containers of a state root.

use std::fs;
use std::io::{self, Write};

use clap::ArgMatches;

use super::{Session, Verb};
use crate::args::{flag, format, is_set, text_of};
use crate::failure::Failure;
use crate::output;
use runtime_core::Error;
use runtime_core::container::Container;
use runtime_core::state::State;

pub(super) const VERB: Verb = Verb {
    name: "list",
    about: "List the containers",
    arguments: |table| table.args([format("table"), flag("quiet", "Print the ids only").short('q')]),
    run,
};

fn run(matches: &ArgMatches, session: &Session<'_>) -> Result<u8, Failure> {
    let (format, quiet) = (text_of(matches, "format"), is_set(matches, "quiet"));
    let states = states(session)?;
    match format {
        _ if quiet => output::print(&ids(&states)),
        // RUNC-COMPAT: an empty list is `null`, and callers accept nothing else to be different.
        "json" if states.is_empty() => output::print("null\n"),
        "json" => output::print_line(&states),
        _ => output::print(&table(&states)),
    }
    .map(|()| 0)
}

// A record that can't be read is reported, and does not hide the others.
fn states(session: &Session<'_>) -> Result<Vec<State>, Failure> {
    let Some(root) = session.existing_root()? else {
        // RUNC-COMPAT: before the first container nothing made the default root; a root that the user named is there.
        return session.given_root.as_ref().map_or(Ok(Vec::new()), |root| {
            Err(Failure::Refused(format!("the state root {} does not exist", root.display())))
        });
    };
    let users = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let mut states = Vec::new();
    for container in Container::list(&root)? {
        match container.state_with_owner(|uid| owner(&users, uid)) {
            Ok(state) => states.push(state),
            // It is being made, or was just removed.
            Err(Error::NotFound(_)) => {}
            Err(error) => drop(writeln!(io::stderr(), "cannot read container {}: {error}", container.id())),
        }
    }
    Ok(states)
}

// The name of a user: the host's file is all that a static program can ask.
fn owner(users: &str, uid: u32) -> String {
    let of = |line: &str| {
        let mut fields = line.split(':');
        let (name, number) = (fields.next()?, fields.nth(1)?);
        (number.parse() == Ok(uid)).then(|| name.to_owned())
    };
    users.lines().find_map(of).unwrap_or_else(|| format!("#{uid}"))
}

fn ids(states: &[State]) -> String {
    states.iter().map(|state| format!("{}\n", state.id)).collect()
}

fn table(states: &[State]) -> String {
    let head = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(String::from);
    let row = |state: &State| {
        let bundle = state.bundle.display().to_string();
        let (pid, status) = (state.pid.to_string(), state.status.to_string());
        [state.id.clone(), pid, status, bundle, state.created.clone(), state.owner.clone()]
    };
    output::columns(&[head].into_iter().chain(states.iter().map(row)).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owners_have_names_or_numbers() {
        let users = "root:x:0:0::/:/bin/sh\nbroken\nann:x:1000:1000::/home/ann:\n";
        assert_eq!(owner(users, 0), "root");
        assert_eq!(owner(users, 1000), "ann");
        assert_eq!(owner(users, 100), "#100");
        assert_eq!(owner("", 0), "#0");
    }

    #[test]
    fn the_table_of_nothing_is_its_head() {
        assert_eq!(table(&[]), "ID          PID         STATUS      BUNDLE      CREATED     OWNER\n");
    }
}
