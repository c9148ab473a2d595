//! What is brought along into a guest.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::debian::shell;
use super::disks;
use super::guest::Place;

/// Copies the program `$0` to the directory `$1`.
const ADD_WITH_LIBRARIES: &str = r#"
mkdir -p "$1/lib"
cp "$0" "$1"
ldd "$0" | while read -r name _ path _; do
    case $name in
    libc.so.* | /* | linux-vdso.so.*) ;;
    lib*) cp "$path" "$1/lib/$name" ;;
    esac
done
"#;

/// A disk in the making that guests see at `/vm`.
#[derive(Debug)]
pub struct Files(Place);

impl Files {
    /// A disk with nothing.
    ///
    /// # Errors
    /// When there is no place for it.
    pub fn new() -> io::Result<Self> {
        let place = Place::new()?;
        fs::create_dir(place.0.join("files"))?;
        Ok(Self(place))
    }

    /// Puts a file or a directory into this directory of the disk, which is made.
    ///
    /// # Errors
    /// When it can't be copied.
    pub fn add(&mut self, path: &Path, directory: &str) -> io::Result<()> {
        let directory = self.directory(directory)?;
        shell(r#"cp -a "$0" "$1""#, [path, &directory])
    }

    /// Puts a program there without what only debuggers read, under this name.
    ///
    /// # Errors
    /// When it can't be read, or is no program.
    pub fn add_program(&mut self, path: &Path, directory: &str, name: &str) -> io::Result<()> {
        let target = self.directory(directory)?.join(name);
        shell(r#"strip -o "$1" "$0""#, [path, &target])
    }

    /// Puts a program there with the libraries that it is linked with, in `lib` below; but for the C library, which the
    /// guest has in a newer version.
    ///
    /// # Errors
    /// When they can't be found or copied.
    pub fn add_with_libraries(&mut self, path: &Path, directory: &str) -> io::Result<()> {
        let directory = self.directory(directory)?;
        shell(ADD_WITH_LIBRARIES, [path, &directory])
    }

    fn directory(&self, name: &str) -> io::Result<PathBuf> {
        let directory = self.0.0.join("files").join(name);
        fs::create_dir_all(&directory)?;
        Ok(directory)
    }

    /// The disk; it lasts as long as `self`.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn disk(&self) -> io::Result<PathBuf> {
        let disk = self.0.0.join("disk");
        disks::format(&self.0.0.join("files"), &disk, 2048)?;
        Ok(disk)
    }
}
