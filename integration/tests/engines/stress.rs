//! Many at once, many in a row, and runtimes that die in the middle of a call.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use integration::engines::docker::{Docker, IMAGE};
use integration::engines::report::Run;
use integration::engines::{Case, Room, Subject, case};
use integration::runtime::find;

use crate::{Wish, nothing_is_left};

pub(crate) fn drive(subject: &Subject, wish: &Wish) -> Run {
    let mut run = Run::default();
    if CASES.iter().any(|case| wish.wants("Stress", case.name)) {
        let mut docker = Docker::start(Room::new(), subject, &[]);
        run.versions = docker.versions();
        run.verdicts = wish.judge("Stress", CASES, &docker);
        docker.remove_all();
        run.verdicts.push(nothing_is_left(docker.stop()));
    }
    if wish.wants("Stress", MURDER.name) {
        let victim = Victim::new(subject);
        let mut both = (Docker::start(Room::new(), &victim.subject, &[]), victim);
        run.verdicts.push((MURDER.name, MURDER.judge(&both)));
        let docker = &mut both.0;
        docker.remove_all();
        let (_, verdict) = nothing_is_left(docker.stop());
        run.verdicts.push(("nothing is left of runtimes that were killed", verdict));
    }
    run
}

const CASES: &[Case<Docker>] =
    &[case("many `docker run --rm` at once", runs), case("many `docker exec` in a row", execs)];

/// How often: a few times, or as often as `STRESS=full` wants it.
fn times(few: usize, many: usize) -> usize {
    if std::env::var("STRESS").is_ok_and(|word| word == "full") { many } else { few }
}

/// How many clients are started at a time; they wait for the daemon, not for the processor.
const AT_ONCE: usize = 100;

fn runs(docker: &Docker) {
    let mut started = 0;
    let all = times(12, 100);
    while started < all {
        let batch = started..all.min(started + AT_ONCE);
        started = batch.end;
        let program = |status: usize| format!("echo number {status}; exit {}", status % 100);
        let start =
            |status| (status, docker.call(&["run", "--rm", IMAGE, "sh", "-c", &program(status)]).spawn());
        let clients: Vec<_> = batch.map(start).collect();
        for (status, client) in clients {
            let outcome = client.finish_within(Duration::from_secs(180)).exits((status % 100) as i32);
            assert_eq!(outcome.stdout, format!("number {status}\n"));
        }
    }
    let left = docker.docker(&["ps", "--all", "--quiet"]).ok().stdout;
    assert_eq!(left, "");
}

fn execs(docker: &Docker) {
    let name = docker.sleeper(&[]);
    for status in 0..times(25, 1000) {
        let status = (status % 100).to_string();
        let program = ["sh", "-c", "echo $0; exit $0", &status];
        let outcome = docker.docker(&[&["exec", &name], &program[..]].concat());
        let outcome = outcome.exits(status.parse().expect("it is a number"));
        assert_eq!(outcome.stdout.trim(), status);
    }
    let processes = docker.docker(&["top", &name]).ok().stdout;
    assert_eq!(processes.lines().count(), 2, "{processes}");
    docker.remove(&name);
}

/// A script in place of a runtime, which kills the runtime in the middle of a call while it is armed.
struct Victim {
    subject: Subject,
    directory: PathBuf,
}

/// Kills after up to 8 milliseconds, or up to 64, but for `delete` and `kill`, which an engine needs to clear up.
const SCRIPT: &str = r#"#!/bin/sh
[ -e "${0%/*}/armed" ] || exec RUNTIME "$@"
case " $* " in *" delete "*|*" kill "*) exec RUNTIME "$@" ;; esac
number=$(od -An -N1 -tu1 /dev/urandom)
[ $((number & 64)) = 0 ] && range=8 || range=64
delay=$(printf '0.0%02d' $((number % range)))
RUNTIME "$@" <&0 &
sleep "$delay"
kill -9 $! 2>/dev/null
wait $!
status=$?
[ $status != 137 ] || echo "$*" >> "${0%/*}/killed"
exit $status
"#;

impl Victim {
    fn new(subject: &Subject) -> Self {
        let name = format!("victim{}-{}", std::process::id(), subject.name);
        let directory = std::env::temp_dir().join(name);
        fs::create_dir_all(&directory).expect("a temporary directory can be made");
        let path = directory.join("runtime");
        fs::write(&path, SCRIPT.replace("RUNTIME", subject.path())).expect("a script can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755))
            .expect("a script can be made executable");
        Self { subject: Subject { name: subject.name, path }, directory }
    }

    fn arm(&self) {
        fs::write(self.directory.join("armed"), "").expect("a file can be written");
    }

    fn disarm(&self) {
        let _ = fs::remove_file(self.directory.join("armed"));
    }

    /// How many calls were cut short.
    fn killed(&self) -> usize {
        fs::read_to_string(self.directory.join("killed")).unwrap_or_default().lines().count()
    }
}

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.directory);
    }
}

const MURDER: Case<(Docker, Victim)> =
    case("a container whose runtime is killed in the middle of a call can be removed", murder);

fn murder((docker, victim): &(Docker, Victim)) {
    for _ in 0..times(6, 100) {
        victim.arm();
        let name = format!("{}x", docker.room.fresh());
        let started =
            docker.docker(&["run", "--detach", "--name", &name, IMAGE, "sleep", "1000"]).succeeded();
        if started {
            docker.docker(&["exec", &name, "true"]);
        }
        victim.disarm();
        docker.remove(&name);
    }
    // A container that lives meanwhile is not harmed.
    let name = docker.sleeper(&[]);
    for _ in 0..times(4, 100) {
        victim.arm();
        docker.docker(&["exec", &name, "true"]);
        victim.disarm();
        assert_eq!(docker.docker(&["exec", &name, "echo", "alive"]).ok().stdout, "alive\n");
    }
    docker.remove(&name);
    assert!(victim.killed() > 0, "no call was cut short");
}

/// Medians of `docker run --rm` with each runtime that is found, in turn.
pub(crate) fn measure(subject: &Subject) {
    let places = std::env::var_os("PEERS").unwrap_or_default();
    let peer = |name: &str| {
        let places = std::env::split_paths(&places).map(|place| place.join(name));
        places.chain([PathBuf::from(name)]).find_map(|path| find(&path))
    };
    let found = ["crun", "runc"].into_iter().filter_map(|name| Some((name, peer(name)?)));
    let peers: Vec<(&str, PathBuf)> = found.collect();
    // Docker knows a runtime of the name runc, and no other may have it.
    let unknown: Vec<_> = peers.iter().filter(|(name, _)| *name != "runc").cloned().collect();
    let docker = Docker::start(Room::new(), subject, &unknown);
    let names: Vec<_> = ["runtime"].into_iter().chain(peers.iter().map(|(name, _)| *name)).collect();
    let mut times: Vec<Vec<Duration>> = vec![Vec::new(); names.len()];
    for _ in 0..ROUNDS {
        for (name, times) in names.iter().zip(&mut times) {
            let start = Instant::now();
            let outcome = docker.run(&["--network", "none", "--runtime", name], &["true"]);
            times.extend(outcome.succeeded().then(|| start.elapsed()));
        }
    }
    println!("docker run --rm --network none, medians of {ROUNDS}:");
    for (name, times) in names.iter().zip(&mut times) {
        times.sort_unstable();
        match times.get(ROUNDS / 2) {
            Some(median) if times.len() == ROUNDS => println!("  {name:8} {median:.0?}"),
            _ => println!("  {name:8} doesn't work on this machine"),
        }
    }
}

const ROUNDS: usize = 9;
