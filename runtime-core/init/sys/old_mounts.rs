//! Mounts by `mount` alone, for kernels and sandboxes without `open_tree`, `move_mount` and `mount_setattr`. A name in
//! `/proc/self/fd` stands for a descriptor: it leads where the descriptor leads, whatever became of the names.

use core::ffi::CStr;

use super::arch::number;
use super::calls::{Answer, Errno, Fd, HERE, address, address_mut, call, done, text};
use super::files::{filesystem, open, openat, status};
use super::mounts::{MountChange, propagation};
use super::procfs::enter_descriptors;

const REMOUNT: u64 = 1 << 5;
const BIND: u64 = 1 << 12;
const MOVE: u64 = 1 << 13;

/// Binds what an open descriptor leads to onto what another one leads to.
#[cold]
pub fn bind(source: &Fd, onto: &Fd, recursive: bool) -> Answer<()> {
    let flags = BIND | if recursive { propagation::RECURSIVE as u64 } else { 0 };
    mount(Some(source), &NameOf::new(onto), flags)
}

/// Opens what an open descriptor of another mount namespace leads to, by the path that it has there, in this one.
#[cold]
pub fn reopen(foreign: &Fd) -> Answer<Fd> {
    let mut path = [0; 4096];
    let room = path.len() - 1;
    let link = NameOf::new(foreign);
    enter_descriptors()?;
    let arguments = [HERE as usize, link.address(), address_mut(&mut path), room, 0, 0];
    call(number::READLINKAT, arguments)?;
    let path = CStr::from_bytes_until_nul(&path).unwrap_or_default();
    let found = openat(HERE, path, open::PATH | open::NOFOLLOW, 0)?;
    let same = status(foreign)?.is_same(&status(&found)?);
    if same { Ok(found) } else { Err(Errno::NOENT) }
}

/// Moves a mount over `/`.
#[cold]
pub fn move_over_root(tree: &Fd) -> Answer<()> {
    let source = NameOf::new(tree);
    enter_descriptors()?;
    done(call(number::MOUNT, [source.address(), text(c"/"), 0, MOVE as usize, 0, 0]))
}

/// Changes an attached mount. Attributes of whole trees can't be changed this way; then the answer is `missing`.
#[cold]
pub fn change(at: &Fd, change: MountChange, recursive: bool, missing: Errno) -> Answer<()> {
    let path = NameOf::new(at);
    if change.set | change.clear != 0 {
        if recursive {
            return Err(missing);
        }
        let [_, _, _, _, _, _, _, _, _, _, flags, ..] = filesystem(at)?;
        mount(None, &path, REMOUNT | BIND | changed(flags, change))?;
    }
    match change.propagation {
        0 => Ok(()),
        flag => mount(None, &path, flag | if recursive { propagation::RECURSIVE as u64 } else { 0 }),
    }
}

/// A mount attribute, the flag of `mount` that means the same, and that of `statfs`.
const FLAGS: [(u64, u64, u64); 6] =
    [(1, 1, 1), (2, 2, 2), (4, 4, 4), (8, 8, 8), (0x80, 1 << 11, 1 << 11), (0x20_0000, 1 << 8, 1 << 13)];
/// The same for access times, which are a number among the attributes.
const ACCESS_TIMES: [(u64, u64, u64); 3] =
    [(0x10, 1 << 10, 1 << 10), (0, 1 << 21, 1 << 12), (0x20, 1 << 24, 0)];
const ACCESS_TIME: u64 = 0x70;

/// The flags for `mount` of a mount of which `statfs` says `said`.
fn changed(said: u64, change: MountChange) -> u64 {
    FLAGS.iter().fold(access_times(said, change), |flags, (attribute, flag, word)| {
        let kept = said & word != 0 && change.clear & attribute == 0;
        if kept || change.set & attribute != 0 { flags | flag } else { flags }
    })
}

fn access_times(said: u64, change: MountChange) -> u64 {
    let asked = (change.clear & ACCESS_TIME != 0).then_some(change.set & ACCESS_TIME);
    let is_it = |(attribute, _, word): &&(u64, u64, u64)| match asked {
        Some(asked) => asked == *attribute,
        None => said & word == *word,
    };
    ACCESS_TIMES.iter().find(is_it).map_or(0, |(_, flag, _)| *flag)
}

fn mount(source: Option<&Fd>, onto: &NameOf, flags: u64) -> Answer<()> {
    let source = source.map(NameOf::new);
    let source = source.as_ref().map_or(0, NameOf::address);
    enter_descriptors()?;
    done(call(number::MOUNT, [source, onto.address(), 0, flags as usize, 0, 0]))
}

/// The name of a descriptor in the directory of descriptors.
struct NameOf([u8; DIGITS + 1]);

/// As many as a descriptor's number can have.
const DIGITS: usize = 10;

impl NameOf {
    fn new(fd: &Fd) -> Self {
        let mut digits = [b'0'; DIGITS];
        let mut rest = fd.raw() as u32;
        for digit in digits.iter_mut().rev() {
            *digit = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        let zeros = digits.iter().take(DIGITS - 1).take_while(|digit| **digit == b'0').count();
        let mut name = [0; DIGITS + 1];
        for (place, byte) in name.iter_mut().zip(digits.iter().skip(zeros)) {
            *place = *byte;
        }
        NameOf(name)
    }

    fn address(&self) -> usize {
        address(&self.0)
    }
}
