//! The few questions to the kernel that no crate here asks: which BPF programs and namespaces exist.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

const BPF_PROG_GET_NEXT_ID: libc::c_long = 11;
const BPF_PROG_GET_FD_BY_ID: libc::c_long = 13;
const BPF_PROG_QUERY: libc::c_long = 16;
const BPF_CGROUP_DEVICE: u32 = 6;
const NS_GET_ID: libc::Ioctl = 0x8008_b70d_u32 as libc::Ioctl;

fn bpf(command: libc::c_long, attributes: &mut [u64; 16]) -> i64 {
    // SAFETY: the attributes are a whole, zeroed union of the kernel's size, alive for the call.
    unsafe { libc::syscall(libc::SYS_bpf, command, attributes.as_mut_ptr(), size_of_val(attributes)) }
}

/// The ids of the device programs on a cgroup; none if the kernel does not say.
pub fn device_programs(cgroup: &Path) -> Vec<u32> {
    let Ok(directory) = File::open(cgroup) else { return Vec::new() };
    let mut ids = [0_u32; 64];
    let target = u64::from(directory.as_raw_fd().cast_unsigned());
    let mut attributes = [0; 16];
    attributes[0] = target | u64::from(BPF_CGROUP_DEVICE) << 32;
    attributes[2] = ids.as_mut_ptr() as u64;
    attributes[3] = ids.len() as u64;
    if bpf(BPF_PROG_QUERY, &mut attributes) < 0 {
        return Vec::new();
    }
    let count = usize::try_from(attributes[3] & 0xffff_ffff).unwrap_or(0);
    ids.into_iter().take(count).collect()
}

/// Whether a program with this id is still loaded.
pub fn program_exists(id: u32) -> bool {
    let mut attributes = [0; 16];
    attributes[0] = u64::from(id);
    let descriptor = bpf(BPF_PROG_GET_FD_BY_ID, &mut attributes);
    let Ok(descriptor) = i32::try_from(descriptor) else { return false };
    if descriptor >= 0 {
        // SAFETY: the kernel has just given us this descriptor; nobody else knows it.
        drop(unsafe { OwnedFd::from_raw_fd(descriptor) });
    }
    descriptor >= 0
}

/// How many programs are loaded on this machine.
pub fn programs() -> usize {
    let next = |id: &u64| {
        let mut attributes = [0; 16];
        attributes[0] = *id;
        // The kernel answers in the second half of the first word.
        (bpf(BPF_PROG_GET_NEXT_ID, &mut attributes) == 0).then_some(attributes[0] >> 32)
    };
    std::iter::successors(next(&0), next).count()
}

/// The namespaces of a process (`/proc/PID`) by the numbers that the kernel never gives twice; none before 6.18.
pub fn namespaces(process: &Path) -> BTreeSet<u64> {
    let kinds = ["mnt", "net", "pid", "ipc", "uts", "cgroup", "user"];
    kinds.iter().filter_map(|kind| namespace(&process.join("ns").join(kind))).collect()
}

fn namespace(path: &Path) -> Option<u64> {
    let file = File::open(path).ok()?;
    let mut id = 0_u64;
    // SAFETY: the request writes eight bytes to `id`.
    let done = unsafe { libc::ioctl(file.as_raw_fd(), NS_GET_ID, &raw mut id) };
    (done == 0).then_some(id)
}
