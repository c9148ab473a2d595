//! What compiled programs say to system calls.

use std::io::{Read, Seek};

use libseccomp::{ScmpAction, ScmpArgCompare, ScmpCompareOp, ScmpFilterContext, ScmpSyscall};
use oci_spec::runtime::{LinuxSeccompArg, LinuxSeccompOperator};
use rustix::fs::{MemfdFlags, memfd_create};
use serde_json::json;

use super::machine::{self, Call};
use super::random::{self, Dice, Shape};
use super::reference::Reference;
use super::*;

/// Compares `profiles` random profiles with the reference, each on many calls.
fn agree(shape: Shape, profiles: u64) {
    for seed in 0..profiles {
        let mut dice = Dice(seed);
        let seccomp = random::profile(&mut dice, shape);
        let program = match Profile::plan(&seccomp, true).unwrap().compile() {
            Ok(program) => program,
            Err(error) => panic!("{error}\n{}", serde_json::to_string(&seccomp).unwrap()),
        };
        let reference = Reference::new(seccomp.clone());
        for _ in 0..300 {
            let call = random::call(&mut dice);
            let (found, expected) = (machine::run(&program, &call), reference.verdict(&call));
            assert_eq!(
                found,
                expected,
                "seed {seed}: {found:#x}, not {expected:#x}, for {call:#x?} under\n{}",
                serde_json::to_string(&seccomp).unwrap()
            );
        }
    }
}

#[test]
fn names_alone() {
    agree(Shape { entries: 12, conditions: 0, discord: true }, 200);
}

#[test]
fn one_condition() {
    agree(Shape { entries: 12, conditions: 1, discord: false }, 200);
}

#[test]
fn several_conditions() {
    agree(Shape { entries: 8, conditions: 3, discord: false }, 200);
}

#[test]
fn a_search_tree() {
    agree(Shape { entries: 60, conditions: 2, discord: false }, 60);
}

#[test]
fn discord() {
    agree(Shape { entries: 8, conditions: 2, discord: true }, 200);
}

#[test]
fn docker_size() {
    let program = Profile::plan(&super::docker_size(), true).unwrap().compile().unwrap();
    let reference = Reference::new(super::docker_size());
    let firsts = [0, 1, 8, 40, 0x11, 0x2_0000, 0x2000_0000, 0xffff_ffff, 0x1_0000_0028];
    for (arch, base) in
        [(X86_64, 0), (X86_64, 0x4000_0000), (X86, 0), (X86_64, 0x3fff_ff00), (0xc000_00b7, 0)]
    {
        for number in base..base + 1000 {
            for first in firsts {
                let call = Call { number, arch, args: [first, 0, 0, 0, 0, 0] };
                assert_eq!(machine::run(&program, &call), reference.verdict(&call), "{call:x?}");
            }
        }
    }
}

/// Where libseccomp's own compiler can be trusted (one architecture, no names that this has not), it agrees.
#[test]
fn libseccomp_agrees() {
    let mut value: Value = serde_json::from_str(DOCKER_SIZE).unwrap();
    value["architectures"] = json!([]);
    let program = profile(value.clone()).compile().unwrap();
    let oracle = oracle(&seccomp(value));
    let last = ScmpSyscall::from_name("map_shadow_stack").map_or(450, i32::from) as u32;
    let numbers = (0..=last).chain([0x4000_0000, 0x4000_0001, u32::MAX]);
    for number in numbers {
        for first in [0, 1, 8, 40, 0x11, 0x2_0000, 0x2000_0000, 0xffff_ffff, 0x1_0000_0028] {
            let call = Call { number, arch: X86_64, args: [first, 0, 0, 0, 0, 0] };
            assert_eq!(machine::run(&program, &call), machine::run(&oracle, &call), "{call:x?}");
        }
    }
}

fn oracle(seccomp: &LinuxSeccomp) -> Vec<u8> {
    let mut filter = ScmpFilterContext::new(ScmpAction::Errno(1)).unwrap();
    for entry in seccomp.syscalls().iter().flatten() {
        let calls = entry.names().iter().filter_map(|name| ScmpSyscall::from_name(name).ok());
        let action = if entry.errno_ret().is_some() { ScmpAction::Errno(38) } else { ScmpAction::Allow };
        let args: Vec<_> = entry.args().iter().flatten().map(comparison).collect();
        for call in calls.filter(|call| i32::from(*call) >= 0) {
            filter.add_rule_conditional(action, call, &args).unwrap();
        }
    }
    let mut file = std::fs::File::from(memfd_create(c"oracle", MemfdFlags::CLOEXEC).unwrap());
    filter.export_bpf(&file).unwrap();
    let mut program = Vec::new();
    file.rewind().and_then(|()| file.read_to_end(&mut program)).unwrap();
    program
}

fn comparison(arg: &LinuxSeccompArg) -> ScmpArgCompare {
    let (operator, value) = match arg.op() {
        LinuxSeccompOperator::ScmpCmpNe => (ScmpCompareOp::NotEqual, arg.value()),
        LinuxSeccompOperator::ScmpCmpMaskedEq => {
            (ScmpCompareOp::MaskedEqual(arg.value()), arg.value_two().unwrap_or(0))
        }
        _ => (ScmpCompareOp::Equal, arg.value()),
    };
    ScmpArgCompare::new(arg.index() as u32, operator, value)
}

fn entry(args: Value) -> Value {
    json!({"names": ["read", "no_such_call"], "action": "SCMP_ACT_ALLOW", "args": args})
}

#[test]
fn calls_beyond_the_profile_do_not_exist() {
    let value = |default: &str| json!({"defaultAction": default, "syscalls": [{"names": ["read", "close"], "action": "SCMP_ACT_TRAP"}]});
    let at = |default: &str, number| verdict(value(default), X86_64, number, [0; 6]);
    assert_eq!((at("SCMP_ACT_ERRNO", 2), at("SCMP_ACT_ERRNO", 4)), (EPERM, ENOSYS));
    assert_eq!((at("SCMP_ACT_KILL", 2), at("SCMP_ACT_KILL", 4)), (KILL_THREAD, ENOSYS));
    assert_eq!(at("SCMP_ACT_ALLOW", 4), ALLOW);
    // A denial is a mention too, even where it changes nothing.
    let denied = json!({"names": ["clone3"], "action": "SCMP_ACT_ERRNO"});
    let denied = json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [denied]});
    assert_eq!(verdict(denied, X86_64, 435, [0; 6]), EPERM);
}

#[test]
fn numbers_private_to_arm_say_nothing_about_the_others() {
    let call = json!({"names": ["read", "set_tls"], "action": "SCMP_ACT_ALLOW"});
    let value =
        json!({"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_ARM"], "syscalls": [call]});
    let at = |number| verdict(value.clone(), 0x4000_0028, number, [0; 6]);
    assert_eq!([3, 4, 0xe_ffff, 0xf_0001, 0xf_0005].map(at), [ALLOW, ENOSYS, ENOSYS, EPERM, ALLOW]);
}

#[test]
fn with_an_agent_there_is_a_call_that_surely_waits_for_it() {
    let profile = |action: &str| {
        let entry = json!({"names": ["read"], "action": action});
        json!({"defaultAction": "SCMP_ACT_KILL", "listenerPath": "/a", "syscalls": [entry]})
    };
    let at = |action: &str, arch, number| verdict(profile(action), arch, number, [0; 6]);
    let rendezvous = RENDEZVOUS;
    assert_eq!(at("SCMP_ACT_NOTIFY", X86_64, rendezvous), NOTIFY);
    assert_eq!(at("SCMP_ACT_NOTIFY", X86_64, 0), NOTIFY);
    assert_eq!(at("SCMP_ACT_NOTIFY", X86_64, rendezvous - 1), ENOSYS);
    assert_eq!(at("SCMP_ACT_NOTIFY", X86_64, rendezvous + 1), KILL_THREAD);
    assert_eq!(at("SCMP_ACT_NOTIFY", X86, rendezvous), KILL_THREAD);
    assert_eq!(at("SCMP_ACT_ALLOW", X86_64, rendezvous), ENOSYS);
}

#[test]
fn conditions_on_one_argument_are_alternatives() {
    let args = json!([
        {"index": 0, "value": 1, "op": "SCMP_CMP_EQ"},
        {"index": 0, "value": 3, "op": "SCMP_CMP_EQ"},
        {"index": 1, "value": 7, "op": "SCMP_CMP_EQ"},
    ]);
    let value = json!({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": [entry(args)]});
    let at = |first, second| verdict(value.clone(), X86_64, 0, [first, second, 0, 0, 0, 0]);
    assert_eq!([at(1, 0), at(3, 0), at(2, 7), at(2, 0)], [ALLOW, ALLOW, ALLOW, EPERM]);
}

#[test]
fn conditions_on_different_arguments_must_all_hold() {
    let args = json!([
        {"index": 0, "value": 1, "op": "SCMP_CMP_EQ"},
        {"index": 2, "value": 5, "op": "SCMP_CMP_LE"},
    ]);
    let value = json!({"defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86"], "syscalls": [entry(args)]});
    for (arch, number) in [(X86_64, 0), (X86, 3)] {
        let at = |first, third| verdict(value.clone(), arch, number, [first, 0, third, 0, 0, 0]);
        assert_eq!([at(1, 5), at(1, 6), at(2, 5)], [ALLOW, EPERM, EPERM]);
    }
}
