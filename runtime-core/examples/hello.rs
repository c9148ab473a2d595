//! The smallest engine: runs a bundle, and ends as its program does.
//!
//! `cargo run --example hello -- BUNDLE`, as root.

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use runtime_core::{Bundle, Container, ContainerId, CreateOptions, Exit, StateRoot};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("which bundle?")?;
    let root = StateRoot::open(Path::new("/run/hello"))?;
    let id = ContainerId::new(format!("hello-{}", std::process::id()))?;

    let child = Container::run(&root, &id, &Bundle::open(Path::new(&path))?, &CreateOptions::default())?;
    let exit = child.wait()?;
    child.delete()?;
    Ok(match exit {
        Exit::Code(code) => ExitCode::from(code),
        Exit::Signal(_) => ExitCode::FAILURE,
    })
}
