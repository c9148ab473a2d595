//! Defences that no other test would miss; each fails when its defence is taken out (see `specs/mutants.md`).

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::symlink;

use integration::bundle::{mount, namespace, shell};
use integration::test::text;
use integration::{Bundle, Container, Kind, Outcome, Test, runtime};
use rustix::fs::SealFlags;
use rustix::io::{Errno, FdFlags};
use serde_json::{Value, json};

fn is_ours() -> bool {
    runtime().kind == Kind::Ours
}

/// Runs a bundle in a mount namespace of its own, in which a script has prepared something.
fn run_among_mounts(test: &Test, bundle: &Bundle, prepare: &str) -> Outcome {
    let script =
        format!("exec unshare --mount --propagation private sh -c '{prepare}\nexec \"$@\"' sh \"$@\"");
    let (path, id) = (text(&bundle.path), test.fresh());
    test.call_by(&script, &["run", "--bundle", &path, &id]).run()
}

/// D3, CVE-2025-31133: what covers masked files is the null device, and not whatever has its name.
#[test]
fn a_null_device_that_is_none_covers_nothing() {
    if !is_ours() {
        return;
    }
    let test = Test::new();
    let bundle = test.bundle(|config| {
        config["linux"]["maskedPaths"] = json!(["/proc/meminfo"]);
        shell(config, "cat /proc/meminfo");
    });
    let decoy = test.directory.join("decoy");
    fs::write(&decoy, "decoy").expect("the test's directory is ours");
    // The runtime's own streams keep the real one.
    let prepare = format!("mount --bind {} /dev/null", text(&decoy));
    let outcome = run_among_mounts(&test, &bundle, &prepare).fails();
    assert!(!outcome.stdout.contains("decoy"), "{outcome:#?}");
}

/// D4, CVE-2025-52881: parameters go to the kernel's procfs, and not to what lies at its place.
#[test]
fn parameters_are_not_written_to_a_decoy() {
    if !is_ours() {
        return;
    }
    let test = Test::new();
    let bundle = test.bundle(|config| {
        config["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1"});
        shell(config, "cat /proc/sys/net/ipv4/ip_forward");
    });
    let decoy = test.directory.join("decoy");
    fs::create_dir_all(decoy.join("net/ipv4")).expect("the test's directory is ours");
    fs::write(decoy.join("net/ipv4/ip_forward"), "none").expect("the test's directory is ours");
    // A mount on the file itself is not there for the container's network, which has files of its own.
    run_among_mounts(&test, &bundle, &format!("mount --bind {} /proc/sys", text(&decoy))).fails();
    let written = fs::read_to_string(decoy.join("net/ipv4/ip_forward")).expect("the decoy is there still");
    assert_eq!(written, "none");
}

/// D9, CVE-2019-5736: what is executed inside before the program can be changed by nobody.
#[test]
fn the_init_program_is_sealed() {
    if !is_ours() {
        return;
    }
    let test = Test::new();
    let container: Container<'_> = test.create(&test.bundle(|_| {}));
    let image = File::open(format!("/proc/{}/exe", container.pid)).expect("root may read it");
    let seals = rustix::fs::fcntl_get_seals(&image).expect("it is a file in memory");
    let all = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    assert!(seals.contains(all), "{seals:?}");
}

/// D10, CVE-2024-21626: a descriptor that the program is to have is no way out for its working directory.
#[test]
fn the_working_directory_is_inside_even_where_a_descriptor_leads_out() {
    if !is_ours() {
        return;
    }
    let test = Test::new();
    let outside = File::open(&test.directory).expect("the test's directory is ours");
    rustix::io::fcntl_setfd(&outside, FdFlags::empty()).expect("a descriptor has flags");
    let bundle = test.bundle(|config| {
        config["process"]["cwd"] = json!("/proc/self/fd/3");
        shell(config, "echo inside");
    });
    let (path, id) = (text(&bundle.path), test.fresh());
    let script = format!("exec 3<&{}; exec \"$@\"", outside.as_raw_fd());
    // More than a digit takes another shell.
    let script = format!("exec bash -c '{script}' sh \"$@\"");
    let run = ["run", "--preserve-fds", "1", "--bundle", &path, &id];
    let outcome = test.call_by(&script, &run).run().fails();
    assert_eq!(outcome.stdout, "");
}

/// D1: a link of procfs that leads anywhere leads nowhere, whoever resolves it.
#[test]
fn links_of_proc_lead_no_mount_out() {
    if !is_ours() {
        return;
    }
    let out = |test: &Test| {
        let bundle = test.bundle(|config| {
            config["root"]["readonly"] = json!(false);
            mount(config, "/link/tmp", "tmpfs", "tmpfs", &["size=64k"]);
        });
        symlink("/proc/self/root", bundle.inside("link")).expect("the root is ours");
        test.run(&bundle).fails_with(&["too many levels", "not permitted"]);
    };
    out(&Test::new());
    out(&Test::new().without(Errno::NOSYS, &["openat2"]));
}

/// D22: as many links as the kernel follows are followed, and no more, whoever counts.
#[test]
fn more_links_than_the_kernel_follows_are_refused() {
    if !is_ours() {
        return;
    }
    let chained = |test: &Test, links: u32| {
        let bundle = test.bundle(|config| {
            config["root"]["readonly"] = json!(false);
            mount(config, "/link0", "tmpfs", "tmpfs", &["size=64k"]);
        });
        for number in 0..links {
            let target = if number + 1 == links { "tmp".into() } else { format!("link{}", number + 1) };
            symlink(target, bundle.inside(&format!("link{number}"))).expect("the root is ours");
        }
        test.run(&bundle)
    };
    for test in [Test::new(), Test::new().without(Errno::NOSYS, &["openat2"])] {
        chained(&test, 40).ok();
        chained(&test, 41).fails_with(&["too many levels"]);
    }
}

/// D12, CVE-2016-3697, CVE-2026-30892: a user is numbers, and what is none is nobody, least of all root.
#[test]
fn a_user_is_a_number_or_an_error() {
    if !is_ours() {
        return;
    }
    let test = Test::new();
    let container =
        test.start(&test.bundle(|config| config["process"]["args"] = json!(["/bin/sleep", "1000"])));
    let as_user =
        |user: &str| test.runtime(&["exec", "--user", user, &container.id, "/bin/sh", "-c", "id -u; id -g"]);
    for (user, said) in [("1", "1\n0\n"), ("1000:1000", "1000\n1000\n"), ("65534:7", "65534\n7\n")] {
        assert_eq!(as_user(user).ok().stdout, said, "{user}");
    }
    for user in [
        "+1",
        "-1",
        "4294967295",
        "4294967296",
        "18446744073709551616",
        "1x",
        " 1",
        "1:",
        ":1",
        "1:2:3",
        "root",
        "1:x",
    ] {
        assert_eq!(as_user(user).fails().stdout, "", "{user}");
    }
}

/// D16, GHSA-g54h-m393-cpwq: no rules deny.
#[test]
fn an_empty_list_of_rules_allows_no_device() {
    for rules in [json!([]), Value::Null] {
        let test = Test::new();
        let said = test.run_with(|config| {
            config["linux"]["resources"]["devices"] = rules;
            config["linux"]["devices"] = json!([{"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11}]);
            shell(config, "(: </dev/kmsg) 2>/dev/null && echo open; (: </dev/zero) && echo zero");
        });
        assert_eq!(said.ok().stdout, "zero\n");
    }
}

/// D20: parameters of the host are not a container's to set.
#[test]
fn parameters_of_the_hosts_namespaces_are_refused() {
    if !is_ours() {
        return;
    }
    let now = |path: &str| fs::read_to_string(path).expect("it can be read").trim().to_owned();
    let test = Test::new();
    for (key, path, kind) in [
        ("net.ipv4.ip_forward", "/proc/sys/net/ipv4/ip_forward", "network"),
        ("kernel.shm_rmid_forced", "/proc/sys/kernel/shm_rmid_forced", "ipc"),
        ("kernel.pid_max", "/proc/sys/kernel/pid_max", "cgroup"),
    ] {
        // It is what it would be set to already.
        let outcome = test.run_with(|config| {
            namespace(config, kind, None);
            config["mounts"].as_array_mut().expect("a list").truncate(4);
            config["linux"]["sysctl"] = json!({key: now(path)});
        });
        outcome.fails_with(&["sysctl"]);
    }
}

/// D22, CVE-2024-9676: what is no regular file may be anything, and is not read.
#[test]
fn a_planted_passwd_file_is_not_read() {
    if !is_ours() {
        return;
    }
    let test = Test::new();
    // A terminal whose other side says who is who.
    let (master, name) = terminal();
    let bundle = test.bundle(|config| {
        mount(config, "/etc/passwd", "bind", &name, &["bind"]);
        config["linux"]["resources"]["devices"] = json!([{"allow": true, "access": "rwm"}]);
        shell(config, "echo $HOME");
    });
    rustix::io::write(&master, b"root:x:0:0:root:/planted:/bin/sh\n").expect("the terminal is ours");
    assert_eq!(test.run(&bundle).ok().stdout, "/\n");
}

/// A terminal: its master, and the path of its other side, which stays open as long as the master.
fn terminal() -> (std::os::fd::OwnedFd, String) {
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("there are terminals");
    grantpt(&master).expect("it is ours");
    unlockpt(&master).expect("it is ours");
    let name = ptsname(&master, Vec::new()).expect("it has a name").into_string().expect("it is plain text");
    (master, name)
}

/// D4: what is dropped, and what is ignored no longer, depends on what the caller has. A file that claims that he has
/// nothing lies where he is described, or another process does.
#[test]
fn what_is_said_of_somebody_else_is_not_believed_of_the_caller() {
    if !is_ours() {
        return;
    }
    let test = Test::new();
    let bundle = test.bundle(|config| {
        let kill = json!(["CAP_KILL"]);
        config["process"]["capabilities"] = json!({"bounding": kill, "effective": kill, "permitted": kill});
        shell(config, "grep -E \"^(CapBnd|SigIgn)\" /proc/self/status");
    });
    let decoy = test.directory.join("decoy");
    fs::create_dir(&decoy).expect("a directory can be made");
    let claims = "NSpid:\t1\nUid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\nCapPrm:\t0\nCapBnd:\t0\nSigIgn:\t0\n";
    fs::write(decoy.join("status"), claims).expect("a file can be written");
    let decoy = text(&decoy);
    for script in [
        format!("mount --bind {decoy}/status /proc/$$/task/$$/status"),
        format!("mount --bind {decoy}/status /proc/$$/status"),
        "mount --bind /proc/1/task/1 /proc/$$/task/$$".into(),
        "mount --bind /proc/1 /proc/$$".into(),
    ] {
        let said = run_among_mounts(&test, &bundle, &format!("trap \"\" TERM; {script}")).ok().stdout;
        // The shell inside ignores QUIT by itself.
        assert_eq!(said, "SigIgn:\t0000000000000004\nCapBnd:\t0000000000000020\n", "{script}");
    }
}
