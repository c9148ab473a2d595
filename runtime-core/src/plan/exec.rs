//! A further process in a container, as a table of contents.

use std::path::PathBuf;

use super::affinity::Affinity;
use super::draft::Draft;
use super::{Plan, Request, identity, inside, limits, program};
use crate::error::ConfigError;
use crate::host::Host;
use crate::spec::Spec;

/// The circumstances of a further process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joining {
    /// Those of the container's creation.
    pub container: Request,
    /// How many descriptors the program inherits, counted from 0: the standard streams and the preserved ones.
    pub inherited_descriptors: u32,
    /// Where the process id is written.
    pub pid_file: Option<PathBuf>,
}

/// Plans a further process of a container; `spec` is the container's with this process in the place of its own.
///
/// # Errors
/// The process asks for something impossible on this host, or for something that is not supported yet.
pub fn exec(spec: &Spec, host: &Host, joining: &Joining) -> Result<Plan, ConfigError> {
    let mut draft = Draft::default();
    let plan = &mut draft;
    let seccomp = identity::seccomp_profile(spec)?;

    // On the host. The process is born where only a birth leads: in the pid and user namespaces.
    inside::start_process(plan, spec, host, Affinity::of(spec)?);

    // Into the container, whose root becomes its own.
    inside::isolate(plan, host, joining.inherited_descriptors);
    inside::enter(plan, spec);
    inside::join_keyring(plan, &joining.container)?;
    inside::change_root(plan, spec, &joining.container)?;

    // From here on each step takes something away, as in a creation.
    limits::limit_myself(plan, spec);
    identity::shed(plan, spec, host, seccomp.is_some())?;
    program::find(plan, spec)?;
    program::present(plan, spec, joining.pid_file.as_deref());
    identity::confine(plan, spec, host, seccomp.as_ref())?;
    program::execute(plan, spec)?;
    Ok(Plan { entries: draft.entries, filters: seccomp.into_iter().collect() })
}
