//! Who the program is and what it may do.

use core::ffi::CStr;

use crate::fault::{Fault, Of, Outcome};
use crate::step::{Call, Step};
use crate::sys::{self, Errno, prctl_option};
use crate::wire::{Borrowed, List};

/// As many supplementary groups as the kernel allows.
const MOST_GROUPS: usize = 65536;

/// As many memory nodes as the kernel allows.
const MOST_NODES: usize = 1024;

pub fn join_session_keyring(name: &CStr) -> Outcome {
    /// The possessor may do anything; the owner may look, read, search and link.
    const PERMISSIONS: usize = 0x3f1b_0000;
    match sys::join_session_keyring(name) {
        // A kernel without keyrings has none that could be shared by mistake.
        Err(Errno::NOSYS) => Ok(()),
        answer => {
            let keyring = answer.of(Call::Keyctl)?;
            sys::set_key_permissions(keyring, PERMISSIONS).of(Call::Keyctl)
        }
    }
}

pub fn set_limit(resource: u32, soft: u64, hard: u64) -> Outcome {
    sys::set_limit(resource, soft, hard).of(Call::Prlimit)
}

pub fn set_personality(domain: u64) -> Outcome {
    sys::personality(domain).of(Call::Personality)
}

pub fn set_memory_policy(mode: u32, nodes: List<'_, u64>) -> Outcome {
    let mut set = [0u64; MOST_NODES / 64];
    for (place, word) in set.iter_mut().zip(nodes.iter()) {
        *place = word;
    }
    let set = set.get(..nodes.len()).ok_or(Fault::new(Call::SetMempolicy, Errno::INVAL))?;
    sys::set_memory_policy(mode, set).of(Call::SetMempolicy)
}

pub fn forbid_new_privileges() -> Outcome {
    sys::prctl(prctl_option::SET_NO_NEW_PRIVS, 1, 0).of(Call::Prctl)
}

pub fn drop_bounding(capabilities: u64) -> Outcome {
    each_capability(capabilities, |number| sys::prctl(prctl_option::CAPBSET_DROP, number, 0).of(Call::Prctl))
}

fn each_capability(set: u64, mut act: impl FnMut(usize) -> Outcome) -> Outcome {
    (0..64).filter(|number| set & (1 << number) != 0).try_for_each(|number| act(number as usize))
}

pub fn become_user(step: Step<Borrowed<'_>>) -> Outcome {
    let Step::BecomeUser { uid, gid, set_groups, groups, umask, directory } = step else {
        return Err(Fault::malformed());
    };
    if uid != 0 {
        sys::prctl(prctl_option::SET_KEEPCAPS, 1, 0).of(Call::Prctl)?;
    }
    if set_groups {
        set_supplementary_groups(groups)?;
    }
    sys::setresgid(gid).of(Call::Setresgid)?;
    let entered = enter(directory);
    sys::setresuid(uid).of(Call::Setresuid)?;
    sys::umask(umask);
    match entered {
        // A home on a network file system may be open to its user only.
        Err(Fault { errno: Errno::ACCES, .. }) => enter(directory),
        answer => answer,
    }
}

#[inline(never)]
fn set_supplementary_groups(groups: List<'_, u32>) -> Outcome {
    let mut few = [0u32; 64];
    if groups.len() > few.len() {
        return set_many_groups(groups);
    }
    for (place, group) in few.iter_mut().zip(groups.iter()) {
        *place = group;
    }
    sys::setgroups(few.get(..groups.len()).unwrap_or_default()).of(Call::Setgroups)
}

fn set_many_groups(groups: List<'_, u32>) -> Outcome {
    if groups.len() > MOST_GROUPS {
        return Err(Fault::new(Call::Setgroups, Errno::INVAL));
    }
    let memory = sys::group_memory(groups.len()).of(Call::Mmap)?;
    for (place, group) in memory.iter_mut().zip(groups.iter()) {
        *place = group;
    }
    sys::setgroups(memory).of(Call::Setgroups)
}

/// Enters a directory and makes sure that it is inside the root: a leaked descriptor must not serve as a way out
/// (CVE-2024-21626).
#[inline(never)]
fn enter(directory: &CStr) -> Outcome {
    let mut path = [0; 4096];
    sys::chdir(directory).of(Call::Chdir)?;
    sys::getcwd(&mut path).of(Call::Getcwd)?;
    if path.first() == Some(&b'/') { Ok(()) } else { Err(Fault::new(Call::InsideRoot, Errno::NOENT)) }
}

pub fn set_capabilities(effective: u64, permitted: u64, inheritable: u64, ambient: u64) -> Outcome {
    sys::capset(effective, permitted, inheritable).of(Call::Capset)?;
    if inheritable == 0 {
        // Nothing is ambient that is not inheritable.
        return Ok(());
    }
    sys::prctl(prctl_option::CAP_AMBIENT, prctl_option::CAP_AMBIENT_CLEAR_ALL, 0).of(Call::Prctl)?;
    let raise = |number| {
        sys::prctl(prctl_option::CAP_AMBIENT, prctl_option::CAP_AMBIENT_RAISE, number).of(Call::Prctl)
    };
    each_capability(ambient, raise)
}

pub fn install_seccomp(flags: u32, filter: Option<&[u8]>) -> Outcome {
    sys::seccomp(flags, filter.ok_or(Fault::malformed())?).of(Call::Seccomp).map(|_| ())
}
