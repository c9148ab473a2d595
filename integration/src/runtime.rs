//! Which runtime is under test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The runtimes whose peculiarities the tests know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The binary of this workspace.
    Ours,
    /// containers/crun.
    Crun,
    /// opencontainers/runc.
    Runc,
    /// youki-dev/youki.
    Youki,
    /// Anything else: held to every promise.
    Other,
}

/// The runtime under test.
#[derive(Debug)]
pub struct Runtime {
    /// An absolute path.
    pub path: PathBuf,
    /// Which one it is, by what it says of itself.
    pub kind: Kind,
}

/// The runtime under test; decided once per process.
///
/// # Panics
/// When `RUNTIME` names nothing that can be run, or our own binary cannot be built.
pub fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        let path = match std::env::var_os("RUNTIME") {
            Some(name) => find(Path::new(&name)).unwrap_or_else(|| panic!("RUNTIME={name:?} is not on PATH")),
            None => {
                build(&["--package", "runtime-cli", "--bin", "runtime"]);
                binaries().join("runtime")
            }
        };
        let kind = kind_of(&path);
        Runtime { path, kind }
    })
}

/// Finds a program the way a shell does: a name with a slash is a path, any other is looked up in PATH.
pub fn find(name: &Path) -> Option<PathBuf> {
    if name.components().count() > 1 {
        return std::path::absolute(name).ok().filter(|path| path.is_file());
    }
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|directory| directory.join(name)).find(|path| path.is_file())
}

/// Tells a runtime by the first words of `--version`.
pub fn kind_of(path: &Path) -> Kind {
    let output = Command::new(path).arg("--version").output().map(|output| output.stdout).unwrap_or_default();
    let text = String::from_utf8_lossy(&output).into_owned();
    let named = |name: &str| text.starts_with(name) || path.file_name().is_some_and(|file| file == name);
    match () {
        () if named("runtime") => Kind::Ours,
        () if named("crun") => Kind::Crun,
        () if named("runc") => Kind::Runc,
        () if named("youki") => Kind::Youki,
        () => Kind::Other,
    }
}

/// Where cargo put the binaries that belong to this test: the directory above `deps`.
pub fn binaries() -> PathBuf {
    let exe = std::env::current_exe().expect("the test knows its own path");
    let directory = exe.parent().expect("an executable lies in a directory");
    match directory.ends_with("deps") {
        true => directory.parent().expect("deps lies in a directory").to_owned(),
        false => directory.to_owned(),
    }
}

/// An example of the library.
///
/// # Panics
/// When it cannot be built.
pub fn example(name: &str) -> PathBuf {
    // For the whole workspace, as the tests are: dependencies are compiled once.
    build(&["--workspace", "--examples"]);
    binaries().join("examples").join(name)
}

/// Builds what these tests run, since cargo does not know that they do; what is fresh costs a fraction of a second.
fn build(what: &[&str]) {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.args(["build", "--quiet"]).args(what);
    if binaries().ends_with("release") {
        cargo.arg("--release");
    }
    let built = cargo.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).status();
    assert!(built.is_ok_and(|status| status.success()), "cannot build what is tested: {cargo:?}");
}
