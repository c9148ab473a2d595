//! Names of containers.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The name of a container: 1 to 255 of the characters `A-Z a-z 0-9 _ + . -`, but neither `.` nor `..`. It is a valid
/// file name that can't lead elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContainerId(String);

impl ContainerId {
    /// Checks a name.
    ///
    /// # Errors
    /// [`Error::InvalidId`].
    pub fn new(id: &str) -> Result<Self> {
        ContainerId::try_from(id.to_owned())
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ContainerId {
    type Error = Error;

    fn try_from(id: String) -> Result<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_+.-".contains(&byte);
        let dots = id == "." || id == "..";
        if id.is_empty() || id.len() > 255 || dots || !id.bytes().all(allowed) {
            return Err(Error::InvalidId(id));
        }
        Ok(ContainerId(id))
    }
}

impl From<ContainerId> for String {
    fn from(id: ContainerId) -> String {
        id.0
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_digits_and_four_signs_make_a_name() {
        for good in ["a", "A9_+.-", "...", ".a", &"x".repeat(255)] {
            assert_eq!(ContainerId::new(good).unwrap().as_str(), good);
        }
    }

    #[test]
    fn what_could_lead_elsewhere_is_refused() {
        for bad in ["", ".", "..", "a/b", "/", "a b", "a\0", "a\n", "é", &"x".repeat(256)] {
            assert!(matches!(ContainerId::new(bad), Err(Error::InvalidId(_))), "{bad:?}");
        }
    }

    #[test]
    fn a_name_read_back_is_checked_again() {
        assert!(serde_json::from_str::<ContainerId>("\"../x\"").is_err());
        assert_eq!(serde_json::to_string(&ContainerId::new("x").unwrap()).unwrap(), "\"x\"");
    }
}
