//! What lies in the root is somebody else's too, who changes it while the container is made.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use integration::attack::{Attacker, Sentinel};
use integration::bundle::{mount, shell};
use integration::test::text;
use integration::{Bundle, Test};
use rustix::fs::{CWD, FileType, Mode, XattrFlags, getxattr, lsetxattr, makedev, mknodat};
use rustix::io::Errno;
use serde_json::{Value, json};

/// How many containers are made in a race; one in two or three would be caught in the act.
const ROUNDS: usize = 40;

/// Takes the mounts at and below /dev away: what is there is the image's.
fn with_bare_dev(config: &mut Value) {
    config["root"]["readonly"] = json!(false);
    let mounts = config["mounts"].as_array_mut().expect("mounts is a list");
    mounts.retain(|mount| !mount["destination"].as_str().unwrap_or_default().starts_with("/dev"));
}

fn null_device(path: &Path, mode: Mode) {
    mknodat(CWD, path, FileType::CharacterDevice, mode, makedev(1, 3)).expect("root may make devices");
}

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).expect("it is there").mode() & 0o7777
}

#[test]
fn a_device_of_the_image_is_not_changed_but_replaced() {
    let test = Test::new();
    let bundle = test.bundle(|config| {
        with_bare_dev(config);
        shell(config, "stat -c %a /dev/null; echo x > /dev/null");
    });
    null_device(&bundle.inside("dev/null"), Mode::RUSR);
    // Another name of it, as a file of the host may have one in the root.
    let other = test.directory.join("other");
    fs::hard_link(bundle.inside("dev/null"), &other).expect("a link can be made");
    assert_eq!(test.run(&bundle).ok().stdout, "666\n");
    assert_eq!(mode(&other), 0o400);
}

#[test]
fn a_device_that_is_mounted_is_left_to_whom_it_belongs() {
    let test = Test::new();
    let device = test.directory.join("device");
    null_device(&device, Mode::RUSR | Mode::WUSR);
    let bundle = test.bundle(|config| {
        mount(config, "/dev/null", "none", &text(&device), &["bind"]);
        shell(config, "stat -c %a /dev/null; echo x > /dev/null");
    });
    assert_eq!(test.run(&bundle).ok().stdout, "600\n");
    assert_eq!(mode(&device), 0o600);
}

#[test]
fn no_mode_and_no_owner_is_set_behind_a_link_that_takes_a_devices_place() {
    for owned in [false, true] {
        let test = Test::new();
        let sentinel = Sentinel::new(&test);
        let bundle = test.bundle(|config| {
            with_bare_dev(config);
            if owned {
                let device =
                    json!({"path": "/dev/null", "type": "c", "major": 1, "minor": 3, "uid": 7, "gid": 7});
                config["linux"]["devices"] = json!([device]);
            }
        });
        let (null, link) = (bundle.inside("dev/null"), bundle.inside("dev/link"));
        for _ in 0..ROUNDS {
            let _ = (fs::remove_file(&null), fs::remove_file(&link));
            null_device(&null, Mode::RUSR);
            symlink(sentinel.join("file"), &link).expect("a link can be made");
            let attacker = Attacker::exchanging(vec![(null.clone(), link.clone())]);
            // It may fail: somebody damages its root.
            test.run(&bundle);
            drop(attacker);
            sentinel.is_untouched();
        }
    }
}

/// A bundle with a volume at /v, in which a tmpfs is mounted at /v/x, and a place at /w that is not to be changed.
fn with_volumes(test: &Test, options: &[&str], sentinel: &Path) -> Bundle {
    let volume = test.directory.join("volume");
    fs::create_dir_all(volume.join("x")).expect("a directory can be made");
    fs::write(volume.join("x/planted"), "planted").expect("a file can be written");
    fs::set_permissions(volume.join("x"), PermissionsExt::from_mode(0o1777)).expect("a mode can be set");
    let _ = symlink("/w/below", volume.join("link"));
    test.bundle(|config| {
        mount(config, "/w", "none", &text(sentinel), &["bind"]);
        mount(config, "/v", "none", &text(&volume), &["bind"]);
        mount(config, "/v/x", "tmpfs", "tmpfs", options);
    })
}

#[test]
fn what_follows_a_mount_happens_to_that_mount() {
    for options in [&["size=64k"][..], &["tmpcopyup"]] {
        let test = Test::new();
        let place = test.directory.join("place");
        fs::create_dir_all(place.join("below")).expect("a directory can be made");
        let bundle = with_volumes(&test, options, &place);
        let volume = test.directory.join("volume");
        let before = mode(&place.join("below"));
        let attacker = Attacker::exchanging(vec![(volume.join("x"), volume.join("link"))]);
        // After each mount there is time enough.
        let slowly = "exec strace -f -qq -o /dev/null -e trace=mount -e inject=mount:delay_exit=10000 \"$@\"";
        for _ in 0..ROUNDS / 2 {
            test.call_by(slowly, &["run", "--bundle", &text(&bundle.path), &test.fresh()]).run();
        }
        attacker.stop();
        assert_eq!(mode(&place.join("below")), before, "{options:?}");
        assert!(!place.join("below/planted").exists(), "{options:?}");
    }
}

#[test]
fn what_others_rename_elsewhere_does_not_matter() {
    let test = Test::new();
    let bundle = test.bundle(|config| mount(config, "/var/run/x", "tmpfs", "tmpfs", &[]));
    symlink("../run/../run", bundle.inside("var/run")).expect("a link can be made");
    fs::create_dir_all(bundle.inside("run/x")).expect("a directory can be made");
    let (one, other) = (test.directory.join("one"), test.directory.join("other"));
    fs::write(&one, "").expect("a file can be written");
    fs::write(&other, "").expect("a file can be written");
    let attackers = [(); 2].map(|()| Attacker::exchanging(vec![(one.clone(), other.clone())]));
    for _ in 0..ROUNDS / 2 {
        test.run(&bundle).ok();
    }
    attackers.into_iter().for_each(Attacker::stop);
}

#[test]
fn a_copy_has_the_owners_modes_and_attributes_of_what_it_covers() {
    let test = Test::new();
    let bundle = test.bundle(|config| {
        mount(config, "/data", "tmpfs", "tmpfs", &["tmpcopyup"]);
        config["process"]["args"] = json!(["sleep", "1000"]);
    });
    let data = bundle.inside("data");
    fs::create_dir(&data).expect("a directory can be made");
    fs::write(data.join("tool"), "#!").expect("a file can be written");
    let own = |path: &Path, mode| {
        std::os::unix::fs::chown(path, Some(7), Some(8)).expect("root gives away");
        fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("a mode can be set");
    };
    own(&data.join("tool"), 0o4750);
    own(&data, 0o710);
    // CAP_NET_RAW, effective and permitted, in the second version's form.
    let capability: Vec<u8> =
        [0x0200_0001u32, 1 << 13, 0, 0, 0].iter().flat_map(|word| word.to_le_bytes()).collect();
    let name = "security.capability";
    lsetxattr(data.join("tool"), name, &capability, XattrFlags::empty()).expect("root may");
    let container = test.start(&bundle);
    let copy = Path::new("/proc").join(container.pid.to_string()).join("root/data");
    let seen = |path: &Path| {
        let found = fs::symlink_metadata(path).expect("it was copied");
        (found.uid(), found.gid(), found.mode() & 0o7777)
    };
    assert_eq!(seen(&copy), (7, 8, 0o710));
    assert_eq!(seen(&copy.join("tool")), (7, 8, 0o4750));
    let mut value = [0; 64];
    let length = getxattr(copy.join("tool"), name, &mut value).expect("it was copied");
    assert_eq!(value[..length], capability);
}

#[test]
fn a_pipe_and_a_link_in_what_is_copied_are_copied_and_not_opened() {
    let test = Test::new();
    let sentinel = Sentinel::new(&test);
    let bundle = test.bundle(|config| {
        mount(config, "/data", "tmpfs", "tmpfs", &["tmpcopyup"]);
        shell(config, "test -p /data/pipe && test -L /data/link && readlink /data/link");
    });
    fs::create_dir(bundle.inside("data")).expect("a directory can be made");
    let pipe = bundle.inside("data/pipe");
    mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR, 0).expect("a pipe can be made");
    symlink(sentinel.join("file"), bundle.inside("data/link")).expect("a link can be made");
    let said = test.run(&bundle).ok().stdout;
    assert_eq!(said.trim(), text(&sentinel.join("file")));
}

#[test]
fn without_newer_calls_mounts_are_held_all_the_same() {
    for calls in [&["openat2"][..], &["openat2", "open_tree", "move_mount", "mount_setattr"]] {
        let test = Test::new().without(Errno::NOSYS, calls);
        let source = test.directory.join("source");
        fs::write(&source, "content\n").expect("a file can be written");
        let said = test.run_with(|config| {
            config["root"]["readonly"] = json!(false);
            mount(config, "/data", "none", &text(&source), &["bind", "ro"]);
            mount(config, "/etc", "tmpfs", "tmpfs", &["tmpcopyup", "rslave"]);
            config["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1"});
            shell(
                config,
                "cat /data; echo x 2>/dev/null > /data; head -n 1 /etc/group; cat /proc/sys/net/ipv4/ip_forward",
            );
        });
        assert_eq!(said.ok().stdout, "content\nroot:x:0:\n1\n", "without {calls:?}");
    }
}
