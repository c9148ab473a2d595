//! No document costs more memory or time than it may, however it is made. A process of its own, whose memory is measured.

use std::fs;

use runtime_core::Spec;
use runtime_fuzz::{PATIENCE, check, processor_time};

/// In KiB.
const MEMORY: u64 = 256 << 10;

const MIB: usize = 1 << 20;

/// One after the other: the time of the whole process is looked at.
#[test]
fn no_document_costs_more_than_it_may() {
    the_worst_ones();
    deep_ones();
}

fn the_worst_ones() {
    for size in [MIB, 3 * MIB, 16 * MIB, 64 * MIB] {
        for (head, item, tail) in WORST {
            let document = [head, &item.repeat((size - head.len() - tail.len()) / item.len()), tail].concat();
            let begun = processor_time();
            _ = Spec::parse(document.into_bytes());
            let used = processor_time() - begun;
            assert!(used < PATIENCE, "{used:?} for {size} bytes of {item:?} after {head:?}");
            let most = most_memory();
            // The document itself, and what it is put together from, are not what reading it costs.
            let ours = 2 * size as u64 / 1024;
            assert!(most < MEMORY + ours, "{most} KiB for {size} bytes of {item:?} after {head:?}");
        }
    }
}

fn deep_ones() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("{\"process\":", "}"), ("{\"linux\":[", "]}")] {
        for depth in [100, 127, 128, 129, 10_000] {
            let whole = [&open.repeat(depth), "1", &close.repeat(depth)].concat();
            let member = format!("{{\"ociVersion\":\"1.2.0\",\"x\":{whole}}}");
            [whole, member].iter().for_each(|document| check("config", document.as_bytes()));
            check("config", open.repeat(depth).as_bytes());
        }
    }
}

/// How a document begins, what it is full of, and how it ends.
const WORST: [(&str, &str, &str); 8] = [
    ("{\"ociVersion\":\"1.2.0\",\"x\":[", "0,", "0]}"),
    ("{\"ociVersion\":\"1.2.0\",\"x\":[", "{},", "0]}"),
    ("{\"ociVersion\":\"1.2.0\",\"x\":{", "\"a\":0,", "\"b\":0}}"),
    (
        "{\"ociVersion\":\"1.2.0\",\"root\":{\"path\":\"r\"},\"process\":{\"cwd\":\"/\",\"env\":[",
        "\"\",",
        "\"\"]}}",
    ),
    ("{\"ociVersion\":\"1.2.0\",\"process\":{\"capabilities\":{\"bounding\":[", "\"\",", "\"\"]}}}"),
    ("{\"ociVersion\":\"1.2.0\",\"mounts\":[", "{\"destination\":\"/\"},", "{}]}"),
    ("{\"ociVersion\":\"1.2.0\",\"hooks\":{\"prestart\":[", "{\"path\":\"/\"},", "{\"path\":\"/\"}]}}"),
    ("{\"ociVersion\":\"1.2.0\",\"hostname\":\"", "\\u0000", "\"}"),
];

fn most_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}
