//! A container that this process has made.

use std::ops::{Deref, DerefMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};

use super::create::Made;
use super::{Container, Exit, Process, delete};
use crate::error::Result;
use crate::notify::Proxy;
use crate::state::{End, Record, StateRoot, Unlocked};

/// A container of which this process is the parent: its first [`Process`], and what belongs to that.
#[derive(Debug)]
pub struct Child {
    container: Container,
    first: Process,
    record: Record,
    place: Unlocked,
    notify: Option<Proxy>,
}

impl Child {
    pub(super) fn of(made: Made, root: &StateRoot) -> Result<Self> {
        let Made { first, record, entry, notify } = made;
        let container = Container { root: root.clone(), id: record.id.clone() };
        Ok(Child { container, first, record, place: entry.unlock()?, notify })
    }

    /// The container, as it is for any process.
    pub fn container(&self) -> &Container {
        &self.container
    }

    /// Executes the user's program, if that was not done already: [`Container::start`].
    ///
    /// # Errors
    /// As for [`Container::start`].
    pub fn start(&self) -> Result<()> {
        self.container.start()
    }

    /// The socket at which the program tells its readiness, if somebody wants to hear of it; readable when it has.
    pub fn readiness(&self) -> Option<BorrowedFd<'_>> {
        self.notify.as_ref().map(AsFd::as_fd)
    }

    /// Passes on what has come at [`Child::readiness`] to the service manager.
    ///
    /// # Errors
    /// It can't be reached any more.
    pub fn pass_on_readiness(&self) -> Result<()> {
        self.notify.as_ref().map_or(Ok(()), |notify| notify.pass_on().map(drop))
    }

    /// Passes on what the program says until it is ready, or has ended, and makes its first process the service's main
    /// one: for a caller that ends before the container does.
    ///
    /// # Errors
    /// The service manager can't be reached any more, or doesn't answer for half a minute.
    pub fn wait_until_ready(&self) -> Result<()> {
        let pid = self.pid().as_raw_pid();
        self.notify.as_ref().map_or(Ok(()), |notify| notify.wait_until_ready(self.pidfd(), pid))
    }

    /// Whether the kernel killed a process of the container because it ran out of memory. To be asked before the
    /// container is deleted.
    pub fn ran_out_of_memory(&self) -> bool {
        self.record.cgroup.oom_kills().is_some_and(|count| count > 0)
    }

    /// Removes the container, whose first process has ended.
    ///
    /// # Errors
    /// Something can't be removed. That somebody else has removed it is no error.
    pub fn delete(self) -> Result<()> {
        match self.place.lock()? {
            Some(entry) => delete::remove_stopped(entry, &self.record),
            None => Ok(()),
        }
    }

    /// Leaves the container, whose first process has ended, to `delete`, and keeps how it ended for those who ask.
    ///
    /// # Errors
    /// That can't be written. That somebody else has removed the container is no error.
    pub fn leave(self, exit: Exit) -> Result<()> {
        let end = End::seen_now(&self.container.root, &self.record.id, exit, self.ran_out_of_memory());
        match self.place.lock()? {
            Some(entry) => entry.write_end(&end),
            None => Ok(()),
        }
    }
}

impl AsFd for Child {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.first.as_fd()
    }
}

impl AsRawFd for Child {
    fn as_raw_fd(&self) -> RawFd {
        self.first.as_raw_fd()
    }
}

impl Deref for Child {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.first
    }
}

impl DerefMut for Child {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.first
    }
}
