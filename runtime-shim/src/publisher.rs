//! Tells containerd what has happened: one event after the other, since containerd takes those that come at once in any
//! order.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};

use crate::log;
use crate::protos::protobuf::Message;
use crate::protos::shim::event::Envelope;
use crate::protos::shim::events::ForwardRequest;
use crate::refusal::Refusal;
use crate::ttrpc::{Connection, Frame, Kind, Question, refused};

const SERVICE: &str = "containerd.services.events.ttrpc.v1.Events";

/// How often an event is sent, while containerd is away, before it and those after it are given up. When it is back it
/// asks each shim for the state of its containers.
const ATTEMPTS: u32 = 6;

/// After the first attempt that failed; after the n-th it is n times as long.
const PAUSE: Duration = Duration::from_secs(1);

/// The events that are still to be told.
#[derive(Debug)]
pub(crate) struct Publisher {
    path: PathBuf,
    queue: VecDeque<Vec<u8>>,
    link: Option<Connection>,
    /// The stream on which the first event of the queue is under way.
    under_way: Option<u32>,
    /// Streams of a client have odd numbers.
    next_stream: u32,
    failures: u32,
    not_before: Option<Instant>,
}

impl Publisher {
    /// One that tells whoever listens at this address.
    pub(crate) fn new(address: &str) -> Self {
        let path = address.strip_prefix("unix://").unwrap_or(address).into();
        let mut publisher = Publisher {
            path,
            queue: VecDeque::new(),
            link: None,
            under_way: None,
            next_stream: 1,
            failures: 0,
            not_before: None,
        };
        // The first event is not to wait for it.
        publisher.link = publisher.open().ok();
        publisher
    }

    /// Tells this after everything before it.
    ///
    /// # Errors
    /// It can't be written as a message.
    pub(crate) fn publish(&mut self, envelope: Envelope) -> Result<(), Refusal> {
        let request = ForwardRequest { envelope: Some(envelope).into(), ..ForwardRequest::default() };
        self.queue.push_back(request.write_to_bytes()?);
        self.go_on(Instant::now());
        Ok(())
    }

    /// Whether there is nothing left to tell.
    pub(crate) fn is_idle(&self) -> bool {
        self.queue.is_empty()
    }

    /// What has to be waited for.
    pub(crate) fn interest(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        self.link.as_ref().map(|link| (link.as_fd(), link.interest()))
    }

    /// When to call [`Publisher::go_on`], if nothing comes before.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.not_before
    }

    /// Takes what has come.
    pub(crate) fn receive(&mut self) {
        let Some(link) = &mut self.link else { return };
        match link.flush().and_then(|()| link.receive()) {
            Ok(frames) => frames.iter().for_each(|frame| self.take(frame)),
            Err(_) => self.lose(),
        }
        self.go_on(Instant::now());
    }

    fn take(&mut self, frame: &Frame) {
        if frame.kind != Kind::Response || self.under_way != Some(frame.stream) {
            return;
        }
        match refused(frame) {
            Ok(None) => {}
            Ok(Some(why)) => log::warn(format!("containerd takes no event: {why}")),
            Err(refusal) => log::warn(refusal),
        }
        self.queue.pop_front();
        (self.under_way, self.failures) = (None, 0);
    }

    /// Sends the next event, if none is under way.
    pub(crate) fn go_on(&mut self, now: Instant) {
        if self.not_before.is_some_and(|time| now < time) || self.under_way.is_some() {
            return;
        }
        self.not_before = None;
        let Some(message) = self.queue.front().cloned() else { return };
        if self.send(message).is_err() {
            self.lose();
        }
    }

    fn send(&mut self, message: Vec<u8>) -> Result<(), ()> {
        if self.link.is_none() {
            self.link = Some(self.open().map_err(drop)?);
        }
        let stream = self.next_stream;
        let question = Question { stream, service: SERVICE.into(), method: "Forward".into(), message };
        let frame = question.frame().map_err(drop)?;
        self.next_stream = stream.wrapping_add(2);
        self.under_way = Some(stream);
        self.link.as_mut().ok_or(())?.send(&frame).map_err(drop)
    }

    /// The connection is gone. What was under way is sent again, though it may have arrived.
    fn lose(&mut self) {
        (self.link, self.under_way) = (None, None);
        if self.queue.is_empty() {
            return;
        }
        self.failures += 1;
        if self.failures >= ATTEMPTS {
            log::warn(format!("{} events are given up: containerd can't be reached", self.queue.len()));
            self.queue.clear();
            self.failures = 0;
            return;
        }
        // A connection that was idle may be an old one: then the next attempt follows at once.
        self.not_before = Some(Instant::now() + PAUSE * (self.failures - 1));
    }

    fn open(&self) -> Result<Connection, Errno> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        connect(&socket, &SocketAddrUnix::new(&self.path)?)?;
        Ok(Connection::new(socket))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::ttrpc::answer;

    /// containerd's side: takes the next event, and gives its topic.
    fn heard(link: &mut Connection) -> Option<(u32, String)> {
        let frames = link.receive().unwrap();
        assert!(frames.len() <= 1, "one at a time");
        let question = Question::read(frames.first()?).unwrap();
        assert_eq!((question.service.as_str(), question.method.as_str()), (SERVICE, "Forward"));
        let request = ForwardRequest::parse_from_bytes(&question.message).unwrap();
        Some((question.stream, request.envelope.topic.clone()))
    }

    fn event(topic: &str) -> Envelope {
        Envelope { topic: topic.into(), ..Envelope::default() }
    }

    fn accept(listener: &UnixListener) -> Connection {
        let (stream, _) = listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        Connection::new(stream.into())
    }

    #[test]
    fn events_are_told_one_after_the_other_and_again_after_a_loss() {
        let path = std::env::temp_dir().join(format!("shim-publisher-{}", std::process::id()));
        let listener = UnixListener::bind(&path).unwrap();
        let mut publisher = Publisher::new(path.to_str().unwrap());
        publisher.publish(event("a")).unwrap();
        publisher.publish(event("b")).unwrap();
        let mut link = accept(&listener);
        let (stream, topic) = heard(&mut link).unwrap();
        assert_eq!((topic.as_str(), heard(&mut link)), ("a", None));
        link.send(&answer(stream, Ok(vec![])).unwrap()).unwrap();
        publisher.receive();
        assert_eq!(heard(&mut link).unwrap().1, "b");
        drop(link);
        publisher.receive();
        let mut link = accept(&listener);
        let (stream, topic) = heard(&mut link).unwrap();
        assert_eq!((topic.as_str(), publisher.is_idle()), ("b", false));
        link.send(&answer(stream, Err(Refusal::unknown("no"))).unwrap()).unwrap();
        publisher.receive();
        assert!(publisher.is_idle(), "what is refused is not sent again");
        std::fs::remove_file(&path).unwrap();
    }

    #[test]
    fn nobody_waits_for_containerd_for_ever() {
        let mut publisher = Publisher::new("unix:///nonexistent/socket");
        publisher.publish(event("a")).unwrap();
        let mut rounds = 0;
        while !publisher.is_idle() {
            publisher.go_on(Instant::now() + Duration::from_secs(60));
            rounds += 1;
        }
        assert_eq!(rounds, ATTEMPTS - 1);
    }
}
