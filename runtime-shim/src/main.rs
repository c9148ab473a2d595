//! The `containerd-shim-runtime-v1` command.
#![forbid(unsafe_code)]

use std::process::ExitCode;

fn main() -> ExitCode {
    runtime_shim::run(std::env::args_os().skip(1).collect())
}
