//! System call filters: from `linux.seccomp` to a program for the kernel.
//!
//! A [`Profile`] is what config.json asks for, normalised without looking at the machine. Compiling it asks libseccomp
//! what names mean and writes the program; [`cache`] keeps programs by content, since most runs repeat a profile.
//!
//! What a profile means, where the specification is silent:
//! * An entry without `args` decides for its system calls; of several such entries the first. Otherwise the first
//!   entry that matches decides.
//! * Entries that ask for the default action are skipped.
//! * Conditions of an entry must all hold, unless two of them look at the same argument: then any of them suffices.
//! * On 32-bit architectures (x32 too) only the lower halves of arguments and values are compared.
//! * Calls through socketcall and ipc match without their conditions, since their arguments are in memory.
//! * Numbers beyond the highest one that the profile mentions for an architecture fail with ENOSYS, unless the default
//!   lets calls pass or is ENOSYS already.
//! * Calls of architectures that the profile doesn't list kill the thread.
//! * With an agent (`SCMP_ACT_NOTIFY`), a number that is no system call's is the agent's, too: `RENDEZVOUS`.

mod agent;
mod architecture;
pub mod cache;
mod compile;
mod numbers;
mod profile;
mod program;
mod summary;
#[cfg(test)]
mod tests;
mod vocabulary;

pub use agent::Agent;
pub(crate) use compile::RENDEZVOUS;
pub use profile::Profile;
pub(crate) use vocabulary::{actions, architectures, flags, operators};
