//! Opens a program's streams: what it gets itself, and what the shim keeps.

use std::fs::{DirBuilder, OpenOptions};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use runtime_core::container::{Stdio, Stream};
use rustix::fs::{Gid, Uid, fchown};

use super::logger::{self, Subject};
use super::{Streams, Target, fifo};
use crate::refusal::{Doing, Refusal};

/// Who is to own what a program gets: a user and a group, on the host.
pub(crate) type Owner = Option<(u32, u32)>;

/// Other ends of a program's fifos, kept while it lives.
#[derive(Debug, Default)]
pub(crate) struct Held {
    /// What keeps the program's input from ending. Containerd says when it is closed.
    pub(crate) stdin: Option<OwnedFd>,
    /// What keeps the program's outputs from being without a reader.
    pub(crate) outputs: Vec<OwnedFd>,
}

/// The ends between which the shim and a terminal's master copy; neither of them waits.
#[derive(Debug)]
pub(crate) struct ConsoleEnds {
    pub(crate) input: Option<OwnedFd>,
    pub(crate) output: Option<OwnedFd>,
}

/// Streams that are open.
#[derive(Debug)]
pub(crate) struct Opened {
    /// What the program gets.
    pub(crate) program: Stdio,
    pub(crate) held: Held,
    /// What a terminal is connected with.
    pub(crate) console: Option<ConsoleEnds>,
}

/// Opens the streams of a program.
///
/// # Errors
/// A name can't be understood or opened; or the logger doesn't start.
pub(crate) fn open(streams: &Streams, owner: Owner, subject: &Subject) -> Result<Opened, Refusal> {
    let mut opening = Opening { held: Held::default(), owner, subject };
    let input = opening.input(&streams.stdin)?;
    let (stdout, stderr) = opening.outputs(streams)?;
    if !streams.terminal {
        let program = Stdio { stdin: stream(input), stdout: stream(stdout), stderr: stream(stderr) };
        return Ok(Opened { program, held: opening.held, console: None });
    }
    let ends = ConsoleEnds { input: alone(input), output: alone(stdout) };
    for end in ends.input.iter().chain(&ends.output) {
        fifo::set_waiting(end, false).doing(|| "cannot prepare the terminal's streams".into())?;
    }
    Ok(Opened { program: Stdio::null(), held: opening.held, console: Some(ends) })
}

type End = Option<Arc<OwnedFd>>;

fn stream(end: End) -> Stream {
    end.map_or(Stream::Null, Stream::Fd)
}

/// It is nobody else's: a terminal has one output.
fn alone(end: End) -> Option<OwnedFd> {
    end.and_then(Arc::into_inner)
}

struct Opening<'a> {
    held: Held,
    owner: Owner,
    subject: &'a Subject,
}

impl Opening<'_> {
    fn input(&mut self, uri: &str) -> Result<End, Refusal> {
        let path = match Target::read(uri)? {
            Target::Nothing => return Ok(None),
            Target::Path(path) | Target::File(path) => path,
            Target::Logger { .. } => return Err(Refusal::invalid("a logger can't be read from")),
        };
        let ends = fifo::for_reading(&path).doing(|| cannot_open(&path))?;
        self.held.stdin = ends.opposite;
        self.owned(ends.own)
    }

    /// A logger reads both outputs, and a file may be the target of both. A terminal has one.
    fn outputs(&mut self, streams: &Streams) -> Result<(End, End), Refusal> {
        let (out, err) = (Target::read(&streams.stdout)?, Target::read(&streams.stderr)?);
        if let Target::Logger { program, arguments } = &out {
            let (stdout, stderr) = logger::start(program, arguments, self.subject)?;
            return Ok((self.owned(stdout)?, self.owned(stderr)?));
        }
        let same = out == err;
        let stdout = self.output(out)?;
        let stderr = match () {
            () if streams.terminal => None,
            () if same => stdout.clone(),
            () => self.output(err)?,
        };
        Ok((stdout, stderr))
    }

    fn output(&mut self, target: Target) -> Result<End, Refusal> {
        match target {
            Target::Nothing => Ok(None),
            Target::Path(path) => {
                let ends = fifo::for_writing(&path).doing(|| cannot_open(&path))?;
                self.held.outputs.extend(ends.opposite);
                self.owned(ends.own)
            }
            Target::File(path) => self.owned(appended(&path)?),
            Target::Logger { .. } => {
                Err(Refusal::invalid("a logger of standard error alone is not supported"))
            }
        }
    }

    fn owned(&self, end: OwnedFd) -> Result<End, Refusal> {
        if let Some((user, group)) = self.owner {
            let (user, group) = (Uid::from_raw(user), Gid::from_raw(group));
            fchown(end.as_fd(), Some(user), Some(group)).doing(|| "cannot give the streams away".into())?;
        }
        Ok(Some(Arc::new(end)))
    }
}

fn appended(path: &PathBuf) -> Result<OwnedFd, Refusal> {
    let directory = path.parent().unwrap_or(Path::new("/"));
    let made = DirBuilder::new().recursive(true).mode(0o755).create(directory);
    let opened = made.and_then(|()| OpenOptions::new().append(true).create(true).mode(0o644).open(path));
    opened.map(OwnedFd::from).doing(|| cannot_open(path))
}

fn cannot_open(path: &Path) -> String {
    format!("cannot open {} for the container", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subject() -> Subject {
        Subject { id: "c".into(), namespace: "n".into() }
    }

    #[test]
    fn what_nobody_wants_to_see_goes_nowhere() {
        let opened = open(&Streams::default(), None, &subject()).unwrap();
        assert!(matches!(opened.program.stdout, Stream::Null) && opened.console.is_none());
    }

    #[test]
    fn one_file_takes_both_outputs() {
        let directory = std::env::temp_dir().join(format!("shim-open-{}", std::process::id()));
        let uri = format!("file://{}/a/b", directory.display());
        let streams = Streams { stdout: uri.clone(), stderr: uri, ..Streams::default() };
        let opened = open(&streams, None, &subject()).unwrap();
        let (Stream::Fd(out), Stream::Fd(err)) = (&opened.program.stdout, &opened.program.stderr) else {
            panic!("they are open");
        };
        assert!(Arc::ptr_eq(out, err) && opened.held.outputs.is_empty());
        std::fs::remove_dir_all(&directory).unwrap();
    }

    #[test]
    fn a_missing_fifo_is_named() {
        let streams = Streams { stdin: "/nonexistent/in".into(), ..Streams::default() };
        let refusal = open(&streams, None, &subject()).unwrap_err();
        assert_eq!(refusal.text, "cannot open /nonexistent/in for the container: no such file or directory");
    }
}
