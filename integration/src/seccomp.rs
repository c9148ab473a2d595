//! Profiles for tests and benchmarks.

use serde_json::{Value, json};

/// A `linux.seccomp` object with about as many calls, conditions and architectures as Docker's default profile: the
/// data file of the library's tests if it is there, one of our own otherwise.
///
/// # Panics
/// When the data file is not JSON.
pub fn docker_sized() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../runtime-core/tests/data/seccomp-docker-size.json");
    match std::fs::read_to_string(path) {
        Ok(text) => serde_json::from_str(&text).expect("the profile is JSON"),
        Err(_) => own(),
    }
}

/// Allows what ordinary programs call, and refuses the rest with EPERM.
fn own() -> Value {
    let names: Vec<&str> = include_str!("calls.txt").split_whitespace().collect();
    let exactly = |value: u64| json!([{"index": 0, "value": value, "op": "SCMP_CMP_EQ"}]);
    let personality =
        |value: u64| json!({"names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": exactly(value)});
    let family = json!([{"index": 0, "value": 40, "op": "SCMP_CMP_NE"}]);
    let spaces = json!([{"index": 0, "value": 0x7e02_0000_u64, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"}]);
    let mut rules = vec![
        json!({"names": names, "action": "SCMP_ACT_ALLOW"}),
        json!({"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": family}),
        json!({"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": spaces}),
        json!({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}),
    ];
    rules.extend([0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff].map(personality));
    json!({
        "defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1,
        "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
        "syscalls": rules
    })
}
