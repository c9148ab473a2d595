//! What leads out of a container: descriptors, working directories, programs that are executed on the way in.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use integration::attack::{Sentinel, rounds};
use integration::bundle::shell;
use integration::command::Call;
use integration::test::text;
use integration::{Bundle, PROBER, Test, runtime};
use serde_json::{Value, json};

use crate::room::{capabilities, exec, on_each_resolver, plant, sleeping, user_namespace, writable};

/// A container that hunts for whoever appears in it, with all that helps.
fn hunting(test: &Test, mapped: bool) -> Bundle {
    test.bundle(|config| {
        config["process"]["args"] = json!([PROBER, "hunt"]);
        capabilities(config, &["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_KILL"]);
        config["process"]["noNewPrivileges"] = json!(false);
        if mapped {
            user_namespace(config);
        }
    })
}

/// Has it hunt for further processes, and tells what it caught.
fn catches(test: &Test, bundle: &Bundle, commands: &[&str]) -> Vec<String> {
    let container = test.start(bundle);
    container.has_said("hunting");
    for round in 0..rounds() {
        exec(test, &container, &[], &[commands[round % commands.len()]]);
    }
    let said = container.stdout();
    said.lines().filter(|line| line.starts_with("caught")).map(str::to_owned).collect()
}

#[test]
fn cve_2016_9962_cve_2016_8649_nothing_of_a_process_on_its_way_in_can_be_had() {
    for mapped in [false, true] {
        let test = Test::new();
        let caught = catches(&test, &hunting(&test, mapped), &["/bin/true"]);
        assert!(caught.is_empty(), "user namespace: {mapped}: {caught:#?}");
    }
}

/// The binary of the runtime: what is executed, and on which inode.
fn binary() -> (u64, Vec<u8>) {
    let path = &runtime().path;
    (fs::metadata(path).expect("it is there").ino(), fs::read(path).expect("it can be read"))
}

#[test]
fn cve_2019_5736_the_runtime_cannot_be_overwritten_from_inside() {
    let before = binary();
    let test = Test::new();
    let bundle = hunting(&test, false);
    plant(&bundle, "bin/evil", Path::new("/proc/self/exe"));
    plant(&bundle, "etc/ld.so.preload", Path::new("/proc/self/exe"));
    fs::write(bundle.inside("bin/script"), "#!/proc/self/exe\n").expect("the root is ours");
    fs::set_permissions(bundle.inside("bin/script"), PermissionsExt::from_mode(0o755))
        .expect("the root is ours");
    let caught = catches(&test, &bundle, &["/bin/evil", "/bin/script", "/bin/true"]);
    assert!(caught.is_empty(), "{caught:#?}");
    for program in ["/bin/evil", "/bin/script"] {
        let mut bundle = bundle.clone();
        bundle.config["linux"]["cgroupsPath"] = json!(format!("/{}/{}", test.mark, test.fresh()));
        bundle.edit(|config| config["process"]["args"] = json!([program, "--version"]));
        let outcome = test.run(&bundle);
        assert!(!outcome.stdout.contains("spec"), "the runtime itself was executed: {outcome:?}");
    }
    assert!(before == binary(), "the runtime was changed");
}

/// Leaves descriptors of the host's root open in the command.
fn leak(command: &mut Command) {
    let open = || {
        // SAFETY: system calls between fork and exec, on numbers and on a text that lives for ever.
        unsafe {
            let root = libc::open(c"/".as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY);
            (3..=20).for_each(|number| _ = libc::dup2(root, number));
        }
        Ok(())
    };
    // SAFETY: as told there.
    unsafe { command.pre_exec(open) };
}

/// Says where it is, if that is the host, and what else it holds.
fn whereabouts(test: &Test) -> String {
    format!(
        "[ -e .{} ] && echo outside; [ -e ./cgroup.procs ] && echo cgroup; \
         case $(readlink /proc/self/cwd) in /*) ;; *) echo nowhere;; esac; \
         for fd in /proc/self/fd/*; do case ${{fd##*/}} in 0|1|2) ;; *) [ -d $fd/ ] && echo holds $fd;; esac; done; true",
        text(&test.directory)
    )
}

fn links_to_descriptors() -> impl Iterator<Item = String> {
    (3..=64).flat_map(|number| [format!("/proc/self/fd/{number}"), format!("/proc/thread-self/fd/{number}")])
}

#[test]
fn cve_2024_21626_a_working_directory_is_inside_or_refused() {
    let test = Test::new();
    for place in links_to_descriptors() {
        let bundle = test.bundle(|config| {
            config["process"]["cwd"] = json!(place);
            shell(config, &whereabouts(&test));
        });
        let call = test.call(&["run", "--bundle", &text(&bundle.path), &test.fresh()]);
        assert_eq!(call.with(leak).run().stdout, "", "{place}");
    }
}

#[test]
fn cve_2024_21626_a_link_to_a_descriptor_is_no_working_directory() {
    on_each_resolver(|test| {
        let bundle = test.bundle(|config| config["process"]["args"] = json!(["/bin/sleep", "1000"]));
        let container = test.start(&bundle);
        for place in (3..=24).map(|number| format!("/proc/self/fd/{number}")) {
            plant(&bundle, "w", Path::new(&place));
            for cwd in ["/w", &place] {
                let script = whereabouts(test);
                let arguments = ["exec", "--cwd", cwd, &container.id, "/bin/sh", "-c", &script];
                assert_eq!(test.call(&arguments).with(leak).run().stdout, "", "{cwd}, {place}");
            }
        }
    });
}

/// Gives a command these files as the descriptors from 3 on.
fn handing<'a>(files: &'a [File]) -> impl FnOnce(&mut Command) + 'a {
    const ASIDE: RawFd = 100;
    let numbers: Vec<RawFd> = files.iter().map(AsRawFd::as_raw_fd).collect();
    let hand = move || {
        for (number, wanted) in numbers.iter().zip(ASIDE..) {
            // SAFETY: a system call on numbers, between fork and exec.
            unsafe { libc::dup3(*number, wanted, libc::O_CLOEXEC) };
        }
        // SAFETY: as above. What a tester's shell had open is not handed on.
        unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
        for (aside, wanted) in (ASIDE..).zip(3..).take(numbers.len()) {
            // SAFETY: as above.
            if unsafe { libc::dup2(aside, wanted) } < 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    };
    |command| {
        // SAFETY: what is called makes system calls only.
        unsafe { command.pre_exec(hand) };
    }
}

/// What a program holds besides the standard streams.
fn held(call: Call) -> Option<Vec<String>> {
    let outcome = call.run();
    let seen: Option<Value> =
        outcome.succeeded().then(|| serde_json::from_str(&outcome.stdout).expect("JSON"));
    let descriptors = seen?["descriptors"].as_object().cloned().unwrap_or_default();
    let further = descriptors.into_iter().filter(|(number, _)| !["0", "1", "2"].contains(&number.as_str()));
    Some(
        further.map(|(number, target)| format!("{number} {}", target.as_str().unwrap_or_default())).collect(),
    )
}

#[test]
fn runc_5474_preserved_descriptors_are_the_callers_or_an_error() {
    let test = Test::new();
    let files: Vec<File> = (3..11)
        .map(|number| {
            let path = test.directory.join(format!("file{number}"));
            fs::write(&path, "").expect("a file can be written");
            File::open(path).expect("it can be opened")
        })
        .collect();
    let bundle = test.bundle(|config| config["process"]["args"] = json!([PROBER, "{}"]));
    for given in 0..=files.len() {
        for asked in 0..=files.len() {
            let (directory, count) = (text(&bundle.path), asked.to_string());
            let call = test.call(&["run", "--preserve-fds", &count, "--bundle", &directory, &test.fresh()]);
            let mut seen = held(call.with(handing(&files[..given])));
            seen.iter_mut().for_each(|seen| seen.sort_by_key(|line| line.len()));
            let path =
                |number: usize| format!("{number} {}", text(&test.directory.join(format!("file{number}"))));
            let mut wanted: Vec<String> = (3..3 + asked).map(path).collect();
            wanted.sort_by_key(String::len);
            let wanted = (asked <= given).then_some(wanted);
            assert_eq!(seen, wanted, "{given} given, {asked} asked for");
        }
    }
}

#[test]
fn runc_5322_cve_2015_3627_a_program_holds_its_streams_and_nothing_else() {
    let test = Test::new();
    let bundle = test.bundle(|config| {
        config["process"]["args"] = json!([PROBER, "{}"]);
        config["linux"]["seccomp"] = integration::seccomp::docker_sized();
    });
    let run = test.call(&["run", "--bundle", &text(&bundle.path), &test.fresh()]);
    assert_eq!(held(run.with(leak)), Some(Vec::new()));
    let container = sleeping(&test, |_| {});
    let further = test.call(&["exec", &container.id, PROBER, "{}"]);
    assert_eq!(held(further.with(leak)), Some(Vec::new()));
}

/// Programs that were executed while a container was made, as a tracer tells them: call and path.
fn executed(test: &Test, arguments: &[&str]) -> Vec<String> {
    let strace = integration::runtime::find(Path::new("strace")).expect("these tests need strace");
    let trace = text(&test.directory.join(test.fresh()));
    let root = text(&test.state_root());
    let own = text(&runtime().path);
    let tracing = ["-f", "-qq", "-e", "trace=execve,execveat", "-o", &trace, &own, "--root", &root];
    test.program(&strace, &[&tracing, arguments].concat()).run().ok();
    let trace = fs::read_to_string(trace).expect("a trace was written");
    let calls = trace.lines().filter_map(|line| line.split_once(' ')?.1.trim().split_once('('));
    let executions = calls.filter(|(call, rest)| call.starts_with("execve") && rest.ends_with("= 0"));
    executions.filter_map(|(_, rest)| rest.split('"').nth(1).map(str::to_owned)).collect()
}

#[test]
fn cve_2026_84042_cve_2019_14271_nothing_of_the_image_is_executed_or_loaded_before_the_program() {
    let test = Test::new();
    let bundle = test.bundle(|config| {
        writable(config);
        config["process"]["args"] = json!(["/bin/busybox", "true"]);
        config["hooks"] = json!({"createRuntime": [{"path": "/bin/true", "args": ["true"]}]});
    });
    let names = ["passt", "newuidmap", "nsswitch.conf", "ld.so.preload", "ld.so.cache", "libnss_files.so.2"];
    for place in ["usr/bin", "sbin", "lib", "lib/x86_64-linux-gnu", "etc"] {
        fs::create_dir_all(bundle.inside(place)).expect("the root is ours");
        let content = "#!/bin/sh\necho of the image\n";
        names.iter().for_each(|name| fs::write(bundle.inside(place).join(name), content).expect("a file"));
    }
    let library = Sentinel::watching(bundle.inside("lib"));
    let programs = executed(&test, &["run", "--bundle", &text(&bundle.path), &test.fresh()]);
    let own = text(&runtime().path);
    let usual = |program: &str| {
        program.is_empty()
            || program == own
            || program == "/proc/self/exe"
            || program.starts_with("/proc/self/fd/")
    };
    let others: Vec<_> = programs.iter().filter(|program| !usual(program)).collect();
    assert_eq!(others, ["/bin/true", "/bin/busybox"], "{programs:?}");
    library.is_untouched();
}

#[test]
fn cve_2026_55686_cve_2022_23648_a_working_directory_is_made_inside() {
    on_each_resolver(|test| {
        let sentinel = Sentinel::new(test);
        let climbing =
            Path::new("../../../../../../../../..").join(sentinel.path.strip_prefix("/").expect("absolute"));
        for target in [&sentinel.path, &climbing] {
            let bundle = test.bundle(|config| {
                writable(config);
                config["process"]["cwd"] = json!("/link/BREAKOUT/deep");
                shell(config, "pwd -P");
            });
            symlink(target, bundle.inside("link")).expect("a link can be made");
            let outcome = test.run(&bundle);
            sentinel.is_untouched();
            let inside = format!("{}/BREAKOUT/deep\n", text(&sentinel.path));
            assert!(!outcome.succeeded() || outcome.stdout == inside, "{outcome:?}");
        }
    });
}
