//! Where mounts are made, and what is made for them: inside, whatever the root looks like and however fast it changes.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use integration::attack::{Attacker, Sentinel, rounds};
use integration::bundle::{mount, shell};
use integration::test::text;
use integration::{Bundle, Outcome, Test};
use serde_json::{Value, json};

use crate::room::{AT_ONCE, Volume, bare_dev, mount_first, on_each_resolver, plant, writable};

/// Where links of a hostile root lead.
fn outside(sentinel: &Sentinel) -> Vec<PathBuf> {
    let from_root = sentinel.path.strip_prefix("/").expect("it is absolute");
    let climbing = Path::new("../../../../../../../../../../..");
    vec![sentinel.path.clone(), climbing.join(from_root), "/".into(), climbing.into()]
}

/// The lines of a container's mount table with this source.
fn marked<'a>(table: &'a Outcome, source: &str) -> Vec<&'a str> {
    let tail = format!(" - tmpfs {source} ");
    table.stdout.lines().filter(|line| line.contains(&tail)).collect()
}

/// A container with a shared volume, in which as many mounts as it has directories are made by `add`.
fn sharing(test: &Test, volume: &Volume, add: impl Fn(&mut Value, usize)) -> Bundle {
    test.bundle(|config| {
        writable(config);
        mount_first(config, "/v", &volume.path);
        (0..AT_ONCE).for_each(|number| add(config, number));
        config["process"]["args"] = json!(["/bin/cat", "/proc/self/mountinfo"]);
    })
}

#[test]
fn cve_2021_30465_cve_2015_1335_a_mount_is_made_inside_however_fast_its_place_changes() {
    on_each_resolver(|test| {
        let sentinel = Sentinel::new(test);
        let targets = outside(&sentinel);
        let targets: Vec<&Path> = targets.iter().map(PathBuf::as_path).collect();
        for round in 0..=rounds().div_ceil(AT_ONCE) {
            let volume = Volume::new(test, &targets);
            volume.pairs.iter().for_each(|(place, _)| fs::create_dir(place.join("b")).expect("a directory"));
            let source = test.fresh();
            let bundle = sharing(test, &volume, |config, number| {
                mount(config, &format!("/v/a{number}/b"), "tmpfs", &source, &["size=64k"]);
            });
            let outcome = attacked(test, &bundle, round, volume.pairs);
            sentinel.is_untouched();
            assert!(!test.world.mountinfo().contains(&source), "a mount on the host");
            let fine = !outcome.succeeded() || marked(&outcome, &source).len() == AT_ONCE;
            assert!(fine, "a mount went astray: {outcome:?}");
        }
    });
}

/// What comes of a container while its volume changes; the first time it doesn't, and then it must be made.
fn attacked(test: &Test, bundle: &Bundle, round: usize, pairs: Vec<(PathBuf, PathBuf)>) -> Outcome {
    if round == 0 {
        return test.run(bundle).ok();
    }
    let attacker = Attacker::exchanging(pairs);
    let outcome = test.run(bundle);
    attacker.stop();
    outcome
}

/// Magic links lead out of every root: a path through one is an error.
#[test]
fn cve_2021_30465_magic_links_lead_nowhere() {
    on_each_resolver(|test| {
        let sentinel = Sentinel::new(test);
        let magic = [
            "/proc/1/root",
            "/proc/self/root",
            "/proc/self/cwd",
            "/proc/thread-self/root",
            "/proc/self/fd/0",
        ];
        for target in magic.map(Path::new) {
            let place = format!("/link{}", text(&sentinel.path));
            let bundle = test.bundle(|config| {
                writable(config);
                mount(config, &place, "tmpfs", "marked", &["size=64k"]);
                shell(config, "echo started");
            });
            symlink(target, bundle.inside("link")).expect("a link can be made");
            let outcome = test.run(&bundle);
            assert!(!outcome.succeeded() && outcome.stdout.is_empty(), "{target:?}: {outcome:?}");
            sentinel.is_untouched();
        }
    });
}

#[test]
fn cve_2024_45310_cve_2026_41326_nothing_is_made_outside_however_fast_its_place_changes() {
    on_each_resolver(|test| {
        let sentinel = Sentinel::new(test);
        let targets = outside(&sentinel);
        for round in 0..=rounds().div_ceil(AT_ONCE) {
            let volume = Volume::new(test, &[&targets[0], &targets[1]]);
            let mut bundle = sharing(test, &volume, |config, number| match number % 3 {
                0 => mount(config, &format!("/v/a{number}/b/c/d"), "tmpfs", "tmpfs", &["size=64k"]),
                1 => mount(config, &format!("/v/a{number}/b/c/file"), "bind", "/etc/hosts", &["bind"]),
                _ => mount(config, &format!("/v/a{number}/below"), "tmpfs", "tmpfs", &["tmpcopyup"]),
            });
            bundle.edit(|config| config["process"]["cwd"] = json!("/v/a0/cwd/deep"));
            let _ = attacked(test, &bundle, round, volume.pairs);
            sentinel.is_untouched();
        }
    });
}

#[test]
fn cve_2019_18837_cve_2015_3629_links_in_destinations_stay_inside() {
    on_each_resolver(|test| {
        let sentinel = Sentinel::new(test);
        for (number, target) in outside(&sentinel).iter().enumerate() {
            for name in ["deep", "deep/../deep", "./deep//", "../link/deep"] {
                let source = test.fresh();
                let bundle = test.bundle(|config| {
                    writable(config);
                    mount(config, &format!("/link/{name}"), "tmpfs", &source, &["size=64k"]);
                    config["process"]["args"] = json!(["/bin/cat", "/proc/self/mountinfo"]);
                });
                symlink(target, bundle.inside("link")).expect("a link can be made");
                let outcome = test.run(&bundle);
                sentinel.is_untouched();
                let fine = !outcome.succeeded() || marked(&outcome, &source).len() == 1;
                assert!(fine, "{number}, {name}: {outcome:?}");
            }
        }
    });
}

#[test]
fn cve_2019_18837_links_in_a_circle_are_an_error() {
    on_each_resolver(|test| {
        let bundle = test.bundle(|config| {
            writable(config);
            mount(config, "/one/deep", "tmpfs", "tmpfs", &[]);
            shell(config, "echo started");
        });
        symlink("other", bundle.inside("one")).expect("a link can be made");
        symlink("/one", bundle.inside("other")).expect("a link can be made");
        let outcome = test.run(&bundle);
        assert!(outcome.stdout.is_empty());
        outcome.fails();
    });
}

/// Every name that a runtime may make in a root, one after the other a link to a file of the host.
#[test]
fn cve_2025_24965_cve_2026_1386_a_planted_link_is_not_written_through() {
    const NAMES: [&str; 18] = [
        "dev/null",
        "dev/zero",
        "dev/full",
        "dev/random",
        "dev/tty",
        "dev/fd",
        "dev/stdin",
        "dev/stdout",
        "dev/core",
        "dev/ptmx",
        "dev/pts",
        "dev/console",
        "dev/shm",
        "etc/new",
        "etc/dir/file",
        ".krun_config.json",
        "run/notify",
        "home/work",
    ];
    on_each_resolver(|test| {
        let sentinel = Sentinel::new(test);
        for name in NAMES {
            for target in [sentinel.join("file"), sentinel.join("new")] {
                let bundle = test.bundle(|config| {
                    bare_dev(config);
                    mount(config, "/etc/new", "bind", "/etc/hosts", &["bind"]);
                    mount(config, "/etc/dir/file", "bind", "/etc/hosts", &["bind"]);
                    config["process"]["cwd"] = json!("/home/work");
                    config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
                });
                for directory in ["etc/dir", "run"] {
                    fs::create_dir(bundle.inside(directory)).expect("the root is ours");
                }
                plant(&bundle, name, &target);
                let _ = test.run(&bundle);
                sentinel.is_untouched();
            }
        }
    });
}

/// A volume that is copied up belongs to somebody hostile: what he plants is copied as it is, and is not followed.
#[test]
fn cve_2025_24965_what_is_copied_up_is_not_followed() {
    on_each_resolver(|test| {
        let sentinel = Sentinel::new(test);
        let bundle = test.bundle(|config| {
            mount(config, "/home", "tmpfs", "tmpfs", &["tmpcopyup"]);
            shell(config, "for f in /home/*; do readlink $f || echo no link: $f; done; true");
        });
        for (name, target) in [
            ("file", sentinel.join("file")),
            ("directory", sentinel.join("below")),
            ("null", sentinel.join("null")),
        ] {
            symlink(target, bundle.inside("home").join(name)).expect("a link can be made");
        }
        let said = test.run(&bundle).ok().stdout;
        sentinel.is_untouched();
        let wanted = ["below", "file", "null"].map(|name| format!("{}\n", text(&sentinel.join(name))));
        assert_eq!(said, wanted.concat());
    });
}

/// The same with a volume whose entries change while they are copied.
#[test]
fn cve_2024_45310_what_is_copied_up_is_not_followed_however_fast_it_changes() {
    on_each_resolver(|test| {
        let sentinel = Sentinel::new(test);
        let volume = test.directory.join(test.fresh());
        let pairs = (0..AT_ONCE).map(|number| {
            let pair = (volume.join(format!("a{number}")), volume.join(format!("l{number}")));
            fs::create_dir_all(&volume).expect("a directory can be made");
            match number % 2 {
                0 => fs::create_dir(&pair.0).expect("a directory can be made"),
                _ => fs::write(&pair.0, "").expect("a file can be written"),
            }
            let target = sentinel.join(if number % 2 == 0 { "below" } else { "file" });
            symlink(target, &pair.1).expect("a link can be made");
            pair
        });
        let pairs: Vec<_> = pairs.collect();
        let bundle = test.bundle(|config| {
            mount_first(config, "/home", &volume);
            mount(config, "/home", "tmpfs", "tmpfs", &["tmpcopyup"]);
        });
        let attacker = Attacker::exchanging(pairs);
        for _ in 0..rounds().div_ceil(AT_ONCE) {
            let _ = test.run(&bundle);
            sentinel.is_untouched();
        }
        attacker.stop();
    });
}

/// What is made below a link goes where the link leads inside, not on the host; and links that images really have work.
#[test]
fn cve_2026_87766_cve_2021_25741_parents_that_are_links_lead_inside() {
    on_each_resolver(|test| {
        let sentinel = Sentinel::new(test);
        let bundle = test.bundle(|config| {
            writable(config);
            mount(config, "/data/new/file", "bind", "/etc/hosts", &["bind"]);
            mount(config, "/data/new/directory", "tmpfs", "tmpfs", &["size=64k"]);
            mount(config, "/var/run/secrets/token", "bind", "/etc/hosts", &["bind"]);
            mount(config, "/var/lock/x", "tmpfs", "tmpfs", &["size=64k"]);
            mount(config, "/lib/modules", "tmpfs", "tmpfs", &["size=64k"]);
            shell(config, "ls -d /run/secrets/token /run/lock/x /usr/lib/modules /var/run/lock /lib/modules");
        });
        fs::create_dir_all(bundle.inside("usr/lib")).expect("the root is ours");
        fs::create_dir_all(bundle.inside("run")).expect("the root is ours");
        plant(&bundle, "data", &sentinel.path);
        plant(&bundle, "var/run", Path::new("/run"));
        plant(&bundle, "var/lock", Path::new("/run/lock"));
        plant(&bundle, "lib", Path::new("usr/lib"));
        let said = test.run(&bundle);
        sentinel.is_untouched();
        let wanted = "/lib/modules\n/run/lock/x\n/run/secrets/token\n/usr/lib/modules\n/var/run/lock\n";
        assert_eq!(said.ok().stdout, wanted);
        let made = bundle.inside(&text(&sentinel.path)).join("new");
        assert!(made.join("file").is_file() && made.join("directory").is_dir(), "made elsewhere");
    });
}

/// No mount point, not even for a moment, in a directory that everybody may write to.
#[test]
fn cve_2019_12439_nothing_is_made_in_tmp() {
    let test = Test::new();
    let empty = test.directory.join("empty");
    fs::create_dir(&empty).expect("a directory can be made");
    let sentinel = Sentinel::watching(empty.clone());
    let bundle = test.bundle(|config| shell(config, "echo started"));
    let script = format!(
        "mount -t tmpfs none /mnt && mkdir /mnt/b /mnt/s && : > /mnt/r && mount --rbind {} /mnt/b && mount --bind \"$1\" /mnt/r && mount --bind {} /tmp && export TMPDIR=/tmp && shift 3 && exec /mnt/r --root /mnt/s \"$@\"",
        text(&bundle.path),
        text(&empty)
    );
    let script = format!("exec unshare --mount --propagation private sh -c '{script}' sh \"$@\"");
    let outcome = test.call_by(&script, &["run", "--bundle", "/mnt/b", &test.fresh()]).run();
    assert_eq!(outcome.ok().stdout, "started\n");
    sentinel.is_untouched();
}
