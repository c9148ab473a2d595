//! The parent's side of the one conversation with init.

use std::cell::Cell;
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
    /// What a newborn said, and handed over, before it was announced.
    early: Cell<Option<(Heard, Option<OwnedFd>)>>,
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
        Dialogue { socket, early: Cell::new(None) }
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

    /// Waits until a newborn is announced. It runs from its first moment on, so that its own first words may come
    /// before the announcement, which is its sibling's; they are kept for the next [`Dialogue::hear`].
    pub(super) fn hear_of_newborn(&self) -> Result<(Heard, Option<OwnedFd>), Errno> {
        let first = self.hear_with_descriptor()?;
        if matches!(first.0, Heard::Born { .. } | Heard::End) {
            return Ok(first);
        }
        match self.receive() {
            // There is no newborn.
            Ok((Heard::End, _)) => Ok(first),
            other => {
                self.early.set(Some(first));
                other
            }
        }
    }

    /// Waits for the next thing that init says, and for what it hands over with it.
    pub(crate) fn hear_with_descriptor(&self) -> Result<(Heard, Option<OwnedFd>), Errno> {
        match self.early.take() {
            Some(heard) => Ok(heard),
            None => self.receive(),
        }
    }

    fn receive(&self) -> Result<(Heard, Option<OwnedFd>), Errno> {
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
        let heard = loop {
            let mut place = [IoSliceMut::new(&mut bytes)];
            match rustix::net::recvmsg(&self.socket, &mut place, control, RecvFlags::CMSG_CLOEXEC) {
                // Said once, before its last words, if it died without having read all of ours.
                Err(Errno::INTR | Errno::CONNRESET) => {}
                Err(Errno::AGAIN) => self.wait_until_readable()?,
                heard => break heard,
            }
        };
        match heard {
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

impl Dialogue {
    fn wait_until_readable(&self) -> Result<(), Errno> {
        let silence = Timespec::try_from(SILENCE).map_err(|_| Errno::INVAL)?;
        match poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], Some(&silence)) {
            Ok(0) => Err(Errno::TIMEDOUT),
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(errno),
        }
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

    #[test]
    fn a_newborn_may_speak_before_it_is_announced() {
        let (dialogue, init) = Dialogue::pair().unwrap();
        says(&init, Report::AtBarrier { step: 8 });
        says(&init, Report::Born { step: 7, pid: 9 });
        drop(init);
        assert_eq!(dialogue.hear_of_newborn().unwrap().0, Heard::Born { step: 7, pid: 9 });
        assert_eq!(dialogue.hear(), Ok(Heard::AtBarrier(8)));
        assert_eq!(dialogue.hear(), Ok(Heard::End));
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
    fn a_newborn_may_hand_something_over_before_it_is_announced() {
        let (dialogue, init) = Dialogue::pair().unwrap();
        let (early, theirs) = (Dialogue::over(init), rustix::pipe::pipe().unwrap().0);
        early.send_with(&Report::AtBarrier { step: 8 }.to_bytes(), Some(theirs.as_fd())).unwrap();
        early.send_with(&Report::Born { step: 7, pid: 9 }.to_bytes(), None).unwrap();
        assert_eq!(dialogue.hear_of_newborn().unwrap().0, Heard::Born { step: 7, pid: 9 });
        let (heard, handed) = dialogue.hear_with_descriptor().unwrap();
        assert_eq!((heard, handed.is_some()), (Heard::AtBarrier(8), true));
    }

    #[test]
    fn silence_is_told_and_loses_nothing() {
        let (dialogue, init) = Dialogue::pair().unwrap();
        assert_eq!(dialogue.hear(), Err(Errno::TIMEDOUT));
        says(&init, Report::AtBarrier { step: 8 });
        assert_eq!(dialogue.hear_of_newborn().map(|_| ()), Err(Errno::TIMEDOUT));
        says(&init, Report::Born { step: 7, pid: 9 });
        assert_eq!(dialogue.hear_of_newborn().unwrap().0, Heard::Born { step: 7, pid: 9 });
        assert_eq!(dialogue.hear(), Ok(Heard::AtBarrier(8)));
    }

    #[test]
    fn without_a_newborn_the_failure_is_told() {
        let (dialogue, init) = Dialogue::pair().unwrap();
        let failure = Failure { step: 7, errno: 11, call: 55, item: 0 };
        says(&init, Report::Failed(failure));
        drop(init);
        assert_eq!(dialogue.hear_of_newborn().unwrap().0, Heard::Failed(failure));
    }
}
