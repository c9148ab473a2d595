//! What config.json says: parsed, checked as far as that needs no machine, and kept as it was.
//!
//! Every refusal is a [`ConfigError`] with the JSON pointer of the field. Checks that need facts about the host belong
//! to `plan`.

mod document;
mod exec;
mod id;
mod resources;
mod rules;
pub mod sysctl;
mod template;

use std::fmt;
use std::ops::Deref;

use oci_spec::runtime as oci;

use crate::error::ConfigError;

pub(crate) use document::accepts;
pub use exec::{ExecProcess, ProcessChanges};
pub use id::ContainerId;
pub use resources::resources;
pub use sysctl::sysctl_path;
pub use template::{OCI_VERSION, template, template_text};

/// The largest config.json that is read, in bytes. Its types take some twenty times as much.
pub const MAX_SIZE: usize = 3 << 20;

/// config.json, parsed and checked.
///
/// It reads like [`oci_spec::runtime::Spec`], with two promises more: an empty string for a path, label, type or name
/// is `None`, and `process.user` is there.
#[derive(Clone)]
pub struct Spec {
    // It has thousands of bytes: not to be moved about.
    oci: Box<oci::Spec>,
    raw: Vec<u8>,
    warnings: Vec<ConfigError>,
}

impl Spec {
    /// Reads a document.
    ///
    /// # Errors
    /// It isn't JSON, a value has the wrong type or is out of range, a rule of the specification is broken, or a field
    /// asks for something that isn't supported yet.
    pub fn parse(raw: Vec<u8>) -> Result<Spec, ConfigError> {
        let (oci, mut warnings) = document::read(&raw)?;
        rules::check(&oci)?;
        warnings.extend(rules::warnings(&oci));
        Ok(Spec { oci, raw, warnings })
    }

    /// Takes a document that was made as types.
    ///
    /// # Errors
    /// As for [`Spec::parse`].
    pub fn of(oci: &oci::Spec) -> Result<Spec, ConfigError> {
        let raw = serde_json::to_vec(oci).map_err(|error| ConfigError::new("", error.to_string()))?;
        Self::parse(raw)
    }

    /// Reads the document of a container, with another process in the place of its own: that of `exec`. What is wrong
    /// with it is told with pointers that begin with `/process`.
    ///
    /// # Errors
    /// As for [`Spec::parse`], or the process is none.
    pub fn parse_with(raw: Vec<u8>, process: &ExecProcess) -> Result<Spec, ConfigError> {
        let (oci, warnings) = document::read_changed(&raw, |document| process.put_into(document))?;
        rules::check(&oci)?;
        Ok(Spec { oci, raw, warnings })
    }

    /// The document, byte for byte as it was given.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    /// The document as types.
    pub fn oci(&self) -> &oci::Spec {
        &self.oci
    }

    /// What is odd but not wrong, for the log.
    pub fn warnings(&self) -> &[ConfigError] {
        &self.warnings
    }

    /// Whether the process gets a terminal (`process.terminal`).
    pub fn wants_terminal(&self) -> bool {
        self.oci.process().as_ref().and_then(oci::Process::terminal).unwrap_or(false)
    }

    /// The AppArmor profile of the process (`process.apparmorProfile`).
    pub fn apparmor_profile(&self) -> Option<&str> {
        self.oci.process().as_ref().and_then(|process| process.apparmor_profile().as_deref())
    }

    /// The SELinux label of the process (`process.selinuxLabel`).
    pub fn selinux_label(&self) -> Option<&str> {
        self.oci.process().as_ref().and_then(|process| process.selinux_label().as_deref())
    }

    /// The SELinux label of the container's file systems (`linux.mountLabel`).
    pub fn mount_label(&self) -> Option<&str> {
        self.oci.linux().as_ref().and_then(|linux| linux.mount_label().as_deref())
    }

    /// Whether it depends on the host's security modules.
    pub fn has_labels(&self) -> bool {
        self.apparmor_profile().or(self.selinux_label()).or(self.mount_label()).is_some()
    }

    /// The entry of `linux.namespaces` of that type.
    pub fn namespace(&self, kind: oci::LinuxNamespaceType) -> Option<&oci::LinuxNamespace> {
        rules::namespace(&self.oci, kind)
    }
}

// Without the raw bytes, which would say the same once more, as numbers.
impl fmt::Debug for Spec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spec")
            .field("oci", &self.oci)
            .field("warnings", &self.warnings)
            .finish_non_exhaustive()
    }
}

impl Deref for Spec {
    type Target = oci::Spec;

    fn deref(&self) -> &oci::Spec {
        &self.oci
    }
}

/// A text from config.json as it may stand in a sentence: quoted, on one line, not too long.
fn quoted(text: &str) -> String {
    format!("{:?}", shortened(text))
}

fn shortened(text: &str) -> String {
    const LONGEST: usize = 120;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    }
}

/// A member's name as it may stand in a pointer: unchanged, unless it would break a line or fill a screen.
fn name(key: &str) -> String {
    let short = shortened(key);
    if short.contains(char::is_control) { short.escape_debug().collect() } else { short }
}

#[cfg(test)]
mod tests;
