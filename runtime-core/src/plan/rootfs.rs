//! The root file system: mounted, filled with devices, hidden in part, and entered.

use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxDevice, LinuxDeviceType};

use super::draft::{Draft, inside, path, text};
use super::mounts::{covers_dev, late_readonly};
use super::namespaces::Wish;
use super::{Action, Loan, LoanSource, Owned, Pointer, Request, labels, terminal};
use crate::error::ConfigError;
use crate::hooks::{Kind, planned};
use crate::host::Host;
use crate::spec::Spec;
use crate::step::{Create, Link, Namespace, Node, NodeKind, Propagation, Resolve, Step, Target};

/// What the runtime makes in /dev, unless the configuration has it (config-linux.md, "Default Devices").
const DEFAULT_DEVICES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

/// Links in /dev (runtime-linux.md, "File descriptors" and "Dev symbolic links").
const LINKS: [(&str, &str); 5] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
];

const DEVICE_MODE: u32 = 0o666;

fn has_mount_namespace(spec: &Spec) -> bool {
    Wish::of(spec, Namespace::Mount) != Wish::Host
}

/// Takes hold of the root file system.
pub(super) fn mount(
    plan: &mut Draft,
    spec: &Spec,
    host: &Host,
    request: &Request,
) -> Result<(), ConfigError> {
    let origin = Pointer::of("/root/path");
    let root = path(&origin, &request.rootfs)?;
    if request.rootfs_is_open {
        refuse_open_root(spec, host)?;
    }
    if !has_mount_namespace(spec) {
        plan.init(origin, Step::HoldRoot { path: root });
        return Ok(());
    }
    // Nothing that is mounted from here on shows on the host; without this the pivot would be refused too.
    let to = match root_propagation(spec)? {
        Some(Propagation::Private | Propagation::RecursivePrivate) => Propagation::RecursivePrivate,
        _ => Propagation::RecursiveSlave,
    };
    plan.init("/linux/rootfsPropagation", Step::SetPropagation { to });
    if request.rootfs_is_open {
        plan.host(origin.clone(), Action::LendRoot { propagation: to });
        plan.init(origin, Step::AttachRoot);
    } else {
        plan.init(origin, Step::MountRoot { path: root });
    }
    Ok(())
}

/// What can't be done with a root file system that has no path.
fn refuse_open_root(spec: &Spec, host: &Host) -> Result<(), ConfigError> {
    let problem = if !has_mount_namespace(spec) {
        "a root that was opened by the caller needs a mount namespace of the container's own in /linux/namespaces"
    } else if !host.has_mount_calls {
        "a root that was opened by the caller needs open_tree, which this kernel, or a filter around this process, \
         doesn't offer"
    } else if planned(spec.oci(), Kind::CreateContainer).is_some() {
        "hooks of /hooks/createContainer begin in the root's directory, so it needs a path"
    } else {
        return Ok(());
    };
    Err(ConfigError::new("/root/path", problem))
}

/// What `linux.rootfsPropagation` asks for.
pub(super) fn root_propagation(spec: &Spec) -> Result<Option<Propagation>, ConfigError> {
    let asked = spec.oci().linux().as_ref().and_then(|linux| linux.rootfs_propagation().as_deref());
    match asked {
        None | Some("") => Ok(None),
        Some(word) => propagation(word).map(Some).ok_or_else(|| {
            let problem = format!("{word:?} is not a propagation: use shared, slave, private or unbindable");
            ConfigError::new("/linux/rootfsPropagation", problem)
        }),
    }
}

/// A propagation by its word.
pub(super) fn propagation(word: &str) -> Option<Propagation> {
    (1..=8).filter_map(Propagation::from_code).find(|each| each.word() == word)
}

/// Device nodes and links, unless /dev is somebody else's. In a user namespace nodes can't be made: the host's are
/// attached.
pub(super) fn make_devices(plan: &mut Draft, spec: &Spec, host: &Host) -> Result<(), ConfigError> {
    if !has_mount_namespace(spec) || covers_dev(spec) {
        return Ok(());
    }
    let asked = asked_devices(spec);
    let defaults = default_devices(&asked);
    let borrowed = Wish::of(spec, Namespace::User) != Wish::Host || host.in_user_namespace;
    let nodes = if borrowed { Vec::new() } else { nodes(&defaults)? };
    plan.init(
        Pointer::NONE,
        Step::MakeNodes { directory: c"/dev".into(), nodes, links: links()?, replace: true },
    );
    if borrowed {
        defaults.iter().try_for_each(|device| borrow(plan, device))?;
    }
    for device in &asked {
        if borrowed && device.kind != NodeKind::Fifo { borrow(plan, device)? } else { make(plan, device)? }
    }
    Ok(())
}

fn make(plan: &mut Draft, device: &Device) -> Result<(), ConfigError> {
    let directory = text(&device.origin, &device.directory)?;
    let nodes = nodes(std::slice::from_ref(device))?;
    plan.init(device.origin.clone(), Step::MakeNodes { directory, nodes, links: Vec::new(), replace: false });
    Ok(())
}

/// A device of the configuration, or a default one.
struct Device {
    origin: Pointer,
    directory: String,
    name: String,
    kind: NodeKind,
    numbers: (u32, u32),
    mode: u32,
    owner: (u32, u32),
    host_path: PathBuf,
}

/// The devices of the configuration. Engines that hand on all of the host's hand on its `/dev/ptmx`, in whose place
/// every container has its own.
fn asked_devices(spec: &Spec) -> Vec<Device> {
    let asked = spec.oci().linux().as_ref().and_then(|linux| linux.devices().as_ref());
    let devices = asked.into_iter().flatten().enumerate().map(|(index, device)| Device::asked(index, device));
    devices.filter(|device| (device.directory.as_str(), device.name.as_str()) != ("/dev", "ptmx")).collect()
}

/// The default devices, except those that the configuration replaces.
fn default_devices(asked: &[Device]) -> Vec<Device> {
    let replaced = |name: &str| asked.iter().any(|device| device.directory == "/dev" && device.name == name);
    DEFAULT_DEVICES
        .into_iter()
        .filter(|(name, ..)| !replaced(name))
        .map(|(name, major, minor)| Device {
            origin: Pointer::NONE,
            directory: "/dev".into(),
            name: name.into(),
            kind: NodeKind::Character,
            numbers: (major, minor),
            mode: DEVICE_MODE,
            owner: (0, 0),
            host_path: Path::new("/dev").join(name),
        })
        .collect()
}

impl Device {
    fn asked(index: usize, device: &LinuxDevice) -> Self {
        let place = inside(device.path());
        let (directory, name) = place.rsplit_once('/').unwrap_or(("", &place));
        Device {
            origin: Pointer::of("/linux/devices").child(index),
            directory: if directory.is_empty() { "/".into() } else { directory.into() },
            name: name.into(),
            kind: node_kind(device.typ()),
            numbers: (number(device.major()), number(device.minor())),
            mode: device.file_mode().map_or(DEVICE_MODE, |mode| mode & 0o7777),
            owner: (device.uid().unwrap_or(0), device.gid().unwrap_or(0)),
            host_path: device.path().clone(),
        }
    }
}

/// Validated to be a device number before.
fn number(number: i64) -> u32 {
    u32::try_from(number).unwrap_or(0)
}

fn node_kind(kind: LinuxDeviceType) -> NodeKind {
    match kind {
        LinuxDeviceType::B => NodeKind::Block,
        LinuxDeviceType::P => NodeKind::Fifo,
        LinuxDeviceType::C | LinuxDeviceType::U | LinuxDeviceType::A => NodeKind::Character,
    }
}

fn nodes(devices: &[Device]) -> Result<Vec<Node<Owned>>, ConfigError> {
    devices
        .iter()
        .map(|device| {
            Ok(Node {
                name: text(&device.origin, &device.name)?,
                kind: device.kind,
                major: device.numbers.0,
                minor: device.numbers.1,
                mode: device.mode,
                uid: device.owner.0,
                gid: device.owner.1,
            })
        })
        .collect()
}

fn links() -> Result<Vec<Link<Owned>>, ConfigError> {
    LINKS
        .into_iter()
        .map(|(name, to)| Ok(Link { name: text(&Pointer::NONE, name)?, to: text(&Pointer::NONE, to)? }))
        .collect()
}

/// Attaches the host's node instead of making one.
fn borrow(plan: &mut Draft, device: &Device) -> Result<(), ConfigError> {
    let (major, minor) = device.numbers;
    plan.host(
        device.origin.clone(),
        Action::LendMount(Box::new(Loan {
            source: LoanSource::Device { path: device.host_path.to_path_buf(), major, minor },
            recursive: false,
            base: Propagation::Private,
            propagation: Vec::new(),
            attributes: Vec::new(),
            mapping: None,
            only_procfs: false,
            attached: false,
        })),
    );
    let at = Target {
        path: text(&device.origin, format!("{}/{}", device.directory.trim_end_matches('/'), device.name))?,
        resolve: Resolve::InRoot,
        create: Create::File,
        fresh: false,
        on_proc: false,
    };
    plan.init(device.origin.clone(), Step::AttachMount { at });
    Ok(())
}

/// The terminal of the program, which is the container's console.
pub(super) fn open_terminal(plan: &mut Draft, spec: &Spec, request: &Request) -> Result<(), ConfigError> {
    let Some(process) = spec.oci().process() else { return Ok(()) };
    let order = terminal::Order {
        socket: request.console_socket.as_deref(),
        size: request.terminal_size,
        console: has_mount_namespace(spec),
        control: true,
    };
    terminal::open(plan, process, order)
}

/// Kernel parameters.
pub(super) fn write_sysctls(plan: &mut Draft, spec: &Spec) -> Result<(), ConfigError> {
    let parameters = spec.oci().linux().as_ref().and_then(|linux| linux.sysctl().as_ref());
    let mut sorted: Vec<_> = parameters.into_iter().flatten().collect();
    sorted.sort();
    for (key, value) in sorted {
        let origin = Pointer::of("/linux/sysctl").child(key);
        let path = text(&origin, crate::spec::sysctl_path(key)?)?;
        let value = text(&origin, value)?;
        plan.init(origin, Step::WriteSysctl { path, value });
    }
    Ok(())
}

/// Read-only and masked paths.
pub(super) fn hide(plan: &mut Draft, spec: &Spec) -> Result<(), ConfigError> {
    let Some(linux) = spec.oci().linux() else { return Ok(()) };
    let paths = |origin: &Pointer, list: &[String]| {
        list.iter()
            .enumerate()
            .map(|(index, each)| text(&origin.child(index), each))
            .collect::<Result<Vec<_>, _>>()
    };
    if let Some(list) = linux.readonly_paths().as_ref().filter(|list| !list.is_empty()) {
        let origin = Pointer::of("/linux/readonlyPaths");
        plan.init(origin.clone(), Step::ProtectPaths { paths: paths(&origin, list)? });
    }
    if let Some(list) = linux.masked_paths().as_ref().filter(|list| !list.is_empty()) {
        let origin = Pointer::of("/linux/maskedPaths");
        let empty = text(&origin, labels::parameters(spec, "tmpfs", "mode=755,nr_blocks=1"))?;
        plan.init(origin.clone(), Step::MaskPaths { paths: paths(&origin, list)?, empty });
    }
    Ok(())
}

/// What becomes read-only only now, because something had to be made in it.
pub(super) fn make_readonly(plan: &mut Draft, spec: &Spec, host: &Host) -> Result<(), ConfigError> {
    if !has_mount_namespace(spec) {
        return Ok(());
    }
    make_working_directory(plan, spec)?;
    for (origin, path) in late_readonly(spec, host)? {
        let path = text(&origin, path)?;
        plan.init(origin, readonly(path));
    }
    if spec.oci().root().as_ref().and_then(|root| root.readonly()).unwrap_or(false) {
        plan.init("/root/readonly", readonly(c"/".into()));
    }
    Ok(())
}

fn readonly(path: std::ffi::CString) -> Step<Owned> {
    Step::SetAttributes { path, set: libc::MOUNT_ATTR_RDONLY, clear: 0, recursive: false }
}

fn make_working_directory(plan: &mut Draft, spec: &Spec) -> Result<(), ConfigError> {
    let Some(process) = spec.oci().process() else { return Ok(()) };
    let directory = inside(process.cwd());
    if directory != "/" {
        let origin = Pointer::of("/process/cwd");
        let path = text(&origin, directory)?;
        plan.init(origin, Step::MakeDirectory { path, mode: 0o755 });
    }
    Ok(())
}

/// The root file system becomes `/`.
pub(super) fn pivot(plan: &mut Draft, spec: &Spec, request: &Request) -> Result<(), ConfigError> {
    if !has_mount_namespace(spec) {
        plan.init("/root/path", Step::ChangeRoot);
        return Ok(());
    }
    let asked = root_propagation(spec)?;
    if request.no_pivot && request.rootfs_is_open {
        // It lies over `/` already.
        plan.init("/root/path", Step::ChangeRoot);
    } else if request.no_pivot {
        if matches!(asked, Some(Propagation::Private | Propagation::RecursivePrivate)) {
            let problem = "private propagation and --no-pivot exclude each other";
            return Err(ConfigError::new("/linux/rootfsPropagation", problem));
        }
        plan.init("/root/path", Step::MoveRoot);
    } else {
        plan.init("/root/path", Step::PivotRoot);
    }
    if let Some(to) = asked {
        plan.init("/linux/rootfsPropagation", Step::SetPropagation { to });
    }
    Ok(())
}
