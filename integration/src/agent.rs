//! A seccomp agent: hears of filters, and decides about the calls that they leave to it.

use std::io::{IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{JoinHandle, spawn};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use serde_json::{Value, json};

use crate::command::DEADLINE;
use crate::leaks::soon;

const SECCOMP_IOCTL_NOTIF_RECV: libc::Ioctl = 0xc050_2100;
const SECCOMP_IOCTL_NOTIF_SEND: libc::Ioctl = 0xc018_2101;
const SECCOMP_USER_NOTIF_FLAG_CONTINUE: u64 = 1;

/// What a call becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It fails.
    Errno(i32),
    /// It isn't made, and returns this.
    Value(i64),
    /// It is made.
    Continue,
}

/// A call that was asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// Who makes it, as the host numbers it.
    pub pid: u32,
    /// Its number.
    pub number: i64,
}

#[derive(Debug, Default)]
struct Shared {
    told: Mutex<Vec<Value>>,
    asked: Mutex<Vec<Asked>>,
    connections: Mutex<Vec<UnixStream>>,
    over: AtomicBool,
}

/// An agent at work, until it is dropped.
#[derive(Debug)]
pub struct Agent {
    /// Where it listens.
    pub path: PathBuf,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Agent {
    /// Listens at this path, and answers like this. Without an answer, it lets go of a filter's descriptor when it has
    /// it.
    ///
    /// # Panics
    /// When the path can't be listened at.
    pub fn at(path: &Path, answer: Option<fn(i64) -> Answer>) -> Self {
        Self::on(UnixListener::bind(path).expect("a socket can be bound"), answer)
    }

    /// The same, with a socket that listens already.
    ///
    /// # Panics
    /// When that has no path.
    pub fn on(listener: UnixListener, answer: Option<fn(i64) -> Answer>) -> Self {
        let path = listener.local_addr().ok().and_then(|address| address.as_pathname().map(Path::to_owned));
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        let thread = spawn(move || own.listen(&listener, answer));
        Agent { path: path.expect("the socket has a path"), shared, thread: Some(thread) }
    }

    /// What it has been told: waits until there were so many messages.
    ///
    /// # Panics
    /// When there aren't within [`DEADLINE`], or are more.
    #[track_caller]
    pub fn told(&self, count: usize) -> Vec<Value> {
        let enough = || Some(hold(&self.shared.told).clone()).filter(|told| told.len() >= count);
        let told = soon(DEADLINE, enough).unwrap_or_else(|| hold(&self.shared.told).clone());
        assert_eq!(told.len(), count, "{told:#?}");
        told
    }

    /// What it has been asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        hold(&self.shared.asked).clone()
    }

    /// Whether all connections are closed, or will be within [`DEADLINE`].
    pub fn is_left_alone(&self) -> bool {
        let closed = |stream: &UnixStream| matches!((&mut &*stream).read(&mut [0]), Ok(0));
        hold(&self.shared.connections).iter().all(closed)
    }

    /// The profile that leaves these calls to it, and allows the others.
    pub fn profile(&self, names: &[&str]) -> Value {
        profile(&self.path, names)
    }
}

/// The profile that leaves these calls to whoever listens there, and allows the others.
pub fn profile(path: &Path, names: &[&str]) -> Value {
    json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "listenerPath": path,
        "listenerMetadata": "any words \u{2713}",
        "syscalls": [{"names": names, "action": "SCMP_ACT_NOTIFY"}]
    })
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
        let ended = self.thread.take().map_or(Ok(()), JoinHandle::join);
        assert!(std::thread::panicking() || ended.is_ok(), "the agent panicked");
    }
}

fn hold<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether something can be read within a moment; `None` when nothing will be.
fn readable(file: &impl std::os::fd::AsFd) -> Option<bool> {
    let moment = Timespec { tv_sec: 0, tv_nsec: 50_000_000 };
    let mut ready = [PollFd::new(file, PollFlags::IN)];
    poll(&mut ready, Some(&moment)).expect("a descriptor can be polled");
    match ready[0].revents() {
        found if found.contains(PollFlags::IN) => Some(true),
        found if found.is_empty() => Some(false),
        _ => None,
    }
}

impl Shared {
    fn listen(self: &Arc<Self>, listener: &UnixListener, answer: Option<fn(i64) -> Answer>) {
        let mut filters = Vec::new();
        while !self.over.load(Ordering::Relaxed) {
            if readable(listener) == Some(true) {
                let (stream, _) = listener.accept().expect("somebody connects");
                let (state, descriptor) = hear(&stream);
                hold(&self.connections).push(stream);
                if let Some(answer) = answer {
                    let own = Arc::clone(self);
                    filters.push(spawn(move || own.decide(&descriptor, answer)));
                }
                hold(&self.told).push(state);
            }
        }
        filters.into_iter().for_each(|filter| filter.join().expect("the agent decides without a panic"));
    }

    fn decide(&self, filter: &OwnedFd, answer: fn(i64) -> Answer) {
        while !self.over.load(Ordering::Relaxed) {
            match readable(filter) {
                None => return,
                Some(false) => {}
                Some(true) => self.answer_one(filter, answer),
            }
        }
    }

    fn answer_one(&self, filter: &OwnedFd, answer: fn(i64) -> Answer) {
        // id, pid and flags, number and architecture, instruction, arguments
        let mut question = [0u64; 10];
        // SAFETY: the kernel writes a `struct seccomp_notif`, which is as large.
        if unsafe { libc::ioctl(filter.as_raw_fd(), SECCOMP_IOCTL_NOTIF_RECV, &raw mut question) } != 0 {
            return;
        }
        let number = i64::from(question[2] as u32);
        hold(&self.asked).push(Asked { pid: question[1] as u32, number });
        let (value, errno, flags) = match answer(number) {
            Answer::Errno(errno) => (0, errno, 0),
            Answer::Value(value) => (value, 0, 0),
            Answer::Continue => (0, 0, SECCOMP_USER_NOTIF_FLAG_CONTINUE),
        };
        let response = [question[0], value as u64, u64::from((-errno) as u32) | flags << 32];
        // SAFETY: the kernel reads a `struct seccomp_notif_resp`, which is as large. Whoever asked may be dead by now.
        unsafe { libc::ioctl(filter.as_raw_fd(), SECCOMP_IOCTL_NOTIF_SEND, &raw const response) };
    }
}

/// The one message of a connection, in as many pieces as it comes, and the one descriptor at its beginning.
fn hear(mut stream: &UnixStream) -> (Value, OwnedFd) {
    stream.set_read_timeout(Some(DEADLINE)).expect("a socket has time-outs");
    let mut bytes = vec![0; 16384];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let parts = &mut [IoSliceMut::new(&mut bytes)];
    let length = recvmsg(stream, parts, &mut control, RecvFlags::CMSG_CLOEXEC).expect("a message").bytes;
    bytes.truncate(length);
    let mut descriptors = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(sent) = message {
            descriptors.extend(sent);
        }
    }
    assert_eq!(descriptors.len(), 1, "one descriptor is sent");
    let whole = bytes.as_slice().chain(&mut stream);
    let mut values = serde_json::Deserializer::from_reader(whole).into_iter();
    let state = values.next().expect("there is a message").expect("the message is JSON");
    (state, descriptors.remove(0))
}
