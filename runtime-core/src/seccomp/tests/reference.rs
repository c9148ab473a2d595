//! What `linux.seccomp` says about a system call, read off the JSON types and nothing else.

use std::collections::{BTreeSet, HashMap};
use std::sync::OnceLock;

use libseccomp::{ScmpArch, ScmpSyscall};
use oci_spec::runtime::{
    LinuxSeccomp, LinuxSeccompAction as Action, LinuxSeccompArg, LinuxSeccompOperator as Op, LinuxSyscall,
};

use super::machine::Call;
use super::{ENOSYS, KILL_THREAD, X86, X86_64};

pub(super) const TABLES: [Table; 3] = [Table::X86_64, Table::X86, Table::X32];

/// What socketcall selects, from 1 (linux/net.h).
const SOCKETCALLS: [&str; 20] = [
    "socket",
    "bind",
    "connect",
    "listen",
    "accept",
    "getsockname",
    "getpeername",
    "socketpair",
    "send",
    "recv",
    "sendto",
    "recvfrom",
    "shutdown",
    "setsockopt",
    "getsockopt",
    "sendmsg",
    "recvmsg",
    "accept4",
    "recvmmsg",
    "sendmmsg",
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Table {
    X86_64,
    X86,
    X32,
}

impl Table {
    pub(super) fn name(self) -> &'static str {
        match self {
            Table::X86_64 => "SCMP_ARCH_X86_64",
            Table::X86 => "SCMP_ARCH_X86",
            Table::X32 => "SCMP_ARCH_X32",
        }
    }

    fn of(call: &Call) -> Option<Self> {
        match (call.arch, call.number >= 0x4000_0000) {
            (X86_64, false) => Some(Table::X86_64),
            (X86_64, true) => Some(Table::X32),
            (X86, _) => Some(Table::X86),
            _ => None,
        }
    }

    /// The whole table, by number: the way in which the compiler does not look.
    fn names(self) -> &'static HashMap<u32, String> {
        static NAMES: [OnceLock<HashMap<u32, String>>; 3] = [const { OnceLock::new() }; 3];
        NAMES[self as usize].get_or_init(|| {
            let arch: ScmpArch = self.name().parse().unwrap();
            let begin = if self == Table::X32 { 0x4000_0000 } else { 0 };
            let name =
                |number: u32| Some((number, ScmpSyscall::from(number as i32).get_name_by_arch(arch).ok()?));
            (begin..begin + 600).filter_map(name).collect()
        })
    }

    pub(super) fn number(self, name: &str) -> Option<u32> {
        self.names().iter().find(|(_, other)| *other == name).map(|(number, _)| *number)
    }
}

pub(super) struct Reference {
    seccomp: LinuxSeccomp,
    tables: Vec<Table>,
    last: HashMap<Table, u32>,
}

impl Reference {
    pub(super) fn new(seccomp: LinuxSeccomp) -> Self {
        let listed: Vec<String> = seccomp.architectures().iter().flatten().map(ToString::to_string).collect();
        let asked = |table: &Table| *table == Table::X86_64 || listed.iter().any(|name| name == table.name());
        let tables: Vec<Table> = TABLES.into_iter().filter(asked).collect();
        let mut last = HashMap::new();
        for name in seccomp.syscalls().iter().flatten().flat_map(|entry| entry.names()) {
            for (table, number) in tables.iter().filter_map(|table| Some((*table, table.number(name)?))) {
                last.entry(table).and_modify(|last: &mut u32| *last = number.max(*last)).or_insert(number);
            }
        }
        Reference { seccomp, tables, last }
    }

    pub(super) fn verdict(&self, call: &Call) -> u32 {
        let default = self.seccomp.default_action().as_u32(self.seccomp.default_errno_ret());
        let Some(table) = Table::of(call).filter(|table| self.tables.contains(table)) else {
            // -1 is how a tracer says "skip it", not an x32 call.
            let skipped = call.arch == X86_64 && call.number == u32::MAX;
            return if skipped { default } else { KILL_THREAD };
        };
        if call.number == 0x3fff_ffff && table == Table::X86_64 && self.has_agent() {
            return Action::ScmpActNotify.as_u32(None);
        }
        if self.is_newer(table, call.number, default) {
            return ENOSYS;
        }
        let Some(name) = table.names().get(&call.number) else { return default };
        let entries = self.seccomp.syscalls().iter().flatten().filter(|entry| answer(entry) != default);
        let entries: Vec<_> = entries.collect();
        let named = |entry: &&&LinuxSyscall| entry.names().iter().any(|other| other == name);
        let decided = entries.iter().filter(named).find(|entry| entry.args().is_none());
        let matching = || entries.iter().find(|entry| matches(entry, name, table, call));
        decided.or_else(matching).map_or(default, |entry| answer(entry))
    }

    /// Whether there is somebody for whom init has to wait.
    fn has_agent(&self) -> bool {
        self.seccomp.syscalls().iter().flatten().any(|entry| entry.action() == Action::ScmpActNotify)
    }

    fn is_newer(&self, table: Table, number: u32, default: u32) -> bool {
        use Action::{ScmpActAllow, ScmpActLog, ScmpActTrace};
        let lenient = matches!(self.seccomp.default_action(), ScmpActAllow | ScmpActLog | ScmpActTrace);
        !lenient && default != ENOSYS && self.last.get(&table).is_some_and(|last| number > *last)
    }
}

fn answer(entry: &LinuxSyscall) -> u32 {
    entry.action().as_u32(entry.errno_ret())
}

fn matches(entry: &LinuxSyscall, name: &str, table: Table, call: &Call) -> bool {
    let selected = (call.args[0] & 0xffff_ffff) as usize;
    if name == "socketcall" && (1..=SOCKETCALLS.len()).contains(&selected) {
        let inner = SOCKETCALLS[selected - 1];
        if entry.names().iter().any(|other| other == inner) {
            return true;
        }
    }
    let args = entry.args().as_deref().unwrap_or_default();
    let holds = |arg: &LinuxSeccompArg| holds(arg, table, call.args[arg.index()]);
    let named = entry.names().iter().any(|other| other == name);
    named && if repeats(args) { args.iter().any(holds) } else { args.iter().all(holds) }
}

fn repeats(args: &[LinuxSeccompArg]) -> bool {
    args.iter().map(LinuxSeccompArg::index).collect::<BTreeSet<_>>().len() < args.len()
}

fn narrow(value: u64, table: Table) -> u64 {
    if table == Table::X86_64 { value } else { value & 0xffff_ffff }
}

fn holds(arg: &LinuxSeccompArg, table: Table, actual: u64) -> bool {
    let (actual, value) = (narrow(actual, table), narrow(arg.value(), table));
    match arg.op() {
        Op::ScmpCmpNe => actual != value,
        Op::ScmpCmpLt => actual < value,
        Op::ScmpCmpLe => actual <= value,
        Op::ScmpCmpEq => actual == value,
        Op::ScmpCmpGe => actual >= value,
        Op::ScmpCmpGt => actual > value,
        Op::ScmpCmpMaskedEq => actual & value == narrow(arg.value_two().unwrap_or(0), table) & value,
    }
}
