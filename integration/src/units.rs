//! Containers whose cgroups systemd makes, be it the machine's or a user's own.

use serde_json::{Value, json};

use crate::bundle::Bundle;
use crate::command::{DEADLINE, Outcome};
use crate::container::Container;
use crate::leaks::soon;
use crate::test::{Test, text};

/// A bundle whose unit is `MARK-NAME.scope` in the usual slice, and the unit's name.
pub fn bundle(test: &Test, edit: impl FnOnce(&mut Value)) -> (Bundle, String) {
    let name = test.fresh();
    let bundle = test.bundle(|config| {
        config["linux"]["cgroupsPath"] = json!(format!(":{}:{name}", test.mark));
        edit(config);
    });
    (bundle, format!("{}-{name}.scope", test.mark))
}

/// Makes a container with the flag.
pub fn create(test: &Test, bundle: &Bundle, id: &str) -> Outcome {
    test.runtime(&["--systemd-cgroup", "create", "--bundle", &text(&bundle.path), id])
}

/// Made with the flag, which nothing after it gets.
pub fn start<'a>(test: &'a Test, bundle: &Bundle) -> Container<'a> {
    let id = test.fresh();
    let container = Container::of(test, &id, create(test, bundle, &id).ok());
    container.start().ok();
    container
}

/// Processes of a container that may take 32 MiB, and have 10 processes, feel both.
///
/// # Panics
/// When they don't.
#[track_caller]
pub fn feels_its_limits(container: &Container<'_>) {
    alone(container);
    let taken = |mebibytes| {
        let script = format!("dd if=/dev/zero of=/dev/null bs={mebibytes}M count=1 2>/dev/null; echo $?");
        exec(container, &script)
    };
    let (few, many) = (taken(8), taken(100));
    assert_eq!((few.stdout.trim(), many.stdout.trim()), ("0", "137"), "{few:#?} {many:#?}");
    // The shell ends when it can't have another process.
    let forks = "(for i in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 5 & done; echo all) 2>/dev/null";
    assert_eq!(exec(container, forks).stdout, "", "more processes than allowed");
}

/// A further process, which is a shell.
pub fn exec(container: &Container<'_>, script: &str) -> Outcome {
    container.test().runtime(&["exec", &container.id, "/bin/sh", "-c", script])
}

/// Waits for the end of processes that earlier commands have left.
///
/// # Panics
/// When they stay.
pub fn alone(container: &Container<'_>) {
    // The container's own program, and a child of it.
    let usual = 2;
    let count = || container.cgroup_file("pids", "pids.current").and_then(|text| text.parse::<u32>().ok());
    let alone = || count().is_some_and(|count| count <= usual).then_some(());
    soon(DEADLINE, alone).expect("the others end");
}
