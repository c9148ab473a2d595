//! System calls with types. Each answers with what the kernel said; what to make of it is the steps' business.

use core::ffi::CStr;
use core::marker::PhantomData;
use core::sync::atomic::{AtomicI32, Ordering};

use super::arch::{clone_thread, number, syscall};
use super::old_mounts;

/// An errno.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Errno(pub i32);

impl Errno {
    pub const PERM: Errno = Errno(1);
    pub const NOENT: Errno = Errno(2);
    pub const INTR: Errno = Errno(4);
    pub const ACCES: Errno = Errno(13);
    pub const BUSY: Errno = Errno(16);
    pub const EXIST: Errno = Errno(17);
    pub const XDEV: Errno = Errno(18);
    pub const NODEV: Errno = Errno(19);
    pub const NOTDIR: Errno = Errno(20);
    pub const ISDIR: Errno = Errno(21);
    pub const INVAL: Errno = Errno(22);
    pub const ROFS: Errno = Errno(30);
    pub const NAMETOOLONG: Errno = Errno(36);
    pub const NOSYS: Errno = Errno(38);
    pub const LOOP: Errno = Errno(40);
    pub const OPNOTSUPP: Errno = Errno(95);

    /// Whether the call may be one that isn't there: the kernel is old, or a sandbox around us doesn't know the call. If
    /// what was asked is forbidden, the older way is forbidden too.
    pub fn is_missing_call(self) -> bool {
        matches!(self, Errno::NOSYS | Errno::PERM)
    }
}

/// What a system call answers.
pub type Answer<T> = Result<T, Errno>;

/// A descriptor. All of them are closed by the execution of the program; before that, only those with high numbers are
/// closed when they go out of scope: a few may stay open, and each call saved makes a container start faster.
#[derive(Debug)]
pub struct Fd(i32);

/// Before the plan says how many: the plan's own file.
static FEW: AtomicI32 = AtomicI32::new(16);

/// Sets the number from which on descriptors are closed when they go out of scope.
pub fn leave_open_below(number: u32) {
    FEW.store(number as i32, Ordering::Relaxed);
}

impl Fd {
    /// Takes over a descriptor that the kernel or the caller gave us.
    pub fn own(raw: i32) -> Self {
        Fd(raw)
    }

    /// Its number.
    pub fn raw(&self) -> i32 {
        self.0
    }

    /// Closes it now, whatever its number: a mount with a file that is open for writing can't become read-only.
    pub fn close(self) {
        let _ = call(number::CLOSE, [self.0 as usize, 0, 0, 0, 0, 0]);
        core::mem::forget(self);
    }
}

impl Drop for Fd {
    fn drop(&mut self) {
        if self.0 >= FEW.load(Ordering::Relaxed) {
            let _ = call(number::CLOSE, [self.0 as usize, 0, 0, 0, 0, 0]);
        }
    }
}

/// The current directory, where a call wants a directory.
pub const HERE: i32 = -100;

pub(super) fn call(number: usize, arguments: [usize; 6]) -> Answer<usize> {
    // SAFETY: every caller below passes numbers, and pointers to values that outlive the call and are as large as
    // the call demands.
    answer(unsafe { syscall(number, arguments) })
}

fn answer(answer: isize) -> Answer<usize> {
    if (-4095..0).contains(&answer) { Err(Errno(-answer as i32)) } else { Ok(answer as usize) }
}

fn descriptor(answer: Answer<usize>) -> Answer<Fd> {
    answer.map(|raw| Fd(raw as i32))
}

pub(super) fn done(answer: Answer<usize>) -> Answer<()> {
    answer.map(|_| ())
}

pub(super) fn address<T: ?Sized>(value: &T) -> usize {
    (&raw const *value).cast::<u8>() as usize
}

pub(super) fn address_mut<T: ?Sized>(value: &mut T) -> usize {
    (&raw mut *value).cast::<u8>() as usize
}

pub(super) fn text(text: &CStr) -> usize {
    text.as_ptr() as usize
}

const EMPTY: &CStr = c"";
const AT_EMPTY_PATH: usize = 0x1000;

/// Ends the process.
pub fn exit(status: i32) -> ! {
    loop {
        let _ = call(number::EXIT_GROUP, [status as usize, 0, 0, 0, 0, 0]);
    }
}

// Descriptors ----------------------------------------------------------------------------------------------------

/// Closes all descriptors from `first` to `last`.
pub fn close_range(first: u32, last: u32) -> Answer<()> {
    match done(call(number::CLOSE_RANGE, [first as usize, last as usize, 0, 0, 0, 0])) {
        Err(errno) if errno.is_missing_call() => {
            each_descriptor(first, last, |raw| call(number::CLOSE, [raw, 0, 0, 0, 0, 0]))
        }
        answer => answer,
    }
}

/// Closes all descriptors from `first` on.
pub fn close_from(first: u32) -> Answer<()> {
    close_range(first, u32::MAX)
}

/// Has all descriptors from `first` on closed when the program is executed.
pub fn close_on_exec(first: u32) -> Answer<()> {
    const CLOSE_RANGE_CLOEXEC: usize = 4;
    match done(call(number::CLOSE_RANGE, [first as usize, u32::MAX as usize, CLOSE_RANGE_CLOEXEC, 0, 0, 0])) {
        Err(errno) if errno.is_missing_call() => {
            const F_SETFD: usize = 2;
            const FD_CLOEXEC: usize = 1;
            each_descriptor(first, u32::MAX, |raw| call(number::FCNTL, [raw, F_SETFD, FD_CLOEXEC, 0, 0, 0]))
        }
        answer => answer,
    }
}

/// Acts on all numbers that a descriptor can have; most are free.
#[cold]
fn each_descriptor(first: u32, last: u32, act: impl Fn(usize) -> Answer<usize>) -> Answer<()> {
    const RLIMIT_NOFILE: usize = 7;
    let mut limit = [0u64; 2];
    done(call(number::PRLIMIT64, [0, RLIMIT_NOFILE, 0, address_mut(&mut limit), 0, 0]))?;
    let [limit, _] = limit;
    for raw in u64::from(first)..limit.min(u64::from(last) + 1) {
        let _ = act(raw as usize);
    }
    Ok(())
}

/// Reads once.
pub fn read(fd: &Fd, buffer: &mut [u8]) -> Answer<usize> {
    call(number::READ, [fd.0 as usize, address_mut(buffer), buffer.len(), 0, 0, 0])
}

/// Writes once.
pub fn write(fd: &Fd, bytes: &[u8]) -> Answer<usize> {
    call(number::WRITE, [fd.0 as usize, address(bytes), bytes.len(), 0, 0, 0])
}

/// Reads directory entries into `buffer`.
pub fn getdents64(fd: &Fd, buffer: &mut [u8]) -> Answer<usize> {
    call(number::GETDENTS64, [fd.0 as usize, address_mut(buffer), buffer.len(), 0, 0, 0])
}

// Sockets --------------------------------------------------------------------------------------------------------

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

// Terminals ------------------------------------------------------------------------------------------------------

/// Lets the other side of a terminal's master be opened.
pub fn unlock_terminal(master: &Fd) -> Answer<()> {
    const TIOCSPTLCK: usize = 0x4004_5431;
    let unlocked = 0i32;
    done(call(number::IOCTL, [master.0 as usize, TIOCSPTLCK, address(&unlocked), 0, 0, 0]))
}

/// Opens the other side of a terminal's master: that of its own file system, whatever a path says.
pub fn open_peer(master: &Fd) -> Answer<Fd> {
    const TIOCGPTPEER: usize = 0x5441;
    let flags = open::READ_WRITE | open::NO_TERMINAL | open::CLOEXEC;
    descriptor(call(number::IOCTL, [master.0 as usize, TIOCGPTPEER, flags, 0, 0, 0]))
}

/// Sets a terminal's size.
pub fn set_window_size(terminal: &Fd, rows: u16, columns: u16) -> Answer<()> {
    const TIOCSWINSZ: usize = 0x5414;
    let size = [rows, columns, 0, 0];
    done(call(number::IOCTL, [terminal.0 as usize, TIOCSWINSZ, address(&size), 0, 0, 0]))
}

/// Makes a terminal the controlling one of this session, which has none.
pub fn control_session(terminal: &Fd) -> Answer<()> {
    const TIOCSCTTY: usize = 0x540e;
    done(call(number::IOCTL, [terminal.0 as usize, TIOCSCTTY, 0, 0, 0, 0]))
}

/// Gives a descriptor a second number, which the program inherits.
pub fn duplicate(fd: &Fd, number: u32) -> Answer<()> {
    done(call(number::DUP3, [fd.0 as usize, number as usize, 0, 0, 0, 0]))
}

// Births ---------------------------------------------------------------------------------------------------------

/// Which side of a birth this is.
pub enum Birth {
    /// The one that was there before.
    Parent {
        /// The newborn's id in this process's pid namespace.
        pid: u32,
        /// The newborn.
        pidfd: Fd,
    },
    /// The new one, with a copy of the memory.
    Newborn,
}

/// Bears a child of our parent.
pub fn bear_sibling() -> Answer<Birth> {
    const CLONE_PARENT: usize = 0x8000;
    const CLONE_PIDFD: usize = 0x1000;
    let mut pidfd = -1i32;
    match call(number::CLONE, [CLONE_PARENT | CLONE_PIDFD, 0, address_mut(&mut pidfd), 0, 0, 0])? {
        0 => Ok(Birth::Newborn),
        pid => Ok(Birth::Parent { pid: pid as u32, pidfd: Fd(pidfd) }),
    }
}

/// Starts a thread of this process, without its system call filters to come. It never returns.
pub fn start_thread(body: extern "C" fn() -> !) -> Answer<()> {
    /// CLONE_VM, CLONE_FS, CLONE_FILES, CLONE_SIGHAND, CLONE_THREAD
    const THREAD: usize = 0x100 | 0x200 | 0x400 | 0x800 | 0x1_0000;
    let stack = words(2048)?;
    // SAFETY: the flags are a thread's, and its stack is fresh memory in whole pages.
    done(answer(unsafe { clone_thread(THREAD, address(stack) + size_of_val(stack), body) }))
}

/// Ends this thread.
pub fn exit_thread() -> ! {
    loop {
        let _ = call(number::EXIT, [0; 6]);
    }
}

/// Lets somebody else run.
pub fn give_way() {
    let _ = call(number::SCHED_YIELD, [0; 6]);
}

/// Kills a process, if it lives.
pub fn kill(process: &Fd) {
    const SIGKILL: usize = 9;
    let _ = call(number::PIDFD_SEND_SIGNAL, [process.0 as usize, SIGKILL, 0, 0, 0, 0]);
}

// Signals and process attributes ---------------------------------------------------------------------------------

/// Blocks no signal any more.
pub fn unblock_signals() -> Answer<()> {
    const SIG_SETMASK: usize = 2;
    let none = 0u64;
    done(call(number::RT_SIGPROCMASK, [SIG_SETMASK, address(&none), 0, size_of::<u64>(), 0, 0]))
}

/// Gives a signal its default meaning again.
pub fn reset_signal(signal: u32) -> Answer<()> {
    let default = [0usize; 4];
    done(call(number::RT_SIGACTION, [signal as usize, address(&default), 0, size_of::<u64>(), 0, 0]))
}

/// Starts a session.
pub fn setsid() -> Answer<()> {
    done(call(number::SETSID, [0; 6]))
}

/// Sets the umask.
pub fn umask(mask: u32) {
    let _ = call(number::UMASK, [mask as usize, 0, 0, 0, 0, 0]);
}

/// `prctl` with up to two arguments.
pub fn prctl(option: usize, first: usize, second: usize) -> Answer<()> {
    done(call(number::PRCTL, [option, first, second, 0, 0, 0]))
}

/// `prctl` options.
pub mod prctl_option {
    pub const SET_DUMPABLE: usize = 4;
    pub const SET_KEEPCAPS: usize = 8;
    pub const CAPBSET_DROP: usize = 24;
    pub const SET_NO_NEW_PRIVS: usize = 38;
    pub const CAP_AMBIENT: usize = 47;
    pub const CAP_AMBIENT_RAISE: usize = 2;
    pub const CAP_AMBIENT_CLEAR_ALL: usize = 4;
}

/// Lets this process run on each CPU that its cgroup allows.
pub fn allow_all_cpus() -> Answer<()> {
    // More CPUs than any kernel supports.
    let all = [u64::MAX; 256];
    done(call(number::SCHED_SETAFFINITY, [0, size_of_val(&all), address(&all), 0, 0, 0]))
}

/// Sets a resource limit of this process.
pub fn set_limit(resource: u32, soft: u64, hard: u64) -> Answer<()> {
    let limit = [soft, hard];
    done(call(number::PRLIMIT64, [0, resource as usize, address(&limit), 0, 0, 0]))
}

/// Sets the execution domain.
pub fn personality(domain: u64) -> Answer<()> {
    done(call(number::PERSONALITY, [domain as usize, 0, 0, 0, 0, 0]))
}

/// Sets the memory policy.
pub fn set_memory_policy(mode: u32, nodes: &[u64]) -> Answer<()> {
    // The kernel takes one bit less than it is told.
    let bits = nodes.len() * 64 + 1;
    done(call(number::SET_MEMPOLICY, [mode as usize, address(nodes), bits, 0, 0, 0]))
}

/// Sets real, effective and saved user ids.
pub fn setresuid(uid: u32) -> Answer<()> {
    let uid = uid as usize;
    done(call(number::SETRESUID, [uid, uid, uid, 0, 0, 0]))
}

/// Sets real, effective and saved group ids.
pub fn setresgid(gid: u32) -> Answer<()> {
    let gid = gid as usize;
    done(call(number::SETRESGID, [gid, gid, gid, 0, 0, 0]))
}

/// Sets the supplementary groups.
pub fn setgroups(groups: &[u32]) -> Answer<()> {
    done(call(number::SETGROUPS, [groups.len(), address(groups), 0, 0, 0, 0]))
}

/// Sets the effective, permitted and inheritable capability sets.
pub fn capset(effective: u64, permitted: u64, inheritable: u64) -> Answer<()> {
    const VERSION_3: u32 = 0x2008_0522;
    let header = [VERSION_3, 0];
    let half = |shift: u32| [effective, permitted, inheritable].map(|set| (set >> shift) as u32);
    let data = [half(0), half(32)];
    done(call(number::CAPSET, [address(&header), address(&data), 0, 0, 0, 0]))
}

/// Installs a system call filter; answers the number of its listener, if the flags ask for one.
pub fn seccomp(flags: u32, filter: &[u8]) -> Answer<usize> {
    #[repr(C)]
    struct Program {
        length: u16,
        instructions: usize,
    }
    const SET_MODE_FILTER: usize = 1;
    const INSTRUCTION: usize = 8;
    let program = Program { length: (filter.len() / INSTRUCTION) as u16, instructions: address(filter) };
    call(number::SECCOMP, [SET_MODE_FILTER, flags as usize, address(&program), 0, 0, 0])
}

/// Makes the call with this number, which the kernel never had; waits as long as a filter's listener lets it.
pub fn meet(number: u32) {
    let _ = call(number as usize, [0; 6]);
}

/// What a listener is asked, by the question's number.
#[derive(Debug)]
pub struct Question(u64);

/// Waits for the next question that a filter asks at this listener.
pub fn hear_question(listener: &Fd) -> Answer<Question> {
    const SECCOMP_IOCTL_NOTIF_RECV: usize = 0xc050_2100;
    let mut notification = [0u64; 10];
    done(call(
        number::IOCTL,
        [listener.0 as usize, SECCOMP_IOCTL_NOTIF_RECV, address_mut(&mut notification), 0, 0, 0],
    ))?;
    Ok(Question(notification[0]))
}

/// Answers a question: the call, which isn't made, has succeeded.
pub fn answer_question(listener: &Fd, question: Question) -> Answer<()> {
    const SECCOMP_IOCTL_NOTIF_SEND: usize = 0xc018_2101;
    let response = [question.0, 0, 0];
    done(call(number::IOCTL, [listener.0 as usize, SECCOMP_IOCTL_NOTIF_SEND, address(&response), 0, 0, 0]))
}

/// Joins a new session keyring of that name; answers its serial number.
pub fn join_session_keyring(name: &CStr) -> Answer<usize> {
    const JOIN_SESSION_KEYRING: usize = 1;
    call(number::KEYCTL, [JOIN_SESSION_KEYRING, text(name), 0, 0, 0, 0])
}

/// Sets a key's permissions.
pub fn set_key_permissions(key: usize, permissions: usize) -> Answer<()> {
    const SETPERM: usize = 5;
    done(call(number::KEYCTL, [SETPERM, key, permissions, 0, 0, 0]))
}

// Namespaces -----------------------------------------------------------------------------------------------------

/// Enters a namespace, of the type that the flag names.
pub fn setns(namespace: &Fd, flag: usize) -> Answer<()> {
    done(call(number::SETNS, [namespace.0 as usize, flag, 0, 0, 0, 0]))
}

/// Leaves shared namespaces for new ones.
pub fn unshare(flags: usize) -> Answer<()> {
    done(call(number::UNSHARE, [flags, 0, 0, 0, 0, 0]))
}

/// Sets the host name.
pub fn sethostname(name: &CStr) -> Answer<()> {
    done(call(number::SETHOSTNAME, [text(name), name.to_bytes().len(), 0, 0, 0, 0]))
}

/// Sets the NIS domain name.
pub fn setdomainname(name: &CStr) -> Answer<()> {
    done(call(number::SETDOMAINNAME, [text(name), name.to_bytes().len(), 0, 0, 0, 0]))
}

// Files ----------------------------------------------------------------------------------------------------------

/// `open` flags.
pub mod open {
    pub const WRITE: usize = 1;
    pub const READ_WRITE: usize = 2;
    pub const CREATE: usize = 0o100;
    pub const EXCLUSIVE: usize = 0o200;
    pub const NO_TERMINAL: usize = 0o400;
    pub const NONBLOCK: usize = 0o4000;
    pub const DIRECTORY: usize = 0o200000;
    pub const NOFOLLOW: usize = 0o400000;
    pub const CLOEXEC: usize = 0o2000000;
    pub const PATH: usize = 0o10000000;
}

/// `openat2` resolution rules.
pub mod resolve {
    pub const NO_XDEV: u64 = 0x01;
    pub const NO_MAGICLINKS: u64 = 0x02;
    pub const NO_SYMLINKS: u64 = 0x04;
    pub const BENEATH: u64 = 0x08;
    pub const IN_ROOT: u64 = 0x10;
}

/// Opens a path by rules about its resolution.
pub fn openat2(directory: i32, path: &CStr, flags: usize, mode: u64, rules: u64) -> Answer<Fd> {
    let how = [(flags | open::CLOEXEC) as u64, mode, rules];
    let size = size_of_val(&how);
    descriptor(call(number::OPENAT2, [directory as usize, text(path), address(&how), size, 0, 0]))
}

/// Opens a path.
pub fn openat(directory: i32, path: &CStr, flags: usize, mode: u32) -> Answer<Fd> {
    let flags = flags | open::CLOEXEC;
    descriptor(call(number::OPENAT, [directory as usize, text(path), flags, mode as usize, 0, 0]))
}

/// Makes a directory.
pub fn mkdirat(directory: &Fd, name: &CStr, mode: u32) -> Answer<()> {
    done(call(number::MKDIRAT, [directory.0 as usize, text(name), mode as usize, 0, 0, 0]))
}

/// Makes a node.
pub fn mknodat(directory: &Fd, name: &CStr, mode: u32, device: u64) -> Answer<()> {
    done(call(number::MKNODAT, [directory.0 as usize, text(name), mode as usize, device as usize, 0, 0]))
}

/// Makes a symbolic link.
pub fn symlinkat(to: &CStr, directory: &Fd, name: &CStr) -> Answer<()> {
    done(call(number::SYMLINKAT, [text(to), directory.0 as usize, text(name), 0, 0, 0]))
}

/// Reads a symbolic link.
pub fn readlinkat(directory: &Fd, name: &CStr, buffer: &mut [u8]) -> Answer<usize> {
    call(number::READLINKAT, [directory.0 as usize, text(name), address_mut(buffer), buffer.len(), 0, 0])
}

/// Removes a name that is not a directory.
pub fn unlinkat(directory: &Fd, name: &CStr) -> Answer<()> {
    done(call(number::UNLINKAT, [directory.0 as usize, text(name), 0, 0, 0, 0]))
}

/// Sets owner and group of a name, not following a link.
pub fn chownat(directory: &Fd, name: &CStr, uid: u32, gid: u32) -> Answer<()> {
    const AT_SYMLINK_NOFOLLOW: usize = 0x100;
    let ids = (uid as usize, gid as usize);
    done(call(number::FCHOWNAT, [directory.0 as usize, text(name), ids.0, ids.1, AT_SYMLINK_NOFOLLOW, 0]))
}

/// Sets the owner of what an open descriptor leads to; the group stays.
pub fn set_owner(fd: &Fd, uid: u32) -> Answer<()> {
    const SAME: usize = u32::MAX as usize;
    done(call(number::FCHOWN, [fd.0 as usize, uid as usize, SAME, 0, 0, 0]))
}

/// Sets an extended attribute.
pub fn set_attribute(fd: &Fd, name: &CStr, value: &[u8]) -> Answer<()> {
    let arguments = [fd.0 as usize, text(name), address(value), value.len(), 0, 0];
    done(call(number::FSETXATTR, arguments))
}

/// Sets the permission bits of a name that is known not to be a link.
pub fn chmodat(directory: &Fd, name: &CStr, mode: u32) -> Answer<()> {
    done(call(number::FCHMODAT, [directory.0 as usize, text(name), mode as usize, 0, 0, 0]))
}

/// What a node is.
#[repr(C)]
#[derive(Debug, Default)]
pub struct Status {
    mask: u32,
    block_size: u32,
    attributes: u64,
    links: u32,
    pub uid: u32,
    pub gid: u32,
    pub mode: u16,
    spare: u16,
    pub inode: u64,
    pub size: u64,
    blocks: u64,
    attributes_mask: u64,
    times: [u64; 8],
    pub device_major: u32,
    pub device_minor: u32,
    /// Major and minor number of the device that holds it.
    pub holder: [u32; 2],
    mount_id: u64,
    rest: [u64; 13],
}

/// File types in [`Status::mode`].
pub mod file_type {
    pub const MASK: u16 = 0o170000;
    pub const DIRECTORY: u16 = 0o040000;
    pub const REGULAR: u16 = 0o100000;
    pub const CHARACTER: u16 = 0o020000;
    pub const BLOCK: u16 = 0o060000;
    pub const FIFO: u16 = 0o010000;
    pub const LINK: u16 = 0o120000;
}

impl Status {
    /// The file type bits.
    pub fn file_type(&self) -> u16 {
        self.mode & file_type::MASK
    }
}

/// What an open descriptor leads to.
pub fn status(fd: &Fd) -> Answer<Status> {
    status_at(fd, EMPTY)
}

/// What a name in a directory is, not following a link.
pub fn status_at(directory: &Fd, name: &CStr) -> Answer<Status> {
    const AT_SYMLINK_NOFOLLOW: usize = 0x100;
    statx(directory.0, name, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW)
}

/// What a path leads to.
pub fn status_of(path: &CStr) -> Answer<Status> {
    statx(HERE, path, 0)
}

/// The number of the mount that holds an open descriptor.
pub fn mount_id(fd: &Fd) -> Answer<u64> {
    const MOUNT_ID: usize = 0x1000;
    statx_for(fd.0, EMPTY, AT_EMPTY_PATH, MOUNT_ID).map(|status| status.mount_id)
}

fn statx(directory: i32, path: &CStr, flags: usize) -> Answer<Status> {
    const BASIC: usize = 0x7ff;
    statx_for(directory, path, flags, BASIC)
}

fn statx_for(directory: i32, path: &CStr, flags: usize, what: usize) -> Answer<Status> {
    let mut status = Status::default();
    call(number::STATX, [directory as usize, text(path), flags, what, address_mut(&mut status), 0])?;
    Ok(status)
}

/// The magic number of the file system that holds an open descriptor.
pub fn filesystem_magic(fd: &Fd) -> Answer<u64> {
    let [magic, ..] = filesystem(fd)?;
    Ok(magic)
}

/// What the kernel says about the file system that holds an open descriptor: the words of a `struct statfs`.
pub(super) fn filesystem(fd: &Fd) -> Answer<[u64; 16]> {
    let mut words = [0; 16];
    call(number::FSTATFS, [fd.0 as usize, address_mut(&mut words), 0, 0, 0, 0])?;
    Ok(words)
}

/// The magic number of procfs.
pub const PROC_MAGIC: u64 = 0x9fa0;

/// The magic number of devpts.
pub const PTS_MAGIC: u64 = 0x1cd1;

/// Whether the effective user may execute what the path leads to.
pub fn may_execute(path: &CStr) -> Answer<()> {
    const X_OK: usize = 1;
    const AT_EACCESS: usize = 0x200;
    match done(call(number::FACCESSAT2, [HERE as usize, text(path), X_OK, AT_EACCESS, 0, 0])) {
        // The execution will tell.
        Err(errno) if errno.is_missing_call() => Ok(()),
        answer => answer,
    }
}

/// Changes the working directory.
pub fn chdir(path: &CStr) -> Answer<()> {
    done(call(number::CHDIR, [text(path), 0, 0, 0, 0, 0]))
}

/// Changes the working directory to an open one.
pub fn fchdir(directory: &Fd) -> Answer<()> {
    done(call(number::FCHDIR, [directory.0 as usize, 0, 0, 0, 0, 0]))
}

/// The path of the working directory, in `buffer`.
pub fn getcwd(buffer: &mut [u8]) -> Answer<usize> {
    call(number::GETCWD, [address_mut(buffer), buffer.len(), 0, 0, 0, 0])
}

// Mounts ---------------------------------------------------------------------------------------------------------

/// Makes the open directory the root of the mount namespace, and puts the old root on top of it.
pub fn pivot_root_here() -> Answer<()> {
    done(call(number::PIVOT_ROOT, [text(c"."), text(c"."), 0, 0, 0, 0]))
}

/// Detaches what is mounted on the working directory.
pub fn detach_here() -> Answer<()> {
    const MNT_DETACH: usize = 2;
    done(call(number::UMOUNT2, [text(c"."), MNT_DETACH, 0, 0, 0, 0]))
}

/// Changes the root directory of this process to its working directory.
pub fn chroot_here() -> Answer<()> {
    done(call(number::CHROOT, [text(c"."), 0, 0, 0, 0, 0]))
}

/// Changes the propagation of the mount at `/`.
pub fn set_root_propagation(flags: usize) -> Answer<()> {
    done(call(number::MOUNT, [0, text(c"/"), 0, flags, 0, 0]))
}

/// Mount flags for propagation.
pub mod propagation {
    pub const RECURSIVE: usize = 1 << 14;
    pub const UNBINDABLE: usize = 1 << 17;
    pub const PRIVATE: usize = 1 << 18;
    pub const SLAVE: usize = 1 << 19;
    pub const SHARED: usize = 1 << 20;
}

const AT_RECURSIVE: usize = 0x8000;

/// Copies the mount that holds an open descriptor, from there down, as a detached mount.
pub fn clone_tree(fd: &Fd, recursive: bool) -> Answer<Fd> {
    clone_tree_at(fd.0, EMPTY, recursive)
}

/// Copies the mount that holds a path, from there down, as a detached mount. A link at the path is not followed.
pub fn clone_tree_at(directory: i32, path: &CStr, recursive: bool) -> Answer<Fd> {
    const CLONE: usize = 1;
    const AT_SYMLINK_NOFOLLOW: usize = 0x100;
    let recursive = if recursive { AT_RECURSIVE } else { 0 };
    let flags = CLONE | open::CLOEXEC | AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | recursive;
    descriptor(call(number::OPEN_TREE, [directory as usize, text(path), flags, 0, 0, 0]))
}

/// The same, read-only from the start. KERNEL(6.15)
pub fn clone_tree_readonly(fd: &Fd) -> Answer<Fd> {
    const CLONE: usize = 1;
    let flags = CLONE | open::CLOEXEC | AT_EMPTY_PATH | AT_RECURSIVE;
    let attributes = [ATTRIBUTE_READ_ONLY, 0, 0, 0];
    let size = size_of_val(&attributes);
    descriptor(call(
        number::OPEN_TREE_ATTR,
        [fd.0 as usize, text(EMPTY), flags, address(&attributes), size, 0],
    ))
}

/// Attaches a detached mount, or moves an attached one, onto an open descriptor.
pub fn move_mount(mount: &Fd, onto: &Fd) -> Answer<()> {
    move_mount_at(mount, onto.0, EMPTY)
}

/// Attaches a mount on a path.
pub fn move_mount_at(mount: &Fd, directory: i32, path: &CStr) -> Answer<()> {
    const FROM_EMPTY_PATH: usize = 0x04;
    const TO_EMPTY_PATH: usize = 0x40;
    let flags = FROM_EMPTY_PATH | TO_EMPTY_PATH;
    done(call(number::MOVE_MOUNT, [mount.0 as usize, text(EMPTY), directory as usize, text(path), flags, 0]))
}

/// A change of a mount: attributes to set and to clear, and its propagation (0 to leave it).
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct MountChange {
    pub set: u64,
    pub clear: u64,
    pub propagation: u64,
}

/// Changes a mount, and the mounts below it if that is wanted.
pub fn change_mount(mount: &Fd, change: MountChange, recursive: bool) -> Answer<()> {
    let attributes = [change.set, change.clear, change.propagation, 0];
    let recursive = if recursive { AT_RECURSIVE } else { 0 };
    let (flags, size) = (AT_EMPTY_PATH | recursive, size_of_val(&attributes));
    let answer =
        call(number::MOUNT_SETATTR, [mount.0 as usize, text(EMPTY), flags, address(&attributes), size, 0]);
    match done(answer) {
        Err(errno) if errno.is_missing_call() => old_mounts::change(mount, change, recursive != 0, errno),
        answer => answer,
    }
}

/// The mount attribute of read-only mounts.
pub const ATTRIBUTE_READ_ONLY: u64 = 1;

/// Mounts a new instance of a file system on the working directory.
pub fn mount_here(source: &CStr, fstype: &CStr, flags: u64, data: &CStr) -> Answer<()> {
    done(call(number::MOUNT, [text(source), text(c"."), text(fstype), flags as usize, text(data), 0]))
}

/// Flags of `mount`.
pub mod mount_flag {
    pub const READ_ONLY: u64 = 1;
    pub const NO_SUID: u64 = 2;
    pub const NO_DEV: u64 = 4;
    pub const NO_EXEC: u64 = 8;
}

// Memory and execution -------------------------------------------------------------------------------------------

/// Maps a file read-only, for good.
pub fn map(fd: &Fd, length: usize) -> Answer<&'static [u8]> {
    const PROT_READ: usize = 1;
    const MAP_PRIVATE: usize = 2;
    let start = call(number::MMAP, [0, length, PROT_READ, MAP_PRIVATE, fd.0 as usize, 0])?;
    // SAFETY: the kernel just gave us this range; it is never unmapped, and our parent doesn't change the file.
    Ok(unsafe { core::slice::from_raw_parts(start as *const u8, length) })
}

/// Fresh zeroed memory for `count` words.
pub fn words(count: usize) -> Answer<&'static mut [usize]> {
    const PROT_READ_WRITE: usize = 3;
    const MAP_PRIVATE_ANONYMOUS: usize = 0x22;
    let length = count * size_of::<usize>();
    let start = call(number::MMAP, [0, length, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, usize::MAX, 0])?;
    // SAFETY: the kernel just gave us this range, page-aligned, and nobody else knows it.
    Ok(unsafe { core::slice::from_raw_parts_mut(start as *mut usize, count) })
}

/// Fresh memory for `count` group ids.
pub fn group_memory(count: usize) -> Answer<&'static mut [u32]> {
    let words = words(count)?;
    // SAFETY: a word has room for an id and at least its alignment, and the memory is nobody else's.
    Ok(unsafe { core::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), count) })
}

/// As many pointers as fit without asking the kernel for memory.
const FEW_TEXTS: usize = 256;

/// A vector of text pointers, as `execve` wants it.
pub struct Texts<'a> {
    few: [usize; FEW_TEXTS],
    many: Option<&'static mut [usize]>,
    texts: PhantomData<&'a CStr>,
}

impl<'a> Texts<'a> {
    /// Collects texts, and one more; `count` is how many the iterator gives.
    pub fn collect(
        texts: impl Iterator<Item = &'a CStr>,
        count: usize,
        last: Option<&'a CStr>,
    ) -> Answer<Self> {
        // One for the last text, and one for the null pointer at the end.
        let needed = count + 2;
        let many = if needed > FEW_TEXTS { Some(words(needed)?) } else { None };
        let mut vector = Texts { few: [0; FEW_TEXTS], many, texts: PhantomData };
        for (place, each) in vector.pointers_mut().iter_mut().zip(texts.take(count).chain(last)) {
            *place = text(each);
        }
        Ok(vector)
    }

    fn pointers_mut(&mut self) -> &mut [usize] {
        match &mut self.many {
            Some(many) => many,
            None => &mut self.few,
        }
    }

    fn address(&self) -> usize {
        match &self.many {
            Some(many) => address::<[usize]>(many),
            None => address(&self.few),
        }
    }
}

/// Executes a program. Returns only if that fails.
pub fn execve(path: &CStr, arguments: &Texts<'_>, environment: &Texts<'_>) -> Errno {
    match call(number::EXECVE, [text(path), arguments.address(), environment.address(), 0, 0, 0]) {
        Err(errno) => errno,
        Ok(_) => Errno(0),
    }
}
