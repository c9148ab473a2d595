//! The kernels of guests: where Debian has them, and what of them a guest needs to find its disks.

use std::fs;
use std::io;
use std::path::PathBuf;

use super::debian::{GUEST, Tree, lacking, made, shell, stamp};

/// A kernel of Debian for virtual machines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kernel {
    /// Of bookworm: every controller works in version 1 too.
    V6_1,
    /// Of trixie: memory and cpuset are in version 2 alone.
    V6_12,
    /// The newest that Debian has for a release.
    Newest,
}

/// What a guest's disks and ports need, each after what it builds on; any of them may be built in.
const MODULES: &str =
    "virtio virtio_ring virtio_pci_legacy_dev virtio_pci_modern_dev virtio_pci virtio_blk virtio_console";

/// What runs first, and what it hands over.
const SCRIPTS: [(&str, &str); 4] = [
    ("init", include_str!("guest/initrd.sh")),
    ("plain.sh", include_str!("guest/plain.sh")),
    ("job.sh", include_str!("guest/job.sh")),
    ("job.service", include_str!("guest/job.service")),
];

/// Packs a first file system: `$0` is an empty directory with the scripts, `$1` the modules, `$2` a busybox, `$3` the
/// archive, and the names of modules follow.
const PACK: &str = r#"
new=$0 modules=$1 busybox=$2 archive=$3
shift 3
cd "$new"
mkdir -p bin proc sys dev root modules
cp "$busybox" busybox
chmod +x init plain.sh job.sh
for name; do
    module=$(find "$modules" -name "$name.ko*")
    case $module in
    *.xz) ./busybox xz -dc "$module" >"modules/$name.ko" ;;
    *.ko) cp "$module" modules/ ;;
    *) continue ;;
    esac
    echo "$name.ko" >>modules/order
done
find . | ./busybox cpio -o -H newc >"$archive" 2>/dev/null
"#;

impl Kernel {
    /// All of them.
    pub const ALL: [Kernel; 3] = [Kernel::V6_1, Kernel::V6_12, Kernel::Newest];

    /// Its name, on command lines and in tables.
    pub fn name(self) -> &'static str {
        match self {
            Kernel::V6_1 => "6.1",
            Kernel::V6_12 => "6.12",
            Kernel::Newest => "newest",
        }
    }

    /// The kernel of this name.
    pub fn named(name: &str) -> Option<Kernel> {
        Kernel::ALL.into_iter().find(|kernel| kernel.name() == name)
    }

    /// Its packages, unpacked.
    pub(super) fn tree(self) -> Tree {
        let (name, suites, packages): (_, &[_], &[_]) = match self {
            Kernel::V6_1 => ("kernel-6.1", &["bookworm"], &["linux-image-cloud-amd64"]),
            Kernel::V6_12 => ("kernel-6.12", &["trixie"], &["linux-image-cloud-amd64"]),
            Kernel::Newest => (
                "kernel-newest",
                &["trixie", "trixie-backports"],
                &["linux-image-cloud-amd64/trixie-backports"],
            ),
        };
        Tree { name, variant: "extract", suites, packages, commands: &[] }
    }

    /// The version that `uname` tells in a guest.
    ///
    /// # Errors
    /// When it has not been fetched.
    pub fn version(self) -> io::Result<String> {
        Ok(self.modules()?.file_name().unwrap_or_default().to_string_lossy().into_owned())
    }

    /// Its directory of modules.
    pub(super) fn modules(self) -> io::Result<PathBuf> {
        let tree = self.tree().path();
        let places = ["usr/lib/modules", "lib/modules"].map(|place| tree.join(place));
        let mut all = places.iter().filter_map(|place| fs::read_dir(place).ok()).flatten().flatten();
        all.next().map(|entry| entry.path()).ok_or_else(|| lacking("kernel", &tree))
    }

    /// What a machine boots.
    pub(super) fn image(self) -> io::Result<PathBuf> {
        let beside = self.modules()?.join("vmlinuz");
        let boot = self.tree().path().join("boot").join(format!("vmlinuz-{}", self.version()?));
        [beside, boot]
            .into_iter()
            .find(|path| path.exists())
            .ok_or_else(|| lacking("vmlinuz", &self.tree().path()))
    }

    /// The first file system of a guest.
    pub(super) fn initrd(self) -> PathBuf {
        self.tree().path().join(format!("initrd-{}", stamp(&(SCRIPTS, MODULES, PACK))))
    }

    /// Makes the first file system of a guest, unless it is there. The guest's tree must be.
    pub(super) fn make_initrd(self) -> io::Result<()> {
        made(&self.initrd(), |archive| {
            let new = archive.with_extension("files");
            let _ = fs::remove_dir_all(&new);
            fs::create_dir(&new)?;
            SCRIPTS.into_iter().try_for_each(|(name, text)| fs::write(new.join(name), text))?;
            let busybox = GUEST.path().join("usr/bin/busybox");
            let modules = self.modules()?;
            let paths = [new.as_os_str(), modules.as_os_str(), busybox.as_os_str(), archive.as_os_str()];
            shell(PACK, paths.into_iter().chain(MODULES.split(' ').map(AsRef::as_ref)))?;
            fs::remove_dir_all(&new)
        })
    }
}
