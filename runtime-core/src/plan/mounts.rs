//! The mounts of the configuration, in its order.

use std::path::{Path, PathBuf};

use oci_spec::runtime::Mount;

use super::capabilities::SYS_ADMIN;
use super::draft::{Draft, inside, text};
use super::namespaces::{Wish, id_map};
use super::options::{Options, mount_flags};
use super::rootfs::root_propagation;
use super::{Action, Loan, LoanMapping, LoanSource, Owned, Pointer, labels};
use crate::cgroup::{Hierarchies, Paths};
use crate::error::ConfigError;
use crate::host::Host;
use crate::spec::Spec;
use crate::step::{Create, Link, Namespace, Propagation, Resolve, Step, Target};

/// Files of procfs that something like lxcfs replaces by its own. Nothing else may be mounted below /proc: a mount
/// there could catch what is written to labels and parameters (CVE-2019-16884).
const REPLACEABLE: [&str; 10] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/slabinfo",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/crypto/fips_enabled",
];

/// Places that a symlink in the image must not move elsewhere, whatever file system is mounted there.
const FIXED: [&str; 5] = ["/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys/fs/cgroup"];

/// A mount of the configuration, understood.
struct Asked<'a> {
    origin: Pointer,
    mount: &'a Mount,
    options: Options,
    destination: String,
    fresh: bool,
    /// The host's tree comes to lie here with an earlier mount.
    over_tree: bool,
}

impl<'a> Asked<'a> {
    fn all(spec: &'a Spec) -> impl Iterator<Item = Result<Asked<'a>, ConfigError>> {
        spec.oci().mounts().iter().flatten().enumerate().map(|(index, mount)| {
            let origin = Pointer::of("/mounts").child(index);
            let options = Options::of(mount, &origin)?;
            Ok(Asked {
                origin,
                mount,
                options,
                destination: inside(mount.destination()),
                fresh: false,
                over_tree: false,
            })
        })
    }

    fn fstype(&self) -> &str {
        self.mount.typ().as_deref().unwrap_or("")
    }

    fn is_bind(&self) -> bool {
        self.options.bind.is_some()
    }

    fn is_proc(&self) -> bool {
        !self.is_bind() && self.fstype() == "proc"
    }

    fn wants_readonly(&self) -> bool {
        self.options.flat.set & libc::MOUNT_ATTR_RDONLY != 0
    }

    /// Whether it becomes read-only only at the end: devices, copies and mount points are made in it before.
    fn is_readonly_late(&self, host: &Host) -> bool {
        let is_cgroup_directory = self.fstype() == "cgroup" && host.mounted_cgroups().has_v1_controllers();
        let filled = self.fstype() == "tmpfs" || is_cgroup_directory || self.destination == "/dev";
        self.wants_readonly() && filled && !self.is_bind() && !self.options.remount
    }

    fn target(&self, path: &str, create: Create) -> Result<Target<Owned>, ConfigError> {
        // What is looked for at /proc and /sys must not be somewhere else (CVE-2019-19921).
        let fixed = !self.is_bind() && (matches!(self.fstype(), "proc" | "sysfs") || FIXED.contains(&path));
        Ok(Target {
            path: text(&self.origin.child("destination"), path)?,
            resolve: if fixed { Resolve::NoSymlinks } else { Resolve::InRoot },
            create,
            fresh: self.fresh && path == self.destination,
            on_proc: self.is_proc() || REPLACEABLE.contains(&path),
        })
    }
}

/// Whether /dev is a bind mount: then its content is not the runtime's business.
pub(super) fn covers_dev(spec: &Spec) -> bool {
    Asked::all(spec).flatten().any(|asked| asked.destination == "/dev" && asked.is_bind())
}

/// Mounts that become read-only at the end, with their places.
pub(super) fn late_readonly(spec: &Spec, host: &Host) -> Result<Vec<(Pointer, String)>, ConfigError> {
    Asked::all(spec)
        .filter(|asked| asked.as_ref().map_or(true, |asked| asked.is_readonly_late(host)))
        .map(|asked| asked.map(|asked| (asked.origin, asked.destination)))
        .collect()
}

/// Makes all mounts.
pub(super) fn make(plan: &mut Draft, spec: &Spec, host: &Host, cgroup: &Paths) -> Result<(), ConfigError> {
    refuse_without_namespace(spec)?;
    let (mut empty, mut trees) = (Vec::new(), Vec::new());
    for asked in Asked::all(spec) {
        let mut asked = asked?;
        refuse_odd(&asked)?;
        asked.fresh = is_just_below(&asked.destination, &empty);
        asked.over_tree = trees.iter().any(|tree| Path::new(&asked.destination).starts_with(tree));
        if asked.options.bind == Some(true) || gets_whole_sysfs(spec, host, &asked) {
            trees.push(asked.destination.clone());
        }
        if asked.fstype() == "tmpfs" && !asked.is_bind() && !asked.options.copy_up {
            empty.push(asked.destination.clone());
        }
        if asked.options.remount {
            remount(plan, &asked)?;
        } else if asked.is_bind() {
            bind(plan, spec, &asked)?;
        } else if asked.fstype() == "cgroup" {
            cgroups(plan, spec, host, cgroup, &asked)?;
        } else if asked.fstype() == "sysfs" && gets_no_sysfs(spec) {
            host_sysfs(plan, spec, &asked)?;
        } else {
            let data = labels::parameters(spec, asked.fstype(), &asked.options.data());
            let place = asked.destination.as_str();
            let step = new_mount(&asked, asked.fstype(), place, flags(&asked, host), &data, Path::new(""))?;
            plan.init(asked.origin.clone(), step);
            labels::of_mount(plan, spec, asked.fstype(), &asked.destination)?;
        }
    }
    Ok(())
}

/// Whether nothing can be at a destination because a file system that lies just above it was made empty. It is a hint:
/// a mount point that is there after all is used.
fn is_just_below(destination: &str, empty: &[String]) -> bool {
    destination.rsplit_once('/').is_some_and(|(above, _)| empty.iter().any(|each| each == above))
}

/// Without a mount namespace every mount would be the host's, for good.
fn refuse_without_namespace(spec: &Spec) -> Result<(), ConfigError> {
    if Wish::of(spec, Namespace::Mount) != Wish::Host {
        return Ok(());
    }
    let oci = spec.oci();
    let linux = oci.linux().as_ref();
    let asked = [
        ("/mounts", oci.mounts().as_ref().is_some_and(|mounts| !mounts.is_empty())),
        ("/root/readonly", oci.root().as_ref().and_then(|root| root.readonly()).unwrap_or(false)),
        ("/linux/rootfsPropagation", linux.is_some_and(|linux| linux.rootfs_propagation().is_some())),
        (
            "/linux/devices",
            linux.and_then(|linux| linux.devices().as_ref()).is_some_and(|list| !list.is_empty()),
        ),
    ];
    match asked.into_iter().find(|(_, asked)| *asked) {
        Some((field, _)) => Err(ConfigError::new(
            field,
            "this needs a mount namespace of the container's own in /linux/namespaces",
        )),
        None => Ok(()),
    }
}

fn refuse_odd(asked: &Asked<'_>) -> Result<(), ConfigError> {
    let at = |member: &str, problem: String| Err(ConfigError::new(asked.origin.child(member), problem));
    let destination = asked.destination.as_str();
    if destination == "/" {
        return at("destination", "nothing can be mounted on the root itself; use root.path".into());
    }
    if asked.fstype().is_empty() && !asked.is_bind() && !asked.options.remount {
        return at("type", "a mount without a type must be a bind mount (option bind or rbind)".into());
    }
    if destination == "/proc" && !asked.is_proc() && !asked.is_bind() && !asked.options.remount {
        return at("type", format!("only a procfs can be mounted on /proc, not {:?}", asked.fstype()));
    }
    if destination.starts_with("/proc/") && !(asked.is_bind() && REPLACEABLE.contains(&destination)) {
        return at("destination", format!("{destination:?} cannot be mounted because it is inside /proc"));
    }
    if asked.options.copy_up && asked.fstype() != "tmpfs" {
        return at("options", "tmpcopyup is only for tmpfs".into());
    }
    if asked.options.mapped.is_some() && !asked.is_bind() {
        return at("options", "id-mapped mounts are only supported for bind-mounts".into());
    }
    Ok(())
}

/// Changes what an earlier mount put there. Parameters of a file system can't be changed after the fact.
fn remount(plan: &mut Draft, asked: &Asked<'_>) -> Result<(), ConfigError> {
    if let Some((place, word)) = asked.options.data.first() {
        return Err(ConfigError::new(
            place.clone(),
            format!("remount can't change {word:?}, only mount attributes"),
        ));
    }
    let path = text(&asked.origin.child("destination"), &asked.destination)?;
    for change in [asked.options.flat.change(false), asked.options.deep.change(true)].into_iter().flatten() {
        let (set, clear, recursive) = (change.set, change.clear, change.recursive);
        plan.init(asked.origin.clone(), Step::SetAttributes { path: path.clone(), set, clear, recursive });
    }
    Ok(())
}

fn bind(plan: &mut Draft, spec: &Spec, asked: &Asked<'_>) -> Result<(), ConfigError> {
    let origin = asked.origin.child("source");
    let source = asked.mount.source().as_ref().filter(|source| !source.as_os_str().is_empty());
    let source = source.ok_or_else(|| ConfigError::new(origin.clone(), "a bind mount needs a source"))?;
    let loan = Loan {
        source: LoanSource::Path(source.clone()),
        only_procfs: asked.destination == "/proc",
        ..lent(spec, asked, source.clone())?
    };
    plan.host(origin, Action::LendMount(Box::new(loan)));
    plan.init(
        asked.origin.clone(),
        Step::AttachMount { at: asked.target(&asked.destination, Create::LikeSource)? },
    );
    Ok(())
}

/// A sysfs shows the devices of a network namespace, and only an owner of that may make one.
fn gets_no_sysfs(spec: &Spec) -> bool {
    Wish::of(spec, Namespace::User) != Wish::Host && Wish::of(spec, Namespace::Network) == Wish::Host
}

/// Nor can everybody have the host's without what is mounted below it.
fn gets_whole_sysfs(spec: &Spec, host: &Host, asked: &Asked<'_>) -> bool {
    let takes_mounts_apart = host.permitted & SYS_ADMIN != 0 && !host.in_user_namespace;
    asked.fstype() == "sysfs" && gets_no_sysfs(spec) && !takes_mounts_apart
}

/// The host's sysfs shows what one of the container's own would.
fn host_sysfs(plan: &mut Draft, spec: &Spec, asked: &Asked<'_>) -> Result<(), ConfigError> {
    let loan = Loan { source: LoanSource::Sysfs, ..lent(spec, asked, PathBuf::new())? };
    plan.host(asked.origin.clone(), Action::LendMount(Box::new(loan)));
    let at = asked.target(&asked.destination, Create::Directory)?;
    plan.init(asked.origin.clone(), Step::AttachMount { at });
    Ok(())
}

fn lent(spec: &Spec, asked: &Asked<'_>, path: PathBuf) -> Result<Loan, ConfigError> {
    let options = &asked.options;
    Ok(Loan {
        source: LoanSource::Path(path),
        recursive: options.bind == Some(true),
        base: base_propagation(spec)?,
        propagation: options.propagation.clone(),
        attributes: [options.flat.change(false), options.deep.change(true)].into_iter().flatten().collect(),
        mapping: mapping(asked),
        only_procfs: false,
        attached: false,
    })
}

/// How a part of the host's tree stays connected to it: by default it hears of the host's mounts and the host doesn't
/// hear of its own. A container whose root is shared keeps the connection both ways.
fn base_propagation(spec: &Spec) -> Result<Propagation, ConfigError> {
    Ok(match root_propagation(spec)? {
        Some(Propagation::Shared | Propagation::RecursiveShared) => Propagation::RecursiveShared,
        Some(Propagation::Private | Propagation::RecursivePrivate) => Propagation::RecursivePrivate,
        Some(Propagation::Unbindable | Propagation::RecursiveUnbindable) => Propagation::RecursivePrivate,
        _ => Propagation::RecursiveSlave,
    })
}

fn mapping(asked: &Asked<'_>) -> Option<LoanMapping> {
    let maps = |list: &Option<Vec<_>>| list.as_deref().map_or_else(Vec::new, id_map);
    let (uids, gids) = (maps(asked.mount.uid_mappings()), maps(asked.mount.gid_mappings()));
    let asked_for = asked.options.mapped.is_some() || !uids.is_empty() || !gids.is_empty();
    asked_for.then(|| LoanMapping { uids, gids, recursive: asked.options.mapped == Some(true) })
}

/// Flags of a new mount; those that come late are left out.
fn flags(asked: &Asked<'_>, host: &Host) -> u64 {
    let set = asked.options.flat.set | asked.options.deep.set;
    let set = if asked.is_readonly_late(host) { set & !libc::MOUNT_ATTR_RDONLY } else { set };
    mount_flags(set) | asked.options.instance
}

fn new_mount(
    asked: &Asked<'_>,
    fstype: &str,
    path: &str,
    flags: u64,
    data: &str,
    instead: &Path,
) -> Result<Step<Owned>, ConfigError> {
    let source = asked.mount.source().as_ref().map(|source| source.to_string_lossy());
    let source = source.filter(|source| !source.is_empty()).unwrap_or_else(|| fstype.to_string().into());
    Ok(Step::Mount {
        fstype: text(&asked.origin.child("type"), fstype)?,
        source: text(&asked.origin.child("source"), source.as_bytes())?,
        data: text(&asked.origin.child("options"), data)?,
        inherit_mode: fstype == "tmpfs" && !data.split(',').any(|word| word.starts_with("mode=")),
        copy_up: asked.options.copy_up,
        flags,
        propagation: asked.options.propagation.clone(),
        at: asked.target(path, Create::Directory)?,
        instead: super::draft::path(&asked.origin, instead)?,
    })
}

/// The container's view of the cgroup tree: its own part of each hierarchy, as the host lays them out.
fn cgroups(
    plan: &mut Draft,
    spec: &Spec,
    host: &Host,
    cgroup: &Paths,
    asked: &Asked<'_>,
) -> Result<(), ConfigError> {
    let private = Wish::of(spec, Namespace::Cgroup) == Wish::New;
    let mounted = host.mounted_cgroups();
    if !mounted.has_v1_controllers() {
        let Some(v2) = &mounted.v2 else { return Ok(()) };
        if private && asked.over_tree {
            // No file system can lie directly on itself.
            cover(plan, spec, asked)?;
        }
        return hierarchy(
            plan,
            spec,
            asked,
            cgroup,
            private,
            Hierarchy { mount: &v2.mount, fstype: "cgroup2", data: "", place: &asked.destination },
        );
    }
    let data = labels::parameters(spec, "tmpfs", "mode=755");
    plan.init(
        asked.origin.clone(),
        new_mount(asked, "tmpfs", &asked.destination, flags(asked, host), &data, Path::new(""))?,
    );
    for v1 in &mounted.v1 {
        let place = format!("{}/{}", asked.destination, directory_name(&v1.mount));
        let named = v1.controllers.iter().any(|controller| controller.starts_with("name=")).then_some("none");
        let words: Vec<&str> = named.into_iter().chain(v1.controllers.iter().map(String::as_str)).collect();
        let each = Hierarchy { mount: &v1.mount, fstype: "cgroup", data: &words.join(","), place: &place };
        hierarchy(plan, spec, asked, cgroup, private, each)?;
    }
    if let Some(v2) = &mounted.v2 {
        let place = format!("{}/{}", asked.destination, directory_name(&v2.mount));
        let each = Hierarchy { mount: &v2.mount, fstype: "cgroup2", data: "", place: &place };
        hierarchy(plan, spec, asked, cgroup, private, each)?;
    }
    controller_links(plan, &mounted, asked)
}

struct Hierarchy<'a> {
    mount: &'a Path,
    fstype: &'a str,
    data: &'a str,
    place: &'a str,
}

/// In a cgroup namespace of its own the container mounts the hierarchy and sees its own part as the root; otherwise, or
/// where something around us forbids that mount, its own part is attached.
fn hierarchy(
    plan: &mut Draft,
    spec: &Spec,
    asked: &Asked<'_>,
    cgroup: &Paths,
    private: bool,
    each: Hierarchy<'_>,
) -> Result<(), ConfigError> {
    let own = cgroup.at(each.mount);
    if private {
        let set = asked.options.flat.set | asked.options.deep.set;
        // What is not the container's own is only looked at.
        let set = if own.is_some() { set } else { set | libc::MOUNT_ATTR_RDONLY };
        let instead = own.as_deref().unwrap_or(Path::new(""));
        let step = new_mount(asked, each.fstype, each.place, mount_flags(set), each.data, instead)?;
        plan.init(asked.origin.clone(), step);
        return Ok(());
    }
    let Some(own) = own else {
        return if each.place == asked.destination { cover(plan, spec, asked) } else { Ok(()) };
    };
    let mut loan = lent(spec, asked, own.clone())?;
    loan.source = LoanSource::Cgroup(own);
    plan.host(asked.origin.clone(), Action::LendMount(Box::new(loan)));
    plan.init(asked.origin.clone(), Step::AttachMount { at: asked.target(each.place, Create::Directory)? });
    Ok(())
}

/// A container without a cgroup of its own sees none: below it may lie the host's, which came with /sys.
fn cover(plan: &mut Draft, spec: &Spec, asked: &Asked<'_>) -> Result<(), ConfigError> {
    let flags = mount_flags(libc::MOUNT_ATTR_RDONLY);
    let data = labels::parameters(spec, "tmpfs", "mode=755");
    let step = new_mount(asked, "tmpfs", &asked.destination, flags, &data, Path::new(""))?;
    plan.init(asked.origin.clone(), step);
    Ok(())
}

fn directory_name(mount: &Path) -> String {
    mount.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Where several controllers share a hierarchy, each is found by its own name too.
fn controller_links(plan: &mut Draft, mounted: &Hierarchies, asked: &Asked<'_>) -> Result<(), ConfigError> {
    let links: Vec<Link<Owned>> = mounted
        .v1
        .iter()
        .filter(|v1| v1.controllers.len() > 1)
        .flat_map(|v1| v1.controllers.iter().map(|controller| (controller, directory_name(&v1.mount))))
        .filter(|(controller, directory)| *controller != directory)
        .map(|(controller, directory)| {
            Ok(Link { name: text(&asked.origin, controller)?, to: text(&asked.origin, directory)? })
        })
        .collect::<Result<_, ConfigError>>()?;
    if !links.is_empty() {
        let directory = text(&asked.origin, &asked.destination)?;
        plan.init(
            asked.origin.clone(),
            Step::MakeNodes { directory, nodes: Vec::new(), links, replace: false },
        );
    }
    Ok(())
}
