//! A probe of system calls that sandboxes like to forbid, with arguments that can do no harm: what matters is whether
//! the answer comes from the call or from a filter in front of it.

use libc::c_long;
use serde_json::{Map, Value, json};

use crate::{errno, errno_name};

/// An address that is never mapped.
const BAD: c_long = -4096;
const NONE: c_long = -1;

type Call = (&'static str, c_long, [c_long; 6]);

const CALLS: &[Call] = &[
    ("acct", libc::SYS_acct, [BAD, 0, 0, 0, 0, 0]),
    ("add_key", libc::SYS_add_key, [BAD, BAD, 0, 0, 0, 0]),
    ("adjtimex", libc::SYS_adjtimex, [BAD, 0, 0, 0, 0, 0]),
    ("bpf", libc::SYS_bpf, [NONE, BAD, 0, 0, 0, 0]),
    ("chroot", libc::SYS_chroot, [BAD, 0, 0, 0, 0, 0]),
    ("clock_adjtime", libc::SYS_clock_adjtime, [NONE, BAD, 0, 0, 0, 0]),
    ("clock_settime", libc::SYS_clock_settime, [NONE, BAD, 0, 0, 0, 0]),
    ("clone3", libc::SYS_clone3, [BAD, 0, 0, 0, 0, 0]),
    ("delete_module", libc::SYS_delete_module, [BAD, 0, 0, 0, 0, 0]),
    ("fanotify_init", libc::SYS_fanotify_init, [NONE, 0, 0, 0, 0, 0]),
    ("finit_module", libc::SYS_finit_module, [NONE, BAD, 0, 0, 0, 0]),
    ("fsopen", libc::SYS_fsopen, [BAD, 0, 0, 0, 0, 0]),
    ("get_mempolicy", libc::SYS_get_mempolicy, [BAD, 0, 0, 0, 0, 0]),
    ("getpid", libc::SYS_getpid, [0; 6]),
    ("init_module", libc::SYS_init_module, [BAD, 0, BAD, 0, 0, 0]),
    ("io_uring_setup", libc::SYS_io_uring_setup, [1, BAD, 0, 0, 0, 0]),
    ("kcmp", libc::SYS_kcmp, [NONE, NONE, 0, 0, 0, 0]),
    ("kexec_load", libc::SYS_kexec_load, [0, 0, BAD, NONE, 0, 0]),
    ("keyctl", libc::SYS_keyctl, [NONE, 0, 0, 0, 0, 0]),
    ("landlock_create_ruleset", libc::SYS_landlock_create_ruleset, [BAD, 8, 0, 0, 0, 0]),
    ("lookup_dcookie", libc::SYS_lookup_dcookie, [0, BAD, 0, 0, 0, 0]),
    ("mbind", libc::SYS_mbind, [1, 1, NONE, BAD, 0, NONE]),
    ("memfd_secret", libc::SYS_memfd_secret, [NONE, 0, 0, 0, 0, 0]),
    ("mknodat", libc::SYS_mknodat, [NONE, BAD, 0, 0, 0, 0]),
    ("mount", libc::SYS_mount, [BAD, BAD, BAD, 0, 0, 0]),
    ("move_mount", libc::SYS_move_mount, [NONE, BAD, NONE, BAD, 0, 0]),
    ("move_pages", libc::SYS_move_pages, [NONE, 0, 0, 0, 0, NONE]),
    ("name_to_handle_at", libc::SYS_name_to_handle_at, [NONE, BAD, BAD, BAD, 0, 0]),
    ("nfsservctl", libc::SYS_nfsservctl, [0; 6]),
    ("open_by_handle_at", libc::SYS_open_by_handle_at, [NONE, BAD, 0, 0, 0, 0]),
    ("open_tree", libc::SYS_open_tree, [NONE, BAD, 0, 0, 0, 0]),
    ("perf_event_open", libc::SYS_perf_event_open, [BAD, 0, NONE, NONE, 0, 0]),
    ("pidfd_getfd", libc::SYS_pidfd_getfd, [NONE, NONE, 0, 0, 0, 0]),
    ("pivot_root", libc::SYS_pivot_root, [BAD, BAD, 0, 0, 0, 0]),
    ("process_vm_readv", libc::SYS_process_vm_readv, [NONE, 0, 0, 0, 0, 0]),
    ("ptrace", libc::SYS_ptrace, [NONE, NONE, 0, 0, 0, 0]),
    ("quotactl", libc::SYS_quotactl, [NONE, BAD, 0, 0, 0, 0]),
    ("reboot", libc::SYS_reboot, [0, 0, 0, 0, 0, 0]),
    ("request_key", libc::SYS_request_key, [BAD, BAD, 0, 0, 0, 0]),
    ("setdomainname", libc::SYS_setdomainname, [BAD, 1, 0, 0, 0, 0]),
    ("sethostname", libc::SYS_sethostname, [BAD, 1, 0, 0, 0, 0]),
    ("setns", libc::SYS_setns, [NONE, 0, 0, 0, 0, 0]),
    ("settimeofday", libc::SYS_settimeofday, [BAD, 0, 0, 0, 0, 0]),
    ("swapoff", libc::SYS_swapoff, [BAD, 0, 0, 0, 0, 0]),
    ("swapon", libc::SYS_swapon, [BAD, 0, 0, 0, 0, 0]),
    ("syslog", libc::SYS_syslog, [NONE, 0, 0, 0, 0, 0]),
    ("umount2", libc::SYS_umount2, [BAD, 0, 0, 0, 0, 0]),
    ("unshare", libc::SYS_unshare, [1, 0, 0, 0, 0, 0]),
    ("userfaultfd", libc::SYS_userfaultfd, [NONE, 0, 0, 0, 0, 0]),
];

/// The errno of each call, by name.
pub fn probe() -> Value {
    let answer = |(name, number, arguments): &Call| {
        let [a, b, c, d, e, f] = *arguments;
        // SAFETY: every address among the arguments is one that the kernel refuses.
        let done = unsafe { libc::syscall(*number, a, b, c, d, e, f) };
        let said = if done < 0 { errno_name(errno()) } else { String::from("0") };
        ((*name).to_owned(), json!(said))
    };
    Value::Object(CALLS.iter().map(answer).collect::<Map<_, _>>())
}
