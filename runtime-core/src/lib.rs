//! An OCI container runtime as a library.
//!
//! `config.json` and facts about the host become a [`plan::Plan`], a pure list of what will happen; launching it
//! makes one process, which a tiny static init program turns into the container; what later commands need is kept in
//! the state directory.
//!
//! ```no_run
//! use std::path::Path;
//!
//! use runtime_core::container::{Container, CreateOptions};
//! use runtime_core::state::StateRoot;
//! use runtime_core::{Bundle, ContainerId};
//!
//! fn main() -> runtime_core::Result<()> {
//!     let root = StateRoot::open(Path::new("/run/engine"))?;
//!     let id = ContainerId::new("web")?;
//!     let bundle = Bundle::open(Path::new("/srv/web"))?;
//!
//!     // The container's program inherits the standard streams of this process.
//!     let web = Container::create(&root, &id, &bundle, &CreateOptions::default())?;
//!     web.start()?;
//!     println!("{} is {}", web.id(), web.state()?.status);
//!     Container::delete(&root, &id, true)
//! }
//! ```
//!
//! The library neither prints, nor exits, nor reads the environment. `unsafe` lives in `sys` and `launch::clone`.
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
mod publish;
pub mod seccomp;
pub mod spec;
pub mod state;
pub mod step;
#[allow(unsafe_code)]
mod sys;
pub mod wire;

pub use bundle::Bundle;
pub use error::{Error, Result};
pub use host::Host;
pub use plan::Plan;
pub use spec::{ContainerId, Spec};
pub use sys::process::has_more_privileges_than_caller;
pub use sys::signals;
