//! The command line as engines and people write it.

use std::fs;

use integration::test::text;
use integration::{Container, Kind, Test, promise, promises, runtime};
use serde_json::{Value, json};

#[test]
fn options_are_written_in_many_ways() {
    let ways: [&[&str]; 7] = [
        &["run", "--bundle", "DIR", "ID"],
        &["run", "--bundle=DIR", "ID"],
        &["run", "-bundle", "DIR", "ID"],
        &["run", "-bundle=DIR", "ID"],
        &["run", "-b", "DIR", "--keep=false", "ID"],
        &["run", "-no-subreaper", "-b", "/not/there", "-b", "DIR", "ID"],
        &["run", "--detach=false", "--no-subreaper=true", "--bundle", "DIR", "ID"],
    ];
    promises(ways.map(|way| {
        let runs = move || {
            let test = Test::new();
            let (bundle, id) = (test.bundle(|_| {}), test.fresh());
            let directory = text(&bundle.path);
            let words: Vec<String> =
                way.iter().map(|word| word.replace("DIR", &directory).replace("ID", &id)).collect();
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            assert_eq!(test.runtime(&words).ok().stderr, "");
            test.runtime(&["state", &id]).fails_with(&["does not exist"]);
        };
        (way.join(" "), runs)
    }));
}

#[test]
fn globals_may_be_repeated_and_the_last_counts() {
    let test = Test::new();
    let bundle = test.bundle(|config| config["process"]["args"] = json!(["/bin/sleep", "1000"]));
    let id = test.fresh();
    let root = text(&test.state_root());
    // The harness gives --root first.
    let created = test.runtime(&[
        "--root",
        "/not/there",
        &format!("--root={root}"),
        "--log-format",
        "json",
        "--log-format=text",
        "create",
        "--bundle",
        &text(&bundle.path),
        &id,
    ]);
    let container = Container::of(&test, &id, created.ok());
    assert_eq!(container.status(), "created");
}

#[test]
fn an_option_without_its_value_says_so_in_the_words_that_podman_looks_for() {
    let test = Test::new();
    let cases: [&[&str]; 4] = [
        &["create", "--bundle"],
        &["run", "-b"],
        &["restore", "--lsm-mount-context"],
        &["kill", "-a", "x", "--foo"],
    ];
    for words in &cases[..3] {
        test.runtime(words).fails_with(&["requires an argument", "flag needs an argument"]).exits(1);
    }
    test.runtime(cases[3]).fails();
}

#[test]
fn help_and_version_are_no_failures() {
    let test = Test::new();
    for words in [
        &["--help"][..],
        &["-h"],
        &["help"],
        &["help", "create"],
        &["create", "--help"],
        &["run", "-h"],
        &["checkpoint", "--help"],
        &["restore", "--help"],
    ] {
        let said = test.runtime(words).ok();
        assert!(said.stderr.is_empty() && said.stdout.to_lowercase().contains("usage"), "{said:#?}");
    }
    for words in [&["--version"], &["-v"]] {
        let said = test.runtime(words).ok().stdout;
        let first: Vec<_> = said.lines().next().unwrap_or_default().split(' ').collect();
        assert!(first.len() == 3 && first[1] == "version", "{said}");
        assert!(said.lines().any(|line| line.starts_with("commit: ")) && said.contains("\nspec: "), "{said}");
    }
}

#[test]
fn mistakes_are_told_on_one_line_and_make_nothing() {
    let test = Test::new();
    for words in [
        &["fly"][..],
        &["create"],
        &["create", "--fly", "x"],
        &["create", "one", "two"],
        &["state"],
        &["kill", "x", "TERM", "again"],
        &["create", "--preserve-fds=many", "x"],
        &["--rootless=perhaps", "list"],
        &["--log-format=xml", "list"],
        &["--root=/", "list"],
    ] {
        promise(&format!("the mistake {words:?}"), || {
            let said = test.runtime(words).fails().exits(1);
            if runtime().kind == Kind::Ours {
                assert!(said.stdout.is_empty() && said.stderr.trim_end().lines().count() == 1, "{said:#?}");
            }
        });
    }
}

#[test]
fn what_comes_later_is_refused_by_name() {
    if runtime().kind != Kind::Ours {
        return;
    }
    let test = Test::new();
    for (words, sentence) in [
        (
            &["checkpoint", "--image-path", "i", "--leave-running", "--leave-running", "x"][..],
            "checkpoint is not",
        ),
        (&["restore", "--detach", "-no-subreaper", "--bundle", "b", "x"], "restore is not"),
    ] {
        test.runtime(words).fails_with(&[&format!("{sentence} supported yet")]).exits(1);
    }
}

#[test]
fn options_of_other_runtimes_do_no_harm() {
    if runtime().kind != Kind::Ours {
        return;
    }
    let test = Test::new();
    let globals = [
        "--criu",
        "/usr/sbin/criu",
        "--log-level=warning",
        "--cgroup-manager",
        "cgroupfs",
        "--rootless=false",
    ];
    assert_eq!(test.runtime(&[&globals[..], &["list", "-f", "json"]].concat()).ok().stdout, "null\n");
}

#[test]
fn a_log_is_added_to_and_made_if_missing() {
    let test = Test::new();
    let log = test.directory.join("log.json");
    let arguments = ["--log", &text(&log), "--log-format", "json"];
    test.runtime(&[&arguments[..], &["list"]].concat()).ok();
    assert_eq!(fs::read_to_string(&log).expect("the log was made"), "", "nothing failed");
    for count in 1..=2 {
        let said =
            test.runtime(&[&arguments[..], &["state", "nobody"]].concat()).fails_with(&["does not exist"]);
        assert!(said.stdout.is_empty());
        let records = fs::read_to_string(&log).expect("the log is there");
        promise("a record for each failure", || {
            assert_eq!(records.lines().count(), count, "{records}");
            let record: Value =
                serde_json::from_str(records.lines().last().unwrap_or_default()).expect("JSON");
            assert_eq!(record["level"], "error");
            // To the second, in UTC or with an offset.
            let time = record["time"].as_str().unwrap_or_default();
            let digits = time.bytes().filter(u8::is_ascii_digit).count();
            assert!(digits >= 14 && time.as_bytes().get(10) == Some(&b'T'), "{time}");
            assert!(
                record["msg"].as_str().is_some_and(|text| said.stderr.contains(text)),
                "{said:#?} {record}"
            );
        });
    }
}

#[test]
fn shells_and_readers_are_told_of_every_command() {
    if runtime().kind != Kind::Ours {
        return;
    }
    let test = Test::new();
    let help = test.runtime(&["--help"]).ok().stdout;
    let commands = help.split("Commands:").nth(1).and_then(|rest| rest.split("Options:").next());
    let commands: Vec<_> =
        commands.unwrap_or_default().lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(commands.contains(&"create") && commands.contains(&"wait"), "{help}");
    let directory = text(&test.directory.join("man"));
    test.runtime(&["man", &directory]).ok();
    for shell in ["bash", "zsh", "fish"] {
        let script = test.runtime(&["completion", shell]).ok().stdout;
        for command in &commands {
            assert!(script.contains(command), "{shell} is not told of {command}");
        }
    }
    for command in commands {
        let page = fs::read_to_string(format!("{directory}/runtime-{command}.1"));
        let page = page.unwrap_or_else(|error| panic!("the page of {command}: {error}"));
        assert!(page.contains(".SH SYNOPSIS") && page.contains(command), "{page}");
    }
    let page = fs::read_to_string(format!("{directory}/runtime.1")).expect("a page of the program");
    assert!(page.contains("cgroup\\-manager"), "{page}");
    test.runtime(&["completion", "tcsh"]).fails_with(&["tcsh"]);
}
