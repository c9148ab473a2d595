//! Roots that are awkward and legal: each works, or is refused with one clear sentence, and leaves nothing.

use std::fs;
use std::os::unix::fs::symlink;

use integration::bundle::{mount, shell};
use integration::command::is_refused;
use integration::test::text;
use integration::{Bundle, Outcome, Test};
use serde_json::{Value, json};

/// Runs a bundle in a mount namespace of its own, in which a script has prepared something; `$B` is the bundle.
fn run_after(test: &Test, bundle: &Bundle, prepare: &str) -> Outcome {
    let script = format!("set -e; {prepare}\nexec \"$@\"");
    let script = format!("exec unshare --mount --propagation private sh -c '{script}' sh \"$@\"");
    let (path, id) = (text(&bundle.path), test.fresh());
    test.call_by(&script, &["run", "--bundle", &path, &id]).env("B", &path).run()
}

/// A bundle that says "fine" when its program runs.
fn fine(test: &Test, edit: impl FnOnce(&mut Value)) -> Bundle {
    test.bundle(|config| {
        shell(config, "test -r /etc/passwd && test -c /dev/null && echo fine");
        edit(config);
    })
}

#[track_caller]
fn is_fine(outcome: Outcome) {
    assert_eq!(outcome.ok().stdout, "fine\n");
}

#[test]
fn links_of_the_image_lead_where_they_lead_inside() {
    let test = Test::new();
    for (link, target, below) in [
        ("var/run", "/run", "run"),
        ("lib", "usr/lib", "usr/lib"),
        ("var/lock", "../run/lock", "run/lock"),
        ("srv", "/var/../run/../usr/share", "usr/share"),
    ] {
        let bundle = test.bundle(|config| {
            config["root"]["readonly"] = json!(false);
            mount(config, &format!("/{link}/here"), "tmpfs", "tmpfs", &["size=64k"]);
            shell(config, &format!("touch /{below}/here/new && ls /{link}/here"));
        });
        fs::create_dir_all(bundle.inside(below)).expect("the root is ours");
        symlink(target, bundle.inside(link)).expect("the root is ours");
        assert_eq!(test.run(&bundle).ok().stdout, "new\n", "{link} -> {target}");
        assert!(!bundle.inside(&format!("{below}/here/new")).exists(), "{link} -> {target}");
    }
}

#[test]
fn a_destination_that_dangles_is_made_where_it_leads_inside() {
    let test = Test::new();
    for target in ["/not/yet", "not/yet", "../../not/yet"] {
        let bundle = test.bundle(|config| {
            config["root"]["readonly"] = json!(false);
            mount(config, "/data", "tmpfs", "tmpfs", &["size=64k"]);
            shell(config, "touch /not/yet/new && ls /data");
        });
        symlink(target, bundle.inside("data")).expect("the root is ours");
        assert_eq!(test.run(&bundle).ok().stdout, "new\n", "{target}");
    }
    assert!(!std::path::Path::new("/not").exists());
}

#[test]
fn the_path_of_the_root_may_be_spelt_in_any_way() {
    let test = Test::new();
    for path in ["rootfs/", "./rootfs", "../BUNDLE/rootfs", "rootfs/../rootfs//", "link", "chain/rootfs"] {
        let bundle = fine(&test, |_| {});
        let name = bundle.path.file_name().and_then(|name| name.to_str()).expect("plain text").to_owned();
        symlink("rootfs", bundle.path.join("link")).expect("the bundle is ours");
        symlink(".", bundle.path.join("chain")).expect("the bundle is ours");
        let mut bundle = bundle;
        bundle.edit(|config| config["root"]["path"] = json!(path.replace("BUNDLE", &name)));
        // Whoever may change a link chooses the root: the directory itself has to be named.
        let outcome = test.run(&bundle);
        if path == "link" { is_refused(outcome, &["symlink"]) } else { is_fine(outcome) }
    }
}

#[test]
fn the_root_may_be_an_overlay() {
    let test = Test::new();
    let mut bundle = fine(&test, |config| config["root"]["readonly"] = json!(false));
    bundle.edit(|config| config["root"]["path"] = json!("merged"));
    let prepare = "mkdir $B/upper $B/merged; mount -t tmpfs tmpfs $B/upper; mkdir $B/upper/up $B/upper/work
        mount -t overlay overlay -o lowerdir=$B/rootfs,upperdir=$B/upper/up,workdir=$B/upper/work $B/merged";
    is_fine(run_after(&test, &bundle, prepare));
}

#[test]
fn the_root_may_be_mounted_read_only() {
    let test = Test::new();
    let bundle = fine(&test, |config| config["root"]["readonly"] = json!(false));
    let prepare = "mount --bind $B/rootfs $B/rootfs; mount -o remount,bind,ro $B/rootfs";
    is_fine(run_after(&test, &bundle, prepare));
    let mut bundle = bundle;
    bundle.edit(|config| mount(config, "/new", "tmpfs", "tmpfs", &[]));
    is_refused(run_after(&test, &bundle, prepare), &["read-only file system"]);
}

#[test]
fn a_root_without_execution_is_told_to_be_one() {
    let test = Test::new();
    let bundle = fine(&test, |_| {});
    let prepare = "mount --bind $B/rootfs $B/rootfs; mount -o remount,bind,noexec $B/rootfs";
    is_refused(run_after(&test, &bundle, prepare), &["permission denied"]);
}

#[test]
fn the_root_may_be_a_shared_mount_and_shares_nothing() {
    let test = Test::new();
    let bundle = fine(&test, |_| {});
    let prepare = "mount --bind $B/rootfs $B/rootfs; mount --make-shared $B/rootfs; mount --make-rshared /
        before=$(wc -l </proc/self/mountinfo)
        \"$@\"
        after=$(wc -l </proc/self/mountinfo)
        [ $before = $after ] || { echo leaked; exit 1; }
        exit 0";
    is_fine(run_after(&test, &bundle, prepare));
}

#[test]
fn the_root_may_be_that_of_the_host() {
    let test = Test::new();
    let bundle = test.bundle(|config| {
        config["root"] = json!({"path": "/", "readonly": true});
        shell(config, "touch /new 2>/dev/null; test -r /etc/passwd && echo fine");
    });
    is_fine(test.run(&bundle));
}

#[test]
fn dev_may_be_read_only_missing_or_that_of_the_image() {
    let test = Test::new();
    let dev = |config: &mut Value, options: Option<Value>| {
        let mounts = config["mounts"].as_array_mut().expect("mounts is a list");
        match options {
            Some(options) => mounts[1]["options"] = options,
            None => {
                mounts.retain(|mount| !mount["destination"].as_str().unwrap_or_default().starts_with("/dev"))
            }
        }
    };
    is_fine(test.run(&fine(&test, |config| dev(config, Some(json!(["nosuid", "ro", "mode=755"]))))));
    let bundle = fine(&test, |config| {
        dev(config, None);
        config["root"]["readonly"] = json!(false);
    });
    is_fine(test.run(&bundle));
    fs::remove_dir_all(bundle.inside("dev")).expect("the root is ours");
    is_fine(test.run(&bundle));
}

#[test]
fn the_image_may_have_next_to_nothing() {
    let test = Test::new();
    let bundle = test.bundle(|config| {
        config["root"]["readonly"] = json!(false);
        shell(config, "echo $HOME");
    });
    for directory in ["dev", "etc", "proc", "root", "sys", "tmp", "home", "var"] {
        fs::remove_dir_all(bundle.inside(directory)).expect("the root is ours");
    }
    assert_eq!(test.run(&bundle).ok().stdout, "/\n");
}

#[test]
fn the_longest_paths_work_and_longer_ones_are_refused() {
    let test = Test::new();
    // With its NUL this is all that a path may be; each name is as long as a name may be.
    let long = |length: usize| {
        let names = format!("/{}", "n".repeat(250)).repeat(17);
        names.get(..length).expect("they are longer").to_owned()
    };
    for (length, works) in [(2000, true), (4000, true), (4096, false), (4200, false)] {
        let bundle = fine(&test, |config| {
            config["root"]["readonly"] = json!(false);
            mount(config, &long(length), "tmpfs", "tmpfs", &["size=64k"]);
        });
        let outcome = test.run(&bundle);
        if works { is_fine(outcome) } else { is_refused(outcome, &["too long"]) }
    }
    let name = format!("/{}", "n".repeat(256));
    is_refused(test.run(&fine(&test, |config| mount(config, &name, "tmpfs", "tmpfs", &[]))), &["too long"]);
}

#[test]
fn a_thousand_mounts_are_made() {
    let test = Test::new();
    let bundle = test.bundle(|config| {
        config["root"]["readonly"] = json!(false);
        for number in 0..500 {
            mount(config, &format!("/many/{number}"), "tmpfs", "tmpfs", &["size=4k"]);
            mount(config, &format!("/bound/{number}"), "bind", "/etc", &["bind", "ro"]);
        }
        config["process"]["rlimits"] = json!([]);
        shell(config, "wc -l </proc/self/mountinfo");
    });
    let (path, id) = (text(&bundle.path), test.fresh());
    // Far fewer descriptors than mounts.
    let outcome = test.call_by("ulimit -n 256; exec \"$@\"", &["run", "--bundle", &path, &id]).run().ok();
    let count: usize = outcome.stdout.trim().parse().expect("a number");
    assert!((1000..1100).contains(&count), "{count}");
}

#[test]
fn a_root_that_belongs_to_other_users_is_mapped_by_its_mount() {
    let test = Test::new();
    let bundle = test.bundle(|config| {
        mount(config, "/mapped", "bind", "/etc", &["bind", "ro", "idmap"]);
        let last =
            config["mounts"].as_array_mut().and_then(|mounts| mounts.last_mut()).expect("it was added");
        let ids = json!([{"containerID": 0, "hostID": 1000, "size": 10}]);
        last["uidMappings"] = ids.clone();
        last["gidMappings"] = ids;
        shell(config, "stat -c %u /mapped");
    });
    assert_eq!(test.run(&bundle).ok().stdout, "1000\n");
}
