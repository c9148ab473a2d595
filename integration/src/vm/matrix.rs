//! Which tests run where: two tables.

use rustix::io::Errno;

use super::row::Place;
use super::{Kernel, World};

/// What a program of tests is about, which is why it runs elsewhere than on the host alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// Cgroups, in each layout.
    Cgroups,
    /// Calls that a kernel lacks, and what it does otherwise than others.
    Kernel,
    /// A server of today; the host may be none.
    Server,
    /// Ordinary users.
    Users,
    /// Containers in cgroups that systemd makes.
    Systemd,
    /// The ways of a container's birth and life that newer calls shorten.
    Calls,
    /// Some of these: enough to see each call being missed.
    EachCall,
}

use About::{Calls, Cgroups, EachCall, Kernel as Kernels, Server, Systemd, Users};

/// Where a program of tests belongs, besides the host, where each runs once. One that isn't here runs there alone.
pub(super) const SUITES: &[(&str, &[About])] = &[
    ("crash", &[Server]),
    ("errors", &[Calls]),
    ("events", &[Cgroups]),
    ("exec", &[Server, Calls, EachCall]),
    ("felt", &[Cgroups, Systemd]),
    ("foreground", &[Calls]),
    ("hooks", &[Server, Calls]),
    ("labels", &[Server]),
    ("lifecycle", &[Cgroups, Kernels, Systemd, Calls]),
    ("limits", &[Cgroups, Systemd]),
    ("mounts", &[Kernels, Calls, EachCall]),
    ("namespaces", &[Kernels, Calls]),
    ("pause", &[Cgroups]),
    ("plumbing", &[Kernels, Calls]),
    ("proc_and_sys", &[Server, Calls]),
    ("process", &[Kernels, Calls]),
    ("ps", &[Cgroups]),
    ("rootfs", &[Kernels, Calls]),
    ("rootless", &[Users]),
    ("rootless_mounts", &[Users]),
    ("runtime_core", &[Cgroups, Kernels]),
    ("sandbox", &[Cgroups, Kernels, Calls, EachCall]),
    ("seccomp", &[Kernels]),
    ("seccomp_agent", &[Server]),
    ("syntax", &[Kernels]),
    ("systemd", &[Systemd]),
    ("systemd_user", &[Systemd]),
    ("terminal", &[Server, Calls]),
    ("update", &[Cgroups]),
    ("user_namespaces", &[Kernels, Calls, EachCall]),
];

/// All places, and what of the tests they decide; the longest come first. Every world and every kernel is there.
pub(super) const ROWS: &[(Place, &[About])] = &[
    (Place::Host, &[]),
    (Place::WithoutAll(Errno::NOSYS), &[Calls]),
    (Place::WithoutAll(Errno::PERM), &[Calls]),
    (Place::WithoutEach(Errno::NOSYS), &[EachCall]),
    (Place::WithoutEach(Errno::PERM), &[EachCall]),
    (Place::Guest(World::V2, Kernel::V6_12), &[Cgroups, Kernels, Server]),
    (Place::Guest(World::V1, Kernel::V6_1), &[Cgroups, Kernels]),
    (Place::Guest(World::Systemd, Kernel::V6_12), &[Cgroups, Systemd]),
    (Place::Guest(World::V2, Kernel::Newest), &[Kernels]),
    (Place::Guest(World::V2, Kernel::V6_1), &[Kernels]),
    (Place::Guest(World::Hybrid, Kernel::V6_1), &[Cgroups]),
    (Place::Users(Kernel::V6_12), &[Users]),
    (Place::Guest(World::Systemd, Kernel::Newest), &[Systemd]),
];

/// Places that only words choose, since few people are still there.
pub(super) const CHOSEN: &[(Place, &[About])] = &[(Place::Guest(World::SystemdV1, Kernel::V6_1), &[Systemd])];

/// The program that drives real engines. On the host it runs by itself, with a reference beside ours; in a guest, which
/// has to have them installed, where its name is among the words.
pub(super) const ENGINES: &str = "engines";

/// Where a test has nothing to test, though its program has.
#[derive(Debug, Clone, Copy)]
pub(super) enum Where {
    /// In every guest.
    Guests,
    /// Where this call is missing, however that is told.
    Lacks(&'static str),
    /// Where this call is missing, and the caller is told that it may not.
    Refuses(&'static str),
}

/// Tests that are left out, and why.
pub(super) const EXCEPTIONS: &[(Where, &str, &str, &str)] = &[(
    Where::Guests,
    "list",
    "a_thousand_containers_are_listed_quickly",
    "an emulated machine has too little time",
)];

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{CHOSEN, EXCEPTIONS, Place, ROWS, SUITES};
    use crate::vm::{Kernel, World};

    #[test]
    fn every_world_and_every_kernel_has_a_row() {
        let is_there = |wanted: &dyn Fn(World, Kernel) -> bool| {
            ROWS.iter()
                .chain(CHOSEN)
                .any(|(place, _)| matches!(place, Place::Guest(world, kernel) if wanted(*world, *kernel)))
        };
        assert!(World::ALL.iter().all(|world| is_there(&|one, _| one == *world)));
        assert!(Kernel::ALL.iter().all(|kernel| is_there(&|_, one| one == *kernel)));
    }

    #[test]
    fn the_tables_name_what_exists() {
        let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
        let source = |suite: &str| fs::read_to_string(tests.join(format!("{suite}.rs"))).ok();
        for (suite, about) in SUITES {
            assert!(*suite == "runtime_core" || source(suite).is_some(), "there is no {suite}");
            let runs = |what| ROWS.iter().any(|(_, rows)| rows.contains(what));
            assert!(about.iter().all(runs), "{suite} is about what runs nowhere");
        }
        for (_, suite, test, _) in EXCEPTIONS {
            let text = source(suite).unwrap_or_default();
            assert!(text.contains(&format!("fn {test}(")), "there is no {suite}, {test}");
        }
    }
}
