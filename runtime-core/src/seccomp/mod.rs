//! System call filters: from `linux.seccomp` to a program for the kernel.
//!
//! A [`Profile`] is what config.json asks for, normalised without looking at the machine. libseccomp compiles it,
//! which takes milliseconds, so [`cache`] keeps the programs by content.
//!
//! What a profile means, where the specification is silent:
//! * An entry without `args` decides for its system calls; of several such entries the first. Entries with `args`
//!   add up: any of them may match. Where two match that ask for different actions, libseccomp picks one of the two.
//! * Conditions of an entry must all hold, unless two of them look at the same argument: then any of them suffices.
//! * On 32-bit architectures (x32 too) only the lower halves of arguments and values are compared.
//! * Numbers beyond the highest one that the profile mentions for an architecture fail with ENOSYS.

mod architecture;
pub mod cache;
mod compile;
mod numbers;
mod profile;
mod program;
mod summary;
#[cfg(test)]
mod tests;

pub use profile::Profile;
