//! What an ordinary user mounts.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use integration::bundle::{mount, namespace, shell};
use integration::test::text;
use integration::user::{self, SUBID, SUBIDS, alone, mapped, ours, without_path, worlds};
use integration::{Bundle, Test};
use rustix::io::Errno;
use serde_json::json;

#[test]
fn the_callers_cgroups_are_covered_or_read_only() {
    if !ours() {
        return;
    }
    for private in [false, true] {
        let test = Test::of_user_with_cgroup();
        let places = format!("/sys/fs/cgroup /sys/fs/cgroup/session /sys/fs/cgroup/{}/session", test.mark);
        let bundle = test.bundle(|config| {
            alone(config);
            if !private {
                namespace(config, "cgroup", None);
            }
            let mounts = config["mounts"].as_array_mut().expect("a list");
            mounts.retain(|mount| mount["destination"] != "/sys" && mount["destination"] != "/sys/fs/cgroup");
            mount(config, "/sys", "none", "/sys", &["rbind", "nosuid", "noexec", "nodev", "ro"]);
            mount(config, "/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "rw"]);
            shell(
                config,
                &format!("for d in {places}; do mkdir $d/new 2>&1 && echo made $d/new; done; true"),
            );
        });
        let run = ["--cgroup-manager=disabled", "run", "--bundle", &text(&bundle.path), &test.fresh()];
        let said = test.runtime(&run).ok().stdout;
        assert!(said.contains("Read-only file system") && !said.contains("made"), "{said}");
    }
}

#[test]
fn a_source_is_reached_as_the_user_whoever_the_containers_root_is() {
    for world in worlds() {
        let test = Test::of_user(world);
        let bundle = test.bundle(|_| ());
        let private = bundle.path.join("private");
        fs::create_dir_all(private.join("inner")).expect("a directory");
        fs::write(private.join("inner/file"), "reached\n").expect("a file");
        user::give_all(&private);
        fs::set_permissions(&private, PermissionsExt::from_mode(0o700)).expect("its mode");
        let bundle = Bundle {
            path: bundle.path.clone(),
            ..test.bundle(|config| {
                without_path(config);
                mapped(config, json!([{"containerID": 0, "hostID": SUBID, "size": SUBIDS}]));
                mount(config, "/tmp", "none", &text(&private.join("inner")), &["bind", "ro", "nosuid"]);
                shell(config, "cat /tmp/file; touch /tmp/x 2>&1; grep ' /tmp ' /proc/self/mountinfo");
            })
        };
        bundle.write();
        let said = test.run(&bundle).ok().stdout;
        assert!(said.starts_with("reached\n") && said.contains("Read-only file system"), "{said}");
        assert!(said.contains("ro,nosuid"), "{said}");
    }
}

#[test]
fn a_failure_inside_is_told_though_something_is_to_be_opened_there() {
    let Some(world) = worlds().pop() else { return };
    let test = Test::of_user(world);
    test.run_with(|config| {
        alone(config);
        without_path(config);
        // After it come the devices.
        mount(config, "/tmp", "nonsense", "none", &[]);
    })
    .fails_with(&["cannot mount nonsense on /tmp", "/mounts/"]);
}

#[test]
fn a_source_with_mounts_below_needs_a_recursive_bind() {
    let Some(world) = worlds().pop() else { return };
    let test = Test::of_user(world);
    let bundle = test.bundle(|config| {
        alone(config);
        without_path(config);
        mount(config, "/tmp", "none", "/sys", &["bind"]);
    });
    test.run(&bundle).fails_with(&["use rbind"]);
}

#[test]
fn in_the_hosts_network_the_hosts_sysfs_is_attached_and_read_only() {
    for world in worlds() {
        let test = Test::of_user(world);
        let bundle = test.bundle(|config| {
            alone(config);
            without_path(config);
            namespace(config, "network", None);
            let mounts = config["mounts"].as_array_mut().expect("a list");
            let sysfs = mounts.iter_mut().find(|mount| mount["type"] == "sysfs").expect("there is one");
            // Read-only without being told to be.
            sysfs["options"] = json!(["nosuid"]);
            let script =
                "ls -d /sys/class/net; grep '/ /sys ' /proc/self/mountinfo; mkdir /sys/fs/cgroup/new || true";
            shell(config, script);
        });
        let said = test.run(&bundle).ok().stdout;
        let lines: Vec<_> = said.lines().collect();
        assert!(
            lines.len() == 2 && lines[0] == "/sys/class/net" && lines[1].contains(" ro,nosuid"),
            "{said}"
        );
    }
}

#[test]
fn without_newer_calls_a_user_has_containers_all_the_same() {
    for world in worlds() {
        for errno in [Errno::NOSYS, Errno::PERM] {
            let test =
                Test::of_user(world).without(errno, &["clone3", "open_tree", "move_mount", "mount_setattr"]);
            let bundle = test.bundle(|config| {
                alone(config);
                without_path(config);
                mount(config, "/tmp", "none", "/usr/share", &["rbind", "ro", "nosuid", "nodev"]);
                shell(config, "echo fine > /dev/null && id -u && grep -c ' /tmp ' /proc/self/mountinfo");
            });
            assert_eq!(test.run(&bundle).ok().stdout, "0\n1\n", "{errno}");
        }
        let test = Test::of_user(world).without(Errno::NOSYS, &["clone3"]);
        let bundle = test.bundle(|config| {
            alone(config);
            without_path(config);
            mount(config, "/tmp", "none", "/usr/share", &["rbind", "ro"]);
            shell(config, "id -u; ls /tmp | wc -l");
        });
        assert!(test.run(&bundle).ok().stdout.starts_with("0\n"), "without clone3");
    }
}
