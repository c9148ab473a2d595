//! The parent's side of the one conversation with init.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, sockopt,
};

use crate::wire::{Failure, GO, Report};

/// Nobody listens for longer than this, or twice that, without a look at why there is silence: [`Errno::TIMEDOUT`] says
/// that there was.
const SILENCE: Duration = Duration::from_secs(1);

/// What came from init.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// It stands at the barrier with this number.
    AtBarrier(u32),
    /// A step failed.
    Failed(Failure),
    /// It was born once more.
    Born {
        /// The number of the step.
        step: u32,
        /// The newborn's process id.
        pid: u32,
    },
    /// Its end is closed: it executed the program, or it is dead.
    End,
}

/// A connection to init, while it executes a plan.
pub(crate) struct Dialogue {
    socket: OwnedFd,
}

impl Dialogue {
    /// Both ends: ours, and the one that init gets.
    pub(super) fn pair() -> Result<(Self, OwnedFd), Errno> {
        let (ours, theirs) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        sockopt::set_socket_timeout(&ours, sockopt::Timeout::Recv, Some(SILENCE))?;
        Ok((Dialogue::over(ours), theirs))
    }

    /// A connection that was made to the socket on which init waits for `start`.
    pub(crate) fn over(socket: OwnedFd) -> Self {
        Dialogue { socket }
    }

    /// Lets init go on past a barrier.
    pub(crate) fn go(&self) -> Result<(), Errno> {
        self.send(None)
    }

    /// Sends a descriptor that init's next step takes.
    pub(super) fn lend(&self, loan: BorrowedFd<'_>) -> Result<(), Errno> {
        self.send(Some(loan))
    }

    /// Sends the plan as a message.
    pub(super) fn send_short_plan(&self, plan: &[u8]) -> Result<(), Errno> {
        self.send_with(plan, None)
    }

    /// Sends the plan, a file of that length.
    pub(super) fn send_plan(&self, plan: BorrowedFd<'_>, length: usize) -> Result<(), Errno> {
        self.send_with(&(length as u64).to_ne_bytes(), Some(plan))
    }

    fn send(&self, loan: Option<BorrowedFd<'_>>) -> Result<(), Errno> {
        self.send_with(&[GO], loan)
    }

    fn send_with(&self, bytes: &[u8], loan: Option<BorrowedFd<'_>>) -> Result<(), Errno> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let loans = loan.as_slice();
        if !loans.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(loans));
        }
        rustix::io::retry_on_intr(|| {
            rustix::net::sendmsg(&self.socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)
        })
        .map(|_| ())
    }

    /// Waits for the next thing that init says.
    pub(crate) fn hear(&self) -> Result<Heard, Errno> {
        self.hear_with_descriptor().map(|(heard, _)| heard)
    }

    /// Waits until a newborn is announced by the process that bore it.
    ///
    /// When that one has ended and has announced nobody, that is the end, though there may be a newborn: it has an end of
    /// the dialogue in its hand, and says nothing before it is given the word.
    pub(super) fn hear_of_newborn(&self, former: BorrowedFd<'_>) -> Result<(Heard, Option<OwnedFd>), Errno> {
        wait_until_any(&mut [PollFd::new(&self.socket, PollFlags::IN), PollFd::new(&former, PollFlags::IN)])?;
        if self.has_something()? { self.hear_with_descriptor() } else { Ok((Heard::End, None)) }
    }

    /// Whether there is something to hear at this moment, if it be the end.
    fn has_something(&self) -> Result<bool, Errno> {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        rustix::io::retry_on_intr(|| poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], Some(&now)))
            .map(|ready| ready > 0)
    }

    /// Waits for the next thing that init says, and for what it hands over with it.
    pub(crate) fn hear_with_descriptor(&self) -> Result<(Heard, Option<OwnedFd>), Errno> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let heard = self.hear_into(&mut control)?;
        let descriptor = control.drain().find_map(|message| match message {
            RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
            _ => None,
        });
        Ok((heard, descriptor))
    }

    fn hear_into(&self, control: &mut RecvAncillaryBuffer<'_>) -> Result<Heard, Errno> {
        let mut bytes = [0; Report::SIZE];
        let mut unread = false;
        let heard = loop {
            let mut place = [IoSliceMut::new(&mut bytes)];
            match rustix::net::recvmsg(&self.socket, &mut place, control, RecvFlags::CMSG_CLOEXEC) {
                Err(Errno::INTR) => {}
                // Said once, before its last words, if it died without having read all of ours.
                Err(Errno::CONNRESET) => unread = true,
                Err(Errno::AGAIN) => wait_until_any(&mut [PollFd::new(&self.socket, PollFlags::IN)])?,
                heard => break heard,
            }
        };
        match heard {
            // Who has executed the program had read everything.
            Ok(message) if message.bytes == 0 && unread => Err(Errno::CONNRESET),
            Ok(message) if message.bytes == 0 => Ok(Heard::End),
            Ok(message) => match Report::from_bytes(bytes.get(..message.bytes).unwrap_or_default()) {
                Some(Report::AtBarrier { step }) => Ok(Heard::AtBarrier(step)),
                Some(Report::Failed(failure)) => Ok(Heard::Failed(failure)),
                Some(Report::Born { step, pid }) => Ok(Heard::Born { step, pid }),
                None => Err(Errno::BADMSG),
            },
            Err(errno) => Err(errno),
        }
    }
}

fn wait_until_any(those: &mut [PollFd<'_>]) -> Result<(), Errno> {
    let silence = Timespec::try_from(SILENCE).map_err(|_| Errno::INVAL)?;
    match rustix::io::retry_on_intr(|| poll(those, Some(&silence)))? {
        0 => Err(Errno::TIMEDOUT),
        _ => Ok(()),
    }
}

impl AsFd for Dialogue {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(init: &OwnedFd, report: Report) {
        rustix::net::send(init, &report.to_bytes(), SendFlags::empty()).unwrap();
    }

    /// Stands for a process: at its end its descriptor becomes readable.
    fn process() -> (OwnedFd, OwnedFd) {
        rustix::pipe::pipe().unwrap()
    }

    #[test]
    fn an_announcement_is_heard_after_the_end_of_who_made_it() {
        let (dialogue, init) = Dialogue::pair().unwrap();
        let (former, lives) = process();
        says(&init, Report::Born { step: 7, pid: 9 });
        drop(lives);
        let (heard, _) = dialogue.hear_of_newborn(former.as_fd()).unwrap();
        assert_eq!(heard, Heard::Born { step: 7, pid: 9 });
    }

    #[test]
    fn nobody_waits_for_an_announcement_by_the_dead() {
        let (dialogue, newborn) = Dialogue::pair().unwrap();
        let (former, lives) = process();
        drop(lives);
        assert_eq!(dialogue.hear_of_newborn(former.as_fd()).unwrap().0, Heard::End);
        says(&newborn, Report::AtBarrier { step: 8 });
        assert_ne!(dialogue.hear_of_newborn(former.as_fd()).unwrap().0, Heard::Born { step: 8, pid: 9 });
    }

    #[test]
    fn who_has_not_read_everything_has_not_executed_the_program() {
        let (dialogue, init) = Dialogue::pair().unwrap();
        dialogue.go().unwrap();
        drop(init);
        assert_eq!(dialogue.hear(), Err(Errno::CONNRESET));
    }

    #[test]
    fn last_words_are_heard_though_ours_were_not() {
        let (dialogue, init) = Dialogue::pair().unwrap();
        let failure = Failure { step: 7, errno: 2, call: 55, item: 0 };
        dialogue.go().unwrap();
        says(&init, Report::Failed(failure));
        drop(init);
        assert_eq!(dialogue.hear(), Ok(Heard::Failed(failure)));
        assert_eq!(dialogue.hear(), Ok(Heard::End));
    }

    #[test]
    fn silence_is_told_and_loses_nothing() {
        let (dialogue, init) = Dialogue::pair().unwrap();
        let (former, _lives) = process();
        assert_eq!(dialogue.hear(), Err(Errno::TIMEDOUT));
        assert_eq!(dialogue.hear_of_newborn(former.as_fd()).map(|_| ()), Err(Errno::TIMEDOUT));
        says(&init, Report::Born { step: 7, pid: 9 });
        assert_eq!(dialogue.hear_of_newborn(former.as_fd()).unwrap().0, Heard::Born { step: 7, pid: 9 });
    }

    #[test]
    fn without_a_newborn_the_failure_is_told() {
        let (dialogue, init) = Dialogue::pair().unwrap();
        let failure = Failure { step: 7, errno: 11, call: 55, item: 0 };
        let (former, _lives) = process();
        says(&init, Report::Failed(failure));
        drop(init);
        assert_eq!(dialogue.hear_of_newborn(former.as_fd()).unwrap().0, Heard::Failed(failure));
    }
}
