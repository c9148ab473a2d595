//! Terminals: what a program sees of its own, and who gets the other side of it.

use std::fs;
use std::os::fd::AsRawFd;
use std::os::unix::fs::symlink;

use integration::bundle::{mount, shell};
use integration::terminal::{Receiver, Terminal, on_terminal};
use integration::test::text;
use integration::{Bundle, Container, Exit, Test, promise, promises};
use serde_json::{Value, json};

fn receiver(test: &Test) -> Receiver {
    Receiver::at(&test.directory.join(test.fresh()))
}

/// Creates and starts a container whose terminal is sent to us.
fn start<'a>(test: &'a Test, bundle: &Bundle) -> (Container<'a>, Terminal) {
    let receiver = receiver(test);
    let id = test.fresh();
    let socket = text(&receiver.path);
    let created =
        test.runtime(&["create", "--bundle", &text(&bundle.path), "--console-socket", &socket, &id]).ok();
    let container = Container::of(test, &id, created);
    let (_, master) = receiver.receive();
    container.start().ok();
    (container, Terminal::of(master))
}

/// What a script says on its terminal.
fn said(edit: impl FnOnce(&mut Value)) -> String {
    let test = Test::new();
    let (container, mut terminal) = start(&test, &test.bundle(edit));
    let said = terminal.to_the_end();
    container.finish();
    said
}

/// Where device and inode of a file are.
const SAME: &str =
    "same() { [ \"$(stat -c %d:%i:%t:%T $1)\" = \"$(stat -c %d:%i:%t:%T $2)\" ] && echo same; }; ";

#[test]
fn the_program_has_a_terminal_of_its_own() {
    promise("a terminal of its own", || {
        let script = format!(
            "{SAME} tty; test -t 0 && test -t 1 && test -t 2 && echo streams; same /dev/console $(tty); \
             echo controlling > /dev/tty; stat -c %u:%g $(tty)"
        );
        let said = said(|config| on_terminal(config, &script));
        assert_eq!(said, "/dev/pts/0\r\nstreams\r\nsame\r\ncontrolling\r\n0:5\r\n");
    });
}

#[test]
fn the_terminal_belongs_to_the_user() {
    promise("the terminal of a user", || {
        let said = said(|config| {
            config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
            on_terminal(config, "stat -c %u:%g $(tty); echo again > $(tty)");
        });
        assert_eq!(said, "1000:5\r\nagain\r\n");
    });
}

#[test]
fn the_terminal_of_mapped_users() {
    promise("a terminal in a user namespace", || {
        let said = said(|config| {
            let ids = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
            config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "user"}));
            config["linux"]["uidMappings"] = ids.clone();
            config["linux"]["gidMappings"] = ids;
            config["process"]["user"] = json!({"uid": 7, "gid": 7});
            on_terminal(config, &format!("{SAME} tty; stat -c %u:%g $(tty); same /dev/console $(tty)"));
        });
        assert_eq!(said, "/dev/pts/0\r\n7:5\r\nsame\r\n");
    });
}

#[test]
fn the_size_is_that_of_the_configuration() {
    promise("consoleSize", || {
        let said = said(|config| {
            config["process"]["consoleSize"] = json!({"height": 33, "width": 77});
            on_terminal(config, "stty size");
        });
        assert_eq!(said, "33 77\r\n");
    });
}

#[test]
fn keys_become_signals() {
    promise("Ctrl-C through the master", || {
        let test = Test::new();
        let bundle = test.bundle(|config| {
            on_terminal(config, "trap 'echo caught; exit 3' INT; echo ready; while :; do sleep 0.1; done");
        });
        let (container, mut terminal) = start(&test, &bundle);
        terminal.says("ready");
        terminal.press("\x03");
        terminal.says("caught");
        assert_eq!(container.finish(), Exit::Code(3));
    });
}

#[test]
fn whoever_holds_the_terminal_may_let_go_of_it() {
    promise("a terminal that is hung up", || {
        let test = Test::new();
        let script = "trap 'exit 4' HUP; echo ready; while :; do sleep 0.1; done";
        let (container, mut terminal) = start(&test, &test.bundle(|config| on_terminal(config, script)));
        terminal.says("ready");
        drop(terminal);
        assert_eq!(container.finish(), Exit::Code(4));
    });
}

#[test]
fn the_name_of_the_terminal_comes_with_it() {
    promise("the name of the terminal", || {
        let test = Test::new();
        let bundle = test.bundle(|config| on_terminal(config, "true"));
        let receiver = receiver(&test);
        let id = test.fresh();
        let socket = text(&receiver.path);
        let arguments = ["create", "--bundle", &text(&bundle.path), "--console-socket", &socket, &id];
        let container = Container::of(&test, &id, test.runtime(&arguments).ok());
        let (name, _master) = receiver.receive();
        assert!(name.starts_with("/dev/p"), "{name:?} is no terminal");
        container.delete_by_force().ok();
    });
}

#[test]
fn run_that_detaches_sends_the_terminal_away() {
    promise("run --detach with a console socket", || {
        let test = Test::new();
        let bundle = test.bundle(|config| on_terminal(config, "read line; echo got $line"));
        let receiver = receiver(&test);
        let id = test.fresh();
        let socket = text(&receiver.path);
        let arguments = ["run", "-d", "--bundle", &text(&bundle.path), "--console-socket", &socket, &id];
        let container = Container::of(&test, &id, test.runtime(&arguments).ok());
        let mut terminal = Terminal::of(receiver.receive().1);
        terminal.press("it\n");
        terminal.says("got it");
        container.finish();
    });
}

#[test]
fn a_socket_may_have_a_long_path() {
    promise("a console socket with a long path", || {
        let test = Test::new();
        let bundle = test.bundle(|config| on_terminal(config, "true"));
        let receiver = receiver(&test);
        let far = test.directory.join("x".repeat(120));
        fs::create_dir(&far).unwrap();
        let path = far.join("socket");
        fs::rename(&receiver.path, &path).unwrap();
        let id = test.fresh();
        let created =
            test.runtime(&["create", "--bundle", &text(&bundle.path), "--console-socket", &text(&path), &id]);
        let container = Container::of(&test, &id, created.ok());
        receiver.receive();
        container.start().ok();
        container.finish();
    });
}

#[test]
fn terminals_and_sockets_that_do_not_fit_are_refused() {
    const NO_SOCKET: &str = "cannot allocate tty if runc will detach without setting console socket";
    const NO_USE: &str = "cannot use console socket if runc will not detach or allocate tty";
    let cases: [(&str, bool, &[&str], &str); 6] = [
        ("create with a terminal and no socket", true, &["create"], NO_SOCKET),
        ("run -d with a terminal and no socket", true, &["run", "-d"], NO_SOCKET),
        ("run with a terminal and a socket", true, &["run", "--console-socket", "/s"], NO_USE),
        ("run with a socket and no terminal", false, &["run", "--console-socket", "/s"], NO_USE),
        ("create with a socket and no terminal", false, &["create", "--console-socket", "/s"], NO_USE),
        (
            "create with a socket that nobody made",
            true,
            &["create", "--console-socket", "/not/there"],
            "no such file or directory",
        ),
    ];
    promises(cases.map(|(name, terminal, command, words)| {
        let refused = move || {
            let test = Test::new();
            let bundle = test.bundle(|config| config["process"]["terminal"] = json!(terminal));
            let id = test.fresh();
            let rest = ["--bundle", &text(&bundle.path), &id];
            test.runtime(&[command, &rest[..]].concat()).exits(1).fails_with(&[words]);
        };
        (name, refused)
    }));
}

#[test]
fn a_size_that_no_terminal_has_is_refused() {
    promise("a consoleSize beyond 65535", || {
        let test = Test::new();
        let bundle = test.bundle(|config| {
            on_terminal(config, "true");
            config["process"]["consoleSize"] = json!({"height": 24, "width": 65536});
        });
        test.run(&bundle).fails_with(&["/process/consoleSize/width"]);
    });
}

// What a hostile root holds -----------------------------------------------------------------------------------------

/// No tmpfs covers what the root has in /dev.
fn bare_dev(config: &mut Value) {
    let mounts = config["mounts"].as_array_mut().unwrap();
    mounts.retain(|mount| {
        !["/dev", "/dev/shm", "/dev/mqueue"].contains(&mount["destination"].as_str().unwrap())
    });
    config["root"]["readonly"] = json!(false);
}

#[test]
fn what_lies_at_the_console_is_covered_and_never_followed() {
    type Plant = fn(&Bundle);
    let cases: [(&str, Plant); 4] = [
        ("a console that is a link", |bundle| {
            fs::write(bundle.inside("etc/sentinel"), "untouched").unwrap();
            symlink("/etc/sentinel", bundle.inside("dev/console")).unwrap();
        }),
        ("a console that is a dangling link", |bundle| {
            symlink("/etc/nobody", bundle.inside("dev/console")).unwrap();
        }),
        ("a console that is a pipe", |bundle| {
            rustix::fs::mkfifoat(rustix::fs::CWD, bundle.inside("dev/console"), 0o666.into()).unwrap();
        }),
        ("a console that is a file", |bundle| fs::write(bundle.inside("dev/console"), "").unwrap()),
    ];
    promises(cases.map(|(name, plant)| {
        let covered = move || {
            let test = Test::new();
            let bundle = test.bundle(|config| {
                bare_dev(config);
                on_terminal(config, &format!("{SAME} same /dev/console $(tty); echo there > /dev/console"));
            });
            plant(&bundle);
            let before = fs::symlink_metadata(bundle.inside("dev/console")).unwrap();
            let (container, mut terminal) = start(&test, &bundle);
            assert_eq!(terminal.to_the_end(), "same\r\nthere\r\n");
            container.finish();
            let after = fs::symlink_metadata(bundle.inside("dev/console")).unwrap();
            assert_eq!(before.file_type(), after.file_type());
            if let Ok(sentinel) = fs::read(bundle.inside("etc/sentinel")) {
                assert_eq!(sentinel, b"untouched");
            }
            assert!(!bundle.inside("etc/nobody").exists());
        };
        (name, covered)
    }));
}

#[test]
fn a_terminal_comes_from_a_devpts_or_not_at_all() {
    type Plant = fn(&mut Value);
    let cases: [(&str, Plant); 3] = [
        ("a tmpfs at /dev/pts", |config| {
            let pts = config["mounts"].as_array_mut().unwrap();
            pts.retain(|mount| mount["destination"] != "/dev/pts");
            mount(config, "/dev/pts", "tmpfs", "tmpfs", &[]);
        }),
        ("nothing at /dev/pts", |config| {
            let pts = config["mounts"].as_array_mut().unwrap();
            pts.retain(|mount| mount["destination"] != "/dev/pts");
        }),
        ("a file mounted on the multiplexer", |config| {
            mount(config, "/dev/pts/ptmx", "bind", "/dev/zero", &["bind"]);
        }),
    ];
    promises(cases.map(|(name, plant)| {
        let refused = move || {
            let test = Test::new();
            let bundle = test.bundle(|config| {
                on_terminal(config, "true");
                plant(config);
            });
            let receiver = receiver(&test);
            let socket = text(&receiver.path);
            let arguments =
                ["run", "-d", "--bundle", &text(&bundle.path), "--console-socket", &socket, &test.fresh()];
            test.runtime(&arguments).fails_with(&["ptmx", "pts"]);
        };
        (name, refused)
    }));
}

// Process descriptors -----------------------------------------------------------------------------------------------

#[test]
fn a_pidfd_is_sent_to_whoever_listens() {
    let sent = |command: &'static [&'static str]| {
        move || {
            let test = Test::new();
            let bundle = test.bundle(|config| shell(config, "sleep 1000"));
            let receiver = receiver(&test);
            let id = test.fresh();
            let rest = ["--bundle", &text(&bundle.path), "--pidfd-socket", &text(&receiver.path), &id];
            let container = Container::of(&test, &id, test.runtime(&[command, &rest[..]].concat()).ok());
            let (word, pidfd) = receiver.receive();
            assert_eq!(word, "standard");
            let about = fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).unwrap();
            assert!(about.contains(&format!("Pid:\t{}\n", container.pid)), "{about}");
            container.delete_by_force().ok();
        }
    };
    promises([("create --pidfd-socket", sent(&["create"])), ("run --pidfd-socket", sent(&["run", "-d"]))]);
}
