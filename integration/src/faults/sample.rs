//! A sample of trials, as a test makes it: the campaign's program makes them, in processes of its own.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use super::report;
use crate::bundle;
use crate::runtime::{Kind, binaries, runtime};

/// Lets the campaign's program make the trials that these words choose; fails if one of them finds something.
///
/// # Panics
/// Then, and when the program can't be run.
#[track_caller]
pub fn wage(words: &[&str]) {
    // What the peers leave behind is theirs to count.
    if runtime().kind != Kind::Ours {
        return;
    }
    let results = Results::fresh();
    let mut command = Command::new(binaries().join("faults"));
    command.env("RUNTIME", &runtime().path).args(words).arg("seed=1");
    let output =
        command.arg(format!("results={}", results.0.display())).output().expect("the program is there");
    let (said, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    let files = report::read(&results.0).expect("there are results");
    let trials: usize = files.iter().map(|one| one.all().trials).sum();
    println!("{said}");
    assert!(output.status.success() && errors.is_empty() && trials > 0, "{trials} trials: {said}{errors}");
}

/// A directory for results, removed at the end.
#[derive(Debug)]
pub struct Results(pub PathBuf);

impl Results {
    /// One that isn't there yet.
    pub fn fresh() -> Self {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let name = format!("faults-{}-{}", std::process::id(), SERIAL.fetch_add(1, Ordering::Relaxed));
        Self(bundle::base().join(name))
    }
}

impl Drop for Results {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
