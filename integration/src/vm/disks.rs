//! The disks of guests.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;

use super::cache;
use super::debian::{ENGINES, GUEST, TOOLS, Tree, lock, made, shell, stamp};
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

/// What is installed in a guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Image {
    /// What tests of the runtime take.
    Plain,
    /// Engines too.
    Engines,
}

/// Fetches and makes everything that guests with these images need, unless it is there.
///
/// # Errors
/// When a program is missing that this takes, or Debian's archive cannot be reached.
pub fn prepare(images: &[Image]) -> io::Result<()> {
    let _lock = lock()?;
    let trees: Vec<Tree> = Kernel::ALL.map(Kernel::tree).into_iter().chain([TOOLS]).collect();
    thread::scope(|scope| {
        let guest = scope.spawn(|| GUEST.make());
        trees.iter().try_for_each(Tree::make)?;
        guest.join().unwrap_or_else(|_| Err(io::Error::other("a thread panicked")))
    })?;
    Kernel::ALL.into_iter().try_for_each(Kernel::make_initrd)?;
    images.iter().try_for_each(|image| image.make())
}

impl Image {
    fn tree(self) -> Tree {
        match self {
            Image::Plain => GUEST,
            Image::Engines => ENGINES,
        }
    }

    /// The disk with its Debian and the modules of all kernels.
    pub(super) fn root(self) -> PathBuf {
        let tree = self.tree();
        let name = tree.name;
        let recipe = (tree, Kernel::ALL.map(Kernel::tree), ADD_MODULES, FORMAT);
        cache().join(format!("{name}-{}.ext4", stamp(&recipe)))
    }

    fn make(self) -> io::Result<()> {
        made(&self.root(), |disk| {
            self.tree().make()?;
            let tree = self.tree().path();
            fs::create_dir_all(tree.join("usr/lib/modules"))?;
            let modules = Kernel::ALL.into_iter().map(Kernel::modules).collect::<io::Result<Vec<_>>>()?;
            shell(ADD_MODULES, [tree.clone()].iter().chain(&modules))?;
            format(&tree, disk, 4 << 10)
        })
    }
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
