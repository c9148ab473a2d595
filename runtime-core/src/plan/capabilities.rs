//! Capability sets as bits, and as names for people.

use std::fmt::{self, Display, Formatter};

use oci_spec::runtime::Capability;

/// The kernel's names, by number.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// The names of config.json, by number.
pub(crate) fn names() -> impl Iterator<Item = String> {
    NAMES.iter().map(|name| format!("CAP_{name}"))
}

/// The capability that loading a system call filter needs where new privileges are not forbidden.
pub(super) const SYS_ADMIN: u64 = 1 << 21;

/// The bit of a capability.
pub(super) fn bit(capability: Capability) -> u64 {
    let name = capability.to_string();
    let name = name.strip_prefix("CAP_").unwrap_or(&name);
    NAMES.iter().position(|known| *known == name).map_or(0, |number| 1 << number)
}

/// The bits of a set.
pub(super) fn bits<'a>(set: impl IntoIterator<Item = &'a Capability>) -> u64 {
    set.into_iter().fold(0, |bits, capability| bits | bit(*capability))
}

/// A set as names; long ones as a number.
pub(super) struct Names(pub(super) u64);

impl Display for Names {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = NAMES
            .iter()
            .enumerate()
            .filter(|(number, _)| self.0 & (1 << number) != 0)
            .map(|(_, name)| *name)
            .collect();
        match names.len() {
            0 => f.write_str("none"),
            1..=14 => f.write_str(&names.join("+")),
            many => write!(f, "{many} of {}", NAMES.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_capability_of_the_specification_has_its_kernel_number() {
        for (capability, number) in [
            (Capability::Chown, 0),
            (Capability::NetBindService, 10),
            (Capability::SysAdmin, 21),
            (Capability::AuditWrite, 29),
            (Capability::CheckpointRestore, 40),
        ] {
            assert_eq!(bit(capability), 1 << number, "{capability}");
        }
    }
}
