//! `state`: what the specification calls the state of a container, as JSON.

use super::Verb;
use crate::args::container;
use crate::output;

pub(super) const VERB: Verb = Verb {
    name: "state",
    about: "Print the state of a container as JSON",
    arguments: |table| table.arg(container()),
    run: |matches, session| output::print_pretty(&session.find(matches)?.state()?).map(|()| 0),
};
