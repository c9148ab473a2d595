//! A second birth: the only way into a pid namespace that exists.
//!
//! It comes when this process holds nothing any more that the program won't have, since from then on the container's
//! processes can see it, and trace it if they may (CVE-2016-9962).

use crate::dialogue::Dialogue;
use crate::fault::{Of, Outcome};
use crate::step::Call;
use crate::sys::{self, Birth};
use crate::terminal;

/// Returns in the newborn; the process that calls this ends.
pub fn emerge(dialogue: &Dialogue, step: u32, controls: bool) -> Outcome {
    match sys::bear_sibling().of(Call::Clone)? {
        Birth::Parent { pid, pidfd } => {
            if dialogue.announce(step, pid, &pidfd).is_err() {
                // Nobody is left who could know of it.
                sys::kill(&pidfd);
            }
            sys::exit(0)
        }
        Birth::Newborn => {
            // Until the parent knows this process, it finds it in the session of the one that bore it.
            dialogue.await_word()?;
            sys::setsid().of(Call::Setsid)?;
            if controls {
                terminal::control()?;
            }
            Ok(())
        }
    }
}
