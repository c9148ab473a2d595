//! `pause`: make all processes of a container stand still.

use super::Verb;
use crate::args::container;

pub(super) const VERB: Verb = Verb {
    name: "pause",
    about: "Make all processes of a container stand still",
    arguments: |table| table.arg(container()),
    run: |matches, session| {
        session.find(matches)?.pause()?;
        Ok(0)
    },
};
