//! What the mending of one advisory or another has broken elsewhere.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};

use integration::bundle::{mount, namespace, shell};
use integration::command::Call;
use integration::test::text;
use integration::{Test, World};
use serde_json::json;

use crate::room::{exec, on_each_resolver, sleeping, writable};

#[test]
fn runc_4971_a_tmpfs_has_the_mode_that_was_asked_for() {
    let test = Test::new();
    let bundle = test.bundle(|config| {
        writable(config);
        mount(config, "/there", "tmpfs", "tmpfs", &[]);
        mount(config, "/asked", "tmpfs", "tmpfs", &["mode=1700"]);
        mount(config, "/copied", "tmpfs", "tmpfs", &["tmpcopyup"]);
        shell(config, "stat -c %a /there /asked /copied; ls /copied");
    });
    for (name, mode) in [("there", 0o710), ("asked", 0o755), ("copied", 0o750)] {
        fs::create_dir(bundle.inside(name)).expect("the root is ours");
        fs::set_permissions(bundle.inside(name), PermissionsExt::from_mode(mode)).expect("the root is ours");
    }
    fs::write(bundle.inside("copied/file"), "").expect("the root is ours");
    assert_eq!(test.run(&bundle).ok().stdout, "710\n1700\n750\nfile\n");
}

#[test]
fn runc_4985_a_dangling_link_is_a_destination() {
    on_each_resolver(|test| {
        let bundle = test.bundle(|config| {
            writable(config);
            mount(config, "/var/run", "tmpfs", "marked", &["size=64k"]);
            mount(config, "/etc/resolv", "bind", "/etc/hosts", &["bind"]);
            shell(
                config,
                "grep -c marked /proc/self/mountinfo; [ -d /run ] && [ -s /made/for/it ] && echo there",
            );
        });
        symlink("/run", bundle.inside("var/run")).expect("a link can be made");
        symlink("../made/for/it", bundle.inside("etc/resolv")).expect("a link can be made");
        assert_eq!(test.run(&bundle).ok().stdout, "1\nthere\n");
    });
}

#[test]
fn runc_5082_a_container_with_few_descriptors_can_be_entered() {
    let test = Test::new();
    for limit in [16, 32] {
        let container = sleeping(&test, |config| {
            config["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": limit, "hard": limit}]);
        });
        let said = exec(&test, &container, &[], &["/bin/sh", "-c", "ulimit -n"]);
        assert_eq!(said.ok().stdout, format!("{limit}\n"));
    }
}

#[test]
fn runc_1980_little_memory_is_enough() {
    let Some(world) = World::with("memory") else { return };
    let test = Test::at(world);
    let container = sleeping(&test, |config| {
        config["linux"]["resources"]["memory"] = json!({"limit": 10 << 20});
    });
    assert_eq!(exec(&test, &container, &[], &["/bin/echo", "inside"]).ok().stdout, "inside\n");
}

#[test]
fn runc_4543_containers_that_share_a_root_make_the_same_directories_at_once() {
    on_each_resolver(|test| {
        for _ in 0..5 {
            let root = test.bundle(|_| {}).inside("");
            let share = |_| {
                let bundle = test.bundle(|config| {
                    writable(config);
                    config["root"]["path"] = json!(text(&root));
                    (0..20).for_each(|number| {
                        mount(config, &format!("/made/{number}/for/all"), "tmpfs", "tmpfs", &["size=4k"]);
                        mount(config, &format!("/made/{number}/file"), "bind", "/etc/hosts", &["bind"]);
                    });
                });
                test.call(&["run", "--bundle", &text(&bundle.path), &test.fresh()])
            };
            let calls: Vec<_> = (0..4).map(share).collect();
            let running: Vec<_> = calls.into_iter().map(Call::spawn).collect();
            running.into_iter().for_each(|one| drop(one.finish().ok()));
        }
    });
}

#[test]
fn crun_1_27_1_mounts_of_the_host_arrive_and_ours_do_not_leave() {
    let test = Test::new();
    let shared = test.directory.join("shared");
    fs::create_dir_all(shared.join("later")).expect("a directory can be made");
    let bundle = test.bundle(|config| {
        writable(config);
        config["linux"]["rootfsPropagation"] = json!("rslave");
        mount(config, "/shared", "bind", &text(&shared), &["rbind", "rslave"]);
        mount(config, "/shared/own", "tmpfs", "ours", &["size=4k"]);
        shell(config, "grep -c 'master:.* - tmpfs theirs ' /proc/self/mountinfo");
    });
    fs::create_dir(shared.join("own")).expect("a directory can be made");
    let place = text(&shared);
    let script = format!(
        "exec unshare --mount --propagation private sh -c 'mount --bind {place} {place} && mount --make-shared {place} && mount -t tmpfs theirs {place}/later && \"$@\" && ! grep \" - tmpfs ours \" /proc/self/mountinfo' sh \"$@\""
    );
    let outcome = test.call_by(&script, &["run", "--bundle", &text(&bundle.path), &test.fresh()]).run();
    assert_eq!(outcome.ok().stdout, "1\n");
}

#[test]
fn crun_1_29_1_a_procfs_keeps_its_own_mode() {
    let test = Test::new();
    let bundle = test.bundle(|config| shell(config, "stat -c %a /proc /sys /dev /dev/shm"));
    for name in ["proc", "sys", "dev"] {
        fs::set_permissions(bundle.inside(name), PermissionsExt::from_mode(0o700)).expect("the root is ours");
    }
    assert_eq!(test.run(&bundle).ok().stdout, "555\n555\n755\n1777\n");
}

#[test]
fn crun_1_15_usual_working_directories_are_accepted() {
    on_each_resolver(|test| {
        for (cwd, seen) in [
            ("/", "/\n"),
            ("/tmp", "/tmp\n"),
            ("/link", "/tmp\n"),
            ("/new/one", "/new/one\n"),
            ("/(unreachable)", "/(unreachable)\n"),
        ] {
            let bundle = test.bundle(|config| {
                writable(config);
                config["process"]["cwd"] = json!(cwd);
                shell(config, "pwd -P");
            });
            symlink("tmp", bundle.inside("link")).expect("a link can be made");
            assert_eq!(test.run(&bundle).ok().stdout, seen, "{cwd}");
        }
    });
}

/// A host with thousands of masked directories shall not have thousands of file systems.
#[test]
fn runc_5275_runc_5348_masked_directories_share_a_file_system() {
    let test = Test::new();
    let bundle = test.bundle(|config| {
        let paths: Vec<String> = (0..100).map(|number| format!("/secrets/{number}")).collect();
        config["linux"]["maskedPaths"] = json!(paths);
        shell(config, "for d in /secrets/*; do ls -A $d; done; cat /proc/self/mountinfo");
    });
    for number in 0..100 {
        fs::create_dir_all(bundle.inside(&format!("secrets/{number}/deep"))).expect("the root is ours");
    }
    let said = test.run(&bundle).ok().stdout;
    let masks = said.lines().filter(|line| line.contains(" /secrets/"));
    let devices: Vec<&str> = masks.filter_map(|line| line.split(' ').nth(2)).collect();
    assert_eq!(devices.len(), 100, "{said}");
    assert_eq!(devices.into_iter().collect::<BTreeSet<_>>().len(), 1);
    assert!(!said.contains("deep"));
}

/// Joining the namespaces of somebody else must work with all defences on.
#[test]
fn cve_2025_52881_a_container_in_the_namespaces_of_another_starts() {
    let test = Test::new();
    let owner = sleeping(&test, |_| {});
    let said = test.run_with(|config| {
        for (kind, name) in [("network", "net"), ("ipc", "ipc"), ("uts", "uts")] {
            namespace(
                config,
                kind,
                Some(json!({"type": kind, "path": format!("/proc/{}/ns/{name}", owner.pid)})),
            );
        }
        config.as_object_mut().expect("an object").remove("hostname");
        shell(config, "readlink /proc/self/ns/net");
    });
    assert_eq!(said.ok().stdout.trim(), owner.namespace("net"));
}
