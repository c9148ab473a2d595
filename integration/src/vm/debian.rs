//! Trees of Debian packages, fetched with mmdebstrap: the host's own sources and packages stay as they are.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{FlockOperation, flock};

use super::cache;

const MIRROR: &str = "http://deb.debian.org/debian";

/// A directory of unpacked, or installed, packages.
#[derive(Debug, Hash)]
pub(super) struct Tree {
    /// What it is called in the cache.
    pub(super) name: &'static str,
    /// `extract` unpacks, `minbase` installs.
    pub(super) variant: &'static str,
    /// Where packages come from; the first is the release.
    pub(super) suites: &'static [&'static str],
    /// Each with all that it depends on.
    pub(super) packages: &'static [&'static str],
    /// What is done inside at last.
    pub(super) commands: &'static [&'static str],
}

/// The machine itself. Debian 12's own QEMU is too old: its guests crash now and then.
pub(super) const TOOLS: Tree = Tree {
    name: "tools",
    variant: "extract",
    suites: &["trixie"],
    packages: &["qemu-system-x86"],
    commands: &[],
};

/// What every guest has, and these packages more.
macro_rules! machine {
    ($($more:literal),*) => {
        &[
            "acl",
            "apparmor",
            "busybox-static",
            "curl",
            "dbus",
            "dbus-user-session",
            "iproute2",
            "iptables",
            "kmod",
            "libpam-systemd",
            "procps",
            "strace",
            "systemd-sysv",
            "tmux",
            "udev",
            "uidmap",
            $($more),*
        ]
    };
}

/// Nothing that waits for hardware, for the network or for somebody who logs in.
const QUIET: &str = "systemctl mask getty@tty1.service getty.target apt-daily.timer apt-daily-upgrade.timer dpkg-db-backup.timer \
         e2scrub_all.timer e2scrub_reap.service fstrim.timer systemd-hwdb-update.service systemd-firstboot.service \
         systemd-journal-flush.service systemd-journal-catalog-update.service systemd-networkd.service \
         systemd-networkd.socket systemd-networkd-wait-online.service systemd-update-utmp.service systemd-udev-settle.service \
         systemd-timesyncd.service systemd-pcrphase.service systemd-random-seed.service ldconfig.service \
         systemd-update-done.service systemd-sysusers.service systemd-machine-id-commit.service \
         systemd-udev-trigger.service systemd-udev-load-credentials.service systemd-tpm2-setup.service \
         systemd-tpm2-setup-early.service systemd-pstore.service systemd-tmpfiles-setup-dev-early.service \
         modprobe@configfs.service modprobe@drm.service modprobe@efi_pstore.service modprobe@fuse.service \
         modprobe@dm_mod.service sys-kernel-debug.mount sys-kernel-tracing.mount proc-sys-fs-binfmt_misc.automount";

const WITHOUT_A_DISPLAY: &str = "systemctl set-default multi-user.target";

/// What is installed in a guest.
pub(super) const GUEST: Tree = Tree {
    name: "guest",
    variant: "minbase",
    suites: &["trixie"],
    packages: machine!(),
    commands: &[QUIET, WITHOUT_A_DISPLAY],
};

/// The same with engines, which no other guest has to carry. Tests start their own daemons.
pub(super) const ENGINES: Tree = Tree {
    name: "engines",
    packages: machine!(
        "buildah",
        "catatonit",
        "containerd",
        "containernetworking-plugins",
        "docker-cli",
        "docker.io",
        "fuse-overlayfs",
        "nftables",
        "passt",
        "podman",
        "rootlesskit",
        "runc",
        "slirp4netns",
        "tini"
    ),
    commands: &[QUIET, WITHOUT_A_DISPLAY, OWN_DAEMONS],
    ..GUEST
};

const OWN_DAEMONS: &str = "systemctl mask docker.service docker.socket containerd.service podman.service podman.socket \
         podman-auto-update.timer podman-restart.service podman-clean-transient.service";

impl Tree {
    /// Where it is, or will be; other contents have another path.
    pub(super) fn path(&self) -> PathBuf {
        cache().join(format!("{}-{}", self.name, stamp(self)))
    }

    /// Fetches it, unless it is there.
    pub(super) fn make(&self) -> io::Result<()> {
        made(&self.path(), |new| {
            let sources = self.suites.iter().map(|suite| format!("deb {MIRROR} {suite} main"));
            let commands = self.commands.iter().map(|command| hook(command));
            let left_out = ["doc", "man", "locale", "info"]
                .map(|name| format!("--dpkgopt=path-exclude=/usr/share/{name}/*"));
            let mut bootstrap = Command::new("mmdebstrap");
            bootstrap.arg("--quiet").arg(format!("--variant={}", self.variant)).args(left_out);
            bootstrap.arg(format!("--include={}", self.packages.join(","))).args(commands);
            bootstrap.arg(self.suites[0]).arg(new).args(sources);
            run(&mut bootstrap)
        })
    }
}

/// What has mmdebstrap run a command inside. The shell that reads this belongs to the host: were the command not
/// quoted, its redirections would write there.
fn hook(command: &str) -> String {
    assert!(!command.contains('\''), "a command inside has no quotes of its own: {command}");
    format!("--customize-hook=chroot \"$1\" sh -ec '{command}'")
}

/// Makes a file or a directory that is whole as soon as it has its name.
pub(super) fn made(path: &Path, make: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    let _ = fs::remove_file(&new).or_else(|_| fs::remove_dir_all(&new));
    make(&new)?;
    fs::rename(new, path)
}

/// Holds back others who want to fetch the same.
pub(super) fn lock() -> io::Result<File> {
    fs::create_dir_all(cache())?;
    let file = File::create(cache().join("lock"))?;
    flock(&file, FlockOperation::LockExclusive)?;
    Ok(file)
}

/// Runs a program that must succeed.
pub(super) fn run(command: &mut Command) -> io::Result<()> {
    let output = command.output().map_err(|error| io::Error::other(format!("{command:?}: {error}")))?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let said = String::from_utf8_lossy(&output.stderr);
            Err(io::Error::other(format!("{command:?} failed:\n{said}")))
        }
    }
}

/// Runs a script of the shell that must succeed; `$0`, `$1`, … are the arguments.
pub(super) fn shell<A: AsRef<OsStr>>(script: &str, arguments: impl IntoIterator<Item = A>) -> io::Result<()> {
    run(Command::new("sh").arg("-ec").arg(script).args(arguments))
}

/// A few letters that stand for what something is made from.
pub(super) fn stamp(recipe: &impl Hash) -> String {
    let mut hasher = DefaultHasher::new();
    recipe.hash(&mut hasher);
    format!("{:08x}", hasher.finish() >> 32)
}

/// The error for something that ought to be in a tree.
pub(super) fn lacking(what: &str, tree: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, format!("there is no {what} in {}", tree.display()))
}

#[cfg(test)]
mod tests {
    use super::hook;

    #[test]
    fn what_is_meant_for_a_guest_does_not_reach_the_host() {
        assert_eq!(hook("echo a >/b"), r#"--customize-hook=chroot "$1" sh -ec 'echo a >/b'"#);
    }
}
