//! The last step: the user's program.

use core::ffi::CStr;

use crate::fault::{Fault, Of, Outcome};
use crate::passwd;
use crate::step::{Call, Home, Step};
use crate::sys::{self, Errno, Fd, HERE, Texts, file_type, open};
use crate::wire::{Borrowed, List};

/// Whether one of the candidates can be executed: said now, while `create` still listens.
pub fn find<'a>(candidates: List<'a, &'a CStr>) -> Outcome {
    first_possible(candidates, |path| match executable(path) {
        Ok(()) => Found::Yes,
        Err(errno) => Found::No(errno),
    })
    .of(Call::Access)
}

enum Found {
    Yes,
    No(Errno),
}

/// Tries candidates as a shell does: a missing one is passed over, and "permission denied" outlives "not found".
fn first_possible<'a>(
    candidates: List<'a, &'a CStr>,
    mut attempt: impl FnMut(&CStr) -> Found,
) -> Result<(), Errno> {
    let mut worst = Errno::NOENT;
    for path in candidates.iter() {
        match attempt(path) {
            Found::Yes => return Ok(()),
            Found::No(Errno::NOENT | Errno::NOTDIR) => {}
            Found::No(errno) => worst = errno,
        }
    }
    Err(worst)
}

fn executable(path: &CStr) -> Result<(), Errno> {
    sys::may_execute(path)?;
    let file: Fd = sys::openat(HERE, path, open::PATH, 0)?;
    match sys::status(&file)?.file_type() {
        file_type::REGULAR => Ok(()),
        file_type::DIRECTORY => Err(Errno::ISDIR),
        _ => Err(Errno::ACCES),
    }
}

/// Becomes the program. Returns only if that fails.
#[inline(never)]
pub fn execute(step: Step<Borrowed<'_>>) -> Fault {
    let Step::Execute { candidates, arguments, environment, home, uid } = step else {
        return Fault::malformed();
    };
    let mut line = passwd::Line::new();
    let home = match home {
        Home::AsGiven => None,
        Home::FromPasswd => Some(line.home_variable(uid)),
    };
    let vectors = Texts::collect(arguments.iter(), arguments.len(), None)
        .and_then(|arguments| Ok((arguments, Texts::collect(environment.iter(), environment.len(), home)?)));
    let (arguments, environment) = match vectors {
        Ok(vectors) => vectors,
        Err(errno) => return Fault::new(Call::Mmap, errno),
    };
    let answer = first_possible(candidates, |path| Found::No(sys::execve(path, &arguments, &environment)));
    Fault::new(Call::Execve, answer.err().unwrap_or(Errno::NOENT))
}
