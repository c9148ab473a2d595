//! What may take long: it is done by a thread of its own, and its outcome is taken by the one that owns the service.

use std::fmt;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::Builder;

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::{read, write};

use super::{Answer, Call, Reply, Service};
use crate::refusal::{Doing, Refusal};

type Job = Box<dyn FnOnce() + Send>;
type Outcome = Box<dyn FnOnce(&mut Service) + Send>;

/// The threads that do something, and what has come of others.
pub(crate) struct Background {
    sender: Sender<Outcome>,
    outcomes: Receiver<Outcome>,
    /// Readable when there is an outcome.
    bell: Arc<OwnedFd>,
    under_way: usize,
}

impl Background {
    /// # Errors
    /// There are no descriptors left.
    pub(crate) fn new() -> Result<Self, Refusal> {
        let (sender, outcomes) = channel();
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
        let bell = Arc::new(bell.doing(|| "cannot make an eventfd".into())?);
        Ok(Background { sender, outcomes, bell, under_way: 0 })
    }

    /// Whether nothing is done just now. Then every child of this process is known.
    pub(crate) fn is_idle(&self) -> bool {
        self.under_way == 0
    }

    /// The next outcome.
    pub(crate) fn next(&mut self) -> Option<Outcome> {
        _ = read(&self.bell, &mut [0; 8]);
        let outcome = self.outcomes.try_recv().ok()?;
        self.under_way -= 1;
        Some(outcome)
    }

    fn begin(&mut self, work: impl FnOnce() -> Outcome + Send + 'static) {
        self.under_way += 1;
        let (sender, bell) = (self.sender.clone(), Arc::clone(&self.bell));
        let job = move || {
            // Only a service that is gone doesn't listen.
            _ = sender.send(work());
            _ = write(&bell, &1_u64.to_ne_bytes());
        };
        on_a_thread(Box::new(job));
    }
}

/// Where no thread can be made, everybody has to wait.
fn on_a_thread(job: Job) {
    let (give, take) = channel::<Job>();
    let thread = Builder::new().spawn(move || take.recv().map(|job| job()));
    let undone = match thread {
        Ok(_) => give.send(job).map_err(|undone| undone.0),
        Err(_) => Err(job),
    };
    if let Err(job) = undone {
        job();
    }
}

impl AsFd for Background {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }
}

impl fmt::Debug for Background {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Background").field("under_way", &self.under_way).finish_non_exhaustive()
    }
}

impl Service {
    /// Does `work` in the background, and then what follows from it here, which answers the call.
    pub(super) fn later<T: Send + 'static>(
        &mut self,
        call: Call,
        work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
        then: impl FnOnce(&mut Service, Result<T, Refusal>) -> Answer + Send + 'static,
    ) -> Answer {
        self.background.begin(move || {
            let done = work();
            Box::new(move |service: &mut Service| {
                let answer = then(service, done);
                service.finish(call, answer);
            })
        });
        Ok(Reply::Later)
    }

    /// The same for what nobody waits for.
    pub(super) fn aside(&mut self, work: impl FnOnce() + Send + 'static) {
        self.background.begin(move || {
            work();
            Box::new(|_: &mut Service| {})
        });
    }
}
