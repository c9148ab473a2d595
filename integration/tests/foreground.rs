//! `run` in the foreground, between the program's terminal and the streams of its caller.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};

use integration::command::{DEADLINE, ends_within};
use integration::leaks::soon;
use integration::terminal::{Terminal, on_terminal};
use integration::test::text;
use integration::{Exit, Test, promise};
use rustix::pipe::PipeFlags;
use rustix::process::{Pid, Signal, kill_process};
use rustix::termios::{LocalModes, tcgetattr};

#[test]
fn everything_that_is_said_arrives() {
    promise("a long output through a terminal", || {
        let test = Test::new();
        let outcome = test.run(&test.bundle(|config| on_terminal(config, "seq 30000; exit 5"))).exits(5);
        let expected: String = (1..=30000).map(|number| format!("{number}\n")).collect();
        assert!(outcome.stdout == expected, "{} bytes of {}", outcome.stdout.len(), expected.len());
    });
}

/// `run` on a terminal of ours.
fn run_on(test: &Test, script: &str, body: impl FnOnce(&mut Terminal, i32)) -> Exit {
    let bundle = test.bundle(|config| on_terminal(config, script));
    let (mut terminal, slave) = Terminal::new(40, 132);
    let before = tcgetattr(&slave).unwrap();
    let running = test.call(&["run", "--bundle", &text(&bundle.path), &test.fresh()]).spawn_on(&slave);
    body(&mut terminal, running.pid());
    let exit = running.finish().exit;
    let after = tcgetattr(&slave).unwrap();
    assert_eq!(before.local_modes, after.local_modes, "the terminal is left as it was found");
    assert!(after.local_modes.contains(LocalModes::ECHO));
    exit
}

#[test]
fn run_stands_between_two_terminals() {
    promise("run on a terminal", || {
        let test = Test::new();
        let exit = run_on(&test, "stty size; read line; echo got $line; exit 6", |terminal, _| {
            terminal.says("40 132\r\n");
            terminal.press("it\r");
            // Echoed once: the outer terminal is raw.
            terminal.says("132\r\nit\r\ngot it\r\n");
        });
        assert_eq!(exit, Exit::Code(6));
    });
}

#[test]
fn keys_reach_the_program_and_not_the_runtime() {
    promise("Ctrl-C in the foreground", || {
        let test = Test::new();
        let script = "trap 'echo caught; exit 3' INT; echo ready; while :; do sleep 0.1; done";
        let exit = run_on(&test, script, |terminal, _| {
            terminal.says("ready");
            terminal.press("\x03");
            terminal.says("caught");
        });
        assert_eq!(exit, Exit::Code(3));
    });
}

#[test]
fn the_size_follows() {
    promise("SIGWINCH", || {
        let test = Test::new();
        let script = "trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.1; done";
        run_on(&test, script, |terminal, pid| {
            terminal.says("ready");
            terminal.resize(20, 70);
            signal(pid, Signal::WINCH);
            terminal.says("20 70");
        });
    });
}

#[test]
fn a_signal_reaches_the_program_and_the_terminal_comes_back() {
    promise("SIGTERM in the foreground with a terminal", || {
        let test = Test::new();
        let script = "trap 'echo told; exit 9' TERM; echo ready; while :; do sleep 0.1; done";
        let exit = run_on(&test, script, |terminal, pid| {
            terminal.says("ready");
            signal(pid, Signal::TERM);
            terminal.says("told");
        });
        assert_eq!(exit, Exit::Code(9));
    });
}

fn signal(pid: i32, signal: Signal) {
    kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
}

#[test]
fn piped_input_ends() {
    promise("input from a file", || {
        let test = Test::new();
        let file = test.directory.join("input");
        fs::write(&file, "one\ntwo").unwrap();
        let bundle = test.bundle(|config| on_terminal(config, "stty -echo; cat; echo; echo end"));
        let call = test.call(&["run", "--bundle", &text(&bundle.path), &test.fresh()]);
        let said = call.stdin(fs::File::open(&file).unwrap()).run().ok().stdout;
        // What came before the echo was turned off is shown twice.
        assert!(said.ends_with("one\ntwo\nend\n"), "{said:?}");
    });
}

/// A pipe that is full, and what is in it.
fn full_pipe() -> (OwnedFd, OwnedFd, usize) {
    let (read, write) = rustix::pipe::pipe_with(PipeFlags::CLOEXEC).unwrap();
    let size = rustix::pipe::fcntl_getpipe_size(&write).unwrap();
    assert_eq!(rustix::io::write(&write, &vec![b'.'; size]), Ok(size));
    (read, write, size)
}

#[test]
fn the_end_waits_for_a_slow_reader_and_not_for_a_stuck_one() {
    let unread = |test: &Test| {
        let bundle = test.bundle(|config| on_terminal(config, "echo all"));
        let (read, write, size) = full_pipe();
        let id = test.fresh();
        let running = test.call(&["run", "--bundle", &text(&bundle.path), &id]).spawn_into(write);
        let has_ended = || test.runtime(&["state", &id]).stdout.contains("stopped").then_some(());
        soon(DEADLINE, has_ended).expect("the program ends");
        assert!(!ends_within(running.pid(), std::time::Duration::from_secs(1)));
        (read, running, size)
    };
    promise("a slow reader", || {
        let test = Test::new();
        let (read, running, size) = unread(&test);
        assert!(cpu_time(running.pid()) < 60, "it spins while nobody reads");
        let mut said = String::new();
        std::io::Read::read_to_string(&mut fs::File::from(read), &mut said).unwrap();
        assert_eq!(running.finish().exit, Exit::Code(0));
        assert_eq!(said.trim_start_matches('.'), "all\n");
        assert_eq!(said.len(), size + 4);
    });
    promise("a stuck reader", || {
        let test = Test::new();
        let (read, running, _) = unread(&test);
        signal(running.pid(), Signal::TERM);
        assert!(ends_within(running.pid(), DEADLINE / 3));
        assert!(read.as_raw_fd() >= 0);
        running.finish();
    });
}

/// In ticks of ten milliseconds.
fn cpu_time(pid: i32) -> u64 {
    let stat = procfs::process::Process::new(pid).and_then(|process| process.stat()).unwrap();
    stat.utime + stat.stime
}
