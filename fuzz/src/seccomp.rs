//! `linux.seccomp`: the compiled filter decides as the document says, whatever the call.

#[path = "../../runtime-core/src/seccomp/tests/machine.rs"]
mod machine;
#[path = "../../runtime-core/src/seccomp/tests/reference.rs"]
mod reference;

use oci_spec::runtime::LinuxSeccomp;
use runtime_core::seccomp::Profile;
use serde_json::Value;

use crate::plans::check_refusal;
use machine::Call;
use reference::{Reference, TABLES};

// What the reference counts with.
const KILL_THREAD: u32 = 0;
const ENOSYS: u32 = 0x0005_0026;
const X86_64: u32 = 0xc000_003e;
const X86: u32 = 0x4000_0003;

/// A document.
pub(crate) fn profile(bytes: &[u8]) {
    let Ok(document) = serde_json::from_slice::<Value>(bytes) else { return };
    let Ok(seccomp) = serde_json::from_value::<LinuxSeccomp>(document) else { return };
    let profile = match Profile::plan(&seccomp, true) {
        Ok(profile) => profile,
        Err(refusal) => return check_refusal(&refusal),
    };
    let Ok(filter) = profile.compile() else { return };
    let calls = calls(&seccomp);
    let reference = Reference::new(seccomp);
    for call in calls {
        assert_eq!(machine::run(&filter, &call), reference.verdict(&call), "{call:?}");
    }
}

/// Every call that is named and its neighbours, with arguments around the values that conditions compare with.
fn calls(seccomp: &LinuxSeccomp) -> Vec<Call> {
    const MOST: usize = 4000;
    let entries = || seccomp.syscalls().iter().flatten();
    let conditions = || entries().flat_map(|entry| entry.args().iter().flatten());
    let mut values: Vec<u64> =
        conditions().flat_map(|arg| [arg.value(), arg.value_two().unwrap_or_default()]).collect();
    values.extend([0, u64::MAX, 1 << 32]);
    values =
        values.into_iter().flat_map(|value| [value, value.wrapping_add(1), value.wrapping_sub(1)]).collect();
    let names = || entries().flat_map(|entry| entry.names());
    let mut numbers = vec![0, 1, 0x3fff_ffff, 0x4000_0000, u32::MAX];
    for table in TABLES {
        let named = names().filter_map(|name| table.number(name));
        numbers.extend(named.flat_map(|number| [number, number + 1]));
    }
    let arguments = |value: &u64| [[*value; 6], [0, *value, *value << 32, !*value, 1, *value]];
    let call = |(number, arch, args)| Call { number, arch, args };
    let all = numbers.iter().flat_map(|number| {
        let of = values.iter().flat_map(arguments).map(move |args| (*number, args));
        of.flat_map(|(number, args)| [X86_64, X86, 0xc000_00b7].map(|arch| (number, arch, args)))
    });
    all.map(call).take(MOST).collect()
}
