//! Architectures, as libseccomp and as the kernel's audit numbers name them.

use oci_spec::runtime::Arch;

use super::program::Width;

/// One system call table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Architecture {
    /// libseccomp's token: the kernel's audit number, except for x32.
    token: u32,
}

const NAMES: &[(u32, &str)] = &[
    (0x4000_0003, "x86"),
    (0xc000_003e, "x86_64"),
    (0x4000_003e, "x32"),
    (0x4000_0028, "arm"),
    (0xc000_00b7, "aarch64"),
    (0x0000_0008, "mips"),
    (0x8000_0008, "mips64"),
    (0xa000_0008, "mips64n32"),
    (0x4000_0008, "mipsel"),
    (0xc000_0008, "mipsel64"),
    (0xe000_0008, "mipsel64n32"),
    (0x0000_0014, "ppc"),
    (0x8000_0015, "ppc64"),
    (0xc000_0015, "ppc64le"),
    (0x0000_0016, "s390"),
    (0x8000_0016, "s390x"),
    (0x0000_000f, "parisc"),
    (0x8000_000f, "parisc64"),
    (0xc000_00f3, "riscv64"),
    (0xc000_0102, "loongarch64"),
    (0x0000_0004, "m68k"),
    (0x4000_002a, "sh"),
    (0x0000_002a, "sheb"),
];

const NATIVE: u32 = if cfg!(target_arch = "x86_64") {
    Architecture::X86_64.token
} else if cfg!(target_arch = "aarch64") {
    0xc000_00b7
} else if cfg!(target_arch = "riscv64") {
    0xc000_00f3
} else {
    unreachable!()
};

/// `__AUDIT_ARCH_LE`, which is part of audit numbers and of tokens alike.
const LITTLE_ENDIAN: u32 = 0x4000_0000;

/// `__AUDIT_ARCH_64BIT`, likewise.
const WIDE: u32 = 0x8000_0000;

/// Where the numbers of x32 begin, above those of x86_64.
const X32_BIT: u32 = 0x4000_0000;

/// `__AUDIT_ARCH_CONVENTION_MIPS64_N32`: 32-bit pointers and arguments on a 64-bit machine.
const MIPS_N32: u32 = 0x2000_0000;

/// libseccomp's names in full.
pub(super) fn constants() -> impl Iterator<Item = String> {
    NAMES.iter().map(|(token, _)| Architecture { token: *token }.constant())
}

impl Architecture {
    /// The architecture that this program was built for.
    pub(super) const NATIVE: Self = Architecture { token: NATIVE };
    pub(super) const X86_64: Self = Architecture { token: 0xc000_003e };
    pub(super) const X32: Self = Architecture { token: 0x4000_003e };
    const ARM: Self = Architecture { token: 0x4000_0028 };
    const S390: Self = Architecture { token: 0x0000_0016 };
    const S390X: Self = Architecture { token: 0x8000_0016 };

    /// The architecture that config.json names.
    pub(super) fn of(arch: Arch) -> Self {
        match arch {
            Arch::ScmpArchNative => Self::NATIVE,
            arch => Architecture { token: arch as u32 },
        }
    }

    /// libseccomp's name in lower case and without its prefix.
    pub(super) fn name(self) -> &'static str {
        NAMES.iter().find(|(token, _)| *token == self.token).map_or("unknown", |(_, name)| name)
    }

    /// libseccomp's name in full.
    pub(super) fn constant(self) -> String {
        format!("SCMP_ARCH_{}", self.name().to_uppercase())
    }

    /// Whether one program can serve this and the native architecture: it is compiled for one byte order.
    pub(super) fn has_native_byte_order(self) -> bool {
        (self.token & LITTLE_ENDIAN != 0) == cfg!(target_endian = "little")
    }

    /// How much of an argument counts.
    pub(super) fn width(self) -> Width {
        match self.token & (WIDE | MIPS_N32) {
            WIDE => Width::Full,
            _ => Width::Low,
        }
    }

    /// What a filter sees in `seccomp_data.arch`.
    pub(super) fn audit(self) -> u32 {
        match self {
            Self::X32 => Self::X86_64.token,
            other => other.token,
        }
    }

    /// The first number of this architecture's table.
    pub(super) fn begin(self) -> u32 {
        if self == Self::X32 { X32_BIT } else { 0 }
    }

    /// The first number that is no longer in this architecture's table, where another one's begin.
    pub(super) fn end(self) -> Option<u32> {
        match self {
            Self::X86_64 => Some(X32_BIT),
            // The numbers from here on are private to ARM: few, old, and no measure of how new a profile is.
            Self::ARM => Some(0xf_0000),
            _ => None,
        }
    }

    /// Whether number 0 is not a system call but stands for those that don't fit into the instruction.
    pub(super) fn multiplexes_zero(self) -> bool {
        self == Self::S390 || self == Self::S390X
    }
}
