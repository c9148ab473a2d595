//! Who the process is, and what it may do.

use serde_json::{Value, json};

use crate::files;

/// Real, effective, saved and file system ids.
pub fn ids() -> Value {
    let four = |name| {
        let line = files::status(name);
        let numbers =
            line.as_str().unwrap_or_default().split_whitespace().map(|word| word.parse::<u64>().ok());
        json!(numbers.collect::<Vec<_>>())
    };
    // SAFETY: these calls take and touch nothing.
    let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
    json!({"uid": uid, "gid": gid, "uids": four("Uid"), "gids": four("Gid")})
}

/// The supplementary groups, in the kernel's order.
pub fn groups() -> Value {
    let mut list = [0; 1024];
    // SAFETY: the list has room for that many ids.
    let count = unsafe { libc::getgroups(1024, list.as_mut_ptr()) };
    json!(list.iter().take(usize::try_from(count).unwrap_or(0)).collect::<Vec<_>>())
}

/// The five sets, as bits, asked of the kernel.
pub fn capabilities() -> Value {
    let mut header = [0x2008_0522_u32, 0];
    let mut sets = [[0_u32; 3]; 2];
    // SAFETY: version 3 of the interface writes two triples.
    unsafe { libc::syscall(libc::SYS_capget, header.as_mut_ptr(), sets.as_mut_ptr()) };
    let whole = |index: usize| u64::from(sets[0][index]) | u64::from(sets[1][index]) << 32;
    let bits =
        |test: &dyn Fn(u64) -> bool| (0..64).filter(|bit| test(*bit)).fold(0_u64, |set, bit| set | 1 << bit);
    let bounding = bits(&|bit| prctl(libc::PR_CAPBSET_READ, bit, 0) == 1);
    let ambient = bits(&|bit| {
        prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_IS_SET.cast_unsigned().into(), bit) == 1
    });
    json!({
        "effective": whole(0), "permitted": whole(1), "inheritable": whole(2), "bounding": bounding, "ambient": ambient
    })
}

/// Keeps the user, and gives up what he may do.
pub fn give_up_capabilities() {
    let mut header = [0x2008_0522_u32, 0];
    let sets = [[0_u32; 3]; 2];
    // SAFETY: version 3 of the interface reads two triples.
    unsafe { libc::syscall(libc::SYS_capset, header.as_mut_ptr(), sets.as_ptr()) };
}

/// The securebits of the thread.
pub fn securebits() -> Value {
    json!(prctl(libc::PR_GET_SECUREBITS, 0, 0))
}

/// Whether exec can no longer gain privileges.
pub fn no_new_privileges() -> Value {
    json!(prctl(libc::PR_GET_NO_NEW_PRIVS, 0, 0) == 1)
}

fn prctl(option: i32, second: u64, third: u64) -> i32 {
    // SAFETY: the options used here take numbers only.
    unsafe { libc::prctl(option, second, third, 0_u64, 0_u64) }
}
