//! The one conversation with the parent: the plan, barriers, loans, a failure.

use crate::fault::{Fault, Of, Outcome};
use crate::step::Call;
use crate::sys::{self, Errno, Fd};
use crate::wire::{Failure, GO, Message, Report, SHORT_PLAN};

/// The socket to the parent. When the parent is gone, every wait ends and so does init.
pub struct Dialogue {
    socket: Fd,
}

impl Dialogue {
    pub fn on(descriptor: i32) -> Self {
        Dialogue { socket: Fd::own(descriptor) }
    }

    pub fn descriptor(&self) -> u32 {
        self.socket.raw() as u32
    }

    /// The plan. A short one is the message; otherwise it comes as a file, with its length.
    pub fn receive_plan<'a>(&self, place: &'a mut [u8; SHORT_PLAN]) -> Outcome<Message<'a>> {
        let (length, file) = sys::receive(&self.socket, place).of(Call::Receive)?;
        let message = place.get(..length).unwrap_or_default();
        let bytes = match file {
            None => message,
            Some(file) => {
                let length = message.first_chunk().ok_or(Fault::malformed())?;
                sys::map(&file, u64::from_ne_bytes(*length) as usize).of(Call::Mmap)?
            }
        };
        Message::open(bytes).ok_or(Fault::malformed())
    }

    /// Says "at this step" and waits for the word to go on.
    pub fn wait_at(&self, step: u32) -> Outcome {
        self.report(Report::AtBarrier { step })?;
        self.await_word()
    }

    /// Says that this process was born once more, and hands the newborn over.
    pub fn announce(&self, step: u32, pid: u32, newborn: &Fd) -> Outcome {
        let report = Report::Born { step, pid }.to_bytes();
        sys::send_descriptor(&self.socket, &report, newborn).of(Call::Send).map(|_| ())
    }

    /// Says "at this step" and hands a descriptor over; nobody needs to wait.
    pub fn hand_over(&self, step: u32, descriptor: &Fd) -> Outcome {
        let report = Report::AtBarrier { step }.to_bytes();
        sys::send_descriptor(&self.socket, &report, descriptor).of(Call::Send).map(|_| ())
    }

    /// Waits for the word to go on.
    pub fn await_word(&self) -> Outcome {
        let mut word = [0];
        match sys::receive(&self.socket, &mut word).of(Call::Receive)? {
            (1, None) if word == [GO] => Ok(()),
            _ => Err(Fault::new(Call::Receive, Errno::INVAL)),
        }
    }

    /// The next descriptor that the parent sends.
    pub fn take_loan(&self) -> Outcome<Fd> {
        let (_, loan) = sys::receive(&self.socket, &mut [0]).of(Call::Receive)?;
        loan.ok_or(Fault::new(Call::Receive, Errno::INVAL))
    }

    /// Waits until `start` connects; the dialogue goes on with it.
    pub fn await_start(&mut self) -> Outcome {
        // This may take long: nothing of the host is held open meanwhile, and no memory that isn't needed. It is closed
        // before: nobody listens any more if there is no descriptor left for the listener.
        self.close_all_else()?;
        let listener = self.take_loan()?;
        sys::close_range(self.descriptor(), self.descriptor()).of(Call::CloseRange)?;
        sys::give_back_stack();
        self.socket = sys::accept(&listener).of(Call::Accept)?;
        Ok(())
    }

    /// Closes what the program doesn't get, but for the dialogue, whose number is the first of these.
    pub fn close_all_else(&self) -> Outcome {
        sys::close_from(self.descriptor() + 1).of(Call::CloseRange)
    }

    /// Tells the parent what went wrong; if it is gone, nobody is left to tell.
    pub fn report_failure(&self, step: u32, fault: Fault) {
        let Fault { call, errno, item } = fault;
        let _ = self.report(Report::Failed(Failure { step, errno: errno.0, call: call as u8, item }));
    }

    fn report(&self, report: Report) -> Outcome {
        sys::send(&self.socket, &report.to_bytes()).of(Call::Send).map(|_| ())
    }
}
