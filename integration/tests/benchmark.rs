//! The benchmark does what it measures: its commands make containers that do what they should, and are gone afterwards.
//! How long that takes is no matter here.

use std::process::Command;

use integration::runtime::binaries;
use integration::{Kind, runtime};
use serde_json::Value;

#[test]
fn what_is_measured_is_done() {
    if runtime().kind != Kind::Ours {
        return;
    }
    let mut bench = Command::new(binaries().join("bench"));
    // Without peers: here it is about ours, and the floor.
    bench.args(["--rounds", "2", "--json"]).env("OURS", &runtime().path).env("PATH", "/usr/bin");
    let said = bench.env_remove("PEERS").output().expect("the program is there");
    let told = String::from_utf8_lossy(&said.stdout);
    let results: Value = serde_json::from_str(&told).expect("results");
    assert!(said.status.success(), "{told} {}", String::from_utf8_lossy(&said.stderr));
    for (name, measure) in
        [("runtime", "create+start+delete, seccomp"), ("runtime", "exec, seccomp"), ("floor", "run")]
    {
        let result = &results[name];
        assert!(
            result["error"].is_null() && result["measures"][measure]["median"].is_u64(),
            "{name}: {result}"
        );
    }
}
