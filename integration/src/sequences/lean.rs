//! The containers of sequences.

use serde_json::{Value, json};

use super::draw::Kind;

/// Changes the default configuration to that of such a container.
pub fn form(kind: Kind, config: &mut Value) {
    let program = if kind.is_brief() { json!(["/bin/true"]) } else { json!(["/bin/sleep", "1000"]) };
    config["process"]["args"] = program;
    if kind == Kind::Usual {
        return;
    }
    // Network namespaces are taken apart long after a sequence, at the cost of the next ones.
    config["linux"]["namespaces"] = json!([{"type": "pid"}, {"type": "mount"}]);
    config["mounts"] = json!([{"destination": "/proc", "type": "proc", "source": "proc"}]);
    for unneeded in ["maskedPaths", "readonlyPaths"] {
        config["linux"][unneeded] = json!([]);
    }
    config.as_object_mut().expect("a configuration is an object").remove("hostname");
}
