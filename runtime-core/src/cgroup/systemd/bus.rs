//! A connection to systemd: over a bus, or to systemd itself.
//!
//! Everything ends at a deadline. Nothing here starts a thread, looks at the environment or raises a signal.

use std::collections::VecDeque;
use std::fmt;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, recv, send,
    socket_with,
};
use serde::{Deserialize, Serialize};

use super::message::{self, BUS, Message, Method, Writer};
use crate::cgroup::life::timespec;
use crate::sys::process::rest;

/// Which systemd makes a container's cgroup, and where it is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Bus {
    /// The one that manages the machine.
    System,
    /// A user's own. Its addresses as D-Bus writes them (`unix:path=/run/user/1000/bus`), separated by `;`; each is
    /// tried until one answers. One that ends in `/systemd/private` is systemd itself, without a bus between.
    User(String),
}

impl Bus {
    /// Where it is reached. The bus comes first; systemd itself answers also while the bus is being restarted.
    pub(super) fn addresses(&self) -> &str {
        match self {
            Bus::System => "unix:path=/run/dbus/system_bus_socket;unix:path=/run/systemd/private",
            Bus::User(addresses) => addresses,
        }
    }

    pub(super) fn is_user(&self) -> bool {
        matches!(self, Bus::User(_))
    }
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Problem {
    /// Nobody listens there.
    Absent(String),
    /// The connection broke; nobody knows whether the request was heard.
    Lost(String),
    /// No answer came in time.
    Late,
    /// The answer is no: the error's name, and a sentence.
    Refused(String, String),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::Absent(why) | Problem::Lost(why) => f.write_str(why),
            Problem::Late => f.write_str("no answer came in time"),
            Problem::Refused(name, text) if text.is_empty() => f.write_str(name),
            Problem::Refused(_, text) => f.write_str(text.trim_end_matches('.')),
        }
    }
}

/// How long one answer may take. A question can get lost while systemd is being reloaded or its bus restarted, though the
/// connection lives on; so it is put again then.
const ANSWER: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 5 });

pub(super) type Result<T> = std::result::Result<T, Problem>;

/// An open connection.
#[derive(Debug)]
pub(super) struct Connection {
    socket: OwnedFd,
    deadline: Instant,
    number: u32,
    input: Vec<u8>,
    /// Jobs that ended while something else was waited for.
    ended: VecDeque<(String, String)>,
    /// Whether systemd itself is at the other end.
    direct: bool,
}

impl Connection {
    /// Connects to one address.
    pub(super) fn open(address: &str, deadline: Instant) -> Result<Self> {
        let socket = reach(address, deadline)?;
        let direct = address.ends_with("/systemd/private");
        let (input, ended) = (Vec::new(), VecDeque::new());
        let mut connection = Connection { socket, deadline, number: 0, input, ended, direct };
        connection.answered(Self::log_in)?;
        Ok(connection)
    }

    /// What takes longer than an answer may counts as lost.
    fn answered<T>(&mut self, act: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        match self.within(ANSWER, act) {
            Err(late @ Problem::Late) if Instant::now() < self.deadline => {
                Err(Problem::Lost(late.to_string()))
            }
            answer => answer,
        }
    }

    fn within<T>(&mut self, time: Duration, act: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let whole = self.deadline;
        self.deadline = whole.min(Instant::now() + time);
        let done = act(self);
        self.deadline = whole;
        done
    }

    /// Without a name: the kernel says who we are, also where our ids are others than there (in a user namespace).
    fn log_in(&mut self) -> Result<()> {
        self.send(b"\0AUTH EXTERNAL\r\nDATA\r\n")?;
        loop {
            let line = self.line()?;
            match line.split_ascii_whitespace().next() {
                Some("DATA") => {}
                Some("OK") => break,
                _ => return Err(Problem::Refused(line, "it doesn't let this user in".into())),
            }
        }
        self.send(b"BEGIN\r\n")?;
        match self.direct {
            true => Ok(()),
            false => self.ask_bus("Hello", "", Writer::default()),
        }
    }

    fn ask_bus(&mut self, name: &str, signature: &str, arguments: Writer) -> Result<()> {
        let path = "/org/freedesktop/DBus";
        self.call(&Method { destination: BUS, path, interface: BUS, name, signature }, arguments).map(drop)
    }

    /// Has the bus hand on the signals that fit. Systemd itself sends all that it has.
    pub(super) fn listen(&mut self, rule: &str) -> Result<()> {
        match self.direct {
            true => Ok(()),
            false => self.ask_bus("AddMatch", "s", Writer::default().text(rule)),
        }
    }

    /// Calls a method; the answer's body.
    pub(super) fn call(&mut self, method: &Method<'_>, arguments: Writer) -> Result<Vec<u8>> {
        self.number += 1;
        let number = self.number;
        let method = Method { destination: if self.direct { "" } else { method.destination }, ..*method };
        self.send(&message::call(number, &method, arguments))?;
        self.answered(|connection| connection.answer_to(number))
    }

    fn answer_to(&mut self, number: u32) -> Result<Vec<u8>> {
        loop {
            match self.next()? {
                Message::Answer { to, body } if to == number => return Ok(body),
                Message::Refusal { to, name, text } if to == number => return Err(refusal(name, text)),
                Message::JobRemoved { job, result } => self.ended.push_back((job, result)),
                _ => {}
            }
        }
    }

    /// Waits for the end of a job: its result; none after a while without a word.
    pub(super) fn end_of(&mut self, job: &str, silence: Duration) -> Result<Option<String>> {
        loop {
            if let Some(result) = self.heard_of(job) {
                return Ok(Some(result));
            }
            match self.within(silence, Self::next) {
                Ok(Message::JobRemoved { job, result }) => self.ended.push_back((job, result)),
                Ok(_) => {}
                Err(Problem::Late) if Instant::now() < self.deadline => return Ok(None),
                Err(problem) => return Err(problem),
            }
        }
    }

    /// How a job ended, if that was told.
    pub(super) fn heard_of(&mut self, job: &str) -> Option<String> {
        let place = self.ended.iter().position(|(ended, _)| ended == job)?;
        self.ended.remove(place).map(|(_, result)| result)
    }

    fn next(&mut self) -> Result<Message> {
        let damaged = || Problem::Lost("it sent something that is no message".into());
        loop {
            if let Some(length) = message::whole(&self.input).map_err(|()| damaged())?
                && length <= self.input.len()
            {
                let rest = self.input.split_off(length);
                let message = std::mem::replace(&mut self.input, rest);
                return message::read(&message).ok_or_else(damaged);
            }
            self.receive()?;
        }
    }

    fn line(&mut self) -> Result<String> {
        const LONGEST: usize = 1024;
        loop {
            if let Some(end) = self.input.windows(2).position(|pair| pair == b"\r\n") {
                let rest = self.input.split_off(end + 2);
                let line = std::mem::replace(&mut self.input, rest);
                return Ok(String::from_utf8_lossy(&line).trim_end().into());
            }
            if self.input.len() > LONGEST {
                return Err(Problem::Lost("it doesn't speak D-Bus".into()));
            }
            self.receive()?;
        }
    }

    fn send(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            // A signal would hit whoever uses this library.
            match send(&self.socket, bytes, SendFlags::NOSIGNAL) {
                Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self.wait(PollFlags::OUT)?,
                Err(errno) => return Err(lost(errno)),
            }
        }
        Ok(())
    }

    fn receive(&mut self) -> Result<()> {
        let mut piece = [0; 8192];
        loop {
            match recv(&self.socket, &mut piece, RecvFlags::empty()) {
                Ok((_, 0)) => return Err(lost(Errno::CONNRESET)),
                Ok((_, count)) => {
                    self.input.extend_from_slice(piece.get(..count).unwrap_or_default());
                    return Ok(());
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => self.wait(PollFlags::IN)?,
                Err(errno) => return Err(lost(errno)),
            }
        }
    }

    fn wait(&self, what: PollFlags) -> Result<()> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Problem::Late);
        }
        // A signal may end it early: then it is waited for again.
        _ = poll(&mut [PollFd::from_borrowed_fd(self.socket.as_fd(), what)], Some(&timespec(left)));
        Ok(())
    }
}

fn lost(errno: Errno) -> Problem {
    Problem::Lost(format!("the connection broke: {}", crate::error::words(errno)))
}

/// What the bus answers when systemd isn't on it, which it isn't while the bus is being restarted, is as good as a
/// connection that broke.
fn refusal(name: String, text: String) -> Problem {
    const NOT_THERE: [&str; 4] = ["ServiceUnknown", "NameHasNoOwner", "NoReply", "Disconnected"];
    match name.strip_prefix("org.freedesktop.DBus.Error.") {
        Some(error) if NOT_THERE.contains(&error) || error.starts_with("Spawn.") => Problem::Lost(text),
        _ => Problem::Refused(name, text),
    }
}

/// A socket that is connected; a listener that has too many waiting is tried again.
fn reach(address: &str, deadline: Instant) -> Result<OwnedFd> {
    const PAUSE: Duration = Duration::from_millis(10);
    let refused = |errno| match errno {
        Errno::NOENT | Errno::CONNREFUSED => Problem::Absent(crate::error::words(errno)),
        errno => Problem::Refused("connect".into(), crate::error::words(errno)),
    };
    let place = place(address)
        .ok_or_else(|| Problem::Absent("only unix:path= and unix:abstract= are known".into()))?;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None).map_err(refused)?;
    loop {
        match connect(&socket, &place) {
            Ok(()) => return Ok(socket),
            Err(Errno::AGAIN) if Instant::now() < deadline => rest(PAUSE),
            Err(Errno::AGAIN) => return Err(Problem::Late),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(refused(errno)),
        }
    }
}

/// The socket that a D-Bus address names.
fn place(address: &str) -> Option<SocketAddrUnix> {
    let fields = address.strip_prefix("unix:")?.split(',');
    fields.filter_map(|field| field.split_once('=')).find_map(|(key, value)| {
        let value = unescaped(value)?;
        match key {
            "path" => SocketAddrUnix::new(value).ok(),
            "abstract" => SocketAddrUnix::new_abstract_name(&value).ok(),
            _ => None,
        }
    })
}

/// `%2c` is a byte by its number.
fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut plain = Vec::new();
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            byte => byte,
        });
    }
    Some(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let path = |text: &str| Some(SocketAddrUnix::new(text).unwrap());
        assert_eq!(place("unix:path=/run/user/1000/bus"), path("/run/user/1000/bus"));
        assert_eq!(place("unix:guid=12,path=/tmp/a%2cb,x=y"), path("/tmp/a,b"));
        let name = SocketAddrUnix::new_abstract_name(b"/tmp/x").ok();
        assert_eq!(place("unix:abstract=/tmp/x,guid=0"), name);
        for other in ["", "unix:", "unix:path", "tcp:host=x", "unix:path=%2", "unix:path=%zz", "autolaunch:"]
        {
            assert_eq!(place(other), None, "{other}");
        }
    }
}
