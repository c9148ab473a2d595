//! Leaving the caller's world: descriptors, signals, session, namespaces.

use core::ffi::CStr;

use crate::fault::{Of, Outcome};
use crate::step::{Call, Namespace};
use crate::sys::{self, Fd, open};
use crate::sysctl::write_whole;

const CLONE_NEWTIME: usize = 0x80;
const CLONE_NEWCGROUP: usize = 0x0200_0000;

pub fn isolate(dialogue: u32, ignored: u64, all_cpus: bool, few: u32) -> Outcome {
    // The dialogue's number is the first that the program does not get. What was above it went with our execution.
    sys::close_on_exec(dialogue).of(Call::CloseRange)?;
    sys::leave_open_below(few);
    for signal in (1..=64).filter(|signal| ignored & (1 << (signal - 1)) != 0) {
        sys::reset_signal(signal).of(Call::Signal)?;
    }
    if all_cpus {
        // The kernel takes what the cgroup allows of them. Where it may not be asked, the caller's choice remains.
        let _ = sys::allow_all_cpus();
    }
    sys::unblock_signals().of(Call::Signal)?;
    sys::umask(0);
    sys::setsid().of(Call::Setsid)
}

pub fn conceal() -> Outcome {
    sys::prctl(sys::prctl_option::SET_DUMPABLE, 0, 0).of(Call::Prctl)
}

pub fn join(namespace: Fd, kind: Namespace) -> Outcome {
    sys::setns(&namespace, clone_flag(kind)).of(Call::Setns)
}

/// Enters namespaces of a process. In its user namespace nobody is us: there we become root.
pub fn enter(process: Fd, kinds: impl Iterator<Item = Namespace>) -> Outcome {
    let flags = kinds.fold(0, |flags, kind| flags | clone_flag(kind));
    sys::setns(&process, flags).of(Call::Setns)?;
    if flags & clone_flag(Namespace::User) != 0 {
        sys::setresgid(0).of(Call::BecomeRoot)?;
        sys::setresuid(0).of(Call::BecomeRoot)?;
    }
    Ok(())
}

fn clone_flag(kind: Namespace) -> usize {
    match kind {
        Namespace::User => 0x1000_0000,
        Namespace::Mount => 0x0002_0000,
        Namespace::Pid => 0x2000_0000,
        Namespace::Network => 0x4000_0000,
        Namespace::Ipc => 0x0800_0000,
        Namespace::Uts => 0x0400_0000,
        Namespace::Cgroup => CLONE_NEWCGROUP,
        Namespace::Time => CLONE_NEWTIME,
    }
}

pub fn new_cgroup_namespace() -> Outcome {
    sys::unshare(CLONE_NEWCGROUP).of(Call::Unshare)
}

pub fn new_time_namespace(offsets: &CStr) -> Outcome {
    sys::unshare(CLONE_NEWTIME).of(Call::Unshare)?;
    let myself = sys::proc_directory(c"self").of(Call::TrustedProc)?;
    let file = sys::open_in_proc(&myself, c"timens_offsets", open::WRITE).of(Call::Open)?;
    write_whole(&file, offsets)?;
    // Only children would be born in it: this process enters by itself.
    let namespace = sys::open_linked(&myself, c"ns", c"time_for_children").of(Call::Open)?;
    sys::setns(&namespace, CLONE_NEWTIME).of(Call::Setns)
}

pub fn bring_loopback_up() -> Outcome {
    const UP: u16 = 1;
    const RUNNING: u16 = 0x40;
    let socket = sys::datagram_socket().of(Call::Socket)?;
    sys::set_interface_flags(&socket, b"lo\0\0\0\0\0\0\0\0\0\0\0\0\0\0", UP | RUNNING).of(Call::Ioctl)
}

pub fn set_hostname(name: &CStr) -> Outcome {
    sys::sethostname(name).of(Call::Sethostname)
}

pub fn set_domainname(name: &CStr) -> Outcome {
    sys::setdomainname(name).of(Call::Setdomainname)
}
