//! A bundle: a directory with a config.json and, usually, a root filesystem (bundle.md).

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, fstat, open, stat, statat};
use rustix::io::Errno;

use crate::error::{ConfigError, Context, Error, Result};
use crate::spec::{MAX_SIZE, Spec};

const CONFIG: &str = "config.json";

/// A configuration, and the directory that its relative paths begin in.
#[derive(Debug, Clone)]
pub struct Bundle {
    path: PathBuf,
    spec: Spec,
    root: Option<Arc<OwnedFd>>,
}

impl Bundle {
    /// Reads `config.json` in the directory `path`; a relative path is taken from the current directory.
    ///
    /// # Errors
    /// The directory or the file can't be read, or the file is not a valid configuration.
    pub fn open(path: &Path) -> Result<Bundle> {
        let path = absolute(path)?;
        let spec = Spec::parse(read_config(&path)?)?;
        Ok(Bundle { path, spec, root: None })
    }

    /// A bundle whose configuration is in no file. Nothing needs to be in the directory but what the configuration
    /// names, nor does it need to be there.
    ///
    /// # Errors
    /// The path is empty.
    pub fn of(path: &Path, spec: Spec) -> Result<Bundle> {
        Ok(Bundle { path: absolute(path)?, spec, root: None })
    }

    /// The same with a root file system that is open: `root.path` is then only what it is called. It takes the
    /// privileges of the host's root, and a mount namespace.
    #[must_use]
    pub fn with_root(self, directory: impl Into<OwnedFd>) -> Bundle {
        Bundle { root: Some(Arc::new(directory.into())), ..self }
    }

    /// The directory, absolute, without `.`, `..` and doubled slashes.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What its config.json says.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// The path of the root filesystem on the host, absolute.
    pub fn rootfs(&self) -> PathBuf {
        match self.spec.root() {
            Some(root) => cleaned(&self.path.join(root.path())),
            None => self.path.clone(),
        }
    }

    /// The root filesystem, if it is open.
    pub(crate) fn open_root(&self) -> Option<BorrowedFd<'_>> {
        self.root.as_ref().map(|root| root.as_fd())
    }

    /// Checks that the root filesystem is there, is a directory, and is not a symlink.
    ///
    /// # Errors
    /// A [`ConfigError`] at `/root/path`.
    pub fn check_rootfs(&self) -> Result<()> {
        let path = self.rootfs();
        let found = match &self.root {
            Some(root) => fstat(root),
            None => statat(rustix::fs::CWD, &path, AtFlags::SYMLINK_NOFOLLOW),
        };
        let problem = match found {
            Ok(stat) => match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => return Ok(()),
                FileType::Symlink => "is a symlink; name the directory itself".to_owned(),
                _ => "is not a directory".to_owned(),
            },
            Err(Errno::NOENT) => "does not exist; make it, or correct the path".to_owned(),
            Err(errno) => format!("can't be looked at: {}", crate::error::words(errno)),
        };
        Err(ConfigError::new("/root/path", format!("invalid rootfs: {} {problem}", path.display())).into())
    }
}

fn read_config(bundle: &Path) -> Result<Vec<u8>> {
    let path = bundle.join(CONFIG);
    let reading = || format!("cannot read {}", path.display());
    // Not to wait for a writer, should it be a pipe.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOCTTY | OFlags::NONBLOCK;
    let file = open(&path, flags, Mode::empty()).map_err(|errno| not_opened(bundle, errno))?;
    let stat = fstat(&file).doing(reading)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(ConfigError::new("", format!("{} is not a regular file", path.display())).into());
    }
    // One byte more than is allowed, for the parser to refuse.
    let size = usize::try_from(stat.st_size).unwrap_or(usize::MAX).min(MAX_SIZE + 1);
    let mut raw = vec![0; size];
    File::from(file).read_exact(&mut raw).doing(reading)?;
    Ok(raw)
}

// Is it the bundle, or what should be in it? Engines look for the words about the file.
fn not_opened(bundle: &Path, errno: Errno) -> Error {
    let doing = match stat(bundle) {
        Ok(found) if FileType::from_raw_mode(found.st_mode) == FileType::Directory => match errno {
            Errno::NOENT => format!("JSON specification file {CONFIG} not found in {}", bundle.display()),
            _ => format!("cannot open {}", bundle.join(CONFIG).display()),
        },
        _ => format!("cannot open the bundle {}", bundle.display()),
    };
    Error::System { doing, errno }
}

fn absolute(path: &Path) -> Result<PathBuf> {
    if path.as_os_str().is_empty() {
        return Err(Error::System {
            doing: "cannot open a bundle with an empty path".into(),
            errno: Errno::NOENT,
        });
    }
    let absolute =
        std::path::absolute(path).doing(|| format!("cannot find the bundle {}", path.display()))?;
    Ok(cleaned(&absolute))
}

/// An absolute path without `.`, `..`, doubled and trailing slashes, by its letters alone.
fn cleaned(path: &Path) -> PathBuf {
    let mut parts: Vec<OsString> = Vec::new();
    for part in path.components() {
        match part {
            Component::Normal(name) => parts.push(name.to_owned()),
            Component::ParentDir => drop(parts.pop()),
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    std::iter::once(OsString::from("/")).chain(parts).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::sync::atomic::{AtomicU32, Ordering};

    const SMALLEST: &str =
        r#"{"ociVersion":"1.0.2","root":{"path":"./a/../rootfs/"},"process":{"cwd":"/","args":["x"]}}"#;

    /// A directory that is removed at the end of its test.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new() -> Self {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = std::env::temp_dir().join(format!("bundle-test-{}-{number}", std::process::id()));
            std::fs::create_dir(&path).unwrap();
            Scratch(path)
        }

        fn with_config() -> Self {
            let scratch = Scratch::new();
            std::fs::write(scratch.0.join(CONFIG), SMALLEST).unwrap();
            scratch
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_bundle_knows_its_paths() {
        let scratch = Scratch::with_config();
        let bundle = Bundle::open(&scratch.0.join(".//x/..")).unwrap();
        assert_eq!(bundle.path(), scratch.0);
        assert_eq!(bundle.rootfs(), scratch.0.join("rootfs"));
        assert_eq!(bundle.rootfs().as_os_str(), scratch.0.join("rootfs").as_os_str());
        assert_eq!(bundle.spec().raw(), SMALLEST.as_bytes());
    }

    #[test]
    fn a_relative_path_is_made_absolute() {
        let here = std::env::current_dir().unwrap();
        assert_eq!(absolute(Path::new("a/./b")).unwrap(), here.join("a/b"));
        assert_eq!(absolute(Path::new("/..//a/../b/")).unwrap().as_os_str(), "/b");
        assert!(absolute(Path::new("")).is_err());
    }

    #[test]
    fn a_missing_config_is_named() {
        let scratch = Scratch::new();
        let text = Bundle::open(&scratch.0).unwrap_err().to_string();
        assert!(text.contains("JSON specification file config.json not found"), "{text}");
        assert!(text.contains(&*scratch.0.to_string_lossy()), "{text}");
    }

    #[test]
    fn a_missing_bundle_is_named() {
        let text = Bundle::open(Path::new("/nonexistent/b")).unwrap_err().to_string();
        assert_eq!(text, "cannot open the bundle /nonexistent/b: no such file or directory");
    }

    #[test]
    fn only_regular_files_are_read() {
        let scratch = Scratch::new();
        let mode = Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(rustix::fs::CWD, scratch.0.join(CONFIG), FileType::Fifo, mode, 0).unwrap();
        let text = Bundle::open(&scratch.0).unwrap_err().to_string();
        assert!(text.ends_with("is not a regular file"), "{text}");
    }

    #[test]
    fn a_huge_config_is_refused_without_being_read_whole() {
        let scratch = Scratch::new();
        File::create(scratch.0.join(CONFIG)).unwrap().set_len(1 << 40).unwrap();
        let text = Bundle::open(&scratch.0).unwrap_err().to_string();
        let most = format!("may have {} at most", MAX_SIZE);
        assert!(text.contains(&most), "{text}");
    }

    fn rootfs_problem(scratch: &Scratch) -> Option<String> {
        Bundle::open(&scratch.0).unwrap().check_rootfs().err().map(|error| error.to_string())
    }

    #[test]
    fn the_rootfs_has_to_be_a_directory() {
        let scratch = Scratch::with_config();
        assert!(rootfs_problem(&scratch).unwrap().contains("/root/path: invalid rootfs: "));
        std::fs::write(scratch.0.join("rootfs"), "").unwrap();
        assert!(rootfs_problem(&scratch).unwrap().ends_with("is not a directory"));
        std::fs::remove_file(scratch.0.join("rootfs")).unwrap();
        std::fs::create_dir(scratch.0.join("real")).unwrap();
        symlink("real", scratch.0.join("rootfs")).unwrap();
        assert!(rootfs_problem(&scratch).unwrap().contains("is a symlink"));
        std::fs::remove_file(scratch.0.join("rootfs")).unwrap();
        std::fs::create_dir(scratch.0.join("rootfs")).unwrap();
        assert_eq!(rootfs_problem(&scratch), None);
    }
}
