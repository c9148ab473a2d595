//! How a container ended, kept for those who ask later.

use serde::{Deserialize, Serialize};

use super::StateRoot;
use super::record::{Document, VERSION};
use crate::container::Exit;
use crate::spec::ContainerId;

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct End {
    /// [`VERSION`].
    pub version: u32,
    /// The container.
    pub id: ContainerId,
    /// How its first process ended.
    pub exit: Exit,
    /// Whether the kernel killed a process of it because it ran out of memory.
    pub out_of_memory: bool,
    /// When its end was seen, which for one that nobody waited for is later than the end itself: in UTC, as in
    /// `2030-01-31T23:59:59.123456789Z`.
    pub seen: String,
}

impl End {
    /// An end that is seen now.
    pub fn seen_now(root: &StateRoot, id: &ContainerId, exit: Exit, out_of_memory: bool) -> Self {
        End { version: VERSION, id: id.clone(), exit, out_of_memory, seen: root.timestamp() }
    }
}

impl Document for End {
    fn version(&self) -> u32 {
        self.version
    }

    fn id(&self) -> &ContainerId {
        &self.id
    }
}
