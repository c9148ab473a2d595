//! `start`: the program of a created container runs.

use super::Verb;
use crate::args::container;

pub(super) const VERB: Verb = Verb {
    name: "start",
    about: "Run the program of a created container",
    arguments: |table| table.arg(container()),
    run: |matches, session| Ok(session.find(matches)?.start().map(|()| 0)?),
};
