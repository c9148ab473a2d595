//! Further processes in a container.

use std::fs;
use std::os::fd::AsRawFd;
use std::path::Path;

use integration::bundle::{default_config, namespace, shell};
use integration::command::{DEADLINE, claim, collect, end};
use integration::terminal::{Receiver, Terminal};
use integration::test::{repetitions, text};
use integration::{Container, Expected, Kind, Outcome, PROBER, Test, World, promise, runtime};
use serde_json::{Value, json};

/// A container that waits.
fn waiting<'a>(test: &'a Test, edit: impl FnOnce(&mut Value)) -> Container<'a> {
    test.start(&test.bundle(|config| {
        config["process"]["args"] = json!(["/bin/sleep", "1000"]);
        edit(config);
    }))
}

fn exec(test: &Test, container: &Container<'_>, options: &[&str], command: &[&str]) -> Outcome {
    test.runtime(&[&["exec"], options, &[&container.id], command].concat())
}

/// A further process that nobody waits for but us: a container's first process can't end before it is reaped.
struct Detached {
    pid: i32,
}

impl Detached {
    fn start(test: &Test, container: &Container<'_>, options: &[&str], command: &[&str]) -> Self {
        let file = text(&test.directory.join("pid"));
        exec(test, container, &[&["--detach", "--pid-file", &file], options].concat(), command).ok();
        let pid = fs::read_to_string(&file).expect("the file is there when exec returns");
        assert!(pid.bytes().all(|digit| digit.is_ascii_digit()), "{pid:?}");
        let pid = pid.parse().expect("a process id");
        claim(pid);
        Self { pid }
    }
}

impl Drop for Detached {
    fn drop(&mut self) {
        end(self.pid);
        let _ = collect(self.pid, DEADLINE);
    }
}

/// What a script prints.
fn says(test: &Test, container: &Container<'_>, options: &[&str], script: &str) -> String {
    exec(test, container, options, &["/bin/sh", "-c", script]).ok().stdout
}

#[test]
fn it_is_confined_like_the_containers_own_process() {
    for world in World::all() {
        let test = Test::at(world);
        let container = waiting(&test, |config| {
            config["process"]["user"] =
                json!({"uid": 1000, "gid": 1001, "additionalGids": [7], "umask": 0o027});
            config["process"]["cwd"] = json!("/tmp");
            config["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]);
            config["process"]["noNewPrivileges"] = json!(true);
        });
        let mut config = default_config(&container.cgroup_path());
        config["process"]["user"] = json!({"uid": 1000, "gid": 1001, "additionalGids": [7], "umask": 0o027});
        config["process"]["cwd"] = json!("/tmp");
        config["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]);
        config["process"]["noNewPrivileges"] = json!(true);
        let said = exec(&test, &container, &[], &[PROBER, &Expected::of(&config).question().to_string()])
            .ok()
            .stdout;
        let seen: Value = serde_json::from_str(&said).expect("the prober prints JSON");
        config["process"]["args"] = seen["args"].clone();
        assert_eq!(Expected::of(&config).differences(&seen), Vec::<String>::new(), "{world:?}");
        for kind in ["mnt", "pid", "net", "ipc", "uts", "cgroup"] {
            assert_eq!(seen["namespaces"][kind].as_str(), Some(container.namespace(kind).as_str()), "{kind}");
        }
    }
}

#[test]
fn options_change_what_the_configuration_says() {
    let test = Test::new();
    let container = waiting(&test, |config| config["process"]["env"] = json!(["PATH=/bin", "ONE=1"]));
    let options = ["--cwd", "/tmp", "--env", "ONE=a,b", "-e", "TWO=2", "--user=1000:1001", "-g", "5", "-g=6"];
    let said = says(&test, &container, &options, "pwd; echo $ONE $TWO; id -u; id -g; id -G");
    assert_eq!(said, "/tmp\na,b 2\n1000\n1001\n1001 5 6\n");
    // The group of the configuration stays.
    assert_eq!(says(&test, &container, &["-u", "7"], "id -u; id -g"), "7\n0\n");
}

#[test]
fn options_after_the_id_belong_to_the_program() {
    let test = Test::new();
    let container = waiting(&test, |_| {});
    assert_eq!(exec(&test, &container, &[], &["/bin/echo", "-n", "--", "-d", "x"]).ok().stdout, "-- -d x");
}

#[test]
fn a_capability_is_added_and_never_inheritable() {
    let test = Test::new();
    let container = waiting(&test, |_| {});
    let said = says(&test, &container, &["--cap", "CAP_NET_RAW"], "cat /proc/self/status");
    let set = |name: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        u64::from_str_radix(line.trim_matches([':', '\t']), 16).expect("a set of capabilities")
    };
    let net_raw = 1 << 13;
    for name in ["CapPrm", "CapEff", "CapBnd"] {
        assert_eq!(set(name) & net_raw, net_raw, "{name}");
    }
    assert_eq!((set("CapInh"), set("CapAmb")), (0, 0));
    exec(&test, &container, &["--cap", "CAP_FLY"], &["/bin/true"]).exits(255);
}

#[test]
fn the_status_is_that_of_the_program() {
    let test = Test::new();
    let container = waiting(&test, |_| {});
    exec(&test, &container, &[], &["/bin/sh", "-c", "exit 17"]).exits(17);
    exec(&test, &container, &[], &["/bin/sh", "-c", "kill -9 $$"]).exits(137);
}

#[test]
fn failures_of_its_own_have_the_status_255() {
    let test = Test::new();
    let container = waiting(&test, |_| {});
    exec(&test, &container, &[], &["nowhere"]).exits(255).fails_with(&["executable file not found in $path"]);
    exec(&test, &container, &[], &["/nowhere"]).exits(255).fails_with(&["no such file or directory"]);
    exec(&test, &container, &[], &["/etc/passwd"]).exits(255).fails_with(&["permission denied"]);
    test.runtime(&["exec", "nobody-here", "/bin/true"]).exits(255).fails_with(&["does not exist"]);
    container.kill("KILL").ok();
    container.wait();
    exec(&test, &container, &[], &["/bin/true"])
        .exits(255)
        .fails_with(&["cannot exec in a stopped container"]);
}

#[test]
fn a_detached_one_is_known_by_its_pid_file() {
    let test = Test::new();
    let container = waiting(&test, |_| {});
    let detached = Detached::start(&test, &container, &[], &["/bin/sleep", "1000"]);
    let pid = detached.pid;
    let command = fs::read_to_string(format!("/proc/{pid}/cmdline")).expect("the process runs");
    assert_eq!(command, "/bin/sleep\u{0}1000\u{0}");
    assert_eq!(
        fs::read_link(format!("/proc/{pid}/ns/pid")).unwrap().to_str(),
        Some(&*container.namespace("pid"))
    );
}

#[test]
fn a_process_comes_whole_from_a_file() {
    let test = Test::new();
    let container = waiting(&test, |config| config["process"]["noNewPrivileges"] = json!(true));
    let file = test.directory.join("process.json");
    let run = |process: Value| {
        fs::write(&file, process.to_string()).expect("the test's own file");
        test.runtime(&["exec", "--process", file.to_str().expect("plain text"), &container.id])
    };
    let script = "echo $HOME; pwd; id -u; cat /proc/self/status";
    let said = run(json!({
        "args": ["/bin/sh", "-c", script], "cwd": "/tmp", "env": ["HOME=/here"], "user": {"uid": 9, "gid": 9}
    }));
    let said = said.ok().stdout;
    assert!(said.starts_with("/here\n/tmp\n9\n"), "{said}");
    assert!(said.contains("NoNewPrivs:\t0"), "{said}");
    if runtime().kind == Kind::Ours {
        run(json!({"args": [], "cwd": "/"})).exits(255).fails_with(&["/process/args"]);
        run(json!({"args": ["x"], "cwd": 1})).exits(255).fails_with(&["/process/cwd"]);
        run(json!([])).exits(255).fails_with(&["/process"]);
    }
}

#[test]
fn descriptors_are_handed_on_only_when_asked_for() {
    let test = Test::new();
    let container = waiting(&test, |_| {});
    let script = "for fd in 3 4 5 9; do [ -e /proc/self/fd/$fd ] && echo $fd; done; true";
    let run = |options: &[&str]| {
        let arguments = [&["exec"], options, &[&container.id, "/bin/sh", "-c", script]].concat();
        let call = test.call(&arguments).with(|command| {
            use std::os::unix::process::CommandExt;
            let open = || {
                for number in [3, 4, 9] {
                    // SAFETY: duplicates standard input onto numbers that nothing in this new process relies on.
                    unsafe { libc::dup2(0, number) };
                }
                Ok(())
            };
            // SAFETY: system calls between fork and exec.
            unsafe { command.pre_exec(open) };
        });
        call.run().ok().stdout
    };
    assert_eq!(run(&[]), "");
    assert_eq!(run(&["--preserve-fds", "2"]), "3\n4\n");
}

#[test]
fn it_goes_into_a_cgroup_below_but_never_beside() {
    let test = Test::new();
    let container = waiting(&test, |_| {});
    let Some(pids) = container.world().hierarchy("pids") else { return };
    let own = pids.root.join(container.cgroup_path().trim_start_matches('/'));
    fs::create_dir(own.join("below")).expect("a cgroup can be made");
    let line = |options: &[&str]| says(&test, &container, options, "cat /proc/self/cgroup");
    let version_2 = pids.name.is_empty();
    let (wanted, seen) = if version_2 { ("below", "0::/below\n") } else { ("pids:below", ":pids:/below\n") };
    assert!(line(&["--cgroup", wanted]).contains(seen));
    if version_2 {
        // There is one tree, whose controllers can't be anywhere else than it is.
        exec(&test, &container, &["--cgroup", "pids:below"], &["/bin/true"]).exits(255);
    }
    assert!(!line(&["--cgroup", "/"]).contains("below"));
    for out in ["..", "../other", "below/../../x", "pids:../x"] {
        exec(&test, &container, &["--cgroup", out], &["/bin/true"]).exits(255);
    }
    exec(&test, &container, &["--cgroup", "nothere"], &["/bin/true"]).exits(255);
    fs::remove_dir(own.join("below")).expect("its process has ended");
}

/// A container that hands controllers down may have no process in its own cgroup (version 2).
#[test]
fn it_follows_the_first_process_where_its_own_cgroup_takes_nobody() {
    let test = Test::new();
    let container = waiting(&test, |_| {});
    let Some(own) = container.cgroup2() else { return };
    fs::create_dir(own.join("init")).expect("a cgroup can be made");
    fs::write(own.join("init/cgroup.procs"), container.pid.to_string()).expect("it can move");
    let available = fs::read_to_string(own.join("cgroup.controllers")).unwrap_or_default();
    let Some(controller) = available.split_whitespace().next() else { return };
    fs::write(own.join("cgroup.subtree_control"), format!("+{controller}")).expect("it can be handed down");
    let said = says(&test, &container, &[], "cat /proc/self/cgroup");
    assert!(said.lines().any(|line| line == "0::/init"), "{said}");
    // An explicit wish is not reinterpreted.
    exec(&test, &container, &["--cgroup", "/"], &["/bin/true"]).exits(255);
}

#[test]
fn it_enters_a_container_with_a_user_namespace() {
    let test = Test::new();
    let container = waiting(&test, |config| {
        namespace(config, "user", Some(json!({"type": "user"})));
        let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
        config["linux"]["uidMappings"] = map.clone();
        config["linux"]["gidMappings"] = map;
    });
    let said =
        says(&test, &container, &["-u", "5:6"], "id -u; cat /proc/self/uid_map; readlink /proc/self/ns/user");
    let mut lines = said.lines();
    assert_eq!(lines.next(), Some("5"));
    assert_eq!(
        lines.next().map(|line| line.split_whitespace().collect::<Vec<_>>()),
        Some(vec!["0", "100000", "65536"])
    );
    assert_eq!(lines.next(), Some(&*container.namespace("user")));
}

#[test]
fn it_enters_a_container_that_has_not_been_started() {
    let test = Test::new();
    let container = test.create(&test.bundle(|_| {}));
    assert_eq!(says(&test, &container, &[], "echo $$"), "2\n");
}

#[test]
fn it_enters_a_root_without_a_mount_namespace() {
    let test = Test::new();
    let container = waiting(&test, |config| {
        let kept = config["linux"]["namespaces"].as_array().cloned().unwrap_or_default();
        config["linux"]["namespaces"] = kept.into_iter().filter(|each| each["type"] != "mount").collect();
        for part in ["mounts", "maskedPaths", "readonlyPaths"] {
            config["linux"][part] = json!([]);
        }
        config["mounts"] = json!([]);
        config["root"]["readonly"] = json!(false);
    });
    let said = says(&test, &container, &[], "ls /; [ -e /proc/self ] || echo none");
    assert!(said.contains("bin\n") && said.ends_with("none\n"), "{said}");
}

/// CVE-2016-9962, CVE-2019-5736: nothing of a process that is on its way in can be had from inside.
#[test]
fn a_hostile_container_catches_nothing_of_it() {
    for user_namespace in [false, true] {
        let test = Test::new();
        let container = test.start(&test.bundle(|config| {
            config["process"]["args"] = json!([PROBER, "hunt"]);
            let all = json!(["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_KILL"]);
            let sets = ["bounding", "effective", "permitted"].map(|set| (set.to_owned(), all.clone()));
            config["process"]["capabilities"] = Value::Object(sets.into_iter().collect());
            config["process"]["noNewPrivileges"] = json!(false);
            if user_namespace {
                namespace(config, "user", Some(json!({"type": "user"})));
                let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
                config["linux"]["uidMappings"] = map.clone();
                config["linux"]["gidMappings"] = map;
            }
        }));
        container.has_said("hunting");
        for _ in 0..repetitions("EXECS", 100) {
            exec(&test, &container, &[], &["/bin/true"]).ok();
        }
        let caught: Vec<String> =
            container.stdout().lines().filter(|line| line.starts_with("caught")).map(str::to_owned).collect();
        assert!(caught.is_empty(), "user namespace: {user_namespace}: {caught:#?}");
    }
}

#[test]
fn a_program_that_is_a_link_to_ourselves_executes_nothing_of_the_host() {
    let test = Test::new();
    let bundle = test.bundle(|config| config["process"]["args"] = json!(["/bin/sleep", "1000"]));
    std::os::unix::fs::symlink("/proc/self/exe", bundle.inside("bin/evil")).expect("the test's own rootfs");
    let container = test.start(&bundle);
    let outcome = exec(&test, &container, &[], &["/bin/evil"]);
    assert!(!outcome.succeeded(), "{outcome:?}");
    assert!(Path::new(&runtime().path).exists());
}

#[test]
fn a_script_of_the_container_sees_the_end_of_its_input() {
    let test = Test::new();
    let container = waiting(&test, |config| shell(config, "sleep 1000"));
    assert_eq!(says(&test, &container, &[], "cat; echo done"), "done\n");
}

#[test]
fn its_terminal_is_one_of_the_container_and_controls_its_session() {
    let test = Test::new();
    let container = waiting(&test, |_| {});
    let receiver = Receiver::at(&test.directory.join("console"));
    let socket = text(&receiver.path);
    let script = "trap 'echo caught; exit 3' INT; tty; test -t 0 && echo ready; while :; do sleep 0.1; done";
    let options = ["--tty", "--console-socket", &socket];
    let _detached = Detached::start(&test, &container, &options, &["/bin/sh", "-c", script]);
    let (name, master) = receiver.receive();
    assert!(name.starts_with("/dev/p"), "{name:?} is no terminal");
    let mut terminal = Terminal::of(master);
    terminal.says("/dev/pts/");
    terminal.says("ready");
    terminal.press("\x03");
    terminal.says("caught");
    terminal.to_the_end();
    // Neither a socket without a terminal, nor a terminal that nobody takes.
    let refused = exec(&test, &container, &["--console-socket", &socket], &["/bin/true"]);
    refused.exits(255).fails_with(&["cannot use console socket if runc will not detach or allocate tty"]);
    let refused = exec(&test, &container, &["--detach", "--tty"], &["/bin/true"]);
    refused
        .exits(255)
        .fails_with(&["cannot allocate tty if runc will detach without setting console socket"]);
}

#[test]
fn its_pidfd_is_sent_with_the_word_that_tells_it_apart() {
    promise("exec --pidfd-socket", || {
        let test = Test::new();
        let container = waiting(&test, |_| {});
        let receiver = Receiver::at(&test.directory.join("pidfd"));
        let options = ["--pidfd-socket", &text(&receiver.path)];
        let detached = Detached::start(&test, &container, &options, &["/bin/sleep", "1000"]);
        let (word, pidfd) = receiver.receive();
        assert_eq!(word, "setns");
        let pid = detached.pid;
        let about = fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).unwrap();
        assert!(about.contains(&format!("Pid:\t{pid}\n")), "{about}");
    });
}

#[test]
fn it_runs_on_the_cpus_that_it_is_given_whatever_the_caller_runs_on() {
    promise("execCPUAffinity", || {
        let test = Test::new();
        let container = waiting(&test, |_| {});
        let file = test.directory.join("process.json");
        let process = json!({
            "args": ["/bin/cat", "/proc/self/status"], "cwd": "/", "user": {"uid": 0, "gid": 0},
            "execCPUAffinity": {"initial": "0", "final": "1"}
        });
        fs::write(&file, process.to_string()).expect("the test's own file");
        let said = test.runtime(&["exec", "--process", &text(&file), &container.id]).ok().stdout;
        assert!(said.contains("Cpus_allowed_list:\t1\n"), "{said}");
        // Without a word about them it is all of them, not those of the caller.
        let call = test.call(&["exec", &container.id, "/bin/cat", "/proc/self/status"]).with(|command| {
            use std::os::unix::process::CommandExt;
            let pin = || {
                let mut one = rustix::thread::CpuSet::new();
                one.set(0);
                Ok(rustix::thread::sched_setaffinity(None, &one)?)
            };
            // SAFETY: one system call between fork and exec.
            unsafe { command.pre_exec(pin) };
        });
        let said = call.run().ok().stdout;
        assert!(!said.contains("Cpus_allowed_list:\t0\n"), "{said}");
    });
}

/// Engines start it from a process that stands in the container's own cgroup.
#[test]
fn it_can_be_started_from_within_the_containers_cgroup() {
    let test = Test::new();
    if test.world.cgroup2().is_none() {
        return println!("no cgroup2 in this world: not tested");
    }
    let container = waiting(&test, |_| {});
    let script = format!(
        "tree=/sys/fs/cgroup; [ -d $tree/unified ] && tree=$tree/unified
         echo $$ > $tree/{}/cgroup.procs && exec \"$@\"",
        container.cgroup_path()
    );
    let call = test.call_by(&script, &["exec", &container.id, "/bin/cat", "/proc/self/cgroup"]);
    assert!(call.run().ok().stdout.lines().any(|line| line == "0::/"));
}
