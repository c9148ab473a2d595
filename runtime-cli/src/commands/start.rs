//! `start`: the program of a created container runs.

use super::Verb;
use crate::activation;
use crate::args::container;
use runtime_core::container::StartOptions;

pub(super) const VERB: Verb = Verb {
    name: "start",
    about: "Run the program of a created container",
    arguments: |table| table.arg(container()),
    run: |matches, session| {
        let options = StartOptions { notify_socket: activation::notify_socket() };
        Ok(session.find(matches)?.start_with(&options).map(|()| 0)?)
    },
};
