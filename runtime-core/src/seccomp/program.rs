//! Programs of the kernel's filter machine, written from the last instruction to the first: a program only jumps
//! forward, so every target is known when the jump to it is written.

use super::profile::{Condition, Operator};

const LOAD: u16 = 0x20; // BPF_LD | BPF_W | BPF_ABS
const MASK: u16 = 0x54; // BPF_ALU | BPF_AND | BPF_K
const JUMP: u16 = 0x05; // BPF_JMP | BPF_JA
const IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
const IF_GREATER: u16 = 0x25; // BPF_JMP | BPF_JGT | BPF_K
const IF_AT_LEAST: u16 = 0x35; // BPF_JMP | BPF_JGE | BPF_K
const RETURN: u16 = 0x06; // BPF_RET | BPF_K

// Places in `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const ARGUMENTS: u32 = 16;
/// Where the halves of an argument are in it.
const LOW: u32 = if cfg!(target_endian = "little") { 0 } else { 4 };
const HIGH: u32 = 4 - LOW;

/// How far a conditional jump may be asked to go; the format's limit is 255.
const NEAR: usize = 250;

/// An instruction that was written, as the number of instructions from it to the program's end.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Label(usize);

/// A `struct sock_filter`: what to do, how many instructions to skip if so and if not, and the operand.
#[derive(Debug, Clone, Copy)]
struct Instruction(u16, u8, u8, u32);

/// How much of an argument a system call table has.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Width {
    Low,
    Full,
}

/// A program in the making.
#[derive(Debug, Default)]
pub(super) struct Program {
    /// The last one first.
    instructions: Vec<Instruction>,
    returns: Vec<(u32, Label)>,
}

impl Program {
    pub(super) fn len(&self) -> usize {
        self.instructions.len()
    }

    /// The bytes of a `struct sock_filter[]`.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let bytes = |&Instruction(code, yes, no, operand): &Instruction| {
            code.to_ne_bytes().into_iter().chain([yes, no]).chain(operand.to_ne_bytes())
        };
        self.instructions.iter().rev().flat_map(bytes).collect()
    }

    /// Ends with a `SECCOMP_RET_*` value; shares the instruction with whoever is near and does the same.
    pub(super) fn ret(&mut self, value: u32) -> Label {
        let known = self.returns.iter().rev().find(|(other, _)| *other == value).map(|(_, label)| *label);
        match known.filter(|label| self.is_near(*label)) {
            Some(label) => label,
            None => {
                let label = self.push(Instruction(RETURN, 0, 0, value));
                self.returns.push((value, label));
                label
            }
        }
    }

    /// Goes on with `then` if the call's architecture is `audit`. The architecture must be loaded.
    pub(super) fn if_architecture(&mut self, audit: u32, then: Label, otherwise: Label) -> Label {
        self.branch(IF_EQUAL, audit, then, otherwise)
    }

    /// Goes on with `then` if the loaded number is `limit` or more.
    pub(super) fn if_at_least(&mut self, limit: u32, then: Label, otherwise: Label) -> Label {
        self.branch(IF_AT_LEAST, limit, then, otherwise)
    }

    /// Loads the call's architecture and goes on with `then`.
    pub(super) fn load_architecture(&mut self, then: Label) -> Label {
        self.continue_with(then);
        self.push(Instruction(LOAD, 0, 0, ARCHITECTURE))
    }

    /// Loads the call's number and goes on with `then`.
    pub(super) fn load_number(&mut self, then: Label) -> Label {
        self.continue_with(then);
        self.push(Instruction(LOAD, 0, 0, NUMBER))
    }

    /// Goes on with `then` if all conditions hold.
    pub(super) fn if_all(
        &mut self,
        conditions: &[Condition],
        width: Width,
        then: Label,
        otherwise: Label,
    ) -> Label {
        conditions.iter().rev().fold(then, |then, condition| self.if_holds(condition, width, then, otherwise))
    }

    fn if_holds(&mut self, condition: &Condition, width: Width, then: Label, otherwise: Label) -> Label {
        let Condition { argument, operator, value } = *condition;
        match operator {
            Operator::Equal => self.if_masked(argument, width, u64::MAX, value, then, otherwise),
            Operator::NotEqual => self.if_masked(argument, width, u64::MAX, value, otherwise, then),
            Operator::MaskedEqual(mask) => self.if_masked(argument, width, mask, value, then, otherwise),
            Operator::Greater => self.if_ordered(IF_GREATER, argument, width, value, then, otherwise),
            Operator::LessOrEqual => self.if_ordered(IF_GREATER, argument, width, value, otherwise, then),
            Operator::GreaterOrEqual => self.if_ordered(IF_AT_LEAST, argument, width, value, then, otherwise),
            Operator::Less => self.if_ordered(IF_AT_LEAST, argument, width, value, otherwise, then),
        }
    }

    fn if_masked(
        &mut self,
        argument: u32,
        width: Width,
        mask: u64,
        value: u64,
        then: Label,
        otherwise: Label,
    ) -> Label {
        let low = self.if_half(argument, LOW, mask as u32, value as u32, then, otherwise);
        match width {
            Width::Low => low,
            Width::Full => self.if_half(argument, HIGH, high(mask), high(value), low, otherwise),
        }
    }

    fn if_half(
        &mut self,
        argument: u32,
        half: u32,
        mask: u32,
        value: u32,
        then: Label,
        otherwise: Label,
    ) -> Label {
        if mask == 0 {
            return then;
        }
        self.branch(IF_EQUAL, value & mask, then, otherwise);
        if mask != u32::MAX {
            self.push(Instruction(MASK, 0, 0, mask));
        }
        self.load_half(argument, half)
    }

    // The lower halves only count when the upper ones are equal.
    fn if_ordered(
        &mut self,
        order: u16,
        argument: u32,
        width: Width,
        value: u64,
        then: Label,
        otherwise: Label,
    ) -> Label {
        self.branch(order, value as u32, then, otherwise);
        let low = self.load_half(argument, LOW);
        if width == Width::Low {
            return low;
        }
        let equal = self.branch(IF_EQUAL, high(value), low, otherwise);
        self.branch(IF_GREATER, high(value), then, equal);
        self.load_half(argument, HIGH)
    }

    fn load_half(&mut self, argument: u32, half: u32) -> Label {
        self.push(Instruction(LOAD, 0, 0, ARGUMENTS + 8 * argument + half))
    }

    fn branch(&mut self, code: u16, operand: u32, then: Label, otherwise: Label) -> Label {
        let otherwise = self.near(otherwise);
        let then = self.near(then);
        let (yes, no) = (self.distance(then) as u8, self.distance(otherwise) as u8);
        self.push(Instruction(code, yes, no, operand))
    }

    /// The label, or a jump to it that conditional jumps can reach.
    fn near(&mut self, label: Label) -> Label {
        match self.is_near(label) {
            true => label,
            false => self.push(Instruction(JUMP, 0, 0, self.distance(label) as u32)),
        }
    }

    /// Makes sure that the next instruction is followed by that one.
    fn continue_with(&mut self, label: Label) {
        if self.distance(label) > 0 {
            self.push(Instruction(JUMP, 0, 0, self.distance(label) as u32));
        }
    }

    fn is_near(&self, label: Label) -> bool {
        self.distance(label) <= NEAR
    }

    /// How many instructions the next one would have to skip.
    fn distance(&self, label: Label) -> usize {
        self.instructions.len() - label.0
    }

    fn push(&mut self, instruction: Instruction) -> Label {
        self.instructions.push(instruction);
        Label(self.instructions.len())
    }
}

fn high(value: u64) -> u32 {
    (value >> 32) as u32
}
