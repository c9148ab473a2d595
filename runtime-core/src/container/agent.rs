//! What the agent of a system call filter is told (config-linux.md, "The Container Process State").

use std::os::fd::BorrowedFd;

use serde::Serialize;

use crate::container::Status;
use crate::error::{Error, Result};
use crate::launch::send_message;
use crate::seccomp::Agent;
use crate::spec::OCI_VERSION;
use crate::state::{Record, State};

/// The descriptors that are sent, in their order.
const DESCRIPTORS: [&str; 1] = ["seccompFd"];

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ProcessState<'a> {
    oci_version: &'a str,
    fds: [&'a str; 1],
    pid: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a str>,
    state: State,
}

/// Tells an agent about a process of the container, and hands it the descriptor of that process's filter.
///
/// What a created container is called differs on purpose from what `state` says by then: agents know the first process
/// of a container by `creating`, and further ones by `running`.
pub(super) fn tell(
    agent: &Agent,
    listener: BorrowedFd<'_>,
    pid: u32,
    record: &Record,
    status: Status,
) -> Result<()> {
    let message = serde_json::to_vec(&ProcessState {
        oci_version: OCI_VERSION,
        fds: DESCRIPTORS,
        pid,
        metadata: agent.metadata.as_deref(),
        state: record.state(status, ""),
    });
    let message = message.map_err(|_| Error::Died("a path of the container is not UTF-8".into()))?;
    send_message(&record.bundle.join(&agent.socket), &message, listener)
}
