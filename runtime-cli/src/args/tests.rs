//! What the command line is read as.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use super::*;
use runtime_core::cgroup::Driver;

use crate::commands::Session;
use crate::log::Log;

fn words(line: &str) -> Vec<OsString> {
    line.split_ascii_whitespace().map(OsString::from).collect()
}

fn verb(name: &str) -> &'static Verb {
    Verb::named(name.as_ref()).unwrap()
}

fn parse_line(line: &str) -> Result<ArgMatches, Failure> {
    let words = words(line);
    let (name, rest) = words.split_first().unwrap();
    match parse(verb(name.to_str().unwrap()), rest)? {
        Parsed::Matches(matches) => Ok(matches),
        Parsed::Help(text) => panic!("help: {text}"),
    }
}

fn mistake(line: &str) -> String {
    parse_line(line).unwrap_err().to_string()
}

#[test]
fn options_become_one_form() {
    let table = command(verb("run"));
    let cases = [
        ("-no-subreaper x", "--no-subreaper | x"),
        ("--bundle b x", "--bundle=b | x"),
        ("-b b x", "--bundle=b | x"),
        ("-b=b x", "--bundle=b | x"),
        ("-bundle=b x", "--bundle=b | x"),
        ("--bundle -keep x", "--bundle=-keep | x"),
        ("--keep x", "--keep | x"),
        ("--keep=T -d --keep --detach=false x", "--keep | x"),
        ("-unknown --strange=1 x", "-unknown --strange=1 | x"),
        ("x -no-subreaper", "| x -no-subreaper"),
        ("-- -x", "| -- -x"),
        ("- -x", "| - -x"),
        ("--bundle", "--bundle |"),
        ("--bundle= x", "--bundle= | x"),
    ];
    for (line, expected) in cases {
        let line = words(line);
        let (options, rest) = normalise(&table, &line).unwrap();
        let all: Vec<_> = options.into_iter().chain(["|".into()]).chain(rest.iter().cloned()).collect();
        assert_eq!(all, words(expected), "{line:?}");
    }
}

// Every option in the ways in which engines write it, with what it then says.
#[test]
fn options_of_every_command_parse() {
    for line in [
        "create --bundle b --console-socket c --pidfd-socket p --pid-file f --no-pivot --no-new-keyring --preserve-fds 2 id",
        "create -b b --pid-file=f id",
        "run --bundle b --console-socket c --pidfd-socket p --pid-file f --no-pivot --no-new-keyring --preserve-fds=2 id",
        "run -d --keep --no-subreaper id",
        "run --detach -no-subreaper -b b id",
        "start id",
        "state id",
        "delete id",
        "delete -f id",
        "delete --force id",
        "delete id --force",
        "kill id",
        "kill id KILL",
        "kill --all id 9",
        "kill -a id 9",
        "list",
        "list -f json",
        "list --format=table -q",
        "list --quiet",
        "spec",
        "spec -b b --rootless",
        "spec --bundle=b --rootless=false",
        "wait id",
        "completion bash",
        "man directory",
        "wait -s --format json id",
        "plan",
        "doctor",
        "doctor --format json bundle/",
        "plan b/ --format json --id x",
        "checkpoint --image-path i --work-path w --parent-path p --leave-running --leave-running --tcp-established id",
        "checkpoint --ext-unix-sk --shell-job --file-locks --empty-ns network --pre-dump --lazy-pages id",
        "checkpoint --page-server 1.2.3.4:5 --status-fd 3 --manage-cgroups-mode soft --auto-dedup --link-remap id",
        "restore --image-path i --work-path w --detach --pid-file f --no-pivot -no-subreaper --bundle b id",
        "restore --console-socket s --lsm-profile=apparmor:x --lsm-mount-context=c --tcp-close id",
    ] {
        assert!(parse_line(line).is_ok(), "{line}: {}", mistake(line));
    }
}

// Asking clap for an option that isn't in the table, or for another type, panics. A state root that can't exist stops
// each command after it has read its arguments.
#[test]
fn commands_ask_for_nothing_but_what_is_in_their_tables() {
    let log = Log::to_stderr();
    let Parsed::Matches(globals) = split(&words("--root /proc/none")).unwrap().0 else { panic!("help") };
    let session = Session::new(&globals, &log).unwrap();
    for verb in VERBS.iter().filter(|verb| !["spec", "features", "completion"].contains(&verb.name)) {
        let line = match verb.name {
            "plan" | "man" | "doctor" => "/proc/none",
            "list" => "",
            _ => "id",
        };
        let Ok(Parsed::Matches(matches)) = parse(verb, &words(line)) else { panic!("{}", verb.name) };
        assert!((verb.run)(&matches, &session).is_err(), "{}", verb.name);
    }
}

#[test]
fn tables_are_consistent() {
    globals().debug_assert();
    VERBS.iter().for_each(|verb| command(verb).debug_assert());
}

#[test]
fn flags_can_be_unset_and_the_last_word_counts() {
    assert!(is_set(&parse_line("run --keep x").unwrap(), "keep"));
    assert!(!is_set(&parse_line("run --keep=false x").unwrap(), "keep"));
    assert!(!is_set(&parse_line("run x").unwrap(), "keep"));
    assert!(is_set(&parse_line("run --keep=0 --keep=T x").unwrap(), "keep"));
    let matches = parse_line("run -b one --bundle=two x").unwrap();
    assert_eq!(path_of(&matches, "bundle"), Some(&PathBuf::from("two")));
}

#[test]
fn a_command_line_after_the_name_keeps_its_options() {
    let exec = Verb {
        name: "exec",
        about: "",
        arguments: |table| {
            let command = Arg::new("COMMAND").num_args(1..).trailing_var_arg(true).allow_hyphen_values(true);
            table.args([flag("tty", "").short('t'), container(), command])
        },
        run: |_, _| Ok(0),
    };
    for (line, tty, command) in [
        ("x ls -l --tty=false -- -t", false, "ls -l --tty=false -- -t"),
        ("-t x -ef", true, "-ef"),
        ("-- x ls -t", false, "ls -t"),
        ("--tty x --help", true, "--help"),
    ] {
        let Parsed::Matches(matches) = parse(&exec, &words(line)).unwrap() else { panic!("help: {line}") };
        let found: Vec<&String> = matches.get_many("COMMAND").unwrap().collect();
        assert_eq!((is_set(&matches, "tty"), text_of(&matches, "ID")), (tty, "x"), "{line}");
        assert_eq!(found, command.split(' ').collect::<Vec<_>>(), "{line}");
    }
}

#[test]
fn the_options_of_other_runtimes_are_taken_in_front_of_the_command() {
    let line = words("--criu /usr/sbin/criu --log-level=debug --cgroup-manager disabled state x");
    let (Parsed::Matches(matches), rest) = split(&line).unwrap() else { panic!("help") };
    assert_eq!(rest, words("state x"));
    assert_eq!(Session::new(&matches, &Log::to_stderr()).unwrap().driver, Driver::Nobody);
    assert!(split(&words("--cgroup-manager=magic")).is_err());
}

#[test]
fn globals_end_at_the_command() {
    let line = words(
        "--root a --root=b -log l --log-format json --systemd-cgroup --systemd-cgroup --rootless=auto create -b c x",
    );
    let (Parsed::Matches(matches), rest) = split(&line).unwrap() else { panic!("help") };
    assert_eq!(path_of(&matches, "root"), Some(&PathBuf::from("b")));
    assert_eq!(path_of(&matches, "log"), Some(&PathBuf::from("l")));
    assert!(is_set(&matches, "systemd-cgroup") && !is_set(&matches, "debug"));
    assert_eq!(text_of(&matches, "log-format"), "json");
    assert_eq!(rest, words("create -b c x"));
}

#[test]
fn a_missing_value_is_said_in_the_words_that_podman_looks_for() {
    assert!(mistake("create --bundle").contains("option --bundle requires an argument"));
    assert!(mistake("create -b").contains("requires an argument"));
    assert!(mistake("restore --lsm-mount-context").contains("requires an argument"));
    let failure = split(&words("--root")).unwrap_err().to_string();
    assert!(failure.contains("option --root requires an argument"), "{failure}");
}

#[test]
fn mistakes_are_one_sentence() {
    for (line, text) in [
        ("create", "<ID> is missing"),
        ("create --foo x", "unknown option --foo"),
        ("create -foo x", "unknown option"),
        ("create x y", "unexpected argument \"y\""),
        ("create --preserve-fds=many x", "invalid value \"many\" for --preserve-fds"),
        ("list -f yaml", "invalid value \"yaml\" for --format"),
        ("run --keep=perhaps x", "invalid value \"perhaps\" for --keep: true or false is wanted"),
    ] {
        let mistake = mistake(line);
        assert!(mistake.starts_with("Incorrect Usage: ") && mistake.contains(text), "{line}: {mistake}");
        assert!(!mistake.contains('\n'), "{mistake}");
    }
}

#[test]
fn bytes_that_are_no_text_are_refused_without_panic() {
    let odd = OsString::from_vec(b"\xff-\xfe".to_vec());
    let failure = parse(verb("create"), std::slice::from_ref(&odd)).unwrap_err().to_string();
    assert!(failure.contains("not UTF-8"), "{failure}");
    assert!(Verb::named(&odd).is_err());
    assert!(split(&[OsString::from_vec(b"--\xff".to_vec())]).is_err());
    let path = OsString::from_vec(b"-b=\xff".to_vec());
    assert!(matches!(parse(verb("create"), &[path, "x".into()]), Ok(Parsed::Matches(_))));
}

#[test]
fn help_is_not_a_mistake() {
    for line in ["--help", "-h", "-help", "--help x"] {
        assert!(matches!(parse(verb("create"), &words(line)), Ok(Parsed::Help(_))), "{line}");
        assert!(matches!(split(&words(line)), Ok((Parsed::Help(_), _))), "{line}");
    }
    assert!(VERBS.iter().all(|verb| help().contains(verb.about)));
}

#[test]
fn an_unknown_command_is_told_what_exists() {
    let failure = Verb::named("fly".as_ref()).err().unwrap().to_string();
    assert!(failure.contains("there is no command \"fly\""), "{failure}");
    assert!(VERBS.iter().all(|verb| failure.contains(verb.name)), "{failure}");
}
