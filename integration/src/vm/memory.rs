//! The smallest limit of memory that containers start with: ours and peers side by side, in one guest.

use std::fmt::Write;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Built, Files, Guest, Job, Kernel, World};
use crate::engines::subject::version;

/// How often a container must start.
const TRIES: u32 = 50;

/// How long all of it may take.
const TIME: Duration = Duration::from_secs(3000);

/// What can be measured, in the order of the table.
const NAMES: [&str; 4] = ["runtime", "crun", "runc", "youki"];

/// A runtime, and what was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    /// Its name and version.
    pub runtime: String,
    /// The smallest limit in KiB.
    pub kibibytes: u64,
}

/// Measures our runtime, and the peers that are in these directories.
///
/// # Errors
/// When the guest fails, or a runtime starts no container at all.
pub fn measure(places: &[PathBuf]) -> io::Result<Vec<Measured>> {
    let (built, mut files) = (Built::new()?, Files::new()?);
    built.add_to(&mut files)?;
    let peers = NAMES[1..]
        .iter()
        .filter_map(|name| places.iter().map(|place| place.join(name)).find(|path| path.is_file()));
    let runtimes: Vec<_> = std::iter::once(built.runtime().to_owned()).chain(peers).collect();
    for peer in &runtimes[1..] {
        files.add_with_libraries(peer, "peers")?;
    }
    // What a processor keeps in hand of a cgroup's memory counts: with one of them a limit says most about a runtime.
    let guest = Guest { append: vec!["nr_cpus=1".into()], ..Guest::new(World::V2, Kernel::V6_12) };
    let job = Job { script: script(&runtimes[1..]), files: files.disk()?, time: TIME };
    let mut said = Vec::new();
    guest.run(&job, &mut said)?;
    read(&String::from_utf8_lossy(&said), &runtimes)
}

fn script(peers: &[PathBuf]) -> String {
    let smallest =
        |runtime: &str| format!("RUNTIME={runtime} /vm/bin/smallest {TRIES} 2>/dev/null || echo none\n");
    let peer = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        format!("LD_LIBRARY_PATH=/vm/peers/lib {}", smallest(&format!("/vm/peers/{name}")))
    };
    smallest("/vm/bin/runtime") + &peers.iter().map(peer).collect::<String>()
}

fn read(said: &str, runtimes: &[PathBuf]) -> io::Result<Vec<Measured>> {
    let wrong = |line: &str| io::Error::other(format!("no number: {line}\n{said}"));
    let one = |(line, path): (&str, &PathBuf)| {
        Ok(Measured { runtime: version(path), kibibytes: line.trim().parse().map_err(|_| wrong(line))? })
    };
    let found = said.lines().zip(runtimes).map(one).collect::<io::Result<Vec<_>>>()?;
    match found.len() == runtimes.len() {
        true => Ok(found),
        false => Err(wrong("")),
    }
}

/// Whether the first needs less than all others.
pub fn first_is_least(measured: &[Measured]) -> bool {
    measured.split_first().is_some_and(|(first, rest)| rest.iter().all(|one| first.kibibytes < one.kibibytes))
}

/// The table, as Markdown.
pub fn markdown(measured: &[Measured]) -> String {
    let mut text = format!(
        "# Memory\n\n\
         Written by `make memory PEERS=DIRECTORY`; changes by hand are lost. The smallest `linux.resources.memory.limit`, with no\n\
         more swap, under which `run` of `/bin/true` succeeds {TRIES} times of {TRIES}: on cgroup2, Linux {}, with one processor, in\n\
         steps of 16 KiB. What the kernel needs for the container's own mounts, namespaces and pages counts, and so does each process\n\
         that a runtime puts into the cgroup before the program runs.\n\n| runtime | KiB |\n|---|---:|\n",
        Kernel::V6_12.name()
    );
    for one in measured {
        let _ = writeln!(text, "| {} | {} |", one.runtime, one.kibibytes);
    }
    text
}

/// Where the table lies.
pub fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../specs/memory.md")
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::{Measured, first_is_least, read, script};

    #[test]
    fn one_line_is_one_runtime() {
        let runtimes = ["/bin/true", "/a/crun"].map(PathBuf::from);
        assert_eq!(script(&runtimes[1..]).lines().count(), 2);
        let kibibytes = read("240\n400\n", &runtimes).unwrap().into_iter().map(|one| one.kibibytes);
        assert_eq!(kibibytes.collect::<Vec<_>>(), [240, 400]);
        assert!(read("240\n", &runtimes).is_err() && read("240\nnone\n", &runtimes).is_err());
    }

    #[test]
    fn a_draw_is_no_victory() {
        let measured = |all: &[u64]| -> Vec<_> {
            all.iter().map(|&kibibytes| Measured { runtime: String::new(), kibibytes }).collect()
        };
        assert!(first_is_least(&measured(&[240, 400, 256])) && first_is_least(&measured(&[240])));
        assert!(!first_is_least(&measured(&[240, 400, 240])) && !first_is_least(&[]));
    }
}
