//! What config.json says.

/// config.json, parsed and checked.
#[derive(Debug, Clone)]
pub struct Spec;
