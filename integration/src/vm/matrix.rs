//! Which tests run where.

use std::io;
use std::time::Duration;

use super::{Guest, Job, Kernel, World};

/// One guest and the tests that run in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// How it lays out its cgroups.
    pub world: World,
    /// What it boots.
    pub kernel: Kernel,
    /// The programs of tests, by name; none means all of them.
    pub suites: Vec<String>,
}

/// Everything that cgroups decide.
const CGROUPS: &[&str] =
    &["runtime_core", "limits", "felt", "update", "events", "pause", "lifecycle", "exec", "ps", "sandbox"];

/// What the age of a kernel decides: calls that it lacks, and what it does otherwise.
const KERNEL: &[&str] = &[
    "runtime_core",
    "limits",
    "felt",
    "lifecycle",
    "namespaces",
    "rootfs",
    "process",
    "plumbing",
    "seccomp",
    "syntax",
];

/// All guests; every world and every kernel is there at least once, and all tests run in the one that is likest to a
/// server of today, and in the one that is likest to one of yesterday.
const ROWS: [(World, Kernel, &[&str]); 7] = [
    (World::V2, Kernel::V6_12, &[]),
    (World::V1, Kernel::V6_1, &[]),
    (World::Systemd, Kernel::V6_12, CGROUPS),
    (World::Hybrid, Kernel::V6_1, CGROUPS),
    (World::V2, Kernel::V6_1, KERNEL),
    (World::V2, Kernel::Newest, KERNEL),
    (World::Systemd, Kernel::Newest, &["limits", "felt", "lifecycle"]),
];

/// Programs that don't fit guests: one about the harness itself, and those that repeat what others do some hundred times,
/// or leave next to nothing of what an emulated machine has.
const NOT_IN_GUESTS: &[&str] = &["harness", "cycles", "concurrency", "exhaustion"];

/// Tests about time, which an emulated machine has too little of.
const TOO_SLOW: &str = "--skip a_thousand_containers_are_listed_quickly";

/// How long a guest may take, and each program in it.
const TIME: Duration = Duration::from_secs(1500);
const SUITE_SECONDS: u32 = 600;

/// The rows that these words choose: the names of worlds, kernels and suites. Without words, all.
///
/// # Errors
/// When a word is no such name.
pub fn chosen(words: &[&str], suites: &[&str]) -> io::Result<Vec<Row>> {
    let worlds: Vec<_> = words.iter().filter_map(|word| World::named(word)).collect();
    let kernels: Vec<_> = words.iter().filter_map(|word| Kernel::named(word)).collect();
    let is_place = |word: &str| World::named(word).is_some() || Kernel::named(word).is_some();
    let named: Vec<_> = words.iter().copied().filter(|word| !is_place(word)).collect();
    if let Some(unknown) = named.iter().find(|word| !suites.contains(word)) {
        let known = suites.join(", ");
        return Err(io::Error::other(format!(
            "{unknown:?} is no world, kernel or suite; suites are {known}"
        )));
    }
    let fits = |world, kernel| {
        (worlds.is_empty() || worlds.contains(&world)) && (kernels.is_empty() || kernels.contains(&kernel))
    };
    let mut places: Vec<_> = ROWS.into_iter().filter(|(world, kernel, _)| fits(*world, *kernel)).collect();
    if places.is_empty() {
        places.extend(worlds.first().zip(kernels.first()).map(|(world, kernel)| (*world, *kernel, &[][..])));
    }
    let programs = |usual: &[&str]| match (named.is_empty(), usual.is_empty()) {
        (false, _) => named.iter().map(|&name| name.to_owned()).collect(),
        (true, true) => all_of(suites),
        (true, false) => {
            suites.iter().filter(|name| usual.contains(name)).map(|&name| name.to_owned()).collect()
        }
    };
    Ok(places
        .into_iter()
        .map(|(world, kernel, usual)| Row { world, kernel, suites: programs(usual) })
        .collect())
}

fn all_of(suites: &[&str]) -> Vec<String> {
    suites.iter().filter(|name| !NOT_IN_GUESTS.contains(name)).map(|&name| name.to_owned()).collect()
}

impl Row {
    /// What tables call it.
    pub fn name(&self) -> String {
        format!("{} {}", self.world.name(), self.kernel.name())
    }

    /// Its machine.
    pub fn guest(&self) -> Guest {
        Guest { memory: 3072, ..Guest::new(self.world, self.kernel) }
    }

    /// What its machine does, given the disk with the tests.
    pub fn job(&self, files: std::path::PathBuf) -> Job {
        let world = match self.world {
            World::V1 | World::Hybrid => "export WORLD=host\n",
            World::V2 | World::Systemd => "",
        };
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
        let script = format!(
            "{world}export RUNTIME=/vm/bin/runtime\n\
             mkdir -p '{source}/../' && mkdir -p '{source}' && cp -r /vm/source/. '{source}/'\n\
             for suite in {}; do\n\
             echo \"=== suite $suite\"\n\
             timeout {SUITE_SECONDS} /vm/bin/deps/$suite --test-threads=2 --show-output {TOO_SLOW}\n\
             echo \"=== status $?\"\n\
             done\n",
            self.suites.join(" ")
        );
        Job { script, files, time: TIME }
    }
}

#[cfg(test)]
mod tests {
    use super::{ROWS, chosen};
    use crate::vm::{Kernel, World};

    const SUITES: &[&str] = &["limits", "felt", "harness", "hooks"];

    #[test]
    fn every_world_and_every_kernel_has_a_row() {
        assert!(World::ALL.iter().all(|world| ROWS.iter().any(|row| row.0 == *world)));
        assert!(Kernel::ALL.iter().all(|kernel| ROWS.iter().any(|row| row.1 == *kernel)));
    }

    #[test]
    fn words_choose() {
        let rows = chosen(&["systemd", "6.12", "hooks"], SUITES).unwrap();
        assert_eq!(
            (rows.len(), rows[0].name().as_str(), rows[0].suites.as_slice()),
            (1, "systemd 6.12", &["hooks".to_owned()][..])
        );
        let rows = chosen(&["v1", "newest"], SUITES).unwrap();
        assert_eq!((rows.len(), rows[0].name().as_str(), rows[0].suites.len()), (1, "v1 newest", 3));
        assert_eq!(chosen(&[], SUITES).unwrap().len(), ROWS.len());
        assert!(chosen(&["nonsense"], SUITES).unwrap_err().to_string().contains("nonsense"));
    }
}
