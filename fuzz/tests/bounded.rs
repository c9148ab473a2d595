//! The targets for a moment, on any toolchain: sound inputs, damaged at random but the same way each time.
//!
//! What fuzzers have found has a test of its own where it was mended.

use runtime_fuzz::random::Random;
use runtime_fuzz::{TARGETS, check, resolvers, seeds};

/// Each seed as it is, and then as many damaged ones.
fn moment(name: &str, rounds: usize) {
    let seeds = seeds(name);
    assert!(!seeds.is_empty(), "{name} has no seeds");
    seeds.iter().for_each(|seed| check(name, seed));
    let mut random = Random(7);
    (0..rounds).for_each(|_| check(name, &random.damaged(&seeds)));
}

macro_rules! moments {
    ($($target:ident $rounds:literal)*) => {
        $( #[test] fn $target() { moment(stringify!($target), $rounds) } )*

        #[test]
        fn every_target_has_its_moment() {
            assert_eq!(TARGETS.map(|target| target.name), [$(stringify!($target)),*]);
        }
    };
}

moments! {
    config 1000
    mounts 1000
    id_maps 300
    sysctls 1000
    seccomp 100
    cgroups 1000
    resolvers 300
    users 1000
    messages 1000
    state 300
    kernel 300
    bus 2000
    arguments 1000
    surroundings 1000
}

/// Both ways of resolving a path, on trees at random.
fn trees(count: usize) {
    let mut random = Random(11);
    (0..count).for_each(|_| resolvers::tree(&random.bytes(160)));
}

#[test]
fn both_resolvers_agree_on_a_thousand_trees() {
    trees(1000);
}

/// `make test-long`
#[test]
#[ignore = "takes minutes"]
fn both_resolvers_agree_on_a_hundred_thousand_trees() {
    trees(100_000);
}
