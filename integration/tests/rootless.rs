//! Containers of an ordinary user.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use integration::bundle::{namespace, shell};
use integration::test::text;
use integration::user::{self, SUBID, SUBIDS, UID, alone, mapped, ours, with_all_ids, without_path, worlds};
use integration::{Outcome, Test, World};
use serde_json::{Value, json};

fn sleeper(config: &mut Value) {
    shell(config, "echo up; sleep 1000");
}

fn exec(test: &Test, id: &str, script: &str) -> Outcome {
    test.runtime(&["exec", id, "/bin/sh", "-c", script])
}

#[test]
fn what_spec_writes_runs_as_it_is() {
    for world in worlds() {
        let test = Test::of_user(world);
        let bundle = test.bundle(|_| ());
        fs::remove_file(bundle.path.join("config.json")).expect("it was written");
        user::give_all(&bundle.path);
        let path = text(&bundle.path);
        test.runtime(&["spec", "--rootless", "--bundle", &path]).ok();
        let typed = bundle.path.join("typed");
        fs::write(&typed, "echo I am $(id -u), $(cat /proc/self/uid_map); exit 7\n").expect("a file");
        let run = test.call(&["run", "--bundle", &path, &test.fresh()]);
        let said = run.stdin(fs::File::open(typed).expect("a file")).run().exits(7).stdout;
        let words: Vec<_> = said.split_whitespace().collect();
        let map = ["0,", "0", &UID.to_string(), "1"].map(str::to_owned);
        assert!(words.windows(4).any(|four| four == map), "{said}");
    }
}

#[test]
fn a_container_without_a_user_namespace_is_refused() {
    let Some(world) = worlds().pop() else { return };
    let test = Test::of_user(world);
    test.run_with(without_path).fails_with(&["config.json, /linux/namespaces: ", "needs a user namespace"]);
}

#[test]
fn a_whole_life_without_a_cgroup() {
    for world in worlds() {
        let test = Test::of_user(world);
        let bundle = test.bundle(|config| {
            alone(config);
            without_path(config);
            shell(config, "sleep 999 & trap 'exit 3' TERM; echo up; while :; do sleep 0.1; done");
        });
        let container = test.create(&bundle);
        assert_eq!(container.status(), "created");
        container.start().ok();
        container.has_said("up");
        let listed: Value =
            serde_json::from_str(&test.runtime(&["list", "-f", "json"]).ok().stdout).expect("JSON");
        assert_eq!(
            (listed[0]["status"].as_str(), listed[0]["id"].as_str()),
            (Some("running"), Some(&*container.id))
        );
        let pids = test.runtime(&["ps", "-f", "json", &container.id]).ok().stdout;
        let pids: Vec<i32> = serde_json::from_str(&pids).expect("JSON");
        assert!(pids.contains(&container.pid) && pids.len() >= 2, "{pids:?}");
        assert_eq!(
            exec(&test, &container.id, "id -u; readlink /proc/1/ns/user").ok().stdout.lines().next(),
            Some("0")
        );
        container.command(&["pause"]).fails_with(&["it has no cgroup"]);
        test.runtime(&["update", "--pids-limit", "9", &container.id]).fails_with(&["it has no cgroup"]);
        container.kill("TERM").ok();
        assert_eq!(container.finish(), integration::Exit::Code(3));
    }
}

#[test]
fn further_processes_have_their_oom_score() {
    let Some(world) = worlds().pop() else { return };
    let test = Test::of_user(world);
    let container = test.start(&test.bundle(|config| {
        alone(config);
        without_path(config);
        config["process"]["oomScoreAdj"] = json!(321);
        sleeper(config);
    }));
    container.has_said("up");
    assert_eq!(
        exec(&test, &container.id, "cat /proc/self/oom_score_adj /proc/1/oom_score_adj").ok().stdout,
        "321\n321\n"
    );
}

#[test]
fn all_processes_are_signalled_without_a_cgroup() {
    for world in worlds() {
        let test = Test::of_user(world);
        let container = test.start(&test.bundle(|config| {
            alone(config);
            without_path(config);
            shell(
                config,
                "trap '' USR1; (trap 'echo heard; exit' USR1; echo up; while :; do sleep 0.1; done) & wait; sleep 1000",
            );
        }));
        container.has_said("up");
        test.runtime(&["kill", "--all", &container.id, "USR1"]).ok();
        container.has_said("heard");
        test.runtime(&["kill", "--all", &container.id, "KILL"]).ok();
        assert_eq!(container.finish(), integration::Exit::Signal(9));
    }
}

#[test]
fn descendants_die_with_a_container_that_shares_the_pid_namespace() {
    let Some(world) = worlds().pop() else { return };
    let test = Test::of_user(world);
    let container = test.start(&test.bundle(|config| {
        alone(config);
        without_path(config);
        namespace(config, "pid", None);
        // A procfs can only be mounted by an owner of the pid namespace.
        config["mounts"].as_array_mut().expect("a list").retain(|mount| mount["type"] != "proc");
        config["linux"]["maskedPaths"] = json!([]);
        config["linux"]["readonlyPaths"] = json!([]);
        shell(config, "sleep 1000 & sleep 1000 & echo up; wait");
    }));
    container.has_said("up");
    container.delete_by_force().ok();
}

#[test]
fn a_limit_that_nobody_may_set_is_refused() {
    let Some(world) = World::with("memory").filter(|_| ours()) else { return };
    let test = Test::of_user(world);
    let limited = test.bundle(|config| {
        alone(config);
        config["linux"]["resources"] = json!({"memory": {"limit": 64 << 20}});
    });
    test.run(&limited).fails_with(&["/linux/resources/memory/limit: cannot set memory"]);
    test.run(&limited).fails_with(&["this user may make no cgroup for the container"]);
}

#[test]
fn further_ids_are_mapped_by_the_helpers() {
    for world in worlds() {
        let test = Test::of_user(world);
        let container = test.create(&test.bundle(|config| {
            with_all_ids(config);
            without_path(config);
            config["process"]["user"] = json!({"uid": 1000, "gid": 1000, "additionalGids": [10, 20]});
            shell(config, "id -G; echo up; sleep 1000");
        }));
        let words = |file| container.proc(file).split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let map =
            ["0", &UID.to_string(), "1", "1", &SUBID.to_string(), &SUBIDS.to_string()].map(str::to_owned);
        assert_eq!((words("uid_map"), words("gid_map")), (map.to_vec(), map.to_vec()));
        container.start().ok();
        container.has_said("1000 10 20");
        container.has_said("up");
        let status = container.proc("status");
        assert!(status.contains(&format!("Uid:\t{}\t", SUBID + 999)), "{status}");
        assert_eq!(exec(&test, &container.id, "id -u").ok().stdout, "1000\n");
        let as_another = ["exec", "--user", "7:8", &container.id, "/bin/sh", "-c", "id -u; id -g"];
        assert_eq!(test.runtime(&as_another).ok().stdout, "7\n8\n");
    }
}

#[test]
fn what_a_helper_says_is_in_the_error() {
    let Some(world) = worlds().pop() else { return };
    let test = Test::of_user(world);
    let bundle = test.bundle(|config| {
        without_path(config);
        mapped(
            config,
            json!([{"containerID": 0, "hostID": UID, "size": 1}, {"containerID": 1, "hostID": 0, "size": 1}]),
        );
    });
    let said = test.run(&bundle).fails_with(&["/newuidmap could not map ids: newuidmap: uid range [1-2)"]);
    assert!(said.stderr.contains("not allowed"), "{said:?}");
}

#[test]
fn a_helper_is_not_taken_from_where_the_caller_stands() {
    let Some(world) = worlds().pop() else { return };
    let test = Test::of_user(world);
    let bundle = test.bundle(|config| {
        with_all_ids(config);
        without_path(config);
    });
    let trap = bundle.path.join("newuidmap");
    fs::write(&trap, "#!/bin/sh\necho caught >&2; exit 1\n").expect("a file");
    fs::set_permissions(&trap, PermissionsExt::from_mode(0o755)).expect("its mode");
    let path = text(&bundle.path);
    let there = format!("cd {path}; exec \"$@\"");
    let call = test.call_by(&there, &["run", "--bundle", &path, &test.fresh()]).env("PATH", ".::/usr/bin");
    call.run().ok();
    let call = test.call(&["run", "--bundle", &path, &test.fresh()]).env("PATH", &path);
    call.run().fails_with(&["could not map ids: caught"]);
}

#[test]
fn a_single_group_has_no_further_ones() {
    let Some(world) = worlds().pop() else { return };
    let test = Test::of_user(world);
    let bundle = |groups: Value| {
        test.bundle(|config| {
            alone(config);
            without_path(config);
            config["process"]["user"]["additionalGids"] = groups;
            shell(config, "cat /proc/self/setgroups");
        })
    };
    test.run(&bundle(json!([5]))).fails_with(&["config.json, /process/user/additionalGids: "]);
    assert_eq!(test.run(&bundle(json!([]))).ok().stdout, "deny\n");
}

#[test]
fn a_cgroup_that_was_handed_over_is_used_in_full() {
    if !ours() {
        return;
    }
    let test = Test::of_user_with_cgroup();
    let bundle = test.bundle(|config| {
        alone(config);
        config["linux"]["resources"] = json!({"unified": {"cgroup.max.depth": "3"}});
        sleeper(config);
    });
    let container = test.start(&bundle);
    container.has_said("up");
    let cgroup = bundle.config["linux"]["cgroupsPath"].as_str().expect("a path").to_owned();
    assert_eq!(format!("/{}", container.cgroup_path()), cgroup);
    let directory = container.cgroup2().expect("it has one");
    let says = |file: &str| fs::read_to_string(directory.join(file)).unwrap_or_default();
    assert_eq!(says("cgroup.max.depth"), "3\n");
    let inside = exec(&test, &container.id, "cat /proc/self/cgroup | tail -1").ok().stdout;
    assert_eq!(inside, "0::/\n");
    container.command(&["pause"]).ok();
    assert_eq!(container.status(), "paused");
    assert!(says("cgroup.events").contains("frozen 1"));
    container.command(&["resume"]).ok();
    assert_eq!(container.command(&["ps", "-f", "json"]).ok().stdout, format!("[{}]\n", container.pid));
    test.runtime(&["kill", "--all", &container.id, "KILL"]).ok();
    container.finish();
    assert!(!directory.exists());
}

#[test]
fn a_cgroup_beside_the_one_that_was_handed_over_is_refused() {
    if !ours() {
        return;
    }
    let test = Test::of_user_with_cgroup();
    let bundle = test.bundle(|config| {
        alone(config);
        config["linux"]["cgroupsPath"] = json!(format!("/{}-beside", test.mark));
        config["linux"]["resources"] = json!({"unified": {"cgroup.max.depth": "3"}});
    });
    test.run(&bundle).fails_with(&["cannot set cgroup.max.depth = 3: this user may make no cgroup"]);
}

#[test]
fn no_cgroup_is_made_if_none_is_wanted() {
    for world in worlds() {
        for test in [Test::at(world), Test::of_user(world)] {
            let id = test.fresh();
            let bundle = test.bundle(|config| {
                alone(config);
                shell(config, "cat /proc/self/cgroup; echo up; sleep 1000");
            });
            let create = ["--cgroup-manager", "disabled", "create", "--bundle", &text(&bundle.path), &id];
            let container = integration::Container::of(&test, &id, test.runtime(&create).ok());
            container.start().ok();
            container.has_said("up");
            assert!(!container.stdout().contains(&test.mark), "{}", container.stdout());
            assert_eq!(test.cgroups(), [].into());
            container.command(&["pause"]).fails_with(&["it has no cgroup"]);
            container.delete_by_force().ok();
            let limited = test.bundle(|config| {
                alone(config);
                config["linux"]["resources"] = json!({"unified": {"cgroup.max.depth": "3"}});
            });
            let run = ["--cgroup-manager=disabled", "run", "--bundle", &text(&limited.path), &test.fresh()];
            test.runtime(&run).fails_with(&["cannot set cgroup.max.depth = 3: no cgroup is to be made"]);
            let plan = ["--cgroup-manager=disabled", "plan", &text(&bundle.path)];
            assert!(!test.runtime(&plan).ok().stdout.contains("make the cgroup"));
        }
    }
}

#[test]
fn root_of_a_user_namespace_makes_containers() {
    for world in worlds() {
        let test = Test::of_user(world);
        let own = test.bundle(|config| {
            mapped(config, json!([{"containerID": 0, "hostID": 0, "size": 1}]));
            config["mounts"][2]["options"] = json!(["newinstance", "ptmxmode=0666"]);
            without_path(config);
            shell(config, "id -u; test -c /dev/null && echo devices");
        });
        let shared = test.bundle(|config| {
            config["mounts"][2]["options"] = json!(["newinstance", "ptmxmode=0666"]);
            without_path(config);
            shell(config, "id -u; test -c /dev/null && echo devices");
        });
        for bundle in [own, shared] {
            let script = "exec unshare --user --map-root-user --mount \"$@\"";
            let call = test.call_by(script, &["run", "--bundle", &text(&bundle.path), &test.fresh()]);
            assert_eq!(call.run().ok().stdout, "0\ndevices\n");
        }
    }
}

#[test]
fn state_is_kept_below_the_runtime_directory_or_not_at_all() {
    let Some(world) = worlds().pop() else { return };
    let test = Test::of_user(world);
    let bundle = test.bundle(|config| {
        alone(config);
        without_path(config);
        sleeper(config);
    });
    let (path, id) = (text(&bundle.path), test.fresh());
    let run = |script: &str| {
        let script = format!("runtime=$1; shift 3; {script}");
        test.call_by(&script, &["run", "--detach", "--bundle", &path, &id])
    };
    let nowhere =
        run("unset HOME; exec \"$runtime\" \"$@\"").with(|command| _ = command.env_remove("XDG_RUNTIME_DIR"));
    nowhere.run().fails_with(&["set XDG_RUNTIME_DIR"]);
    let directory = test.directory.join("runtime-directory");
    fs::create_dir(&directory).expect("a directory");
    user::give(&directory);
    run("exec \"$runtime\" \"$@\"").env("XDG_RUNTIME_DIR", &directory).run().ok();
    assert!(directory.join("runtime").join(&id).is_dir());
    let delete = test.call_by("runtime=$1; shift 3; exec \"$runtime\" \"$@\"", &["delete", "--force", &id]);
    delete.env("XDG_RUNTIME_DIR", &directory).run().ok();
}
