//! What the container finds below its root.

use std::fs;
use std::os::unix::fs::symlink;

use integration::bundle::{mount, shell};
use integration::test::text;
use integration::{Bundle, Test, World, promise};
use serde_json::{Value, json};

/// A bundle whose container runs a script after one more mount.
fn mounted(test: &Test, place: &str, kind: &str, source: &str, options: &[&str], script: &str) -> Bundle {
    test.bundle(|config| {
        config["root"]["readonly"] = json!(false);
        mount(config, place, kind, source, options);
        shell(config, script);
    })
}

/// The mount table as the container sees it, below one place: `options type` of the last mount there.
fn seen_at(test: &Test, bundle: &Bundle, place: &str) -> (Vec<String>, String) {
    let table = test.run(bundle).ok().stdout;
    let found = procfs_lines(&table).rfind(|mount| mount.mount_point.to_str() == Some(place));
    let found = found.unwrap_or_else(|| panic!("nothing on {place}: {table}"));
    let both = found.mount_options.into_iter().chain(found.super_options).map(|(name, value)| match value {
        Some(value) => format!("{name}={value}"),
        None => name,
    });
    (both.collect(), found.fs_type)
}

fn procfs_lines(table: &str) -> std::vec::IntoIter<procfs::process::MountInfo> {
    let parse = |line| procfs::process::MountInfo::from_line(line).expect("a line of a mount table");
    table.lines().map(parse).collect::<Vec<_>>().into_iter()
}

const SHOW: &str = "cat /proc/self/mountinfo";

#[test]
fn every_mount_option_arrives() {
    let test = Test::new();
    for (option, shown) in [
        ("ro", "ro"),
        ("nosuid", "nosuid"),
        ("nodev", "nodev"),
        ("noexec", "noexec"),
        ("noatime", "noatime"),
        ("relatime", "relatime"),
        ("nodiratime", "nodiratime"),
        ("size=128k", "size=128k"),
        ("mode=700", "mode=700"),
        ("nr_inodes=100", "nr_inodes=100"),
        ("uid=7", "uid=7"),
        ("dirsync", "dirsync"),
        ("sync", "sync"),
    ] {
        let (options, kind) =
            seen_at(&test, &mounted(&test, "/data", "tmpfs", "tmpfs", &[option], SHOW), "/data");
        assert!(kind == "tmpfs" && options.iter().any(|one| one == shown), "{option}: {options:?}");
    }
}

#[test]
fn a_bind_mount_shows_the_source_and_keeps_its_options() {
    let test = Test::new();
    let source = test.directory.join("source");
    fs::create_dir(&source).expect("a directory can be made");
    fs::write(source.join("file"), "content\n").expect("a file can be written");
    for (options, wanted) in [(&["bind"][..], "rw"), (&["bind", "ro"], "ro"), (&["rbind", "rro"], "ro")] {
        promise(&format!("a bind mount with {options:?}"), || {
            let test = Test::new();
            let bundle = mounted(&test, "/data", "bind", &text(&source), options, SHOW);
            let (seen, _) = seen_at(&test, &bundle, "/data");
            assert!(seen.iter().any(|one| one == wanted), "{options:?}: {seen:?}");
        });
    }
    let said = test.run(&mounted(
        &test,
        "/data",
        "bind",
        &text(&source),
        &["bind", "ro"],
        "cat /data/file; ! touch /data/new 2>/dev/null",
    ));
    assert_eq!(said.ok().stdout, "content\n");
}

#[test]
fn a_file_is_bound_to_a_missing_file() {
    let test = Test::new();
    let source = test.directory.join("file");
    fs::write(&source, "content\n").expect("a file can be written");
    let bundle = mounted(&test, "/new/place/file", "bind", &text(&source), &["bind"], "cat /new/place/file");
    assert_eq!(test.run(&bundle).ok().stdout, "content\n");
}

#[test]
fn a_missing_source_is_an_error_that_leaves_nothing() {
    promise("a missing source", || {
        let test = Test::new();
        let outcome = test.run(&mounted(&test, "/data", "bind", "/not/there", &["bind"], "true"));
        outcome.fails_with(&["no such file"]);
    });
}

#[test]
fn mounts_are_made_in_their_order() {
    let test = Test::new();
    let bundle = test.bundle(|config| {
        config["root"]["readonly"] = json!(false);
        mount(config, "/a", "tmpfs", "first", &[]);
        mount(config, "/a/b", "tmpfs", "second", &[]);
        mount(config, "/a", "tmpfs", "third", &[]);
        shell(config, "ls /a; cat /proc/self/mountinfo");
    });
    let said = test.run(&bundle).ok().stdout;
    let sources: Vec<_> = procfs_lines(&said).filter_map(|one| one.mount_source).collect();
    let ours: Vec<_> =
        sources.iter().filter(|one| ["first", "second", "third"].contains(&one.as_str())).collect();
    assert_eq!(ours, ["first", "second", "third"]);
}

#[test]
fn symlinks_in_destinations_stay_inside_the_root() {
    let test = Test::new();
    for (name, target) in [("relative", "../../../../real"), ("absolute", "/real"), ("chained", "relative")] {
        let bundle = mounted(&test, &format!("/{name}/deep"), "tmpfs", "marked", &["size=64k"], SHOW);
        fs::create_dir(bundle.inside("real")).expect("a directory can be made");
        symlink("../../../../real", bundle.inside("relative")).expect("a link can be made");
        if name != "relative" {
            symlink(target, bundle.inside(name)).expect("a link can be made");
        }
        let (_, kind) = seen_at(&test, &bundle, "/real/deep");
        assert_eq!(kind, "tmpfs", "{name}");
    }
}

#[test]
fn a_symlinked_proc_is_refused() {
    promise("a symlinked /proc is refused", || {
        let test = Test::new();
        let bundle = test.bundle(|_| {});
        fs::remove_dir(bundle.inside("proc")).expect("the directory is empty");
        fs::create_dir(bundle.inside("elsewhere")).expect("a directory can be made");
        symlink("elsewhere", bundle.inside("proc")).expect("a link can be made");
        test.run(&bundle).fails();
    });
}

#[test]
fn the_root_is_read_only_when_asked() {
    let test = Test::new();
    for (readonly, word) in [(true, "refused\n"), (false, "written\n")] {
        let bundle = test.bundle(|config| {
            config["root"]["readonly"] = json!(readonly);
            shell(config, "touch /new 2>/dev/null && echo written || echo refused");
        });
        assert_eq!(test.run(&bundle).ok().stdout, word);
        assert_eq!(bundle.inside("new").exists(), !readonly);
    }
}

#[test]
fn the_host_is_out_of_reach() {
    let test = Test::new();
    let script = "ls -d /../tmp/integration-tests /proc/1/root/tmp/integration-tests 2>/dev/null; cat /proc/self/mountinfo";
    let said = test.run_with(|config| shell(config, script)).ok().stdout;
    let stray: Vec<_> = procfs_lines(&said).filter(|mount| mount.mount_point.starts_with("/tmp")).collect();
    assert!(stray.is_empty() && !said.starts_with('/'), "{said}");
}

#[test]
fn masked_paths_read_as_nothing() {
    let test = Test::new();
    let bundle = test.bundle(|config| {
        config["linux"]["maskedPaths"] = json!(["/secret", "/secrets", "/not/there"]);
        shell(config, "cat /secret; ls /secrets; ! touch /secrets/new 2>/dev/null");
    });
    fs::write(bundle.inside("secret"), "secret\n").expect("a file can be written");
    fs::create_dir(bundle.inside("secrets")).expect("a directory can be made");
    fs::write(bundle.inside("secrets/one"), "secret\n").expect("a file can be written");
    assert_eq!(test.run(&bundle).ok().stdout, "");
}

#[test]
fn readonly_paths_refuse_writes() {
    let test = Test::new();
    let bundle = test.bundle(|config| {
        config["root"]["readonly"] = json!(false);
        config["linux"]["readonlyPaths"] = json!(["/kept", "/not/there"]);
        shell(config, "touch /kept/new 2>/dev/null && echo written; touch /other && echo other");
    });
    fs::create_dir(bundle.inside("kept")).expect("a directory can be made");
    assert_eq!(test.run(&bundle).ok().stdout, "other\n");
}

#[test]
fn devices_are_made_and_others_refused() {
    let test = Test::new();
    let open = |rules: Value| {
        let bundle = test.bundle(|config| {
            config["linux"]["devices"] = json!([{"path": "/dev/probe", "type": "c", "major": 1, "minor": 11, "fileMode": 0o646, "uid": 3, "gid": 4}]);
            config["linux"]["resources"]["devices"] = rules;
            shell(config, "stat -c '%F %t %T %a %u %g' /dev/probe; (: >>/dev/probe) 2>/dev/null && echo opened || true");
        });
        test.run(&bundle).ok().stdout
    };
    let node = "character special file 1 b 646 3 4\n";
    assert_eq!(open(json!([{"allow": false, "access": "rwm"}])), node);
    let allowed = json!([
        {"allow": false, "access": "rwm"},
        {"allow": true, "type": "c", "major": 1, "minor": 11, "access": "w"}
    ]);
    assert_eq!(open(allowed), format!("{node}opened\n"));
}

#[test]
fn default_devices_are_allowed_after_the_rules_of_the_user_in_every_world() {
    for world in World::all() {
        let test = Test::at(world);
        let said = test.run_with(|config| {
            for set in ["bounding", "effective", "permitted"] {
                config["process"]["capabilities"][set] = json!(["CAP_MKNOD"]);
            }
            config["linux"]["devices"] =
                json!([{"path": "/dev/tun", "type": "c", "major": 10, "minor": 200}]);
            config["linux"]["resources"]["devices"] = json!([{"allow": false, "access": "rwm"}]);
            let script = "cd /dev
                for name in null zero full random urandom ptmx; do (: <$name) || echo closed: $name; done
                (: <tun) 2>&1 | grep -i 'not permitted'
                (: <tty) 2>&1 | grep -i 'not permitted'
                mknod shm/char c 1 11 && mknod shm/block b 7 0 || echo not made
                (: <shm/char) 2>/dev/null && echo open
                (: <shm/block) 2>/dev/null && echo open
                (: <pts/ptmx) || echo no terminal";
            shell(config, script);
        });
        assert_eq!((said.stdout.as_str(), said.stderr.as_str()), ("", ""), "{world:?}: {said:?}");
    }
}

#[test]
fn the_hosts_ptmx_does_not_take_the_place_of_the_containers() {
    let test = Test::new();
    let outcome = test.run_with(|config| {
        config["linux"]["devices"] = json!([{"path": "/dev/ptmx", "type": "c", "major": 5, "minor": 2}]);
        shell(config, "readlink /dev/ptmx");
    });
    assert_eq!(outcome.ok().stdout, "pts/ptmx\n");
}

#[test]
fn another_file_at_the_path_of_a_device_is_an_error() {
    promise("another file at the path of a device", || {
        let test = Test::new();
        let bundle = test.bundle(|config| {
            config["linux"]["devices"] = json!([{"path": "/srv/probe", "type": "c", "major": 1, "minor": 3}]);
        });
        std::fs::create_dir_all(bundle.inside("srv")).expect("the root is ours");
        std::fs::write(bundle.inside("srv/probe"), "not a device").expect("the root is ours");
        test.try_create(&bundle).fails_with(&["file exists"]);
    });
}

#[test]
fn the_propagation_of_the_root_is_as_asked() {
    let test = Test::new();
    for (asked, word) in [("rprivate", None), ("rslave", Some("master:")), ("rshared", Some("shared:"))] {
        promise(&format!("propagation {asked}"), || {
            let said = test.run_with(|config| {
                config["linux"]["rootfsPropagation"] = json!(asked);
                shell(config, "head -n 1 /proc/self/mountinfo");
            });
            let line = said.ok().stdout;
            let tagged = line.contains("master:") || line.contains("shared:");
            // A slave of a private mount is a private mount.
            assert!(
                word.is_none_or(|word| line.contains(word) || word == "master:")
                    && (word.is_some() || !tagged),
                "{asked}: {line}"
            );
        });
    }
}

#[test]
fn a_tmpfs_can_start_with_what_is_below_it() {
    promise("tmpcopyup", || {
        let test = Test::new();
        let bundle =
            mounted(&test, "/etc", "tmpfs", "tmpfs", &["tmpcopyup"], "cat /etc/group; touch /etc/new");
        assert!(test.run(&bundle).ok().stdout.contains("tty:x:5"));
        assert!(!bundle.inside("etc/new").exists());
    });
}

#[test]
fn a_missing_rootfs_is_an_error_that_leaves_nothing() {
    let test = Test::new();
    let bundle = test.bundle(|config| config["root"]["path"] = json!("not-there"));
    test.run(&bundle).fails_with(&["no such file", "does not exist", "not-there"]);
}

#[test]
fn a_tmpfs_has_the_mode_of_the_directory_that_it_covers_if_there_is_one() {
    let test = Test::new();
    let outcome = test.run_with(|config| {
        mount(config, "/home", "tmpfs", "tmpfs", &[]);
        mount(config, "/new", "tmpfs", "tmpfs", &[]);
        shell(config, "stat -c %a /home /new");
    });
    assert_eq!(outcome.ok().stdout, "755\n1777\n");
}
