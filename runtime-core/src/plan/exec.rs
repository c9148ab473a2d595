//! A further process in a container, as a table of contents.

use std::path::PathBuf;

use super::affinity::Affinity;
use super::draft::Draft;
use super::{Plan, Request, WindowSize, identity, inside, labels, limits, program};
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
    /// The socket to which a pidfd of the process is sent.
    pub pidfd_socket: Option<PathBuf>,
    /// The socket to which the terminal is sent; without one, the caller gets it.
    pub console_socket: Option<PathBuf>,
    /// The size of the terminal, instead of `process.consoleSize`.
    pub window_size: Option<WindowSize>,
}

/// Plans a further process of a container; `spec` is the container's with this process in the place of its own.
///
/// # Errors
/// The process asks for something impossible on this host, or for something that is not supported yet.
pub fn exec(spec: &Spec, host: &Host, joining: &Joining) -> Result<Plan, ConfigError> {
    let mut draft = Draft::default();
    let plan = &mut draft;
    let seccomp = identity::seccomp_profile(spec)?;
    labels::check(spec, host)?;

    // On the host.
    let affinity = Affinity::of(spec)?;
    let cpus_chosen = affinity.is_chosen();
    inside::start_process(plan, host, &joining.container, affinity);

    // Into the container, whose root becomes its own; its processes don't see this one yet.
    inside::isolate(plan, host, joining.inherited_descriptors, cpus_chosen);
    limits::set_score_early(plan, spec);
    inside::conceal(plan);
    // While the host's procfs is there. Births hand it on; the first execution takes it.
    labels::of_keys(plan, spec, &joining.container)?;
    labels::of_program(plan, spec)?;
    inside::enter(plan, spec);
    inside::join_keyring(plan, &joining.container)?;
    inside::change_root(plan, spec, &joining.container)?;
    inside::open_terminal(plan, spec, joining)?;
    identity::take_streams(plan, spec);

    // From here on each step takes something away, as in a creation.
    limits::limit_myself(plan, spec);
    identity::shed(plan, spec, host, seccomp.is_some())?;
    program::find(plan, spec)?;
    inside::emerge(plan, spec, spec.wants_terminal());
    program::present(plan, spec, joining);
    identity::confine(plan, spec, host, seccomp.as_ref())?;
    program::execute(plan, spec, &[])?;
    Ok(Plan { entries: draft.entries, filters: seccomp.into_iter().collect() })
}
