//! Where a runtime is known not to keep a promise. The list may only shrink: a gap that has closed fails the test.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::runtime::{Kind, runtime};

/// A promise that a runtime does not keep, and why.
struct Gap {
    kind: Kind,
    promise: &'static str,
    why: &'static str,
}

const fn gap(kind: Kind, promise: &'static str, why: &'static str) -> Gap {
    Gap { kind, promise, why }
}

const NO_STATUS: &str = "says that it cannot open its status file";

const GAPS: &[Gap] = &[
    gap(Kind::Crun, "a limit that cannot be set leaves nothing behind", "leaves the cgroup"),
    gap(Kind::Crun, "delete of nobody says that it does not exist", NO_STATUS),
    gap(Kind::Crun, "kill of nobody says that it does not exist", NO_STATUS),
    gap(Kind::Crun, "pause of nobody says that it does not exist", NO_STATUS),
    gap(Kind::Crun, "resume of nobody says that it does not exist", NO_STATUS),
    gap(Kind::Crun, "start of nobody says that it does not exist", NO_STATUS),
    gap(Kind::Crun, "state of nobody says that it does not exist", NO_STATUS),
    gap(Kind::Crun, "the id \"new\\nline\" is refused", "takes any name without a slash"),
    gap(Kind::Crun, "the id \"with space\" is refused", "takes any name without a slash"),
    gap(Kind::Runc, "the default sandbox, Host", "leaves the tmpfs over v1 cgroups writable"),
];

/// Holds the runtime under test to a promise, unless it is known not to keep it.
///
/// # Panics
/// When the promise is broken, or a known gap has closed.
pub fn promise(name: &str, body: impl FnOnce()) {
    let known = GAPS.iter().find(|gap| gap.kind == runtime().kind && gap.promise == name);
    match (catch_unwind(AssertUnwindSafe(body)), known) {
        (Ok(()), Some(gap)) => panic!("{name}: this gap has closed, take it off the list ({})", gap.why),
        (Err(_), Some(gap)) => println!("{name}: known gap: {}", gap.why),
        (Err(panic), None) => {
            eprintln!("broken promise: {name}");
            std::panic::resume_unwind(panic);
        }
        (Ok(()), None) => {}
    }
}
