//! A system call filter that asks an agent.
//!
//! Its descriptor, the listener, exists from the filter's first moment on, and from that moment on any call may be
//! forbidden, or asked about at a listener that nobody holds yet. So a second thread, which the filter isn't for, does all
//! that is left to do: it hands the listener to the parent, waits for the word, and ends. Meanwhile the first one waits in
//! the only call of which is known what the filter makes of it: a number that is no call's, which is always asked about.
//! The second thread hears that question, before anybody else has the listener, and answers it last of all.

use core::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering};

use crate::FAILED;
use crate::dialogue::Dialogue;
use crate::fault::{Fault, Of, Outcome};
use crate::step::Call;
use crate::sys::{self, Errno, Fd};

/// What the two threads know of each other.
static STEP: AtomicU32 = AtomicU32::new(0);
static DIALOGUE: AtomicI32 = AtomicI32::new(NONE);
static LISTENER: AtomicI32 = AtomicI32::new(NONE);
static MAY_GO_ON: AtomicBool = AtomicBool::new(false);

const NONE: i32 = -1;

pub fn install_seccomp(
    dialogue: &Dialogue,
    step: u32,
    flags: u32,
    filter: Option<&[u8]>,
    rendezvous: u32,
) -> Outcome {
    let filter = filter.ok_or(Fault::malformed())?;
    STEP.store(step, Ordering::Relaxed);
    DIALOGUE.store(dialogue.descriptor() as i32, Ordering::Relaxed);
    sys::start_thread(speak).of(Call::Clone)?;
    let listener = sys::seccomp(flags, filter).of(Call::Seccomp)?;
    LISTENER.store(listener as i32, Ordering::Release);
    // Stopped or frozen meanwhile, it asks anew, and the agent may be the one who answers: before it is time, perhaps.
    while !MAY_GO_ON.load(Ordering::Acquire) {
        sys::meet(rendezvous);
    }
    Ok(())
}

/// The second thread.
extern "C" fn speak() -> ! {
    let listener = await_listener();
    if talk(&listener).is_err() {
        sys::exit(FAILED);
    }
    // The first thread must not hold the listener: without the agent, nobody would answer it.
    listener.close();
    sys::exit_thread()
}

/// For as long as the kernel takes to install a filter. If it can't, the first thread ends them both.
fn await_listener() -> Fd {
    loop {
        match LISTENER.load(Ordering::Acquire) {
            NONE => sys::give_way(),
            listener => return Fd::own(listener),
        }
    }
}

fn talk(listener: &Fd) -> Outcome {
    let dialogue = Dialogue::on(DIALOGUE.load(Ordering::Relaxed));
    let mut question = next_question(listener)?;
    dialogue.hand_over(STEP.load(Ordering::Relaxed), listener)?;
    dialogue.await_word()?;
    MAY_GO_ON.store(true, Ordering::Release);
    while let Err(errno) = sys::answer_question(listener, question) {
        match errno {
            // It asks anew.
            Errno::NOENT | Errno::INTR => question = next_question(listener)?,
            errno => return Err(Fault::new(Call::Ioctl, errno)),
        }
    }
    // The socket is the first thread's.
    core::mem::forget(dialogue);
    Ok(())
}

fn next_question(listener: &Fd) -> Outcome<sys::Question> {
    loop {
        match sys::hear_question(listener) {
            Err(Errno::NOENT | Errno::INTR) => {}
            answer => return answer.of(Call::Ioctl),
        }
    }
}
