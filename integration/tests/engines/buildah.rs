//! Buildah, with the configuration that the README shows.

use integration::engines::image::{IMAGE, is_installed};
use integration::engines::podman::Podman;
use integration::engines::report::Run;
use integration::engines::{Case, Room, Subject, case};

use crate::{Wish, nothing_is_left};

pub(crate) fn drive(subject: &Subject, wish: &Wish) -> Run {
    drive_in("Buildah", Room::new, CASES, subject, wish)
}

pub(crate) fn drive_in(
    engine: &str,
    room: fn() -> Room,
    cases: &[Case<Podman>],
    subject: &Subject,
    wish: &Wish,
) -> Run {
    if !wish.wants_any(engine, cases) {
        return Run::default();
    }
    assert!(is_installed("buildah"), "buildah is not installed");
    let podman = Podman::start(room(), subject);
    let versions = podman.buildah(&["--version"]).ok().stdout.trim().replace("buildah version", "Buildah");
    let mut verdicts = wish.judge(engine, cases, &podman);
    podman.buildah(&["rm", "--all"]);
    verdicts.push(nothing_is_left(podman.stop()));
    Run { versions, verdicts }
}

pub(crate) const CASES: &[Case<Podman>] = &[
    case("from, run, commit", run),
    case("run returns the status", status),
    case("run with user, volume, environment", options),
    case("run on a network of its own", network),
    case("bud with RUN", bud),
    case("bud with a RUN that fails", bud_fails),
];

fn from(podman: &Podman) -> String {
    podman.buildah(&["from", &podman.build_cgroup(), IMAGE]).ok().stdout.trim().to_owned()
}

fn run(podman: &Podman) {
    let container = from(podman);
    podman.buildah(&["run", &container, "--", "sh", "-c", "echo mine > /mine"]).ok();
    assert_eq!(podman.buildah(&["run", &container, "--", "cat", "/mine"]).ok().stdout, "mine\n");
    podman.buildah(&["commit", "--quiet", &container, "kept"]).ok();
    podman.buildah(&["rm", &container]).ok();
    let again = podman.buildah(&["from", &podman.build_cgroup(), "localhost/kept"]).ok().stdout;
    assert_eq!(podman.buildah(&["run", again.trim(), "--", "cat", "/mine"]).ok().stdout, "mine\n");
    podman.buildah(&["rm", again.trim()]).ok();
}

fn status(podman: &Podman) {
    let container = from(podman);
    podman.buildah(&["run", &container, "--", "sh", "-c", "exit 9"]).exits(9);
    podman.buildah(&["run", &container, "--", "nowhere"]).fails_with(&["executable file not found"]);
    podman.buildah(&["rm", &container]).ok();
}

fn options(podman: &Podman) {
    let container = from(podman);
    let volume = format!("{}:/inside:ro", podman.room.directory("volume"));
    let start = ["run", "--user", "user", "--env", "A=b c", "--volume", &volume, &container];
    let outcome =
        podman.buildah(&[&start[..], &["--", "sh", "-c", "id -u; echo $A; touch /inside/x"]].concat());
    assert_eq!(outcome.fails_with(&["read-only file system"]).stdout, "1000\nb c\n");
    podman.buildah(&["rm", &container]).ok();
}

fn network(podman: &Podman) {
    let container = from(podman);
    let outcome =
        podman.buildah(&["run", "--network", "none", &container, "--", "ls", "/sys/class/net"]).ok();
    assert_eq!(outcome.stdout, "lo\n");
    podman.buildah(&["rm", &container]).ok();
}

fn bud(podman: &Podman) {
    let recipe = format!("FROM {IMAGE}\nRUN echo built > /built\nUSER user\nRUN id -u > /tmp/id\n");
    podman.room.write("buildah/Dockerfile", recipe);
    let (context, parent) = (podman.room.path("buildah"), podman.build_cgroup());
    podman.buildah(&["bud", &parent, "--tag", "made", &context]).ok();
    let container = podman.buildah(&["from", &podman.build_cgroup(), "localhost/made"]).ok().stdout;
    let seen = podman.buildah(&["run", container.trim(), "--", "cat", "/built", "/tmp/id"]).ok().stdout;
    assert_eq!(seen, "built\n1000\n");
    podman.buildah(&["rm", container.trim()]).ok();
}

fn bud_fails(podman: &Podman) {
    podman.room.write("broken/Dockerfile", format!("FROM {IMAGE}\nRUN exit 3\n"));
    podman.buildah(&["bud", &podman.build_cgroup(), &podman.room.path("broken")]).exits(3);
}
