//! Files of /proc and /sys that the runtime writes to: they are the real ones, or nothing happens.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use integration::attack::{Attacker, Sentinel, rounds};
use integration::bundle::{mount, shell};
use integration::test::text;
use integration::{Bundle, Outcome, PROBER, Test};
use serde_json::{Value, json};

use crate::room::{
    capabilities, exec, mount_first, on_each_resolver, plant, sleeping, user_namespace, without_mounts,
};

/// Insists that a container wasn't made, and that nothing of it ran.
fn refused(outcome: &Outcome, what: &str) {
    assert!(!outcome.succeeded() && outcome.stdout.is_empty(), "{what}: {outcome:?}");
    assert!(!outcome.stderr.trim().is_empty(), "{what}: says nothing: {outcome:?}");
}

fn started(config: &mut Value) {
    shell(config, "echo started");
}

#[test]
fn cve_2019_16884_cve_2015_3631_nothing_is_mounted_where_labels_are_written() {
    let test = Test::new();
    let source = test.directory.join("fake");
    fs::create_dir_all(source.join("attr")).expect("a directory can be made");
    for place in [
        "/proc",
        "/proc/self",
        "/proc/self/attr",
        "/proc/1",
        "/proc//self/../self/attr",
        "/proc/thread-self",
        "/proc/1/attr/exec",
    ] {
        for (kind, from, options) in
            [("tmpfs", "tmpfs".to_owned(), &[][..]), ("bind", text(&source), &["bind"])]
        {
            let outcome = test.run_with(|config| {
                mount(config, place, kind, &from, options);
                started(config);
            });
            refused(&outcome, &format!("{kind} on {place}"));
        }
    }
    let source = test.directory.join("file");
    fs::write(&source, "replaced\n").expect("a file can be written");
    for place in ["cpuinfo", "meminfo", "stat", "uptime", "loadavg", "diskstats", "swaps"]
        .map(|name| format!("/proc/{name}"))
    {
        let outcome = test.run_with(|config| {
            mount(config, &place, "bind", &text(&source), &["bind"]);
            config["process"]["args"] = json!(["/bin/cat", place]);
        });
        assert_eq!(outcome.ok().stdout, "replaced\n", "{place}");
    }
}

/// A directory that looks like a procfs to whoever looks for names only; what would be written to is linked to a
/// sentinel's files.
fn fake_proc(place: &Path, sentinel: &Path) {
    for directory in ["self/attr", "thread-self/attr", "1/attr", "sys/net/ipv4", "self/fd"] {
        fs::create_dir_all(place.join(directory)).expect("a directory can be made");
    }
    for name in ["self", "thread-self", "1"] {
        for file in ["attr/exec", "attr/current", "oom_score_adj", "setgroups", "uid_map", "gid_map"] {
            fs::hard_link(sentinel.join("exec"), place.join(name).join(file)).expect("a link can be made");
        }
    }
    fs::hard_link(sentinel.join("file"), place.join("sys/net/ipv4/ip_forward")).expect("a link can be made");
}

/// A sentinel whose files are those of a fake procfs.
fn faked(test: &Test, place: &Path) -> Sentinel {
    let path = test.directory.join(test.fresh());
    fs::create_dir(&path).expect("a directory can be made");
    ["exec", "file"].iter().for_each(|name| fs::write(path.join(name), "as it was\n").expect("a file"));
    fake_proc(place, &path);
    Sentinel::watching(path)
}

/// Asks for what is written to a procfs with any resolver.
fn wants_a_score(config: &mut Value) {
    config["process"]["oomScoreAdj"] = json!(321);
    started(config);
}

/// Asks for everything that is written to a procfs.
fn wants_writes(config: &mut Value) {
    wants_a_score(config);
    config["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1"});
}

#[test]
fn cve_2019_19921_proc_and_sys_are_no_links_however_fast_they_change() {
    on_each_resolver(|test| {
        let volume = test.directory.join(test.fresh());
        fs::create_dir_all(volume.join("p")).expect("a directory can be made");
        let sentinel = faked(test, &volume.join("fake"));
        symlink("/", volume.join("root")).expect("a link can be made");
        let [proc, sys] = ["proc", "sys"].map(|name| {
            let bundle = test.bundle(|config| {
                wants_a_score(config);
                mount_first(config, "/vol", &volume);
            });
            assert_eq!(test.run(&bundle).ok().stdout, "started\n", "what is refused then is the link");
            plant(&bundle, name, Path::new("/vol/p"));
            bundle
        });
        let [p, fake, root] = ["p", "fake", "root"].map(|name| volume.join(name));
        let attacker = Attacker::exchanging(vec![(p.clone(), fake), (p, root)]);
        for round in 0..rounds() {
            let bundle: &Bundle = if round % 2 == 0 { &proc } else { &sys };
            refused(&test.run(bundle), "a link");
            sentinel.is_untouched();
        }
        attacker.stop();
    });
}

#[test]
fn cve_2023_27561_cve_2023_28642_cve_2025_54867_a_link_is_neither_proc_nor_sys() {
    on_each_resolver(|test| {
        for name in ["proc", "sys"] {
            for target in
                ["/tmp/p", "tmp/p", "../../tmp/p", "chained", "/dangling", "../../../../../../proc", "."]
            {
                let bundle = test.bundle(wants_a_score);
                fs::create_dir(bundle.inside("tmp/p")).expect("a directory can be made");
                symlink("tmp/p", bundle.inside("chained")).expect("a link can be made");
                plant(&bundle, name, Path::new(target));
                refused(&test.run(&bundle), &format!("/{name} is a link to {target}"));
                assert!(!bundle.inside("dangling").exists(), "/{name} was made elsewhere");
            }
        }
    });
}

/// What a caller may have mounted over the files that a runtime writes: other files of a procfs, and no such files.
const DECOYS: [(&str, &str); 8] = [
    ("$decoy", "/proc/self/oom_score_adj"),
    ("/proc/self/sched", "/proc/self/oom_score_adj"),
    ("$decoy", "/proc/self/setgroups"),
    ("$decoy", "/proc/self/uid_map"),
    ("$decoy", "/proc/self/attr/exec"),
    ("$decoy", "/proc/sys/net/ipv4/ip_forward"),
    ("/proc/sys/kernel/hostname", "/proc/sys/net/ipv4/ip_forward"),
    ("$directory", "/proc/sys/net"),
];

/// A run by a caller in a mount namespace that a script has prepared.
fn run_after(test: &Test, script: &str, bundle: &Bundle) -> Outcome {
    let script =
        format!("exec unshare --mount --propagation private sh -c '{script}; exec \"$@\"' sh \"$@\"");
    test.call_by(&script, &["run", "--bundle", &text(&bundle.path), &test.fresh()]).run()
}

/// What a container sees of what was asked for: its parameter, its score, its mapping.
const EFFECTS: &str =
    "cat /proc/sys/net/ipv4/ip_forward /proc/self/oom_score_adj; id -u; wc -l < /proc/self/uid_map";

#[test]
fn cve_2025_52881_cve_2025_62596_writes_reach_the_right_file_of_the_right_proc_or_none() {
    for mapped in [false, true] {
        let test = Test::new();
        let sentinel = Sentinel::new(&test);
        let host = fs::read_to_string("/proc/sys/kernel/hostname").expect("it can be read");
        let bundle = test.bundle(|config| {
            wants_writes(config);
            shell(config, EFFECTS);
            if mapped {
                user_namespace(config);
            }
        });
        let (decoy, directory) = (text(&sentinel.join("exec")), text(&sentinel.join("below")));
        for (source, place) in DECOYS {
            let source = source.replace("$decoy", &decoy).replace("$directory", &directory);
            let outcome = run_after(&test, &format!("mount --bind {source} {place} || exit 9"), &bundle);
            let fine = if outcome.succeeded() {
                outcome.stdout == "1\n321\n0\n1\n"
            } else {
                outcome.stdout.is_empty()
            };
            assert!(fine, "{source} on {place}, mapped: {mapped}: {outcome:?}");
            sentinel.is_untouched();
            assert_eq!(fs::read_to_string("/proc/sys/kernel/hostname").ok(), Some(host.clone()));
        }
    }
}

/// A whole procfs of the caller's that is none.
#[test]
fn cve_2025_52881_a_proc_that_is_none_is_not_written_to() {
    for mapped in [false, true] {
        let test = Test::new();
        let fake = test.directory.join("fake");
        let sentinel = faked(&test, &fake);
        let bundle = test.bundle(|config| {
            wants_writes(config);
            if mapped {
                user_namespace(config);
            }
        });
        let outcome = run_after(&test, &format!("mount --bind {} /proc", text(&fake)), &bundle);
        let fine = outcome.succeeded() && outcome.stdout == "started\n";
        assert!(fine || outcome.stdout.is_empty() && !outcome.stderr.contains("panicked"), "{outcome:?}");
        sentinel.is_untouched();
    }
}

/// The container's procfs is hostile when somebody enters it: LXC asked it where to write a label.
#[test]
fn cve_2015_1334_a_further_process_trusts_no_proc_of_the_container() {
    let test = Test::new();
    let container = sleeping(&test, |config| {
        capabilities(config, &["CAP_SYS_ADMIN", "CAP_KILL"]);
        config["process"]["oomScoreAdj"] = json!(321);
        let script = "mkdir -p /dev/shm/p/self/attr /dev/shm/p/1/attr && cd /dev/shm/p &&
            for f in self/attr/exec self/attr/current self/oom_score_adj 1/attr/exec; do echo decoy > $f; done &&
            mount -t tmpfs none /proc && mount --bind /dev/shm/p /proc && echo ready; exec sleep 1000";
        shell(config, script);
    });
    container.has_said("ready");
    exec(&test, &container, &[], &["/bin/true"]);
    let decoys = "cd /dev/shm/p; cat self/attr/exec self/attr/current self/oom_score_adj 1/attr/exec";
    let said = exec(&test, &container, &[], &["/bin/sh", "-c", decoys]);
    assert!(!said.succeeded() || said.stdout == "decoy\ndecoy\ndecoy\ndecoy\n", "{said:?}");
    let place = format!("/proc/{}/root/dev/shm/p", container.pid);
    for file in ["self/attr/exec", "self/attr/current", "self/oom_score_adj", "1/attr/exec"] {
        let content = fs::read_to_string(Path::new(&place).join(file)).expect("the container wrote it");
        assert_eq!(content, "decoy\n", "{file}");
    }
    let further = exec(&test, &container, &[], &[PROBER, "{}"]);
    if further.succeeded() {
        let seen: Value = serde_json::from_str(&further.stdout).expect("the prober prints JSON");
        assert_eq!(seen["noNewPrivileges"], json!(true), "{seen}");
    }
}

/// A library for safe paths has panicked where containers had covered parts of a procfs.
#[test]
fn libpathrs_a_caller_whose_proc_is_odd_gets_its_container_or_one_sentence() {
    let test = Test::new();
    let odd = [
        "mount --bind /proc/sys /proc/sys && mount -o remount,bind,ro /proc/sys",
        "mount -t proc -o hidepid=2 proc /proc",
        "mount -t tmpfs none /proc/sys",
        "mount -t tmpfs none /proc/bus && mount -t tmpfs none /proc/fs",
        "mount -t tmpfs none /proc",
        "mount -t proc proc /proc && mount -t tmpfs none /proc",
    ];
    for script in odd {
        let bundle = test.bundle(|config| {
            config["process"]["oomScoreAdj"] = json!(321);
            started(config);
        });
        let outcome = run_after(&test, script, &bundle);
        let sentence = outcome.stderr.lines().count() == 1 && !outcome.stderr.contains("panicked");
        assert!(
            outcome.stdout == "started\n" || outcome.stdout.is_empty() && sentence,
            "{script}: {outcome:?}"
        );
    }
}

/// Files that describe the whole machine are not written to from inside, whoever is root there.
#[test]
fn cve_2015_3630_what_concerns_the_host_cannot_be_written() {
    let test = Test::new();
    for mapped in [false, true] {
        let said = test.run_with(|config| {
            if mapped {
                user_namespace(config);
            }
            shell(config, "for f in /proc/sys/kernel/core_pattern /proc/sysrq-trigger /proc/sys/kernel/hostname /proc/irq/default_smp_affinity /proc/bus/new /proc/fs/new /sys/kernel/uevent_helper /sys/new; do (: >> $f) 2>/dev/null && echo $f; done; true");
        });
        assert_eq!(said.ok().stdout, "", "mapped: {mapped}");
    }
}

/// A container that is to be entered may exchange its /proc, too: what is entered is known by descriptor.
#[test]
fn cve_2025_52881_a_container_that_exchanges_its_proc_is_entered_or_not() {
    let test = Test::new();
    let container = sleeping(&test, |config| {
        capabilities(config, &["CAP_SYS_ADMIN"]);
        without_mounts(config, |place| place.starts_with("/sys"));
        shell(
            config,
            "mkdir -p /dev/shm/p; echo ready; while :; do mount --bind /dev/shm/p /proc; busybox umount /proc; done",
        );
    });
    container.has_said("ready");
    for _ in 0..rounds().min(100) {
        let outcome = exec(&test, &container, &[], &["/bin/echo", "inside"]);
        assert!(!outcome.succeeded() || outcome.stdout == "inside\n", "{outcome:?}");
    }
}
