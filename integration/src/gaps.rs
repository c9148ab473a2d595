//! Where a runtime is known not to keep a promise. The list may only shrink: a gap that
//! has closed fails the test, unless it is a race.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::runtime::{Kind, runtime};

/// A promise that a runtime does not keep, and why.
struct Gap {
    kind: Kind,
    promise: &'static str,
    why: &'static str,
    /// Whether it is broken every time; a race cannot be expected to show.
    always: bool,
}

const fn gap(kind: Kind, promise: &'static str, why: &'static str) -> Gap {
    Gap { kind, promise, why, always: true }
}

const fn race(kind: Kind, promise: &'static str, why: &'static str) -> Gap {
    Gap { kind, promise, why, always: false }
}

const NO_STATUS: &str = "says that it cannot open its status file";

const LEAVES_CGROUP: &str = "leaves the cgroup when create fails";

const NEEDS_TERMINAL: &str = "stands in front of a terminal only if it has one itself";

const LOSES_OUTPUT: &str = "does not wait for the reader of its output";

const OTHER_WORDS: &str = "says it in other words";
const NO_READINESS: &str =
    "passes on nothing but READY, and nothing at all to a program that says something else first";

const GAPS: &[Gap] = &[
    gap(Kind::Crun, "a limit that cannot be set leaves nothing behind", LEAVES_CGROUP),
    gap(Kind::Crun, "delete of nobody says that it does not exist", NO_STATUS),
    gap(Kind::Crun, "kill of nobody says that it does not exist", NO_STATUS),
    gap(Kind::Crun, "pause of nobody says that it does not exist", NO_STATUS),
    gap(Kind::Crun, "resume of nobody says that it does not exist", NO_STATUS),
    gap(Kind::Crun, "start of nobody says that it does not exist", NO_STATUS),
    gap(Kind::Crun, "state of nobody says that it does not exist", NO_STATUS),
    gap(Kind::Crun, "the id \"new\\nline\" is refused", "takes any name without a slash"),
    gap(Kind::Crun, "the id \"with space\" is refused", "takes any name without a slash"),
    gap(Kind::Crun, "a directory as the program", "says \"Operation not permitted\""),
    gap(Kind::Crun, "a file that is not executable", "says \"Operation not permitted\""),
    gap(Kind::Crun, "a relative working directory", "takes it for absolute"),
    gap(Kind::Crun, "an unknown namespace", LEAVES_CGROUP),
    gap(Kind::Crun, "a namespace twice", LEAVES_CGROUP),
    gap(Kind::Crun, "a namespace of another type", LEAVES_CGROUP),
    gap(Kind::Crun, "a namespace that is not there", LEAVES_CGROUP),
    gap(Kind::Crun, "an unknown rlimit", LEAVES_CGROUP),
    gap(Kind::Crun, "an rlimit twice", "takes the last"),
    gap(Kind::Crun, "an unknown propagation", "ignores it"),
    gap(Kind::Crun, "an oom score out of range", LEAVES_CGROUP),
    gap(Kind::Runc, "the caller's affinity stays outside", "1.1 hands it on"),
    gap(Kind::Runc, "start waits for readiness", NO_READINESS),
    gap(Kind::Runc, "a detached run waits for readiness", NO_READINESS),
    gap(Kind::Runc, "the last word of a program is passed on", NO_READINESS),
    gap(
        Kind::Runc,
        "a program that ends before it is ready keeps nobody waiting",
        "waits for its zombie to go",
    ),
    gap(
        Kind::Runc,
        "a service manager that is not there is found out before anything runs",
        "runs the program, and says nothing",
    ),
    gap(Kind::Runc, "the mistake [\"--rootless=perhaps\", \"list\"]", "looks at it when it needs it"),
    gap(Kind::Runc, "the mistake [\"fly\"]", "returns 3 for an unknown command"),
    gap(Kind::Runc, "a stream without owner", "gives up"),
    gap(Kind::Runc, "a program of an unknown format", "start has ended before it shows"),
    gap(Kind::Runc, "an rlimit twice", "takes the last"),
    gap(Kind::Crun, "another file at the path of a device", "leaves it there"),
    gap(Kind::Runc, "another file at the path of a device", "leaves it there"),
    race(Kind::Crun, "the order of hooks", "runs poststart without waiting for startContainer"),
    gap(Kind::Runc, "the order of hooks", "runs poststart during create"),
    gap(Kind::Runc, "the state that poststart reads", "runs poststart during create"),
    gap(Kind::Runc, "a time namespace", "1.1 has none"),
    gap(Kind::Runc, "domainname", "1.1 ignores it"),
    race(Kind::Crun, "a failing poststop", "dies of SIGPIPE when the hook does not read its standard input"),
    race(Kind::Runc, "a namespace of another type", LEAVES_CGROUP),
    race(Kind::Runc, "a namespace that is not there", LEAVES_CGROUP),
    race(Kind::Runc, "one line of log", "logs one failure several times"),
    gap(Kind::Runc, "propagation rshared", "leaves the root private"),
    gap(Kind::Runc, "a console socket with a long path", "knows no way around the length of an address"),
    gap(Kind::Runc, "a consoleSize beyond 65535", "takes it for another number"),
    gap(Kind::Runc, "a console that is a link", "follows it"),
    gap(Kind::Runc, "a console that is a dangling link", "follows it"),
    gap(Kind::Runc, "a long output through a terminal", NEEDS_TERMINAL),
    gap(Kind::Runc, "input from a file", NEEDS_TERMINAL),
    gap(Kind::Runc, "a slow reader", NEEDS_TERMINAL),
    gap(Kind::Runc, "a stuck reader", NEEDS_TERMINAL),
    gap(Kind::Runc, "create --pidfd-socket", "1.1 has none"),
    gap(Kind::Runc, "run --pidfd-socket", "1.1 has none"),
    gap(Kind::Runc, "a file mounted on the multiplexer", OTHER_WORDS),
    gap(Kind::Crun, "a console that is a link", "follows it"),
    gap(Kind::Crun, "a console that is a dangling link", "cannot mount on it"),
    gap(Kind::Crun, "a console that is a pipe", "waits for somebody who writes to it"),
    gap(Kind::Crun, "a consoleSize beyond 65535", "takes it for another number"),
    gap(Kind::Crun, "a long output through a terminal", NEEDS_TERMINAL),
    gap(Kind::Crun, "input from a file", NEEDS_TERMINAL),
    gap(Kind::Crun, "a slow reader", LOSES_OUTPUT),
    gap(Kind::Crun, "a stuck reader", LOSES_OUTPUT),
    gap(Kind::Crun, "the name of the terminal", "sends a blank"),
    gap(Kind::Crun, "create --pidfd-socket", "has none"),
    gap(Kind::Crun, "run --pidfd-socket", "has none"),
    gap(Kind::Crun, "create with a terminal and no socket", OTHER_WORDS),
    gap(Kind::Crun, "run -d with a terminal and no socket", OTHER_WORDS),
    gap(Kind::Crun, "run with a terminal and a socket", OTHER_WORDS),
    gap(Kind::Crun, "run with a socket and no terminal", "ignores the socket"),
    gap(Kind::Crun, "create with a socket and no terminal", "ignores the socket"),
    gap(Kind::Crun, "run on a terminal", "sets the size after the program has begun"),
    gap(Kind::Runc, "update --cpu-idle and --cpu-burst", "1.1 has neither"),
    gap(
        Kind::Runc,
        "swap without limit is told",
        "leaves the sentence to the kernel, and so for a limit of before",
    ),
    gap(Kind::Runc, "a controller is enabled by update", "1.1 enables controllers at create alone"),
    gap(Kind::Runc, "events end with the container", "in version 1, 1.1 waits for the removal of the cgroup"),
    gap(
        Kind::Runc,
        "events tell that memory ran out",
        "in version 1, 1.1 waits for the removal of the cgroup",
    ),
    gap(Kind::Runc, "a filter with an agent may have flags", "1.1 knows no flags"),
    gap(Kind::Runc, "a profile need allow nothing for its agent", "needs write and more itself"),
    gap(Kind::Runc, "every call may be the agent's", "needs write and more itself"),
    gap(Kind::Runc, "a created container is not filtered yet", "loads the filter during create"),
    gap(Kind::Runc, "an agent that is gone fails start", "tells the agent during create"),
    gap(Kind::Runc, "a hook of the start has the agent of its container", "runs it in the first process"),
    gap(Kind::Runc, "nobody waits for ever for an agent that does not accept", OTHER_WORDS),
    gap(Kind::Runc, "a container may be stopped while it waits for its agent", "waits elsewhere"),
    gap(Kind::Runc, "words for no agent", "keeps them to itself"),
    gap(Kind::Runc, "an agent is told once and left alone", "keeps the connection as long as it lives"),
    gap(Kind::Runc, "features of specification 1.2 and 1.3", "1.1 is older"),
    gap(Kind::Runc, "/process/apparmorProfile without its module", OTHER_WORDS),
    gap(Kind::Runc, "/linux/mountLabel without its module", "leaves it to the mount, which fails"),
    gap(Kind::Crun, "/process/apparmorProfile without its module", OTHER_WORDS),
    gap(Kind::Crun, "/process/selinuxLabel without its module", OTHER_WORDS),
    gap(Kind::Crun, "/linux/mountLabel without its module", "ignores it"),
    gap(Kind::Runc, "sigkill where the pid namespace is shared", "1.1 kills the others with --all alone"),
    gap(Kind::Runc, "names of real-time signals", "knows numbers alone"),
    race(Kind::Runc, "pauses and resumes at once", "1.1 has no lock: they see each other half-way"),
    race(Kind::Runc, "a read-only cgroup mount, Host", "leaves the tmpfs over v1 cgroups writable"),
];

/// Holds the runtime under test to a promise, unless it is known not to keep it.
///
/// # Panics
/// When the promise is broken, or a known gap has closed.
#[track_caller]
pub fn promise(name: &str, body: impl FnOnce()) {
    promises([(name, body)]);
}

/// Holds it to several promises, and tells at the end of all that are broken.
///
/// # Panics
/// As [`promise`].
#[track_caller]
pub fn promises<N: AsRef<str>>(all: impl IntoIterator<Item = (N, impl FnOnce())>) {
    let broken: Vec<_> = all.into_iter().filter_map(|(name, body)| broken(name.as_ref(), body)).collect();
    assert!(broken.is_empty(), "broken promises of {:?}: {broken:#?}", runtime().kind);
}

/// The sentence about a promise that is not as the list says.
fn broken(name: &str, body: impl FnOnce()) -> Option<String> {
    let known = GAPS.iter().find(|gap| gap.kind == runtime().kind && gap.promise == name);
    match (catch_unwind(AssertUnwindSafe(body)), known) {
        (Ok(()), Some(gap)) if gap.always => {
            Some(format!("{name}: this gap has closed, take it off the list ({})", gap.why))
        }
        (Err(_), None) => Some(format!("{name} (its panic is above)")),
        (Ok(()), _) | (Err(_), Some(_)) => None,
    }
}
