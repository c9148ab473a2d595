//! Messages and connections.

use super::arch::number;
use super::calls::{Answer, Fd, address, address_mut, call, descriptor, done};

const MSG_NOSIGNAL: usize = 0x4000;
const MSG_CMSG_CLOEXEC: usize = 0x4000_0000;

/// Sends one message.
pub fn send(fd: &Fd, bytes: &[u8]) -> Answer<usize> {
    call(number::SENDTO, [fd.0 as usize, address(bytes), bytes.len(), MSG_NOSIGNAL, 0, 0])
}

#[repr(C)]
struct Slice {
    base: usize,
    length: usize,
}

#[repr(C)]
struct MessageHeader {
    name: usize,
    name_length: u32,
    slices: usize,
    slice_count: usize,
    control: usize,
    control_length: usize,
    flags: i32,
}

#[repr(C)]
#[derive(Default)]
struct Control {
    length: usize,
    level: i32,
    kind: i32,
    fd: i32,
    padding: i32,
}

const SOL_SOCKET: i32 = 1;
const SCM_RIGHTS: i32 = 1;

/// Receives one message, and the descriptor that came with it.
pub fn receive(fd: &Fd, bytes: &mut [u8]) -> Answer<(usize, Option<Fd>)> {
    let mut control = Control::default();
    let slice = Slice { base: address_mut(bytes), length: bytes.len() };
    let mut header = MessageHeader {
        name: 0,
        name_length: 0,
        slices: address(&slice),
        slice_count: 1,
        control: address_mut(&mut control),
        control_length: size_of::<Control>(),
        flags: 0,
    };
    let length = call(number::RECVMSG, [fd.0 as usize, address_mut(&mut header), MSG_CMSG_CLOEXEC, 0, 0, 0])?;
    let sent = header.control_length != 0 && (control.level, control.kind) == (SOL_SOCKET, SCM_RIGHTS);
    Ok((length, sent.then(|| Fd(control.fd))))
}

/// Sends one message with a descriptor.
pub fn send_descriptor(fd: &Fd, bytes: &[u8], descriptor: &Fd) -> Answer<usize> {
    /// Without the padding.
    const CONTROL: usize = size_of::<Control>() - size_of::<i32>();
    let control =
        Control { length: CONTROL, level: SOL_SOCKET, kind: SCM_RIGHTS, fd: descriptor.0, padding: 0 };
    let slice = Slice { base: address(bytes), length: bytes.len() };
    let header = MessageHeader {
        name: 0,
        name_length: 0,
        slices: address(&slice),
        slice_count: 1,
        control: address(&control),
        control_length: size_of::<Control>(),
        flags: 0,
    };
    call(number::SENDMSG, [fd.0 as usize, address(&header), MSG_NOSIGNAL, 0, 0, 0])
}

/// Accepts a connection.
pub fn accept(listener: &Fd) -> Answer<Fd> {
    const SOCK_CLOEXEC: usize = 0o2000000;
    descriptor(call(number::ACCEPT4, [listener.0 as usize, 0, 0, SOCK_CLOEXEC, 0, 0]))
}

/// A datagram socket of the UNIX family, which serves for network device ioctls too.
pub fn datagram_socket() -> Answer<Fd> {
    const AF_UNIX: usize = 1;
    const SOCK_DGRAM_CLOEXEC: usize = 0o2000002;
    descriptor(call(number::SOCKET, [AF_UNIX, SOCK_DGRAM_CLOEXEC, 0, 0, 0, 0]))
}

/// Sets a network device's flags.
pub fn set_interface_flags(socket: &Fd, name: &[u8; 16], flags: u16) -> Answer<()> {
    #[repr(C)]
    struct Request {
        name: [u8; 16],
        flags: u16,
        rest: [u8; 22],
    }
    const SIOCSIFFLAGS: usize = 0x8914;
    let request = Request { name: *name, flags, rest: [0; 22] };
    done(call(number::IOCTL, [socket.0 as usize, SIOCSIFFLAGS, address(&request), 0, 0, 0]))
}
