//! Terminals and other descriptors on their way to others.

use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix, SocketFlags,
    SocketType,
};
use rustix::termios::{OptionalActions, OutputModes};

use crate::error::{Context, Result};

/// How long a listener may leave us waiting.
const PATIENCE: Duration = Duration::from_secs(10);

/// Sends a terminal's master to a socket, with the name that the terminal has inside.
pub(super) fn send(master: &OwnedFd, socket: &Path) -> Result<()> {
    let name = rustix::pty::ptsname(master, Vec::new()).doing(|| "cannot name the terminal".into())?;
    send_message(socket, name.as_bytes(), master.as_fd())
}

/// Sends a descriptor to a UNIX stream socket, with a word beside it.
pub(super) fn send_descriptor(socket: &Path, word: &str, descriptor: BorrowedFd<'_>) -> Result<()> {
    send_message(socket, word.as_bytes(), descriptor)
}

/// Connects to a UNIX stream socket and sends these bytes, the first of them with a descriptor.
pub(crate) fn send_message(socket: &Path, bytes: &[u8], descriptor: BorrowedFd<'_>) -> Result<()> {
    let connection =
        connect(socket).map_err(told_apart).doing(|| format!("cannot connect to {}", socket.display()))?;
    send_over(&connection, bytes, descriptor).doing(|| format!("cannot send to {}", socket.display()))
}

fn send_over(connection: &OwnedFd, bytes: &[u8], descriptor: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = [descriptor];
    control.push(SendAncillaryMessage::ScmRights(&descriptors));
    let sent = rustix::io::retry_on_intr(|| {
        rustix::net::sendmsg(connection, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL)
    });
    sent.and_then(|length| send_rest(connection, bytes.get(length..).unwrap_or_default())).map_err(told_apart)
}

/// What didn't fit at once.
fn send_rest(connection: &OwnedFd, mut bytes: &[u8]) -> Result<(), Errno> {
    while !bytes.is_empty() {
        let sent = rustix::io::retry_on_intr(|| rustix::net::send(connection, bytes, SendFlags::NOSIGNAL))?;
        bytes = bytes.get(sent..).unwrap_or_default();
    }
    Ok(())
}

fn told_apart(errno: Errno) -> Errno {
    match errno {
        // A broken pipe would be taken for that of the dialogue with init.
        Errno::PIPE | Errno::CONNRESET => Errno::NOTCONN,
        // What a socket with a deadline says when that has passed.
        Errno::AGAIN => Errno::TIMEDOUT,
        errno => errno,
    }
}

fn connect(path: &Path) -> Result<OwnedFd, Errno> {
    let socket =
        rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    set_socket_timeout(&socket, Timeout::Send, Some(PATIENCE))?;
    match SocketAddrUnix::new(path) {
        Ok(address) => rustix::net::connect(&socket, &address)?,
        // An address holds 107 bytes, a path 4095: the socket is named by a descriptor instead.
        Err(Errno::NAMETOOLONG) => {
            let node = rustix::fs::openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
            let address = SocketAddrUnix::new(format!("/proc/self/fd/{}", node.as_raw_fd()))?;
            rustix::net::connect(&socket, &address)?;
        }
        Err(errno) => return Err(errno),
    }
    Ok(socket)
}

/// Leaves a newline a newline. The caller's own terminal puts the carriage return before it, or there is none and
/// nobody wants one.
pub(super) fn leave_newlines(master: &OwnedFd) -> Result<()> {
    let doing = || "cannot set up the terminal".to_string();
    let mut settings = rustix::termios::tcgetattr(master).doing(doing)?;
    settings.output_modes.remove(OutputModes::ONLCR);
    rustix::termios::tcsetattr(master, OptionalActions::Now, &settings).doing(doing)
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
    use rustix::pty::OpenptFlags;

    use super::*;
    use crate::state::scratch::Scratch;

    #[test]
    fn a_terminal_arrives_with_its_name_however_long_the_path_of_the_socket() {
        let scratch = Scratch::new();
        let long = scratch.path().join("x".repeat(200));
        std::fs::create_dir(&long).unwrap();
        let listener = UnixListener::bind(scratch.path().join("s")).unwrap();
        for path in [scratch.path().join("s"), long.join("y".repeat(200))] {
            if !path.exists() {
                std::fs::rename(scratch.path().join("s"), &path).unwrap();
            }
            let master = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
            let name = rustix::pty::ptsname(&master, Vec::new()).unwrap();
            send(&master, &path).unwrap();
            let (stream, _) = listener.accept().unwrap();
            let mut bytes = [0; 64];
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let mut place = [std::io::IoSliceMut::new(&mut bytes)];
            let read =
                rustix::net::recvmsg(&stream, &mut place, &mut control, RecvFlags::empty()).unwrap().bytes;
            assert_eq!(&bytes[..read], name.as_bytes());
            let received = control.drain().find_map(|message| match message {
                RecvAncillaryMessage::ScmRights(mut all) => all.next(),
                _ => None,
            });
            assert_eq!(rustix::pty::ptsname(received.unwrap(), Vec::new()).unwrap(), name);
        }
    }

    #[test]
    fn nobody_listens() {
        let scratch = Scratch::new();
        let answer = send_descriptor(&scratch.path().join("s"), "standard", std::io::stdin().as_fd());
        assert!(answer.unwrap_err().to_string().ends_with("/s: no such file or directory"));
    }

    #[test]
    fn a_listener_that_goes_away_does_not_look_like_the_death_of_init() {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        drop(theirs);
        let answer = send_over(&ours.into(), b"standard", std::io::stdin().as_fd());
        assert_eq!(answer, Err(Errno::NOTCONN));
    }

    #[test]
    fn newlines_stay_as_they_are() {
        let master = rustix::pty::openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        leave_newlines(&master).unwrap();
        let modes = rustix::termios::tcgetattr(&master).unwrap().output_modes;
        assert!(modes.contains(OutputModes::OPOST) && !modes.contains(OutputModes::ONLCR));
    }
}
