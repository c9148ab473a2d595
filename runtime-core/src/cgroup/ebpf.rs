//! Device rules as a program of eBPF, for cgroup version 2. Pure.
//!
//! The program looks at the rules from the last to the first and keeps which of the requested accesses are still
//! undecided. The first denial that meets one of those ends it, and so does the permission that leaves none.

use super::devices::{ANY, DeviceRules, Kind, Rule};
use crate::sys::bpf::Instruction;

// The operations (their class, width and operand), and the registers.
const LOAD_WORD: u8 = 0x61;
const COPY: u8 = 0xbc;
const SET: u8 = 0xb4;
const AND: u8 = 0x54;
const SHIFT_RIGHT: u8 = 0x74;
const JUMP_IF_EQUAL: u8 = 0x15;
const JUMP_UNLESS_EQUAL: u8 = 0x55;
const EXIT: u8 = 0x95;
const RESULT: u8 = 0;
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
const UNDECIDED: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
const MET: u8 = 6;

/// The program for `BPF_CGROUP_DEVICE`: returns 1 to allow a request, 0 to deny it.
pub(super) fn program(rules: &DeviceRules) -> Vec<Instruction> {
    // The context holds the access above the kind in one word, then the major and the minor number.
    let mut program = vec![
        load(KIND, 0),
        op(COPY, UNDECIDED, KIND, 0),
        op(SHIFT_RIGHT, UNDECIDED, 0, 16),
        op(AND, KIND, 0, 0xffff),
        load(MAJOR, 4),
        load(MINOR, 8),
    ];
    for rule in rules.rules().iter().rev() {
        program.extend(check(rule));
        // Nothing may follow what is never passed: the verifier refuses unreachable code.
        if rule.is_about_everything() {
            return program;
        }
    }
    program.extend(answer(false));
    program
}

fn check(rule: &Rule) -> Vec<Instruction> {
    let conditions = [
        rule.kind.map(|kind| (KIND, kind as i32)),
        rule.major.map(|major| (MAJOR, major.cast_signed())),
        rule.minor.map(|minor| (MINOR, minor.cast_signed())),
    ];
    let conditions: Vec<_> = conditions.into_iter().flatten().collect();
    let decision = decide(rule);
    let mut code = Vec::with_capacity(conditions.len() + decision.len());
    for (number, (register, value)) in conditions.iter().enumerate() {
        let beyond = conditions.len() - number - 1 + decision.len();
        code.push(jump(JUMP_UNLESS_EQUAL, *register, *value, beyond));
    }
    code.extend(decision);
    code
}

fn decide(rule: &Rule) -> Vec<Instruction> {
    let access = i32::from(rule.access);
    let mut code = match (rule.access == ANY, rule.allow) {
        (true, _) => vec![],
        (false, true) => {
            vec![op(AND, UNDECIDED, 0, !access), jump(JUMP_UNLESS_EQUAL, UNDECIDED, 0, 2)]
        }
        (false, false) => {
            vec![op(COPY, MET, UNDECIDED, 0), op(AND, MET, 0, access), jump(JUMP_IF_EQUAL, MET, 0, 2)]
        }
    };
    code.extend(answer(rule.allow));
    code
}

fn answer(allow: bool) -> [Instruction; 2] {
    [op(SET, RESULT, 0, i32::from(allow)), op(EXIT, 0, 0, 0)]
}

fn op(code: u8, destination: u8, source: u8, immediate: i32) -> Instruction {
    Instruction { code, registers: source << 4 | destination, offset: 0, immediate }
}

fn load(destination: u8, offset: i16) -> Instruction {
    Instruction { offset, ..op(LOAD_WORD, destination, CONTEXT, 0) }
}

// A rule is a handful of instructions.
fn jump(code: u8, register: u8, value: i32, distance: usize) -> Instruction {
    Instruction { offset: distance as i16, ..op(code, register, 0, value) }
}

const _: () = assert!(Kind::Block as i32 == 1 && Kind::Character as i32 == 2);

#[cfg(test)]
mod tests {
    use super::super::devices::reference::*;
    use super::*;

    /// Runs a program as the kernel would.
    fn run(program: &[Instruction], kind: Kind, major: u32, minor: u32, access: u8) -> bool {
        let context = [u32::from(access) << 16 | kind as u32, major, minor];
        let mut registers: [Option<u64>; 11] = [None; 11];
        registers[CONTEXT as usize] = Some(0);
        let mut at = 0usize;
        loop {
            let Instruction { code, registers: pair, offset, immediate } = program[at];
            let (destination, source) = ((pair & 15) as usize, (pair >> 4) as usize);
            let value = |register: usize| registers[register].expect("a register is read before it is set");
            let wide = i64::from(immediate) as u64;
            at += 1;
            match code {
                LOAD_WORD => registers[destination] = Some(u64::from(context[offset as usize / 4])),
                COPY => registers[destination] = Some(u64::from(value(source) as u32)),
                SET => registers[destination] = Some(u64::from(immediate as u32)),
                AND => registers[destination] = Some(u64::from(value(destination) as u32 & immediate as u32)),
                SHIFT_RIGHT => {
                    registers[destination] = Some(u64::from(value(destination) as u32 >> immediate))
                }
                JUMP_IF_EQUAL if value(destination) == wide => at += offset as usize,
                JUMP_UNLESS_EQUAL if value(destination) != wide => at += offset as usize,
                JUMP_IF_EQUAL | JUMP_UNLESS_EQUAL => {}
                EXIT => return value(RESULT as usize) == 1,
                _ => panic!("unknown operation {code:#x}"),
            }
        }
    }

    fn reachable(program: &[Instruction]) -> Vec<bool> {
        let mut seen = vec![false; program.len()];
        let mut todo = vec![0];
        while let Some(at) = todo.pop() {
            if std::mem::replace(&mut seen[at], true) {
                continue;
            }
            let Instruction { code, offset, .. } = program[at];
            if code != EXIT {
                todo.push(at + 1);
            }
            if matches!(code, JUMP_IF_EQUAL | JUMP_UNLESS_EQUAL) {
                todo.push(at + 1 + offset as usize);
            }
        }
        seen
    }

    #[test]
    fn programs_decide_as_the_rules_say() {
        let mut dice = Dice(42);
        for _ in 0..5000 {
            let rules = DeviceRules::from_rules(dice.rules());
            let program = program(&rules);
            assert!(reachable(&program).into_iter().all(|reached| reached), "{rules}");
            for _ in 0..20 {
                let (kind, major, minor, access) = dice.request();
                assert_eq!(
                    run(&program, kind, major, minor, access),
                    allowed(rules.rules(), kind, major, minor, access),
                    "{rules}: {kind:?} {major}:{minor} {access}"
                );
            }
        }
    }

    #[test]
    fn reading_and_writing_may_be_allowed_by_two_rules() {
        let rule = |access| Rule { allow: true, kind: None, major: None, minor: None, access };
        let program = program(&DeviceRules::from_rules(vec![rule(2), rule(4)]));
        assert!(run(&program, Kind::Block, 8, 0, 6));
        assert!(!run(&program, Kind::Block, 8, 0, 7));
    }
}
