//! `update`: other limits for a container that exists.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use clap::ArgMatches;
use serde_json::{Map, Value};

use super::{Session, Verb};
use crate::args::{container, path, path_of, text};
use crate::compat;
use crate::failure::Failure;
use runtime_core::error::Context;
use runtime_core::{Error, spec};

pub(super) const VERB: Verb = Verb {
    name: "update",
    about: "Change the limits of a container",
    arguments: |table| {
        let flags = FLAGS.iter().map(|flag| text(flag.name, flag.kind.word(), flag.help));
        table
            .arg(path("resources", "FILE", "Read linux.resources from a file, or from - (standard input); then no other option counts").short('r'))
            .args(flags)
            .args(IGNORED.map(|name| text(name, "BYTES", "Accepted; the kernel has no such limit any more")))
            .args(RDT.map(|name| text(name, "SCHEMA", "Refused: containers have no group for resource control")))
            .arg(container())
    },
    run,
};

/// An option that sets one field of `linux.resources`.
struct Flag {
    name: &'static str,
    section: &'static str,
    field: &'static str,
    kind: Kind,
    help: &'static str,
}

/// What an option's value is.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Number,
    Bytes,
    List,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Kind::Number => "NUMBER",
            Kind::Bytes => "BYTES",
            Kind::List => "LIST",
        }
    }

    /// # Errors
    /// The text is no such value.
    fn read(self, text: &str) -> Result<Value, String> {
        match self {
            Kind::List => Ok(text.into()),
            Kind::Bytes => compat::parse_bytes(text).map(Value::from),
            Kind::Number => match (text.parse::<i64>(), text.parse::<u64>()) {
                (Ok(number), _) => Ok(number.into()),
                (_, Ok(number)) => Ok(number.into()),
                _ => Err("a number is wanted".into()),
            },
        }
    }
}

const fn flag(
    name: &'static str,
    (section, field): (&'static str, &'static str),
    kind: Kind,
    help: &'static str,
) -> Flag {
    Flag { name, section, field, kind, help }
}

const FLAGS: [Flag; 14] = [
    flag("blkio-weight", ("blockIO", "weight"), Kind::Number, "Share of block input and output, 10 to 1000"),
    flag("cpu-period", ("cpu", "period"), Kind::Number, "Microseconds in which --cpu-quota may be used"),
    flag("cpu-quota", ("cpu", "quota"), Kind::Number, "Microseconds of CPU time in each period; -1 for any"),
    flag("cpu-burst", ("cpu", "burst"), Kind::Number, "Microseconds of CPU time that may be saved up"),
    flag("cpu-share", ("cpu", "shares"), Kind::Number, "Share of the CPUs, 2 to 262144; 1024 is usual"),
    flag(
        "cpu-rt-period",
        ("cpu", "realtimePeriod"),
        Kind::Number,
        "Period of realtime tasks, in microseconds",
    ),
    flag("cpu-rt-runtime", ("cpu", "realtimeRuntime"), Kind::Number, "Time of realtime tasks in each period"),
    flag("cpuset-cpus", ("cpu", "cpus"), Kind::List, "CPUs to run on, such as 0-2,4"),
    flag("cpuset-mems", ("cpu", "mems"), Kind::List, "Memory nodes to use"),
    flag(
        "cpu-idle",
        ("cpu", "idle"),
        Kind::Number,
        "1 to run only when nobody else wants to, 0 to undo that",
    ),
    flag("memory", ("memory", "limit"), Kind::Bytes, "Memory limit, such as 512M; -1 for none"),
    flag(
        "memory-reservation",
        ("memory", "reservation"),
        Kind::Bytes,
        "Memory that is kept when it is scarce",
    ),
    flag("memory-swap", ("memory", "swap"), Kind::Bytes, "Limit of memory and swap together; -1 for none"),
    flag("pids-limit", ("pids", "limit"), Kind::Number, "How many processes there may be; -1 for any number"),
];

/// RUNC-COMPAT: these limits are gone from the kernel, and still on command lines.
const IGNORED: [&str; 2] = ["kernel-memory", "kernel-memory-tcp"];

const RDT: [&str; 2] = ["l3-cache-schema", "mem-bw-schema"];

fn run(matches: &ArgMatches, session: &Session<'_>) -> Result<u8, Failure> {
    let container = session.find(matches)?;
    let document = match path_of(matches, "resources") {
        Some(path) => read(path)?,
        None => from_flags(matches, session)?,
    };
    let resources = spec::resources(&document).map_err(Error::Update)?;
    container.update(&resources)?;
    Ok(0)
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut document = Vec::new();
    // One byte more than is allowed, for the parser to refuse.
    let most = spec::MAX_SIZE as u64 + 1;
    let read = match path == Path::new("-") {
        true => io::stdin().lock().take(most).read_to_end(&mut document),
        false => File::open(path).and_then(|file| file.take(most).read_to_end(&mut document)),
    };
    read.doing(|| format!("cannot read the resources from {}", path.display()))?;
    Ok(document)
}

fn from_flags(matches: &ArgMatches, session: &Session<'_>) -> Result<Vec<u8>, Failure> {
    let given = |name: &&&'static str| matches.get_one::<String>(name).is_some_and(|value| !value.is_empty());
    if let Some(name) = RDT.iter().find(given) {
        let why = "the container has no linux.intelRdt, and so there is no group to change";
        return Err(Failure::Refused(format!("--{name}: {why}")));
    }
    if let Some(name) = IGNORED.iter().find(given) {
        session.log.warning(&format!("--{name} is ignored: the kernel has no such limit any more"));
    }
    let mut resources = Map::new();
    for flag in &FLAGS {
        let Some(text) = matches.get_one::<String>(flag.name) else { continue };
        let value = flag
            .kind
            .read(text)
            .map_err(|why| Failure::Usage(format!("invalid value {text:?} for --{}: {why}", flag.name)))?;
        let section = resources.entry(flag.section).or_insert_with(|| Map::new().into());
        if let Some(section) = section.as_object_mut() {
            section.insert(flag.field.into(), value);
        }
    }
    Ok(Value::Object(resources).to_string().into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_is_a_field_that_the_library_reads() {
        for Flag { name, section, field, .. } in &FLAGS {
            let value = if name.starts_with("cpuset") { "\"0\"" } else { "1" };
            let document = format!("{{{section:?}:{{{field:?}:{value}}}}}");
            let read = spec::resources(document.as_bytes()).unwrap();
            let kept = serde_json::to_string(&read).unwrap();
            assert!(kept.contains(&format!("{field:?}:{value}")), "{name}: {kept}");
        }
    }

    #[test]
    fn values_are_numbers_sizes_or_lists() {
        assert_eq!(Kind::Number.read("-1"), Ok((-1).into()));
        assert_eq!(Kind::Number.read("18446744073709551615"), Ok(u64::MAX.into()));
        assert_eq!(Kind::Bytes.read("1g"), Ok((1 << 30).into()));
        assert_eq!(Kind::List.read("0-3"), Ok("0-3".into()));
        assert!(Kind::Number.read("1k").is_err() && Kind::Number.read("").is_err());
    }
}
