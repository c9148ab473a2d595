//! Every known advisory against a low-level runtime or a neighbour of one: what the mistake was, what stands against it
//! here, and which tests replay it. `make defences` writes it down with the results.

use Standing::{Elsewhere, Partly, Whole};

/// An advisory, and what there is about it.
#[derive(Debug)]
pub struct Advisory {
    /// Its numbers.
    pub id: &'static str,
    /// Whose mistake it was.
    pub of: &'static str,
    /// The mistake.
    pub mistake: &'static str,
    /// What stands against it, by the numbers of `specs/threat-model.md`.
    pub defences: &'static str,
    /// The tests in `integration/tests/advisories` that replay it.
    pub tests: &'static [&'static str],
    /// How far they reach.
    pub standing: Standing,
}

/// How far the tests of an advisory reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// All of it.
    Whole,
    /// Not this.
    Partly(&'static str),
    /// It is nothing that a low-level runtime on Linux can do wrong.
    Elsewhere(&'static str),
}

const fn row(
    id: &'static str,
    of: &'static str,
    mistake: &'static str,
    defences: &'static str,
    tests: &'static [&'static str],
    standing: Standing,
) -> Advisory {
    Advisory { id, of, mistake, defences, tests, standing }
}

const NO_MODULE: Standing = Partly(
    "no label is written where the tests run: what is written is the parameter, the score and the maps",
);

const RACED_MOUNT: &str =
    "cve_2021_30465_cve_2015_1335_a_mount_is_made_inside_however_fast_its_place_changes";
const RACED_MAKING: &str =
    "cve_2024_45310_cve_2026_41326_nothing_is_made_outside_however_fast_its_place_changes";
const LINKED_MOUNT: &str = "cve_2019_18837_cve_2015_3629_links_in_destinations_stay_inside";
const LINKED_PARENT: &str = "cve_2026_87766_cve_2021_25741_parents_that_are_links_lead_inside";
const PLANTED: &str = "cve_2025_24965_cve_2026_1386_a_planted_link_is_not_written_through";
const ON_PROC: &str = "cve_2019_16884_cve_2015_3631_nothing_is_mounted_where_labels_are_written";
const LINKED_PROC: &str = "cve_2023_27561_cve_2023_28642_cve_2025_54867_a_link_is_neither_proc_nor_sys";
const RACED_PROC: &str = "cve_2019_19921_proc_and_sys_are_no_links_however_fast_they_change";
const DECOYS: &str = "cve_2025_52881_cve_2025_62596_writes_reach_the_right_file_of_the_right_proc_or_none";
const NO_PROC: &str = "cve_2025_52881_a_proc_that_is_none_is_not_written_to";
const MASKS: &str = "cve_2025_31133_cve_2025_62161_masks_are_not_the_containers_null_device";
const RACED_MASKS: &str = "cve_2025_31133_masks_are_what_they_should_be_however_fast_the_null_device_changes";
const LINKED_DEV: &str = "cve_2026_41579_cve_2026_47766_a_dev_that_is_a_link_is_no_way_out";
const RACED_DEV: &str = "cve_2026_41579_a_dev_is_no_way_out_however_fast_it_changes";
const NOTHING_BY_PATH: &str = "cve_2026_41579_no_path_of_the_host_is_used_until_the_root_is_changed";
const DEVICE_LINKS: &str = "cve_2026_88264_cve_2026_88265_planted_consoles_and_null_devices_are_not_followed";
const RACED_DEVICES: &str =
    "cve_2026_88265_nothing_outside_is_opened_or_given_away_however_fast_devices_change";
const HUNTED: &str = "cve_2016_9962_cve_2016_8649_nothing_of_a_process_on_its_way_in_can_be_had";
const OVERWRITTEN: &str = "cve_2019_5736_the_runtime_cannot_be_overwritten_from_inside";
const CWD: &str = "cve_2024_21626_a_working_directory_is_inside_or_refused";
const CWD_LINK: &str = "cve_2024_21626_a_link_to_a_descriptor_is_no_working_directory";
const CWD_MADE: &str = "cve_2026_55686_cve_2022_23648_a_working_directory_is_made_inside";
const STREAMS: &str = "runc_5322_cve_2015_3627_a_program_holds_its_streams_and_nothing_else";
const INHERITABLE: &str = "cve_2022_24769_cve_2022_29162_nothing_is_inheritable_unless_asked_for";
const INHERITS: &str = "cve_2022_27650_cve_2025_27612_a_further_process_inherits_nothing";
const GIFTED: &str = "cve_2022_29162_a_file_with_inheritable_capabilities_gives_none";
const MISSING_SETS: &str = "cve_2022_29162_a_set_that_is_missing_is_empty";
const NUMBERS: &str = "cve_2016_3697_a_number_is_never_a_name";
const USERS: &str = "cve_2026_30892_a_user_is_the_one_that_was_asked_for";
const WRAPPING: &str = "cve_2024_40635_cve_2026_46680_ids_do_not_wrap";
const GROUPS: &str = "cve_2022_2989_cve_2022_36109_cve_2023_25173_groups_are_neither_lost_nor_won";
const ODD_FILES: &str = "cve_2024_9676_cve_2026_47262_odd_files_of_users_keep_nobody_waiting";
const EXECUTED: &str =
    "cve_2026_84042_cve_2019_14271_nothing_of_the_image_is_executed_or_loaded_before_the_program";
const PUSHED: &str = "cve_2016_10124_cve_2017_5226_nothing_is_pushed_into_the_callers_terminal";
const OWNERS_RIGHTS: &str =
    "cve_2016_8659_cve_2020_5291_cve_2025_2713_cve_2026_41163_with_the_rights_of_its_owner_it_does_nothing";
const BELOW: &str = "runc_1_5_2_crun_1_29_a_further_process_stays_below_the_containers_cgroup";
const STATE: &str = "cve_2015_1331_the_state_directory_is_no_way_out";

/// All of them, by whose they are.
pub const ADVISORIES: &[Advisory] = &[
    // runc
    row("CVE-2016-3697", "runc", "a number was looked up as a name first", "D12", &[NUMBERS], Whole),
    row(
        "CVE-2016-9962",
        "runc",
        "a process on its way in could be traced, and held directories of the host",
        "D7 D8",
        &[HUNTED],
        Partly("not with the host's pid namespace, where the hunter would see the whole machine"),
    ),
    row(
        "CVE-2019-5736",
        "runc",
        "the container made the runtime execute itself, and wrote to it",
        "D8 D9",
        &[OVERWRITTEN],
        Whole,
    ),
    row(
        "CVE-2019-16884",
        "runc, crun",
        "a volume on /proc took the label's place",
        "D5 D6",
        &[ON_PROC, DECOYS],
        NO_MODULE,
    ),
    row(
        "CVE-2019-19921",
        "runc",
        "/proc was a link into a volume that somebody else changed",
        "D4 D5 D6",
        &[RACED_PROC],
        NO_MODULE,
    ),
    row(
        "CVE-2021-30465",
        "runc",
        "a mount point was resolved, and then used by its path",
        "D1 D2",
        &[RACED_MOUNT, "cve_2021_30465_magic_links_lead_nowhere"],
        Whole,
    ),
    row(
        "CVE-2021-43784",
        "runc",
        "a length of sixteen bits wrapped, and data became instructions",
        "D13 D14",
        &[
            "cve_2021_43784_long_strings_arrive_or_are_refused_and_change_nothing_else",
            "cve_2021_43784_many_entries_arrive_or_are_refused",
        ],
        Whole,
    ),
    row(
        "GHSA-g54h-m393-cpwq",
        "runc",
        "no device rules meant that all devices are allowed",
        "D16",
        &["ghsa_g54h_m393_cpwq_without_rules_devices_are_denied"],
        Whole,
    ),
    row(
        "CVE-2022-24769, CVE-2022-29162",
        "moby, containerd, runc",
        "capabilities were inheritable",
        "D11",
        &[INHERITABLE, GIFTED, MISSING_SETS],
        Whole,
    ),
    row(
        "CVE-2023-25809",
        "runc",
        "an ordinary user's cgroups could be written from inside",
        "D15",
        &[
            "cve_2023_25809_the_callers_cgroups_cannot_be_written",
            "cve_2023_25809_an_ordinary_users_cgroups_cannot_be_written",
        ],
        Whole,
    ),
    row(
        "CVE-2023-27561, CVE-2023-28642",
        "runc",
        "the links of CVE-2019-19921 were followed again",
        "D6",
        &[LINKED_PROC],
        Whole,
    ),
    row(
        "CVE-2024-21626",
        "runc",
        "a directory of the host was open, and became the working directory",
        "D7 D10",
        &[CWD, CWD_LINK, STREAMS],
        Whole,
    ),
    row(
        "CVE-2024-45310",
        "runc",
        "mount points were made by path, anywhere",
        "D1",
        &[RACED_MAKING, "cve_2024_45310_what_is_copied_up_is_not_followed_however_fast_it_changes"],
        Whole,
    ),
    row(
        "CVE-2025-31133",
        "runc",
        "the container's null device, which may be a link, was the mask",
        "D2 D3",
        &[MASKS, RACED_MASKS],
        Whole,
    ),
    row(
        "CVE-2025-52565",
        "runc",
        "the console was bound by path",
        "D2 D3",
        &[
            "cve_2025_52565_the_console_is_the_terminal_or_there_is_none",
            "cve_2025_52565_the_console_is_the_terminal_however_fast_its_place_changes",
        ],
        Whole,
    ),
    row(
        "CVE-2025-52881",
        "runc, selinux",
        "a write to a procfs reached another file of it",
        "D4 D5",
        &[
            DECOYS,
            NO_PROC,
            "cve_2025_52881_a_container_that_exchanges_its_proc_is_entered_or_not",
            "cve_2025_52881_a_container_in_the_namespaces_of_another_starts",
        ],
        NO_MODULE,
    ),
    row(
        "CVE-2026-41579",
        "runc",
        "links and the multiplexer in /dev were made by path, before the root was changed",
        "D1 D6",
        &[LINKED_DEV, RACED_DEV, NOTHING_BY_PATH],
        Whole,
    ),
    row(
        "runc 1.5.2, crun 1.29",
        "runc, crun",
        "a cgroup beside the container's has a path with the same beginning",
        "D15",
        &[BELOW, "runc_1_5_2_a_link_is_no_cgroup"],
        Whole,
    ),
    row(
        "runc#5474",
        "runc",
        "descriptors of the runtime's own were preserved",
        "D7",
        &["runc_5474_preserved_descriptors_are_the_callers_or_an_error"],
        Whole,
    ),
    row(
        "CVE-2024-3154",
        "CRI-O with runc",
        "annotations set any property of a unit",
        "D20",
        &["cve_2024_3154_annotations_set_no_dangerous_property_of_a_unit"],
        Partly(
            "where no systemd runs, that is what is told; what may be set is tested beside the code as well",
        ),
    ),
    // crun
    row(
        "CVE-2019-18837",
        "crun",
        "links in destinations were followed",
        "D1 D2",
        &[LINKED_MOUNT, "cve_2019_18837_links_in_a_circle_are_an_error"],
        Whole,
    ),
    row(
        "the fallback without openat2",
        "crun",
        "what replaced the call was weaker, and nobody tested it",
        "D1",
        &[RACED_MOUNT, RACED_MAKING, LINKED_MOUNT, LINKED_PARENT, RACED_MASKS, LINKED_DEV],
        Whole,
    ),
    row(
        "CVE-2022-27650",
        "crun",
        "capabilities of a further process were inheritable",
        "D11",
        &[INHERITS],
        Whole,
    ),
    row(
        "crun 1.14.1",
        "crun",
        "the check of the working directory could not fail",
        "D10",
        &[CWD, CWD_LINK, "crun_1_15_usual_working_directories_are_accepted"],
        Whole,
    ),
    row(
        "CVE-2025-24965",
        "crun",
        "a file was written into the root through a link",
        "D1",
        &[PLANTED, "cve_2025_24965_what_is_copied_up_is_not_followed"],
        Whole,
    ),
    row("CVE-2026-30892", "crun", "a user was parsed as root", "D12", &[USERS], Whole),
    row(
        "CVE-2026-47766",
        "crun",
        "a /dev that is a link was followed",
        "D1 D6",
        &[LINKED_DEV, RACED_DEV],
        Whole,
    ),
    row(
        "CVE-2026-88264, CVE-2026-88265",
        "crun",
        "console and null device of a bare /dev were followed, and given away",
        "D1 D3",
        &[DEVICE_LINKS, RACED_DEVICES],
        Whole,
    ),
    row("CVE-2026-84042", "crun", "a program of the image ran as root of the host", "D9", &[EXECUTED], Whole),
    // youki
    row("youki#2663", "youki", "as CVE-2024-21626", "D7 D10", &[CWD, CWD_LINK, STREAMS], Whole),
    row("youki#343", "youki", "as CVE-2019-5736", "D9", &[OVERWRITTEN], Whole),
    row("CVE-2025-27612", "youki", "as CVE-2022-27650, for users of the library", "D11", &[INHERITS], Whole),
    row("CVE-2025-54867", "youki", "as CVE-2019-19921", "D6", &[LINKED_PROC], Whole),
    row("CVE-2025-62161", "youki", "as CVE-2025-31133", "D3", &[MASKS, RACED_MASKS], Whole),
    row("CVE-2025-62596", "youki", "as CVE-2025-52881", "D4 D5", &[DECOYS, NO_PROC], NO_MODULE),
    // libraries for paths
    row(
        "GHSA-6xv5-86q9-7xr8",
        "filepath-securejoin",
        "paths outside the root were made on Windows",
        "D1",
        &[],
        Elsewhere("Windows only; no path is made by joining here"),
    ),
    row(
        "libpathrs 0.2.5",
        "libpathrs",
        "panicked where parts of /proc were covered",
        "D4",
        &["libpathrs_a_caller_whose_proc_is_odd_gets_its_container_or_one_sentence"],
        Whole,
    ),
    // ancestors
    row(
        "CVE-2015-3627",
        "libcontainer",
        "a descriptor was opened before the root was changed",
        "D7",
        &[STREAMS],
        Whole,
    ),
    row("CVE-2015-3629", "libcontainer", "a link in the image was followed", "D1 D2", &[LINKED_MOUNT], Whole),
    row(
        "CVE-2015-3630",
        "libcontainer",
        "files of /proc that concern the host could be written",
        "D5",
        &["cve_2015_3630_what_concerns_the_host_cannot_be_written"],
        Whole,
    ),
    row("CVE-2015-3631", "libcontainer", "volumes on /proc changed the profile", "D6", &[ON_PROC], NO_MODULE),
    row("CVE-2015-1331", "LXC", "a link in the directory of locks was followed", "D19", &[STATE], Whole),
    row(
        "CVE-2015-1334",
        "LXC",
        "a fake /proc of the container's took the label of who entered it",
        "D4 D5",
        &["cve_2015_1334_a_further_process_trusts_no_proc_of_the_container"],
        NO_MODULE,
    ),
    row(
        "CVE-2015-1335",
        "LXC",
        "links in destinations were followed",
        "D1 D2",
        &[RACED_MOUNT, LINKED_MOUNT],
        Whole,
    ),
    row("CVE-2016-8649", "LXC", "who entered held a descriptor of the host's /proc", "D7", &[HUNTED], Whole),
    row("CVE-2016-10124", "LXC", "input was pushed into the caller's terminal", "D18", &[PUSHED], Whole),
    row(
        "CVE-2017-5985, CVE-2018-6556, CVE-2022-47952",
        "LXC",
        "a program with its owner's rights opened what its user named",
        "D19",
        &[],
        Elsewhere("nothing is installed with its owner's rights"),
    ),
    row(
        "CVE-2016-8659, CVE-2020-5291, CVE-2026-41163",
        "bubblewrap",
        "with its owner's rights it did what a traced child asked for",
        "D8",
        &[OWNERS_RIGHTS],
        Whole,
    ),
    row(
        "CVE-2017-5226",
        "bubblewrap",
        "input was pushed into the caller's terminal",
        "D18",
        &[PUSHED],
        Whole,
    ),
    row(
        "CVE-2019-12439",
        "bubblewrap",
        "a mount point in /tmp could be foretold",
        "D19",
        &["cve_2019_12439_nothing_is_made_in_tmp"],
        Whole,
    ),
    row(
        "CVE-2026-87766",
        "bubblewrap",
        "parents that are links led through the old root",
        "D1",
        &[LINKED_PARENT],
        Whole,
    ),
    // engines and neighbours
    row(
        "CVE-2020-15257",
        "containerd",
        "an abstract socket could be reached through the host's network",
        "D19",
        &["cve_2020_15257_no_socket_can_be_reached_from_inside"],
        Whole,
    ),
    row(
        "CVE-2022-23648, CVE-2025-47290, CVE-2026-53489, CVE-2026-55686, CVE-2025-9566, CVE-2024-23651",
        "containerd, Podman, BuildKit",
        "links in an image were followed while a bundle was made",
        "D1",
        &[CWD_MADE, PLANTED],
        Partly("what engines do by themselves is theirs"),
    ),
    row(
        "CVE-2021-25741",
        "Kubernetes",
        "a part of a volume was a link by the time of the mount",
        "D1 D2",
        &[LINKED_PARENT],
        Partly("sources are the engine's, and opened once"),
    ),
    row(
        "CVE-2022-2989, CVE-2022-2990, CVE-2022-2995, CVE-2022-36109, CVE-2023-25173",
        "Podman, Buildah, CRI-O, moby, containerd",
        "groups were lost or kept, and with them what they are kept from",
        "D12",
        &[GROUPS],
        Whole,
    ),
    row("CVE-2024-40635, CVE-2026-46680", "containerd", "large ids became root", "D12", &[WRAPPING], Whole),
    row(
        "CVE-2024-9676, CVE-2026-47262",
        "Podman, containerd",
        "planted files of users hung or filled the reader",
        "D22",
        &[ODD_FILES],
        Whole,
    ),
    row(
        "CVE-2025-47291",
        "containerd",
        "containers ran outside of their cgroup",
        "D15",
        &["cve_2025_47291_a_container_is_where_its_configuration_says"],
        Whole,
    ),
    row(
        "CVE-2026-53488, CVE-2026-53492, CVE-2026-50195, CVE-2026-94603",
        "containerd, Podman",
        "an image of a checkpoint was trusted like a configuration",
        "D20",
        &[],
        Elsewhere("checkpoint and restore are refused"),
    ),
    row(
        "CVE-2022-0811",
        "CRI-O",
        "a parameter smuggled in another one",
        "D20",
        &["cve_2022_0811_a_parameter_is_one_name_in_a_namespace_of_the_container"],
        Whole,
    ),
    row("CVE-2019-14271", "moby", "libraries of the image were loaded on the host", "D9", &[EXECUTED], Whole),
    row(
        "CVE-2022-0492",
        "the kernel",
        "the release agent could be set in a user namespace",
        "D15",
        &["cve_2022_0492_the_release_agent_cannot_be_set"],
        Whole,
    ),
    row(
        "cgroups#69",
        "the kernel 6.17 to 7.1",
        "an answer was written beyond what asked for it",
        "D16",
        &["cgroups_69_programs_are_asked_for_with_room_for_every_answer"],
        Whole,
    ),
    row("CVE-2026-1386", "Firecracker", "a link in the jail was followed as root", "D1", &[PLANTED], Whole),
    row("CVE-2026-41326", "Kata", "links in a shared directory were followed", "D1", &[RACED_MAKING], Whole),
    row(
        "CVE-2018-16359, CVE-2018-19333, CVE-2018-20168, CVE-2025-2713",
        "gVisor",
        "files that the caller named were opened with more rights than he has",
        "D19",
        &["cve_2018_19333_a_planted_pid_file_is_not_followed", OWNERS_RIGHTS, STATE],
        Partly("what concerns gVisor's own kernel is its own"),
    ),
    row("runc#5322", "runc", "programs and directories of cgroups stayed open", "D7", &[STREAMS], Whole),
    // what mending has broken
    row(
        "runc#4971",
        "runc, by CVE-2025-52881",
        "a tmpfs had another mode",
        "D2",
        &["runc_4971_a_tmpfs_has_the_mode_that_was_asked_for"],
        Whole,
    ),
    row(
        "runc#4985, bubblewrap#801",
        "runc, Ubuntu's bubblewrap",
        "links that images really have no longer worked",
        "D1",
        &["runc_4985_a_dangling_link_is_a_destination", LINKED_PARENT],
        Whole,
    ),
    row(
        "runc#5082",
        "runc",
        "a container with few descriptors could not be entered",
        "D7",
        &["runc_5082_a_container_with_few_descriptors_can_be_entered"],
        Whole,
    ),
    row(
        "runc#1980",
        "runc, by CVE-2019-5736",
        "little memory was no longer enough",
        "D9",
        &["runc_1980_little_memory_is_enough"],
        Whole,
    ),
    row(
        "runc#4543",
        "runc, by CVE-2024-45310",
        "two containers could not make the same directory",
        "D1",
        &["runc_4543_containers_that_share_a_root_make_the_same_directories_at_once"],
        Whole,
    ),
    row(
        "crun 1.27.1",
        "crun",
        "propagation was lost",
        "D21",
        &["crun_1_27_1_mounts_of_the_host_arrive_and_ours_do_not_leave"],
        Whole,
    ),
    row(
        "crun 1.29.1",
        "crun",
        "a procfs got the mode of its mount point",
        "D2",
        &["crun_1_29_1_a_procfs_keeps_its_own_mode"],
        Whole,
    ),
    row(
        "runc#5275, runc#5348",
        "runc",
        "each masked directory was a file system of its own",
        "D3",
        &["runc_5275_runc_5348_masked_directories_share_a_file_system"],
        Whole,
    ),
    row(
        "runc#2532, runc#4508",
        "runc, by CVE-2019-5736",
        "protecting the binary by mounts disturbed systemd and the kernel's log",
        "D9",
        &[],
        Elsewhere("the binary is never mounted: what is executed inside is a sealed file in memory"),
    ),
];
