//! The name of a container.

use std::fmt;

use crate::error::Error;

/// A container's id: a name that is safe as a file name (letters, digits and `_ + . -`, at most 255 bytes, and neither
/// `.` nor `..`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContainerId(String);

impl ContainerId {
    /// Checks a name.
    ///
    /// # Errors
    /// [`Error::InvalidId`].
    pub fn new(id: impl Into<String>) -> Result<Self, Error> {
        let id = id.into();
        if is_valid(&id) { Ok(ContainerId(id)) } else { Err(Error::InvalidId(super::shortened(&id))) }
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

// NAME_MAX: the id names a directory and a cgroup.
const LONGEST: usize = 255;

fn is_valid(id: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+.-".contains(&byte);
    (1..=LONGEST).contains(&id.len()) && id.bytes().all(allowed) && id != "." && id != ".."
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for ContainerId {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl AsRef<std::path::Path> for ContainerId {
    fn as_ref(&self) -> &std::path::Path {
        self.0.as_ref()
    }
}

impl std::str::FromStr for ContainerId {
    type Err = Error;

    fn from_str(id: &str) -> Result<Self, Error> {
        ContainerId::new(id)
    }
}

impl TryFrom<String> for ContainerId {
    type Error = Error;

    fn try_from(id: String) -> Result<Self, Error> {
        ContainerId::new(id)
    }
}

impl From<ContainerId> for String {
    fn from(id: ContainerId) -> String {
        id.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_names_are_ids() {
        for id in ["a", "0", "-x", "a_b+c.d-e", "...", ".a", &"x".repeat(255)] {
            assert_eq!(ContainerId::new(id).unwrap().as_str(), id);
        }
    }

    #[test]
    fn other_names_are_not() {
        for id in ["", ".", "..", "a/b", "/", "a b", "ä", "a\n", "a\0", "a:b", &"x".repeat(256)] {
            assert!(matches!(ContainerId::new(id), Err(Error::InvalidId(_))), "{id:?}");
        }
    }

    #[test]
    fn a_record_cannot_smuggle_one_in() {
        assert!(serde_json::from_str::<ContainerId>(r#""../x""#).is_err());
        assert_eq!(serde_json::to_string(&ContainerId::new("x").unwrap()).unwrap(), r#""x""#);
    }
}
