//! A containerd shim (runtime v2) that has the runtime inside: `io.containerd.runtime.v1`.
//!
//! containerd calls the binary with an action. `start` binds a socket and leaves a server behind, which is what this
//! crate is about: one thread in one `poll`, which owns everything that is known about the containers of a pod. What
//! may take long is done by `runtime-core` on a thread of its own that ends with it (`service`), and its outcome is
//! taken in turn with everything else, so events have an order and nothing needs a lock.
//!
//! `specs/decisions/0024-own-shim-server.md` says why only the messages of the crate `containerd-shim` are used.
#![forbid(unsafe_code)]

mod arguments;
mod bootstrap;
mod console;
mod delete;
mod endpoint;
mod event;
mod grouping;
mod info;
mod log;
mod metrics;
mod oom;
mod options;
mod placement;
mod publisher;
mod reaper;
mod refusal;
mod rootfs;
mod serve;
mod service;
mod start;
mod stdio;
mod ttrpc;

use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use arguments::{Action, Flags};
use refusal::Refusal;

/// The messages of containerd's protocols.
use containerd_shim_protos as protos;

/// The runtime's name, as containerd is configured with it.
pub const NAME: &str = "io.containerd.runtime.v1";

/// Carries out one call of the binary, without its name.
pub fn run(words: Vec<OsString>) -> ExitCode {
    match act(&words) {
        Ok(()) => ExitCode::SUCCESS,
        // containerd shows what is written there if the call failed.
        Err(refusal) => {
            _ = writeln!(io::stderr(), "{NAME}: {refusal}");
            ExitCode::FAILURE
        }
    }
}

fn act(words: &[OsString]) -> Result<(), Refusal> {
    if let Some(logger) = stdio::logger::helper(words) {
        return Err(logger);
    }
    let flags = Flags::read(words)?;
    match flags.action()? {
        Action::Version => say(format!("{NAME} {}\n", env!("CARGO_PKG_VERSION")).as_bytes()),
        Action::Info => say(&info::info()?),
        Action::Start => say(&start::start(&flags)?),
        Action::Delete => say(&delete::delete(&flags)?),
        Action::Serve => serve::serve(&flags),
    }
}

fn say(answer: &[u8]) -> Result<(), Refusal> {
    let mut stdout = io::stdout().lock();
    let said = stdout.write_all(answer).and_then(|()| stdout.flush());
    said.map_err(|error| Refusal::unknown(format!("cannot answer: {error}")))
}
