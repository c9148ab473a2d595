//! bpf(2), as far as device programs of cgroups need it.

use std::ffi::CStr;
use std::mem::offset_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::io::Errno;

/// One instruction, as the kernel reads it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
pub(crate) struct Instruction {
    /// Operation.
    pub(crate) code: u8,
    /// Destination register in the low half, source register in the high half.
    pub(crate) registers: u8,
    /// Jump distance or address offset.
    pub(crate) offset: i16,
    /// Immediate operand.
    pub(crate) immediate: i32,
}

/// The name under which our programs are listed, and by which an older one of ours is found.
pub(crate) const NAME: &[u8; 16] = b"runtime_devices\0";

const PROG_LOAD: libc::c_long = 5;
const PROG_ATTACH: libc::c_long = 8;
const PROG_DETACH: libc::c_long = 9;
const PROG_GET_FD_BY_ID: libc::c_long = 13;
const OBJ_GET_INFO_BY_FD: libc::c_long = 15;
const PROG_QUERY: libc::c_long = 16;

const PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const CGROUP_DEVICE: u32 = 6;
const ALLOW_MULTI: u32 = 2;
const REPLACE: u32 = 4;

/// How many programs a cgroup can carry.
const MOST: usize = 64;

/// Room for any kernel's `union bpf_attr`, of which 6.18 knows 168 bytes. Some kernels write results at offsets
/// beyond the size that they were told, so that every call passes all of it; the unused rest is zero, as the kernel
/// demands.
const SIZE: usize = 256;

/// `union bpf_attr`, with one of the calls' own structures at its start.
#[repr(C, align(8))]
union Attr {
    all: [u8; SIZE],
    load: Load,
    attach: Attach,
    query: Query,
    by_id: ById,
    info: Info,
}

#[derive(Clone, Copy)]
#[repr(C)]
struct Load {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
    name: [u8; 16],
    interface: u32,
    attach_type: u32,
}

#[derive(Clone, Copy)]
#[repr(C)]
struct Attach {
    target: i32,
    program: i32,
    kind: u32,
    flags: u32,
    replaced: i32,
}

#[derive(Clone, Copy)]
#[repr(C)]
struct Query {
    target: i32,
    kind: u32,
    query_flags: u32,
    attach_flags: u32,
    ids: u64,
    count: u32,
    padding: u32,
    attach_flags_of_each: u64,
    link_ids: u64,
    link_attach_flags: u64,
    revision: u64,
}

#[derive(Clone, Copy)]
#[repr(C)]
struct ById {
    id: u32,
}

#[derive(Clone, Copy)]
#[repr(C)]
struct Info {
    program: i32,
    size: u32,
    info: u64,
}

/// The start of `struct bpf_prog_info`, up to the name.
#[repr(C)]
struct ProgramInfo {
    kind: u32,
    id: u32,
    tag: [u8; 8],
    jited_size: u32,
    translated_size: u32,
    jited: u64,
    translated: u64,
    load_time: u64,
    creator: u32,
    maps: u32,
    map_ids: u64,
    name: [u8; 16],
}

const _: () = assert!(offset_of!(Load, name) == 48 && size_of::<Load>() == 72);
const _: () = assert!(offset_of!(Query, revision) == 56);
const _: () = assert!(offset_of!(ProgramInfo, name) == 64);
const _: () = assert!(size_of::<Attr>() == SIZE);

impl Attr {
    fn zeroed() -> Self {
        Attr { all: [0; SIZE] }
    }
}

fn call(command: libc::c_long, attr: &mut Attr) -> rustix::io::Result<i32> {
    // SAFETY: `attr` is as large as it is said to be, and its callers let it point to memory that outlives the call.
    let result = unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut *attr, SIZE) };
    match i32::try_from(result) {
        Ok(value) if value >= 0 => Ok(value),
        _ => Err(Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)),
    }
}

fn owned(fd: i32) -> OwnedFd {
    // SAFETY: the kernel has just made this descriptor (with close-on-exec, as always for bpf) and nobody else has it.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// Loads a program of type `BPF_PROG_TYPE_CGROUP_DEVICE`. The verifier says EINVAL or EACCES to a malformed one.
pub(crate) fn load_device_program(program: &[Instruction]) -> rustix::io::Result<OwnedFd> {
    const LICENSE: &CStr = c"Apache-2.0";
    let mut attr = Attr::zeroed();
    attr.load = Load {
        kind: PROG_TYPE_CGROUP_DEVICE,
        count: u32::try_from(program.len()).map_err(|_| Errno::TOOBIG)?,
        instructions: program.as_ptr() as u64,
        license: LICENSE.as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log: 0,
        kernel_version: 0,
        flags: 0,
        name: *NAME,
        interface: 0,
        attach_type: CGROUP_DEVICE,
    };
    // The verifier gives up when a signal comes, even if that is ignored or handled.
    const ATTEMPTS: usize = 100;
    let mut answers = (0..ATTEMPTS).map(|_| call(PROG_LOAD, &mut attr));
    answers.find(|answer| *answer != Err(Errno::AGAIN)).unwrap_or(Err(Errno::AGAIN)).map(owned)
}

/// Attaches a device program to a cgroup, beside those of others, in place of `replaced` (Linux 5.6) if there is one.
pub(crate) fn attach(
    cgroup: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
    replaced: Option<BorrowedFd<'_>>,
) -> rustix::io::Result<()> {
    let mut attr = Attr::zeroed();
    attr.attach = Attach {
        target: cgroup.as_raw_fd(),
        program: program.as_raw_fd(),
        kind: CGROUP_DEVICE,
        flags: if replaced.is_some() { ALLOW_MULTI | REPLACE } else { ALLOW_MULTI },
        replaced: replaced.map_or(0, |fd| fd.as_raw_fd()),
    };
    call(PROG_ATTACH, &mut attr).map(drop)
}

/// Takes a device program off a cgroup.
pub(crate) fn detach(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> rustix::io::Result<()> {
    let mut attr = Attr::zeroed();
    attr.attach = Attach {
        target: cgroup.as_raw_fd(),
        program: program.as_raw_fd(),
        kind: CGROUP_DEVICE,
        flags: 0,
        replaced: 0,
    };
    call(PROG_DETACH, &mut attr).map(drop)
}

/// The device programs that are attached to this very cgroup, by id.
pub(crate) fn attached(cgroup: BorrowedFd<'_>) -> rustix::io::Result<Vec<u32>> {
    let mut ids = vec![0u32; MOST];
    let mut attr = Attr::zeroed();
    attr.query = Query {
        target: cgroup.as_raw_fd(),
        kind: CGROUP_DEVICE,
        query_flags: 0,
        attach_flags: 0,
        ids: ids.as_mut_ptr() as u64,
        count: MOST as u32,
        padding: 0,
        attach_flags_of_each: 0,
        link_ids: 0,
        link_attach_flags: 0,
        revision: 0,
    };
    call(PROG_QUERY, &mut attr)?;
    // SAFETY: every byte of `attr` was initialised, and any bytes make a `Query`.
    let count = unsafe { attr.query.count };
    ids.truncate(count as usize);
    Ok(ids)
}

/// A descriptor of the program with this id; ENOENT when it is gone.
pub(crate) fn program(id: u32) -> rustix::io::Result<OwnedFd> {
    let mut attr = Attr::zeroed();
    attr.by_id = ById { id };
    call(PROG_GET_FD_BY_ID, &mut attr).map(owned)
}

/// Whether the program bears our [`NAME`].
pub(crate) fn is_ours(program: BorrowedFd<'_>) -> rustix::io::Result<bool> {
    // What the kernel reads from here must be zero, and it writes no more than the size it is told.
    let mut info = ProgramInfo {
        kind: 0,
        id: 0,
        tag: [0; 8],
        jited_size: 0,
        translated_size: 0,
        jited: 0,
        translated: 0,
        load_time: 0,
        creator: 0,
        maps: 0,
        map_ids: 0,
        name: [0; 16],
    };
    let mut attr = Attr::zeroed();
    attr.info = Info {
        program: program.as_raw_fd(),
        size: size_of::<ProgramInfo>() as u32,
        info: &raw mut info as u64,
    };
    call(OBJ_GET_INFO_BY_FD, &mut attr)?;
    Ok(info.name == *NAME)
}
