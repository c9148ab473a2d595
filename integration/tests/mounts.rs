//! Mounts where the kernel, or whoever made this machine's mounts, has a say: locked attributes, file systems that are
//! refused, and what must stay what it is.

use std::fs;
use std::io::Error;
use std::os::unix::process::CommandExt;
use std::process::Command;

use integration::bundle::{mount, namespace, shell};
use integration::test::text;
use integration::{Bundle, Outcome, Test, World, promise, promises};
use serde_json::{Value, json};

const SHOW: &str = "cat /proc/self/mountinfo";

/// What lies on a place in the end: its attributes, the part of the file system that is shown, and the file system.
fn mounted_on(table: &str, place: &str) -> Option<(Vec<String>, String, String)> {
    let line = table.lines().rfind(|line| line.split(' ').nth(4) == Some(place))?;
    let mut words = line.split(' ').skip(3);
    let (root, _, attributes) = (words.next()?, words.next()?, words.next()?);
    let kind = line.split(" - ").nth(1)?.split(' ').next()?;
    Some((attributes.split(',').map(str::to_owned).collect(), root.to_owned(), kind.to_owned()))
}

fn has(attributes: &[String], wanted: &[&str]) -> bool {
    wanted.iter().all(|one| attributes.iter().any(|attribute| attribute == one))
}

fn in_user_namespace(config: &mut Value) {
    namespace(config, "user", Some(json!({"type": "user"})));
    for map in ["uidMappings", "gidMappings"] {
        config["linux"][map] = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
    }
    config["process"]["rlimits"] = json!([]);
}

fn without_mount(config: &mut Value, destination: &str) {
    let mounts = config["mounts"].as_array_mut().expect("a list");
    mounts.retain(|mount| mount["destination"] != destination);
}

// A kernel that refuses a mount -----------------------------------------------------------------------------------

const NO_DIRECTORY_TIMES: u32 = 1 << 11;

/// Has `mount` fail for whoever asks for `ro,nosuid,nodev,noexec,nodiratime`, as a sandbox around us would.
fn refusing_such_mounts(command: &mut Command) {
    const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const IS: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const AND: u16 = (libc::BPF_ALU | libc::BPF_AND | libc::BPF_K) as u16;
    const ANSWER: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    const FLAGS_AT: u32 = 16 + 3 * 8;
    let bits =
        NO_DIRECTORY_TIMES | (libc::MS_RDONLY | libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC) as u32;
    let line = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let filter = [
        line(LOAD, 0, 0, 0),
        line(IS, 0, 4, libc::SYS_mount as u32),
        line(LOAD, 0, 0, FLAGS_AT),
        line(AND, 0, 0, bits),
        line(IS, 0, 1, bits),
        line(ANSWER, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
        line(ANSWER, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let install = move || {
        let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
        // SAFETY: the program and its instructions outlive the call, which copies them.
        let answer =
            unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
        if answer == 0 { Ok(()) } else { Err(Error::last_os_error()) }
    };
    // SAFETY: one system call, with memory that was made before the fork.
    unsafe { command.pre_exec(install) };
}

#[test]
fn a_cgroup_that_cannot_be_mounted_is_attached_with_the_attributes_asked_for() {
    promises(World::all().into_iter().map(|world| {
        let attached = move || {
            let test = Test::at(world);
            let bundle = test.bundle(|config| {
                without_mount(config, "/sys/fs/cgroup");
                let options = ["ro", "nosuid", "nodev", "noexec", "nodiratime"];
                mount(config, "/sys/fs/cgroup", "cgroup", "cgroup", &options);
                shell(config, &format!("{SHOW}; mkdir /sys/fs/cgroup/*/new /sys/fs/cgroup/new 2>/dev/null"));
            });
            let call = test.call(&["run", "--bundle", &text(&bundle.path), &test.fresh()]);
            let said = call.with(refusing_such_mounts).run();
            let (place, version) = match (world, world.cgroup2()) {
                (World::Unified, _) => ("/sys/fs/cgroup", "cgroup2"),
                (World::Host, Some(_)) => ("/sys/fs/cgroup/unified", "cgroup2"),
                (World::Host, None) => ("/sys/fs/cgroup/pids", "cgroup"),
            };
            let (attributes, root, kind) =
                mounted_on(&said.stdout, place).unwrap_or_else(|| panic!("no cgroup: {said:?}"));
            assert_eq!(kind, version, "{said:?}");
            assert!(kind == "cgroup" || root == "/", "{said:?}");
            assert!(has(&attributes, &["ro", "nosuid", "nodev", "noexec"]), "{attributes:?}");
            assert_ne!(said.exit, integration::Exit::Code(0), "something could be made: {said:?}");
        };
        (format!("a cgroup that cannot be mounted in {world:?}"), attached)
    }));
}

#[test]
fn what_is_no_cgroup_has_no_substitute() {
    let test = Test::new();
    let bundle = test.bundle(|config| {
        let options = ["ro", "nosuid", "nodev", "noexec", "nodiratime"];
        mount(config, "/data", "mqueue", "mqueue", &options);
        without_mount(config, "/sys/fs/cgroup");
    });
    let call = test.call(&["run", "--bundle", &text(&bundle.path), &test.fresh()]);
    call.with(refusing_such_mounts).run().fails_with(&["operation not permitted"]);
}

// User namespaces -------------------------------------------------------------------------------------------------

#[test]
fn the_hosts_cgroups_stay_out_of_reach_without_a_cgroup_namespace() {
    promises(World::all().into_iter().map(|world| {
        let kept = move || {
            let test = Test::at(world);
            let bundle = test.bundle(|config| {
                in_user_namespace(config);
                namespace(config, "cgroup", None);
                shell(config, &format!("{SHOW}; cat /proc/self/cgroup; for d in /sys/fs/cgroup /sys/fs/cgroup/*; do mkdir $d/new; echo 1 >$d/cgroup.procs; done 2>/dev/null && echo written"));
            });
            let said = test.run(&bundle);
            let cgroups: Vec<&str> =
                said.stdout.lines().filter(|line| line.contains(" - cgroup")).collect();
            assert!(!cgroups.is_empty() && !said.stdout.contains("written"), "{said:?}");
            for line in cgroups {
                let words: Vec<&str> = line.split(' ').collect();
                assert!(words[3].contains(&test.mark) && words[5].starts_with("ro,"), "{line}");
            }
        };
        (format!("cgroups without a namespace in {world:?}"), kept)
    }));
}

#[test]
fn a_user_namespace_in_the_hosts_network_has_the_hosts_sysfs_and_no_cgroup_of_it() {
    promise("sysfs of the host's network in a user namespace", || {
        let test = Test::new();
        let bundle = test.bundle(|config| {
            in_user_namespace(config);
            namespace(config, "network", None);
            without_mount(config, "/sys/fs/cgroup");
            shell(config, "cat /proc/self/mountinfo; touch /sys/new; echo '#'; ls /sys/fs/cgroup; echo '#'; ls /sys/class/net");
        });
        let said = test.run(&bundle).ok().stdout;
        let (attributes, root, kind) = mounted_on(&said, "/sys").expect("/sys is mounted");
        assert_eq!((root.as_str(), kind.as_str()), ("/", "sysfs"));
        assert!(has(&attributes, &["ro", "nosuid", "nodev", "noexec"]), "{attributes:?}");
        let parts: Vec<&str> = said.split("#\n").skip(1).collect();
        let devices: Vec<String> = fs::read_dir("/sys/class/net")
            .expect("sysfs is mounted here")
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        assert_eq!(parts[0], "", "no cgroup of the host");
        let seen: Vec<&str> = parts[1].lines().collect();
        assert!(devices.iter().all(|device| seen.contains(&device.as_str())), "{devices:?}: {seen:?}");
    });
}

/// Runs a container from inside a user namespace, in which a mount at `source` has attributes that came with it.
fn run_where_attributes_are_locked(test: &Test, bundle: &Bundle, source: &str) -> Outcome {
    let script = format!(
        "mount -t tmpfs -o ro,nosuid,nodev,noexec,noatime none {source} || exit 9; exec unshare --user --map-root-user --mount \"$@\""
    );
    let call = test.call_by(
        &format!("exec unshare --mount --propagation private sh -c '{script}' sh \"$@\""),
        &["run", "--bundle", &text(&bundle.path), &test.fresh()],
    );
    call.run()
}

/// What can be had in a user namespace by somebody who is only root there.
fn unprivileged(config: &mut Value) {
    for mount in config["mounts"].as_array_mut().expect("a list") {
        if mount["destination"] == "/dev" {
            *mount = json!({"destination": "/dev", "type": "bind", "source": "/dev", "options": ["rbind"]});
        }
    }
    without_mount(config, "/dev/pts");
    without_mount(config, "/dev/shm");
    without_mount(config, "/dev/mqueue");
    config["process"]["rlimits"] = json!([]);
    config["linux"]["resources"] = json!({"devices": [{"allow": true, "access": "rwm"}]});
}

#[test]
fn attributes_that_came_from_outside_a_user_namespace_stay() {
    let cases: [(&[&str], Option<&[&str]>); 7] = [
        (&["bind"], Some(&["ro", "nosuid", "nodev", "noexec", "noatime"])),
        (&["rbind", "rslave", "nosuid"], Some(&["ro", "nosuid", "nodev", "noexec", "noatime"])),
        (&["bind", "ro", "nodiratime"], None),
        (&["bind", "noatime", "ro"], Some(&["ro", "nosuid", "nodev", "noexec", "noatime"])),
        (&["bind", "suid"], None),
        (&["bind", "dev"], None),
        (&["bind", "strictatime"], None),
    ];
    promises(cases.into_iter().map(|(options, wanted)| {
        let bound = move || {
            let test = Test::at(World::Unified);
            let source = test.directory.join("source");
            fs::create_dir(&source).expect("a directory can be made");
            let source = text(&source);
            let bundle = test.bundle(|config| {
                unprivileged(config);
                mount(config, "/data", "bind", &source, options);
                shell(config, SHOW);
            });
            let said = run_where_attributes_are_locked(&test, &bundle, &source);
            match wanted {
                Some(wanted) => {
                    let said = said.ok().stdout;
                    let (attributes, ..) = mounted_on(&said, "/data").expect("it is mounted");
                    assert!(has(&attributes, wanted), "{attributes:?}");
                }
                None => drop(said.fails_with(&["operation not permitted"])),
            }
        };
        (format!("a bind with {options:?} of what is locked"), bound)
    }));
}

#[test]
fn a_read_only_path_keeps_its_other_attributes() {
    let wanted = ["ro", "nosuid", "nodev", "noexec", "noatime"];
    let readonly = |config: &mut Value| {
        config["linux"]["readonlyPaths"] = json!(["/data"]);
        shell(config, SHOW);
    };
    let shown = |said: Outcome| {
        let said = said.ok().stdout;
        let (attributes, ..) = mounted_on(&said, "/data").expect("it is mounted");
        assert!(has(&attributes, &wanted), "{attributes:?}");
    };
    let test = Test::at(World::Unified);
    for mapped in [false, true] {
        let bundle = test.bundle(|config| {
            mount(config, "/data", "tmpfs", "tmpfs", &["nosuid", "nodev", "noexec", "noatime"]);
            if mapped {
                in_user_namespace(config);
            }
            readonly(config);
        });
        fs::create_dir(bundle.inside("data")).expect("the root is ours");
        shown(test.run(&bundle));
    }
    promise("a read-only path of what is locked", || {
        let source = test.directory.join("source");
        fs::create_dir(&source).expect("a directory can be made");
        let bundle = test.bundle(|config| {
            unprivileged(config);
            mount(config, "/data", "bind", &text(&source), &["bind"]);
            readonly(config);
        });
        shown(run_where_attributes_are_locked(&test, &bundle, &text(&source)));
    });
}

// Read-only at the end --------------------------------------------------------------------------------------------

#[test]
fn a_read_only_tmpfs_is_filled_and_mounted_on_before() {
    for mapped in [false, true] {
        promise(&format!("a read-only tmpfs (mapped: {mapped})"), || {
            let test = Test::new();
            let source = test.directory.join("source");
            fs::create_dir(&source).expect("a directory can be made");
            fs::write(source.join("file"), "bound\n").expect("a file can be written");
            let bundle = test.bundle(|config| {
                if mapped {
                    in_user_namespace(config);
                }
                mount(config, "/etc", "tmpfs", "tmpfs", &["ro", "tmpcopyup"]);
                mount(config, "/etc/new/below", "bind", &text(&source), &["bind"]);
                shell(
                    config,
                    "head -n 1 /etc/group; cat /etc/new/below/file; touch /etc/x 2>/dev/null && echo written; cat /proc/self/mountinfo",
                );
            });
            let said = test.run(&bundle).ok().stdout;
            assert!(said.starts_with("root:x:0:\nbound\n") && !said.contains("written"), "{said}");
            let (attributes, _, kind) = mounted_on(&said, "/etc").expect("it is mounted");
            assert!(has(&attributes, &["ro"]) && kind == "tmpfs", "{said}");
        });
    }
}

#[test]
fn a_read_only_dev_has_its_devices_and_mounts() {
    for mapped in [false, true] {
        promise(&format!("a read-only /dev (mapped: {mapped})"), || {
            let said = Test::new().run_with(|config| {
                if mapped {
                    in_user_namespace(config);
                }
                let dev = config["mounts"][1]["options"].as_array_mut().expect("the options of /dev");
                dev.push(json!("ro"));
                let script = "echo x >/dev/null && test -c /dev/tty && test -L /dev/ptmx && test -d /dev/pts && echo all
                    touch /dev/shm/x && echo shm
                    touch /dev/x 2>/dev/null && echo written
                    cat /proc/self/mountinfo";
                shell(config, script);
            });
            let said = said.ok().stdout;
            assert!(said.starts_with("all\nshm\n") && !said.contains("written"), "{said}");
            let (attributes, ..) = mounted_on(&said, "/dev").expect("it is mounted");
            assert!(has(&attributes, &["ro", "nosuid"]), "{attributes:?}");
        });
    }
}

// Options ---------------------------------------------------------------------------------------------------------

#[test]
fn recursive_attributes_reach_the_mounts_below_and_others_do_not() {
    let shown = |options: &[&str]| {
        let test = Test::new();
        let bundle = test.bundle(|config| {
            mount(config, "/tmp", "bind", "/sys", options);
            shell(config, SHOW);
        });
        let said = test.run(&bundle).ok().stdout;
        ["/tmp", "/tmp/fs/cgroup"].map(|place| mounted_on(&said, place).expect("both are mounted").0)
    };
    promise("recursive attributes", || {
        let all = ["ro", "nosuid", "nodev", "noexec", "nodiratime", "noatime", "nosymfollow"];
        let recursive = all.map(|word| format!("r{word}"));
        let options = ["rbind"].into_iter().chain(recursive.iter().map(String::as_str)).collect::<Vec<_>>();
        let [above, below] = shown(&options);
        assert!(has(&above, &all) && has(&below, &all), "{above:?} {below:?}");
    });
    promise("attributes of one mount", || {
        let [above, below] = shown(&["rbind", "nodiratime", "nosymfollow"]);
        let wanted = ["nodiratime", "nosymfollow"];
        assert!(has(&above, &wanted), "{above:?}");
        assert!(!below.iter().any(|one| wanted.contains(&one.as_str())), "{below:?}");
    });
}

#[test]
fn any_file_system_is_mounted_by_its_type_with_its_own_options() {
    let test = Test::new();
    let layers = ["lower", "upper", "work"].map(|name| test.directory.join(name));
    for layer in &layers {
        fs::create_dir(layer).expect("a directory can be made");
    }
    let [lower, upper, work] = layers.map(|layer| text(&layer));
    fs::write(format!("{lower}/file"), "lower\n").expect("a file can be written");
    let bundle = test.bundle(|config| {
        let options = [format!("lowerdir={lower}"), format!("upperdir={upper}"), format!("workdir={work}")];
        mount(config, "/tmp", "overlay", "overlay", &options.each_ref().map(String::as_str));
        shell(config, "cat /tmp/file; echo changed >/tmp/file");
    });
    assert_eq!(test.run(&bundle).ok().stdout, "lower\n");
    assert_eq!(fs::read_to_string(format!("{upper}/file")).unwrap_or_default(), "changed\n");
    promise("an option that the file system does not know", || {
        test.run_with(|config| mount(config, "/tmp", "tmpfs", "tmpfs", &["odd=1"]))
            .fails_with(&["invalid argument"]);
    });
    promise("an option of a file system on a bind mount", || {
        test.run_with(|config| mount(config, "/tmp", "bind", "/etc", &["bind", "size=1m"]))
            .fails_with(&["bind"]);
    });
}
