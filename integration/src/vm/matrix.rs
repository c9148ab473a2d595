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
    ("benchmark", &[Server]),
    ("errors", &[Calls]),
    ("events", &[Cgroups]),
    ("exec", &[Server, Calls, EachCall]),
    ("felt", &[Cgroups]),
    ("foreground", &[Calls]),
    ("hooks", &[Server, Calls]),
    ("labels", &[Server]),
    ("lifecycle", &[Cgroups, Calls]),
    ("limits", &[Cgroups]),
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
    ("runtime_core", &[Server]),
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

/// All places; what of the tests they decide; and what they run besides only if everything is run, since other places
/// decide it too, or few people are still there. The longest come first. Every world and every kernel is there.
pub(super) const ROWS: &[(Place, &[About], &[About])] = &[
    (Place::Host, &[], &[]),
    (Place::WithoutAll(Errno::NOSYS), &[Calls], &[]),
    (Place::WithoutAll(Errno::PERM), &[Calls], &[]),
    (Place::WithoutEach(Errno::NOSYS), &[EachCall], &[]),
    (Place::WithoutEach(Errno::PERM), &[], &[EachCall]),
    (Place::Guest(World::V2, Kernel::V6_12), &[Cgroups, Server, EachCall], &[Kernels]),
    (Place::Guest(World::Systemd, Kernel::V6_12), &[Systemd], &[Cgroups]),
    (Place::Guest(World::V2, Kernel::V6_1), &[Kernels], &[]),
    (Place::Guest(World::V1, Kernel::V6_1), &[Cgroups], &[]),
    (Place::Guest(World::V2, Kernel::Newest), &[EachCall], &[Kernels, Server, Cgroups]),
    (Place::Users(Kernel::V6_12), &[Users], &[]),
    (Place::Guest(World::SystemdV1, Kernel::V6_1), &[], &[Systemd, Cgroups]),
    (Place::Guest(World::Systemd, Kernel::Newest), &[], &[Systemd]),
    (Place::Guest(World::Hybrid, Kernel::V6_1), &[], &[Cgroups]),
];

/// The program that drives real engines. On the host it runs by itself, with a reference beside ours; in a guest, which
/// has to have them installed, where its name is among the words.
pub(super) const ENGINES: &str = "engines";

/// Where a test has nothing to test, though its program has.
#[derive(Debug, Clone, Copy)]
pub(super) enum Where {
    /// In every guest.
    Guests,
    /// Where one of these calls is missing, however that is told.
    Lacks(&'static [&'static str]),
    /// Where this call is missing, and the caller is told that it may not.
    Refuses(&'static str),
}

/// Parts of the host that are lent as mounts of their own, with attributes of all that is below them, take these.
const DETACHED: &[&str] = &["mount_setattr", "move_mount", "open_tree"];

const SLOW: &str = "an emulated machine has too little time";
const START_TELLS: &str = "without faccessat2, start tells what create tells with it";
const NO_RECURSION: &str = "recursive mount options need mount_setattr, and detached mounts";
const NO_MAPPING: &str = "mapped ids need mount_setattr, and detached mounts";
const NO_SYSCTL: &str = "sysctls need openat2";
const NO_OFFSETS: &str = "offsets of time need openat2";
const NO_SYSFS: &str = "the host's sysfs without its cgroups needs detached mounts";
const NO_COVER: &str = "a cgroup in place of one that can't be mounted needs mount_setattr";
const NO_HOOKS: &str = "the C library starts hooks, and knows ENOSYS alone";

/// Tests that are left out, and why.
pub(super) const EXCEPTIONS: &[(Where, &str, &str, &str)] = &[
    (
        Where::Lacks(DETACHED),
        "mounts",
        "a_user_namespace_in_the_hosts_network_has_the_hosts_sysfs_and_no_cgroup_of_it",
        NO_SYSFS,
    ),
    (
        Where::Lacks(&["mount_setattr"]),
        "mounts",
        "a_cgroup_that_cannot_be_mounted_is_attached_with_the_attributes_asked_for",
        NO_COVER,
    ),
    (Where::Guests, "list", "a_thousand_containers_are_listed_quickly", SLOW),
    (Where::Lacks(&["faccessat2"]), "errors", "a_program_that_cannot_be_executed_fails_create", START_TELLS),
    (Where::Lacks(&["faccessat2"]), "errors", "engines_find_the_exit_status_in_the_words", START_TELLS),
    (
        Where::Lacks(DETACHED),
        "mounts",
        "recursive_attributes_reach_the_mounts_below_and_others_do_not",
        NO_RECURSION,
    ),
    (Where::Lacks(DETACHED), "rootfs", "a_bind_mount_shows_the_source_and_keeps_its_options", NO_RECURSION),
    (Where::Lacks(DETACHED), "user_namespaces", "mounts_are_mapped_by_mappings_of_their_own", NO_MAPPING),
    (
        Where::Lacks(DETACHED),
        "user_namespaces",
        "mounts_are_mapped_by_the_user_namespace_whether_it_is_new_or_joined",
        NO_MAPPING,
    ),
    (Where::Lacks(&["openat2"]), "sandbox", "sysctls_devices_and_mounts_arrive", NO_SYSCTL),
    (Where::Lacks(&["openat2"]), "namespaces", "a_time_namespace_has_its_offsets", NO_OFFSETS),
    (Where::Refuses("clone3"), "hooks", "a_hook_reads_the_state_from_standard_input", NO_HOOKS),
    (Where::Refuses("clone3"), "hooks", "a_hook_has_only_its_own_environment_and_arguments", NO_HOOKS),
    (Where::Refuses("clone3"), "hooks", "a_hook_that_takes_too_long_is_ended", NO_HOOKS),
    (Where::Refuses("clone3"), "hooks", "hooks_run_in_the_order_of_the_specification", NO_HOOKS),
    (Where::Refuses("clone3"), "hooks", "what_a_hook_printed_is_part_of_the_error", NO_HOOKS),
    (
        Where::Refuses("clone3"),
        "plumbing",
        "a_caller_that_ignores_the_death_of_children_learns_how_the_container_ended",
        NO_HOOKS,
    ),
];

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::{EXCEPTIONS, Place, ROWS, SUITES};
    use crate::vm::{Kernel, World};

    #[test]
    fn every_world_and_every_kernel_has_a_row() {
        let is_there = |wanted: &dyn Fn(World, Kernel) -> bool| {
            ROWS.iter()
                .any(|(place, ..)| matches!(place, Place::Guest(world, kernel) if wanted(*world, *kernel)))
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
            let runs = |what| ROWS.iter().any(|(_, usual, _)| usual.contains(what));
            assert!(about.iter().all(runs), "{suite} is about what runs nowhere");
        }
        for (_, suite, test, _) in EXCEPTIONS {
            let text = source(suite).unwrap_or_default();
            assert!(text.contains(&format!("fn {test}(")), "there is no {suite}, {test}");
        }
    }
}
