//! The life of one container: what is there, and the acts that change or see it.

use super::{Answer, Verb};

/// A container's state, as `state` tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// Made, and not started.
    Created,
    /// Started.
    Running,
    /// Frozen, before or after the start.
    Paused,
    /// Its first process has ended.
    Stopped,
}

impl Status {
    /// By its word.
    pub fn named(word: &str) -> Option<Self> {
        let all = [Status::Created, Status::Running, Status::Paused, Status::Stopped];
        all.into_iter().find(|status| format!("{status:?}").to_lowercase() == word)
    }
}

/// All that is there of a container. The status follows from it, as it does on the machine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Life {
    /// Its directory is there.
    pub taken: bool,
    /// Which command has its lock.
    pub holder: Option<u8>,
    /// Its record is there.
    pub shown: bool,
    /// Its start socket is there.
    pub awaits_start: bool,
    /// Its first process lives.
    pub alive: bool,
    /// That process will end: it was killed, or its program does nothing.
    pub doomed: bool,
    /// Its cgroup is frozen.
    pub frozen: bool,
}

/// What matters of the commands that run at the same time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Around {
    /// A process may be joining the container: for a moment after, not everything in a frozen cgroup stands still.
    pub joining: bool,
    /// A further creation may have taken the name, and lost it to a deletion before it was anybody's.
    pub creating: bool,
    /// The program ends by itself.
    pub brief: bool,
}

/// What a command finds at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sight {
    /// The record, and a container in this state.
    Seems(Status),
    /// The same, with the lock.
    Found(Status),
    /// The record, with the lock, of a container that lives.
    FoundAlive,
    /// The record, with the lock, of one that can't be frozen: it is, or it has ended.
    FoundIdle,
    /// The record, with the lock, of one that isn't frozen.
    FoundLoose,
    /// The record.
    Shown,
    /// No record.
    Hidden,
    /// No directory, or an unlocked one without a record.
    Nobody,
    /// A directory.
    Taken,
    /// A first process that lives and isn't frozen.
    Lively,
    /// A first process that is dead, or about to be.
    Dying,
}

/// What a command changes at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// Makes and locks the directory.
    Take,
    /// Shows the record of a new container.
    Show,
    /// The same, and lets go of the lock.
    ShowAndLetGo,
    /// Removes a new container that was killed.
    Undo,
    /// Executes the program.
    Start,
    /// Locks a created container that is to be started.
    Hold,
    /// Lets go of one that was killed meanwhile.
    GiveUp,
    /// Locks a container that is to be frozen.
    Grip,
    /// Has frozen it.
    Freeze,
    /// Thaws it.
    Thaw,
    /// Sends SIGKILL.
    Doom,
    /// Locks a container that may be deleted, and kills it.
    Seize,
    /// The same with one that may only be deleted by force.
    SeizeByForce,
    /// Removes the record of a dead one.
    Hide,
    /// Removes the directory, and the lock with it.
    Free,
}

/// One act of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// It only looks.
    Sees(Sight),
    /// It changes something.
    Does(Deed),
}

use Act::{Does, Sees};

/// All ways in which a command can come to tell this, each as its acts in their order. None if it must not tell that.
pub fn ways(verb: Verb, answer: &Answer) -> Vec<Vec<Act>> {
    let way = |acts: &[Act]| vec![acts.to_vec()];
    let sees = |sight| way(&[Sees(sight)]);
    match (verb, answer) {
        (Verb::Create, Answer::Done) => way(&[Does(Deed::Take), Does(Deed::ShowAndLetGo)]),
        (Verb::Create, Answer::Taken) => sees(Sight::Taken),
        (Verb::Create, Answer::CutShort) => way(&[Does(Deed::Take), Does(Deed::Show), Does(Deed::Undo)]),
        (Verb::Start, Answer::Done) => way(&[Does(Deed::Start)]),
        (Verb::Start, Answer::CutShort) => way(&[Does(Deed::Hold), Does(Deed::GiveUp)]),
        (Verb::Start, Answer::Is(Status::Running)) => {
            [Status::Running, Status::Paused].map(|status| vec![Sees(Sight::Found(status))]).to_vec()
        }
        (Verb::Start, Answer::Is(Status::Stopped)) => {
            [Sight::Found(Status::Stopped), Sight::Dying].map(|sight| vec![Sees(sight)]).to_vec()
        }
        (Verb::State | Verb::List, Answer::Is(status)) => sees(Sight::Seems(*status)),
        (Verb::Ps, Answer::Done) => sees(Sight::Shown),
        (Verb::Exec, Answer::Done) => sees(Sight::Lively),
        (Verb::Exec, Answer::Is(status @ (Status::Stopped | Status::Paused))) => sees(Sight::Seems(*status)),
        (Verb::Exec, Answer::CutShort) => way(&[Sees(Sight::Lively), Sees(Sight::Dying)]),
        (Verb::Kill, Answer::Done) => way(&[Does(Deed::Doom)]),
        (Verb::Kill, Answer::NotRunning) => sees(Sight::Seems(Status::Stopped)),
        (Verb::Pause, Answer::Done) => way(&[Does(Deed::Grip), Does(Deed::Freeze)]),
        (Verb::Pause, Answer::NotRunning) => sees(Sight::FoundIdle),
        (Verb::Resume, Answer::Done) => way(&[Does(Deed::Thaw)]),
        (Verb::Resume, Answer::NotPaused) => sees(Sight::FoundLoose),
        (Verb::Update, Answer::Done) => sees(Sight::FoundAlive),
        (Verb::Update, Answer::NotRunning) => sees(Sight::Found(Status::Stopped)),
        (Verb::Delete, Answer::Done) => way(&[Does(Deed::Seize), Does(Deed::Hide), Does(Deed::Free)]),
        (Verb::Delete, Answer::Is(status @ (Status::Running | Status::Paused))) => {
            sees(Sight::Found(*status))
        }
        (Verb::DeleteByForce, Answer::Done) => vec![
            vec![Sees(Sight::Nobody)],
            vec![Does(Deed::SeizeByForce), Does(Deed::Hide), Does(Deed::Free)],
        ],
        // It has neither seen nor done anything.
        (
            Verb::Start | Verb::Pause | Verb::Resume | Verb::Update | Verb::Delete | Verb::DeleteByForce,
            Answer::Busy,
        ) => way(&[]),
        (Verb::Delete, Answer::Missing) => sees(Sight::Nobody),
        (Verb::Create | Verb::DeleteByForce, _) => Vec::new(),
        // Whoever wants something of a container looks for its record first, whether or not it is locked.
        (_, Answer::Missing) => sees(Sight::Hidden),
        _ => Vec::new(),
    }
}

impl Life {
    /// Whether this can be seen now.
    pub fn shows(&self, sight: Sight, around: Around) -> bool {
        let found = self.shown && self.holder.is_none();
        let loose = !self.frozen || around.joining;
        match sight {
            Sight::Seems(status) => self.seems(status, loose),
            Sight::Found(status) => found && self.seems(status, loose),
            Sight::FoundAlive => found && self.alive,
            Sight::FoundIdle => found && (self.frozen || !self.alive),
            Sight::FoundLoose => found && (loose || !self.alive),
            Sight::Shown => self.shown,
            Sight::Hidden => !self.shown,
            Sight::Nobody => !self.taken || self.holder.is_none() && !self.shown,
            Sight::Taken => self.taken || around.creating,
            Sight::Lively => self.shown && self.alive && loose,
            Sight::Dying => !self.alive || self.doomed,
        }
    }

    fn seems(&self, status: Status, loose: bool) -> bool {
        // A start that failed may have withdrawn the socket of a container that isn't quite dead yet.
        let (awaits, runs) = (self.awaits_start || self.doomed, !self.awaits_start || self.doomed);
        self.shown
            && match status {
                Status::Stopped => !self.alive,
                Status::Paused => self.alive && self.frozen,
                Status::Created => self.alive && loose && awaits,
                Status::Running => self.alive && loose && runs,
            }
    }

    /// What is there after this command has done that; none if it can't be done now.
    pub fn after(self, deed: Deed, me: u8, around: Around) -> Option<Self> {
        let (free, mine) = (self.holder.is_none(), self.holder == Some(me));
        let there = self.shown && free;
        let held = Life { holder: Some(me), ..self };
        let loose = !self.frozen || around.joining;
        let newborn =
            Life { shown: true, awaits_start: true, alive: true, doomed: false, frozen: false, ..self };
        let seized = Life { doomed: self.alive, ..held };
        let (able, next) = match deed {
            Deed::Take => (free && !self.taken, Life { taken: true, ..held }),
            Deed::Show => (mine, newborn),
            Deed::ShowAndLetGo => (mine, Life { holder: None, ..newborn }),
            Deed::Undo => (mine && (self.doomed || !self.alive), Life::default()),
            Deed::Start => (
                there && self.alive && self.awaits_start && loose,
                Life { awaits_start: false, doomed: self.doomed || around.brief, ..self },
            ),
            Deed::Hold => (there && self.alive && self.awaits_start && loose, held),
            Deed::GiveUp => (mine && (self.doomed || !self.alive), Life { holder: None, ..self }),
            Deed::Grip => (there && self.alive && loose, held),
            Deed::Freeze => (mine, Life { frozen: true, holder: None, ..self }),
            Deed::Thaw => (there && self.alive && self.frozen, Life { frozen: false, ..self }),
            Deed::Doom => (self.shown && self.alive, Life { doomed: true, ..self }),
            Deed::Seize => (there && (!self.alive || self.awaits_start && loose), seized),
            Deed::SeizeByForce => (there, seized),
            Deed::Hide => (mine && !self.alive, Life { shown: false, ..self }),
            Deed::Free => (mine, Life::default()),
        };
        able.then_some(next)
    }

    /// What can come of itself: who is killed is thawed, and dies.
    pub fn by_itself(self) -> impl Iterator<Item = Self> {
        let dying = self.alive && self.doomed;
        let thawed = (dying && self.frozen).then_some(Life { frozen: false, ..self });
        let dead = dying.then_some(Life { alive: false, doomed: false, ..self });
        thawed.into_iter().chain(dead)
    }
}
