//! The child: from a fresh process to the payload.

use std::ffi::{CStr, c_char, c_int, c_ulong};
use std::ptr::null;

use crate::must;

const GUARDED: c_ulong = libc::MS_NOSUID | libc::MS_NOEXEC | libc::MS_NODEV;

/// Destination below the rootfs, type, flags, data.
const MOUNTS: [(&CStr, &CStr, c_ulong, Option<&CStr>); 7] = [
    (c"proc", c"proc", 0, None),
    (c"dev", c"tmpfs", libc::MS_NOSUID | libc::MS_STRICTATIME, Some(c"mode=755,size=65536k")),
    (
        c"dev/pts",
        c"devpts",
        libc::MS_NOSUID | libc::MS_NOEXEC,
        Some(c"newinstance,ptmxmode=0666,mode=0620,gid=5"),
    ),
    (c"dev/shm", c"tmpfs", GUARDED, Some(c"mode=1777,size=65536k")),
    (c"dev/mqueue", c"mqueue", GUARDED, None),
    (c"sys", c"sysfs", GUARDED | libc::MS_RDONLY, None),
    (c"sys/fs/cgroup", c"cgroup2", GUARDED | libc::MS_RELATIME | libc::MS_RDONLY, None),
];

const NODES: [(&CStr, u32, u32); 6] = [
    (c"dev/null", 1, 3),
    (c"dev/zero", 1, 5),
    (c"dev/full", 1, 7),
    (c"dev/random", 1, 8),
    (c"dev/urandom", 1, 9),
    (c"dev/tty", 5, 0),
];

const LINKS: [(&CStr, &CStr); 6] = [
    (c"/proc/self/fd", c"dev/fd"),
    (c"/proc/self/fd/0", c"dev/stdin"),
    (c"/proc/self/fd/1", c"dev/stdout"),
    (c"/proc/self/fd/2", c"dev/stderr"),
    (c"/proc/kcore", c"dev/core"),
    (c"pts/ptmx", c"dev/ptmx"),
];

const MASKED: [&CStr; 10] = [
    c"/proc/acpi",
    c"/proc/asound",
    c"/proc/kcore",
    c"/proc/keys",
    c"/proc/latency_stats",
    c"/proc/timer_list",
    c"/proc/timer_stats",
    c"/proc/sched_debug",
    c"/sys/firmware",
    c"/proc/scsi",
];

const READONLY: [&CStr; 5] = [c"/proc/bus", c"/proc/fs", c"/proc/irq", c"/proc/sys", c"/proc/sysrq-trigger"];

/// CAP_KILL, CAP_NET_BIND_SERVICE, CAP_AUDIT_WRITE.
const CAPABILITIES: u64 = 1 << 5 | 1 << 10 | 1 << 29;
const LAST_CAPABILITY: u32 = 40;

/// Carries out the default configuration and executes the program; does not return.
pub fn become_the_container(rootfs: &CStr, program: *const *const c_char) -> ! {
    must!(libc::setsid());
    must!(libc::syscall(libc::SYS_keyctl, 1, null::<c_char>()));
    must!(libc::sethostname(c"floor".as_ptr(), 5));
    enter_a_private_tree(rootfs);
    MOUNTS.iter().for_each(|(place, kind, flags, data)| mount(kind, place, kind, *flags, *data));
    make_devices();
    pivot();
    READONLY.iter().for_each(|path| make_read_only(path));
    MASKED.iter().for_each(|path| mask(path));
    remount(c"/", libc::MS_BIND | libc::MS_REMOUNT | libc::MS_RDONLY);
    give_up_privileges();
    execute(program)
}

fn enter_a_private_tree(rootfs: &CStr) {
    must!(libc::mount(null(), c"/".as_ptr(), null(), libc::MS_SLAVE | libc::MS_REC, null()));
    mount(rootfs, rootfs, c"bind", libc::MS_BIND | libc::MS_REC, None);
    must!(libc::chdir(rootfs.as_ptr()));
}

fn mount(source: &CStr, place: &CStr, kind: &CStr, flags: c_ulong, data: Option<&CStr>) {
    if place == c"dev/pts" || place == c"dev/shm" || place == c"dev/mqueue" {
        must!(libc::mkdir(place.as_ptr(), 0o755));
    }
    let data = data.map_or(null(), CStr::as_ptr);
    must!(libc::mount(source.as_ptr(), place.as_ptr(), kind.as_ptr(), flags, data.cast()));
}

fn remount(place: &CStr, flags: c_ulong) {
    must!(libc::mount(null(), place.as_ptr(), null(), flags, null()));
}

fn make_devices() {
    must!(libc::umask(0) as c_int);
    for (path, major, minor) in NODES {
        must!(libc::mknod(path.as_ptr(), libc::S_IFCHR | 0o666, libc::makedev(major, minor)));
    }
    for (target, path) in LINKS {
        must!(libc::symlink(target.as_ptr(), path.as_ptr()));
    }
    must!(libc::umask(0o22) as c_int);
}

/// The old root ends up on top of the new one, and is taken off.
fn pivot() {
    must!(libc::syscall(libc::SYS_pivot_root, c".".as_ptr(), c".".as_ptr()));
    remount(c".", libc::MS_SLAVE | libc::MS_REC);
    must!(libc::umount2(c".".as_ptr(), libc::MNT_DETACH));
    must!(libc::chdir(c"/".as_ptr()));
}

/// Paths that this kernel lacks need no protection.
fn make_read_only(path: &CStr) {
    // SAFETY: both texts outlive the call.
    let bound =
        unsafe { libc::mount(path.as_ptr(), path.as_ptr(), null(), libc::MS_BIND | libc::MS_REC, null()) };
    if bound == 0 {
        remount(path, libc::MS_BIND | libc::MS_REMOUNT | libc::MS_RDONLY);
    }
}

/// A file is covered by `/dev/null`, a directory by an empty file system.
fn mask(path: &CStr) {
    // SAFETY: all texts outlive the call.
    let bound = unsafe { libc::mount(c"/dev/null".as_ptr(), path.as_ptr(), null(), libc::MS_BIND, null()) };
    // SAFETY: the C library keeps one errno per thread.
    if bound != 0 && unsafe { *libc::__errno_location() } == libc::ENOTDIR {
        must!(libc::mount(c"tmpfs".as_ptr(), path.as_ptr(), c"tmpfs".as_ptr(), libc::MS_RDONLY, null()));
    }
}

fn give_up_privileges() {
    let limit = libc::rlimit { rlim_cur: 1024, rlim_max: 1024 };
    must!(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit));
    for capability in (0..=LAST_CAPABILITY).filter(|bit| CAPABILITIES & 1 << bit == 0) {
        must!(libc::prctl(libc::PR_CAPBSET_DROP, capability));
    }
    must!(libc::setgroups(0, null()));
    must!(libc::setresgid(0, 0, 0));
    must!(libc::setresuid(0, 0, 0));
    let header = [0x2008_0522_u32, 0];
    let low = CAPABILITIES as u32;
    let sets = [[low, low, 0], [0; 3]];
    must!(libc::syscall(libc::SYS_capset, header.as_ptr(), sets.as_ptr()));
    must!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    must!(libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC));
}

fn execute(program: *const *const c_char) -> ! {
    let path = c"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    let environment = [path.as_ptr(), c"TERM=xterm".as_ptr(), null()];
    must!(libc::execve(*program, program, environment.as_ptr()));
    // SAFETY: the call takes a number and does not return; it is reached by no one.
    unsafe { libc::_exit(1) }
}
