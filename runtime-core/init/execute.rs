//! The last step: the user's program.

use core::ffi::CStr;

use crate::fault::{Fault, Of, Outcome};
use crate::passwd::Home;
use crate::step::{Call, Step};
use crate::sys::{self, Errno, Texts, file_type};
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
    match sys::status_of(path)?.file_type() {
        file_type::REGULAR => Ok(()),
        file_type::DIRECTORY => Err(Errno::ISDIR),
        _ => Err(Errno::ACCES),
    }
}

/// Becomes the program. Returns only if that fails.
#[inline(never)]
pub fn execute(step: Step<Borrowed<'_>>, home: Option<&Home>) -> Fault {
    let Step::Execute { candidates, arguments, environment } = step else {
        return Fault::malformed();
    };
    let vectors = Texts::collect(arguments.iter(), arguments.len(), None).and_then(|arguments| {
        let home = home.map(Home::variable);
        Ok((arguments, Texts::collect(environment.iter(), environment.len(), home)?))
    });
    let (arguments, environment) = match vectors {
        Ok(vectors) => vectors,
        Err(errno) => return Fault::new(Call::Mmap, errno),
    };
    let answer = first_possible(candidates, |path| Found::No(sys::execve(path, &arguments, &environment)));
    Fault::new(Call::Execve, answer.err().unwrap_or(Errno::NOENT))
}
