//! Real engines, each in a room of its own: daemons started by hand, with one runtime, on an image made here.
//!
//! The same cases run once with runc and once with our binary, side by side; what runc passes, ours must pass.

pub mod case;
pub mod containerd;
pub mod cri;
pub mod daemon;
pub mod docker;
pub mod documented;
pub mod image;
pub mod person;
pub mod podman;
pub mod protobuf;
pub mod report;
pub mod room;
pub mod subject;
pub mod terminal;

pub use case::{Case, Verdict, case};
pub use room::Room;
pub use subject::Subject;
