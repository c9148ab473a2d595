//! `linux.resources` alone, as `update` reads it.

use oci_spec::runtime::LinuxResources;
use serde_json::{Value, json};

use super::{MAX_SIZE, OCI_VERSION, document};
use crate::error::ConfigError;

/// Reads an object such as `linux.resources` of config.json. Pointers of errors begin with `/linux/resources`.
///
/// # Errors
/// It isn't JSON, or a value has the wrong type or is out of range.
pub fn resources(raw: &[u8]) -> Result<LinuxResources, ConfigError> {
    if raw.len() > MAX_SIZE {
        return Err(ConfigError::new("", format!("there are more than {MAX_SIZE} bytes")));
    }
    let resources: Value = serde_json::from_slice(raw)
        .map_err(|error| ConfigError::new("", format!("the resources are not valid JSON: {error}")))?;
    if !resources.is_object() {
        return Err(ConfigError::new("", "the resources have to be one JSON object"));
    }
    // As a part of a whole document, so that the same rules hold.
    let whole = json!({ "ociVersion": OCI_VERSION, "linux": { "resources": resources } });
    let (spec, _) = document::read(whole.to_string().as_bytes())?;
    let linux = spec.linux().as_ref();
    Ok(linux.and_then(|linux| linux.resources().clone()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(raw: &str) -> String {
        resources(raw.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn what_engines_send_is_read() {
        let read = resources(
            br#"{"devices":null,"memory":{"limit":33554432,"swap":null},"cpu":{"shares":0},"pids":{},"extra":1}"#,
        )
        .unwrap();
        assert_eq!(read.memory().unwrap().limit(), Some(33_554_432));
        assert_eq!((read.memory().unwrap().swap(), read.devices()), (None, &None));
        assert_eq!(read.pids(), &None, "no limit is not a limit of zero");
        assert_eq!(resources(b"{}").unwrap(), LinuxResources::default());
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_place() {
        assert!(refusal("").contains("not valid JSON"));
        assert!(refusal("[]").contains("one JSON object"));
        assert!(refusal(r#"{"memory":{"limit":"1g"}}"#).contains("/linux/resources/memory/limit"));
        assert!(refusal(r#"{"memory":[1]}"#).contains("/linux/resources/memory"));
        assert!(refusal(r#"{"unified":{"a":"\u0000"}}"#).contains("/linux/resources/unified/a"));
    }
}
