//! The search for an order of acts that explains what commands have told.
//!
//! Begins and ends are gone through in the order of time. What may be so at a time is a set of beliefs: a life, and how
//! far each command has come that has begun and not ended. Before a command ends, its last act must be done.

use std::collections::HashSet;

use super::life::{Act, Around, Life, ways};
use super::{Told, Verb};

/// Beyond this many beliefs a history is given up as undecided; usual ones have some ten.
const MOST: usize = 200_000;

/// Why there is no explanation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refuted {
    /// This command must not have told what it told, with all that was told before.
    By(usize),
    /// It would take too long to find out.
    Undecided,
}

/// Looks for an order; `brief` says that the program ends by itself.
///
/// # Errors
/// There is none.
pub fn explain(history: &[Told], brief: bool) -> Result<(), Refuted> {
    let mut search = Search::new(history, brief);
    for (place, begins) in events(history) {
        match begins {
            true => search.begin(place),
            false => search.end(place)?,
        }
    }
    Ok(())
}

/// All begins and ends, in the order of time; where they coincide, begins come first: the commands may have overlapped.
fn events(history: &[Told]) -> Vec<(usize, bool)> {
    let each = history.iter().enumerate();
    let mut events: Vec<_> =
        each.flat_map(|(place, told)| [(told.begun, false, place), (told.ended, true, place)]).collect();
    events.sort_unstable();
    events.into_iter().map(|(_, ends, place)| (place, !ends)).collect()
}

/// How far a command has come: which way it goes, and how many acts of it are done.
type Progress = Option<(u8, u8)>;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Belief {
    life: Life,
    progress: Vec<Progress>,
}

struct Search<'a> {
    history: &'a [Told],
    ways: Vec<Vec<Vec<Act>>>,
    brief: bool,
    /// Commands that have begun and not ended, by their place in the history.
    pending: Vec<usize>,
    beliefs: HashSet<Belief>,
}

impl<'a> Search<'a> {
    fn new(history: &'a [Told], brief: bool) -> Self {
        let ways = history.iter().map(|told| ways(told.verb, &told.answer)).collect();
        let beginning = Belief { life: Life::default(), progress: vec![None; history.len()] };
        Search { history, ways, brief, pending: Vec::new(), beliefs: HashSet::from([beginning]) }
    }

    fn begin(&mut self, place: usize) {
        self.pending.push(place);
    }

    fn end(&mut self, place: usize) -> Result<(), Refuted> {
        self.unfold()?;
        self.pending.retain(|&other| other != place);
        let done = self.beliefs.drain().filter(|belief| done(&self.ways[place], belief.progress[place]));
        // What has ended makes no difference any more.
        let forgotten = done.map(|mut belief| {
            belief.progress[place] = None;
            belief
        });
        self.beliefs = forgotten.collect();
        if self.beliefs.is_empty() { Err(Refuted::By(place)) } else { Ok(()) }
    }

    /// Adds all that can have come of what is believed.
    fn unfold(&mut self) -> Result<(), Refuted> {
        let beliefs = std::mem::take(&mut self.beliefs);
        let mut todo: Vec<Belief> = beliefs.into_iter().map(|belief| self.looked(belief)).collect();
        let mut known: HashSet<Belief> = todo.iter().cloned().collect();
        while let Some(belief) = todo.pop() {
            for next in self.successors(&belief) {
                let next = self.looked(next);
                if known.insert(next.clone()) {
                    todo.push(next);
                }
            }
            if known.len() > MOST {
                return Err(Refuted::Undecided);
            }
        }
        self.beliefs = known;
        Ok(())
    }

    /// To see what can be seen harms nobody: who has one way only, and only looks, looks as soon as he can.
    fn looked(&self, mut belief: Belief) -> Belief {
        for &place in &self.pending {
            let [way] = self.ways[place].as_slice() else { continue };
            let around = self.around(&belief, place);
            let mut at = belief.progress[place].map_or(0, |(_, at)| usize::from(at));
            while let Some(Act::Sees(sight)) = way.get(at)
                && belief.life.shows(*sight, around)
            {
                at += 1;
                belief.progress[place] = Some((0, at as u8));
            }
        }
        belief
    }

    fn successors(&self, belief: &Belief) -> Vec<Belief> {
        let alone = belief.life.by_itself().map(|life| Belief { life, progress: belief.progress.clone() });
        let mut all: Vec<Belief> = alone.collect();
        for &place in self.pending.iter().filter(|&&place| !self.waits_for_its_like(belief, place)) {
            let acts = self.next_acts(belief.progress[place], place);
            let around = self.around(belief, place);
            all.extend(acts.filter_map(|(act, progress)| {
                let life = match act {
                    Act::Sees(sight) => belief.life.shows(sight, around).then_some(belief.life)?,
                    Act::Does(deed) => belief.life.after(deed, place as u8, around)?,
                };
                let mut next = Belief { life, progress: belief.progress.clone() };
                next.progress[place] = Some(progress);
                Some(next)
            }));
        }
        all
    }

    fn next_acts(&self, progress: Progress, place: usize) -> impl Iterator<Item = (Act, (u8, u8))> {
        let (chosen, at) = progress.map_or((None, 0), |(way, at)| (Some(usize::from(way)), at));
        let ways =
            self.ways[place].iter().enumerate().filter(move |(way, _)| chosen.is_none_or(|one| one == *way));
        ways.filter_map(move |(way, acts)| Some((*acts.get(usize::from(at))?, (way as u8, at + 1))))
    }

    /// Of two commands that told the same, the one that ended first can have acted first as well.
    fn waits_for_its_like(&self, belief: &Belief, place: usize) -> bool {
        let me = &self.history[place];
        let like = |other: &Told| other.verb == me.verb && other.answer == me.answer;
        belief.progress[place].is_none()
            && self.pending.iter().any(|&other| {
                let (one, idle) = (&self.history[other], belief.progress[other].is_none());
                idle && like(one) && (one.ended, other) < (me.ended, place)
            })
    }

    fn around(&self, belief: &Belief, me: usize) -> Around {
        let runs = |verb| move |&&place: &&usize| place != me && self.history[place].verb == verb;
        let open = |place: &usize| !done(&self.ways[*place], belief.progress[*place]);
        Around {
            joining: self.pending.iter().any(|place| runs(Verb::Exec)(&place)),
            creating: self.pending.iter().filter(runs(Verb::Create)).any(open),
            brief: self.brief,
        }
    }
}

fn done(ways: &[Vec<Act>], progress: Progress) -> bool {
    let (way, at) = progress.unwrap_or_default();
    ways.get(usize::from(way)).is_some_and(|acts| acts.len() == usize::from(at))
}

#[cfg(test)]
mod tests {
    use super::super::{Answer, Status};
    use super::*;

    fn told(verb: Verb, answer: Answer, begun: u64, ended: u64) -> Told {
        Told { verb, answer, begun, ended }
    }

    /// One after the other.
    fn after_each_other(commands: &[(Verb, Answer)]) -> Result<(), Refuted> {
        let times = (0..).step_by(2).zip(commands);
        let history: Vec<_> =
            times.map(|(time, (verb, answer))| told(*verb, answer.clone(), time, time + 1)).collect();
        explain(&history, false)
    }

    /// All at the same time, after a container was created and started.
    fn at_once(commands: &[(Verb, Answer)]) -> Result<(), Refuted> {
        let made = [Verb::Create, Verb::Start].map(|verb| (verb, Answer::Done));
        let times = (0..).step_by(2).zip(&made);
        let mut history: Vec<_> =
            times.map(|(time, (verb, answer))| told(*verb, answer.clone(), time, time + 1)).collect();
        history.extend(commands.iter().map(|(verb, answer)| told(*verb, answer.clone(), 10, 20)));
        explain(&history, false)
    }

    #[test]
    fn a_usual_life_is_explained() {
        let life = [
            (Verb::State, Answer::Missing),
            (Verb::Create, Answer::Done),
            (Verb::Create, Answer::Taken),
            (Verb::State, Answer::Is(Status::Created)),
            (Verb::Start, Answer::Done),
            (Verb::Start, Answer::Is(Status::Running)),
            (Verb::Exec, Answer::Done),
            (Verb::Pause, Answer::Done),
            (Verb::List, Answer::Is(Status::Paused)),
            (Verb::Exec, Answer::Is(Status::Paused)),
            (Verb::Resume, Answer::Done),
            (Verb::Delete, Answer::Is(Status::Running)),
            (Verb::Kill, Answer::Done),
            (Verb::State, Answer::Is(Status::Stopped)),
            (Verb::Update, Answer::NotRunning),
            (Verb::Delete, Answer::Done),
            (Verb::Delete, Answer::Missing),
            (Verb::DeleteByForce, Answer::Done),
        ];
        assert_eq!(after_each_other(&life), Ok(()));
    }

    #[test]
    fn what_cannot_be_is_refuted() {
        let made = (Verb::Create, Answer::Done);
        let started = (Verb::Start, Answer::Done);
        for wrong in [
            vec![(Verb::Create, Answer::Taken)],
            vec![made.clone(), made.clone()],
            vec![made.clone(), started.clone(), started.clone()],
            vec![made.clone(), (Verb::State, Answer::Is(Status::Running))],
            vec![made.clone(), (Verb::State, Answer::Missing)],
            vec![made.clone(), started.clone(), (Verb::State, Answer::Is(Status::Created))],
            vec![made.clone(), started.clone(), (Verb::State, Answer::Is(Status::Stopped))],
            vec![made.clone(), started.clone(), (Verb::Delete, Answer::Done)],
            vec![made.clone(), started.clone(), (Verb::Exec, Answer::CutShort)],
            vec![made.clone(), (Verb::Pause, Answer::Done), started.clone()],
            vec![
                made.clone(),
                (Verb::DeleteByForce, Answer::Done),
                (Verb::List, Answer::Is(Status::Stopped)),
            ],
            vec![made.clone(), (Verb::Kill, Answer::Nonsense("killed, perhaps".into()))],
        ] {
            let last = wrong.len() - 1;
            assert_eq!(after_each_other(&wrong), Err(Refuted::By(last)), "{wrong:?}");
        }
    }

    #[test]
    fn what_overlaps_may_have_happened_in_any_order() {
        let killed = (Verb::Kill, Answer::Done);
        let forced = (Verb::DeleteByForce, Answer::Done);
        assert_eq!(at_once(&[(Verb::Exec, Answer::CutShort), killed.clone()]), Ok(()));
        assert_eq!(at_once(&[(Verb::Create, Answer::Done), forced.clone()]), Ok(()));
        assert_eq!(at_once(&[(Verb::State, Answer::Is(Status::Stopped)), forced.clone()]), Ok(()));
        assert_eq!(at_once(&[(Verb::Start, Answer::Missing), forced.clone(), forced]), Ok(()));
    }

    #[test]
    fn what_overlaps_may_not_have_happened_at_all() {
        let created = (Verb::Create, Answer::Done);
        let forced = (Verb::DeleteByForce, Answer::Done);
        assert!(
            at_once(&[created.clone(), created.clone(), forced.clone()]).is_err(),
            "two winners, one end"
        );
        assert_eq!(at_once(&[created.clone(), created, forced.clone(), forced]), Ok(()));
        let paused = (Verb::Pause, Answer::Done);
        assert!(at_once(&[paused.clone(), paused]).is_err());
        let seen = |status| (Verb::State, Answer::Is(status));
        assert!(at_once(&[seen(Status::Paused), seen(Status::Running)]).is_err());
    }

    #[test]
    fn thirty_commands_at_once_are_decided() {
        let verbs = [Verb::Kill, Verb::DeleteByForce, Verb::State];
        let answers = [Answer::Done, Answer::Done, Answer::Is(Status::Stopped)];
        let many: Vec<_> = (0..30).map(|number| (verbs[number % 3], answers[number % 3].clone())).collect();
        assert_eq!(at_once(&many), Ok(()));
    }
}
