//! What a container has used, in the messages that containerd's readers know: one for each version of cgroups.

mod v1;
mod v2;

use runtime_core::cgroup::{Paths, Stats};

use crate::event::packed;
use crate::placement::is_unified;
use crate::protos::protobuf::Message;
use crate::protos::protobuf::well_known_types::any::Any;
use crate::refusal::Refusal;

const V1: &str = "io.containerd.cgroups.v1.Metrics";
const V2: &str = "io.containerd.cgroups.v2.Metrics";

/// What the processes of this cgroup have used so far. Where both versions are mounted it is told as by version 1.
///
/// # Errors
/// It can't be written as a message.
pub(crate) fn of(cgroup: &Paths) -> Result<Any, Refusal> {
    let stats = cgroup.stats();
    match is_unified() {
        true => Ok(packed(V2, v2::metrics(&stats, &v2::Files::of(cgroup)).write_to_bytes()?)),
        false => Ok(packed(V1, v1::metrics(&stats, cgroup.oom_kills()).write_to_bytes()?)),
    }
}

/// A line of the file in which the kernel counts memory.
fn counted(stats: &Stats, key: &str) -> u64 {
    stats.memory.raw.get(key).copied().unwrap_or_default()
}
