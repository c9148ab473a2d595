//! Podman of an ordinary user, with the configuration that the README shows.

use integration::engines::image::IMAGE;
use integration::engines::person::Person;
use integration::engines::report::Run;
use integration::engines::{Case, Subject, case};
use integration::user::{SUBID, SUBIDS, UID};

use crate::docker::soon;
use crate::{Wish, nothing_is_left};

const ENGINE: &str = "Podman of an ordinary user";

pub(crate) fn drive(subject: &Subject, wish: &Wish) -> Run {
    if !CASES.iter().any(|case| wish.wants(ENGINE, case.name)) {
        return Run::default();
    }
    let person = Person::start(subject);
    let versions = person.versions();
    let mut verdicts = wish.judge(ENGINE, CASES, &person);
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

fn run(person: &Person) {
    let seen = person.run(&[], &["sh", "-c", "id -u; cat /proc/self/uid_map"]).ok().stdout;
    let words: Vec<_> = seen.split_whitespace().map(str::to_owned).collect();
    let map = [0, 0, UID, 1, 1, SUBID, SUBIDS].map(|number| number.to_string());
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
    assert_eq!(seen, format!("{UID}\n"));
}

fn another_user(person: &Person) {
    let seen = person.run(&["--user", "1000:2000"], &["sh", "-c", "id -u; id -g"]).ok().stdout;
    assert_eq!(seen, "1000\n2000\n");
}

fn without_cgroups(person: &Person) {
    assert_eq!(person.run(&["--cgroups", "disabled"], &["echo", "ran"]).ok().stdout, "ran\n");
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
