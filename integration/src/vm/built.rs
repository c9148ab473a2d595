//! What cargo built on the host, for a guest.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::files::Files;
use super::matrix::ENGINES;

/// The runtime, the programs that tests start, and the tests themselves.
#[derive(Debug)]
pub struct Built {
    programs: Vec<Artifact>,
    tests: Vec<Artifact>,
}

impl Built {
    /// Has cargo build everything, and tell where it is.
    ///
    /// # Errors
    /// When it doesn't build.
    pub fn new() -> io::Result<Self> {
        let mut all = artifacts(&["test", "--workspace", "--no-run"])?;
        let engines = artifacts(&["test", "--package", "integration", "--test", ENGINES, "--no-run"])?;
        all.extend(engines.into_iter().filter(|one| one.test));
        let (tests, mut programs): (Vec<_>, Vec<_>) = all.into_iter().partition(|one| one.test);
        programs.retain(|one| one.name != RUNTIME);
        programs.extend(artifacts(&["build", "--package", "runtime-cli", "--bin", RUNTIME])?);
        match repeated(&tests) {
            Some(name) => {
                Err(io::Error::other(format!("two programs of tests are called {name}: rename one")))
            }
            None => Ok(Self { programs, tests }),
        }
    }

    /// The runtime.
    ///
    /// # Panics
    /// Never, since it was built.
    pub fn runtime(&self) -> &Path {
        &named(&self.programs, RUNTIME).path
    }

    /// A command of the shell that runs a program of tests where cargo would.
    ///
    /// # Panics
    /// When there is none of this name.
    pub fn test(&self, name: &str) -> String {
        let test = named(&self.tests, name);
        format!("env -C '{}' '{}'", test.package.display(), test.path.display())
    }

    /// The names of the tests' programs.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tests.iter().map(|one| one.name.as_str())
    }

    /// Puts everything where the harness looks for it: programs in `bin`, tests in `bin/deps`.
    ///
    /// # Errors
    /// When something can't be copied.
    pub fn add_to(&self, files: &mut Files) -> io::Result<()> {
        let mut add = |directory, all: &[Artifact]| {
            all.iter().try_for_each(|one| files.add_program(&one.path, directory, &one.name))
        };
        add("bin", &self.programs)?;
        add("bin/deps", &self.tests)
    }
}

fn named<'a>(all: &'a [Artifact], name: &str) -> &'a Artifact {
    all.iter().find(|one| one.name == name).unwrap_or_else(|| panic!("{name} was not built"))
}

/// A name that two of them have: only one of these would be run.
fn repeated(all: &[Artifact]) -> Option<&str> {
    let mut names: Vec<_> = all.iter().map(|one| one.name.as_str()).collect();
    names.sort_unstable();
    names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}

/// What the command of users is called.
const RUNTIME: &str = "runtime";

/// A program that cargo has built.
#[derive(Debug)]
struct Artifact {
    name: String,
    test: bool,
    path: PathBuf,
    /// The directory of its package.
    package: PathBuf,
}

impl Artifact {
    fn read(line: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(line).ok()?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        Some(Self {
            name: text(&value["target"]["name"])?,
            test: value["profile"]["test"].as_bool()?,
            path: text(&value["executable"])?.into(),
            package: Path::new(value["manifest_path"].as_str()?).parent()?.to_owned(),
        })
    }
}

fn artifacts(arguments: &[&str]) -> io::Result<Vec<Artifact>> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.args(arguments).args(["--quiet", "--message-format=json-render-diagnostics"]);
    let output =
        cargo.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).stderr(Stdio::inherit()).output()?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).lines().filter_map(Artifact::read).collect()),
        false => Err(io::Error::other(format!("{cargo:?} failed"))),
    }
}
