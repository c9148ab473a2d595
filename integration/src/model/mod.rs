//! What a container may go through, as a model, and whether what commands have told fits it.
//!
//! Commands on one container overlap. Each of them did what it did at some time between its begin and its end, in one
//! act or in a few: a creation takes the name first and shows the container later. What all of them have told is right
//! if there is an order of all acts, each within the time of its command, in which the model allows every one of them:
//! linearizability, with commands of several acts. [`search::explain`] looks for such an order.

pub mod life;
pub mod search;

pub use life::Status;

/// The commands on one container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verb {
    /// `create`.
    Create,
    /// `start`.
    Start,
    /// `state`.
    State,
    /// `list`, of which one line is of interest.
    List,
    /// `ps`.
    Ps,
    /// `exec` of a program that succeeds at once.
    Exec,
    /// `kill` with SIGKILL.
    Kill,
    /// `pause`.
    Pause,
    /// `resume`.
    Resume,
    /// `update` of a limit.
    Update,
    /// `delete`.
    Delete,
    /// `delete --force`.
    DeleteByForce,
}

/// What a command has told.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Answer {
    /// It has done what it was asked for.
    Done,
    /// The container is in this state; or a command failed since it is.
    Is(Status),
    /// There is no such container.
    Missing,
    /// There is one already.
    Taken,
    /// The container is not running, which means stopped, or paused, or not started.
    NotRunning,
    /// The container is not paused.
    NotPaused,
    /// The container, or the program, was killed while the command was at it.
    CutShort,
    /// Another command has held the container for too long.
    Busy,
    /// Nothing that a command may tell.
    Nonsense(String),
}

/// A command, and when it was run; times are from any one moment on, in any unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The command.
    pub verb: Verb,
    /// What it has told.
    pub answer: Answer,
    /// Before it was started.
    pub begun: u64,
    /// After it ended.
    pub ended: u64,
}
