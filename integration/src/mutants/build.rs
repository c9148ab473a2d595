//! A copy of the source, changed and built.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use super::{MUTANTS, Mutant, workspace};

/// What the command is built from.
const PARTS: [&str; 3] = ["runtime-core", "runtime-cli", ".cargo"];

/// The copy, which keeps what cargo has built of it between runs.
pub(super) struct Copy {
    place: PathBuf,
    /// The files of the workspace, by their paths in it.
    files: BTreeMap<String, Vec<u8>>,
}

impl Copy {
    /// Of the workspace as it is now.
    pub(super) fn new() -> io::Result<Self> {
        let mut files = BTreeMap::new();
        for part in PARTS {
            collect(&workspace(), Path::new(part), &mut files)?;
        }
        let text = fs::read_to_string(workspace().join("Cargo.toml"))?;
        let members = text.replace(", \"integration\"]", "]");
        files.insert("Cargo.toml".into(), members.into_bytes());
        files.insert("Cargo.lock".into(), fs::read(workspace().join("Cargo.lock"))?);
        Ok(Self { place: results().join("source"), files })
    }

    /// Builds the command without what these mutants take out: the binary, and a number that tells this source from
    /// others.
    ///
    /// # Errors
    /// A replacement doesn't fit, or the compiler refuses what comes out.
    pub(super) fn build(&self, mutants: &[&Mutant]) -> Result<(PathBuf, u64), String> {
        let mut files = self.files.clone();
        for mutant in mutants {
            let file = files.get_mut(mutant.file).ok_or_else(|| format!("there is no {}", mutant.file))?;
            *file = mutant.apply(&String::from_utf8_lossy(file))?.into_bytes();
        }
        let mut hasher = DefaultHasher::new();
        files.hash(&mut hasher);
        self.write(&files).map_err(|error| format!("cannot copy the source: {error}"))?;
        let target = results().join("target");
        let mut cargo = Command::new(env::var_os("CARGO").unwrap_or("cargo".into()));
        cargo.args([
            "build",
            "--quiet",
            "--offline",
            "--package",
            "runtime-cli",
            "--bin",
            "runtime",
            "--target-dir",
        ]);
        // The compiler is what this waits for.
        cargo.arg(&target).current_dir(&self.place).env("CARGO_PROFILE_DEV_OPT_LEVEL", "0");
        let output = cargo.output().map_err(|error| format!("cannot run cargo: {error}"))?;
        if output.status.success() {
            Ok((target.join("x86_64-unknown-linux-gnu/debug/runtime"), hasher.finish()))
        } else {
            Err(String::from_utf8_lossy(&output.stderr).into_owned())
        }
    }

    /// Only what has changed, or cargo would build everything.
    fn write(&self, files: &BTreeMap<String, Vec<u8>>) -> io::Result<()> {
        for (path, content) in files {
            let place = self.place.join(path);
            if fs::read(&place).is_ok_and(|found| found == *content) {
                continue;
            }
            fs::create_dir_all(place.parent().expect("a file lies in a directory"))?;
            fs::write(place, content)?;
        }
        Ok(())
    }
}

/// Where all this is kept: among what cargo makes.
pub(super) fn results() -> PathBuf {
    crate::runtime::binaries().parent().expect("binaries lie below a target directory").join("mutants")
}

fn collect(root: &Path, path: &Path, files: &mut BTreeMap<String, Vec<u8>>) -> io::Result<()> {
    let Ok(entries) = fs::read_dir(root.join(path)) else { return Ok(()) };
    for entry in entries {
        let entry = entry?;
        let path = path.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            collect(root, &path, files)?;
        } else {
            files.insert(path.to_string_lossy().into_owned(), fs::read(entry.path())?);
        }
    }
    Ok(())
}

/// The mutants that a build has.
pub(super) fn mixture(build: u32) -> Vec<&'static Mutant> {
    let inside = MUTANTS.iter().enumerate().filter(|(place, _)| super::mixtures::is_in(*place, build));
    inside.map(|(_, mutant)| mutant).collect()
}
