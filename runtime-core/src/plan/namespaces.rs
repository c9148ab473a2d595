//! Namespaces: which are made with the process, which are entered, in which order.

use std::ffi::CString;
use std::path::PathBuf;

use oci_spec::runtime::{LinuxIdMapping, LinuxNamespaceType};

use super::capabilities::SYS_ADMIN;
use super::draft::{Draft, text};
use super::{Action, IdMap, MapWriter, NamespaceAt, Owned, Pointer, Request, labels};
use crate::error::ConfigError;
use crate::host::Host;
use crate::spec::Spec;
use crate::step::{Namespace, Step};

/// What the configuration says about one namespace.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Wish {
    /// Stay in the host's.
    Host,
    /// A new one.
    New,
    /// That one.
    Join(PathBuf),
}

impl Wish {
    pub(super) fn of(spec: &Spec, kind: Namespace) -> Wish {
        match spec.namespace(oci_type(kind)) {
            None => Wish::Host,
            Some(namespace) => match namespace.path().as_ref().filter(|path| !path.as_os_str().is_empty()) {
                None => Wish::New,
                Some(path) => Wish::Join(path.clone()),
            },
        }
    }
}

/// Whether the container gets a new namespace of that type.
pub(crate) fn has_new(spec: &Spec, kind: Namespace) -> bool {
    Wish::of(spec, kind) == Wish::New
}

fn oci_type(kind: Namespace) -> LinuxNamespaceType {
    match kind {
        Namespace::User => LinuxNamespaceType::User,
        Namespace::Mount => LinuxNamespaceType::Mount,
        Namespace::Pid => LinuxNamespaceType::Pid,
        Namespace::Network => LinuxNamespaceType::Network,
        Namespace::Ipc => LinuxNamespaceType::Ipc,
        Namespace::Uts => LinuxNamespaceType::Uts,
        Namespace::Cgroup => LinuxNamespaceType::Cgroup,
        Namespace::Time => LinuxNamespaceType::Time,
    }
}

/// Namespaces that can be made together with the process. A cgroup namespace would take the caller's cgroup for its
/// root, and a time namespace would not be entered before the next birth: init makes those two.
const BORN_IN: [Namespace; 6] =
    [Namespace::User, Namespace::Mount, Namespace::Pid, Namespace::Network, Namespace::Ipc, Namespace::Uts];

/// Namespaces that a process of a user namespace must be born in. They are entered with our privileges, which the user
/// namespace takes away: it comes last. Without a user namespace that holds for the pid namespace only, which changes
/// nothing for a process that enters it later.
const BEFORE_USER: [Namespace; 6] =
    [Namespace::Ipc, Namespace::Uts, Namespace::Network, Namespace::Cgroup, Namespace::Pid, Namespace::User];

/// Namespaces that init enters by itself; the mount namespace last, because paths mean something else behind it.
const JOINED_LATER: [Namespace; 6] = [
    Namespace::Ipc,
    Namespace::Uts,
    Namespace::Network,
    Namespace::Cgroup,
    Namespace::Time,
    Namespace::Mount,
];

/// Existing namespaces, by when they are entered.
pub(super) struct Joined {
    pub(super) at_birth: Vec<NamespaceAt>,
    later: Vec<NamespaceAt>,
}

impl Joined {
    /// Sorts existing namespaces; `in_user_namespace` says whether the process gets, or enters, one.
    pub(super) fn sort(all: &[NamespaceAt], in_user_namespace: bool) -> Self {
        let of = |kinds: &[Namespace]| -> Vec<NamespaceAt> {
            kinds.iter().flat_map(|kind| all.iter().filter(move |each| each.kind == *kind)).cloned().collect()
        };
        let at_birth = if in_user_namespace { of(&BEFORE_USER) } else { of(&[Namespace::Pid]) };
        let later = of(&JOINED_LATER).into_iter().filter(|each| !at_birth.contains(each)).collect();
        Joined { at_birth, later }
    }

    fn of(spec: &Spec) -> Self {
        let all: Vec<NamespaceAt> = (1..)
            .map_while(Namespace::from_code)
            .filter_map(|kind| match Wish::of(spec, kind) {
                Wish::Join(path) => {
                    let foreign = crate::spec::sysctl::concern(spec, oci_type(kind));
                    Some(NamespaceAt { kind, path, foreign })
                }
                _ => None,
            })
            .collect();
        Joined::sort(&all, Wish::of(spec, Namespace::User) != Wish::Host)
    }

    /// The steps and loans that bring a process into those which it was not born in.
    pub(super) fn enter(&self, plan: &mut Draft, origin: &Pointer) {
        for namespace in &self.later {
            plan.host(origin.clone(), Action::LendNamespace(namespace.clone()));
            plan.init(origin.clone(), Step::JoinNamespace { kind: namespace.kind });
        }
    }
}

pub(super) fn start_process(plan: &mut Draft, spec: &Spec, host: &Host, into_cgroup: bool) {
    let new = BORN_IN.into_iter().filter(|kind| Wish::of(spec, *kind) == Wish::New).collect();
    plan.host("/linux/namespaces", Action::Clone { new, join: Joined::of(spec).at_birth, into_cgroup });
    let (uids, gids) = id_maps(spec);
    match Wish::of(spec, Namespace::User) {
        Wish::New => {
            let (uids_by, gids_by) = writers(&uids, &gids, host);
            plan.host(MAPS, Action::WriteIdMaps { uids, uids_by, gids, gids_by });
        }
        // Engines that make the namespace themselves say what is in it.
        Wish::Join(_) if !uids.is_empty() => plan.host(MAPS, Action::CheckIdMaps { uids, gids }),
        _ => {}
    }
}

const MAPS: Pointer = Pointer::of("/linux/uidMappings");

fn id_maps(spec: &Spec) -> (Vec<IdMap>, Vec<IdMap>) {
    let linux = spec.oci().linux().as_ref();
    let maps = |list: Option<&Vec<LinuxIdMapping>>| id_map(list.map_or(&[], Vec::as_slice));
    (
        maps(linux.and_then(|linux| linux.uid_mappings().as_ref())),
        maps(linux.and_then(|linux| linux.gid_mappings().as_ref())),
    )
}

/// Who writes the map of user ids, and who that of group ids.
fn writers(uids: &[IdMap], gids: &[IdMap], host: &Host) -> (MapWriter, MapWriter) {
    let writer = |map: &[IdMap], own, alone| match map {
        _ if host.may_map_any_ids() => MapWriter::Ourselves,
        [IdMap { outside, size: 1, .. }] if *outside == own => alone,
        _ => MapWriter::Helper,
    };
    (writer(uids, host.uid, MapWriter::Ourselves), writer(gids, host.gid, MapWriter::WithoutGroups))
}

/// Whether nobody can change the groups of a process in the container's new user namespace.
pub(super) fn denies_groups(spec: &Spec, host: &Host) -> bool {
    if host.denies_groups || Wish::of(spec, Namespace::User) != Wish::New {
        return host.denies_groups;
    }
    let (uids, gids) = id_maps(spec);
    gids.is_empty() || writers(&uids, &gids, host).1 == MapWriter::WithoutGroups
}

/// A map of config.json as the plan's.
pub(super) fn id_map(list: &[LinuxIdMapping]) -> Vec<IdMap> {
    list.iter()
        .map(|range| IdMap { inside: range.container_id(), outside: range.host_id(), size: range.size() })
        .collect()
}

/// The first step of every plan. A few dozen descriptors of init's own may stay open until the execution closes them,
/// if the limit allows that. The caller's processors are left, unless some were chosen.
pub(super) fn isolate(host: &Host, keep: u32, cpus_chosen: bool) -> Step<Owned> {
    const DOZENS: u32 = 96;
    let half_of_limit = u32::try_from(host.descriptor_limit / 2).unwrap_or(u32::MAX);
    Step::Isolate {
        ignored: host.ignored_signals,
        all_cpus: host.on_some_cpus && !cpus_chosen,
        few: half_of_limit.min(keep + DOZENS),
    }
}

/// Everything about namespaces that init does.
pub(super) fn enter(
    plan: &mut Draft,
    spec: &Spec,
    host: &Host,
    request: &Request,
) -> Result<(), ConfigError> {
    refuse_without_user_namespace(spec, host)?;
    plan.init(Pointer::NONE, isolate(host, request.inherited_descriptors, false));
    Joined::of(spec).enter(plan, &Pointer::of("/linux/namespaces"));
    if Wish::of(spec, Namespace::Cgroup) == Wish::New {
        plan.init("/linux/namespaces", Step::NewCgroupNamespace);
    }
    if Wish::of(spec, Namespace::Time) == Wish::New {
        plan.init("/linux/timeOffsets", Step::NewTimeNamespace { offsets: time_offsets(spec) });
    }
    // Not before the time namespace: a process that can't be traced owns no file of its own in /proc.
    plan.init(Pointer::NONE, Step::Conceal);
    labels::of_keys(plan, spec, request)?;
    if !request.no_new_keyring {
        let name = text(&Pointer::NONE, format!("_ses.{}", request.id.as_str()))?;
        plan.init(Pointer::NONE, Step::JoinSessionKeyring { name });
    }
    if Wish::of(spec, Namespace::Network) == Wish::New {
        plan.init("/linux/namespaces", Step::BringLoopbackUp);
    }
    Ok(())
}

/// An ordinary user may make no other namespace.
fn refuse_without_user_namespace(spec: &Spec, host: &Host) -> Result<(), ConfigError> {
    if host.uid == 0 || host.permitted & SYS_ADMIN != 0 || Wish::of(spec, Namespace::User) != Wish::Host {
        return Ok(());
    }
    let problem = "a container of an ordinary user needs a user namespace: add one, with mappings (`spec --rootless` \
                   writes such a configuration)";
    Err(ConfigError::new("/linux/namespaces", problem))
}

fn time_offsets(spec: &Spec) -> CString {
    let offsets = spec.oci().linux().as_ref().and_then(|linux| linux.time_offsets().as_ref());
    let line = |clock: &str| {
        let offset = offsets.and_then(|offsets| offsets.get(clock));
        let seconds = offset.and_then(|offset| offset.secs()).unwrap_or(0);
        let nanoseconds = offset.and_then(|offset| offset.nanosecs()).unwrap_or(0);
        format!("{clock} {seconds} {nanoseconds}\n")
    };
    // Two clock names and numbers hold no NUL.
    CString::new(line("monotonic") + &line("boottime")).unwrap_or_default()
}

/// Host and domain name.
pub(super) fn name(plan: &mut Draft, spec: &Spec) -> Result<(), ConfigError> {
    if let Some(name) = spec.oci().hostname() {
        let origin = Pointer::of("/hostname");
        plan.init(origin.clone(), Step::SetHostname { name: text(&origin, name)? });
    }
    if let Some(name) = spec.oci().domainname() {
        let origin = Pointer::of("/domainname");
        plan.init(origin.clone(), Step::SetDomainname { name: text(&origin, name)? });
    }
    Ok(())
}
