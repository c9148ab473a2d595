//! `events`: what a container uses, and what happens to it, as lines of JSON.

use std::time::{Duration, Instant};

use clap::{Arg, ArgMatches};
use serde::Serialize;
use serde_json::Map;

use super::{Session, Verb};
use crate::args::{container, flag, is_set};
use crate::duration;
use crate::failure::Failure;
use crate::output;
use runtime_core::cgroup::{Happening, Stats};
use runtime_core::container::{Container, Status};

pub(super) const VERB: Verb = Verb {
    name: "events",
    about: "Print what a container uses, and when memory runs out, until it ends",
    arguments: |table| {
        table.args([
            Arg::new("interval")
                .long("interval")
                .value_name("DURATION")
                .default_value("5s")
                .value_parser(duration::parse)
                .help("The time between two lines about what it uses"),
            flag("stats", "Print one such line, and end"),
            container(),
        ])
    },
    run,
};

/// A line.
#[derive(Serialize)]
struct Event<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Data>,
}

/// RUNC-COMPAT: there is always something about the two, if only nothing.
#[derive(Serialize)]
struct Data {
    #[serde(flatten)]
    stats: Stats,
    intel_rdt: Map<String, serde_json::Value>,
    network_interfaces: (),
}

fn run(matches: &ArgMatches, session: &Session<'_>) -> Result<u8, Failure> {
    let container = session.find(matches)?;
    if container.state()?.status == Status::Stopped {
        return Err(Failure::Refused(format!("container with id {} is not running", container.id())));
    }
    let interval = matches.get_one("interval").copied().unwrap_or(Duration::from_secs(5));
    match is_set(matches, "stats") {
        true => print_stats(&container).map(drop),
        false => follow(&container, interval),
    }
    .map(|()| 0)
}

/// Prints what happens until the container is empty, or nobody reads any more.
fn follow(container: &Container, interval: Duration) -> Result<(), Failure> {
    let mut watch = container.watch()?;
    let mut next = Instant::now() + interval;
    loop {
        let is_read = match watch.next(next)? {
            Some(Happening::Empty) => return Ok(()),
            Some(Happening::OutOfMemory) => print(container, "oom", None)?,
            // Others have no name for the rest.
            Some(_) => true,
            None => {
                next += interval;
                print_stats(container)?
            }
        };
        if !is_read {
            return Ok(());
        }
    }
}

fn print_stats(container: &Container) -> Result<bool, Failure> {
    let data = Data { stats: container.stats()?, intel_rdt: Map::new(), network_interfaces: () };
    print(container, "stats", Some(data))
}

// Whether somebody reads it.
fn print(container: &Container, kind: &str, data: Option<Data>) -> Result<bool, Failure> {
    output::offer_line(&Event { kind, id: container.id().as_str(), data })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_the_frame_of_runc() {
        let line = |kind, data| serde_json::to_string(&Event { kind, id: "x", data }).unwrap();
        assert_eq!(line("oom", None), r#"{"type":"oom","id":"x"}"#);
        let data = Data { stats: Stats::default(), intel_rdt: Map::new(), network_interfaces: () };
        let line = line("stats", Some(data));
        assert!(line.starts_with(r#"{"type":"stats","id":"x","data":{"cpu":{"usage":"#), "{line}");
        assert!(line.ends_with(r#""hugetlb":{},"intel_rdt":{},"network_interfaces":null}}"#), "{line}");
    }
}
