//! Relays between pairs of terminals and pipes.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::process::{Child, Command, Stdio};
use std::thread;

use rustix::process::{Pid, PidfdFlags, pidfd_open};
use rustix::termios::{LocalModes, OutputModes, Winsize, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};
use rustix::time::{ClockId, clock_gettime};

use super::*;
use runtime_core::signals;

/// Both sides of a terminal.
fn pair() -> (OwnedFd, OwnedFd) {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = rustix::pty::openpt(flags).unwrap();
    rustix::pty::unlockpt(&master).unwrap();
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags).unwrap();
    (master, slave)
}

fn null() -> OwnedFd {
    File::options().read(true).write(true).open("/dev/null").unwrap().into()
}

fn pipe() -> (OwnedFd, OwnedFd) {
    rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).unwrap()
}

/// A program on a terminal; the terminal's other side.
fn program(script: &str) -> (Child, OwnedFd) {
    let (master, slave) = pair();
    let copy = || Stdio::from(slave.try_clone().unwrap());
    let child =
        Command::new("sh").args(["-c", script]).stdin(copy()).stdout(copy()).stderr(copy()).spawn().unwrap();
    (child, master)
}

fn handle(child: &Child) -> OwnedFd {
    let pid = Pid::from_raw(child.id().cast_signed()).unwrap();
    pidfd_open(pid, PidfdFlags::empty()).unwrap()
}

/// Copies until the program has ended, and then the rest.
fn to_the_end(mut child: Child, mut relay: Relay) {
    let blocked = signals::block_all();
    let queue = blocked.queue().unwrap();
    let pidfd = handle(&child);
    assert_eq!(relay.wait([pidfd.as_fd()]).unwrap(), [true]);
    relay.finish(&queue, false).unwrap();
    assert!(child.wait().unwrap().success());
}

fn reading(source: OwnedFd) -> thread::JoinHandle<String> {
    thread::spawn(move || {
        let mut said = String::new();
        File::from(source).read_to_string(&mut said).unwrap();
        said
    })
}

#[test]
fn everything_that_a_program_says_arrives_in_order() {
    let (child, master) = program("stty -opost; seq 20000");
    let (read, write) = pipe();
    let reader = reading(read);
    to_the_end(child, Relay::between(master, Host::new(null(), write, null())).unwrap());
    let expected: String = (1..=20000).map(|number| format!("{number}\n")).collect();
    assert!(reader.join().unwrap() == expected);
}

#[test]
fn a_program_may_close_its_terminal_and_open_it_again() {
    let (child, master) = program("tty=$(tty); exec <&- >&- 2>&-; sleep 0.2; echo again > $tty");
    let (read, write) = pipe();
    let reader = reading(read);
    to_the_end(child, Relay::between(master, Host::new(null(), write, null())).unwrap());
    assert_eq!(reader.join().unwrap(), "again\r\n");
}

#[test]
fn the_end_of_piped_input_is_one_for_the_program() {
    for said in ["", "whole\n", "half"] {
        let (child, master) = program("stty -echo; echo ready; cat");
        let (input, mut feed) = {
            let (read, write) = pipe();
            (read, File::from(write))
        };
        let (read, write) = pipe();
        // What comes before `stty` would be echoed.
        let ready = thread::spawn(move || {
            assert!(Command::new("sleep").arg("0.3").status().unwrap().success());
            feed.write_all(said.as_bytes()).unwrap();
        });
        let reader = reading(read);
        to_the_end(child, Relay::between(master, Host::new(input, write, null())).unwrap());
        ready.join().unwrap();
        assert_eq!(reader.join().unwrap(), format!("ready\r\n{}", said.replace('\n', "\r\n")));
    }
}

#[test]
fn the_null_device_is_no_input_instead_of_one_that_has_ended() {
    let (master, _slave) = pair();
    let relay = Relay::between(master, Host::new(null(), null(), null())).unwrap();
    let ends: Vec<End> = relay.wanted().into_iter().map(|(end, _)| end).collect();
    assert_eq!(ends, [End::Master]);
}

#[test]
fn the_callers_terminal_is_raw_meanwhile() {
    let (_keys, terminal) = pair();
    let before = tcgetattr(&terminal).unwrap();
    assert!(before.local_modes.contains(LocalModes::ECHO | LocalModes::ICANON));
    let (master, _slave) = pair();
    let copy = || terminal.try_clone().unwrap();
    let mut relay = Relay::between(master, Host::new(copy(), copy(), copy())).unwrap();
    let is_raw = || {
        let now = tcgetattr(&terminal).unwrap();
        let cooked = LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
        assert!(!now.local_modes.intersects(cooked));
        assert!(now.output_modes.contains(OutputModes::OPOST | OutputModes::ONLCR));
    };
    is_raw();
    // A shell that had this process stopped has made the terminal its own.
    tcsetattr(&terminal, rustix::termios::OptionalActions::Now, &before).unwrap();
    relay.resume();
    is_raw();
    drop(relay);
    let after = tcgetattr(&terminal).unwrap();
    assert_eq!((after.local_modes, after.input_modes), (before.local_modes, before.input_modes));
}

#[test]
fn the_size_follows_the_callers_terminal() {
    let size = |rows, columns| Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    let (_keys, terminal) = pair();
    tcsetwinsize(&terminal, size(50, 100)).unwrap();
    let (master, slave) = pair();
    let inside = || tcgetwinsize(&slave).unwrap();
    let relay = Relay::between(master, Host::new(null(), terminal.try_clone().unwrap(), null())).unwrap();
    assert_eq!((inside().ws_row, inside().ws_col), (50, 100));
    tcsetwinsize(&terminal, size(25, 80)).unwrap();
    relay.resize();
    assert_eq!((inside().ws_row, inside().ws_col), (25, 80));
}

#[test]
fn it_rests_while_nobody_reads_and_nobody_writes() {
    let spent = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        time.tv_sec * 1000 + time.tv_nsec / 1_000_000
    };
    let (mut writer, master) = program("yes");
    let (_unread, write) = pipe();
    let (input, feed) = pipe();
    drop(feed);
    let mut relay = Relay::between(master, Host::new(input, write, null())).unwrap();
    for _ in 0..2 {
        let mut sleeper = Command::new("sleep").arg("0.5").spawn().unwrap();
        let before = spent();
        assert_eq!(relay.wait([handle(&sleeper).as_fd()]).unwrap(), [true]);
        assert!(spent() - before < 100, "{} ms of 500 were spent", spent() - before);
        assert!(sleeper.wait().unwrap().success());
    }
    assert!(!relay.output.is_empty());
    writer.kill().unwrap();
    writer.wait().unwrap();
}

#[test]
fn a_program_whose_reader_is_gone_is_hung_up() {
    let (mut child, master) = program("trap '' HUP; while echo still here; do :; done; exit 7");
    let (read, write) = pipe();
    drop(read);
    let mut relay = Relay::between(master, Host::new(null(), write, null())).unwrap();
    assert_eq!(relay.wait([handle(&child).as_fd()]).unwrap(), [true]);
    assert_eq!(child.wait().unwrap().code(), Some(7));
}
