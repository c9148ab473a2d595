//! Callers and machines that are awkward: the payload's world is the same there as anywhere, or one clear sentence says
//! why there is none; nothing is left.

use std::fs;

use integration::bundle::{mount, namespace, shell};
use integration::command::is_refused;
use integration::expected::CAPABILITIES;
use integration::foretold::{self, Caller, Case};
use integration::test::text;
use integration::{Bundle, Exit, Outcome, Test, World};
use rustix::io::Errno;
use serde_json::{Value, json};

/// `run` of a bundle by a shell that prepares something before it executes the runtime as `"$@"`.
fn run_after(test: &Test, bundle: &Bundle, prepare: &str) -> Outcome {
    let (path, id) = (text(&bundle.path), test.fresh());
    test.call_by(&format!("{prepare}\nexec \"$@\""), &["run", "--bundle", &path, &id]).env("B", &path).run()
}

/// The same in a mount namespace of its own.
fn run_among_mounts(test: &Test, bundle: &Bundle, prepare: &str) -> Outcome {
    let script =
        format!("exec unshare --mount --propagation private sh -c '{prepare}\nexec \"$@\"' sh \"$@\"");
    let (path, id) = (text(&bundle.path), test.fresh());
    test.call_by(&script, &["run", "--bundle", &path, &id]).env("B", &path).run()
}

/// The whole world of a payload, run by a caller whom the shell's script has made awkward, is the one that a plain
/// caller's would be.
#[track_caller]
fn is_the_same_world(prepare: &str, edit: impl FnOnce(&mut Value)) {
    let test = Test::at(World::Unified);
    let mut bundle = test.bundle(edit);
    foretold::ask(&mut bundle);
    let caller = Caller::of(&test, &bundle.config);
    let (path, id) = (text(&bundle.path), test.fresh());
    let script = format!("{prepare}\nexec \"$@\"");
    let said = test.call_by(&script, &["run", "--bundle", &path, &id]).run().ok().stdout;
    assert!(!said.is_empty(), "{prepare}: nothing was said");
    let differences =
        foretold::differences(&Case { config: &bundle.config, caller: &caller, id: &id }, &said);
    assert!(differences.is_empty(), "{prepare}: {differences:#?}");
}

fn fine(test: &Test) -> Bundle {
    test.bundle(|config| shell(config, "echo fine"))
}

#[track_caller]
fn is_fine(outcome: Outcome) {
    assert_eq!(outcome.ok().stdout, "fine\n");
}

/// Fine, or refused with one of these words.
#[track_caller]
fn is_fine_or_refused(outcome: Outcome, words: &[&str]) {
    if outcome.succeeded() { is_fine(outcome) } else { is_refused(outcome, words) }
}

#[test]
fn what_the_caller_ignores_blocks_and_masks_stays_outside() {
    for prepare in [
        "trap '' CHLD",
        "trap '' CHLD HUP INT QUIT PIPE TERM USR1 USR2",
        "exec env --ignore-signal --block-signal \"$@\"",
        "umask 0777",
        "exec 7</etc/passwd 8<>/dev/null 9</",
        "exec env -i \"$@\"",
        "exec env _LIBCONTAINER_INITPIPE=3 LISTEN_FDS=9 LISTEN_PID=1 NOTIFY_SOCKET= GCONV_PATH=/ \"$@\"",
        "exec setsid --wait \"$@\"",
    ] {
        is_the_same_world(prepare, |_| {});
    }
}

#[test]
fn every_verb_works_where_the_end_of_children_is_ignored() {
    let test = Test::new();
    let bundle = test.bundle(|config| {
        config["process"]["args"] = json!(["/bin/sleep", "1000"]);
        namespace(config, "user", Some(json!({"type": "user"})));
        let ids = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
        config["linux"]["uidMappings"] = ids.clone();
        config["linux"]["gidMappings"] = ids;
        config["hooks"] =
            json!({"createRuntime": [{"path": "/bin/true"}], "poststop": [{"path": "/bin/true"}]});
    });
    let (path, id) = (text(&bundle.path), test.fresh());
    let verb = |words: &[&str]| test.call_by("trap '' CHLD\nexec \"$@\"", words).run();
    verb(&["create", "--bundle", &path, &id]).ok();
    for words in
        [&["start", &id][..], &["exec", &id, "/bin/true"], &["pause", &id], &["resume", &id], &["state", &id]]
    {
        verb(words).ok();
    }
    verb(&["exec", &id, "/bin/sh", "-c", "exit 7"]).exits(7);
    verb(&["delete", "--force", &id]).ok();
}

#[test]
fn closed_streams_lead_to_nowhere_in_the_container() {
    let test = Test::new();
    let directory = test.directory.join("said");
    fs::create_dir(&directory).expect("the test's directory is ours");
    // The harness gives nothing to read: standard input leads nowhere in any case.
    for (closed, nowhere) in [("0<&-", "0"), ("1>&-", "01"), ("2>&-", "02"), ("0<&- 1>&- 2>&-", "012")] {
        let bundle = test.bundle(|config| {
            mount(config, "/said", "bind", &text(&directory), &["bind"]);
            let look = "for one in 0 1 2; do [ /proc/$$/fd/$one -ef /dev/null ] && nowhere=$nowhere$one; done
                echo $nowhere >/said/here";
            shell(config, look);
        });
        run_after(&test, &bundle, &format!("exec {closed}")).ok();
        let said = fs::read_to_string(directory.join("here")).expect("the container wrote it");
        assert_eq!(said.trim(), nowhere, "{closed}");
    }
}

#[test]
fn few_descriptors_are_enough_or_it_is_said() {
    let test = Test::new();
    for limit in [8, 12, 16, 20, 24, 32, 48, 64] {
        let bundle = test.bundle(|config| {
            config["process"]["rlimits"] = json!([]);
            shell(config, "echo fine");
        });
        let outcome = run_after(&test, &bundle, &format!("ulimit -n {limit}"));
        if limit >= 16 { is_fine(outcome) } else { is_fine_or_refused(outcome, &["too many open files"]) }
    }
}

#[test]
fn a_created_container_starts_with_few_descriptors() {
    let test = Test::new();
    let bundle = test.bundle(|config| {
        config["process"]["rlimits"] = json!([]);
        shell(config, "echo fine");
    });
    for limit in [16, 24, 64] {
        let (path, id) = (text(&bundle.path), test.fresh());
        let few = |words: &[&str]| test.call_by(&format!("ulimit -n {limit}\nexec \"$@\""), words).run();
        few(&["create", "--bundle", &path, &id]).ok();
        let container = integration::Container::of(&test, &id, test.runtime(&["state", &id]).ok());
        few(&["start", &id]).ok();
        assert_eq!(container.finish(), Exit::Code(0), "{limit}");
    }
}

#[test]
fn limits_of_the_caller_are_survived_or_told() {
    let test = Test::new();
    is_fine(run_after(&test, &fine(&test), "ulimit -u 1"));
    for kilobytes in [16_000, 32_000, 64_000] {
        let outcome = run_after(&test, &fine(&test), &format!("ulimit -v {kilobytes}"));
        is_fine_or_refused(outcome, &["memory"]);
    }
    for (limit, word) in [("-c 0", ""), ("-l 0", ""), ("-s 64", ""), ("-i 0", "")] {
        is_fine_or_refused(run_after(&test, &fine(&test), &format!("ulimit {limit}")), &[word]);
    }
}

/// The sentence goes to a pipe: no file may grow.
#[test]
fn where_no_file_may_grow_it_is_said_and_nobody_is_killed() {
    let test = Test::new();
    let (path, id) = (text(&fine(&test).path), test.fresh());
    let script = "{ (ulimit -f 0; \"$@\"; echo status $?) 2>&1; } | cat";
    let outcome = test.call_by(script, &["run", "--bundle", &path, &id]).run().ok();
    let lines: Vec<_> = outcome.stdout.lines().collect();
    let is_sentence =
        lines.len() == 2 && lines[0].to_lowercase().contains("file too large") && lines[1] == "status 1";
    assert!(is_sentence || lines == ["fine", "status 0"], "{outcome:#?}");
}

#[test]
fn a_working_directory_that_is_gone_does_not_matter() {
    let test = Test::new();
    let gone = text(&test.directory.join("gone"));
    is_fine(run_after(&test, &fine(&test), &format!("mkdir {gone}; cd {gone}; rmdir {gone}")));
    let outcome = test
        .call_by(&format!("mkdir {gone}; cd {gone}; rmdir {gone}\nexec \"$@\""), &["run", &test.fresh()])
        .run();
    is_refused(outcome, &["no such file", "cannot"]);
}

#[test]
fn another_proc_than_the_kernels_is_not_trusted() {
    let test = Test::new();
    is_refused(run_among_mounts(&test, &fine(&test), "mount -t tmpfs tmpfs /proc"), &["/proc"]);
    is_fine(run_among_mounts(&test, &fine(&test), "mount -t proc -o hidepid=2 proc /proc"));
    let processes_alone = run_among_mounts(&test, &fine(&test), "mount -t proc -o subset=pid proc /proc");
    is_fine_or_refused(processes_alone, &["/proc/"]);
    is_fine(run_among_mounts(
        &test,
        &fine(&test),
        "mount --bind /proc/sys /proc/sys; mount -o remount,bind,ro /proc/sys",
    ));
}

#[test]
fn cgroups_that_are_read_only_or_absent_are_told() {
    let test = Test::new();
    is_refused(
        run_among_mounts(&test, &fine(&test), "mount -o remount,bind,ro /sys/fs/cgroup"),
        &["read-only file system"],
    );
    is_refused(run_among_mounts(&test, &fine(&test), "umount -l /sys/fs/cgroup"), &["cgroup"]);
    is_refused(run_among_mounts(&test, &fine(&test), "mount -t tmpfs tmpfs /sys"), &["cgroup"]);
}

#[test]
fn the_directory_for_temporary_files_may_be_of_no_use() {
    let test = Test::new();
    for options in ["noexec", "size=4k,nr_inodes=1", "ro"] {
        is_fine(run_among_mounts(&test, &fine(&test), &format!("mount -t tmpfs -o {options} tmpfs $TMPDIR")));
    }
}

#[test]
fn a_full_state_directory_is_told_and_left_empty() {
    let test = Test::new();
    let state = text(&test.state_root());
    for (options, words) in
        [("size=4k", "no space left"), ("nr_inodes=3", "no space left"), ("ro", "read-only file system")]
    {
        let prepare = format!("mount -t tmpfs -o mode=700,{options} tmpfs {state}");
        is_refused(run_among_mounts(&test, &fine(&test), &prepare), &[words]);
        let look = format!("{prepare}; \"$@\" 2>/dev/null; exec ls {state}");
        let left = run_among_mounts(&test, &fine(&test), &look).ok().stdout;
        assert_eq!(left, "", "{options}");
    }
}

#[test]
fn without_the_right_to_raise_limits_everything_else_works() {
    let test = Test::new();
    let without = |capability: &str| {
        format!("set -- setpriv --bounding-set -{capability} --inh-caps -{capability} \"$@\"")
    };
    is_fine(run_after(&test, &fine(&test), &without("sys_resource")));
    let beyond = test.bundle(|config| {
        config["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 1 << 19, "hard": 1 << 19}]);
    });
    is_refused(
        run_after(&test, &beyond, &format!("ulimit -n 1024\n{}", without("sys_resource"))),
        &["RLIMIT_NOFILE"],
    );
    for capability in ["sys_admin", "sys_chroot", "mknod", "setuid", "setpcap"] {
        let outcome = run_after(&test, &fine(&test), &without(capability));
        is_fine_or_refused(outcome, &["not permitted"]);
    }
    is_refused(run_after(&test, &fine(&test), &without("sys_admin")), &["not permitted", "user namespace"]);
}

#[test]
fn a_sandbox_that_knows_no_newer_calls_changes_nothing() {
    for calls in [&["clone3", "openat2"][..], &["clone3"], &["openat2", "close_range", "faccessat2"]] {
        for errno in [Errno::PERM, Errno::NOSYS] {
            let test = Test::at(World::Unified).without(errno, calls);
            let mut bundle = test.bundle(|_| {});
            foretold::ask(&mut bundle);
            let caller = Caller::of(&test, &bundle.config);
            let (path, id) = (text(&bundle.path), test.fresh());
            let said = test.runtime(&["run", "--bundle", &path, &id]).ok().stdout;
            let case = Case { config: &bundle.config, caller: &caller, id: &id };
            let mut differences = foretold::differences(&case, &said);
            // The filter that takes the calls away stays, and answers in their stead.
            differences.retain(|one| !one.starts_with("/seccomp") && !one.starts_with("/syscalls/clone3"));
            assert!(differences.is_empty(), "without {calls:?}, told by {errno}: {differences:#?}");
        }
    }
}

#[test]
fn a_container_whose_process_is_not_seen_is_not_taken_for_a_dead_one() {
    let test = Test::new();
    let container = test.start(&test.bundle(|config| config["process"]["args"] = json!(["sleep", "1000"])));
    let hide = format!("mount -t tmpfs none /proc/{}", container.pid);
    let script =
        format!("exec unshare --mount --propagation private sh -c '{hide} && exec \"$@\"' sh \"$@\"");
    for verb in [&["delete", "--force"][..], &["delete"], &["state"]] {
        let refused = test.call_by(&script, &[verb, &[&container.id]].concat()).run();
        refused.fails_with(&["is there, but /proc/"]);
    }
    assert_eq!(container.status(), "running");
    container.delete_by_force().ok();
}

/// Each level runs the next one with the same binary.
#[test]
fn containers_run_within_containers_three_levels_deep() {
    let test = Test::at(World::Unified);
    let runtime = text(&integration::runtime().path);
    let mut inner = fine(&test);
    for level in 1..=3 {
        let outer = test.bundle(|config| mighty(config, level));
        fs::rename(&inner.path, outer.inside("inner")).expect("the root is ours");
        fs::copy(&runtime, outer.inside("runtime")).expect("the root is ours");
        inner = outer;
    }
    is_fine(test.run(&inner));
}

/// A container that may do what a runtime does.
fn mighty(config: &mut Value, level: u32) {
    let all = json!(CAPABILITIES.map(|name| format!("CAP_{name}")).as_slice());
    config["process"]["capabilities"] = json!({"bounding": all, "permitted": all, "effective": all});
    config["root"]["readonly"] = json!(false);
    config["linux"]["maskedPaths"] = json!([]);
    config["linux"]["readonlyPaths"] = json!([]);
    config["linux"]["resources"]["devices"] = json!([{"allow": true, "access": "rwm"}]);
    for mount in config["mounts"].as_array_mut().into_iter().flatten() {
        if mount["type"] == "cgroup" {
            mount["options"] = json!(["nosuid", "noexec", "nodev", "rw"]);
        }
    }
    mount(config, "/run", "tmpfs", "tmpfs", &["mode=755", "size=4m"]);
    shell(config, &format!("exec /runtime --root /run/state run --bundle /inner level{level}"));
}
