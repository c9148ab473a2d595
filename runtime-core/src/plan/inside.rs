//! How a process gets into a container that exists: for `exec`, and for hooks that run inside.

use super::affinity::Affinity;
use super::draft::{Draft, path, text};
use super::namespaces::{self, Wish};
use super::{Action, Joining, Pointer, Request, terminal};
use crate::cgroup::Manager;
use crate::error::ConfigError;
use crate::host::Host;
use crate::spec::Spec;
use crate::step::{Namespace, Step};

/// The namespaces of a container that are not the host's.
fn kinds(spec: &Spec) -> Vec<Namespace> {
    (1..).map_while(Namespace::from_code).filter(|kind| Wish::of(spec, *kind) != Wish::Host).collect()
}

/// Starts init in the container's cgroup.
pub(super) fn start_process(plan: &mut Draft, host: &Host, container: &Request, affinity: Affinity) {
    // A user's systemd may bring a process there that he may not bring there himself.
    let may_be_born_there = !container.systemd.as_ref().is_some_and(Manager::is_user);
    // Where it runs before it is in the cgroup matters only if there is a before.
    let into_cgroup = host.has_clone_into_cgroup() && may_be_born_there && affinity.initial.is_none();
    plan.host(Pointer::NONE, Action::Clone { new: Vec::new(), join: Vec::new(), into_cgroup });
    affinity.initial.into_iter().for_each(|(origin, cpus)| plan.host(origin, Action::SetAffinity(cpus)));
    if !into_cgroup || !host.cgroups.v1.is_empty() {
        plan.host(Pointer::NONE, Action::EnterCgroup { born_inside: into_cgroup });
    }
    affinity.last.into_iter().for_each(|(origin, cpus)| plan.host(origin, Action::SetAffinity(cpus)));
}

/// Leaves the caller's world; its processors too, unless some were chosen.
pub(super) fn isolate(plan: &mut Draft, host: &Host, inherited_descriptors: u32, cpus_chosen: bool) {
    plan.init(Pointer::NONE, namespaces::isolate(host, inherited_descriptors, cpus_chosen));
}

/// Hides from whoever is inside.
pub(super) fn conceal(plan: &mut Draft) {
    plan.init(Pointer::NONE, Step::Conceal);
}

/// Enters the container's namespaces, but for the pid namespace, which is entered by [`emerge`].
pub(super) fn enter(plan: &mut Draft, spec: &Spec) {
    let kinds = kinds(spec);
    if !kinds.is_empty() {
        plan.host("/linux/namespaces", Action::LendContainer);
        plan.init("/linux/namespaces", Step::EnterContainer { kinds });
    }
}

/// Opens a terminal of the container, if one is wanted. It controls the session in which the program will be.
pub(super) fn open_terminal(plan: &mut Draft, spec: &Spec, joining: &Joining) -> Result<(), ConfigError> {
    let (true, Some(process)) = (spec.wants_terminal(), spec.oci().process()) else { return Ok(()) };
    if Wish::of(spec, Namespace::Mount) != Wish::Host {
        plan.init("/process/terminal", Step::HoldRoot { path: c"/".into() });
    }
    let order = terminal::Order {
        socket: joining.console_socket.as_deref(),
        size: joining.window_size,
        console: false,
        control: !emerges(spec),
    };
    terminal::open(plan, process, order)
}

fn emerges(spec: &Spec) -> bool {
    Wish::of(spec, Namespace::Pid) != Wish::Host
}

/// Appears among the container's processes. Whatever they must not get hold of is gone by then.
pub(super) fn emerge(plan: &mut Draft, spec: &Spec, terminal: bool) {
    if emerges(spec) {
        plan.init("/linux/namespaces", Step::Emerge { terminal });
    }
}

/// The session keyring of the container, if it has one of its own.
pub(super) fn join_keyring(plan: &mut Draft, container: &Request) -> Result<(), ConfigError> {
    if !container.no_new_keyring {
        let name = text(&Pointer::NONE, format!("_ses.{}", container.id.as_str()))?;
        plan.init(Pointer::NONE, Step::JoinSessionKeyring { name });
    }
    Ok(())
}

/// The root of a mount namespace comes with it; without one it is a directory of the host.
pub(super) fn change_root(plan: &mut Draft, spec: &Spec, container: &Request) -> Result<(), ConfigError> {
    if Wish::of(spec, Namespace::Mount) == Wish::Host {
        let origin = Pointer::of("/root/path");
        plan.init(origin.clone(), Step::HoldRoot { path: path(&origin, &container.rootfs)? });
        plan.init(origin, Step::ChangeRoot);
    }
    Ok(())
}
