//! A plan being written.

use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::{Action, Deed, Entry, Owned, Pointer};
use crate::error::ConfigError;
use crate::step::Step;

/// The entries so far.
#[derive(Debug, Default)]
pub(super) struct Draft {
    pub(super) entries: Vec<Entry>,
}

impl Draft {
    /// The parent does this next.
    pub(super) fn host(&mut self, origin: impl Into<Pointer>, action: Action) {
        self.entries.push(Entry { origin: origin.into(), deed: Deed::Host(action) });
    }

    /// Init does this next.
    pub(super) fn init(&mut self, origin: impl Into<Pointer>, step: Step<Owned>) {
        self.entries.push(Entry { origin: origin.into(), deed: Deed::Init(step) });
    }
}

/// A text for a system call.
pub(super) fn text(origin: &Pointer, text: impl AsRef<[u8]>) -> Result<CString, ConfigError> {
    CString::new(text.as_ref())
        .map_err(|_| ConfigError::new(origin.clone(), "a NUL byte can't be part of this text"))
}

/// A path for a system call.
pub(super) fn path(origin: &Pointer, path: &Path) -> Result<CString, ConfigError> {
    text(origin, path.as_os_str().as_bytes())
}

/// A path inside the container: absolute, with `.`, `..` and double slashes taken out. What symlinks make of it is
/// decided inside.
pub(super) fn inside(path: &Path) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let whole = path.to_string_lossy();
    for part in whole.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inside_paths_are_absolute_and_never_climb_above_the_root() {
        for (given, cleaned) in
            [("a", "/a"), ("/a//b/./c", "/a/b/c"), ("/../../etc", "/etc"), ("", "/"), ("/a/..", "/")]
        {
            assert_eq!(inside(Path::new(given)), cleaned, "{given}");
        }
    }
}
