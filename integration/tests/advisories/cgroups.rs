//! The container's own cgroup, and no other.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use integration::bundle::{mount, namespace, shell};
use integration::runtime::find;
use integration::test::text;
use integration::user::{mapped, without_path, worlds};
use integration::{Container, Test, World, runtime};
use serde_json::{Value, json};

use crate::room::{capabilities, exec, says, sleeping, user_namespace, without_mounts};

/// Tries to make and to enter cgroups, wherever some are seen, as whoever one is there.
const CLIMB: &str = "for d in $(find /sys/fs/cgroup -maxdepth 3 -type d) /sys/fs/cgroup /sys/fs/cgroup/*; do
    mkdir $d/climbed 2>/dev/null && [ -e $d/climbed/cgroup.procs ] && echo made $d/climbed; done;
    for f in $(find /sys/fs/cgroup -maxdepth 3 -name cgroup.procs -o -maxdepth 3 -name release_agent); do
    (echo 0 > $f) 2>/dev/null && echo wrote $f; done; echo end";

fn without_cgroup_namespace(config: &mut Value, options: &[&str]) {
    namespace(config, "cgroup", None);
    without_mounts(config, |place| place == "/sys/fs/cgroup");
    mount(config, "/sys/fs/cgroup", "cgroup", "cgroup", options);
    shell(config, &CLIMB.replace("find", "/bin/busybox find"));
}

#[test]
fn cve_2023_25809_the_callers_cgroups_cannot_be_written() {
    let options = [&["nosuid", "noexec", "nodev", "relatime", "ro"][..], &["nosuid", "noexec", "nodev"]];
    for world in World::all() {
        for options in options {
            let test = Test::at(world);
            let outcome = test.run_with(|config| {
                user_namespace(config);
                without_cgroup_namespace(config, options);
            });
            let climbed: Vec<_> = outcome.stdout.lines().filter(|line| !line.contains(&test.mark)).collect();
            assert!(climbed == ["end"] || climbed.is_empty(), "{world:?}, {options:?}: {outcome:?}");
        }
        let test = Test::at(world);
        let outcome = test.run_with(|config| {
            user_namespace(config);
            namespace(config, "cgroup", None);
            namespace(config, "network", None);
            without_mounts(config, |place| place.starts_with("/sys"));
            mount(config, "/sys", "bind", "/sys", &["rbind", "ro"]);
            shell(config, &CLIMB.replace("find", "/bin/busybox find"));
        });
        assert!(["end\n", ""].contains(&&*outcome.stdout), "{world:?}, a bound /sys: {outcome:?}");
    }
}

#[test]
fn cve_2023_25809_an_ordinary_users_cgroups_cannot_be_written() {
    for world in worlds() {
        let test = Test::of_user(world);
        let outcome = test.run_with(|config| {
            mapped(config, json!([{"containerID": 0, "hostID": integration::user::UID, "size": 1}]));
            without_cgroup_namespace(config, &["nosuid", "noexec", "nodev"]);
            config["mounts"][2]["options"] = json!(["newinstance", "ptmxmode=0666"]);
            without_path(config);
        });
        assert_eq!(outcome.ok().stdout, "end\n", "{world:?}");
    }
}

/// Where the processes of a container are, as the host sees it.
fn is_inside(line: &str, own: &str) -> bool {
    line == own || line.strip_prefix(own).is_some_and(|rest| rest.starts_with('/'))
}

#[test]
fn runc_1_5_2_crun_1_29_a_further_process_stays_below_the_containers_cgroup() {
    let test = Test::new();
    let container = sleeping(&test, |config| {
        config["linux"]["cgroupsPath"] = json!(format!("/{}/ctr", test.mark));
    });
    let Some(own) = container.cgroup2() else { return };
    let parent = own.parent().expect("a cgroup has a parent").to_owned();
    let beside = ["ctr-b", "ctr2"].map(|name| parent.join(name));
    beside.iter().for_each(|place| fs::create_dir(place).expect("a cgroup can be made"));
    fs::create_dir(own.join("below")).expect("a cgroup can be made");
    let path = format!("0::/{}/ctr", test.mark);
    for wanted in [
        "../ctr-b",
        "..",
        "../ctr2",
        "below/../../ctr2",
        "/../ctr-b",
        ".",
        "below/..",
        "../ctr",
        "-b",
        "../../..",
        "/",
        "below",
    ] {
        let script = "echo $$; exec sleep 1";
        let options = ["--cgroup", wanted, "--detach", "--pid-file", &text(&test.directory.join("pid"))];
        let outcome = exec(&test, &container, &options, &["/bin/sh", "-c", script]);
        if !outcome.succeeded() {
            continue;
        }
        let pid = fs::read_to_string(test.directory.join("pid")).expect("it was written");
        let table = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        integration::command::end(pid.parse().expect("a number"));
        let line = table.lines().find(|line| line.starts_with("0::")).unwrap_or_default();
        assert!(is_inside(line, &path), "--cgroup {wanted}: {line}");
    }
    fs::remove_dir(own.join("below")).expect("nobody is there");
    beside.iter().for_each(|place| fs::remove_dir(place).expect("nobody is there"));
}

/// What is asked of a directory of cgroups is not a file of the image.
#[test]
fn runc_1_5_2_a_link_is_no_cgroup() {
    let test = Test::new();
    let bundle = test.bundle(|config| config["process"]["args"] = json!(["/bin/sleep", "1000"]));
    symlink("/sys/fs/cgroup", bundle.inside("link")).expect("a link can be made");
    let container = test.start(&bundle);
    for name in ["link", "/link", "../../../link"] {
        assert!(!exec(&test, &container, &["--cgroup", name], &["/bin/true"]).succeeded(), "{name}");
    }
}

/// A program of version 1 that is run on the host when a cgroup becomes empty.
#[test]
fn cve_2022_0492_the_release_agent_cannot_be_set() {
    for world in World::all() {
        for (mapped, names) in [(false, &[][..]), (true, &[]), (true, &["CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE"])]
        {
            let test = Test::at(world);
            let script = "f=/tmp/m; for f in $(/bin/busybox find /sys/fs/cgroup -name release_agent); do (echo /x > $f) 2>/dev/null && echo set $f; done;
                mkdir -p /dev/shm/m; mount -t cgroup -o memory none /dev/shm/m 2>/dev/null && (echo /x > /dev/shm/m/release_agent) 2>/dev/null && echo set mounted; echo end";
            let said = test.run_with(|config| {
                if mapped {
                    user_namespace(config);
                }
                capabilities(config, names);
                shell(config, script);
            });
            assert_eq!(said.ok().stdout, "end\n", "{world:?}, mapped: {mapped}");
        }
    }
}

/// Limits count for nothing if the process is elsewhere.
#[test]
fn cve_2025_47291_a_container_is_where_its_configuration_says() {
    fn all_inside(container: &Container<'_>, path: &str) {
        let hierarchies = container.world().hierarchies();
        let table = container.proc("cgroup");
        for hierarchy in hierarchies {
            let line = table
                .lines()
                .find(|line| line.split(':').nth(1) == Some(&hierarchy.name))
                .unwrap_or_default();
            assert!(line.ends_with(path), "{hierarchy:?}: {table}");
        }
    }
    for world in World::all() {
        let test = Test::at(world);
        let path = |name: &str| format!("/{}/{name}", test.mark);
        let plain = sleeping(&test, |config| config["linux"]["cgroupsPath"] = json!(path("plain")));
        all_inside(&plain, &path("plain"));
        let owner = sleeping(&test, |config| {
            user_namespace(config);
            config["linux"]["cgroupsPath"] = json!(path("owner"));
        });
        all_inside(&owner, &path("owner"));
        let joined = sleeping(&test, |config| {
            user_namespace(config);
            let place = format!("/proc/{}/ns/user", owner.pid);
            namespace(config, "user", Some(json!({"type": "user", "path": place})));
            config["linux"]["cgroupsPath"] = json!(path("joined"));
        });
        all_inside(&joined, &path("joined"));
        if world == World::Unified {
            let line = says(&test, &joined, &[], "echo $$ > /dev/null; cat /proc/self/cgroup");
            assert!(line.lines().any(|line| line == "0::/"), "{line}");
        }
    }
}

/// Some kernels write eight bytes at offset 56 of what they are asked with, whatever its size.
#[test]
fn cgroups_69_programs_are_asked_for_with_room_for_every_answer() {
    const ANSWER_ENDS: usize = 64;
    let strace = find(Path::new("strace")).expect("these tests need strace");
    let test = Test::new();
    let (trace, root) = (text(&test.directory.join("trace")), text(&test.state_root()));
    let bundle = test.bundle(|_| {});
    let own = text(&runtime().path);
    let arguments = ["-f", "-qq", "-e", "trace=bpf", "-o", &trace, &own, "--root", &root, "run", "--bundle"];
    test.program(&strace, &[&arguments[..], &[&text(&bundle.path), &test.fresh()]].concat()).run().ok();
    let trace = fs::read_to_string(trace).expect("a trace was written");
    let sizes: Vec<usize> = trace.lines().filter_map(size_of_question).collect();
    assert!(!sizes.is_empty() && sizes.iter().all(|size| *size >= ANSWER_ENDS), "{sizes:?}: {trace}");
}

/// The last argument of a call of bpf(2).
fn size_of_question(line: &str) -> Option<usize> {
    let (call, _) = line.rsplit_once(") = ")?;
    call.contains("bpf(").then(|| call.rsplit(", ").next()?.parse().ok())?
}
