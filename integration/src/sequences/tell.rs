//! What a command's output means, and a history as people read it.

use serde_json::Value;

use crate::command::Exit;
use crate::model::{Answer, Status, Told, Verb};

/// Words of a failure, and what they tell.
type Words = (&'static str, fn() -> Answer);

/// The first that fits counts.
const WORDS: [Words; 13] = [
    ("container does not exist", || Answer::Missing),
    ("container with given ID already exists", || Answer::Taken),
    ("cannot start a container that has stopped", || Answer::Is(Status::Stopped)),
    ("cannot start an already running container", || Answer::Is(Status::Running)),
    ("cannot exec in a stopped container", || Answer::Is(Status::Stopped)),
    ("cannot exec in a paused container", || Answer::Is(Status::Paused)),
    ("that is not stopped: running", || Answer::Is(Status::Running)),
    ("that is not stopped: paused", || Answer::Is(Status::Paused)),
    ("container not running", || Answer::NotRunning),
    ("container not paused", || Answer::NotPaused),
    ("is busy: another command has held it for", || Answer::Busy),
    ("the container was killed", || Answer::CutShort),
    ("the container's first process died", || Answer::CutShort),
];

/// The status of a program that SIGKILL has ended, as shells tell it.
const KILLED: i32 = 137;

/// What a command has told about the container `id`.
pub fn answer(verb: Verb, id: &str, exit: Exit, stdout: &str, stderr: &str) -> Answer {
    let nonsense = || Answer::Nonsense(format!("{exit:?} {stdout:?} {stderr:?}"));
    let failure = if verb == Verb::Exec { 255 } else { 1 };
    match exit {
        Exit::Code(0) if !stderr.is_empty() => nonsense(),
        Exit::Code(0) => success(verb, id, stdout).unwrap_or_else(nonsense),
        Exit::Code(KILLED) if verb == Verb::Exec && stderr.is_empty() => Answer::CutShort,
        Exit::Code(code) if code == failure && stdout.is_empty() => WORDS
            .iter()
            .find(|(words, _)| stderr.contains(words))
            .map_or_else(nonsense, |(_, answer)| answer()),
        _ => nonsense(),
    }
}

fn success(verb: Verb, id: &str, stdout: &str) -> Option<Answer> {
    match verb {
        Verb::State => Some(Answer::Is(status(&serde_json::from_str(stdout).ok()?)?)),
        Verb::List => {
            let all: Option<Vec<Value>> = serde_json::from_str(stdout).ok()?;
            let all = all.unwrap_or_default();
            let statuses = all.iter().map(status).collect::<Option<Vec<_>>>()?;
            let mine = all.iter().zip(statuses).find(|(state, _)| state["id"] == id);
            Some(mine.map_or(Answer::Missing, |(_, status)| Answer::Is(status)))
        }
        Verb::Ps => serde_json::from_str::<Option<Vec<u32>>>(stdout).ok().map(|_| Answer::Done),
        _ => stdout.is_empty().then_some(Answer::Done),
    }
}

/// The status in a state that is whole: only a stopped container has no process.
fn status(state: &Value) -> Option<Status> {
    let status = Status::named(state["status"].as_str()?)?;
    let (pid, bundle) = (state["pid"].as_u64()?, state["bundle"].as_str()?);
    ((pid == 0) == (status == Status::Stopped) && bundle.starts_with('/')).then_some(status)
}

/// One line for each command, in the order of their begins.
pub fn table(history: &[Told]) -> String {
    let line = |(place, told): (usize, &Told)| {
        format!("{place:4} {:8} {:8} {:?}: {:?}\n", told.begun, told.ended, told.verb, told.answer)
    };
    history.iter().enumerate().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_state_is_nonsense() {
        let whole = r#"{"id":"x","status":"running","pid":7,"bundle":"/b"}"#;
        let told = |verb, stdout: &str| answer(verb, "x", Exit::Code(0), stdout, "");
        assert_eq!(told(Verb::State, whole), Answer::Is(Status::Running));
        assert_eq!(told(Verb::List, &format!("[{whole}]")), Answer::Is(Status::Running));
        assert_eq!(told(Verb::List, "null"), Answer::Missing);
        for half in [&whole[..20], "", r#"{"id":"x","status":"stopped","pid":7,"bundle":"/b"}"#, "{}"] {
            assert!(matches!(told(Verb::State, half), Answer::Nonsense(_)), "{half}");
            assert!(matches!(told(Verb::List, &format!("[{half}")), Answer::Nonsense(_)), "{half}");
        }
    }

    #[test]
    fn a_failure_has_words_and_a_status() {
        let missing = "error: container does not exist: x";
        assert_eq!(answer(Verb::Kill, "x", Exit::Code(1), "", missing), Answer::Missing);
        for exit in [Exit::Code(0), Exit::Code(2), Exit::Code(101), Exit::Signal(11)] {
            assert!(matches!(answer(Verb::Kill, "x", exit, "", missing), Answer::Nonsense(_)), "{exit:?}");
        }
    }
}
