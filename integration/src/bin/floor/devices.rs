//! The device program of the default configuration: nothing but the standard devices, and any node may be made.

use std::ffi::c_int;

use crate::must;

const PROG_LOAD: libc::c_long = 5;
const PROG_ATTACH: libc::c_long = 8;
const CGROUP_DEVICE_PROGRAM: u32 = 15;
const CGROUP_DEVICE: u32 = 6;
const ALLOW_MULTI: u32 = 2;

/// One instruction of eBPF.
#[derive(Clone, Copy)]
#[repr(C)]
struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    value: i32,
}

const fn op(code: u8, registers: u8, offset: i16, value: i32) -> Instruction {
    Instruction { code, registers, offset, value }
}

const CHARACTER: i32 = 2;
const MKNOD: i32 = 1;
const ANY: i32 = -1;

/// Character devices by number: null, zero, full, random, urandom, tty, ptmx, all of pts, and tun.
const ALLOWED: [(i32, i32); 9] =
    [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2), (136, ANY), (10, 200)];

/// Registers: 2 type, 3 access, 4 major, 5 minor; each allowed device is three jumps and an exit.
const PROGRAM: [Instruction; 39] = program();

const fn program() -> [Instruction; 39] {
    let mut code = [op(0x95, 0, 0, 0); 39];
    code[0] = op(0x61, 0x12, 0, 0);
    code[1] = op(0xbf, 0x23, 0, 0);
    code[2] = op(0x54, 0x02, 0, 0xffff);
    code[3] = op(0x74, 0x03, 0, 16);
    code[4] = op(0x61, 0x14, 4, 0);
    code[5] = op(0x61, 0x15, 8, 0);
    // Only making a node, of a block or character device, is free.
    code[6] = op(0xb7, 0x00, 0, 1);
    code[7] = op(0x55, 0x03, 1, MKNOD);
    code[8] = op(0x95, 0, 0, 0);
    code[9] = op(0x55, 0x02, 27, CHARACTER);
    let mut index = 0;
    while index < ALLOWED.len() {
        let (major, minor) = ALLOWED[index];
        let at = 10 + index * 3;
        code[at] = op(0x55, 0x04, 2, major);
        code[at + 1] = if minor == ANY { op(0x05, 0, 0, 0) } else { op(0x55, 0x05, 1, minor) };
        code[at + 2] = op(0x95, 0, 0, 0);
        index += 1;
    }
    code[37] = op(0xb7, 0x00, 0, 0);
    code
}

/// Loads the program and puts it on a cgroup.
pub fn restrict(cgroup: c_int) {
    let license = c"GPL";
    let mut load = [0_u64; 16];
    load[0] = u64::from(CGROUP_DEVICE_PROGRAM) | (PROGRAM.len() as u64) << 32;
    load[1] = PROGRAM.as_ptr() as u64;
    load[2] = license.as_ptr() as u64;
    let program = must!(libc::syscall(libc::SYS_bpf, PROG_LOAD, load.as_ptr(), size_of_val(&load)));
    let mut attach = [0_u64; 16];
    attach[0] = u64::from(cgroup.cast_unsigned()) | program.cast_unsigned() << 32;
    attach[1] = u64::from(CGROUP_DEVICE) | u64::from(ALLOW_MULTI) << 32;
    must!(libc::syscall(libc::SYS_bpf, PROG_ATTACH, attach.as_ptr(), size_of_val(&attach)));
    must!(libc::close(program as c_int));
}
