//! Compiles the init program. It is not a crate: one call of the compiler, no dependency, no standard library, so that
//! `cargo package` carries it as plain files and a stable toolchain builds it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, error::Error};

/// Where its sources are; the two shared files are compiled into it too.
const SOURCES: [&str; 3] = ["init", "src/step.rs", "src/wire.rs"];

const OPTIONS: [&str; 16] = [
    "--edition=2024",
    "--crate-name=runtime_init",
    "--crate-type=bin",
    "--cfg=init",
    "-Cpanic=abort",
    "-Copt-level=z",
    "-Clto=fat",
    "-Ccodegen-units=1",
    "-Cforce-unwind-tables=no",
    "-Crelocation-model=static",
    "-Ctarget-feature=+crt-static",
    "-Cstrip=symbols",
    // No C runtime: the program has its own entry point.
    "-Clink-args=-nostartfiles -nostdlib -static",
    // A copy of a function in each place where it is called costs pages.
    "-Cllvm-args=-inline-threshold=15",
    "-Clink-arg=-Wl,--gc-sections,-z,norelro,--build-id=none,--no-eh-frame-hdr",
    "-Clink-arg=-Wl,-T,init/link.ld",
];

fn main() -> Result<(), Box<dyn Error>> {
    for source in SOURCES {
        println!("cargo::rerun-if-changed={source}");
    }
    let output = PathBuf::from(env::var("OUT_DIR")?).join("init");
    compile(&env::var("RUSTC")?, &env::var("TARGET")?, &output)
}

fn compile(rustc: &str, target: &str, output: &Path) -> Result<(), Box<dyn Error>> {
    let compiler = Command::new(rustc)
        .args(OPTIONS)
        .arg("--target")
        .arg(target)
        .arg("-o")
        .arg(output)
        .arg("init/main.rs")
        .output()?;
    let messages = String::from_utf8_lossy(&compiler.stderr);
    if compiler.status.success() {
        messages
            .lines()
            .filter(|line| line.starts_with("warning"))
            .for_each(|line| println!("cargo::warning=init: {line}"));
        Ok(())
    } else {
        Err(format!("the init program doesn't compile:\n{messages}").into())
    }
}
