//! What cargo built on the host, for a guest.

use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::files::Files;

/// The runtime, the programs that tests start, and the tests themselves.
#[derive(Debug)]
pub struct Built {
    programs: Vec<(String, PathBuf)>,
    tests: Vec<(String, PathBuf)>,
}

impl Built {
    /// Has cargo build everything, and tell where it is.
    ///
    /// # Errors
    /// When it doesn't build.
    pub fn new() -> io::Result<Self> {
        let mut tests = artifacts(&["test", "--workspace", "--no-run"])?;
        tests.extend(artifacts(&["test", "--package", "integration", "--test", "engines", "--no-run"])?);
        let runtime = artifacts(&["build", "--package", "runtime-cli", "--bin", "runtime"])?;
        let of = |kind: &'static str, test: bool| {
            let ours = move |artifact: &&Artifact| artifact.kind == kind && artifact.test == test;
            move |all: &[Artifact]| {
                all.iter().filter(ours).map(|one| (one.name.clone(), one.path.clone())).collect::<Vec<_>>()
            }
        };
        let mut programs = of("bin", false)(&tests);
        programs.retain(|(name, _)| name != "runtime");
        programs.extend(of("bin", false)(&runtime));
        let ours = |one: &Artifact| one.package == "integration" || one.name == "runtime_core";
        let ours: Vec<_> = tests.into_iter().filter(ours).collect();
        let all = ["lib", "bin", "test"].map(|kind| of(kind, true)(&ours)).concat();
        Ok(Self { programs, tests: all })
    }

    /// The runtime.
    ///
    /// # Panics
    /// Never, since it was built.
    pub fn runtime(&self) -> &Path {
        path(&self.programs, "runtime")
    }

    /// A program of tests.
    ///
    /// # Panics
    /// When there is none of this name.
    pub fn test(&self, name: &str) -> &Path {
        path(&self.tests, name)
    }

    /// The names of the tests' programs.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.tests.iter().map(|(name, _)| name.as_str())
    }

    /// Puts everything where the harness looks for it: programs in `bin`, tests in `bin/deps`.
    ///
    /// # Errors
    /// When something can't be copied.
    pub fn add_to(&self, files: &mut Files) -> io::Result<()> {
        let mut add = |directory, all: &[(String, PathBuf)]| {
            all.iter().try_for_each(|(name, path)| files.add_program(path, directory, name))
        };
        add("bin", &self.programs)?;
        add("bin/deps", &self.tests)
    }
}

fn path<'a>(all: &'a [(String, PathBuf)], name: &str) -> &'a Path {
    let found = all.iter().find(|one| one.0 == name);
    &found.unwrap_or_else(|| panic!("{name} was not built")).1
}

/// A program that cargo has built.
struct Artifact {
    package: String,
    name: String,
    kind: String,
    test: bool,
    path: PathBuf,
}

impl Artifact {
    fn read(line: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(line).ok()?;
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let manifest = PathBuf::from(value["manifest_path"].as_str()?);
        Some(Self {
            package: manifest.parent()?.file_name()?.to_string_lossy().into_owned(),
            name: text(&value["target"]["name"])?,
            kind: text(&value["target"]["kind"][0])?,
            test: value["profile"]["test"].as_bool()?,
            path: text(&value["executable"])?.into(),
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
