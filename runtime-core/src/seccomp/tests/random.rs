//! Random profiles and random system calls, from a seed.

use oci_spec::runtime::LinuxSeccomp;
use serde_json::{Value, json};

use super::machine::Call;
use super::reference::{TABLES, Table};
use super::{X86, X86_64};

/// Knuth's MMIX generator, of which the upper half is used.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 32) % sides
    }

    fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.roll(of.len() as u64) as usize]
    }
}

/// How wild a profile's entries may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    /// How many entries at most.
    pub(super) entries: u64,
    /// How many conditions an entry has at most.
    pub(super) conditions: u64,
    /// Whether entries about the same call may ask for different actions.
    pub(super) discord: bool,
}

const NAMES: &[&str] = &[
    "read",
    "write",
    "open",
    "close",
    "ioctl",
    "clone",
    "clone3",
    "personality",
    "openat2",
    "chown32",
    "futex_waitv",
    "getuid",
    "prctl",
    "mmap2",
    "fadvise64",
    "ptrace",
    "waitid",
    "socket",
    "sendto",
    "recvmmsg",
    "socketcall",
    "no_such_call",
    "arm_sync_file_range",
    "tkill",
];
const VALUES: &[u64] = &[
    0,
    1,
    2,
    7,
    8,
    40,
    0xffff,
    0x2_0000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_fffe,
    0xffff_ffff,
    0x1_0000_0000,
    0x1_0000_0001,
    0x2_0000_0000,
    0xffff_ffff_0000_0000,
    u64::MAX - 1,
    u64::MAX,
];
const OPERATORS: &[&str] = &["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"];
const ACTIONS: &[&str] =
    &["ALLOW", "ERRNO", "ERRNO", "TRAP", "KILL", "KILL_PROCESS", "KILL_THREAD", "TRACE", "LOG", "NOTIFY"];

pub(super) fn profile(dice: &mut Dice, shape: Shape) -> LinuxSeccomp {
    let (default, errno) =
        std::iter::repeat_with(|| action(dice)).find(|(name, _)| name != "SCMP_ACT_NOTIFY").unwrap();
    let uniform: Vec<(Value, Value)> = NAMES.iter().map(|_| action(dice)).collect();
    let entries = (0..dice.roll(shape.entries + 1)).map(|_| {
        let first = dice.roll(NAMES.len() as u64) as usize;
        let (action, errno) = if shape.discord { action(dice) } else { uniform[first].clone() };
        let extra = if shape.discord { dice.roll(4) as usize } else { 0 };
        let names: Vec<_> = NAMES.iter().cycle().skip(first).take(1 + extra).collect();
        let args: Vec<_> = (0..dice.roll(shape.conditions + 1)).map(|_| condition(dice)).collect();
        json!({"names": names, "action": action, "errnoRet": errno, "args": args})
    });
    let entries: Vec<Value> = entries.collect();
    let tables: Vec<_> = TABLES.iter().filter(|_| dice.roll(3) > 0).map(|table| table.name()).collect();
    let mut value = json!({"defaultAction": default, "defaultErrnoRet": errno, "architectures": tables, "listenerPath": "/a"});
    value["syscalls"] = entries.into_iter().map(without_empty_args).collect();
    serde_json::from_value(value).unwrap()
}

fn without_empty_args(mut entry: Value) -> Value {
    if entry["args"].as_array().is_some_and(Vec::is_empty) {
        entry.as_object_mut().unwrap().remove("args");
    }
    entry
}

fn action(dice: &mut Dice) -> (Value, Value) {
    let name = dice.one(ACTIONS);
    let errno = match name {
        "ERRNO" | "TRACE" => dice.one(&[json!(null).as_u64(), Some(1), Some(38), Some(0), Some(4095)]),
        _ => None,
    };
    (json!(format!("SCMP_ACT_{name}")), json!(errno))
}

fn condition(dice: &mut Dice) -> Value {
    let (index, operator) = (dice.roll(6), dice.one(OPERATORS));
    let mut condition =
        json!({"index": index, "value": dice.one(VALUES), "op": format!("SCMP_CMP_{operator}")});
    if operator == "MASKED_EQ" {
        condition["valueTwo"] = json!(dice.one(VALUES));
    }
    condition
}

pub(super) fn call(dice: &mut Dice) -> Call {
    let table = dice.one(&TABLES);
    let named = table.number(dice.one(NAMES));
    let number = match (dice.roll(8), named) {
        (0, _) => dice.one(&[0, 500, 0x3fff_ffff, 0x4000_0000, 0x4000_1000, u32::MAX]),
        (1, Some(number)) => number + 1,
        (_, Some(number)) => number,
        (_, None) => dice.roll(450) as u32,
    };
    let arch = if table == Table::X86 { X86 } else { X86_64 };
    let arch = if dice.roll(50) == 0 { 0xc000_00b7 } else { arch };
    Call { number, arch, args: std::array::from_fn(|_| argument(dice)) }
}

fn argument(dice: &mut Dice) -> u64 {
    dice.one(VALUES).wrapping_add(dice.one(&[0, 0, 0, 1, u64::MAX, 0x1_0000_0000]))
}
