//! `resume`: let the processes of a paused container run on.

use super::Verb;
use crate::args::container;

pub(super) const VERB: Verb = Verb {
    name: "resume",
    about: "Let the processes of a paused container run on",
    arguments: |table| table.arg(container()),
    run: |matches, session| {
        session.find(matches)?.resume()?;
        Ok(0)
    },
};
