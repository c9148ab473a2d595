//! System call filters, and the questions that they leave to others.

use super::arch::number;
use super::calls::{Answer, Fd, address, address_mut, call, done};

/// Installs a system call filter; answers the number of its listener, if the flags ask for one.
pub fn seccomp(flags: u32, filter: &[u8]) -> Answer<usize> {
    #[repr(C)]
    struct Program {
        length: u16,
        instructions: usize,
    }
    const SET_MODE_FILTER: usize = 1;
    const INSTRUCTION: usize = 8;
    let program = Program { length: (filter.len() / INSTRUCTION) as u16, instructions: address(filter) };
    call(number::SECCOMP, [SET_MODE_FILTER, flags as usize, address(&program), 0, 0, 0])
}

/// Makes the call with this number, which the kernel never had; waits as long as a filter's listener lets it.
pub fn meet(number: u32) {
    let _ = call(number as usize, [0; 6]);
}

/// What a listener is asked, by the question's number.
#[derive(Debug)]
pub struct Question(u64);

/// Waits for the next question that a filter asks at this listener.
pub fn hear_question(listener: &Fd) -> Answer<Question> {
    const SECCOMP_IOCTL_NOTIF_RECV: usize = 0xc050_2100;
    let mut notification = [0u64; 10];
    done(call(
        number::IOCTL,
        [listener.0 as usize, SECCOMP_IOCTL_NOTIF_RECV, address_mut(&mut notification), 0, 0, 0],
    ))?;
    Ok(Question(notification[0]))
}

/// Answers a question: the call, which isn't made, has succeeded.
pub fn answer_question(listener: &Fd, question: Question) -> Answer<()> {
    const SECCOMP_IOCTL_NOTIF_SEND: usize = 0xc018_2101;
    let response = [question.0, 0, 0];
    done(call(number::IOCTL, [listener.0 as usize, SECCOMP_IOCTL_NOTIF_SEND, address(&response), 0, 0, 0]))
}
