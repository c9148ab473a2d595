//! A thread plays systemd, behind a bus or without one, and says what the test has it say.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};

use super::super::message::tests::{called, sent};
use super::super::message::whole;
use super::*;

const NAME: &str = "x.scope";

/// One connection: for each call, by its name, what is sent back. The connection ends after the last one.
type Script = Vec<(&'static str, Vec<Said>)>;

#[derive(Clone, Copy)]
enum Said {
    /// An answer without anything in it.
    Done,
    /// An answer with a job.
    Job(&'static str),
    /// An answer with a property.
    Text(&'static str),
    Error(&'static str),
    /// Nothing until the other end hangs up.
    Silence,
    /// The end of a job, and how it ended.
    Removed(&'static str, &'static str),
}

use Said::{Done, Error as Refused, Job, Removed, Silence, Text};

struct Played {
    unit: Unit,
    directory: PathBuf,
    thread: Option<JoinHandle<()>>,
}

impl Drop for Played {
    fn drop(&mut self) {
        let played = self.thread.take().map(JoinHandle::join);
        _ = std::fs::remove_dir_all(&self.directory);
        let followed = played.is_some_and(|played| played.is_ok());
        assert!(thread::panicking() || followed, "the script was not followed");
    }
}

/// Systemd itself, or a bus with systemd behind.
fn play(place: &str, connections: Vec<Script>) -> Played {
    static SERIAL: AtomicU32 = AtomicU32::new(0);
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let directory = std::env::temp_dir().join(format!("systemd-test-{}-{serial}", std::process::id()));
    let socket = directory.join(place);
    std::fs::create_dir_all(socket.parent().unwrap()).unwrap();
    let listener = UnixListener::bind(&socket).unwrap();
    let thread = thread::spawn(move || {
        connections.into_iter().for_each(|script| follow(listener.accept().unwrap().0, script));
    });
    let bus = Bus::User(format!("unix:path={}", socket.display()));
    Played { unit: Unit { name: NAME.into(), bus, version: 257 }, directory, thread: Some(thread) }
}

fn follow(mut stream: UnixStream, script: Script) {
    expect(&mut stream, b"\0AUTH EXTERNAL\r\nDATA\r\n");
    stream.write_all(b"DATA\r\nOK 0123\r\n").unwrap();
    expect(&mut stream, b"BEGIN\r\n");
    for (name, saying) in script {
        let (number, method) = called(&call(&mut stream)).unwrap();
        assert_eq!(method, name);
        for said in saying {
            if matches!(said, Silence) {
                assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0);
                break;
            }
            // It may not be listened to any more.
            _ = stream.write_all(&answer(said, number));
        }
    }
}

fn expect(stream: &mut UnixStream, words: &[u8]) {
    let mut heard = vec![0; words.len()];
    stream.read_exact(&mut heard).unwrap();
    assert_eq!(heard, words);
}

fn call(stream: &mut UnixStream) -> Vec<u8> {
    let mut bytes = vec![0; 16];
    stream.read_exact(&mut bytes).unwrap();
    bytes.resize(whole(&bytes).unwrap().unwrap(), 0);
    stream.read_exact(&mut bytes[16..]).unwrap();
    bytes
}

fn answer(said: Said, to: u32) -> Vec<u8> {
    let body = Writer::default();
    match said {
        Done | Silence => sent(2, &[], to, body),
        Job(job) => sent(2, &[(8, "g", "o")], to, body.text(job)),
        Text(text) => sent(2, &[(8, "g", "v")], to, body.variant(text)),
        Refused(name) => sent(3, &[(4, "s", name), (8, "g", "s")], to, body.text("no.")),
        Removed(job, result) => {
            let body = body.number(1).text(job).text(NAME).text(result);
            sent(4, &[(3, "s", "JobRemoved"), (8, "g", "uoss")], 0, body)
        }
    }
}

const EXISTS: &str = "org.freedesktop.systemd1.UnitExists";
const GONE: &str = "org.freedesktop.systemd1.NoSuchUnit";
const UNKNOWN: &str = "org.freedesktop.DBus.Error.UnknownObject";
const NOBODY: &str = "org.freedesktop.DBus.Error.ServiceUnknown";

/// What a connection over a bus begins with.
fn over_bus(rest: Script) -> Script {
    let begin = [("Hello", vec![Text("")]), ("AddMatch", vec![Done]), ("Subscribe", vec![Done])];
    begin.into_iter().chain(rest).collect()
}

fn start(played: &Played) -> Result<(), String> {
    played
        .unit
        .start(&[], std::process::id())
        .map_err(|refusal| format!("{} {}", refusal.made, refusal.error))
}

#[test]
fn a_unit_is_there_when_its_job_is_done() {
    let job = vec![
        Removed("/job/1", "failed"),
        Job("/job/2"),
        Removed("/job/3", "failed"),
        Removed("/job/2", "done"),
    ];
    let played = play("bus", vec![over_bus(vec![("StartTransientUnit", job)])]);
    assert_eq!(start(&played), Ok(()));
}

#[test]
fn the_end_of_a_job_may_be_told_before_its_beginning() {
    let job = vec![Removed("/job/2", "done"), Job("/job/2")];
    let played = play("bus", vec![over_bus(vec![("StartTransientUnit", job)])]);
    assert_eq!(start(&played), Ok(()));
}

#[test]
fn a_job_of_which_nothing_is_told_is_asked_for() {
    let end = |after: Script| {
        over_bus([("StartTransientUnit", vec![Job("/job/2")])].into_iter().chain(after).collect())
    };
    let there = || ("Get", vec![Text("running")]);
    for (state, wanted) in [
        ("active", Ok(())),
        (
            "failed",
            Err("true systemd can't make the unit x.scope: the job to start it ended with \"failed\"".into()),
        ),
    ] {
        let script = vec![there(), ("Get", vec![Refused(UNKNOWN)]), ("Get", vec![Text(state)])];
        assert_eq!(start(&play("bus", vec![end(script)])), wanted);
    }
    let told_late = vec![there(), ("Get", vec![Removed("/job/2", "done"), Refused(UNKNOWN)])];
    assert_eq!(start(&play("bus", vec![end(told_late)])), Ok(()));
}

#[test]
fn a_dead_unit_is_put_out_of_the_way_once() {
    let script = |answer| {
        over_bus(vec![
            ("StartTransientUnit", vec![Refused(EXISTS)]),
            ("ResetFailedUnit", vec![Done]),
            ("StartTransientUnit", answer),
        ])
    };
    let played = play("bus", vec![script(vec![Job("/job/2"), Removed("/job/2", "done")])]);
    assert_eq!(start(&played), Ok(()));
    let played = play("bus", vec![script(vec![Refused(EXISTS)])]);
    assert_eq!(start(&played), Err("false systemd can't make the unit x.scope: no".into()));
}

#[test]
fn a_job_that_fails_may_leave_something() {
    let job = vec![Job("/job/2"), Removed("/job/2", "timeout")];
    let played = play("bus", vec![over_bus(vec![("StartTransientUnit", job)])]);
    let why = "true systemd can't make the unit x.scope: the job to start it ended with \"timeout\"";
    assert_eq!(start(&played), Err(why.into()));
}

#[test]
fn what_a_broken_connection_interrupts_is_asked_for_again() {
    let lost = over_bus(vec![("StartTransientUnit", vec![])]);
    let absent = over_bus(vec![("StartTransientUnit", vec![Refused(NOBODY)])]);
    let job = vec![Job("/job/2"), Removed("/job/2", "done")];
    let played = play("bus", vec![lost, absent, over_bus(vec![("StartTransientUnit", job)])]);
    assert_eq!(start(&played), Ok(()));
}

#[test]
fn what_is_not_answered_is_asked_again() {
    let silent = over_bus(vec![("StartTransientUnit", vec![Silence])]);
    let job = vec![Job("/job/2"), Removed("/job/2", "done")];
    let played = play("bus", vec![silent, over_bus(vec![("StartTransientUnit", job)])]);
    assert_eq!(start(&played), Ok(()));
    let played =
        play("bus", vec![vec![("Hello", vec![Silence])], over_bus(vec![("StopUnit", vec![Refused(GONE)])])]);
    played.unit.stop().unwrap();
}

#[test]
fn systemd_itself_has_no_bus_in_front() {
    let job = vec![Job("/job/2"), Removed("/job/2", "done")];
    let script = vec![("Subscribe", vec![Refused("e.X")]), ("StartTransientUnit", job)];
    let played = play("systemd/private", vec![script]);
    assert_eq!(start(&played), Ok(()));
}

#[test]
fn the_next_address_is_tried_where_nobody_listens() {
    let job = vec![Job("/job/2"), Removed("/job/2", "done")];
    let mut played = play("bus", vec![over_bus(vec![("StartTransientUnit", job)])]);
    if let Bus::User(addresses) = &mut played.unit.bus {
        *addresses = format!("unix:path=/nonexistent;{addresses}");
    }
    assert_eq!(start(&played), Ok(()));
}

#[test]
fn a_unit_that_is_gone_is_stopped() {
    let played = play("bus", vec![over_bus(vec![("StopUnit", vec![Refused(GONE)])])]);
    played.unit.stop().unwrap();
    let stopped = vec![Job("/job/1"), Removed("/job/1", "done")];
    let script = vec![("StopUnit", stopped), ("ResetFailedUnit", vec![Refused(GONE)])];
    let played = play("bus", vec![over_bus(script)]);
    played.unit.stop().unwrap();
    let untold = ["StopUnit", "Get", "Get", "ResetFailedUnit"].into_iter();
    let untold = untold.zip([Job("/job/1"), Refused(UNKNOWN), Refused(UNKNOWN), Refused(GONE)]);
    let played = play("bus", vec![over_bus(untold.map(|(name, said)| (name, vec![said])).collect())]);
    played.unit.stop().unwrap();
    let nobody = Unit { bus: Bus::User("unix:path=/nonexistent".into()), ..played.unit.clone() };
    nobody.stop().unwrap();
}

#[test]
fn properties_hold_when_systemd_has_heard_the_next_question() {
    let set = |answer| vec![("Hello", vec![Text("")]), ("SetUnitProperties", answer)];
    let mut accepted = set(vec![Done]);
    accepted.push(("Get", vec![Text("active")]));
    let played = play("bus", vec![accepted]);
    let limit = [property("TasksMax", Value::Number(5))];
    played.unit.set(&limit).unwrap();
    played.unit.set(&[]).unwrap();
    let played = play("bus", vec![set(vec![Refused("e.X")])]);
    let error = played.unit.set(&limit).unwrap_err().to_string();
    assert_eq!(error, "cannot set properties of the unit x.scope: no");
}

#[test]
fn what_a_plan_has_to_know() {
    let get = |version, cgroup| {
        vec![("Hello", vec![Text("")]), ("Get", vec![Text(version)]), ("Get", vec![Text(cgroup)])]
    };
    for (version, cgroup, number, path) in [
        ("257.13-1~deb13u1", "", 257, "/"),
        ("v249", "/user.slice/u", 249, "/user.slice/u"),
        ("?", "/", 0, "/"),
    ] {
        let played = play("bus", vec![get(version, cgroup)]);
        let manager = Manager::reach(played.unit.bus.clone()).unwrap();
        assert_eq!((manager.version, manager.cgroup.as_path()), (number, Path::new(path)));
    }
    let error = Manager::reach(Bus::User("unix:path=/nonexistent".into())).unwrap_err().to_string();
    assert!(error.contains("/nonexistent: no such file") && error.contains("--systemd-cgroup"), "{error}");
}

#[test]
fn silence_ends() {
    let directory = std::env::temp_dir().join(format!("systemd-test-{}-silent", std::process::id()));
    _ = std::fs::remove_file(&directory);
    let _listener = UnixListener::bind(&directory).unwrap();
    let bus = Bus::User(format!("unix:path={}", directory.display()));
    let deadline = Instant::now() + Duration::from_millis(50);
    let answer = ask_until(deadline, &bus, |_, _| Ok(()));
    std::fs::remove_file(&directory).unwrap();
    assert_eq!(answer, Err(Problem::Late));
}
