//! An OCI container runtime as a library: containers, made and controlled by whoever calls it.
//!
//! ```no_run
//! use std::io::read_to_string;
//! use std::path::Path;
//!
//! use runtime_core::{Bundle, Container, ContainerId, CreateOptions, StateRoot, Stdio};
//!
//! fn main() -> Result<(), Box<dyn std::error::Error>> {
//!     let root = StateRoot::open(Path::new("/run/engine"))?;
//!     let bundle = Bundle::open(Path::new("/srv/job"))?;
//!     let options = CreateOptions { stdio: Stdio::pipes(), ..CreateOptions::default() };
//!
//!     let mut job = Container::run(&root, &ContainerId::new("job")?, &bundle, &options)?;
//!     let said = job.take_stdout().map(read_to_string).transpose()?;
//!     println!("{:?} after {said:?}", job.wait()?);
//!     Ok(job.delete()?)
//! }
//! ```
//!
//! # The nouns
//!
//! | | |
//! |---|---|
//! | [`StateRoot`] | the directory in which containers are remembered, and what all of them have in common: how long commands wait, where compiled filters are kept, what time it is |
//! | [`Spec`], [`Bundle`] | a configuration (`config.json`), read or made in memory; with the directory, or the open root, that it is about |
//! | [`ContainerId`] | a name |
//! | [`Container`] | a container, for any process: start, exec, kill, pause, resume, update, state, statistics, [`Watch`](cgroup::Watch), wait, delete |
//! | [`CreateOptions`], [`ExecOptions`] | how it is made, and how a further process is started: [`Stdio`], terminal, who makes its cgroup |
//! | [`Child`] | a container for the process that made it: the container, and its first [`Process`] |
//! | [`Process`] | a process of a container for its parent: pidfd, pipes, terminal, signals, end |
//! | [`Exit`], [`End`](state::End) | how it ended; when, and whether for want of memory |
//! | [`Error`] | what went wrong: a sentence for people, [`ErrorKind`], errno, step and JSON pointer for programs |
//!
//! All of them are `Send` and `Sync`. [`Plan`] is for the curious: `config.json` and facts about the [`Host`] become a
//! pure list of what will happen ([`plan::create`]); launching walks over it once, and a tiny static init program inside
//! does its part.
//!
//! # What a caller may rely on
//!
//! * Nothing about the calling process changes: no working directory, umask, environment, signal handler or mask,
//!   limit, or descriptor but those in what it was given; it has no further children but those that a [`Process`] stands
//!   for. No thread is started that outlives a call.
//! * The caller is never forked: a large heap costs nothing, and locks that its other threads hold do no harm.
//! * Nothing is printed, no environment is read, nothing panics, and what fails leaves nothing behind.
//! * Calls that wait for others do so for a time that the caller chooses: [`StateRoot::with_patience`],
//!   [`Process::wait_for`], [`Container::wait_for`], [`cgroup::Watch::next`]. Hooks have their own timeouts.
//! * Whatever else processes do with the same state directory, at the same time and by whichever command, is safe.
//!
//! To wait for many processes without a thread for each, hand a [`Process`], which is a descriptor (`AsFd`), to epoll,
//! mio or tokio: it is readable when the process has ended.
//!
//! It takes Linux 5.4 or later on x86-64, and Rust 1.90. `unsafe` lives in `sys` and `launch::clone`.
#![deny(unsafe_code)]

pub mod bundle;
pub mod cgroup;
pub mod container;
pub mod error;
pub mod features;
pub mod hooks;
pub mod host;
mod launch;
mod notify;
pub mod plan;
mod procfs;
mod publish;
pub mod seccomp;
pub mod spec;
pub mod state;
pub mod step;
#[allow(unsafe_code)]
mod sys;
pub mod wire;

pub use bundle::Bundle;
pub use container::{Child, Container, CreateOptions, ExecOptions, Exit, Process, Stdio, Stream};
pub use error::{Error, ErrorKind, Result};
pub use host::Host;
pub use oci_spec::runtime as oci;
pub use plan::Plan;
pub use spec::{ContainerId, Spec};
pub use state::StateRoot;
pub use sys::process::has_more_privileges_than_caller;
pub use sys::signals;
