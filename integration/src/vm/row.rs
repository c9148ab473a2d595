//! One place and the tests that run in it.

use std::fmt;
use std::time::Duration;

use rustix::io::Errno;

use super::matrix::{ENGINES, EXCEPTIONS, ROWS, SUITES, Where};
use super::report::Case;
use super::{Guest, Image, Kernel, World};
use crate::engines::Verdict;
use crate::missing::{Missing, told};

/// Where tests run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// This machine.
    Host,
    /// This machine, where all newer calls are missing; the caller is told so in this way.
    WithoutAll(Errno),
    /// This machine, again and again, with another call missing each time.
    WithoutEach(Errno),
    /// A virtual machine.
    Guest(World, Kernel),
    /// A virtual machine with cgroup2, where ordinary users make the containers.
    Users(Kernel),
}

/// A place and the names of the programs of tests that run in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The place.
    pub place: Place,
    /// The programs.
    pub suites: Vec<String>,
    /// Whether everything is run: tests that only repeat something then do it as often as they say.
    pub everything: bool,
}

/// How long each program of tests may take; the one that drives engines; and each where systemd makes a dozen cgroups
/// for a container, which takes some four seconds of an emulated processor.
const SUITE_SECONDS: u64 = 600;
const ENGINES_SECONDS: u64 = 2400;
const SYSTEMD_V1_SECONDS: u64 = 1800;

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Host => out.write_str("host"),
            Place::WithoutAll(errno) => write!(out, "host without newer calls ({})", told(*errno)),
            Place::WithoutEach(errno) => write!(out, "host without one call ({})", told(*errno)),
            Place::Guest(world, kernel) => write!(out, "{} {}", world.name(), kernel.name()),
            Place::Users(kernel) => write!(out, "v2 {}, ordinary users", kernel.name()),
        }
    }
}

impl Place {
    /// Its machine, unless that is this one.
    pub(super) fn guest(self) -> Option<Guest> {
        let (world, kernel) = match self {
            Place::Guest(world, kernel) => (world, kernel),
            Place::Users(kernel) => (World::V2, kernel),
            _ => return None,
        };
        Some(Guest { memory: 3072, ..Guest::new(world, kernel) })
    }

    /// What is missing in each of the runs in this place.
    fn runs(self) -> Vec<Option<Missing>> {
        match self {
            Place::WithoutAll(errno) => vec![Some(Missing::all(errno))],
            Place::WithoutEach(errno) => Missing::each(errno).map(Some).collect(),
            _ => vec![None],
        }
    }

    /// The tests of a program that have nothing to test here, and why.
    fn exceptions(self, suite: &str, missing: Option<&Missing>) -> Vec<(&'static str, &'static str)> {
        let lacks = |call: &str| missing.is_some_and(|missing| missing.calls.contains(&call));
        let here = |place: Where| match place {
            Where::Guests => self.guest().is_some(),
            Where::Lacks(calls) => calls.iter().any(|call| lacks(call)),
            Where::Refuses(call) => lacks(call) && missing.is_some_and(|one| one.errno == Errno::PERM),
        };
        let ours = EXCEPTIONS.iter().filter(|(place, of, ..)| *of == suite && here(*place));
        ours.map(|(_, _, test, why)| (*test, *why)).collect()
    }
}

impl Row {
    /// Its machine, unless that is this one, with what its programs need.
    pub fn guest(&self) -> Option<Guest> {
        let image = if self.has_engines() { Image::Engines } else { Image::Plain };
        self.place.guest().map(|guest| Guest { image, ..guest })
    }

    /// How long its machine may take.
    pub(super) fn time(&self) -> Duration {
        let longest = self.suites.iter().map(|suite| self.seconds(suite)).max();
        Duration::from_secs(900 + longest.unwrap_or(SUITE_SECONDS))
    }

    fn seconds(&self, suite: &str) -> u64 {
        match self.place {
            _ if suite == ENGINES => ENGINES_SECONDS,
            Place::Guest(World::SystemdV1, _) => SYSTEMD_V1_SECONDS,
            _ => SUITE_SECONDS,
        }
    }

    fn has_engines(&self) -> bool {
        self.suites.iter().any(|suite| suite == ENGINES)
    }

    /// What of these programs the matrix lets this place run: usually, or if everything is run.
    pub(super) fn of(place: Place, suites: &[&str], everything: bool) -> Self {
        let (usual, more) =
            ROWS.iter().find(|row| row.0 == place).map_or((&[][..], &[][..]), |row| (row.1, row.2));
        let decides = |one| usual.contains(one) || everything && more.contains(one);
        let belongs = |suite: &&&str| {
            let about = SUITES.iter().find(|entry| entry.0 == **suite).map_or(&[][..], |entry| entry.1);
            place == Place::Host && **suite != ENGINES || about.iter().any(decides)
        };
        Self {
            place,
            suites: suites.iter().filter(belongs).map(|&suite| suite.to_owned()).collect(),
            everything,
        }
    }

    /// What a shell runs here, where `command` runs a program. Lines around a program's output say which one it is, and
    /// how it ended.
    pub fn script(&self, command: impl Fn(&str) -> String) -> String {
        let world = match self.place {
            Place::Guest(World::V1 | World::Hybrid | World::SystemdV1, _) => "export WORLD=host\n",
            _ => "",
        };
        // Where it is chance that decides, the host tries often enough.
        let execs = if self.place == Place::Host { "" } else { "export EXECS=20\n" };
        let lives = if self.everything { "" } else { "export LIVES=60\n" };
        let mut script = format!("exec 2>&1\n{world}{execs}{lives}");
        for (missing, suite) in self.parts() {
            let without = missing.as_ref().map(Missing::assignment).unwrap_or_default();
            let left_out = self.place.exceptions(suite, missing.as_ref());
            let skip: String = left_out.iter().map(|(test, _)| format!(" --skip {test}")).collect();
            let words = match suite {
                ENGINES => "systemd".to_owned(),
                _ => format!("--show-output --exact{skip}"),
            };
            let seconds = self.seconds(suite);
            script += &format!(
                "echo '=== suite {}'\n{without} timeout {seconds} {} {words}\necho \"=== status $?\"\n",
                title(suite, missing.as_ref()),
                command(suite),
            );
        }
        script
    }

    /// The tests that the script leaves out, since they have nothing to test here.
    pub fn left_out(&self) -> Vec<Case> {
        let of_part = |(missing, suite): (Option<Missing>, &str)| {
            let title = title(suite, missing.as_ref());
            let all = self.place.exceptions(suite, missing.as_ref()).into_iter();
            all.map(move |(test, why)| Case::new(&title, test, Verdict::NotHere(why.into())))
        };
        self.parts().flat_map(of_part).collect()
    }

    /// All runs of all programs.
    fn parts(&self) -> impl Iterator<Item = (Option<Missing>, &str)> {
        let of_run =
            |missing: Option<Missing>| self.suites.iter().map(move |suite| (missing.clone(), suite.as_str()));
        self.place.runs().into_iter().flat_map(of_run)
    }
}

/// What the report reads before the output of a program: its name, and what sets this run apart from others.
fn title(suite: &str, missing: Option<&Missing>) -> String {
    match missing.map(|missing| missing.calls.as_slice()) {
        Some([call]) => format!("{suite} without {call}"),
        _ => suite.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use rustix::io::Errno;

    use super::{Place, Row};
    use crate::vm::{Kernel, World};

    const SUITES: &[&str] = &["harness", "lifecycle", "list", "runtime_core", "sandbox"];

    fn lines(place: Place, wanted: &str) -> Vec<String> {
        let script = Row::of(place, SUITES, true).script(|suite| format!("/bin/{suite}"));
        script.lines().filter(|line| line.contains(wanted)).map(str::to_owned).collect()
    }

    #[test]
    fn the_host_runs_each_program_once() {
        assert_eq!(Row::of(Place::Host, SUITES, false).suites, SUITES);
        assert_eq!(lines(Place::Host, "/bin/harness").len(), 1);
    }

    #[test]
    fn where_one_call_is_missing_a_program_runs_for_each() {
        let all = lines(Place::WithoutEach(Errno::PERM), "/bin/sandbox");
        assert!(
            all.len() > 7 && all.iter().any(|line| line.starts_with("WITHOUT=EPERM:openat2 timeout")),
            "{all:?}"
        );
        let titles = lines(Place::WithoutEach(Errno::PERM), "=== suite");
        assert!(titles.contains(&"echo '=== suite sandbox without openat2'".into()), "{titles:?}");
    }

    #[test]
    fn version_1_is_the_world_of_its_tests() {
        assert!(lines(Place::Guest(World::V1, Kernel::V6_1), "WORLD=host").len() == 1);
        assert!(lines(Place::Guest(World::V2, Kernel::V6_1), "WORLD=host").is_empty());
    }

    #[test]
    fn what_is_left_out_is_told() {
        let row = Row {
            place: Place::Guest(World::V2, Kernel::V6_12),
            suites: vec!["list".into()],
            everything: true,
        };
        let told: Vec<_> = row.left_out().into_iter().map(|case| (case.suite, case.name)).collect();
        assert_eq!(told, [("list".into(), "a_thousand_containers_are_listed_quickly".into())]);
        assert!(
            row.script(str::to_owned).contains("--exact --skip a_thousand_containers_are_listed_quickly\n")
        );
        assert!(Row { place: Place::Host, ..row }.left_out().is_empty());
    }
}
