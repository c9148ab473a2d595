//! Devices, terminals and masks: each is the very inode that it should be.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use integration::attack::{Attacker, Sentinel, rounds};
use integration::bundle::{mount, shell};
use integration::runtime::find;
use integration::terminal::{Terminal, on_terminal};
use integration::test::text;
use integration::{Bundle, Test, World, runtime};
use rustix::fs::{CWD, FileType, makedev, mkfifoat, mknodat};
use serde_json::{Value, json};

use crate::room::{AT_ONCE, bare_dev, capabilities, clear, exec, on_each_resolver, plant};

const CORE_PATTERN: &str = "/proc/sys/kernel/core_pattern";

/// Says of each masked path what covers it; the null device, or a directory with nothing in it.
const COVERS: &str =
    "for p in /secrets/*; do [ -d $p ] && echo $(ls -A $p | wc -l) || stat -c %F:%t:%T $p; done";

/// Files and directories that are to be masked, half of each.
fn with_secrets(bundle: &Bundle) {
    for number in 0..AT_ONCE {
        let place = bundle.inside(&format!("secrets/{number}"));
        match number % 2 {
            0 => {
                fs::create_dir_all(place.join("deep")).expect("the root is ours");
            }
            _ => fs::write(place, "secret\n").expect("the root is ours"),
        }
    }
}

fn masks(config: &mut Value) {
    let paths: Vec<String> = (0..AT_ONCE).map(|number| format!("/secrets/{number}")).collect();
    config["linux"]["maskedPaths"] = json!([paths, vec!["/secrets/missing".to_owned()]].concat());
    shell(config, COVERS);
}

fn is_masked(said: &str) -> bool {
    said.lines().count() == AT_ONCE
        && said.lines().all(|line| ["0", "character special file:1:3"].contains(&line))
}

#[test]
fn cve_2025_31133_cve_2025_62161_masks_are_not_the_containers_null_device() {
    on_each_resolver(|test| {
        let sentinel = Sentinel::new(test);
        let before = fs::read(CORE_PATTERN).expect("it can be read");
        type Make<'a> = &'a dyn Fn(&Path);
        let nulls: [(&str, Make<'_>); 6] = [
            ("a link to a file of the host", &|path| {
                symlink(sentinel.join("core_pattern"), path).expect("a link")
            }),
            ("a link to core_pattern", &|path| symlink(CORE_PATTERN, path).expect("a link")),
            ("a file", &|path| fs::write(path, "not null\n").expect("the root is ours")),
            ("missing", &|_| {}),
            ("zero", &|path| {
                mknodat(CWD, path, FileType::CharacterDevice, 0o666.into(), makedev(1, 5)).expect("a device");
            }),
            ("a directory", &|path| fs::create_dir(path).expect("the root is ours")),
        ];
        for (what, make) in nulls {
            let bundle = test.bundle(|config| {
                bare_dev(config);
                masks(config);
            });
            with_secrets(&bundle);
            clear(&bundle, "dev/null");
            make(&bundle.inside("dev/null"));
            let outcome = test.run(&bundle);
            sentinel.is_untouched();
            let fine =
                if outcome.succeeded() { is_masked(&outcome.stdout) } else { outcome.stdout.is_empty() };
            assert!(fine, "/dev/null is {what}: {outcome:?}");
            assert_eq!(fs::read(CORE_PATTERN).ok(), Some(before.clone()));
        }
    });
}

/// Fills the `/dev` of a root that is shared with somebody hostile; each device is to be exchanged with a link to what is
/// outside.
fn hostile_dev(bundle: &Bundle, sentinel: &Sentinel) -> Vec<(PathBuf, PathBuf)> {
    const DEVICES: [(&str, u32, &str); 6] = [
        ("null", 3, "null"),
        ("zero", 5, "file"),
        ("full", 7, "null"),
        ("random", 8, "ptmx"),
        ("urandom", 9, "exec"),
        ("tty", 0, "file"),
    ];
    let pair = |(name, minor, target): (&str, u32, &str)| {
        let (device, link) =
            (bundle.inside(&format!("dev/{name}")), bundle.inside(&format!("dev/{name}.link")));
        let _ = (fs::remove_file(&device), fs::remove_file(&link));
        let number = if name == "tty" { makedev(5, 0) } else { makedev(1, minor) };
        mknodat(CWD, &device, FileType::CharacterDevice, 0o400.into(), number)
            .expect("root may make devices");
        symlink(sentinel.join(target), &link).expect("a link can be made");
        (device, link)
    };
    DEVICES.map(pair).to_vec()
}

#[test]
fn cve_2025_31133_masks_are_what_they_should_be_however_fast_the_null_device_changes() {
    on_each_resolver(|test| {
        let sentinel = Sentinel::new(test);
        let bundle = test.bundle(|config| {
            bare_dev(config);
            masks(config);
        });
        with_secrets(&bundle);
        for _ in 0..rounds().div_ceil(AT_ONCE) {
            let null = hostile_dev(&bundle, &sentinel).swap_remove(0);
            let attacker = Attacker::exchanging(vec![null]);
            let outcome = test.run(&bundle);
            attacker.stop();
            sentinel.is_untouched();
            let fine =
                if outcome.succeeded() { is_masked(&outcome.stdout) } else { outcome.stdout.is_empty() };
            assert!(fine, "{outcome:?}");
        }
    });
}

#[test]
fn cve_2026_88265_nothing_outside_is_opened_or_given_away_however_fast_devices_change() {
    on_each_resolver(|test| {
        let sentinel = Sentinel::new(test);
        let mut bundle = test.bundle(|config| {
            bare_dev(config);
            config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
        });
        for round in 0..rounds().div_ceil(5) {
            // One alone changes so fast that it is another one between any two calls.
            let mut pairs = hostile_dev(&bundle, &sentinel);
            let pair = pairs.swap_remove(round % pairs.len());
            bundle.edit(|config| config["linux"]["devices"] = owned(&pair.0, round % 2 == 0));
            let attacker = Attacker::exchanging(vec![pair]);
            let _ = test.run(&bundle);
            attacker.stop();
            sentinel.is_untouched();
        }
    });
}

/// A configuration's device instead of the default one, which belongs to somebody; or none.
fn owned(device: &Path, wanted: bool) -> Value {
    let name = device.file_name().unwrap_or_default().to_string_lossy();
    let entry =
        json!({"path": format!("/dev/{name}"), "type": "c", "major": 1, "minor": 3, "uid": 7, "gid": 7});
    if wanted && name == "null" { json!([entry]) } else { json!([]) }
}

/// What may lie in a bare /dev where the runtime looks for devices.
#[test]
fn cve_2026_88264_cve_2026_88265_planted_consoles_and_null_devices_are_not_followed() {
    on_each_resolver(|test| {
        let sentinel = Sentinel::new(test);
        for name in ["dev/null", "dev/console"] {
            for target in [Some("file"), Some("null"), Some("new"), None] {
                for (terminal, readonly, closed) in
                    [(false, false, false), (false, true, true), (true, false, false), (true, true, false)]
                {
                    let bundle = test.bundle(|config| {
                        bare_dev(config);
                        config["process"]["terminal"] = json!(terminal);
                        config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
                        config["root"]["readonly"] = json!(readonly);
                    });
                    match target {
                        Some(file) => plant(&bundle, name, &sentinel.join(file)),
                        None => {
                            clear(&bundle, name);
                            mkfifoat(CWD, bundle.inside(name), 0o666.into()).expect("a pipe can be made");
                        }
                    }
                    let (directory, id) = (text(&bundle.path), test.fresh());
                    let arguments = ["run", "--bundle", &directory, &id];
                    let (_master, slave) = Terminal::new(24, 80);
                    let _ = match (terminal, closed) {
                        (true, _) => test.call(&arguments).spawn_on(&slave).finish(),
                        (_, true) => test.call_by("exec \"$@\" <&- >&- 2>&-", &arguments).run(),
                        _ => test.call(&arguments).run(),
                    };
                    sentinel.is_untouched();
                }
            }
        }
    });
}

/// The console is the terminal of the program, told by device and inode.
const IS_CONSOLE: &str = "[ \"$(stat -L -c %d:%i:%t:%T /proc/self/fd/0)\" = \"$(stat -c %d:%i:%t:%T /dev/console)\" ] && echo same || echo other";

#[test]
fn cve_2025_52565_the_console_is_the_terminal_or_there_is_none() {
    on_each_resolver(|test| {
        let sentinel = Sentinel::new(test);
        type Plant<'a> = &'a dyn Fn(&Bundle);
        let plants: [(&str, Plant<'_>); 6] = [
            ("a link", &|bundle| plant(bundle, "dev/console", &sentinel.join("console"))),
            ("a dangling link", &|bundle| plant(bundle, "dev/console", &sentinel.join("new"))),
            ("a directory", &|bundle| fs::create_dir(bundle.inside("dev/console")).expect("a directory")),
            ("a pipe", &|bundle| {
                mkfifoat(CWD, bundle.inside("dev/console"), 0o666.into()).expect("a pipe can be made");
            }),
            ("the multiplexer is a link", &|bundle| plant(bundle, "dev/ptmx", &sentinel.join("ptmx"))),
            ("a fake devpts", &|bundle| {
                fs::create_dir(bundle.inside("dev/pts")).expect("a directory can be made");
                for name in ["0", "1", "ptmx"] {
                    plant(bundle, &format!("dev/pts/{name}"), &sentinel.join("ptmx"));
                }
            }),
        ];
        for (what, make) in plants {
            for devpts in [true, false] {
                let bundle = test.bundle(|config| {
                    bare_dev(config);
                    if devpts {
                        mount(
                            config,
                            "/dev/pts",
                            "devpts",
                            "devpts",
                            &["newinstance", "ptmxmode=0666", "mode=0620"],
                        );
                    }
                    on_terminal(config, IS_CONSOLE);
                });
                make(&bundle);
                let said = on_a_terminal(test, &bundle);
                sentinel.is_untouched();
                assert!(!said.contains("other"), "{what}, devpts: {devpts}: {said}");
            }
        }
    });
}

/// What a container with a terminal says in the foreground.
fn on_a_terminal(test: &Test, bundle: &Bundle) -> String {
    let (mut master, slave) = Terminal::new(24, 80);
    let running = test.call(&["run", "--bundle", &text(&bundle.path), &test.fresh()]).spawn_on(&slave);
    drop(slave);
    let _ = running.finish();
    master.to_the_end()
}

#[test]
fn cve_2025_52565_the_console_is_the_terminal_however_fast_its_place_changes() {
    on_each_resolver(|test| {
        let sentinel = Sentinel::new(test);
        let bundle = test.bundle(|config| {
            bare_dev(config);
            mount(config, "/dev/pts", "devpts", "devpts", &["newinstance", "ptmxmode=0666", "mode=0620"]);
            on_terminal(config, "true");
        });
        let [console, link] = ["dev/console", "dev/console.link"].map(|name| bundle.inside(name));
        fs::write(&console, "").expect("a file can be written");
        symlink(sentinel.join("console"), &link).expect("a link can be made");
        let attacker = Attacker::exchanging(vec![(console, link)]);
        for _ in 0..rounds() {
            let (_master, slave) = Terminal::new(24, 80);
            let _ =
                test.call(&["run", "--bundle", &text(&bundle.path), &test.fresh()]).spawn_on(&slave).finish();
            sentinel.is_untouched();
        }
        attacker.stop();
    });
}

#[test]
fn cve_2026_41579_cve_2026_47766_a_dev_that_is_a_link_is_no_way_out() {
    on_each_resolver(|test| {
        let sentinel = Sentinel::new(test);
        let climbing = Path::new("../../../../../../../../../../..")
            .join(sentinel.path.strip_prefix("/").expect("absolute"));
        for target in [sentinel.path.clone(), climbing, "chained".into()] {
            for more in [&[][..], &[json!({"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229})]] {
                let bundle = test.bundle(|config| {
                    bare_dev(config);
                    config["linux"]["devices"] = json!(more);
                });
                symlink(&sentinel.path, bundle.inside("chained")).expect("a link can be made");
                plant(&bundle, "dev", &target);
                let _ = test.run(&bundle);
                sentinel.is_untouched();
            }
        }
        for name in ["pts", "shm", "fd", "core", "ptmx", "mqueue", "stdin"] {
            for is_link in [true, false] {
                let bundle = test.bundle(bare_dev);
                match is_link {
                    true => plant(&bundle, &format!("dev/{name}"), &sentinel.path),
                    false => {
                        fs::create_dir(bundle.inside("dev").join(name)).expect("a directory can be made")
                    }
                }
                let _ = test.run(&bundle);
                sentinel.is_untouched();
            }
        }
    });
}

#[test]
fn cve_2026_41579_a_dev_is_no_way_out_however_fast_it_changes() {
    on_each_resolver(|test| {
        let sentinel = Sentinel::new(test);
        let bundle = test.bundle(bare_dev);
        symlink(&sentinel.path, bundle.inside("dev.link")).expect("a link can be made");
        let attacker = Attacker::exchanging(vec![(bundle.inside("dev"), bundle.inside("dev.link"))]);
        for _ in 0..rounds().div_ceil(5) {
            let _ = test.run(&bundle);
            sentinel.is_untouched();
        }
        attacker.stop();
    });
}

/// Until the root is the container's, no path is looked up but from a descriptor. What is allowed: the root itself, once;
/// where propagation is set; the host's null device that covers files; and the working directory, which is the mount
/// point.
#[test]
fn cve_2026_41579_no_path_of_the_host_is_used_until_the_root_is_changed() {
    let strace = find(Path::new("strace")).expect("these tests need strace");
    let test = Test::new();
    let bundle = test.bundle(|config| {
        bare_dev(config);
        config["linux"]["devices"] = json!([{"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229}]);
        mount(config, "/new/place", "bind", "/etc/hosts", &["bind", "ro"]);
    });
    let (trace, root) = (text(&test.directory.join("trace")), text(&test.state_root()));
    let own = text(&runtime().path);
    let arguments =
        ["-f", "-qq", "-e", "trace=%file", "-o", &trace, &own, "--root", &root, "run", "--bundle"];
    test.program(&strace, &[&arguments[..], &[&text(&bundle.path), &test.fresh()]].concat()).run().ok();
    let trace = fs::read_to_string(trace).expect("a trace was written");
    let by_path = calls_before_the_change_of_root(&trace);
    let stray: Vec<_> = by_path.into_iter().filter(|call| !is_harmless(call)).collect();
    assert!(stray.is_empty(), "{stray:#?}");
}

/// The calls of the process that changes its root, from its own beginning or execution until then.
fn calls_before_the_change_of_root(trace: &str) -> Vec<&str> {
    let pid = |line: &str| line.split(' ').next().map(str::to_owned);
    let change = trace.lines().position(|line| line.contains("pivot_root(")).expect("the root is changed");
    let lines: Vec<&str> = trace.lines().take(change).collect();
    let who = trace.lines().nth(change).and_then(pid);
    let own = lines.into_iter().filter(|line| pid(line) == who);
    let calls: Vec<&str> = own.filter_map(|line| Some(line.split_once(' ')?.1.trim())).collect();
    let begin = calls.iter().rposition(|call| call.starts_with("execve")).map_or(0, |place| place + 1);
    calls[begin..].to_vec()
}

fn is_harmless(call: &str) -> bool {
    let from_descriptor =
        call.split_once('(').is_some_and(|(_, rest)| rest.starts_with(|first: char| first.is_ascii_digit()));
    let here = call.starts_with("mount(") && call.contains(", \".\", ");
    let tree = call.starts_with("mount(") && call.contains(", \"/\", NULL, ");
    let null = call.contains("AT_FDCWD, \"/dev/null\"");
    let link = call.starts_with("symlinkat(") && !call.contains("AT_FDCWD");
    // Its end may be told later, after what another process does.
    let root = call.contains("/rootfs\", O_RDONLY|O_NOFOLLOW|O_CLOEXEC|O_PATH|O_DIRECTORY");
    let told_before = call.starts_with("<... ");
    from_descriptor || here || tree || null || link || root || told_before
}

/// Which nodes can be made and opened: the null device, the log of the kernel, a disk.
const OPENS: &str = "mkdir -p /tmp/n; cd /tmp/n; rm -f *; mknod null c 1 3; mknod kmsg c 1 11; mknod loop b 7 0; \
    for n in null kmsg loop; do (: >> $n) 2>/dev/null && echo $n; done; true";

#[test]
fn ghsa_g54h_m393_cpwq_without_rules_devices_are_denied() {
    let deny = json!({"allow": false, "access": "rwm"});
    let allow = json!({"allow": true, "type": "c", "major": 1, "minor": 11, "access": "w"});
    let cases = [
        ("none", json!(null), "null\n"),
        ("an empty list", json!([]), "null\n"),
        ("denied", json!([deny]), "null\n"),
        ("one allowed", json!([deny, allow]), "null\nkmsg\n"),
        ("one allowed alone", json!([allow]), "null\nkmsg\n"),
    ];
    for world in World::all() {
        for (what, rules, opened) in &cases {
            let test = Test::at(world);
            let bundle = test.bundle(|config| {
                config["root"]["readonly"] = json!(false);
                capabilities(config, &["CAP_MKNOD"]);
                let resources = config["linux"]["resources"].as_object_mut().expect("an object");
                match rules.is_null() {
                    true => drop(resources.remove("devices")),
                    false => resources["devices"] = rules.clone(),
                }
                shell(config, &format!("{OPENS}; echo end; sleep 1000"));
            });
            let container = test.start(&bundle);
            container.has_said("end");
            assert_eq!(container.stdout(), format!("{opened}end\n"), "{what}, {world:?}");
            if world.hierarchy("pids").is_some() {
                test.runtime(&["update", "--pids-limit", "50", &container.id]).ok();
                let said = exec(&test, &container, &["--cap", "CAP_MKNOD"], &["/bin/sh", "-c", OPENS]).stdout;
                assert_eq!(&said, opened, "{what} after an update, {world:?}");
            }
        }
    }
}
