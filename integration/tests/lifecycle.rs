//! From create to delete: what each state allows, and how an end is told.

use std::fs;

use integration::bundle::shell;
use integration::test::text;
use integration::{Bundle, Exit, Test, World, promise};
use serde_json::{Value, json};

/// A bundle whose container waits to be killed.
fn sleeper(test: &Test) -> Bundle {
    test.bundle(|config| config["process"]["args"] = json!(["/bin/sleep", "1000"]))
}

#[test]
fn a_container_passes_through_its_states_in_every_world() {
    for world in World::all() {
        let test = Test::at(world);
        let container = test.create(&sleeper(&test));
        assert_eq!(container.status(), "created");
        container.start().ok();
        assert_eq!(container.status(), "running");
        container.kill("KILL").ok();
        assert_eq!(container.wait(), Exit::Signal(9));
        assert_eq!(container.status(), "stopped");
        container.delete().ok();
        container.command(&["state"]).fails();
    }
}

#[test]
fn the_program_does_not_run_before_start() {
    let test = Test::new();
    let container = test.create(&test.bundle(|config| shell(config, "echo ran")));
    assert_eq!(container.stdout(), "");
    container.start().ok();
    assert_eq!((container.finish(), container.stdout().as_str()), (Exit::Code(0), "ran\n"));
}

#[test]
fn state_tells_what_the_specification_lists() {
    let test = Test::new();
    let bundle = test.bundle(|config| config["annotations"] = json!({"org.example.key": "value"}));
    let container = test.create(&bundle);
    let state = container.state();
    assert_eq!(state["id"], json!(container.id));
    assert_eq!(state["bundle"], json!(text(&bundle.path)));
    assert_eq!(state["pid"], json!(container.pid));
    assert_eq!(state["annotations"]["org.example.key"], "value");
    assert!(state["ociVersion"].as_str().is_some_and(|version| version.starts_with("1.")), "{state}");
}

#[test]
fn a_stopped_container_has_no_pid() {
    let test = Test::new();
    let container = test.start(&test.bundle(|_| {}));
    container.wait();
    assert_eq!(container.state()["pid"], json!(0));
}

#[test]
fn run_returns_the_exit_status() {
    let test = Test::new();
    for code in [0, 1, 2, 7, 42, 126, 127, 128, 137, 254, 255] {
        test.run_with(|config| shell(config, &format!("exit {code}"))).exits(code);
    }
}

#[test]
fn run_returns_128_and_the_signal() {
    let test = Test::new();
    // The shell is not the first process of the namespace, which ignores most signals that it sends itself.
    for (signal, number) in [("TERM", 15), ("KILL", 9), ("SEGV", 11), ("USR1", 10)] {
        let script = format!("sh -c 'kill -{signal} $$'; exit $?");
        test.run_with(|config| shell(config, &script)).exits(128 + number);
    }
}

#[test]
fn a_killed_init_ends_run_with_128_and_the_signal() {
    let test = Test::new();
    let id = test.fresh();
    let running = test.call(&["run", "--bundle", &text(&sleeper(&test).path), &id]).spawn();
    // The record is shown while init works still.
    let running_now = || {
        let state: Value = serde_json::from_str(&test.runtime(&["state", &id]).stdout).ok()?;
        let name = fs::read_to_string(format!("/proc/{}/comm", state["pid"])).ok()?;
        (name == "sleep\n").then_some(())
    };
    integration::leaks::soon(integration::command::DEADLINE, running_now).expect("the container comes up");
    test.runtime(&["kill", &id, "KILL"]).ok();
    running.finish().exits(137);
}

// Engines look there for the reason of an end.
#[test]
fn a_kept_container_keeps_its_cgroup() {
    let test = Test::new();
    let (id, bundle) = (test.fresh(), test.bundle(|config| shell(config, "exit 3")));
    test.runtime(&["run", "--keep", "--bundle", &text(&bundle.path), &id]).exits(3);
    assert!(!test.cgroups().is_empty());
    test.runtime(&["delete", &id]).ok();
}

#[test]
fn run_detached_returns_while_the_container_lives() {
    let test = Test::new();
    let id = test.fresh();
    let outcome = test.runtime(&["run", "--detach", "--bundle", &text(&sleeper(&test).path), &id]).ok();
    let container = integration::Container::of(&test, &id, outcome);
    assert_eq!(container.status(), "running");
}

#[test]
fn the_pid_file_holds_the_host_pid_and_nothing_else() {
    let test = Test::new();
    let (id, file) = (test.fresh(), test.directory.join("pid"));
    let bundle = sleeper(&test);
    let created =
        test.runtime(&["create", "--bundle", &text(&bundle.path), "--pid-file", &text(&file), &id]).ok();
    let container = integration::Container::of(&test, &id, created);
    assert_eq!(fs::read_to_string(&file).ok(), Some(container.pid.to_string()));
}

#[test]
fn signals_are_known_by_number_and_by_name() {
    let test = Test::new();
    for signal in ["10", "USR1", "SIGUSR1"] {
        let script = "trap 'echo caught; exit 9' USR1; echo ready; while :; do sleep 0.05; done";
        let container = test.start(&test.bundle(|config| shell(config, script)));
        container.has_said("ready");
        container.kill(signal).ok();
        assert_eq!(container.finish(), Exit::Code(9), "{signal}");
    }
}

#[test]
fn kill_sends_term_when_nothing_is_said() {
    let test = Test::new();
    let script = "trap 'exit 15' TERM; echo ready; while :; do sleep 0.05; done";
    let container = test.start(&test.bundle(|config| shell(config, script)));
    container.has_said("ready");
    promise("kill without a signal sends TERM", || drop(container.command(&["kill"]).ok()));
    container.kill("TERM");
    assert_eq!(container.finish(), Exit::Code(15));
}

#[test]
fn an_unknown_signal_is_refused() {
    let test = Test::new();
    let container = test.start(&sleeper(&test));
    container.kill("NONSENSE").fails_with(&["signal"]);
    assert_eq!(container.status(), "running");
}

#[test]
fn an_id_is_given_once() {
    let test = Test::new();
    let container = test.create(&sleeper(&test));
    let again = ["create", "--bundle", &text(&sleeper(&test).path), &container.id].map(str::to_owned);
    let again: Vec<_> = again.iter().map(String::as_str).collect();
    test.runtime(&again).fails_with(&["exist"]);
    assert_eq!(container.status(), "created");
}

#[test]
fn ids_that_are_no_names_are_refused() {
    for id in ["", ".", "..", "a/b", "../escape", "with space", "new\nline"] {
        promise(&format!("the id {id:?} is refused"), || {
            let test = Test::new();
            let bundle = test.bundle(|_| {});
            drop(test.runtime(&["run", "--bundle", &text(&bundle.path), id]).fails());
        });
    }
}

#[test]
fn a_container_starts_once() {
    let test = Test::new();
    let container = test.start(&sleeper(&test));
    container.start().fails();
    container.kill("KILL").ok();
    container.wait();
    container.start().fails();
}

#[test]
fn a_running_container_is_not_deleted_without_force() {
    let test = Test::new();
    let container = test.start(&sleeper(&test));
    container.delete().fails();
    assert_eq!(container.status(), "running");
    container.delete_by_force().ok();
    assert_eq!(container.wait(), Exit::Signal(9));
}

#[test]
fn a_created_container_is_deleted_without_starting_it() {
    let test = Test::new();
    let container = test.create(&test.bundle(|config| shell(config, "echo ran")));
    promise("delete of a created container needs no force", || drop(container.delete().ok()));
    container.delete_by_force();
    container.wait();
    assert_eq!(container.stdout(), "");
}

#[test]
fn a_stopped_container_cannot_be_killed() {
    let test = Test::new();
    let container = test.start(&test.bundle(|_| {}));
    container.wait();
    promise("kill of a stopped container is refused", || {
        drop(container.kill("TERM").fails_with(&["container not running", "no such process"]));
    });
}

#[test]
fn kill_all_reaches_everybody_and_finds_no_fault_with_the_dead() {
    promise("kill --all", || {
        let test = Test::new();
        let container = test.start(&test.bundle(|config| {
            shell(
                config,
                "sh -c 'trap \"echo child\" USR1; echo ready; while :; do sleep 0.05; done' & \
                trap 'echo parent' USR1; while :; do sleep 0.05; done",
            );
        }));
        container.has_said("ready");
        test.runtime(&["kill", "--all", &container.id, "USR1"]).ok();
        container.has_said("parent");
        container.has_said("child");
        test.runtime(&["kill", "-a", &container.id, "9"]).ok();
        container.wait();
        test.runtime(&["kill", "--all", &container.id, "KILL"]).ok();
    });
}

#[test]
fn real_time_signals_have_names() {
    promise("names of real-time signals", || {
        let test = Test::new();
        let container = test.start(&sleeper(&test));
        container.kill("SIGRTMIN+3").ok();
        // The first process of a pid namespace is not ended by what it doesn't handle.
        assert_eq!(container.status(), "running");
        container.kill("RTMIN+99").fails_with(&["unknown signal"]);
    });
}

#[test]
fn sigkill_ends_all_processes_where_the_pid_namespace_is_shared() {
    promise("sigkill where the pid namespace is shared", || {
        for world in World::all() {
            let test = Test::at(world);
            let container = test.start(&test.bundle(|config| {
                integration::bundle::namespace(config, "pid", None);
                shell(config, "sleep 1000 & sleep 1000 & echo ready; wait");
            }));
            container.has_said("ready");
            container.kill("KILL").ok();
            container.wait();
            let empty = || {
                let listed = test.runtime(&["ps", "-f", "json", &container.id]).ok().stdout;
                matches!(listed.trim(), "[]" | "null").then_some(())
            };
            assert!(integration::leaks::soon(integration::command::DEADLINE, empty).is_some(), "{world:?}");
        }
    });
}

#[test]
fn what_does_not_exist_is_said_not_to() {
    let test = Test::new();
    for verb in ["state", "start", "delete", "pause", "resume"] {
        promise(&format!("{verb} of nobody says that it does not exist"), || {
            drop(test.runtime(&[verb, "nobody"]).fails_with(&["does not exist"]));
        });
    }
    promise("kill of nobody says that it does not exist", || {
        drop(test.runtime(&["kill", "nobody", "TERM"]).fails_with(&["does not exist"]));
    });
}

#[test]
fn delete_by_force_of_nobody_succeeds() {
    let test = Test::new();
    test.runtime(&["delete", "--force", "nobody"]).ok();
}

#[test]
fn list_names_every_container() {
    let test = Test::new();
    let (first, second) = (test.create(&sleeper(&test)), test.start(&sleeper(&test)));
    let listed = test.runtime(&["list", "--format", "json"]).ok().stdout;
    let listed: serde_json::Value = serde_json::from_str(&listed).expect("list prints JSON");
    let mut seen: Vec<_> =
        listed.as_array().into_iter().flatten().map(|one| (&one["id"], &one["status"])).collect();
    seen.sort_by_key(|(id, _)| id.to_string());
    let mut wanted = [(json!(first.id), json!("created")), (json!(second.id), json!("running"))];
    wanted.sort_by_key(|(id, _)| id.to_string());
    assert!(seen.into_iter().eq(wanted.iter().map(|(id, status)| (id, status))), "{listed}");
    let quiet = test.runtime(&["list", "--quiet"]).ok().stdout;
    assert_eq!(quiet.lines().count(), 2, "{quiet}");
}

#[test]
fn success_is_silent() {
    let test = Test::new();
    let id = test.fresh();
    let bundle = sleeper(&test);
    let silent = |outcome: integration::Outcome| {
        let outcome = outcome.ok();
        assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("", ""), "{outcome:?}");
        outcome
    };
    let created = silent(test.runtime(&["create", "--bundle", &text(&bundle.path), &id]));
    let container = integration::Container::of(&test, &id, created);
    silent(container.start());
    silent(container.kill("KILL"));
    container.wait();
    silent(container.delete());
}

#[test]
fn changes_of_the_bundle_after_create_do_not_matter() {
    let test = Test::new();
    let mut bundle = test.bundle(|config| shell(config, "echo before"));
    let container = test.create(&bundle);
    bundle.edit(|config| shell(config, "echo after"));
    container.start().ok();
    container.finish();
    assert_eq!(container.stdout(), "before\n");
}

#[test]
fn a_paused_container_stands_still_until_it_is_resumed() {
    promise("a paused container stands still", || {
        let test = Test::new();
        let container =
            test.start(&test.bundle(|config| shell(config, "while :; do echo x; sleep 0.02; done")));
        container.has_said("x");
        container.command(&["pause"]).ok();
        assert_eq!(container.status(), "paused");
        let before = container.stdout();
        std::thread::park_timeout(std::time::Duration::from_millis(150));
        assert_eq!(before, container.stdout());
        container.command(&["resume"]).ok();
        assert_eq!(container.status(), "running");
    });
}

#[test]
fn eight_creates_of_one_id_have_one_winner() {
    let test = Test::new();
    let id = test.fresh();
    let bundles: Vec<_> = (0..8).map(|_| sleeper(&test)).collect();
    let calls =
        bundles.iter().map(|bundle| test.call(&["create", "--bundle", &text(&bundle.path), &id]).spawn());
    let running: Vec<_> = calls.collect();
    let outcomes: Vec<_> = running.into_iter().map(integration::command::Running::finish).collect();
    let (winners, losers): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(|outcome| outcome.succeeded());
    assert_eq!((winners.len(), losers.len()), (1, 7), "{winners:#?}");
    for winner in winners {
        assert_eq!(integration::Container::of(&test, &id, winner).status(), "created");
    }
}

/// A cgroup of somebody who lets threads of his be limited each for itself, and what is below it.
#[test]
fn a_container_below_a_threaded_cgroup_lives_and_dies() {
    let test = Test::at(World::Unified);
    let above = test.world.cgroup2().expect("this world has one").join(&test.mark).join("threads");
    fs::create_dir_all(&above).expect("a cgroup can be made");
    fs::write(above.join("cgroup.type"), "threaded").expect("a cgroup can be made threaded");
    for place in ["threads/c", "threads/further/c", "beside"] {
        let container = test.start(&test.bundle(|config| {
            config["linux"]["cgroupsPath"] = json!(format!("/{}/{place}", test.mark));
            shell(config, "sleep 1000 & echo up; wait");
        }));
        container.has_said("up");
        assert!(container.proc("cgroup").ends_with(&format!("/{}/{place}\n", test.mark)), "{place}");
        test.runtime(&["exec", &container.id, "/bin/true"]).ok();
        let pids = test.runtime(&["ps", "--format", "json", &container.id]).ok().stdout;
        let pids: Vec<i32> = serde_json::from_str(&pids).expect("a list of numbers");
        assert!(pids.len() == 2 && pids.contains(&container.pid), "{place}: {pids:?}");
        container.command(&["pause"]).ok();
        assert_eq!(container.status(), "paused");
        container.command(&["resume"]).ok();
        test.runtime(&["kill", "--all", &container.id, "KILL"]).ok();
        container.delete_by_force().ok();
    }
    fs::remove_dir(&above).expect("nobody is left");
}

#[test]
fn what_threads_cannot_be_limited_in_is_refused_below_a_threaded_cgroup() {
    let Some(hierarchy) = World::Host.hierarchy("memory").filter(|one| one.name.is_empty()) else {
        return println!("memory is not limited by version 2 here: not tested");
    };
    let test = Test::at(World::Host);
    let above = hierarchy.root.join(&test.mark).join("threads");
    fs::create_dir_all(&above).expect("a cgroup can be made");
    fs::write(above.join("cgroup.type"), "threaded").expect("a cgroup can be made threaded");
    let limited = test.bundle(|config| {
        config["linux"]["cgroupsPath"] = json!(format!("/{}/threads/c", test.mark));
        config["linux"]["resources"]["memory"] = json!({"limit": 64 << 20});
    });
    test.try_create(&limited).fails_with(&["threads/c is below a threaded one", "memory"]);
    assert!(!above.join("c").exists());
    fs::remove_dir(&above).expect("nothing is left");
}
