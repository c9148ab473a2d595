//! User namespaces that are joined by their path, as engines do that make them for a whole pod.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::path::PathBuf;

use integration::bundle::{mount, namespace, shell};
use integration::command::DEADLINE;
use integration::test::text;
use integration::{Container, Test, promise, promises};
use serde_json::{Value, json};

const FIRST: u32 = 100_000;

fn maps() -> Value {
    json!([{"containerID": 0, "hostID": FIRST, "size": 1000}, {"containerID": 1000, "hostID": FIRST + 1000, "size": 64536}])
}

/// A container with a user namespace of its own, which others can join.
fn owner(test: &Test) -> Container<'_> {
    test.start(&test.bundle(|config| {
        namespace(config, "user", Some(json!({"type": "user"})));
        config["linux"]["uidMappings"] = maps();
        config["linux"]["gidMappings"] = maps();
        config["process"]["rlimits"] = json!([]);
        config["process"]["args"] = json!(["/bin/sleep", "1000"]);
    }))
}

fn join(config: &mut Value, owner: &Container<'_>) {
    let path = format!("/proc/{}/ns/user", owner.pid);
    namespace(config, "user", Some(json!({"type": "user", "path": path})));
}

#[test]
fn a_joined_user_namespace_may_be_told_with_its_mappings() {
    let test = &Test::new();
    let owner = &owner(test);
    let whole = json!([{"containerID": 0, "hostID": FIRST, "size": 65536}]);
    let turned = json!([maps()[1], maps()[0]]);
    promises([("the same", maps()), ("uncut", whole), ("in another order", turned)].map(|(how, maps)| {
        let joined = move || {
            let said = test.run_with(|config| {
                join(config, owner);
                config["linux"]["uidMappings"] = maps.clone();
                config["linux"]["gidMappings"] = maps.clone();
                shell(config, "readlink /proc/self/ns/user");
            });
            assert_eq!(said.ok().stdout.trim(), owner.namespace("user"));
        };
        (format!("mappings of a joined user namespace, {how}"), joined)
    }));
}

#[test]
fn other_mappings_than_those_of_a_joined_user_namespace_are_refused() {
    let test = Test::new();
    let owner = owner(&test);
    for field in ["uidMappings", "gidMappings"] {
        promise(&format!("other {field} than those of a joined user namespace"), || {
            let bundle = test.bundle(|config| {
                join(config, &owner);
                config["linux"]["uidMappings"] = maps();
                config["linux"]["gidMappings"] = maps();
                config["linux"][field][1]["hostID"] = json!(FIRST + 1001);
            });
            test.try_create(&bundle).fails_with(&[&format!("/linux/{field}"), "mappings"]);
        });
    }
}

#[test]
fn the_program_of_a_joined_user_namespace_finds_its_devices_terminals_and_cgroup() {
    let test = Test::new();
    let owner = owner(&test);
    let said = test.run_with(|config| {
        join(config, &owner);
        config["process"]["user"] = json!({"uid": 1000, "gid": 1000, "additionalGids": [5]});
        config["linux"]["devices"] = json!([{"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11}]);
        shell(
            config,
            "id -u; id -G; echo x >/dev/null && stat -c '%F %t %T' /dev/null /dev/kmsg; stat -c '%g %a' /dev/pts; ls /sys/fs/cgroup | head -n 1 | wc -l; cat /proc/self/uid_map",
        );
    });
    let said = said.ok().stdout;
    let lines: Vec<&str> = said.lines().collect();
    assert_eq!(lines[..2], ["1000", "1000 5"], "{said}");
    assert_eq!(lines[2..4], ["character special file 1 3", "character special file 1 b"], "{said}");
    assert_eq!(lines[5], "1", "{said}");
    assert!(said.contains("64536"), "{said}");
}

#[test]
fn the_standard_streams_of_a_joined_user_namespace_belong_to_its_user() {
    let test = Test::new();
    let owner = owner(&test);
    let path = test.directory.join("stdout");
    let stream = fs::File::create(&path).expect("a file can be made");
    chown(&path, Some(FIRST), Some(FIRST)).expect("root may give files away");
    let bundle = test.bundle(|config| {
        join(config, &owner);
        config["process"]["user"] = json!({"uid": 7, "gid": 7});
        shell(config, "echo said >/proc/self/fd/1");
    });
    let call = test.call(&["run", "--bundle", &text(&bundle.path), &test.fresh()]);
    call.spawn_into(stream.into()).finish_within(DEADLINE).ok();
    assert_eq!(fs::read_to_string(&path).unwrap_or_default(), "said\n");
    assert_eq!(fs::metadata(&path).expect("it is there").uid(), FIRST + 7);
}

/// A directory with files of root and of user 7.
fn owned(test: &Test) -> PathBuf {
    let source = test.directory.join("owned");
    fs::create_dir(&source).expect("a directory can be made");
    for (name, id) in [("root", 0), ("seven", 7)] {
        fs::write(source.join(name), "").expect("a file can be written");
        chown(source.join(name), Some(id), Some(id)).expect("root may give files away");
    }
    source
}

#[test]
fn mounts_are_mapped_by_the_user_namespace_whether_it_is_new_or_joined() {
    let test = Test::new();
    let owner = owner(&test);
    let source = owned(&test);
    for (how, joined) in [("new", false), ("joined", true)] {
        promise(&format!("an idmapped mount in a {how} user namespace"), || {
            let bundle = test.bundle(|config| {
                join(config, &owner);
                if !joined {
                    namespace(config, "user", Some(json!({"type": "user"})));
                    config["linux"]["uidMappings"] = maps();
                    config["linux"]["gidMappings"] = maps();
                }
                config["process"]["rlimits"] = json!([]);
                mount(config, "/plain", "bind", &text(&source), &["bind"]);
                mount(config, "/mapped", "bind", &text(&source), &["bind", "idmap"]);
                shell(
                    config,
                    "cd /mapped && stat -c '%n %u %g' *; cd /plain && stat -c %u root; touch /mapped/new",
                );
            });
            for name in ["plain", "mapped"] {
                fs::create_dir(bundle.inside(name)).expect("the root is ours");
            }
            let said = test.run(&bundle);
            assert_eq!(said.ok().stdout, "root 0 0\nseven 7 7\n65534\n");
            let made = fs::metadata(source.join("new")).expect("the container made it");
            assert_eq!((made.uid(), made.gid()), (0, 0));
            fs::remove_file(source.join("new")).expect("it is ours");
        });
    }
}

#[test]
fn mounts_are_mapped_by_mappings_of_their_own() {
    promise("a mount with mappings of its own", || {
        let test = Test::new();
        let source = owned(&test);
        for (option, recursive) in [("idmap", false), ("ridmap", true)] {
            let said = test.run_with(|config| {
                let options = if recursive { ["rbind", option] } else { ["bind", option] };
                mount(config, "/mapped", "bind", &text(&source), &options);
                let last = config["mounts"].as_array_mut().and_then(|list| list.last_mut()).expect("a mount");
                last["uidMappings"] = json!([{"containerID": 0, "hostID": 500, "size": 10}]);
                last["gidMappings"] = json!([{"containerID": 0, "hostID": 600, "size": 10}]);
                shell(config, "cd /mapped && stat -c '%n %u %g' *");
            });
            assert_eq!(said.ok().stdout, "root 500 600\nseven 507 607\n", "{option}");
        }
    });
}

#[test]
fn a_further_process_enters_a_joined_user_namespace() {
    let test = Test::new();
    let owner = owner(&test);
    let container = test.start(&test.bundle(|config| {
        join(config, &owner);
        config["linux"]["uidMappings"] = maps();
        config["linux"]["gidMappings"] = maps();
        config["process"]["args"] = json!(["/bin/sleep", "1000"]);
    }));
    let script = "id -u; readlink /proc/self/ns/user";
    let said = test.runtime(&["exec", "--user", "7:8", &container.id, "/bin/sh", "-c", script]).ok().stdout;
    assert_eq!(said, format!("7\n{}\n", owner.namespace("user")));
}
