//! Labels: the AppArmor profile and the SELinux label of a container's processes and file systems.
//!
//! What takes a security module is tested where the kernel has it at work; elsewhere, that it is missed.
//! `data/selinux.cil` is a policy for guests.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use integration::bundle::{mount, namespace, shell};
use integration::runtime::find;
use integration::{Container, Kind, Outcome, Test, promise, promises, runtime};
use rustix::fs::getxattr;
use serde_json::{Value, json};

/// Writes to a file that profiles forbid, and to another, and tells under which profile.
const SCRIPT: &str = "cat /proc/self/attr/current; echo > /dev/shm/allowed && echo written; \
                      echo > /dev/shm/forbidden || echo refused";

fn is_apparmor_at_work() -> bool {
    fs::read("/sys/module/apparmor/parameters/enabled").is_ok_and(|answer| answer.starts_with(b"Y"))
}

fn is_selinux_at_work() -> bool {
    Path::new("/sys/fs/selinux/enforce").exists()
        && fs::read_to_string("/proc/self/attr/current").is_ok_and(|label| label.contains(':'))
}

/// Whether profiles can be loaded here; if not, says so.
fn can_load_profiles() -> bool {
    let lacking = match () {
        () if !is_apparmor_at_work() => "AppArmor is not at work",
        () if find("apparmor_parser".as_ref()).is_none() => "apparmor_parser is not installed",
        () => return true,
    };
    println!("{lacking}: not tested");
    false
}

/// A profile that is loaded while this lives.
struct Profile {
    name: String,
}

impl Profile {
    /// Allows everything but writing a file in /dev/shm.
    fn load(test: &Test) -> Self {
        let profile = Profile { name: test.fresh() };
        profile.parse("--replace");
        profile
    }

    fn parse(&self, how: &str) {
        let text = format!(
            "profile {} flags=(attach_disconnected,mediate_deleted) {{\n  file,\n  capability,\n  network,\n  \
             mount,\n  umount,\n  signal,\n  ptrace,\n  unix,\n  deny /dev/shm/forbidden w,\n}}\n",
            self.name
        );
        let mut parser = Command::new("apparmor_parser")
            .args([how, "--skip-cache"])
            .stdin(Stdio::piped())
            .spawn()
            .expect("apparmor_parser can be run");
        let mut stdin = parser.stdin.take().expect("its input is a pipe");
        stdin.write_all(text.as_bytes()).expect("it reads its input");
        drop(stdin);
        assert!(parser.wait().is_ok_and(|status| status.success()), "apparmor_parser takes\n{text}");
    }

    /// What the script says under it.
    fn said(&self) -> String {
        format!("{} (enforce)\nwritten\nrefused\n", self.name)
    }
}

impl Drop for Profile {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.parse("--remove");
        }
    }
}

fn sleeping<'a>(test: &'a Test, edit: impl FnOnce(&mut Value)) -> Container<'a> {
    test.start(&test.bundle(|config| {
        config["process"]["args"] = json!(["/bin/sleep", "1000"]);
        edit(config);
    }))
}

fn exec(test: &Test, container: &Container<'_>, options: &[&str], script: &str) -> Outcome {
    test.runtime(&[&["exec"], options, &[container.id.as_str(), "/bin/sh", "-c", script]].concat())
}

fn map_users(config: &mut Value) {
    namespace(config, "user", Some(json!({"type": "user"})));
    let map = json!([{"containerID": 0, "hostID": 0, "size": 65536}]);
    (config["linux"]["uidMappings"], config["linux"]["gidMappings"]) = (map.clone(), map);
}

fn filter(config: &mut Value) {
    let rule = json!({"names": ["swapoff"], "action": "SCMP_ACT_ERRNO"});
    config["linux"]["seccomp"] = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]});
}

/// What else a configuration asks for.
type Circumstance = (&'static str, fn(&mut Value));

/// Circumstances in which a label could get lost.
const CIRCUMSTANCES: [Circumstance; 5] = [
    ("none", |_| {}),
    ("new privileges allowed", |config| config["process"]["noNewPrivileges"] = json!(false)),
    ("an ordinary user", |config| config["process"]["user"] = json!({"uid": 1000, "gid": 1000})),
    ("a user namespace", map_users),
    ("a filter, and new privileges allowed", |config| {
        config["process"]["noNewPrivileges"] = json!(false);
        filter(config);
    }),
];

#[test]
fn a_profile_confines_the_program() {
    if !can_load_profiles() {
        return;
    }
    for (circumstance, arrange) in CIRCUMSTANCES {
        let test = Test::new();
        let profile = Profile::load(&test);
        let outcome = test.run_with(|config| {
            config["process"]["apparmorProfile"] = json!(profile.name);
            shell(config, SCRIPT);
            arrange(config);
        });
        assert_eq!(outcome.ok().stdout, profile.said(), "{circumstance}");
    }
}

#[test]
fn a_further_process_has_a_profile_too() {
    if !can_load_profiles() {
        return;
    }
    for (circumstance, arrange) in CIRCUMSTANCES {
        let test = Test::new();
        let profile = Profile::load(&test);
        let confined = sleeping(&test, |config| {
            config["process"]["apparmorProfile"] = json!(profile.name);
            arrange(config);
        });
        assert_eq!(exec(&test, &confined, &[], SCRIPT).ok().stdout, profile.said(), "{circumstance}");
        let free = sleeping(&test, arrange);
        let options = ["--apparmor", &profile.name];
        assert_eq!(exec(&test, &free, &options, SCRIPT).ok().stdout, profile.said(), "{circumstance}");
    }
}

#[test]
fn unconfined_is_a_profile_like_others() {
    if !can_load_profiles() {
        return;
    }
    let test = Test::new();
    let profile = Profile::load(&test);
    let container = sleeping(&test, |config| config["process"]["apparmorProfile"] = json!(profile.name));
    let said = exec(&test, &container, &["--apparmor", "unconfined"], SCRIPT).ok().stdout;
    assert_eq!(said, "unconfined\nwritten\n");
    let said = test.run_with(|config| {
        config["process"]["apparmorProfile"] = json!("unconfined");
        shell(config, "cat /proc/self/attr/current");
    });
    assert_eq!(said.ok().stdout, "unconfined\n");
}

#[test]
fn a_profile_that_is_not_loaded_is_named_and_leaves_nothing() {
    if !can_load_profiles() {
        return;
    }
    let test = Test::new();
    let missing = test.fresh();
    let bundle = test.bundle(|config| config["process"]["apparmorProfile"] = json!(missing));
    let words = "apparmor failed to apply profile: ";
    for outcome in [test.try_create(&bundle), test.run(&bundle)] {
        outcome.clone().fails_with(&[words]);
        assert!(
            outcome.stderr.contains(&missing) && outcome.stderr.trim().lines().count() == 1,
            "{outcome:?}"
        );
    }
    let container = sleeping(&test, |_| {});
    exec(&test, &container, &["--apparmor", &missing], "true").exits(255).fails_with(&[words]);
    assert_eq!(container.status(), "running");
}

#[test]
fn a_profile_may_come_with_a_hook_and_confines_those_of_the_start() {
    if !can_load_profiles() {
        return;
    }
    let test = Test::new();
    let profile = Profile::load(&test);
    let rules = test.directory.join("rules");
    let late = Profile { name: test.fresh() };
    fs::write(&rules, format!("profile {} {{\n  file,\n  network,\n}}\n", late.name)).expect("a file");
    let parser = find("apparmor_parser".as_ref()).expect("it was there before");
    let outcome = test.run_with(|config| {
        config["hooks"]["createRuntime"] =
            json!([{"path": parser, "args": ["apparmor_parser", "--replace", "--skip-cache", rules]}]);
        config["process"]["apparmorProfile"] = json!(late.name);
        shell(config, "cat /proc/self/attr/current");
    });
    assert_eq!(outcome.ok().stdout, format!("{} (enforce)\n", late.name));
    let outcome = test.run_with(|config| {
        let script = "cat /proc/self/attr/current > /dev/shm/hook; echo > /dev/shm/forbidden; true";
        config["hooks"]["startContainer"] = json!([{"path": "/bin/sh", "args": ["sh", "-c", script]}]);
        config["process"]["apparmorProfile"] = json!(profile.name);
        shell(config, "cat /dev/shm/hook; test -e /dev/shm/forbidden || echo refused");
    });
    assert_eq!(outcome.ok().stdout, format!("{} (enforce)\nrefused\n", profile.name));
}

/// A directory that somebody mounted over our own files in /proc would take the label, and the program would run
/// without it (CVE-2019-16884, CVE-2025-52881).
#[test]
fn a_decoy_does_not_get_the_label() {
    if !can_load_profiles() {
        return;
    }
    let test = Test::new();
    let profile = Profile::load(&test);
    let decoy = test.directory.join("decoy");
    fs::create_dir_all(decoy.join("apparmor")).expect("a directory can be made");
    fs::write(decoy.join("apparmor/exec"), "").expect("a file can be made");
    let script = format!(
        "set -e; pid=$(sed 's/.*\"pid\":\\([0-9]*\\).*/\\1/'); \
         nsenter -t $pid -m mount --bind {} /proc/$pid/task/$pid/attr",
        decoy.display()
    );
    let bundle = test.bundle(|config| {
        config["hooks"]["createRuntime"] = json!([{"path": "/bin/sh", "args": ["sh", "-c", script],
            "env": ["PATH=/bin:/usr/bin:/sbin:/usr/sbin"]}]);
        config["process"]["apparmorProfile"] = json!(profile.name);
        shell(config, "cat /proc/self/attr/current");
    });
    promise("a decoy of the label's file", || {
        test.run(&bundle).fails_with(&["apparmor failed to apply profile: "]);
        let written = fs::read(decoy.join("apparmor/exec")).expect("the decoy is there still");
        assert_eq!(written, b"", "the decoy got the label");
    });
}

#[test]
fn a_label_needs_its_security_module() {
    let apparmor = ("/process/apparmorProfile", "docker-default", "apparmor not supported");
    let selinux = "selinux is disabled or not supported";
    let label = "system_u:object_r:container_file_t:s0";
    let all = [
        (is_apparmor_at_work(), apparmor),
        (is_selinux_at_work(), ("/process/selinuxLabel", label, selinux)),
        (is_selinux_at_work(), ("/linux/mountLabel", label, selinux)),
    ];
    promises(all.into_iter().filter(|(at_work, _)| !at_work).map(|(_, (pointer, value, words))| {
        let test = move || {
            let test = Test::new();
            let (parent, name) = pointer.rsplit_once('/').expect("a pointer");
            let set = |config: &mut Value, value: &str| {
                config.pointer_mut(parent).expect("an object")[name] = json!(value);
            };
            let outcome = test.run_with(|config| set(config, value)).fails_with(&[words]);
            assert_eq!(outcome.stderr.trim().lines().count(), 1, "{outcome:?}");
            test.run_with(|config| set(config, "")).ok();
        };
        (format!("{pointer} without its module"), test)
    }));
}

#[test]
fn a_further_process_misses_the_security_module_too() {
    if runtime().kind != Kind::Ours {
        return println!("others look for it when they make the container: not tested");
    }
    let test = Test::new();
    let container = sleeping(&test, |_| {});
    if !is_apparmor_at_work() {
        exec(&test, &container, &["--apparmor", "x"], "true")
            .exits(255)
            .fails_with(&["apparmor not supported"]);
        exec(&test, &container, &["--apparmor", ""], "true").ok();
    }
    if !is_selinux_at_work() {
        exec(&test, &container, &["--process-label", "x"], "true")
            .exits(255)
            .fails_with(&["selinux is disabled"]);
        exec(&test, &container, &["--process-label", ""], "true").ok();
    }
}

/// A label that the policy knows: that which engines give to containers, or else that of the tests with another level.
fn label(usual: &str) -> Option<String> {
    if !is_selinux_at_work() {
        println!("SELinux is not at work: not tested");
        return None;
    }
    let own = fs::read_to_string("/proc/self/attr/current").expect("it was read before");
    let kind: Vec<&str> = own.split(':').take(3).collect();
    let known = |label: &String| fs::write("/sys/fs/selinux/context", label).is_ok();
    let label = [usual, &kind.join(":")].map(|kind| format!("{kind}:s0:c1,c3")).into_iter().find(known);
    if label.is_none() {
        println!("the policy knows no levels: not tested");
    }
    label
}

#[test]
fn a_program_has_its_label() {
    let Some(label) = label("system_u:system_r:container_t") else { return };
    for (circumstance, arrange) in CIRCUMSTANCES {
        let test = Test::new();
        let script = "cat /proc/self/attr/current | head -c 200";
        let trimmed = |outcome: Outcome| outcome.ok().stdout.trim_end_matches(['\0', '\n']).to_owned();
        let outcome = test.run_with(|config| {
            config["process"]["selinuxLabel"] = json!(label);
            shell(config, script);
            arrange(config);
        });
        assert_eq!(trimmed(outcome), label, "{circumstance}");
        let confined = sleeping(&test, |config| {
            config["process"]["selinuxLabel"] = json!(label);
            arrange(config);
        });
        assert_eq!(trimmed(exec(&test, &confined, &[], script)), label, "{circumstance}");
        let other = label.replace("c3", "c4");
        let outcome = exec(&test, &confined, &["--process-label", &other], script);
        assert_eq!(trimmed(outcome), other, "{circumstance}");
    }
}

#[test]
fn a_label_that_the_policy_does_not_know_leaves_nothing() {
    if is_selinux_at_work() {
        let test = Test::new();
        let outcome = test.run_with(|config| config["process"]["selinuxLabel"] = json!("no:such:label:s0"));
        outcome.fails_with(&["no:such:label:s0"]);
    }
}

#[test]
fn file_systems_are_labelled() {
    let Some(label) = label("system_u:object_r:container_file_t") else { return };
    let test = Test::new();
    let container = sleeping(&test, |config| {
        config["linux"]["mountLabel"] = json!(label);
        mount(config, "/tmp", "tmpfs", "tmpfs", &[]);
    });
    let root = Path::new("/proc").join(container.state()["pid"].to_string()).join("root");
    for place in ["dev", "dev/pts", "dev/mqueue", "dev/shm", "dev/null", "tmp"] {
        let mut found = vec![0; 256];
        let length = getxattr(root.join(place), "security.selinux", &mut found).expect("it has a label");
        found.truncate(length);
        assert_eq!(String::from_utf8_lossy(&found).trim_end_matches('\0'), label, "{place}");
    }
}
