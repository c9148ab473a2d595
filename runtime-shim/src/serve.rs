//! The server: one thread that waits for everything at once.

use std::io::stdin;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use crate::arguments::Flags;
use runtime_core::signals::{self, Queue};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{FdFlags, fcntl_setfd};
use rustix::process::{Signal, getpid, set_child_subreaper};

use crate::bootstrap::EVENTS_ADDRESS;
use crate::endpoint;
use crate::log;
use crate::publisher::Publisher;
use crate::refusal::{Doing, Refusal};
use crate::service::{Background, Service, Who};
use crate::ttrpc::Connection;

/// How long a server that isn't needed any more goes on for events that containerd hasn't taken, answers that clients
/// haven't read, and output that nobody reads.
const FAREWELL: Duration = Duration::from_secs(2);

/// What something comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Source {
    Signals,
    Background,
    Alarm(String),
    Process(Who),
    Console(u64),
    Events,
    Listener,
    Client(u64),
}

/// Serves containerd until it is told not to.
///
/// # Errors
/// It can't begin.
pub(crate) fn serve(flags: &Flags) -> Result<(), Refusal> {
    // Signals are taken in turn with everything else. Threads and programs that are started from here on block them, too;
    // containers and their hooks begin without.
    let blocked = signals::block_all();
    signals::heed_children();
    let signals = blocked.queue()?;
    set_child_subreaper(Some(getpid())).doing(|| "cannot adopt processes".into())?;
    let events = std::env::var(EVENTS_ADDRESS).unwrap_or_default();
    let service = Service::new(&flags.namespace, Publisher::new(&events), Background::new()?);
    let mut server = Server { signals, listener: listener()?, service };
    server.run();
    // Whoever connects from now on would wait in vain.
    let removed = std::fs::remove_file(endpoint::path(&flags.socket));
    removed.doing(|| format!("cannot remove {}", flags.socket))
}

/// The socket that `start` has made is standard input: the one descriptor that can be handed down by safe means.
fn listener() -> Result<UnixListener, Refusal> {
    let doing = || "cannot listen: standard input has to be a socket".into();
    let inherited = stdin();
    let listener = UnixListener::from(inherited.as_fd().try_clone_to_owned().doing(doing)?);
    listener.set_nonblocking(true).doing(doing)?;
    // Nobody else gets it.
    fcntl_setfd(&inherited, FdFlags::CLOEXEC).doing(doing)?;
    Ok(listener)
}

struct Server {
    signals: Queue,
    listener: UnixListener,
    service: Service,
}

impl Server {
    fn run(&mut self) {
        while !self.is_over(Instant::now()) {
            for source in self.wait() {
                self.take(&source);
            }
            self.service.publisher.go_on(Instant::now());
        }
    }

    fn is_over(&self, now: Instant) -> bool {
        let Some(since) = self.service.ending else { return false };
        let service = &self.service;
        let is_quiet = service.publisher.is_idle()
            && service.consoles.is_empty()
            && service.connections.values().all(Connection::is_flushed);
        is_quiet || now.saturating_duration_since(since) >= FAREWELL
    }

    /// What has come, in the order in which it is to be taken: that memory ran out before that a process has ended, and
    /// what has ended before what somebody asks.
    fn wait(&self) -> Vec<Source> {
        let awaited = self.awaited();
        let descriptors = awaited.iter().map(|(_, fd, flags)| PollFd::from_borrowed_fd(*fd, *flags));
        let mut descriptors: Vec<PollFd<'_>> = descriptors.collect();
        let time = self.time(Instant::now());
        if poll(&mut descriptors, time.as_ref()).is_err() {
            return Vec::new();
        }
        let come: Vec<bool> = descriptors.iter().map(|one| !one.revents().is_empty()).collect();
        let sources = awaited.into_iter().zip(come).filter(|(_, come)| *come);
        sources.map(|((source, ..), _)| source).collect()
    }

    fn awaited(&self) -> Vec<(Source, BorrowedFd<'_>, PollFlags)> {
        let (service, come) = (&self.service, PollFlags::IN);
        let mut all = vec![(Source::Background, service.background.as_fd(), come)];
        all.extend(service.alarms().map(|(id, fd)| (Source::Alarm(id.to_owned()), fd, come)));
        all.extend(service.watched().map(|(who, fd)| (Source::Process(who), fd, come)));
        all.push((Source::Signals, self.signals.as_fd(), come));
        for (number, console) in &service.consoles {
            let interests = console.interests().into_iter();
            all.extend(interests.map(|(fd, flags)| (Source::Console(*number), fd, flags)));
        }
        all.extend(service.publisher.interest().map(|(fd, flags)| (Source::Events, fd, flags)));
        let clients = service.connections.iter();
        all.extend(clients.map(|(number, link)| (Source::Client(*number), link.as_fd(), link.interest())));
        all.push((Source::Listener, self.listener.as_fd(), come));
        all
    }

    /// How long nothing has to be done; nothing if that is for ever.
    fn time(&self, now: Instant) -> Option<Timespec> {
        let farewell = self.service.ending.map(|since| since + FAREWELL);
        let next = self.service.publisher.deadline().into_iter().chain(farewell).min()?;
        Timespec::try_from(next.saturating_duration_since(now)).ok()
    }

    fn take(&mut self, source: &Source) {
        let service = &mut self.service;
        match source {
            Source::Signals => self.heed_signals(),
            Source::Background => {
                while let Some(outcome) = service.background.next() {
                    outcome(service);
                }
                // What could not be reaped meanwhile.
                service.reap_strangers();
            }
            Source::Alarm(id) => service.heed(id),
            Source::Process(who) => service.look_at(who),
            Source::Console(number) => service.copy(*number),
            Source::Events => service.publisher.receive(),
            Source::Listener => self.accept(),
            Source::Client(number) => service.receive(*number),
        }
    }

    fn heed_signals(&mut self) {
        while let Ok(Some(number)) = self.signals.next() {
            match Signal::from_named_raw(number) {
                Some(Signal::CHILD) => self.service.reap_strangers(),
                // Somebody wants this process to end, whatever becomes of the containers: containerd will clean up.
                Some(Signal::TERM | Signal::INT) => {
                    log::warn("a signal ends the shim");
                    self.service.ending = Some(Instant::now());
                }
                _ => {}
            }
        }
    }

    fn accept(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            if stream.set_nonblocking(true).is_ok() {
                self.service.connect(Connection::new(OwnedFd::from(stream)));
            }
        }
    }
}
