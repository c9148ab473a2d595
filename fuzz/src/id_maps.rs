//! Maps of user and group ids: what the kernel would refuse, or take as something else, never gets there.

use runtime_core::Spec;
use serde_json::{Value, json};

use crate::configurations::{document, minimal};

/// As many as the kernel takes in one map.
const MOST: usize = 340;

/// A range as it is written: three numbers, of any size.
type Range = [u64; 3];

/// Lines of three numbers; an empty line ends the users, and groups follow.
pub(crate) fn maps(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let (users, groups) = text.split_once("\n\n").unwrap_or((&text, "0 0 1"));
    let (users, groups) = (ranges(users), ranges(groups));
    let mut config = minimal();
    let namespaces = config["linux"]["namespaces"].as_array_mut().expect("there are some");
    namespaces.push(json!({"type": "user"}));
    config["linux"]["uidMappings"] = users.iter().map(mapping).collect();
    config["linux"]["gidMappings"] = groups.iter().map(mapping).collect();
    let config = config.to_string().into_bytes();
    document(&config);
    let sound = [&users, &groups].into_iter().all(|map| !map.is_empty() && is_sound(map));
    assert_eq!(Spec::parse(config).is_ok(), sound, "{users:?} {groups:?}");
}

fn ranges(text: &str) -> Vec<Range> {
    let range = |line: &str| {
        let mut numbers = line.split(' ').map(str::parse);
        let mut number = || numbers.next()?.ok();
        Some([number()?, number()?, number()?])
    };
    text.lines().filter_map(range).collect()
}

fn mapping([inside, outside, size]: &Range) -> Value {
    json!({"containerID": inside, "hostID": outside, "size": size})
}

/// Of every two ranges none has an id of the other's, and each ends before the id that is none (user_namespaces(7)).
fn is_sound(map: &[Range]) -> bool {
    const NOBODY: u64 = u32::MAX as u64;
    let fits = |[inside, outside, size]: &Range| {
        (1..=NOBODY).contains(size)
            && [inside, outside].iter().all(|start| start.checked_add(*size).is_some_and(|end| end <= NOBODY))
    };
    let apart = |a: u64, b: u64, [a_size, b_size]: [u64; 2]| a + a_size <= b || b + b_size <= a;
    let disjoint = |a: &Range, b: &Range| apart(a[0], b[0], [a[2], b[2]]) && apart(a[1], b[1], [a[2], b[2]]);
    map.len() <= MOST
        && map.iter().all(fits)
        && map.iter().enumerate().all(|(index, a)| map[..index].iter().all(|b| disjoint(a, b)))
}
