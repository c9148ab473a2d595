//! Hooks: when, with what, and what their failure does.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use integration::bundle::shell;
use integration::command::DEADLINE;
use integration::leaks::soon;
use integration::test::text;
use integration::{Bundle, Test, promise};
use serde_json::{Value, json};

const BEFORE: [&str; 4] = ["prestart", "createRuntime", "createContainer", "startContainer"];

/// A hook that runs a script of busybox on the host, which is also where the test's files are.
fn hook(script: &str) -> Value {
    let busybox = text(&integration::bundle::busybox());
    json!({"path": busybox, "args": ["sh", "-c", script], "env": ["PATH=/bin:/usr/bin"]})
}

/// A bundle in which every hook appends its name to the file `order` of the bundle; createContainer and
/// startContainer see only the container, so they write to a mount.
fn recording(test: &Test) -> (Bundle, std::path::PathBuf) {
    let shared = test.directory.join("shared");
    fs::create_dir_all(&shared).expect("a directory can be made");
    let outside = text(&shared.join("order"));
    let bundle = test.bundle(|config| {
        integration::bundle::mount(config, "/shared", "bind", &text(&shared), &["bind", "rw"]);
        for name in ["prestart", "createRuntime", "poststart", "poststop"] {
            config["hooks"][name] = json!([hook(&format!("echo {name} >>{outside}"))]);
        }
        config["hooks"]["startContainer"] =
            json!([{"path": "/bin/sh", "args": ["sh", "-c", "echo startContainer >>/shared/order"]}]);
        config["hooks"]["createContainer"] = json!([hook(&format!("echo createContainer >>{outside}"))]);
        shell(config, "echo program >>/shared/order; sleep 1000");
    });
    (bundle, shared.join("order"))
}

#[test]
fn hooks_run_in_the_order_of_the_specification() {
    promise("the order of hooks", || {
        let test = Test::new();
        let (bundle, file) = recording(&test);
        let container = test.create(&bundle);
        let lines = || -> Vec<String> {
            fs::read_to_string(&file).unwrap_or_default().lines().map(str::to_owned).collect()
        };
        assert_eq!(lines(), ["prestart", "createRuntime", "createContainer"]);
        container.start().ok();
        let all = soon(DEADLINE, || Some(lines()).filter(|lines| lines.len() == 6)).unwrap_or_else(lines);
        assert_eq!(all.get(3).map(String::as_str), Some("startContainer"));
        // The program and poststart run at the same time.
        let mut rest = all.get(4..).unwrap_or_default().to_vec();
        rest.sort_unstable();
        assert_eq!(rest, ["poststart", "program"]);
        container.delete_by_force().ok();
        assert_eq!(lines().last().map(String::as_str), Some("poststop"));
    });
}

#[test]
fn a_hook_reads_the_state_from_standard_input() {
    let test = Test::new();
    for (name, status) in [
        ("prestart", "created"),
        ("createRuntime", "created"),
        ("poststart", "running"),
        ("poststop", "stopped"),
    ] {
        promise(&format!("the state that {name} reads"), || {
            let file = test.directory.join(name);
            let bundle = test.bundle(|config| {
                config["hooks"][name] = json!([hook(&format!("cat >{}", text(&file)))]);
                config["annotations"] = json!({"key": "value"});
                config["process"]["args"] = json!(["/bin/sleep", "1000"]);
            });
            let container = test.start(&bundle);
            container.delete_by_force().ok();
            let state = fs::read_to_string(&file).unwrap_or_default();
            let state: Value = serde_json::from_str(&state).expect("a hook is given JSON");
            assert_eq!(state["id"], json!(container.id));
            assert_eq!(state["bundle"], json!(text(&bundle.path)));
            assert_eq!(state["annotations"]["key"], "value");
            let early = status == "created" && state["status"] == "creating";
            assert!(early || state["status"] == status, "{state}");
        });
    }
}

#[test]
fn a_hook_has_only_its_own_environment_and_arguments() {
    let test = Test::new();
    let file = test.directory.join("seen");
    fs::write(
        test.directory.join("hook"),
        format!("#!/bin/sh\n(cat /proc/$$/environ | tr '\\0' '\\n'; echo \"$0|$1|$2\") >{}\n", text(&file)),
    )
    .expect("a script can be written");
    let script = test.directory.join("hook");
    fs::set_permissions(&script, PermissionsExt::from_mode(0o755)).expect("a mode can be set");
    let bundle = test.bundle(|config| {
        config["hooks"]["createRuntime"] =
            json!([{"path": text(&script), "args": ["zero", "one two", "three"], "env": ["PATH=/bin:/usr/bin", "ONE=1"]}]);
    });
    test.run(&bundle).ok();
    let seen = fs::read_to_string(&file).unwrap_or_default();
    assert_eq!(seen, format!("PATH=/bin:/usr/bin\nONE=1\n{}|one two|three\n", text(&script)));
}

#[test]
fn a_hook_that_fails_before_start_tears_the_container_down() {
    for name in BEFORE {
        promise(&format!("a failing {name}"), || {
            let test = Test::new();
            let bundle = test.bundle(|config| {
                let failing = json!({"path": "/bin/sh", "args": ["sh", "-c", "echo broken >&2; exit 3"]});
                config["hooks"][name] = json!([failing]);
                shell(config, "echo ran");
            });
            let outcome = test.run(&bundle).fails();
            assert!(!outcome.stdout.contains("ran"), "{outcome:#?}");
            assert_eq!(test.runtime(&["list", "--quiet"]).ok().stdout, "", "the container is gone");
        });
    }
}

#[test]
fn a_failing_poststop_does_not_stop_delete() {
    promise("a failing poststop", || {
        let test = Test::new();
        let bundle = test.bundle(|config| config["hooks"]["poststop"] = json!([hook("exit 3")]));
        let container = test.start(&bundle);
        container.wait();
        container.delete().ok();
    });
}

#[test]
fn a_hook_that_takes_too_long_is_ended() {
    promise("the timeout of a hook", || {
        let test = Test::new();
        let bundle = test.bundle(|config| {
            config["hooks"]["createRuntime"] = json!([hook("exec sleep 100")]);
            config["hooks"]["createRuntime"][0]["timeout"] = json!(1);
        });
        let start = std::time::Instant::now();
        test.run(&bundle).fails();
        assert!(start.elapsed().as_secs() < 10);
    });
}

#[test]
fn a_hook_that_is_not_there_fails_create() {
    promise("a hook that is not there", || {
        let test = Test::new();
        let bundle = test.bundle(|config| config["hooks"]["createRuntime"] = json!([{"path": "/not/there"}]));
        test.try_create(&bundle).fails_with(&["no such file", "/not/there"]);
    });
}

#[test]
fn poststart_hooks_of_a_run_wait_for_the_program() {
    let test = Test::new();
    let file = test.directory.join("ran");
    let bundle = test.bundle(|config| {
        config["hooks"]["poststart"] = json!([hook(&format!("touch {}", text(&file)))]);
        config["process"]["args"] = json!(["/bin/broken"]);
    });
    // Found and executable, but not in any format that the kernel knows.
    let program = bundle.inside("/bin/broken");
    fs::write(&program, [0; 64]).expect("a program can be written");
    fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).expect("it can be made executable");
    test.run(&bundle).fails();
    assert!(!file.exists(), "the hook ran although the program did not");
}

#[test]
fn what_a_hook_printed_is_part_of_the_error() {
    promise("what a hook printed", || {
        let script = "echo to the one; echo to the other >&2; exit 3";
        let said = Test::new()
            .run_with(|config| config["hooks"]["createRuntime"] = json!([hook("true"), hook(script)]));
        for words in ["error running createRuntime hook #1", "exit status 3", "to the one", "to the other"] {
            assert!(said.stderr.contains(words), "{words}: {said:#?}");
        }
        said.fails();
    });
}

#[test]
fn hooks_inside_read_the_state_too() {
    for (name, status) in [("createContainer", "creating"), ("startContainer", "created")] {
        promise(&format!("the state that {name} reads"), || {
            let test = Test::new();
            let shared = test.directory.join("shared");
            fs::create_dir_all(&shared).expect("a directory can be made");
            let bundle = test.bundle(|config| {
                integration::bundle::mount(config, "/tmp", "bind", &text(&shared), &["bind"]);
                config["hooks"][name] = match name {
                    "createContainer" => json!([hook(&format!("cat >{}/state", text(&shared)))]),
                    _ => json!([{"path": "/bin/sh", "args": ["sh", "-c", "cat >/tmp/state"]}]),
                };
            });
            let container = test.start(&bundle);
            let state = fs::read_to_string(shared.join("state")).unwrap_or_default();
            let state: Value = serde_json::from_str(&state).expect("a hook is given JSON");
            assert_eq!((&state["id"], &state["status"]), (&json!(container.id), &json!(status)), "{state}");
            assert_eq!(state["pid"], 1, "as it is seen from inside: {state}");
        });
    }
}

#[test]
fn a_failing_poststart_stops_the_container() {
    promise("a failing poststart", || {
        let test = Test::new();
        let bundle = test.bundle(|config| {
            config["hooks"]["poststart"] = json!([hook("echo broken >&2; exit 3")]);
            config["process"]["args"] = json!(["/bin/sleep", "1000"]);
        });
        let container = test.create(&bundle);
        container.start().fails_with(&["poststart hook #0"]).exits(1);
        assert_eq!(container.wait(), integration::Exit::Signal(9));
        assert_eq!(container.status(), "stopped");
        container.delete().ok();
    });
}
