//! How a process gets into a container that exists: for `exec`, and for hooks that run inside.

use super::affinity::Affinity;
use super::draft::{Draft, path, text};
use super::namespaces::{self, Wish};
use super::{Action, Pointer, Request};
use crate::error::ConfigError;
use crate::host::Host;
use crate::spec::Spec;
use crate::step::{Namespace, Step};

/// The namespaces of a container that are not the host's.
fn kinds(spec: &Spec) -> Vec<Namespace> {
    (1..).map_while(Namespace::from_code).filter(|kind| Wish::of(spec, *kind) != Wish::Host).collect()
}

/// Those that the process is born in. With a user namespace that is all of them: it takes the right to enter others. A
/// time namespace is entered by whoever shares no memory, so never by the newborn.
fn at_birth(kind: Namespace, in_user_namespace: bool) -> bool {
    match kind {
        Namespace::Pid => true,
        Namespace::Time => false,
        _ => in_user_namespace,
    }
}

fn sorted(spec: &Spec) -> (Vec<Namespace>, Vec<Namespace>) {
    let all = kinds(spec);
    let in_user_namespace = all.contains(&Namespace::User);
    all.into_iter().partition(|kind| at_birth(*kind, in_user_namespace))
}

/// Starts init in the container's cgroup, and in the namespaces that it must be born in.
pub(super) fn start_process(plan: &mut Draft, spec: &Spec, host: &Host, affinity: Affinity) {
    // Where it runs before it is in the cgroup matters only if there is a before.
    let into_cgroup = host.has_clone_into_cgroup() && affinity.initial.is_none();
    plan.host("/linux/namespaces", Action::CloneInside { kinds: sorted(spec).0, into_cgroup });
    affinity.initial.into_iter().for_each(|(origin, cpus)| plan.host(origin, Action::SetAffinity(cpus)));
    if !into_cgroup || !host.cgroups.v1.is_empty() {
        plan.host(Pointer::NONE, Action::EnterCgroup { born_inside: into_cgroup });
    }
    affinity.last.into_iter().for_each(|(origin, cpus)| plan.host(origin, Action::SetAffinity(cpus)));
}

/// Leaves the caller's world.
pub(super) fn isolate(plan: &mut Draft, host: &Host, inherited_descriptors: u32) {
    plan.init(Pointer::NONE, namespaces::isolate(host, inherited_descriptors));
    plan.init(Pointer::NONE, Step::Conceal);
}

/// Enters the container's other namespaces.
pub(super) fn enter(plan: &mut Draft, spec: &Spec) {
    let (_, kinds) = sorted(spec);
    if !kinds.is_empty() {
        plan.host("/linux/namespaces", Action::LendContainer);
        plan.init("/linux/namespaces", Step::EnterContainer { kinds });
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
