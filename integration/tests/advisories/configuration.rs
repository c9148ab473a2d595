//! What a configuration and the names on a command line may not bring about.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;

use integration::attack::Sentinel;
use integration::bundle::{mount, namespace, shell};
use integration::test::text;
use integration::{Bundle, PROBER, Test, runtime};
use serde_json::{Value, json};

use crate::room::{sleeping, user_namespace, writable};

/// The namespaces of a container, told by their links, are those that were asked for.
fn namespaces_are_new(seen: &Value) {
    for name in ["mnt", "pid", "net", "ipc", "uts", "cgroup"] {
        let host = fs::read_link(format!("/proc/self/ns/{name}")).expect("we have one");
        assert_ne!(seen["namespaces"][name].as_str(), host.to_str(), "{name} is the host's");
    }
}

/// Lengths about the largest that sixteen bits can tell, and one far beyond.
fn lengths() -> impl Iterator<Item = usize> {
    (65_530..=65_545).chain([1 << 20])
}

#[test]
fn cve_2021_43784_long_strings_arrive_or_are_refused_and_change_nothing_else() {
    let test = Test::new();
    let run = |edit: &dyn Fn(&mut Value)| {
        let outcome = test.run_with(|config| {
            config["process"]["args"] = json!([PROBER, "{}"]);
            edit(config);
        });
        if !outcome.succeeded() {
            assert!(outcome.stdout.is_empty() && !outcome.stderr.contains("panicked"), "{outcome:?}");
            return None;
        }
        let seen: Value = serde_json::from_str(&outcome.stdout).expect("the prober prints JSON");
        namespaces_are_new(&seen);
        Some(seen)
    };
    for length in lengths() {
        let word = "x".repeat(length);
        let variable = format!("LONG={word}");
        let seen = run(&|config| config["process"]["env"] = json!([variable]));
        if let Some(seen) = seen {
            let found =
                seen["env"].as_array().into_iter().flatten().any(|one| one.as_str() == Some(&variable));
            assert!(found, "a variable of {length} was cut");
        }
        run(&|config| mount(config, &format!("/{word}"), "tmpfs", "tmpfs", &[]));
        run(&|config| mount(config, "/tmp", "tmpfs", &word, &[]));
        run(&|config| mount(config, "/tmp", "tmpfs", "tmpfs", &[&format!("mode={word}")]));
        run(&|config| config["root"]["path"] = json!(word));
        run(&|config| config["hostname"] = json!(word));
        run(&|config| config["linux"]["maskedPaths"] = json!([format!("/{word}"), "/proc/keys"]));
    }
}

#[test]
fn cve_2021_43784_many_entries_arrive_or_are_refused() {
    let test = Test::new();
    // As many as the kernel takes, in no more than a page.
    let many: Vec<Value> = (0..340)
        .map(|number| json!({"containerID": number, "hostID": 10_000 + 2 * number, "size": 1}))
        .collect();
    for (count, fits) in [(340, true), (5000, false)] {
        let maps: Vec<Value> = many.iter().cloned().cycle().take(count).collect();
        let outcome = test.run_with(|config| {
            user_namespace(config);
            config["linux"]["uidMappings"] = json!(maps);
            config["linux"]["gidMappings"] = json!(maps);
            config["mounts"][2]["options"] = json!(["newinstance", "ptmxmode=0666"]);
            shell(config, "wc -l < /proc/self/uid_map");
        });
        let fine =
            if fits { outcome.stdout == "340\n" } else { !outcome.succeeded() && outcome.stdout.is_empty() };
        assert!(fine, "{count} mappings: {outcome:?}");
    }
    let outcome = test.run_with(|config| {
        writable(config);
        (0..1000).for_each(|number| mount(config, &format!("/m/{number}"), "tmpfs", "many", &["size=4k"]));
        shell(config, "grep -c ' - tmpfs many ' /proc/self/mountinfo");
    });
    assert_eq!(outcome.ok().stdout, "1000\n");
}

/// What a pod's author may set is not what runs on the host.
#[test]
fn cve_2024_3154_annotations_set_no_dangerous_property_of_a_unit() {
    let test = Test::new();
    let marker = test.directory.join("marker");
    let command = format!("[('/bin/touch', ['touch', '{}'], false)]", text(&marker));
    for (name, value) in [
        ("ExecStart", &*command),
        ("ExecStartPost", &command),
        ("ExecStopPost", &command),
        ("RootDirectoryPath", "'/'"),
        ("BindPaths", "[('/', '/', false, 1)]"),
        ("User", "'root'"),
        ("ExtraFileDescriptors", "[]"),
        ("StandardOutput", "'file:/etc/passwd'"),
        ("Delegate", "true"),
        ("execstart", &command),
        ("TimeoutStopUSec", "uint64"),
        ("TimeoutStopUSec", "[[[[[["),
        ("CollectMode", "'inactive"),
        ("", "1"),
    ] {
        let name = format!("org.systemd.property.{name}");
        let bundle = test.bundle(|config| {
            config["annotations"] = json!({ &*name: value });
            config["linux"]["cgroupsPath"] = json!(format!("system.slice:{}:x", test.mark));
            shell(config, "echo started");
        });
        let arguments = ["--systemd-cgroup", "run", "--bundle", &text(&bundle.path), &test.fresh()];
        let outcome = test.runtime(&arguments);
        assert!(!outcome.succeeded() && outcome.stdout.is_empty(), "{name}={value}: {outcome:?}");
        let told = outcome.stderr.contains(&name) || outcome.stderr.contains("cannot reach systemd");
        assert!(told, "{name}={value} is not what is refused: {outcome:?}");
        assert!(!marker.exists(), "{name}={value} ran on the host");
    }
}

#[test]
fn cve_2022_0811_a_parameter_is_one_name_in_a_namespace_of_the_container() {
    const HOSTS: [&str; 3] =
        ["/proc/sys/kernel/core_pattern", "/proc/sys/kernel/hostname", "/proc/sys/vm/overcommit_memory"];
    let read = || HOSTS.map(|path| fs::read(path).expect("it can be read"));
    let before = read();
    let test = Test::new();
    for (name, value) in [
        ("kernel.core_pattern", "|/bin/evil"),
        ("kernel.shm_rmid_forced+kernel.core_pattern", "1"),
        ("net/../kernel/core_pattern", "|/bin/evil"),
        ("net.ipv4.ip_forward/../../../kernel/core_pattern", "|/bin/evil"),
        ("net.../kernel/core_pattern", "|/bin/evil"),
        ("net..kernel.core_pattern", "|/bin/evil"),
        ("kernel/core_pattern", "|/bin/evil"),
        ("/kernel/core_pattern", "|/bin/evil"),
        ("vm.overcommit_memory", "1"),
        ("kernel.hostname", "evil"),
        ("fs.mqueue.../../kernel/core_pattern", "|/bin/evil"),
        ("", "1"),
        ("net", "1"),
    ] {
        let outcome = test.run_with(|config| {
            config["linux"]["sysctl"] = json!({ name: value });
            shell(config, "echo started");
        });
        let own_name = name == "kernel.hostname" && outcome.succeeded();
        assert!(own_name || !outcome.succeeded() && outcome.stdout.is_empty(), "{name:?}: {outcome:?}");
        assert!(read() == before, "{name:?} changed the host");
    }
    for value in ["1+kernel.core_pattern=|/bin/evil", "1\nkernel.core_pattern=|/bin/evil"] {
        let _ = test.run_with(|config| config["linux"]["sysctl"] = json!({"kernel.shm_rmid_forced": value}));
        assert!(read() == before, "{value:?} changed the host");
    }
    for (shared, name) in
        [("network", "net.ipv4.ip_forward"), ("ipc", "kernel.shm_rmid_forced"), ("ipc", "fs.mqueue.msg_max")]
    {
        let outcome = test.run_with(|config| {
            namespace(config, shared, None);
            config["linux"]["sysctl"] = json!({ name: "1" });
            shell(config, "echo started");
        });
        assert!(!outcome.succeeded() && outcome.stdout.is_empty(), "{name} of the host: {outcome:?}");
    }
}

#[test]
fn cve_2015_1331_the_state_directory_is_no_way_out() {
    let test = Test::new();
    let sentinel = Sentinel::new(&test);
    let bundle = test.bundle(|_| {});
    let run = |root: &str, id: &str| {
        let (directory, id) = (text(&bundle.path), id.to_owned());
        test.runtime(&["--root", root, "run", "--bundle", &directory, &id])
    };
    let id = test.fresh();
    symlink(&sentinel.path, test.state_root().join(&id)).expect("a link can be made");
    run(&text(&test.state_root()), &id).fails();
    test.runtime(&["state", &id]).fails();
    let _ = test.runtime(&["delete", "--force", &id]);
    sentinel.is_untouched();
    let _ = fs::remove_file(test.state_root().join(&id));
    for id in ["..", ".", "a/b", "../x", "/etc", "a\0b", &"x".repeat(2000), ""] {
        if !id.contains('\0') {
            let outcome = run(&text(&test.state_root()), id);
            assert!(!outcome.succeeded() || id.contains('/'), "{id:?}: {outcome:?}");
        }
    }
    let link = test.directory.join("link");
    symlink(&sentinel.path, &link).expect("a link can be made");
    run(&text(&link), &test.fresh()).fails();
    sentinel.is_untouched();
    let open = test.directory.join("open");
    fs::create_dir(&open).expect("a directory can be made");
    fs::set_permissions(&open, PermissionsExt::from_mode(0o777)).expect("it is ours");
    run(&text(&open), &test.fresh()).fails();
}

/// Files that the caller names are made, not followed.
#[test]
fn cve_2018_19333_a_planted_pid_file_is_not_followed() {
    let test = Test::new();
    let sentinel = Sentinel::new(&test);
    for target in ["file", "new"] {
        let file = test.directory.join(test.fresh());
        symlink(sentinel.join(target), &file).expect("a link can be made");
        let bundle = test.bundle(|_| {});
        let arguments = ["run", "--pid-file", &text(&file), "--bundle", &text(&bundle.path), &test.fresh()];
        let _ = test.runtime(&arguments);
        sentinel.is_untouched();
    }
}

/// A program that is someone's whoever calls it would make containers for everybody.
#[test]
fn cve_2016_8659_cve_2020_5291_cve_2025_2713_cve_2026_41163_with_the_rights_of_its_owner_it_does_nothing() {
    const NOBODY: u32 = 65_534;
    let test = Test::new();
    let binary = test.directory.join("setuid");
    fs::copy(&runtime().path, &binary).expect("it can be copied");
    fs::set_permissions(&binary, PermissionsExt::from_mode(0o4755)).expect("it is ours");
    let bundle: Bundle = test.bundle(|config| shell(config, "echo started"));
    let root = test.directory.join("root");
    fs::create_dir(&root).expect("a directory can be made");
    fs::set_permissions(&root, PermissionsExt::from_mode(0o700)).expect("it is ours");
    for owner in [0, NOBODY] {
        chown(&root, Some(owner), Some(owner)).expect("root may give away");
        let arguments = ["--root", &text(&root), "run", "--bundle", &text(&bundle.path), &test.fresh()];
        let outcome = test.program(&binary, &arguments).with(|command| {
            let become_nobody = || {
                // SAFETY: system calls on numbers between fork and exec.
                match unsafe {
                    libc::setresgid(NOBODY, NOBODY, NOBODY) | libc::setresuid(NOBODY, NOBODY, NOBODY)
                } {
                    0 => Ok(()),
                    _ => Err(std::io::Error::last_os_error()),
                }
            };
            // SAFETY: what is called makes system calls only.
            unsafe { command.pre_exec(become_nobody) };
        });
        let outcome = outcome.run();
        assert!(!outcome.succeeded() && outcome.stdout.is_empty(), "{outcome:?}");
        assert_eq!(fs::read_dir(&root).expect("it is there").count(), 0, "something was made: {outcome:?}");
    }
}

/// Sockets in the abstract namespace can be reached by whoever shares the host's network.
#[test]
fn cve_2020_15257_no_socket_can_be_reached_from_inside() {
    let test = Test::new();
    let abstract_sockets = || -> BTreeSet<String> {
        let table = fs::read_to_string("/proc/net/unix").unwrap_or_default();
        table.lines().filter_map(|line| Some(line.split_once(" @")?.1.to_owned())).collect()
    };
    let before = abstract_sockets();
    let container = test.create(&test.bundle(|config| {
        namespace(config, "network", None);
        let mounts = config["mounts"].as_array_mut().expect("a list");
        mounts.retain(|mount| mount["type"] != "sysfs" && mount["type"] != "cgroup");
        config["linux"]["maskedPaths"] = json!([]);
    }));
    let new: Vec<_> = abstract_sockets().difference(&before).cloned().collect();
    assert!(new.is_empty(), "{new:?}");
    let place = test.state_root();
    let mode = fs::metadata(&place).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o022, 0, "others may write to {}: {mode:o}", place.display());
    drop(container);
    drop(sleeping(&test, |_| {}));
}
