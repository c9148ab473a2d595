//! The state directory: records, locks, damage.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, accept, recv, send};
use rustix::process::{geteuid, getpid};

use super::scratch::Scratch;
use super::*;
use crate::cgroup;
use crate::error::Error;
use crate::hooks::{Hooks, Kind};
use crate::plan::Request;
use crate::spec::ContainerId;

const NOW: Duration = Duration::ZERO;
const SOON: Duration = Duration::from_millis(100);
const LONG: Duration = Duration::from_secs(10);

fn id(name: &str) -> ContainerId {
    ContainerId::new(name).unwrap()
}

fn root() -> (Scratch, StateRoot) {
    let scratch = Scratch::new();
    let root = StateRoot::open(&scratch.path().join("a/root")).unwrap();
    (scratch, root)
}

fn intent(name: &str) -> Intent {
    Intent {
        version: VERSION,
        id: id(name),
        cgroup: cgroup::Paths::default(),
        init: None,
        bundle: "/bundle".into(),
    }
}

fn record(name: &str) -> Record {
    Record {
        version: VERSION,
        id: id(name),
        oci_version: "1.3.0".into(),
        init: Identity::of(getpid()).unwrap(),
        bundle: "/bundle".into(),
        rootfs: "/bundle/rootfs".into(),
        created: "2030-01-31T23:59:59.123456789Z".into(),
        owner: 0,
        annotations: BTreeMap::from([("key".into(), "value".into())]),
        cgroup: cgroup::Paths::default(),
        private_pid_namespace: true,
        agent: None,
        hooks: vec![Hooks { kind: Kind::Poststop, hooks: Vec::new() }],
        request: Request::new(&id(name), "/bundle/rootfs".into()),
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn names(path: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn the_root_is_made_with_its_parents_for_its_owner_alone() {
    let scratch = Scratch::new();
    let path = scratch.path().join("a/b");
    assert!(StateRoot::existing(&path).unwrap().is_none());
    let root = StateRoot::open(&path).unwrap();
    assert_eq!((mode(&path), root.path()), (0o700, path.as_path()));
    assert!(StateRoot::open(&path).is_ok() && StateRoot::existing(&path).unwrap().is_some());
}

#[test]
fn a_root_needs_a_directory_of_its_own() {
    for path in ["/", "//", "/..", ".", ""] {
        let error = StateRoot::open(Path::new(path)).unwrap_err().to_string();
        assert!(error.contains("as the state directory: it needs a directory of its own"), "{path}: {error}");
    }
}

#[test]
fn a_root_that_is_not_a_directory_is_refused() {
    let scratch = Scratch::new();
    fs::write(scratch.path().join("file"), "").unwrap();
    symlink(scratch.path(), scratch.path().join("link")).unwrap();
    for name in ["file", "link", "link/"] {
        let error = StateRoot::open(&scratch.path().join(name)).unwrap_err().to_string();
        assert!(error.contains("it must be a directory"), "{name}: {error}");
    }
}

#[test]
fn a_root_in_which_others_can_write_is_refused() {
    let scratch = Scratch::new();
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o1777)).unwrap();
    let error = StateRoot::open(scratch.path()).unwrap_err().to_string();
    assert!(error.ends_with("everybody may write to it: operation not permitted"), "{error}");
    if geteuid().is_root() {
        fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o700)).unwrap();
        chown(scratch.path(), Some(1), None).unwrap();
        let error = StateRoot::open(scratch.path()).unwrap_err().to_string();
        assert!(error.ends_with("it belongs to user 1, not 0: operation not permitted"), "{error}");
    }
}

#[test]
fn the_cache_is_no_container() {
    let (_scratch, root) = root();
    let cache = root.filter_cache();
    assert!(cache.starts_with(root.path()) && !cache.exists());
    fs::create_dir_all(&cache).unwrap();
    assert!(root.ids().unwrap().is_empty());
    assert!(matches!(root.create(&id(".cache")), Err(Error::InvalidId(_))));
    assert!(
        root.lock_within(&id(".cache"), NOW).unwrap().is_none()
            && root.peek(&id(".cache")).unwrap().is_none()
    );
}

#[test]
fn containers_are_listed_in_order_and_nothing_else_is() {
    let (_scratch, root) = root();
    for name in ["b", "c", "a", ".x"] {
        root.create(&id(name)).unwrap();
    }
    fs::write(root.path().join("file"), "").unwrap();
    fs::create_dir(root.path().join("no name")).unwrap();
    symlink("a", root.path().join("link")).unwrap();
    let ids: Vec<String> = root.ids().unwrap().into_iter().map(String::from).collect();
    assert_eq!(ids, [".x", "a", "b", "c"]);
}

#[test]
fn a_name_is_taken_until_it_is_removed() {
    let (_scratch, root) = root();
    let entry = root.create(&id("x")).unwrap();
    assert_eq!(mode(&entry.path()), 0o711);
    assert!(matches!(root.create(&id("x")), Err(Error::Exists(_))));
    entry.remove().unwrap();
    assert!(root.lock_within(&id("x"), NOW).unwrap().is_none() && root.peek(&id("x")).unwrap().is_none());
    root.create(&id("x")).unwrap();
}

#[test]
fn a_symlink_is_no_container() {
    let (scratch, root) = root();
    symlink(scratch.path(), root.path().join("x")).unwrap();
    assert!(matches!(root.create(&id("x")), Err(Error::Exists(_))));
    assert!(root.lock_within(&id("x"), NOW).is_err() && root.peek(&id("x")).is_err());
}

#[test]
fn a_held_container_is_busy_until_the_deadline() {
    let (_scratch, root) = root();
    let held = root.create(&id("x")).unwrap();
    let begun = Instant::now();
    match root.lock_within(&id("x"), SOON) {
        Err(Error::Busy { id, waited }) => assert!(id == "x" && waited >= SOON),
        other => panic!("{other:?}"),
    }
    assert!(begun.elapsed() >= SOON && begun.elapsed() < LONG);
    drop(held);
    assert!(root.lock_within(&id("x"), NOW).unwrap().is_some());
}

#[test]
fn a_waiting_command_goes_on_when_the_other_ends() {
    let (_scratch, root) = root();
    let held = root.create(&id("x")).unwrap();
    let waiting = thread::spawn({
        let root = root.clone();
        move || root.lock_within(&id("x"), LONG).unwrap().is_some()
    });
    assert!(matches!(root.lock_within(&id("x"), SOON), Err(Error::Busy { .. })));
    drop(held);
    assert!(waiting.join().unwrap());
}

#[test]
fn a_container_that_is_removed_while_one_waits_for_it_is_gone() {
    let (_scratch, root) = root();
    let held = root.create(&id("x")).unwrap();
    let waiting = thread::spawn({
        let root = root.clone();
        move || root.lock_within(&id("x"), LONG).unwrap().is_none()
    });
    assert!(matches!(root.lock_within(&id("x"), SOON), Err(Error::Busy { .. })));
    held.remove().unwrap();
    // The name may even be in use again.
    let _next = root.create(&id("x")).unwrap();
    assert!(waiting.join().unwrap());
}

#[test]
fn create_starts_again_when_its_directory_is_removed_under_it() {
    let (_scratch, root) = root();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                if let Some(entry) = root.lock_within(&id("x"), LONG).unwrap()
                    && entry.intent().unwrap().is_none()
                {
                    entry.remove().unwrap();
                }
            }
        });
        for _ in 0..300 {
            let entry = root.create(&id("x")).unwrap();
            entry.write_intent(&intent("x")).unwrap();
            assert_eq!(names(&entry.path()), ["intent.json"]);
            entry.remove().unwrap();
        }
        stop.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_directory_that_another_creator_has_made_again_is_his() {
    let (_scratch, root) = root();
    let his = root.create(&id("x")).unwrap();
    let slower = thread::spawn({
        let root = root.clone();
        move || root.claim(&id("x")).map(|entry| entry.is_some())
    });
    his.write_intent(&intent("x")).unwrap();
    his.write_record(&record("x")).unwrap();
    drop(his);
    assert!(matches!(slower.join().unwrap(), Err(Error::Exists(_))));
    assert!(root.peek(&id("x")).unwrap().is_some());
}

#[test]
fn one_of_many_creators_wins() {
    let (_scratch, root) = root();
    let creators: Vec<_> = (0..8)
        .map(|_| {
            let root = root.clone();
            thread::spawn(move || root.create(&id("x")).ok())
        })
        .collect();
    let entries: Vec<_> = creators.into_iter().map(|creator| creator.join().unwrap()).collect();
    assert_eq!(entries.iter().flatten().count(), 1);
}

#[test]
fn what_was_written_is_read_back() {
    let (_scratch, root) = root();
    let entry = root.create(&id("x")).unwrap();
    assert_eq!(
        (entry.intent().unwrap(), entry.record().unwrap(), entry.config().unwrap()),
        (None, None, None)
    );
    assert_eq!(root.peek(&id("x")).unwrap(), None);
    entry.write_intent(&intent("x")).unwrap();
    assert_eq!(root.peek(&id("x")).unwrap(), None, "an intent is no container yet");
    let begun = Intent { init: Some(Identity::of(getpid()).unwrap()), ..intent("x") };
    entry.write_intent(&begun).unwrap();
    entry.write_record(&record("x")).unwrap();
    entry.write_config(b"{ not even JSON \xff").unwrap();
    assert_eq!(entry.intent().unwrap(), Some(begun));
    assert_eq!(entry.record().unwrap(), Some(record("x")));
    assert_eq!(entry.config().unwrap().unwrap(), b"{ not even JSON \xff");
    assert_eq!(root.peek(&id("x")).unwrap(), Some(record("x")));
    assert_eq!(names(&entry.path()), ["config.json", "intent.json", "state.json"]);
    assert_eq!(mode(&entry.path().join("state.json")), 0o600);
    assert!(record("x").hooks(Kind::Poststop).is_some() && record("x").hooks(Kind::Poststart).is_none());
}

#[test]
fn a_damaged_file_is_told_apart_and_can_be_removed() {
    let (_scratch, root) = root();
    let whole = serde_json::to_string(&record("x")).unwrap();
    let other = serde_json::to_string(&record("y")).unwrap();
    let newer = whole.replacen("\"version\":1", "\"version\":2", 1);
    let cases = [
        ("", "it is empty"),
        (&whole[..whole.len() / 2], "EOF while parsing"),
        ("\0\0\0\0", "expected value"),
        ("null", "invalid type"),
        ("{}", "missing field `version`"),
        (&other, "it is about another container, y"),
        (&newer, "its version is 2, and this program knows version 1"),
    ];
    for (content, problem) in cases {
        let entry = root.create(&id("x")).unwrap();
        for name in ["state.json", "intent.json"] {
            fs::write(entry.path().join(name), content).unwrap();
        }
        let errors = [
            entry.record().unwrap_err(),
            root.peek(&id("x")).unwrap_err(),
            entry.intent().map(|intent| assert_eq!(intent, None, "never {content}")).unwrap_err(),
        ];
        for error in errors {
            assert!(matches!(error, Error::Damaged { .. }), "{content}: {error}");
            let file = entry.path().display().to_string();
            assert!(error.to_string().contains(&file), "{error}");
        }
        let text = entry.record().unwrap_err().to_string();
        assert!(text.contains(&format!("state.json is damaged: {problem}")), "{text}");
        entry.remove().unwrap();
    }
}

#[test]
fn a_file_of_absurd_length_is_not_read_into_memory() {
    let (_scratch, root) = root();
    let entry = root.create(&id("x")).unwrap();
    fs::File::create(entry.path().join("state.json")).unwrap().set_len(1 << 40).unwrap();
    let error = entry.record().unwrap_err().to_string();
    assert!(error.ends_with("state.json: file too large"), "{error}");
}

#[test]
fn a_path_that_json_cannot_hold_is_refused() {
    let (_scratch, root) = root();
    let entry = root.create(&id("x")).unwrap();
    let bundle = PathBuf::from(std::ffi::OsStr::from_bytes(b"/\xff"));
    match entry.write_intent(&Intent { bundle, ..intent("x") }) {
        Err(Error::System { errno, .. }) => assert_eq!(errno, Errno::ILSEQ),
        other => panic!("{other:?}"),
    }
    assert!(names(&entry.path()).is_empty());
}

#[test]
fn a_reader_without_the_lock_never_sees_half_a_record() {
    let (_scratch, root) = root();
    let entry = root.create(&id("x")).unwrap();
    let sizes = [10, 20_000].map(|size| {
        let annotations = BTreeMap::from([("long".to_owned(), "x".repeat(size))]);
        Record { annotations, ..record("x") }
    });
    entry.write_record(&sizes[0]).unwrap();
    let reader = thread::spawn({
        let root = root.clone();
        move || (0..300).all(|_| root.peek(&id("x")).unwrap().is_some())
    });
    while !reader.is_finished() {
        sizes.iter().for_each(|record| entry.write_record(record).unwrap());
    }
    assert!(reader.join().unwrap());
}

#[test]
fn a_failed_write_leaves_the_old_file_and_nothing_else() {
    let (_scratch, root) = root();
    let entry = root.create(&id("x")).unwrap();
    fs::create_dir(entry.path().join("config.json")).unwrap();
    let error = entry.write_config(b"new").unwrap_err().to_string();
    assert!(error.starts_with("cannot write ") && error.ends_with("config.json: is a directory"), "{error}");
    assert_eq!(names(&entry.path()), ["config.json"]);
}

#[test]
fn what_a_killed_writer_left_is_overwritten_or_removed() {
    let (_scratch, root) = root();
    let entry = root.create(&id("x")).unwrap();
    fs::write(entry.path().join("state.json.new"), "x".repeat(10_000)).unwrap();
    assert_eq!(entry.record().unwrap(), None);
    entry.write_record(&record("x")).unwrap();
    assert_eq!(entry.record().unwrap(), Some(record("x")));
    fs::write(entry.path().join("intent.json.new"), "{").unwrap();
    entry.remove().unwrap();
    assert!(names(root.path()).is_empty());
}

#[test]
fn no_symlink_is_followed_to_a_file() {
    let (scratch, root) = root();
    let entry = root.create(&id("x")).unwrap();
    let outside = scratch.path().join("outside");
    fs::write(&outside, serde_json::to_string(&record("x")).unwrap()).unwrap();
    symlink(&outside, entry.path().join("state.json")).unwrap();
    symlink(&outside, entry.path().join("config.json")).unwrap();
    assert!(matches!(entry.record(), Err(Error::System { errno: Errno::LOOP, .. })));
    assert!(entry.write_config(b"overwritten").is_err());
    assert_ne!(fs::read(&outside).unwrap(), b"overwritten");
}

#[test]
fn remove_takes_everything_but_nothing_outside() {
    let (scratch, root) = root();
    let outside = scratch.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("kept"), "").unwrap();
    let entry = root.create(&id("x")).unwrap();
    entry.write_intent(&intent("x")).unwrap();
    entry.write_record(&record("x")).unwrap();
    entry.listen().unwrap();
    fs::create_dir_all(entry.path().join("deep/deeper")).unwrap();
    fs::write(entry.path().join("deep/deeper/file"), "").unwrap();
    fs::write(entry.path().join(std::ffi::OsStr::from_bytes(b"\xff")), "").unwrap();
    symlink(&outside, entry.path().join("link")).unwrap();
    symlink(&outside, entry.path().join("deep/link")).unwrap();
    let again = (entry.id().clone(), entry.path());
    entry.remove().unwrap();
    assert!(!again.1.exists() && outside.join("kept").exists());
}

#[test]
fn remove_is_content_when_somebody_else_was_faster() {
    let (_scratch, root) = root();
    let entry = root.create(&id("x")).unwrap();
    entry.write_intent(&intent("x")).unwrap();
    fs::remove_dir_all(entry.path()).unwrap();
    entry.remove().unwrap();
}

fn is_created(root: &StateRoot, entry: &Entry) -> bool {
    assert_eq!(entry.awaits_start().unwrap(), root.awaits_start(entry.id()).unwrap());
    entry.awaits_start().unwrap()
}

#[test]
fn start_reaches_the_one_who_waits() {
    let (_scratch, root) = root();
    let entry = root.create(&id("x")).unwrap();
    assert!(!is_created(&root, &entry) && entry.connect().unwrap().is_none());
    let listener = entry.listen().unwrap();
    assert!(is_created(&root, &entry));
    assert_eq!(mode(&entry.path().join("start.sock")), 0o600);
    assert!(entry.listen().unwrap_err().to_string().ends_with("start.sock: address already in use"));

    let starter = entry.connect().unwrap().unwrap();
    let waiter = accept(&listener).unwrap();
    send(&starter, b"go", SendFlags::NOSIGNAL).unwrap();
    assert_eq!(receive(&waiter), Ok(2));
    assert_eq!(receive(&starter), Err(Errno::AGAIN), "the starter must not block");

    drop(listener);
    assert!(is_created(&root, &entry) && entry.connect().unwrap().is_none());
    entry.withdraw_start_socket().unwrap();
    entry.withdraw_start_socket().unwrap();
    assert!(!is_created(&root, &entry));
}

fn receive(socket: &OwnedFd) -> rustix::io::Result<usize> {
    recv(socket.as_fd(), &mut [0_u8; 16], RecvFlags::empty()).map(|(length, _)| length)
}

#[test]
fn connecting_to_one_who_takes_no_connection_does_not_block() {
    let (_scratch, root) = root();
    let entry = root.create(&id("x")).unwrap();
    let _listener = entry.listen().unwrap();
    let attempts: Vec<_> = (0..8).map(|_| entry.connect()).collect();
    assert!(attempts.iter().any(|attempt| matches!(attempt, Err(Error::System { errno: Errno::AGAIN, .. }))));
}

#[test]
fn the_start_socket_may_have_a_long_path() {
    let scratch = Scratch::new();
    let root = StateRoot::open(&scratch.path().join("x".repeat(200))).unwrap();
    let entry = root.create(&id(&"y".repeat(200))).unwrap();
    let _listener = entry.listen().unwrap();
    assert!(entry.connect().unwrap().is_some());
}

#[test]
fn the_signs_of_a_container_tell_its_status() {
    let status = |alive, awaits_start, frozen| Signs { alive, awaits_start, frozen }.status();
    assert_eq!(status(false, true, true), Status::Stopped);
    assert_eq!(status(true, true, true), Status::Paused);
    assert_eq!(status(true, true, false), Status::Created);
    assert_eq!(status(true, false, true), Status::Paused);
    assert_eq!(status(true, false, false), Status::Running);
}

#[test]
fn the_state_has_the_keys_of_runc_in_its_order() {
    let pid = getpid();
    let running = serde_json::to_string(&record("x").state(Status::Running, "root")).unwrap();
    let common = r#""bundle":"/bundle","rootfs":"/bundle/rootfs","created":"2030-01-31T23:59:59.123456789Z""#;
    let head = format!(r#""ociVersion":"1.3.0","id":"x","pid":{pid},"status":"running",{common}"#);
    assert_eq!(running, format!(r#"{{{head},"annotations":{{"key":"value"}},"owner":"root"}}"#));

    let stopped = Record { annotations: BTreeMap::new(), ..record("x") }.state(Status::Stopped, "");
    let head = format!(r#""ociVersion":"1.3.0","id":"x","pid":0,"status":"stopped",{common}"#);
    assert_eq!(serde_json::to_string(&stopped).unwrap(), format!(r#"{{{head},"owner":""}}"#));
}

#[test]
fn a_time_is_written_in_utc_with_nanoseconds() {
    let (_scratch, root) = root();
    let time = root.timestamp();
    assert_eq!((time.len(), &time[10..11], &time[19..20], &time[29..]), (30, "T", ".", "Z"), "{time}");
    let root = root.with_clock(|| SystemTime::UNIX_EPOCH);
    assert_eq!(root.timestamp(), "1970-01-01T00:00:00.000000000Z");
}

#[test]
fn who_opens_a_state_directory_decides_how_long_commands_wait_and_where_filters_are() {
    let (_scratch, root) = root();
    let _held = root.create(&id("x")).unwrap();
    let hasty = root.clone().with_patience(NOW).with_filter_cache("/var/cache/x");
    assert!(matches!(hasty.lock(&id("x")), Err(Error::Busy { .. })));
    assert_eq!(hasty.filter_cache(), Path::new("/var/cache/x"));
    assert!(root.patience() > NOW);
}
