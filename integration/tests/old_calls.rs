//! Old kernels, and sandboxes that don't know newer system calls: the sandbox is the same without them, or refused.

use integration::bundle::{mount, shell};
use integration::expected::{Expected, probe};
use integration::missing::ANSWERS;
use integration::{Missing, Test, World};
use rustix::io::Errno;
use serde_json::{Value, json};

/// Binds of a directory and of a file, with and without attributes, and mounts on new and on existing places.
fn with_binds(config: &mut Value) {
    mount(config, "/files/hosts", "none", "/etc/hosts", &["bind", "ro", "nosuid", "noexec"]);
    mount(config, "/bound", "none", "/usr/share", &["rbind", "ro", "rprivate", "nodev", "noatime"]);
    mount(config, "/mnt", "none", "/etc", &["bind", "rslave"]);
    config["process"]["cwd"] = json!("/bound");
}

fn the_sandbox_is_there(world: World, missing: &Missing) {
    let test = Test::at(world).without(missing.errno, &missing.calls);
    let (config, seen) = probe(&test, with_binds);
    let mut differences = Expected::of(&config).differences(&seen);
    // The filter that takes the calls away stays.
    differences.retain(|one| !one.starts_with("seccomp mode"));
    assert!(differences.is_empty(), "without {missing}: {differences:#?}");
}

#[test]
fn without_any_one_of_them_the_sandbox_is_the_same() {
    for errno in ANSWERS {
        for missing in Missing::each(errno) {
            World::all().into_iter().for_each(|world| the_sandbox_is_there(world, &missing));
        }
    }
}

#[test]
fn without_all_of_them_the_sandbox_is_the_same() {
    for errno in ANSWERS {
        World::all().into_iter().for_each(|world| the_sandbox_is_there(world, &Missing::all(errno)));
    }
}

#[test]
fn a_container_lives_its_whole_life_without_them() {
    let test = Test::new().without(Errno::NOSYS, &Missing::all(Errno::NOSYS).calls);
    let bundle = test.bundle(|config| config["process"]["args"] = json!(["sleep", "1000"]));
    let container = test.start(&bundle);
    let said = test.runtime(&["exec", &container.id, "sh", "-c", "echo $$ inside; exit 7"]).exits(7);
    assert!(said.stdout.ends_with(" inside\n"), "{said:#?}");
    test.runtime(&["delete", "--force", &container.id]).ok();
}

#[test]
fn what_has_no_older_way_is_refused() {
    let test = Test::new().without(Errno::NOSYS, &["mount_setattr"]);
    let refused = test.run_with(|config| mount(config, "/mnt", "none", "/usr", &["rbind", "rro"]));
    refused.fails_with(&["recursive mount options need mount_setattr"]);
}

#[test]
fn where_processes_cannot_be_told_apart_nothing_is_done_to_them() {
    for (errno, world) in
        ANSWERS.into_iter().flat_map(|errno| World::all().into_iter().map(move |world| (errno, world)))
    {
        let test = Test::at(world);
        let container = test.start(&test.bundle(|config| shell(config, "echo up; sleep 1000")));
        container.has_said("up");
        let id = container.id.as_str();
        let missing = Missing::these(errno, &["pidfd_open"]);
        for arguments in
            [&["kill", id, "TERM"][..], &["kill", "--all", id, "TERM"], &["exec", id, "true"], &["wait", id]]
        {
            let outcome = test.call_without(&missing, arguments).run();
            outcome.fails_with(&["cannot open process"]);
        }
        assert_eq!(container.status(), "running", "{world:?}");
    }
}
