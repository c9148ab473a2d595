//! What may lie on /proc and below it, and where it and /sys are looked for.

use std::fs;
use std::os::unix::fs::symlink;

use integration::bundle::{mount, shell};
use integration::test::text;
use integration::{Outcome, Test, promise, promises};
use serde_json::json;

/// What file systems like lxcfs replace.
const REPLACEABLE: [&str; 10] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/slabinfo",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/crypto/fips_enabled",
];

fn bound(test: &Test, source: &str, destination: &str, script: &str) -> Outcome {
    test.run_with(|config| {
        mount(config, destination, "bind", source, &["bind", "ro"]);
        shell(config, script);
    })
}

#[test]
fn files_of_proc_that_describe_the_machine_can_be_replaced() {
    let test = Test::new();
    let source = test.directory.join("file");
    fs::write(&source, "replaced\n").expect("a file can be written");
    let there = REPLACEABLE.into_iter().filter(|path| fs::exists(path).unwrap_or_default());
    let there: Vec<&str> = there.collect();
    assert!(there.len() >= 7, "{there:?}");
    for path in there {
        let said = bound(&test, &text(&source), path, &format!("cat {path}"));
        assert_eq!(said.ok().stdout, "replaced\n", "{path}");
    }
}

#[test]
fn nothing_else_can_be_mounted_below_proc() {
    let paths = [
        "/proc/self/attr",
        "/proc/1/attr/exec",
        "/proc/sys/kernel/hostname",
        "/proc/net/dev",
        "/proc/./self/../fs",
    ];
    promises(paths.map(|path| {
        let refused = move || drop(bound(&Test::new(), "/etc", path, "true").fails_with(&["proc"]));
        (format!("a mount on {path}"), refused)
    }));
    promise("a file system on a file of proc", || {
        let said = Test::new().run_with(|config| mount(config, "/proc/meminfo", "tmpfs", "tmpfs", &[]));
        said.fails_with(&["proc"]);
    });
    promise("a mount below proc by way of a link", || {
        let test = Test::new();
        let bundle = test.bundle(|config| mount(config, "/link/attr", "tmpfs", "tmpfs", &[]));
        symlink("/proc/self", bundle.inside("link")).expect("a link can be made");
        test.run(&bundle).fails_with(&["proc"]);
    });
}

#[test]
fn over_proc_lies_a_procfs_or_nothing() {
    let test = Test::new();
    for (name, kind, source, options) in
        [("a tmpfs", "tmpfs", "tmpfs", &[][..]), ("a directory", "bind", "/etc", &["bind"])]
    {
        promise(&format!("{name} on /proc"), || {
            test.run_with(|config| mount(config, "/proc", kind, source, options)).fails_with(&["proc"]);
        });
    }
    promise("the host's procfs on /proc", || {
        let said = test.run_with(|config| {
            config["mounts"][0] =
                json!({"destination": "/proc", "type": "bind", "source": "/proc", "options": ["rbind"]});
            shell(config, "test -d /proc/1 && echo there");
        });
        assert_eq!(said.ok().stdout, "there\n");
    });
}

#[test]
fn proc_and_sys_are_plain_directories() {
    for name in ["proc", "sys"] {
        for (what, link) in [("a link", true), ("a file", false)] {
            promise(&format!("{what} for /{name}"), || {
                let test = Test::new();
                let bundle = test.bundle(|_| {});
                fs::remove_dir(bundle.inside(name)).expect("the directory is empty");
                match link {
                    true => {
                        fs::create_dir(bundle.inside("elsewhere")).expect("a directory can be made");
                        symlink("elsewhere", bundle.inside(name)).expect("a link can be made");
                    }
                    false => fs::write(bundle.inside(name), "").expect("a file can be written"),
                }
                test.run(&bundle).fails();
            });
        }
    }
}
