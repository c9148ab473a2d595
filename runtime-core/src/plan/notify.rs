//! The socket to which the program tells that it is ready, as for any service of the host's service manager.

use super::draft::{Draft, text};
use super::namespaces::Wish;
use super::{Action, AttributeChange, Loan, LoanSource, Pointer, Request};
use crate::error::ConfigError;
use crate::spec::Spec;
use crate::step::{Create, Namespace, Propagation, Resolve, Step, Target};

/// Where the directory with the socket lies inside.
const DIRECTORY: &str = "/run/notify";
/// The socket, as the program is told of it.
pub(super) const SOCKET: &str = "/run/notify/notify.sock";

/// Attaches the directory in which the socket is, or will be when the program is started.
pub(super) fn mount(plan: &mut Draft, spec: &Spec, request: &Request) -> Result<(), ConfigError> {
    let Some(directory) = &request.notify_directory else { return Ok(()) };
    if Wish::of(spec, Namespace::Mount) == Wish::Host {
        let problem =
            "NOTIFY_SOCKET needs a mount namespace, where the socket can be put; add one or unset it";
        return Err(ConfigError::new("/linux/namespaces", problem));
    }
    let nothing_but_sockets =
        libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOSUID | libc::MOUNT_ATTR_NOEXEC | libc::MOUNT_ATTR_NODEV;
    let loan = Loan {
        source: LoanSource::Path(directory.clone()),
        recursive: false,
        base: Propagation::Private,
        propagation: Vec::new(),
        attributes: vec![AttributeChange { set: nothing_but_sockets, clear: 0, recursive: false }],
        mapping: None,
        only_procfs: false,
        attached: false,
    };
    plan.host(Pointer::NONE, Action::LendMount(Box::new(loan)));
    let at = Target {
        path: text(&Pointer::NONE, DIRECTORY)?,
        resolve: Resolve::InRoot,
        create: Create::Directory,
        fresh: false,
        on_proc: false,
    };
    plan.init(Pointer::NONE, Step::AttachMount { at });
    Ok(())
}
