//! Which containers share one shim: those of a pod.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;

use crate::refusal::{Doing, Refusal};

/// Annotations whose value names the group; the first one that is there counts.
const ANNOTATIONS: [&str; 2] = ["io.containerd.runc.v2.group", "io.kubernetes.cri.sandbox-id"];

/// As much of config.json as matters here.
#[derive(Deserialize)]
struct Annotated {
    #[serde(default)]
    annotations: Option<HashMap<String, String>>,
}

/// The group of the container in that bundle: its pod, or the container alone.
///
/// # Errors
/// There is no config.json, or it can't be understood.
pub(crate) fn group(bundle: &Path, id: &str) -> Result<String, Refusal> {
    let path = bundle.join("config.json");
    let config = std::fs::read(&path).doing(|| format!("cannot read {}", path.display()))?;
    group_in(&config, id)
}

fn group_in(config: &[u8], id: &str) -> Result<String, Refusal> {
    let config: Annotated = serde_json::from_slice(config)
        .map_err(|error| Refusal::invalid(format!("config.json can't be understood: {error}")))?;
    let annotations = config.annotations.unwrap_or_default();
    let named = ANNOTATIONS.iter().find_map(|name| annotations.get(*name));
    Ok(named.filter(|group| !group.is_empty()).map_or_else(|| id.to_owned(), Clone::clone))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_a_group_and_a_container_without_one_is_alone() {
        let group = |config: &str| group_in(config.as_bytes(), "c").unwrap();
        assert_eq!(group(r#"{"ociVersion":"1.0.2"}"#), "c");
        assert_eq!(group(r#"{"annotations":null}"#), "c");
        assert_eq!(group(r#"{"annotations":{"io.kubernetes.cri.sandbox-id":"pod"}}"#), "pod");
        assert_eq!(group(r#"{"annotations":{"io.kubernetes.cri.sandbox-id":""}}"#), "c");
        let both =
            r#"{"annotations":{"io.kubernetes.cri.sandbox-id":"p","io.containerd.runc.v2.group":"g"}}"#;
        assert_eq!(group(both), "g");
        assert!(group_in(b"{", "c").is_err());
    }
}
