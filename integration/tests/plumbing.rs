//! What passes from the caller through the runtime into the container, and what doesn't.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::thread;

use integration::bundle::shell;
use integration::command::end;
use integration::test::text;
use integration::{Container, Exit, Test, promise};
use serde_json::{Value, json};

/// What a script prints in a container whose `run` a shell prepares.
fn says(prepare: &str, options: &[&str], script: &str) -> String {
    prints(prepare, options, &["/bin/sh", "-c", script])
}

/// What a program prints there.
fn prints(prepare: &str, options: &[&str], program: &[&str]) -> String {
    let test = Test::new();
    let bundle = test.bundle(|config| config["process"]["args"] = json!(program));
    let (directory, id) = (text(&bundle.path), test.fresh());
    let arguments = [&["run"], options, &["--bundle", &directory, &id]].concat();
    test.call_by(&format!("{prepare}; exec \"$@\""), &arguments).run().ok().stdout
}

/// A line of `/proc/self/status` in the container.
fn status(prepare: &str, name: &str) -> String {
    let said = prints(prepare, &[], &["/bin/cat", "/proc/self/status"]);
    let mut values = said.lines().filter_map(|line| line.split_once(':').filter(|(known, _)| *known == name));
    values.next().expect("the line is there").1.trim().to_owned()
}

const SHOW: &str =
    "echo ${LISTEN_FDS-none} ${LISTEN_PID-none}; head -n 1 <&3; head -n 1 <&4; ls /proc/self/fd";

/// Opens three files as 3, 4 and 5.
fn three_files(test: &Test) -> String {
    let paths = ["first", "second", "third"].map(|name| {
        let path = test.directory.join(name);
        fs::write(&path, format!("{name}\n")).expect("a file can be written");
        text(&path)
    });
    format!("exec 3<{} 4<{} 5<{}", paths[0], paths[1], paths[2])
}

#[test]
fn sockets_of_a_service_manager_come_before_preserved_descriptors() {
    let files = Test::new();
    let prepare = format!("{}; export LISTEN_FDS=1 LISTEN_PID=$$", three_files(&files));
    let said = says(&prepare, &["--preserve-fds", "1"], SHOW);
    assert_eq!(said, "1 1\nfirst\nsecond\n0\n1\n2\n3\n4\n5\n", "the listing itself has one descriptor");
}

#[test]
fn sockets_for_another_process_stay_outside() {
    let files = Test::new();
    for variables in ["LISTEN_FDS=1 LISTEN_PID=1", "LISTEN_FDS=1", "LISTEN_FDS=many LISTEN_PID=$$"] {
        let prepare = format!("{}; export {variables}", three_files(&files));
        assert_eq!(says(&prepare, &[], "echo ${LISTEN_FDS-none}; ls /proc/self/fd"), "none\n0\n1\n2\n3\n");
    }
}

#[test]
fn a_descriptor_that_is_not_there_cannot_be_preserved() {
    let test = Test::new();
    let bundle = test.bundle(|_| {});
    // Some runtimes have descriptors of their own with low numbers.
    let arguments = ["create", "--preserve-fds", "100", "--bundle", &text(&bundle.path), "it"];
    let refused = test.call_by("exec \"$@\"", &arguments).run();
    let said = refused.fails_with(&["unable to stat preserved-fd "]).stderr;
    assert!(
        said.contains("(of 100): stat /proc/self/fd/") && said.contains("no such file or directory"),
        "{said}"
    );
}

#[test]
fn the_cpus_of_the_caller_are_not_those_of_the_container() {
    promise("the caller's affinity stays outside", || {
        let all = status("true", "Cpus_allowed_list");
        assert_eq!(status("taskset -p 1 $$ >/dev/null", "Cpus_allowed_list"), all);
    });
}

#[test]
fn what_the_caller_ignores_and_masks_does_not_matter() {
    promise("ignored signals stay outside", || {
        let ignored = status("trap '' HUP INT TERM USR1 PIPE", "SigIgn");
        let ignored = u64::from_str_radix(&ignored, 16).expect("a mask");
        assert_eq!(ignored & 0x7fff_ffff, 0, "{ignored:x}");
    });
    assert_eq!(says("umask 0077", &[], "umask"), "0022\n");
}

#[test]
fn niceness_is_the_callers() {
    let said = says("renice -n 5 $$ >/dev/null", &[], "cat /proc/self/stat");
    assert_eq!(said.split(' ').nth(18), Some("5"), "{said}");
}

#[test]
fn the_user_of_the_program_owns_its_standard_streams() {
    let test = Test::new();
    let bundle = test.bundle(|config| {
        config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
        shell(config, "echo out >/dev/stdout && echo err >/dev/stderr");
    });
    let container = test.start(&bundle);
    assert_eq!(container.finish(), Exit::Code(0), "{}", container.stderr());
    assert_eq!((container.stdout().as_str(), container.stderr().as_str()), ("out\n", "err\n"));
    assert_eq!(fs::metadata("/dev/null").expect("it is there").uid(), 0);
}

/// Standard input becomes the file of an event, which has no owner that can be changed.
fn read_from_an_event(command: &mut Command) {
    let open = || {
        // SAFETY: two system calls, which take numbers only; standard input is this new process's own.
        unsafe { libc::dup2(libc::eventfd(0, 0), 0) };
        Ok(())
    };
    // SAFETY: two system calls between fork and exec.
    unsafe { command.pre_exec(open) };
}

#[test]
fn a_stream_that_nobody_can_own_stays_as_it_is() {
    let test = Test::new();
    let bundle = test.bundle(|config| {
        config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
    });
    let (directory, id) = (text(&bundle.path), test.fresh());
    let call = test.call(&["create", "--bundle", &directory, &id]).with(read_from_an_event);
    let created = call.run();
    promise("a stream without owner", || drop(created.clone().ok()));
    if created.succeeded() {
        drop(Container::of(&test, &id, created));
    }
}

#[test]
fn standard_streams_to_nowhere_lead_to_the_null_device_of_the_container() {
    let test = Test::new();
    let script = "[ $(stat -L -c %d:%i /proc/self/fd/0) = $(stat -c %d:%i /dev/null) ] && echo same";
    let container = test.start(&test.bundle(|config| shell(config, script)));
    assert_eq!(container.finish(), Exit::Code(0), "{}", container.stderr());
    assert_eq!(container.stdout(), "same\n");
}

/// The description of the session keyring that a container finds itself in.
fn keyring(options: &[&str]) -> String {
    let test = Test::new();
    let bundle = test.bundle(|config| config["process"]["args"] = json!(["/bin/prober", "{}"]));
    let (directory, id) = (text(&bundle.path), test.fresh());
    let said = test.runtime(&[&["run"], options, &["--bundle", &directory, &id]].concat()).ok().stdout;
    let seen: Value = serde_json::from_str(&said).expect("the prober prints JSON");
    seen["keyring"].as_str().unwrap_or_default().replace(&id, "ID")
}

#[test]
fn a_session_keyring_of_its_own_can_be_declined() {
    assert!(keyring(&[]).ends_with("_ses.ID"));
    assert!(!keyring(&["--no-new-keyring"]).contains("_ses.ID"));
}

#[test]
fn the_pid_file_is_where_the_caller_stands_and_holds_digits_alone() {
    let test = Test::new();
    let bundle = test.bundle(|config| config["process"]["args"] = json!(["/bin/sleep", "1000"]));
    let directory = test.directory.join("here");
    fs::create_dir(&directory).expect("a directory can be made");
    let id = test.fresh();
    let arguments = ["create", "--pid-file", "the.pid", "--bundle", &text(&bundle.path), &id];
    let created = test.call_by(&format!("cd {}; exec \"$@\"", text(&directory)), &arguments).run().ok();
    let container = Container::of(&test, &id, created);
    let names: Vec<_> =
        fs::read_dir(&directory).expect("it is there").flatten().map(|it| it.file_name()).collect();
    assert_eq!(names, ["the.pid"]);
    let content = fs::read_to_string(directory.join("the.pid")).expect("it is text");
    assert_eq!(content, container.pid.to_string());
    // A file that can't be written leaves no container.
    let bundle = test.bundle(|_| {});
    let refused = ["create", "--pid-file", "/not/there", "--bundle", &text(&bundle.path), "other"];
    test.runtime(&refused).fails_with(&["no such file or directory"]);
    test.runtime(&["state", "other"]).fails_with(&["does not exist"]);
}

/// Asks for the death of the command when the thread ends that starts it.
fn die_with_the_caller(command: &mut Command) {
    let ask = || {
        // SAFETY: one system call, which takes numbers only.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        Ok(())
    };
    // SAFETY: one system call between fork and exec.
    unsafe { command.pre_exec(ask) };
}

#[test]
fn a_container_does_not_die_with_the_thread_that_asked_for_it() {
    let test = Test::new();
    let bundle = test.bundle(|config| config["process"]["args"] = json!(["/bin/sleep", "1000"]));
    let id = test.fresh();
    let create = test.call(&["create", "--bundle", &text(&bundle.path), &id]).with(die_with_the_caller);
    let created = thread::scope(|scope| scope.spawn(|| create.run()).join().expect("it creates")).ok();
    let container = Container::of(&test, &id, created);
    let start = test.call(&["start", &id]).with(die_with_the_caller);
    thread::scope(|scope| scope.spawn(|| start.run()).join().expect("it starts")).ok();
    assert_eq!(container.status(), "running");
}

#[test]
fn a_command_in_the_foreground_dies_with_its_caller_and_the_container_lives_on() {
    let test = Test::new();
    let bundle = test.bundle(|config| shell(config, "echo ready; sleep 1000"));
    let id = test.fresh();
    let call = test.call(&["run", "--bundle", &text(&bundle.path), &id]).with(die_with_the_caller);
    let running = thread::scope(|scope| {
        let begin = || {
            let running = call.spawn();
            while running.stdout() != "ready\n" {
                thread::yield_now();
            }
            running
        };
        scope.spawn(begin).join().expect("it runs")
    });
    let outcome = running.finish();
    assert_eq!(outcome.exit, Exit::Signal(libc::SIGKILL));
    let container = Container::of(&test, &id, outcome);
    assert_eq!(container.status(), "running");
    end(container.pid);
}

#[test]
fn a_caller_that_ignores_the_death_of_children_learns_how_the_container_ended() {
    let test = Test::new();
    let ignoring = "trap '' CHLD; exec \"$@\"";
    let hook = json!({"path": "/bin/true"});
    let bundle = test.bundle(|config| {
        config["hooks"] = json!({"createRuntime": [hook], "poststart": [hook], "poststop": [hook]});
        shell(config, "exit 7");
    });
    test.call_by(ignoring, &["run", "--bundle", &text(&bundle.path), &test.fresh()]).run().exits(7);
    let sleeper = test.bundle(|config| config["process"]["args"] = json!(["sleep", "1000"]));
    let container = test.start(&sleeper);
    test.call_by(ignoring, &["exec", &container.id, "sh", "-c", "exit 7"]).run().exits(7);
    test.call_by(ignoring, &["kill", &container.id, "KILL"]).run().ok();
    container.wait();
    test.call_by(ignoring, &["delete", &container.id]).run().ok();
}

#[test]
fn privileges_that_the_caller_has_not_are_refused() {
    promise("a set-user-ID runtime does nothing", || {
        let test = Test::new();
        let copy = test.directory.join("runtime");
        fs::copy(&integration::runtime::runtime().path, &copy).expect("a file can be copied");
        fs::set_permissions(&copy, fs::Permissions::from_mode(0o4755)).expect("a mode can be set");
        let user = ["--reuid", "1000", "--regid", "1000", "--clear-groups"];
        let (copy, root) = (text(&copy), text(&test.state_root()));
        let command = [&user[..], &[&copy, "--root", &root, "list"]].concat();
        let refused = test.program(Path::new("/usr/bin/setpriv"), &command).run();
        refused.fails_with(&["privileges that its caller hasn't"]);
    });
}
