//! System call filters.

/// A profile, normalised.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile;
