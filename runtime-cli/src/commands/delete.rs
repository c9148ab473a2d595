//! `delete`: nothing of a container remains.

use clap::ArgMatches;

use super::{Session, Verb, id_of};
use crate::args::{container, flag, is_set};
use crate::failure::Failure;
use runtime_core::Error;
use runtime_core::container::Container;

pub(super) const VERB: Verb = Verb {
    name: "delete",
    about: "Remove a container that has stopped, or was never started",
    arguments: |table| {
        table.args([
            flag("force", "Kill it first if it runs; succeed if there is none").short('f'),
            container(),
        ])
    },
    run,
};

fn run(matches: &ArgMatches, session: &Session<'_>) -> Result<u8, Failure> {
    let id = id_of(matches)?;
    let force = is_set(matches, "force");
    let deleted = match session.existing_root()? {
        Some(root) => Container::delete(&root, &id, force),
        None => Err(Error::NotFound(id.as_str().into())),
    };
    match deleted {
        Err(Error::NotFound(_)) if force => Ok(0),
        deleted => Ok(deleted.map(|()| 0)?),
    }
}
