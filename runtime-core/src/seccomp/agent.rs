//! The agent: who decides about the system calls that a profile leaves to somebody outside (`SCMP_ACT_NOTIFY`).

use std::path::PathBuf;

use oci_spec::runtime::Spec;
use serde::{Deserialize, Serialize};

use super::profile::first_notifying;

/// An agent, and what it is told beside the container's state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Agent {
    /// The UNIX stream socket at which it listens, on the host; a relative path begins in the bundle.
    pub socket: PathBuf,
    /// What config.json wants it to know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metadata: Option<String>,
}

impl Agent {
    /// The agent of a configuration whose profile leaves something to one.
    pub(crate) fn of(spec: &Spec) -> Option<Self> {
        let seccomp = spec.linux().as_ref()?.seccomp().as_ref()?;
        first_notifying(seccomp)?;
        Some(Agent {
            socket: seccomp.listener_path().clone()?,
            metadata: seccomp.listener_metadata().clone(),
        })
    }
}
