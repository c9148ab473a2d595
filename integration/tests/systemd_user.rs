//! Containers whose cgroups an ordinary user's own systemd makes: in guests, where somebody can log in.

use std::fs;

use integration::bundle::shell;
use integration::command::{DEADLINE, end};
use integration::login::{self, Login};
use integration::test::text;
use integration::units::{self, feels_its_limits};
use integration::user::mapped;
use integration::{Bundle, Container, Test, killer, leaks};
use serde_json::{Value, json};

const MIB: u64 = 1 << 20;

/// A test of somebody who has logged in.
fn test_of_login() -> Option<Test> {
    match Login::get() {
        Ok(login) => Some(Test::of_login(login)),
        Err(why) => {
            println!("{why}: not tested");
            None
        }
    }
}

/// A bundle of his, and the name of its unit.
fn bundle(test: &Test, edit: impl FnOnce(&mut Value)) -> (Bundle, String) {
    units::bundle(test, |config| {
        mapped(config, login::ids());
        // The shell stays, and collects what others leave.
        shell(config, "echo up; sleep 1000; true");
        edit(config);
    })
}

fn start<'a>(test: &'a Test, bundle: &Bundle) -> Container<'a> {
    let container = units::start(test, bundle);
    container.has_said("up");
    container
}

/// What his systemd says.
fn systemctl(test: &Test, arguments: &[&str]) -> String {
    let said = test.program("systemctl".as_ref(), &[&["--user"], arguments].concat()).run();
    said.stdout.trim().to_owned()
}

fn property(test: &Test, unit: &str, name: &str) -> String {
    systemctl(test, &["show", "--value", "--property", name, unit])
}

/// Systemd forgets a unit a moment after it has ended.
fn nothing_is_left(test: &Test) {
    let marked = format!("{}*", test.mark);
    let units = || systemctl(test, &["list-units", "--all", "--no-legend", "--plain", &marked]);
    let gone = leaks::soon(DEADLINE, || units().is_empty().then_some(()));
    assert!(gone.is_some(), "left: {}", units());
}

fn upset_systemd(test: &Test) {
    systemctl(test, &["daemon-reload"]);
    systemctl(test, &["restart", "dbus"]);
}

#[test]
fn his_own_systemd_makes_the_unit_and_forgets_it() {
    let Some(test) = test_of_login() else { return };
    let (bundle, unit) = bundle(&test, |_| ());
    let container = start(&test, &bundle);
    let place = format!("/user@{}.service/user.slice/{unit}", login::UID);
    assert!(container.proc("cgroup").trim().ends_with(&place), "{}", container.proc("cgroup"));
    for (name, value) in [("ActiveState", "active"), ("Delegate", "yes"), ("Slice", "user.slice")] {
        assert_eq!(property(&test, &unit, name), value, "{name}");
    }
    container.kill("KILL").ok();
    container.finish();
    assert_eq!(property(&test, &unit, "ActiveState"), "inactive");
    nothing_is_left(&test);
}

#[test]
fn limits_are_felt_whatever_happens_to_his_systemd() {
    let Some(test) = test_of_login() else { return };
    let (bundle, unit) = bundle(&test, |config| {
        config["linux"]["resources"]["memory"] = json!({"limit": 32 * MIB, "swap": 32 * MIB});
        config["linux"]["resources"]["pids"] = json!({"limit": 10});
        config["linux"]["resources"]["cpu"] = json!({"quota": 20000, "period": 100_000});
    });
    let container = start(&test, &bundle);
    feels_its_limits(&container);
    assert_eq!(container.cgroup_file("cpu", "cpu.max").as_deref(), Some("20000 100000"));
    upset_systemd(&test);
    feels_its_limits(&container);
    test.runtime(&["update", "--memory", "16777216", "--pids-limit", "30", &container.id]).ok();
    assert_eq!(container.cgroup_file("memory", "memory.max").as_deref(), Some("16777216"));
    assert_eq!(property(&test, &unit, "TasksMax"), "30");
    upset_systemd(&test);
    assert_eq!(container.cgroup_file("pids", "pids.max").as_deref(), Some("30"));
    container.delete_by_force().ok();
    nothing_is_left(&test);
}

#[test]
fn further_processes_go_where_the_unit_is() {
    let Some(test) = test_of_login() else { return };
    let (bundle, _) = bundle(&test, |_| ());
    let container = start(&test, &bundle);
    let file = test.directory.join("tmp/pid");
    let exec = ["exec", "--detach", "--pid-file", &text(&file), &container.id, "/bin/sleep", "1000"];
    test.runtime(&exec).ok();
    let pid = fs::read_to_string(&file).expect("the pid file is there");
    fs::remove_file(&file).expect("it can be removed");
    let cgroup = fs::read_to_string(format!("/proc/{pid}/cgroup")).expect("the process is there");
    assert_eq!(cgroup, container.proc("cgroup"));
    // It is a child of this process by now, and nobody else collects it.
    end(pid.parse().expect("a pid file has a number"));
}

#[test]
fn a_paused_container_stays_so_until_it_is_resumed() {
    let Some(test) = test_of_login() else { return };
    let (bundle, _) = bundle(&test, |_| ());
    let container = start(&test, &bundle);
    container.command(&["pause"]).ok();
    upset_systemd(&test);
    assert_eq!(container.status(), "paused");
    container.command(&["resume"]).ok();
    assert_eq!(container.status(), "running");
    container.command(&["pause"]).ok();
    container.delete_by_force().ok();
    nothing_is_left(&test);
}

#[test]
fn deaths_leave_no_unit() {
    const CYCLES: u32 = 24;
    /// A creation makes about so many calls.
    const CALLS: u32 = 260;
    let Some(test) = test_of_login() else { return };
    let (bundle, _) = bundle(&test, |_| ());
    let path = text(&bundle.path);
    for cycle in 0..CYCLES {
        let id = test.fresh();
        let create = ["--systemd-cgroup", "create", "--bundle", &path, &id];
        killer::kill_at(test.call(&create), cycle * CALLS / CYCLES + 1);
        test.runtime(&["delete", "--force", &id]).ok();
        leaks::reap_orphans(&test);
    }
    nothing_is_left(&test);
}
