//! The kernel's filter machine, as far as filters of system calls use it.

/// A `struct seccomp_data`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    pub(super) number: u32,
    pub(super) arch: u32,
    pub(super) args: [u64; 6],
}

impl Call {
    fn word(&self, offset: u32) -> u32 {
        let mut bytes = Vec::new();
        bytes.extend(self.number.to_ne_bytes());
        bytes.extend(self.arch.to_ne_bytes());
        bytes.extend(0x1122_3344_5566_7788u64.to_ne_bytes()); // the instruction pointer
        self.args.iter().for_each(|arg| bytes.extend(arg.to_ne_bytes()));
        let offset = offset as usize;
        assert_eq!(offset % 4, 0, "the kernel refuses unaligned loads");
        u32::from_ne_bytes(bytes[offset..offset + 4].try_into().unwrap())
    }
}

/// Runs a program and returns its `SECCOMP_RET_*` value.
pub(super) fn run(program: &[u8], call: &Call) -> u32 {
    assert_eq!(program.len() % 8, 0);
    let (mut at, mut a, mut x, mut memory) = (0, 0u32, 0u32, [0u32; 16]);
    loop {
        let bytes = &program[at * 8..at * 8 + 8];
        let code = u16::from_ne_bytes(bytes[..2].try_into().unwrap());
        let k = u32::from_ne_bytes(bytes[4..].try_into().unwrap());
        let branch = |yes: bool| usize::from(if yes { bytes[2] } else { bytes[3] });
        at += 1;
        match code {
            0x20 => a = call.word(k),
            0x00 => a = k,
            0x01 => x = k,
            0x60 => a = memory[k as usize],
            0x02 => memory[k as usize] = a,
            0x07 => x = a,
            0x87 => a = x,
            0x54 => a &= k,
            0x05 => at += k as usize,
            0x15 => at += branch(a == k),
            0x25 => at += branch(a > k),
            0x35 => at += branch(a >= k),
            0x45 => at += branch(a & k != 0),
            0x06 => return k,
            _ => panic!("instruction {code:#x} at {}", at - 1),
        }
    }
}
