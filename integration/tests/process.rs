//! The process that a configuration describes.

use integration::bundle::{mount, shell};
use integration::expected::{CAPABILITIES, probe};
use integration::{Exit, Test, promise};
use serde_json::{Value, json};

/// What a script prints in a container that was changed by `edit`.
fn says(edit: impl FnOnce(&mut Value)) -> String {
    Test::new().run_with(edit).ok().stdout
}

#[test]
fn arguments_arrive_byte_by_byte() {
    let test = Test::new();
    let odd = ["", " ", "*", "$HOME", "a\nb", "ü", "--flag=x"];
    let said = test.run_with(|config| {
        config["process"]["args"] = json!([&["/bin/prober", "{}"][..], &odd].concat());
    });
    let seen: Value = serde_json::from_str(&said.ok().stdout).expect("the prober prints JSON");
    assert_eq!(seen["args"], json!([&["/bin/prober", "{}"][..], &odd].concat()));
}

#[test]
fn a_bare_name_is_looked_up_in_the_path_of_the_configuration() {
    let said = says(|config| {
        config["process"]["env"] = json!(["PATH=/nowhere:/bin"]);
        config["process"]["args"] = json!(["echo", "found"]);
    });
    assert_eq!(said, "found\n");
}

#[test]
fn the_callers_environment_stays_outside() {
    let (_, seen) = probe(&Test::new(), |_| {});
    let names =
        seen["env"].as_array().into_iter().flatten().filter_map(|one| one.as_str()?.split('=').next());
    let strange: Vec<_> = names.filter(|name| !["PATH", "TERM", "HOME"].contains(name)).collect();
    assert!(strange.is_empty(), "{strange:?}");
}

#[test]
fn the_last_of_equal_variables_counts() {
    let said = says(|config| {
        config["process"]["env"] = json!(["PATH=/bin", "ONE=first", "ONE=second"]);
        shell(config, "echo $ONE");
    });
    assert_eq!(said, "second\n");
}

#[test]
fn a_missing_working_directory_is_made() {
    let test = Test::new();
    let said = test.run_with(|config| {
        config["root"]["readonly"] = json!(false);
        config["process"]["cwd"] = json!("/made/for/me");
        shell(config, "pwd");
    });
    assert_eq!(said.ok().stdout, "/made/for/me\n");
}

#[test]
fn home_comes_from_the_passwd_of_the_container() {
    let said = says(|config| {
        config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
        shell(config, "echo $HOME");
    });
    assert_eq!(said, "/home\n");
}

#[test]
fn each_capability_can_be_given_alone() {
    let test = Test::new();
    for number in [0, 12, 21, 40] {
        let name = CAPABILITIES.get(number).copied().unwrap_or_default();
        let (_, seen) = probe(&test, |config| {
            let only = json!([format!("CAP_{name}")]);
            config["process"]["capabilities"] =
                json!({"bounding": only, "effective": only, "permitted": only});
        });
        assert_eq!(seen["capabilities"]["effective"], json!(1_u64 << number), "{name}");
    }
}

#[test]
fn without_new_privileges_there_is_no_way_back() {
    for (asked, word) in [(true, "1"), (false, "0")] {
        let said = says(|config| {
            config["process"]["noNewPrivileges"] = json!(asked);
            shell(
                config,
                "while read name value; do [ $name = NoNewPrivs: ] && echo $value; done </proc/self/status; true",
            );
        });
        assert_eq!(said.trim(), word);
    }
}

#[test]
fn the_umask_is_0022_unless_asked_otherwise() {
    assert_eq!(says(|config| shell(config, "umask")), "0022\n");
    let said = says(|config| {
        config["process"]["user"]["umask"] = json!(0o77);
        shell(config, "umask");
    });
    assert_eq!(said, "0077\n");
}

#[test]
fn a_soft_limit_above_the_hard_one_is_refused() {
    promise("a limit that cannot be set leaves nothing behind", || {
        let refused = Test::new().run_with(|config| {
            config["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 20, "hard": 10}]);
        });
        refused.fails();
    });
}

#[test]
fn the_oom_score_is_set() {
    let said = says(|config| {
        config["process"]["oomScoreAdj"] = json!(777);
        shell(config, "cat /proc/self/oom_score_adj");
    });
    assert_eq!(said, "777\n");
}

#[test]
fn standard_input_reaches_the_container() {
    let test = Test::new();
    let bundle = test.bundle(|config| config["process"]["args"] = json!(["/bin/cat"]));
    let path = test.directory.join("input");
    std::fs::write(&path, "through\n").expect("a file can be written");
    let (directory, id) = (integration::test::text(&bundle.path), test.fresh());
    let call = test.call(&["run", "--bundle", &directory, &id]);
    let outcome = call.stdin(std::fs::File::open(path).expect("the file is there")).run();
    assert_eq!(outcome.ok().stdout, "through\n");
}

#[test]
fn descriptors_of_the_caller_stay_outside_unless_preserved() {
    let test = Test::new();
    for (extra, expected) in [(&[][..], "0\n1\n2\n3\n"), (&["--preserve-fds", "1"], "0\n1\n2\n3\n4\n")] {
        let bundle = test.bundle(|config| config["process"]["args"] = json!(["/bin/ls", "/proc/self/fd"]));
        let (directory, id) = (integration::test::text(&bundle.path), test.fresh());
        let arguments = [&["run"], extra, &["--bundle", &directory, &id]].concat();
        let outcome = test.call(&arguments).with(with_descriptors).run().ok();
        assert_eq!(outcome.stdout, expected, "{extra:?}");
    }
}

/// Leaves the descriptors 3 and 9 open in the command.
fn with_descriptors(command: &mut std::process::Command) {
    use std::os::unix::process::CommandExt;
    let open = || {
        // SAFETY: duplicates standard input onto numbers that nothing in this new process relies on.
        unsafe { libc::dup2(0, 3) };
        // SAFETY: as above.
        unsafe { libc::dup2(0, 9) };
        Ok(())
    };
    // SAFETY: two system calls between fork and exec.
    unsafe { command.pre_exec(open) };
}

#[test]
fn exec_joins_the_container_and_returns_the_status() {
    promise("exec joins the container", || {
        let test = Test::new();
        let bundle = test.bundle(|config| config["process"]["args"] = json!(["/bin/sleep", "1000"]));
        let container = test.start(&bundle);
        let exec = |arguments: &[&str]| test.runtime(&[&["exec", &container.id], arguments].concat());
        exec(&["/bin/sh", "-c", "exit 17"]).exits(17);
        let links = "readlink /proc/self/ns/pid; readlink /proc/1/ns/pid";
        let said = exec(&["/bin/sh", "-c", links]).ok().stdout;
        let mut lines = said.lines();
        assert_eq!(lines.next(), lines.next());
        exec(&["/bin/not-there"]).fails_with(&["not found", "no such file"]);
    });
}

#[test]
fn the_first_process_is_number_one_and_leads_a_session() {
    let (_, seen) = probe(&Test::new(), |_| {});
    assert_eq!((&seen["session"]["pid"], &seen["session"]["session"]), (&json!(1), &json!(1)));
}

#[test]
fn background_processes_end_with_the_first() {
    let test = Test::new();
    let container = test.start(&test.bundle(|config| shell(config, "sleep 1000 & echo ready; exit 4")));
    promise("what the first process leaves behind is killed", || {
        assert_eq!(container.finish(), Exit::Code(4));
    });
}

#[test]
fn processors_and_disks_are_shared_as_asked_for() {
    promise("a scheduler and an I/O priority", || {
        let test = Test::new();
        let container = test.start(&test.bundle(|config| {
            // The flag lets children go back to what is usual.
            config["process"]["scheduler"] =
                json!({"policy": "SCHED_BATCH", "nice": 9, "flags": ["SCHED_FLAG_RESET_ON_FORK"]});
            config["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_IDLE", "priority": 0});
            shell(config, "echo up; sleep 1000");
        }));
        container.has_said("up");
        let further = test.runtime(&["exec", &container.id, "/bin/prober", "{}"]).ok().stdout;
        let further: Value = serde_json::from_str(&further).expect("the prober prints JSON");
        assert_eq!(further["scheduler"], json!({"policy": 0x4000_0003, "nice": 9, "io": 3 << 13}));
        let stat = container.proc("stat");
        let after_name: Vec<_> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
        // Fields 19 and 41 of proc_pid_stat(5): the nice value, and the policy.
        assert_eq!((after_name[16], after_name[38]), ("9", "3"), "{stat}");
    });
}

#[test]
fn a_scheduler_that_cannot_be_had_is_explained() {
    let test = Test::new();
    let said = test.try_create(&test.bundle(|config| {
        config["process"]["scheduler"] =
            json!({"policy": "SCHED_DEADLINE", "runtime": 10, "deadline": 5, "period": 5});
    }));
    said.fails_with(&["sched_setattr", "/process/scheduler of config.json"]);
}

#[test]
fn the_memory_policy_is_the_programs_and_that_of_further_processes() {
    promise("a memory policy", || {
        let test = Test::new();
        let container = test.start(&test.bundle(|config| {
            config["linux"]["memoryPolicy"] =
                json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]});
            shell(config, "cat /proc/self/numa_maps; echo end; sleep 1000");
        }));
        container.has_said("end");
        let further = test.runtime(&["exec", &container.id, "/bin/cat", "/proc/self/numa_maps"]).ok().stdout;
        for said in [container.stdout(), further] {
            let policy = said.lines().next().and_then(|line| line.split(' ').nth(1)).unwrap_or_default();
            assert_eq!(policy, "bind=static:0", "{said}");
        }
    });
}

#[test]
fn a_memory_policy_that_the_machine_cannot_have_is_told() {
    let nodes = |nodes: &str| {
        let test = Test::new();
        let policy = json!({"mode": "MPOL_BIND", "nodes": nodes});
        test.try_create(&test.bundle(|config| config["linux"]["memoryPolicy"] = policy))
    };
    promise("a memory node that is not there", || drop(nodes("1000").fails_with(&["invalid argument"])));
    promise("a memory policy without nodes", || drop(nodes("").fails_with(&["node"])));
}

#[test]
fn the_execution_domain_is_that_of_the_configuration() {
    let said = Test::new().run_with(|config| {
        config["linux"]["personality"] = json!({"domain": "LINUX32"});
        shell(config, "cat /proc/self/personality");
    });
    assert_eq!(said.ok().stdout, "00000008\n");
}

#[test]
fn a_container_may_have_few_descriptors() {
    for limit in [5, 6, 12, 40, 96] {
        let test = Test::new();
        let bundle = test.bundle(|config| {
            config["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": limit, "hard": limit}]);
            // Many mounts, so that init has opened many descriptors before.
            for number in 0..30 {
                mount(config, &format!("/dev/{number}"), "none", "/usr", &["rbind", "ro"]);
            }
            shell(config, "ulimit -n; echo $HOME");
        });
        let said = format!("{limit}\n/root\n");
        assert_eq!(test.run(&bundle).ok().stdout, said, "run");
        let container = test.start(&bundle);
        assert_eq!(container.finish(), Exit::Code(0), "{}", container.stderr());
        assert_eq!(container.stdout(), said, "create and start");
    }
}

#[test]
fn what_leaves_nothing_to_wait_on_is_refused() {
    promise("a container that could not wait for its start", || {
        let test = Test::new();
        let bundle = test.bundle(|config| {
            config["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 4, "hard": 4}]);
        });
        test.try_create(&bundle).fails_with(&["needs 5 descriptors"]);
    });
}
