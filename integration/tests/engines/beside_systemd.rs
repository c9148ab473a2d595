//! Engines that have systemd make their cgroups: of each the cases in which a container lives, is looked at and ends.
//! All but these run without it.

use std::path::Path;

use integration::engines::containerd::Containerd;
use integration::engines::docker::Docker;
use integration::engines::podman::Podman;
use integration::engines::report::Run;
use integration::engines::{Case, Room, Subject, case};

use crate::{Wish, buildah, containerd, cri, docker, podman};

/// Whether there is a systemd that could.
pub(crate) fn is_possible() -> bool {
    Path::new("/run/systemd/system").is_dir()
}

pub(crate) fn drive_docker(subject: &Subject, wish: &Wish) -> Run {
    let cases = chosen(docker::CASES, DOCKER, case("a container is a unit", docker_unit));
    docker::drive_in("Docker beside systemd", Room::beside_systemd, &cases, subject, wish)
}

pub(crate) fn drive_containerd(subject: &Subject, wish: &Wish) -> Run {
    let cases = chosen(containerd::CASES, CONTAINERD, case("a container is a unit", containerd_unit));
    containerd::drive_in("containerd beside systemd", Room::beside_systemd, &cases, subject, wish)
}

pub(crate) fn drive_cri(subject: &Subject, wish: &Wish) -> Run {
    let cases = chosen(cri::CASES, CRI, case("a container is a unit", cri_unit));
    cri::drive_in("CRI beside systemd", Room::beside_systemd, &cases, subject, wish)
}

pub(crate) fn drive_podman(subject: &Subject, wish: &Wish) -> Run {
    let cases = chosen(podman::CASES, PODMAN, case("a container is a unit", podman_unit));
    podman::drive_in("Podman beside systemd", Room::beside_systemd, &cases, subject, wish)
}

pub(crate) fn drive_buildah(subject: &Subject, wish: &Wish) -> Run {
    buildah::drive_in("Buildah beside systemd", Room::beside_systemd, buildah::CASES, subject, wish)
}

pub(crate) const DOCKER: &[&str] = &[
    "info names the runtime",
    "run",
    "run -d, logs",
    "run -it",
    "exec",
    "exec returns the status",
    "stop by its signal",
    "kill with a signal",
    "pause, unpause",
    "stats",
    "update",
    "rm -f",
    "exit status of the program",
    "out of memory is noticed",
    "restart policy",
];

const CONTAINERD: &[&str] = &[
    "run",
    "run returns the status",
    "task exec",
    "task kill",
    "task pause, resume",
    "task metrics",
    "task delete, container delete",
];

const CRI: &[&str] = &[
    "Version",
    "RunPodSandbox, PodSandboxStatus, StopPodSandbox, RemovePodSandbox",
    "CreateContainer, StartContainer, ContainerStatus",
    "the status and the log of a container that ended",
    "ExecSync",
    "ContainerStats",
    "UpdateContainerResources",
    "StopContainer, RemoveContainer",
];

const PODMAN: &[&str] = &[
    "run",
    "run -d, logs",
    "exec",
    "exec returns the status",
    "stop, start",
    "kill",
    "pause, unpause",
    "stats",
    "rm -f",
    "exit status of the program",
    "pod of two containers",
    "run --memory, --pids-limit, --cpu-shares",
];

/// The cases with these names, and one more.
pub(crate) fn chosen<E>(all: &[Case<E>], names: &[&str], more: Case<E>) -> Vec<Case<E>> {
    let found: Vec<_> = all.iter().filter(|case| names.contains(&case.name)).copied().collect();
    assert_eq!(found.len(), names.len(), "a case is called otherwise");
    found.into_iter().chain([more]).collect()
}

/// Insists on a unit of systemd with this name and these properties.
pub(crate) fn is_unit(room: &Room, unit: &str, properties: &[(&str, &str)]) {
    let usual = [("ActiveState", "active"), ("Delegate", "yes")];
    for (name, value) in usual.iter().chain(properties) {
        let seen = room.systemctl(&["show", "--value", "--property", name, unit]).ok().stdout;
        assert_eq!(seen.trim(), *value, "{name} of {unit}");
    }
}

pub(crate) fn docker_unit(docker: &Docker) {
    let name = docker.sleeper(&["--memory", "64m", "--pids-limit", "30"]);
    let unit = format!("docker-{}.scope", docker.inspect(&name, "{{.Id}}"));
    let slice = docker.room.cgroup_parent();
    is_unit(&docker.room, &unit, &[("MemoryMax", "67108864"), ("TasksMax", "30"), ("Slice", &slice)]);
    docker.remove(&name);
}

fn containerd_unit(containerd: &Containerd) {
    let name = containerd.detached(&["--memory-limit", "67108864"], &["sleep", "1000"]);
    is_unit(&containerd.room, &format!("ctr-{name}.scope"), &[("MemoryMax", "67108864")]);
    containerd.remove(&name);
}

fn cri_unit(containerd: &Containerd) {
    let pod = cri::Pod::start(containerd, cri::POD, cri::CONTAINER);
    let container = pod.sleeper();
    let slice = containerd.room.cgroup_parent();
    is_unit(&containerd.room, &format!("cri-containerd-{container}.scope"), &[("Slice", &slice)]);
}

fn podman_unit(podman: &Podman) {
    let name = podman.sleeper(&["--memory", "64m"]);
    let unit = format!("libpod-{}.scope", podman.inspect(&name, "{{.Id}}"));
    is_unit(&podman.room, &unit, &[("MemoryMax", "67108864")]);
    podman.remove(&name);
}
