//! The `-info` call: what the runtime can do, before there is any container.

use runtime_core::features;

use crate::NAME;
use crate::event::packed;
use crate::protos::protobuf::Message;
use crate::protos::types::introspection::{RuntimeInfo, RuntimeVersion};
use crate::refusal::Refusal;

/// How containerd calls the specification's document of features.
const FEATURES: &str = "types.containerd.io/opencontainers/runtime-spec/1/features/Features";

/// The answer for containerd.
///
/// # Errors
/// It can't be written as a message.
pub(crate) fn info() -> Result<Vec<u8>, Refusal> {
    let features = serde_json::to_vec(&features::features());
    let features = features.map_err(|error| Refusal::unknown(error.to_string()))?;
    let mut version = RuntimeVersion::new();
    version.version = env!("CARGO_PKG_VERSION").into();
    let mut info = RuntimeInfo::new();
    info.name = NAME.into();
    info.version = Some(version).into();
    info.features = Some(packed(FEATURES, features)).into();
    Ok(info.write_to_bytes()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_are_told() {
        let info = RuntimeInfo::parse_from_bytes(&info().unwrap()).unwrap();
        assert_eq!(info.name, "io.containerd.runtime.v1");
        let features: serde_json::Value = serde_json::from_slice(&info.features.value).unwrap();
        assert!(features["linux"]["namespaces"].as_array().unwrap().contains(&"user".into()), "{features}");
    }
}
