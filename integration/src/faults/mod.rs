//! Faults at chosen system calls: a command of the runtime is traced, and dies, fails or is disturbed at one of its
//! calls; then `delete --force` must bring everything back to what it was.
//!
//! A [`Keeper`](keeper) is the first process of a pid namespace and a mount namespace of its own, so whatever a trial
//! leaves is seen and can be told from everything else. It follows the command ([`follow`]), which is at first the
//! *parent*, then bears the *trampoline*, which becomes *init*. Hooks and the container's program go on alone.
//!
//! A point is the n-th call of the m-th process; a run without faults is the reference that says how many there are
//! and what they are. [`campaign`] visits points and keeps what it finds, so that it can be interrupted.

pub mod campaign;
pub mod fault;
pub mod follow;
pub mod judge;
pub mod keeper;
pub mod leftovers;
pub mod operation;
pub mod ptrace;
pub mod report;
pub mod sample;
pub mod setting;
pub mod shape;
pub mod trial;
