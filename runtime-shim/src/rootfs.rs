//! A container's root file system: mounted as containerd's snapshotter says, and unmounted.

use std::ffi::CString;
use std::fs::DirBuilder;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, mount_remount, unmount,
};

use crate::protos::api::Mount;
use crate::refusal::{Doing, Refusal};

/// The kernel takes one page of options, with a zero at its end.
const LONGEST: usize = 4095;

/// More than anybody mounts on one place.
const MOST_LAYERS: usize = 64;

/// Options that are flags; the second half of each pair is set, or with `false` taken away.
const FLAGS: [(&str, MountFlags, bool); 24] = [
    ("async", MountFlags::SYNCHRONOUS, false),
    ("atime", MountFlags::NOATIME, false),
    ("bind", MountFlags::BIND, true),
    ("defaults", MountFlags::empty(), true),
    ("dev", MountFlags::NODEV, false),
    ("diratime", MountFlags::NODIRATIME, false),
    ("dirsync", MountFlags::DIRSYNC, true),
    ("exec", MountFlags::NOEXEC, false),
    ("mand", MountFlags::PERMIT_MANDATORY_FILE_LOCKING, true),
    ("noatime", MountFlags::NOATIME, true),
    ("nodev", MountFlags::NODEV, true),
    ("nodiratime", MountFlags::NODIRATIME, true),
    ("noexec", MountFlags::NOEXEC, true),
    ("nomand", MountFlags::PERMIT_MANDATORY_FILE_LOCKING, false),
    ("norelatime", MountFlags::RELATIME, false),
    ("nostrictatime", MountFlags::STRICTATIME, false),
    ("nosuid", MountFlags::NOSUID, true),
    ("rbind", MountFlags::BIND.union(MountFlags::REC), true),
    ("relatime", MountFlags::RELATIME, true),
    ("ro", MountFlags::RDONLY, true),
    ("rw", MountFlags::RDONLY, false),
    ("strictatime", MountFlags::STRICTATIME, true),
    ("suid", MountFlags::NOSUID, false),
    ("sync", MountFlags::SYNCHRONOUS, true),
];

/// What a bind mount takes over from its source, until it is mounted once more.
const OF_A_BIND: MountFlags = MountFlags::RDONLY
    .union(MountFlags::NODEV)
    .union(MountFlags::NOEXEC)
    .union(MountFlags::NOSUID)
    .union(MountFlags::NOATIME)
    .union(MountFlags::NODIRATIME)
    .union(MountFlags::RELATIME);

/// Options as the kernel takes them.
#[derive(Debug, PartialEq)]
struct Options {
    flags: MountFlags,
    propagation: Option<MountPropagationFlags>,
    /// For the file system.
    data: Vec<String>,
}

impl Options {
    fn read(options: &[String]) -> Result<Self, Refusal> {
        let mut read = Options { flags: MountFlags::empty(), propagation: None, data: Vec::new() };
        for option in options {
            let flag = FLAGS.iter().find(|(name, ..)| name == option);
            match (flag, propagation(option), option.split('=').next().unwrap_or_default()) {
                (Some((_, flags, true)), ..) => read.flags |= *flags,
                (Some((_, flags, false)), ..) => read.flags &= !*flags,
                (_, Some(kind), _) => read.propagation = Some(kind),
                (_, _, "loop" | "uidmap" | "gidmap") => {
                    return Err(Refusal::unsupported(format!(
                        "mounts of root file systems with {option} are not supported"
                    )));
                }
                // containerd's notes to itself.
                (_, _, name) if name.starts_with("X-containerd.") => {}
                _ => read.data.push(option.clone()),
            }
        }
        Ok(read)
    }
}

fn propagation(option: &str) -> Option<MountPropagationFlags> {
    let recursive =
        if option.starts_with('r') { MountPropagationFlags::REC } else { MountPropagationFlags::empty() };
    let kind = match option {
        "shared" | "rshared" => MountPropagationFlags::SHARED,
        "private" | "rprivate" => MountPropagationFlags::PRIVATE,
        "slave" | "rslave" => MountPropagationFlags::DOWNSTREAM,
        "unbindable" | "runbindable" => MountPropagationFlags::UNBINDABLE,
        _ => return None,
    };
    Some(kind | recursive)
}

/// Where containerd wants a bundle's root file system.
pub(crate) fn of(bundle: &Path) -> PathBuf {
    bundle.join("rootfs")
}

/// Mounts these, one on the other, below the bundle; what was mounted is unmounted again if one fails.
///
/// # Errors
/// An option is not supported, or the kernel refuses one.
pub(crate) fn mount_all(mounts: &[Mount], rootfs: &Path) -> Result<(), Refusal> {
    if mounts.is_empty() {
        return Ok(());
    }
    let made = DirBuilder::new().recursive(true).mode(0o711).create(rootfs);
    made.doing(|| format!("cannot make {}", rootfs.display()))?;
    let mounted = mounts.iter().try_for_each(|wanted| mount_one(wanted, rootfs));
    mounted.inspect_err(|_| _ = unmount_all(rootfs))
}

fn mount_one(wanted: &Mount, rootfs: &Path) -> Result<(), Refusal> {
    let doing = || format!("cannot mount {:?} {:?} as the root file system", wanted.type_, wanted.source);
    let Options { flags, propagation, data } = Options::read(&wanted.options)?;
    // Open until it is mounted.
    let (data, _opened) = short(data).doing(doing)?;
    let data = CString::new(data).map_err(|_| Refusal::invalid(doing()))?;
    let target = if wanted.target.is_empty() {
        rootfs.to_owned()
    } else {
        rootfs.join(wanted.target.trim_start_matches('/'))
    };
    mount(&wanted.source, &target, &wanted.type_, flags, data.as_c_str()).doing(doing)?;
    if let Some(kind) = propagation {
        mount_change(&target, kind).doing(doing)?;
    }
    if flags.contains(MountFlags::BIND) && flags.intersects(OF_A_BIND) {
        mount_remount(&target, MountFlags::BIND | flags.intersection(OF_A_BIND), c"").doing(doing)?;
    }
    Ok(())
}

/// Options as one text. Where that is longer than the kernel takes, lower directories are named by descriptors.
fn short(data: Vec<String>) -> Result<(String, Vec<OwnedFd>), Errno> {
    let text = data.join(",");
    if text.len() <= LONGEST {
        return Ok((text, Vec::new()));
    }
    let mut opened = Vec::new();
    let mut name = |path: &str| {
        let directory = open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
        let name = format!("/proc/self/fd/{}", directory.as_raw_fd());
        opened.push(directory);
        Ok::<_, Errno>(name)
    };
    let mut shortened = Vec::new();
    for option in data {
        let Some(lower) = option.strip_prefix("lowerdir=").filter(|lower| !lower.contains('\\')) else {
            shortened.push(option);
            continue;
        };
        let names: Vec<String> = lower.split(':').map(&mut name).collect::<Result<_, _>>()?;
        shortened.push(format!("lowerdir={}", names.join(":")));
    }
    Ok((shortened.join(","), opened))
}

/// Unmounts whatever is mounted there.
///
/// # Errors
/// The kernel refuses.
pub(crate) fn unmount_all(rootfs: &Path) -> Result<(), Refusal> {
    for _ in 0..MOST_LAYERS {
        let flags = UnmountFlags::NOFOLLOW;
        match unmount(rootfs, flags).or_else(|errno| match errno {
            // Something is mounted below, or still looked at.
            Errno::BUSY => unmount(rootfs, flags | UnmountFlags::DETACH),
            errno => Err(errno),
        }) {
            Ok(()) => {}
            Err(Errno::INVAL | Errno::NOENT) => return Ok(()),
            Err(errno) => return Err(errno).doing(|| format!("cannot unmount {}", rootfs.display())),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(options: &[&str]) -> Result<Options, Refusal> {
        Options::read(&options.iter().map(|&option| option.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn options_are_flags_or_for_the_file_system() {
        let overlay = read(&["index=off", "lowerdir=/a:/b", "ro", "rw", "nodev"]).unwrap();
        assert_eq!(overlay.flags, MountFlags::NODEV);
        assert_eq!(overlay.data, ["index=off", "lowerdir=/a:/b"]);
        let bind = read(&["rbind", "ro", "rslave", "X-containerd.x=y"]).unwrap();
        assert_eq!(bind.flags, MountFlags::BIND | MountFlags::REC | MountFlags::RDONLY);
        assert_eq!(bind.propagation, Some(MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC));
        assert!(bind.data.is_empty());
        assert!(read(&["loop"]).is_err() && read(&["uidmap=0:1:2"]).is_err());
    }

    #[test]
    fn what_is_too_long_is_named_by_descriptors() {
        let lower = vec!["/usr/../usr/../usr/../usr/../usr/../usr"; 120].join(":");
        let options = vec!["index=off".to_owned(), format!("lowerdir={lower}")];
        let (text, opened) = short(options).unwrap();
        assert_eq!(opened.len(), 120);
        assert!(text.starts_with("index=off,lowerdir=/proc/self/fd/") && text.len() < LONGEST, "{text}");
        let few = vec!["lowerdir=/a".to_owned()];
        assert_eq!(short(few).unwrap().0, "lowerdir=/a");
    }
}
