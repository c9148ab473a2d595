//! Errors: facts in types, one sentence each, written where all the facts are.

mod kind;

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use rustix::io::Errno;

use crate::container::Status;
use crate::plan::Pointer;

pub use kind::ErrorKind;

/// A result of this library.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong. Every variant's text is one sentence: what, where, and what to do where there is something.
/// Programs ask for its [`ErrorKind`].
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// config.json asks for something impossible; nothing was created.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// `update` was asked for something impossible; nothing was changed.
    #[error("{}", update_sentence(.0))]
    Update(ConfigError),
    /// A call to the kernel failed outside of a plan.
    #[error("{}: {}", one_line(doing), words(*.errno))]
    System {
        /// What was being done, such as `cannot open /run/runtime`.
        doing: String,
        /// The kernel's answer.
        errno: Errno,
    },
    /// A line of the plan failed.
    #[error(transparent)]
    Step(#[from] Box<StepError>),
    /// A hook failed.
    #[error(transparent)]
    Hook(#[from] crate::hooks::HookError),
    /// There is no such program in the container, or it can't be executed.
    #[error("{}", one_line(&format!("exec: {name:?}: {}", program_problem(.name, *.searched, *.errno))))]
    Program {
        /// What the configuration calls it.
        name: String,
        /// Whether it was looked for in PATH.
        searched: bool,
        /// The kernel's answer.
        errno: Errno,
    },
    /// The container died while it was being made.
    #[error("{}", one_line(.0))]
    Died(String),
    /// A container id that is too long or has characters that can't be part of one.
    #[error(
        "invalid container ID format: {0:?} (letters, digits and _ + . - are allowed, 255 of them at most, but not . or .. alone)"
    )]
    InvalidId(String),
    /// There is no such container.
    #[error("container does not exist: {0}")]
    NotFound(String),
    /// There is one already.
    #[error("container with given ID already exists: {0}")]
    Exists(String),
    /// The container is not in a state that allows this.
    #[error("{}", status_sentence(.id, *.status, .wanted))]
    Status {
        /// The container.
        id: String,
        /// What it is.
        status: Status,
        /// What was asked for.
        wanted: Wanted,
    },
    /// A container has ended, and how can't be found out any more.
    #[error(
        "the exit status of container {0} is not known: its process was reaped before a command of this runtime saw \
         its end; `wait` has to be there before, or `run --keep`"
    )]
    ExitUnknown(String),
    /// A file of the state directory can't be understood.
    #[error("the record {} is damaged: {problem}; `delete --force` removes the container", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// Another command holds the container.
    #[error("container {id:?} is busy: another command has held it for {} s", .waited.as_secs())]
    Busy {
        /// The container.
        id: String,
        /// How long this one waited.
        waited: Duration,
    },
    /// A helper that maps ids is missing, or refuses.
    #[error("{}", one_line(.0))]
    IdMap(String),
    /// The container's cgroup is not as it must be.
    #[error("{}", one_line(.0))]
    Cgroup(String),
    /// Something of the container could not be removed.
    #[error("{}", one_line(.0))]
    Leftover(String),
}

/// What a command wanted of a container that is in the wrong state for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// `start`.
    Start,
    /// `kill`.
    Kill,
    /// `delete` without force.
    Delete,
    /// `exec`.
    Exec,
    /// `pause`.
    Pause,
    /// `resume`.
    Resume,
    /// `update`.
    Update,
}

// Engines match on these words, down to `$PATH`.
fn program_problem(name: &str, searched: bool, errno: Errno) -> String {
    match (errno, searched) {
        (Errno::NOENT, true) => "executable file not found in $PATH".into(),
        (Errno::NOENT, false) => format!("stat {name}: {}", words(errno)),
        // Some engines know the second half only, and by it that the program can't be executed.
        (Errno::ISDIR, _) => format!("{}: {}", words(errno), words(Errno::ACCESS)),
        _ => words(errno),
    }
}

// Engines match on these words (`container not running`, `container not paused` and the two about `start`).
fn status_sentence(id: &str, status: Status, wanted: &Wanted) -> String {
    match (wanted, status) {
        (Wanted::Start, Status::Stopped) => "cannot start a container that has stopped".into(),
        (Wanted::Start, _) => "cannot start an already running container".into(),
        (Wanted::Exec, Status::Paused) => {
            "cannot exec in a paused container (use --ignore-paused to override)".into()
        }
        (Wanted::Exec, _) => "cannot exec in a stopped container".into(),
        (Wanted::Kill | Wanted::Pause | Wanted::Update, _) => "container not running".into(),
        (Wanted::Resume, _) => "container not paused".into(),
        (Wanted::Delete, status) => {
            format!("cannot delete container {id} that is not stopped: {status}")
        }
    }
}

// These resources are in no config.json.
fn update_sentence(ConfigError { pointer, problem }: &ConfigError) -> String {
    let field = pointer.as_str().strip_prefix("/linux/resources/").unwrap_or_default().replace('/', ".");
    one_line(&match field.as_str() {
        "" => format!("cannot update the container: {problem}"),
        field => format!("cannot update the container, {field}: {problem}"),
    })
}

/// A mistake in config.json, found before anything was created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Where.
    pub pointer: Pointer,
    /// What is wrong, and what to do.
    pub problem: String,
}

impl ConfigError {
    /// A mistake at `pointer`.
    pub fn new(pointer: impl Into<Pointer>, problem: impl Into<String>) -> Self {
        ConfigError { pointer: pointer.into(), problem: problem.into() }
    }
}

impl From<&'static str> for Pointer {
    fn from(pointer: &'static str) -> Self {
        Pointer::of(pointer)
    }
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sentence = match self.pointer.as_str() {
            "" => format!("config.json: {}", self.problem),
            pointer => format!("config.json, {pointer}: {}", self.problem),
        };
        f.write_str(&one_line(&sentence))
    }
}

/// A line of a plan that failed.
#[derive(Debug)]
pub struct StepError {
    /// Its number in the plan, as `runtime plan` prints it.
    pub number: u32,
    /// What it was to do, as an imperative: `mount proc on /proc`.
    pub what: String,
    /// Which field of config.json asked for it.
    pub origin: Pointer,
    /// Which call or check failed.
    pub call: String,
    /// The kernel's answer.
    pub errno: Errno,
}

impl std::error::Error for StepError {}

impl fmt::Display for StepError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {} (step {}", one_line(&self.what), self.number)?;
        if !self.origin.as_str().is_empty() {
            write!(f, ", {} of config.json", one_line(self.origin.as_str()))?;
        }
        write!(f, "): {}: {}", one_line(&self.call), words(self.errno))
    }
}

/// A text that quotes what others wrote, as it may stand in a sentence: on one line, and no terminal's master; of what
/// is too long, both ends.
fn one_line(text: &str) -> String {
    let mut line = String::new();
    for letter in both_ends(text).chars() {
        match letter.is_control() {
            true => line.extend(letter.escape_debug()),
            false => line.push(letter),
        }
    }
    // What stands for a letter may be long.
    both_ends(&line).into_owned()
}

fn both_ends(text: &str) -> Cow<'_, str> {
    const START: usize = 600;
    const END: usize = 200;
    let place = |letter| text.char_indices().nth(letter).map(|(place, _)| place);
    if place(START + END).is_none() {
        return text.into();
    }
    let start = place(START).unwrap_or_default();
    let end = text.char_indices().nth_back(END - 1).map_or(start, |(place, _)| place);
    format!("{}…{}", text.get(..start).unwrap_or_default(), text.get(end..).unwrap_or_default()).into()
}

/// libc's words for an errno, in the lower case in which engines look for them.
pub fn words(errno: Errno) -> String {
    let text = std::io::Error::from(errno).to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = text.chars();
    match letters.next() {
        Some(first) => first.to_lowercase().chain(letters).collect(),
        None => String::new(),
    }
}

/// Turns a failed call into an [`Error::System`].
pub trait Context<T> {
    /// Says what was being done, such as `cannot open /x`.
    fn doing(self, what: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Context<T> for rustix::io::Result<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|errno| Error::System { doing: what(), errno })
    }
}

impl<T> Context<T> for std::io::Result<T> {
    fn doing(self, what: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| Error::System {
            doing: what(),
            errno: error.raw_os_error().map_or(Errno::IO, Errno::from_raw_os_error),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_engines_look_for_is_said_of_programs() {
        assert_eq!(program_problem("sh", true, Errno::NOENT), "executable file not found in $PATH");
        assert_eq!(program_problem("/sh", false, Errno::NOENT), "stat /sh: no such file or directory");
        assert_eq!(program_problem("/etc", false, Errno::ISDIR), "is a directory: permission denied");
        assert_eq!(program_problem("/etc", false, Errno::ACCESS), "permission denied");
    }

    #[test]
    fn what_is_quoted_stays_on_its_line() {
        let problem = "no such file: a\nb\u{1b}[2J";
        for error in [
            Error::from(ConfigError::new("/root/path", problem)),
            Error::System { doing: problem.into(), errno: Errno::NOENT },
            Error::Cgroup(problem.into()),
            Error::Leftover(problem.into()),
            Error::Program { name: problem.into(), searched: false, errno: Errno::NOENT },
            step(problem),
        ] {
            let text = error.to_string();
            assert!(!text.contains(char::is_control), "{text:?}");
            assert!(text.contains(r"a\nb\u{1b}[2J"), "{text}");
        }
    }

    fn step(what: &str) -> Error {
        let (what, call) = (what.to_owned(), "open".to_owned());
        Error::Step(Box::new(StepError { number: 1, what, origin: Pointer::NONE, call, errno: Errno::NOENT }))
    }

    #[test]
    fn of_a_long_text_both_ends_are_told() {
        let text = ConfigError::new("/x", format!("no {}; correct it", "é".repeat(1 << 20))).to_string();
        assert!(text.starts_with("config.json, /x: no éé") && text.ends_with("éé; correct it"), "{text}");
        assert!(text.contains("é…é") && text.chars().count() == 801, "{text}");
    }

    #[test]
    fn what_stands_for_letters_counts() {
        let text = ConfigError::new("/x", "\u{11}".repeat(700)).to_string();
        assert!(text.starts_with(r"config.json, /x: \u{11}\u{11}") && text.chars().count() == 801, "{text}");
    }

    #[test]
    fn a_text_of_usual_length_is_told_whole() {
        let problem = "é".repeat(700);
        assert_eq!(ConfigError::new("", problem.as_str()).to_string(), format!("config.json: {problem}"));
    }
}
