//! Podman of an ordinary user, with the configuration that the README shows.

use integration::engines::image::IMAGE;
use integration::engines::person::Person;
use integration::engines::report::Run;
use integration::engines::{Case, Subject, case};

use crate::beside_systemd::is_unit;
use crate::docker::{knobs, soon};
use crate::{Wish, nothing_is_left};

pub(crate) fn drive(subject: &Subject, wish: &Wish) -> Run {
    drive_in("Podman of an ordinary user", Person::start, CASES, subject, wish)
}

/// With a systemd of his own he has cgroups.
pub(crate) fn drive_beside_systemd(subject: &Subject, wish: &Wish) -> Run {
    let cases: Vec<_> = CASES.iter().chain(WITH_CGROUPS).copied().collect();
    drive_in("Podman of an ordinary user beside systemd", Person::logged_in, &cases, subject, wish)
}

fn drive_in(
    engine: &str,
    person: fn(&Subject) -> Person,
    cases: &[Case<Person>],
    subject: &Subject,
    wish: &Wish,
) -> Run {
    if !wish.wants_any(engine, cases) {
        return Run::default();
    }
    let person = person(subject);
    let versions = person.versions();
    let mut verdicts = wish.judge(engine, cases, &person);
    verdicts.push(nothing_is_left(person.stop()));
    Run { versions, verdicts }
}

const CASES: &[Case<Person>] = &[
    case("run", run),
    case("run -d, logs, exec, top", life),
    case("stop, start", stop),
    case("kill", kill),
    case("exit statuses 42, 126, 127", statuses),
    case("run --userns keep-id", keep_id),
    case("run --user", another_user),
    case("run --cgroups disabled", without_cgroups),
    case("run -v", volumes),
    case("run --network host", host_network),
];

const WITH_CGROUPS: &[Case<Person>] = &[
    case("run --memory, --pids-limit", limits),
    case("pause, unpause", pause),
    case("stats", stats),
    case("a container is a unit", unit),
];

fn run(person: &Person) {
    let seen = person.run(&[], &["sh", "-c", "id -u; cat /proc/self/uid_map"]).ok().stdout;
    let words: Vec<_> = seen.split_whitespace().map(str::to_owned).collect();
    let (uid, subid, subids) = person.ids();
    let map = [0, 0, uid, 1, 1, subid, subids].map(|number| number.to_string());
    assert_eq!(words, map);
}

fn life(person: &Person) {
    let name = person.detached(&["sh", "-c", "echo out; echo err >&2; sleep 1000"]);
    assert!(soon(|| person.podman(&["logs", &name]).stdout == "out\n"));
    let seen = person.podman(&["exec", "--env", "A=b c", &name, "sh", "-c", "echo $A; exit 3"]).exits(3);
    assert_eq!(seen.stdout, "b c\n");
    assert!(person.podman(&["top", &name]).ok().stdout.contains("sleep 1000"));
    person.podman(&["rm", "--force", "--time", "0", &name]).ok();
}

fn polite(person: &Person) -> String {
    let program = ["sh", "-c", "trap 'exit 5' TERM; echo ready; while :; do sleep 0.1; done"];
    let name = person.detached(&program);
    assert!(soon(|| person.podman(&["logs", &name]).stdout.contains("ready")), "the program did not start");
    name
}

fn stop(person: &Person) {
    let name = polite(person);
    person.podman(&["stop", &name]).ok();
    assert_eq!(person.podman(&["wait", &name]).ok().stdout, "5\n");
    person.podman(&["start", &name]).ok();
    person.podman(&["rm", "--force", "--time", "0", &name]).ok();
}

fn kill(person: &Person) {
    let name = polite(person);
    person.podman(&["kill", "--signal", "TERM", &name]).ok();
    assert_eq!(person.podman(&["wait", &name]).ok().stdout, "5\n");
    person.podman(&["rm", &name]).ok();
}

fn statuses(person: &Person) {
    person.run(&[], &["sh", "-c", "exit 42"]).exits(42);
    person.run(&[], &["/etc/passwd"]).exits(126).fails_with(&["permission denied"]);
    person.run(&[], &["nowhere"]).exits(127).fails_with(&["executable file not found"]);
}

fn keep_id(person: &Person) {
    let seen = person.run(&["--userns", "keep-id"], &["id", "-u"]).ok().stdout;
    assert_eq!(seen, format!("{}\n", person.ids().0));
}

fn another_user(person: &Person) {
    let seen = person.run(&["--user", "1000:2000"], &["sh", "-c", "id -u; id -g"]).ok().stdout;
    assert_eq!(seen, "1000\n2000\n");
}

fn without_cgroups(person: &Person) {
    // Podman refuses a parent of what there isn't.
    let run = ["run", "--rm", "--network", "none", "--cgroups", "disabled", IMAGE, "echo", "ran"];
    assert_eq!(person.podman(&run).ok().stdout, "ran\n");
}

fn volumes(person: &Person) {
    let (rw, ro) =
        (format!("{}:/rw", person.room.path("home")), format!("{}:/ro:ro", person.room.path("home")));
    let program = "echo mine > /rw/file && cat /ro/file && touch /ro/other";
    let outcome = person.run(&["-v", &rw, "-v", &ro], &["sh", "-c", program]);
    assert_eq!(outcome.fails_with(&["read-only file system"]).stdout, "mine\n");
}

fn host_network(person: &Person) {
    let here = person.room.run("readlink", &["/proc/self/ns/net"]).ok().stdout;
    let look = ["run", "--rm", "--network", "host", IMAGE, "readlink", "/proc/self/ns/net"];
    let seen = person.podman(&look).ok().stdout;
    assert_eq!(seen, here);
}

fn limits(person: &Person) {
    let options = ["--memory", "64m", "--memory-swap", "64m", "--pids-limit", "20"];
    let look = knobs(&["memory.limit_in_bytes memory.max", "pids.max pids.max"]);
    let seen = person.run(&options, &["sh", "-c", &look]).ok().stdout;
    assert_eq!(seen, format!("{}\n20\n", 64 << 20));
    let fill = ["dd", "if=/dev/zero", "of=/dev/null", "bs=128M", "count=1"];
    person.run(&options, &fill).exits(137);
}

fn pause(person: &Person) {
    let name = person.detached(&["sleep", "1000"]);
    let status = || person.podman(&["inspect", "--format", "{{.State.Status}}", &name]).ok().stdout;
    person.podman(&["pause", &name]).ok();
    assert_eq!(status(), "paused\n");
    person.podman(&["unpause", &name]).ok();
    assert_eq!(status(), "running\n");
    person.podman(&["rm", "--force", "--time", "0", &name]).ok();
}

fn stats(person: &Person) {
    let name = person.detached(&["sleep", "1000"]);
    let seen = person.podman(&["stats", "--no-stream", "--format", "{{.PIDs}}", &name]).ok().stdout;
    assert_eq!(seen, "1\n");
    person.podman(&["rm", "--force", "--time", "0", &name]).ok();
}

fn unit(person: &Person) {
    let name = format!("{}x", person.room.fresh());
    person.detached_with(&name, &["--memory", "64m"], &["sleep", "1000"]);
    let id = person.podman(&["inspect", "--format", "{{.Id}}", &name]).ok().stdout;
    is_unit(&person.room, &format!("libpod-{}.scope", id.trim()), &[("MemoryMax", "67108864")]);
    person.podman(&["rm", "--force", "--time", "0", &name]).ok();
}
