//! The fuzz targets for a moment, on any toolchain: sound inputs, damaged at random but the same way each time.

use std::fs;
use std::path::Path;

use runtime_core::plan::{self, Request};
use runtime_core::state::{Intent, Record};
use runtime_core::wire::put_message;
use runtime_core::{ContainerId, Spec};
use serde_json::json;

const ROUNDS: usize = 4000;

#[test]
fn configurations() {
    let plans = Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtime-core/tests/plans");
    let cases =
        fs::read_dir(plans).unwrap().map(|case| fs::read(case.unwrap().path().join("config.json")).unwrap());
    damage(&sorted(cases.collect()), runtime_fuzz::config);
}

#[test]
fn mounts() {
    let seeds = [
        "/a\ntmpfs\ntmpfs\nro\nnosuid\nsize=1m\nmode=755",
        "/b\nbind\n/srv\nrbind\nrro\nrslave\nridmap",
        "/proc\nproc\nproc\nhidepid=2\nsubset=pid",
        "/sys/fs/cgroup\ncgroup\ncgroup\nro\nrelatime\nnorelatime\nremount",
        "/../x//./y\noverlay\noverlay\nlowerdir=/a:/b\ntmpcopyup\nidmap",
    ];
    damage(&seeds.map(|seed| seed.as_bytes().to_vec()), runtime_fuzz::mounts);
}

#[test]
fn messages() {
    damage(&[message()], runtime_fuzz::wire);
}

#[test]
fn records() {
    let identity = json!({"pid": 1, "startTime": 2, "bootId": "x"});
    let place = json!({"version": "v2", "controllers": ["cpu"], "mount": "/sys/fs/cgroup", "path": "a/b"});
    let intent =
        json!({"version": 1, "id": "x", "creator": identity, "cgroup": [place.clone()], "bundle": "/bundle"});
    let record = json!({
        "version": 1, "id": "x", "ociVersion": "1.2.0", "init": identity, "bundle": "/bundle", "rootfs": "/rootfs",
        "created": "2030-01-31T23:59:59Z", "owner": 0, "annotations": {"a": "b"}, "cgroup": [place],
        "privatePidNamespace": true, "hooks": [{"kind": "poststop", "hooks": [{"path": "/bin/true"}]}],
        "request": Request::new(&ContainerId::new("x").unwrap(), "/rootfs".into()),
    });
    serde_json::from_value::<Intent>(intent.clone()).expect("the seed is sound");
    serde_json::from_value::<Record>(record.clone()).expect("the seed is sound");
    damage(&[intent, record].map(|seed| seed.to_string().into_bytes()), runtime_fuzz::state);
}

/// The message of a real plan.
fn message() -> Vec<u8> {
    let config = include_bytes!("../../runtime-core/tests/plans/default/config.json");
    let [host, _] = runtime_fuzz::hosts();
    let request = Request::new(&ContainerId::new("x").unwrap(), "/r".into());
    let plan = plan::create(&Spec::parse(config.to_vec()).unwrap(), &host, &request).unwrap();
    let mut bytes = Vec::new();
    put_message(&[], plan.steps().into_iter(), &mut bytes);
    bytes
}

fn sorted(mut seeds: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    seeds.sort();
    seeds
}

/// Feeds each seed, then seeds with bytes flipped, cut, doubled, and crossed with others.
fn damage(seeds: &[Vec<u8>], target: fn(&[u8])) {
    seeds.iter().for_each(|seed| target(seed));
    let mut random = Random(7);
    for _ in 0..ROUNDS {
        let mut bytes = seeds[random.below(seeds.len())].clone();
        for _ in 0..=random.below(4) {
            mutate(&mut bytes, seeds, &mut random);
        }
        target(&bytes);
    }
}

fn mutate(bytes: &mut Vec<u8>, seeds: &[Vec<u8>], random: &mut Random) {
    let place = random.below(bytes.len() + 1);
    match random.below(6) {
        0 => bytes.truncate(place),
        1 => bytes.insert(place, random.below(256) as u8),
        2 if place < bytes.len() => bytes[place] ^= 1 << random.below(8),
        3 if place < bytes.len() => {
            bytes[place] = [0, 1, 0x7f, 0x80, 0xff, b'"', b'9', b'/'][random.below(8)]
        }
        4 => {
            let part = bytes[place..(place + random.below(64)).min(bytes.len())].to_vec();
            let at = random.below(bytes.len() + 1);
            bytes.splice(at..at, part);
        }
        _ => {
            let other = &seeds[random.below(seeds.len())];
            let from = random.below(other.len() + 1);
            bytes.truncate(place);
            bytes.extend(&other[from..]);
        }
    }
}

/// A linear congruence: the same numbers on every machine.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % bound.max(1)
    }
}
