//! Readiness: what the program tells its service manager, passed on to the host's (sd_notify(3)).
//!
//! The host's socket stays outside. The container gets one of our own, and of what comes in there only a known part goes
//! on: who the main process is, which descriptors are kept, and when a message has been taken are the host's business.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{AtFlags, Mode};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvFlags, ReturnFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, recvmsg, sendmsg, socket_with,
};
use rustix::pipe::{PipeFlags, pipe_with};

use crate::error::{Context, Error, Result};

/// The name of the container's socket in its directory.
pub(crate) const SOCKET: &str = "notify.sock";

/// The longest message that is read; longer ones are none that a program would send.
const LONGEST: usize = 4096;

/// How many messages are taken before others get their turn.
const AT_ONCE: usize = 16;

/// How long the service manager may take to confirm that it has read what it was told.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long a message waits for a place among those that the service manager hasn't read.
const PATIENCE_PER_MESSAGE: Duration = Duration::from_secs(5);

/// What a program may say of itself.
const FIELDS: [&str; 10] = [
    "READY",
    "RELOADING",
    "STOPPING",
    "STATUS",
    "ERRNO",
    "BUSERROR",
    "EXIT_STATUS",
    "WATCHDOG",
    "MONOTONIC_USEC",
    "EXTEND_TIMEOUT_USEC",
];

/// The container's socket, and a connection to the host's.
#[derive(Debug)]
pub(crate) struct Proxy {
    inside: OwnedFd,
    host: OwnedFd,
    address: PathBuf,
}

/// What there was to pass on.
#[derive(Debug, PartialEq, Eq)]
struct Message {
    text: String,
    ready: bool,
}

impl Proxy {
    /// Connects to the host's socket, a path or `@` and an abstract name, and puts the container's into `directory`.
    pub(crate) fn new(address: &Path, directory: BorrowedFd<'_>) -> Result<Self> {
        let doing = || format!("cannot reach the service manager at NOTIFY_SOCKET={}", address.display());
        let host = datagrams().doing(doing)?;
        connect(&host, &host_address(address).doing(doing)?).doing(doing)?;
        // The program may say more than is read there.
        set_socket_timeout(&host, Timeout::Send, Some(PATIENCE_PER_MESSAGE)).doing(doing)?;
        let doing = || "cannot make the container's notification socket".to_string();
        let inside = datagrams().doing(doing)?;
        // There is no bindat, and an address holds 108 bytes: the directory's descriptor makes up for both.
        let place = format!("/proc/self/fd/{}/{SOCKET}", directory.as_raw_fd());
        rustix::net::bind(&inside, &SocketAddrUnix::new(place).doing(doing)?).doing(doing)?;
        // The program may be any user, whatever our umask is.
        rustix::fs::chmodat(directory, SOCKET, Mode::from_raw_mode(0o777), AtFlags::empty()).doing(doing)?;
        Ok(Proxy { inside, host, address: address.into() })
    }

    /// Passes on what the program says until it is ready or `process` has ended; then tells who the main process is, and
    /// waits until the service manager has heard it, which knows us only as long as we live.
    pub(crate) fn wait_until_ready(&self, process: BorrowedFd<'_>, pid: i32) -> Result<()> {
        loop {
            let mut ready =
                [PollFd::new(&self.inside, PollFlags::IN), PollFd::from_borrowed_fd(process, PollFlags::IN)];
            match poll(&mut ready, None) {
                Err(Errno::INTR) => continue,
                answer => answer.doing(|| "cannot wait for the container".into())?,
            };
            if self.pass_on()? {
                self.tell(&format!("MAINPID={pid}"))?;
                return self.barrier();
            }
            if ready.last().is_some_and(|process| !process.revents().is_empty()) {
                return Ok(());
            }
        }
    }

    /// Passes on what has come; answers whether the program is ready.
    pub(crate) fn pass_on(&self) -> Result<bool> {
        let mut ready = false;
        for _ in 0..AT_ONCE {
            let mut bytes = [0; LONGEST];
            let Some(length) = self.receive(&mut bytes)? else { break };
            let message = Message::allowed(bytes.get(..length).unwrap_or_default());
            if !message.text.is_empty() {
                self.tell(&message.text)?;
            }
            ready |= message.ready;
        }
        Ok(ready)
    }

    // Descriptors that come along are closed, as no place is offered for them. That answers a barrier of the program's.
    fn receive(&self, bytes: &mut [u8]) -> Result<Option<usize>> {
        let mut none = RecvAncillaryBuffer::default();
        let parts = &mut [IoSliceMut::new(bytes)];
        match recvmsg(&self.inside, parts, &mut none, RecvFlags::DONTWAIT) {
            Err(Errno::AGAIN | Errno::INTR) => Ok(None),
            Ok(message) if message.flags.contains(ReturnFlags::TRUNC) => Ok(Some(0)),
            answer => {
                let answer = answer.doing(|| "cannot read the container's notification socket".into())?;
                Ok(Some(answer.bytes))
            }
        }
    }

    fn tell(&self, text: &str) -> Result<()> {
        self.send(text, &[])
    }

    fn send(&self, text: &str, descriptors: &[BorrowedFd<'_>]) -> Result<()> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if !descriptors.is_empty() {
            control.push(SendAncillaryMessage::ScmRights(descriptors));
        }
        let parts = [IoSlice::new(text.as_bytes())];
        rustix::io::retry_on_intr(|| sendmsg(&self.host, &parts, &mut control, SendFlags::NOSIGNAL))
            .doing(|| format!("cannot notify the service manager at {}", self.address.display()))?;
        Ok(())
    }

    fn barrier(&self) -> Result<()> {
        let doing = || "cannot make a pipe".to_string();
        let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC).doing(doing)?;
        self.send("BARRIER=1", &[theirs.as_fd()])?;
        drop(theirs);
        if crate::sys::process::wait_for_end(ours.as_fd(), PATIENCE) {
            return Ok(());
        }
        let place = self.address.display();
        let waited = PATIENCE.as_secs();
        Err(Error::Died(format!("the service manager at {place} did not take the message within {waited} s")))
    }
}

impl AsFd for Proxy {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inside.as_fd()
    }
}

impl Message {
    // Whatever isn't text, or not a field that a program may set, is left out.
    fn allowed(bytes: &[u8]) -> Message {
        let text = str::from_utf8(bytes).unwrap_or_default();
        let known = |line: &&str| line.split_once('=').is_some_and(|(name, _)| FIELDS.contains(&name));
        let lines: Vec<&str> = text.split('\n').filter(known).collect();
        Message { ready: lines.contains(&"READY=1"), text: lines.join("\n") }
    }
}

fn datagrams() -> rustix::io::Result<OwnedFd> {
    socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
}

fn host_address(address: &Path) -> rustix::io::Result<SocketAddrUnix> {
    match address.as_os_str().as_bytes() {
        [b'@', name @ ..] => SocketAddrUnix::new_abstract_name(name),
        [b'/', ..] => SocketAddrUnix::new(address),
        _ => Err(Errno::AFNOSUPPORT),
    }
}

#[cfg(test)]
mod tests {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};

    use super::*;
    use crate::state::scratch::Scratch;

    #[test]
    fn only_what_a_program_may_say_of_itself_goes_on() {
        for (said, heard, ready) in [
            ("READY=1", "READY=1", true),
            ("READY=1\nSTATUS=at your service\n", "READY=1\nSTATUS=at your service", true),
            ("STATUS=READY=1", "STATUS=READY=1", false),
            ("READY=0", "READY=0", false),
            ("MAINPID=1\nBARRIER=1\nFDSTORE=1\nNOTIFYACCESS=all\nSTOPPING=1", "STOPPING=1", false),
            ("MAINPIDREADY=1\nREADY", "", false),
            ("", "", false),
        ] {
            let message = Message { text: heard.into(), ready };
            assert_eq!(Message::allowed(said.as_bytes()), message, "{said:?}");
        }
        assert_eq!(Message::allowed(b"READY=1\n\xff"), Message { text: String::new(), ready: false });
    }

    fn proxy(address: &Path, scratch: &Scratch) -> (Proxy, UnixDatagram) {
        let directory = std::fs::File::open(scratch.path()).unwrap();
        let proxy = Proxy::new(address, directory.as_fd()).unwrap();
        let program = UnixDatagram::unbound().unwrap();
        program.connect(scratch.path().join(SOCKET)).unwrap();
        (proxy, program)
    }

    fn heard(host: &UnixDatagram) -> String {
        let mut bytes = [0; 8192];
        host.set_nonblocking(true).unwrap();
        let length = host.recv(&mut bytes).unwrap_or(0);
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    #[test]
    fn messages_reach_a_path_and_an_abstract_name() {
        let scratch = Scratch::new();
        let path = scratch.path().join("host");
        let name = format!("notify-test-{}", std::process::id());
        let abstract_name = SocketAddr::from_abstract_name(&name).unwrap();
        for (address, host) in [
            (path.clone(), UnixDatagram::bind(&path).unwrap()),
            (format!("@{name}").into(), UnixDatagram::bind_addr(&abstract_name).unwrap()),
        ] {
            let scratch = Scratch::new();
            let (proxy, program) = proxy(&address, &scratch);
            program.send(b"STATUS=warm\nMAINPID=1").unwrap();
            assert!(!proxy.pass_on().unwrap());
            assert_eq!(heard(&host), "STATUS=warm");
            program.send(b"READY=1").unwrap();
            assert!(proxy.pass_on().unwrap());
            assert_eq!(heard(&host), "READY=1");
        }
    }

    #[test]
    fn what_is_too_long_is_dropped() {
        let scratch = Scratch::new();
        let path = scratch.path().join("host");
        let host = UnixDatagram::bind(&path).unwrap();
        let (proxy, program) = proxy(&path, &scratch);
        program.send(format!("READY=1\nSTATUS={}", "x".repeat(LONGEST)).as_bytes()).unwrap();
        assert!(!proxy.pass_on().unwrap());
        assert_eq!(heard(&host), "");
    }

    #[test]
    fn a_service_manager_that_is_not_there_is_told_before_anything_runs() {
        let scratch = Scratch::new();
        let directory = std::fs::File::open(scratch.path()).unwrap();
        for (address, problem) in
            [("/not/there", "no such file or directory"), ("vsock:2:1", "address family not supported")]
        {
            let error = Proxy::new(Path::new(address), directory.as_fd()).unwrap_err().to_string();
            assert!(error.contains(address) && error.contains(problem), "{error}");
        }
        assert!(!scratch.path().join(SOCKET).exists());
    }
}
