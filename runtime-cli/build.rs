//! Tells the program which commit it is built from: `RUNTIME_COMMIT`, else what git says, else `unknown`.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=RUNTIME_COMMIT");
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]) {
        println!("cargo::rerun-if-changed={log}");
    }
    let commit = env::var("RUNTIME_COMMIT").ok().or_else(|| git(&["rev-parse", "HEAD"]));
    println!("cargo::rustc-env=RUNTIME_COMMIT={}", commit.as_deref().unwrap_or("unknown"));
}

fn git(arguments: &[&str]) -> Option<String> {
    let output =
        Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}
