//! Failures: the words that engines look for, and that nothing is left behind.

use std::fs;

use integration::test::text;
use integration::{Test, promise, promises};
use serde_json::{Value, json};

/// A `create` that must fail with one of these texts, in a test of its own so that leaks are its own too.
fn refused(name: &str, texts: &[&str], edit: impl FnOnce(&mut Value)) {
    promise(name, || {
        let test = Test::new();
        test.try_create(&test.bundle(edit)).fails_with(texts);
    });
}

fn executing(name: &str, program: &str, texts: &[&str]) {
    refused(name, texts, |config| config["process"]["args"] = json!([program]));
}

#[test]
fn a_program_that_is_nowhere_fails_create() {
    // With the name quoted in the middle or not: engines look for both.
    executing("a name that is not in PATH", "nowhere", &["not found in $path"]);
    executing("a path that is not there", "/bin/nowhere", &["no such file or directory"]);
}

#[test]
fn a_program_that_cannot_be_executed_fails_create() {
    executing("a directory as the program", "/etc", &["is a directory", "permission denied"]);
    executing("a file that is not executable", "/etc/passwd", &["permission denied"]);
}

#[test]
fn configurations_that_make_no_sense_are_refused_and_leave_nothing() {
    type Edit = fn(&mut Value);
    let cases: &[(&str, Edit)] = &[
        ("no arguments", |config| config["process"]["args"] = json!([])),
        ("a relative working directory", |config| config["process"]["cwd"] = json!("tmp")),
        ("an unknown namespace", |config| config["linux"]["namespaces"] = json!([{"type": "soul"}])),
        ("a namespace twice", |config| {
            config["linux"]["namespaces"] = json!([{"type": "mount"}, {"type": "pid"}, {"type": "pid"}]);
        }),
        ("a namespace of another type", |config| {
            config["linux"]["namespaces"][1]["path"] = json!("/proc/self/ns/uts");
        }),
        ("a namespace that is not there", |config| {
            config["linux"]["namespaces"][1]["path"] = json!("/not/there")
        }),
        ("an unknown rlimit", |config| config["process"]["rlimits"][0]["type"] = json!("RLIMIT_LUCK")),
        ("an rlimit twice", |config| {
            let one = config["process"]["rlimits"][0].clone();
            config["process"]["rlimits"] = json!([one, one]);
        }),
        ("a host name without a namespace", |config| integration::bundle::namespace(config, "uts", None)),
        ("an unknown seccomp action", |config| {
            config["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_MAYBE"})
        }),
        ("a sysctl that is not namespaced", |config| {
            config["linux"]["sysctl"] = json!({"vm.swappiness": "1"})
        }),
        ("a sysctl that is not there", |config| config["linux"]["sysctl"] = json!({"net.not.there": "1"})),
        ("a file system that is not there", |config| {
            integration::bundle::mount(config, "/data", "nofs", "nofs", &[]);
        }),
        ("an unknown propagation", |config| config["linux"]["rootfsPropagation"] = json!("sideways")),
        ("a root that is a number", |config| config["root"]["path"] = json!(3)),
        ("an oom score out of range", |config| config["process"]["oomScoreAdj"] = json!(2000)),
        ("a terminal without a socket", |config| config["process"]["terminal"] = json!(true)),
    ];
    promises(cases.iter().map(|(name, edit)| {
        let refused = move || {
            let test = Test::new();
            test.try_create(&test.bundle(edit)).fails();
        };
        (name, refused)
    }));
}

#[test]
fn a_configuration_that_is_not_json_is_refused() {
    let test = Test::new();
    let bundle = test.bundle(|_| {});
    for text in ["", "{", "[]", "null", "\0", "{\"ociVersion\": 1}"] {
        fs::write(bundle.path.join("config.json"), text).expect("config.json can be written");
        promise(&format!("config.json {text:?}"), || drop(test.try_create(&bundle).fails()));
    }
}

#[test]
fn a_bundle_without_a_configuration_is_refused() {
    let test = Test::new();
    let bundle = test.bundle(|_| {});
    fs::remove_file(bundle.path.join("config.json")).expect("config.json was there");
    test.try_create(&bundle).fails_with(&["config.json"]);
    test.runtime(&["create", "--bundle", "/not/there", "name"]).fails_with(&["no such file"]);
}

#[test]
fn a_failure_is_logged_as_one_json_line() {
    let test = Test::new();
    let bundle = test.bundle(|config| config["process"]["args"] = json!(["nowhere"]));
    let log = test.directory.join("log");
    test.runtime(&[
        "--log",
        &text(&log),
        "--log-format",
        "json",
        "create",
        "--bundle",
        &text(&bundle.path),
        "it",
    ])
    .fails();
    let said = fs::read_to_string(&log).unwrap_or_default();
    promise("one line of log", || {
        let line: Value = serde_json::from_str(said.trim()).expect("the log is one JSON object");
        assert_eq!(line["level"], "error", "{said}");
        assert!(
            line["msg"].as_str().is_some_and(|text| text.contains("nowhere")) && line["time"].is_string(),
            "{said}"
        );
    });
}

#[test]
fn an_unknown_command_is_refused() {
    let test = Test::new();
    for arguments in [&["fly"][..], &["create", "--fly"]] {
        promise(&format!("{arguments:?}"), || assert!(!test.runtime(arguments).succeeded()));
    }
}

/// The exit status that `docker run` makes of an error, by the words in it.
fn docker(error: &str) -> i32 {
    let error = error.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| error.contains(word));
    match () {
        () if has(&["permission denied", "is a directory"]) => 126,
        () if has(&["not a directory", "executable file not found", "no such file or directory"]) => 127,
        () => 128,
    }
}

/// The one that `podman run` makes of it.
fn podman(error: &str) -> i32 {
    let error = error.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| error.contains(word));
    match () {
        () if has(&["permission denied", "operation not permitted"]) => 126,
        () if has(&["executable file not found in", "no such file or directory", "open executable"]) => 127,
        () => 125,
    }
}

#[test]
fn engines_find_the_exit_status_in_the_words() {
    type Edit = fn(&mut Value);
    let cases: &[(&str, i32, i32, Edit)] = &[
        ("no such name", 127, 127, |config| config["process"]["args"] = json!(["nowhere"])),
        ("no such path", 127, 127, |config| config["process"]["args"] = json!(["/bin/nowhere"])),
        ("a file that is no program", 126, 126, |config| config["process"]["args"] = json!(["/etc/passwd"])),
        ("no such source of a mount", 127, 127, |config| {
            integration::bundle::mount(config, "/data", "bind", "/not/there", &["bind"]);
        }),
        ("a directory on a file", 127, 125, |config| {
            integration::bundle::mount(config, "/etc/passwd", "bind", "/etc", &["bind"]);
        }),
        ("a hook that fails", 128, 125, |config| {
            config["hooks"] = json!({"createRuntime": [{"path": "/bin/false"}]});
        }),
        ("a namespace that is none", 128, 125, |config| {
            config["linux"]["namespaces"] = json!([{"type": "soul"}]);
        }),
    ];
    promises(cases.iter().map(|(name, by_docker, by_podman, edit)| {
        let refused = move || {
            let test = Test::new();
            let said = test.try_create(&test.bundle(edit)).fails().exits(1).stderr;
            // Some runtimes warn before.
            let said = said.trim_end().lines().last().unwrap_or_default();
            assert_eq!((docker(said), podman(said)), (*by_docker, *by_podman), "{said}");
        };
        (format!("the status of {name}"), refused)
    }));
}

#[test]
fn a_program_of_another_machine_is_told_by_start() {
    let test = Test::new();
    let bundle = test.bundle(|config| config["process"]["args"] = json!(["/tmp/odd"]));
    let program = bundle.inside("tmp/odd");
    fs::write(&program, "odd\n").expect("a file can be written");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(&program, mode).expect("a file of ours can be changed");
    let container = test.create(&bundle);
    promise("a program of an unknown format", || {
        container.start().fails_with(&["exec format error"]).exits(1);
    });
}

#[test]
fn a_container_in_the_wrong_state_is_told_in_the_words_that_engines_look_for() {
    let test = Test::new();
    let bundle = test.bundle(|config| config["process"]["args"] = json!(["/bin/sleep", "1000"]));
    let container = test.create(&bundle);
    let again = ["create", "--bundle", &text(&bundle.path), &container.id];
    test.runtime(&again).fails_with(&["container with given ID already exists"]).exits(1);
    container.start().ok();
    container.start().fails_with(&["cannot start an already running container"]).exits(1);
    let refused = container.command(&["delete"]).exits(1);
    refused.fails_with(&[&format!("cannot delete container {} that is not stopped: running", container.id)]);
    container.kill("KILL").ok();
    container.wait();
    container.start().fails_with(&["cannot start a container that has stopped"]).exits(1);
    container.kill("TERM").fails_with(&["container not running"]).exits(1);
    container.delete().ok();
    for verb in ["state", "start", "kill", "delete"] {
        container.command(&[verb]).fails_with(&["container does not exist"]).exits(1);
    }
    container.command(&["delete", "--force"]).ok();
}

#[test]
fn what_a_paused_container_takes_no_part_in_is_told() {
    let test = Test::new();
    let container =
        test.start(&test.bundle(|config| config["process"]["args"] = json!(["/bin/sleep", "1000"])));
    container.command(&["pause"]).ok();
    let refused = test.runtime(&["exec", &container.id, "/bin/true"]);
    refused.fails_with(&["cannot exec in a paused container (use --ignore-paused to override)"]).exits(255);
    container.command(&["delete"]).fails_with(&["that is not stopped: paused"]).exits(1);
    container.command(&["resume"]).ok();
    test.runtime(&["exec", &container.id, "/bin/true"]).ok();
}

#[test]
fn a_cgroup_with_processes_of_somebody_else_is_refused() {
    promise("a cgroup with processes", || {
        let test = Test::new();
        let bundle = test.bundle(|config| config["process"]["args"] = json!(["/bin/sleep", "1000"]));
        let container = test.start(&bundle);
        test.try_create(&bundle)
            .fails_with(&["container's cgroup is not empty: 1 process(es) found"])
            .exits(1);
        assert_eq!(container.status(), "running");
    });
}

#[test]
fn an_id_that_is_no_name_is_told_in_the_words_of_others() {
    let test = Test::new();
    let bundle = text(&test.bundle(|_| {}).path);
    for id in ["a/b", "with space", ".."] {
        promise(&format!("the words for the id {id:?}"), || {
            let said = test.runtime(&["create", "--bundle", &bundle, id]);
            said.fails_with(&["invalid container ID format"]).exits(1);
        });
    }
}

#[test]
fn what_is_not_permitted_is_told_in_the_words_of_the_system() {
    refused("a mount that needs the machine's own root", &["operation not permitted"], |config| {
        integration::bundle::namespace(config, "user", Some(json!({"type": "user"})));
        let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
        config["linux"]["uidMappings"] = map.clone();
        config["linux"]["gidMappings"] = map;
        integration::bundle::mount(config, "/tmp", "ext4", "/dev/null", &[]);
    });
}
