//! The disks of guests.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;

use super::cache;
use super::debian::{GUEST, TOOLS, Tree, lock, made, shell, stamp};
use super::kernels::Kernel;

/// Adds the kernels' modules to a guest: `$0` is its tree, and their directories follow.
const ADD_MODULES: &str = r#"
for modules; do
    cp -a "$modules" "$0/usr/lib/modules/"
    chroot "$0" depmod "${modules##*/}"
done
"#;

/// Makes a disk `$1` of `$2` with the files of `$0`.
const FORMAT: &str = r#"mke2fs -q -t ext4 -O ^has_journal -E root_owner=0:0 -d "$0" "$1" "$2""#;

/// Fetches and makes everything that guests need, unless it is there.
///
/// # Errors
/// When a program is missing that this takes, or Debian's archive cannot be reached.
pub fn prepare() -> io::Result<()> {
    let _lock = lock()?;
    let trees: Vec<Tree> = Kernel::ALL.map(Kernel::tree).into_iter().chain([TOOLS]).collect();
    thread::scope(|scope| {
        let guest = scope.spawn(|| GUEST.make());
        trees.iter().try_for_each(Tree::make)?;
        guest.join().unwrap_or_else(|_| Err(io::Error::other("a thread panicked")))
    })?;
    Kernel::ALL.into_iter().try_for_each(Kernel::make_initrd)?;
    make_root()
}

/// The disk with a guest's Debian and the modules of all kernels.
pub(super) fn root() -> PathBuf {
    let recipe = (GUEST, Kernel::ALL.map(Kernel::tree), ADD_MODULES, FORMAT);
    cache().join(format!("guest-{}.ext4", stamp(&recipe)))
}

fn make_root() -> io::Result<()> {
    made(&root(), |disk| {
        let tree = GUEST.path();
        fs::create_dir_all(tree.join("usr/lib/modules"))?;
        let modules = Kernel::ALL.into_iter().map(Kernel::modules).collect::<io::Result<Vec<_>>>()?;
        shell(ADD_MODULES, [tree.clone()].iter().chain(&modules))?;
        format(&tree, disk, 4 << 10)
    })
}

/// A disk of this size in MiB with the files of a directory; holes take no space.
pub(super) fn format(files: &Path, disk: &Path, mebibytes: u64) -> io::Result<()> {
    shell(FORMAT, [files.as_os_str(), disk.as_os_str(), format!("{mebibytes}M").as_ref()])
}

/// An empty disk of this size in MiB.
pub(super) fn empty(disk: &Path, mebibytes: u64) -> io::Result<()> {
    File::create(disk)?.set_len(mebibytes << 20)
}

/// A disk whose first bytes are a text, and the rest zero.
pub(super) fn text(disk: &Path, text: &str) -> io::Result<()> {
    fs::write(disk, text)?;
    let length = (text.len() as u64).next_multiple_of(4096).max(4096);
    File::options().write(true).open(disk)?.set_len(length)
}
