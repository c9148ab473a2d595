//! Who the program is and what it may do: capabilities, user, privileges, system call filter.

use oci_spec::runtime::LinuxPersonalityDomain;

use super::capabilities::{SYS_ADMIN, bits};
use super::draft::{Draft, text};
use super::mounts::covers_dev;
use super::namespaces::{Wish, denies_groups};
use super::{Action, Owned, Pointer, memory};
use crate::error::ConfigError;
use crate::host::Host;
use crate::seccomp::{Agent, Profile, RENDEZVOUS};
use crate::spec::Spec;
use crate::step::{Namespace, Step};

/// The umask where the configuration names none.
const DEFAULT_UMASK: u32 = 0o022;

/// The four sets of the program; the bounding set is handled apart.
#[derive(Debug, Clone, Copy, Default)]
struct Sets {
    bounding: u64,
    effective: u64,
    permitted: u64,
    inheritable: u64,
    ambient: u64,
}

impl Sets {
    /// A set that is not given is empty: nothing is kept by mistake.
    fn of(spec: &Spec) -> Self {
        let capabilities = spec.oci().process().as_ref().and_then(|process| process.capabilities().as_ref());
        let Some(capabilities) = capabilities else { return Sets::default() };
        Sets {
            bounding: bits(capabilities.bounding().iter().flatten()),
            effective: bits(capabilities.effective().iter().flatten()),
            permitted: bits(capabilities.permitted().iter().flatten()),
            inheritable: bits(capabilities.inheritable().iter().flatten()),
            ambient: bits(capabilities.ambient().iter().flatten()),
        }
    }

    /// What the kernel can grant here: a capability that the caller lacks is not an error (config.md), and each set
    /// is bounded by the one that it draws on.
    fn possible(self, spec: &Spec, host: &Host) -> Self {
        let permitted = self.permitted & grantable(spec, host);
        let inheritable = self.inheritable & grantable(spec, host);
        Sets {
            bounding: self.bounding,
            permitted,
            inheritable,
            effective: self.effective & permitted,
            ambient: self.ambient & permitted & inheritable,
        }
    }

    fn step(self) -> Step<Owned> {
        let Sets { effective, permitted, inheritable, ambient, .. } = self;
        Step::SetCapabilities { effective, permitted, inheritable, ambient }
    }
}

/// The capabilities that a process of ours can have: all of them in a user namespace of its own.
fn grantable(spec: &Spec, host: &Host) -> u64 {
    match Wish::of(spec, Namespace::User) {
        Wish::Host => host.permitted & host.bounding,
        Wish::New | Wish::Join(_) => host.all_capabilities(),
    }
}

/// The bounding set that a process of ours starts with.
fn bounding(spec: &Spec, host: &Host) -> u64 {
    match Wish::of(spec, Namespace::User) {
        Wish::Host => host.bounding,
        Wish::New | Wish::Join(_) => host.all_capabilities(),
    }
}

fn forbids_new_privileges(spec: &Spec) -> bool {
    spec.oci().process().as_ref().and_then(|process| process.no_new_privileges()).unwrap_or(false)
}

/// The system call filter, if there is one.
pub(super) fn seccomp_profile(spec: &Spec) -> Result<Option<Profile>, ConfigError> {
    let seccomp = spec.oci().linux().as_ref().and_then(|linux| linux.seccomp().as_ref());
    seccomp.map(|seccomp| Profile::plan(seccomp, true)).transpose()
}

/// Gives up privileges, user and execution domain.
pub(super) fn shed(plan: &mut Draft, spec: &Spec, host: &Host, filtered: bool) -> Result<(), ConfigError> {
    if let Some(personality) = spec.oci().linux().as_ref().and_then(|linux| linux.personality().as_ref()) {
        let domain = match personality.domain() {
            LinuxPersonalityDomain::PerLinux => 0,
            LinuxPersonalityDomain::PerLinux32 => 8,
        };
        plan.init("/linux/personality", Step::SetPersonality { domain });
    }
    memory::set_policy(plan, spec)?;
    if forbids_new_privileges(spec) {
        plan.init("/process/noNewPrivileges", Step::ForbidNewPrivileges);
    }
    let sets = Sets::of(spec).possible(spec, host);
    let capabilities = bounding(spec, host) & !sets.bounding;
    if capabilities != 0 {
        plan.init("/process/capabilities/bounding", Step::DropBounding { capabilities });
    }
    become_user(plan, spec, host)?;
    let mut sets = sets;
    if filtered && !forbids_new_privileges(spec) {
        // The filter is loaded later, and that takes this capability unless new privileges are forbidden.
        sets.permitted |= SYS_ADMIN & grantable(spec, host);
        sets.effective |= SYS_ADMIN & grantable(spec, host);
    }
    plan.init("/process/capabilities", sets.step());
    Ok(())
}

/// The standard streams become the program's own, as far as they can: its user may open them again, and those that lead
/// nowhere don't lead to the host's null device.
pub(super) fn take_streams(plan: &mut Draft, spec: &Spec) {
    if let Some(process) = spec.oci().process() {
        let own_null = Wish::of(spec, Namespace::Mount) != Wish::Host && !covers_dev(spec);
        plan.init("/process/user", Step::TakeStreams { uid: process.user().uid(), own_null });
    }
}

fn become_user(plan: &mut Draft, spec: &Spec, host: &Host) -> Result<(), ConfigError> {
    let Some(process) = spec.oci().process() else { return Ok(()) };
    let user = process.user();
    let directory = process.cwd().to_string_lossy();
    let groups = user.additional_gids().clone().unwrap_or_default();
    let without_groups = denies_groups(spec, host);
    if without_groups && !groups.is_empty() {
        let problem = "where a single group is mapped without newgidmap, nobody can be in further groups; leave them \
                       out, or map more groups";
        return Err(ConfigError::new("/process/user/additionalGids", problem));
    }
    plan.init(
        "/process/user",
        Step::BecomeUser {
            uid: user.uid(),
            gid: user.gid(),
            // Where there are none and none are wanted, nothing is done.
            set_groups: !without_groups && (host.has_groups || !groups.is_empty()),
            groups,
            umask: user.umask().unwrap_or(DEFAULT_UMASK),
            directory: text(&Pointer::of("/process/cwd"), directory.as_bytes())?,
        },
    );
    Ok(())
}

/// Root with all its capabilities, in that directory.
pub(super) fn root_in(directory: std::ffi::CString) -> Step<Owned> {
    let groups = Vec::new();
    Step::BecomeUser { uid: 0, gid: 0, set_groups: false, groups, umask: DEFAULT_UMASK, directory }
}

/// The last confinement before the program.
pub(super) fn confine(
    plan: &mut Draft,
    spec: &Spec,
    host: &Host,
    profile: Option<&Profile>,
) -> Result<(), ConfigError> {
    let Some(profile) = profile else { return Ok(()) };
    let flags = profile.flags();
    match Agent::of(spec.oci()) {
        None => plan.init("/linux/seccomp", Step::InstallSeccomp { flags, filter: 0 }),
        Some(agent) => {
            let step = Step::InstallSeccompWithAgent { flags, filter: 0, rendezvous: RENDEZVOUS };
            plan.init("/linux/seccomp", step);
            plan.host("/linux/seccomp/listenerPath", Action::TellAgent(agent));
        }
    }
    if !forbids_new_privileges(spec) {
        plan.init("/process/capabilities", Sets::of(spec).possible(spec, host).step());
    }
    Ok(())
}
