//! The runtimes that engines are driven with.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::runtime::{find, runtime};

/// A runtime, as an engine knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// How the table calls it.
    pub name: &'static str,
    /// An absolute path.
    pub path: PathBuf,
}

impl Subject {
    /// The reference.
    ///
    /// # Panics
    /// When it is not installed.
    pub fn runc() -> Self {
        let path = find(Path::new("runc")).expect("runc is installed");
        Self { name: "runc", path }
    }

    /// The binary of this workspace, or what the variable `RUNTIME` names.
    pub fn ours() -> Self {
        Self { name: "ours", path: runtime().path.clone() }
    }

    /// Its path as text.
    pub fn path(&self) -> &str {
        self.path.to_str().expect("the path of a runtime is plain text")
    }
}

/// The first line that a program answers to `--version` that has a digit, or nothing.
pub fn version(program: &Path) -> String {
    let answer = Command::new(program).arg("--version").output().map(|output| output.stdout);
    let answer = String::from_utf8_lossy(&answer.unwrap_or_default()).into_owned();
    let line = answer.lines().find(|line| line.contains(|letter: char| letter.is_ascii_digit()));
    line.unwrap_or_default().trim().to_owned()
}
