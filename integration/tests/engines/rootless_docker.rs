//! Docker of somebody who has logged in: its daemon in a user namespace, and his own systemd makes the cgroups.

use integration::engines::case::not_here;
use integration::engines::docker::Docker;
use integration::engines::report::Run;
use integration::engines::{Room, Subject, case};

use crate::beside_systemd::{DOCKER, chosen, docker_unit};
use crate::{Wish, docker};

const ENGINE: &str = "Docker of an ordinary user beside systemd";

pub(crate) fn drive(subject: &Subject, wish: &Wish) -> Run {
    let cases = chosen(docker::CASES, DOCKER, case("a container is a unit", docker_unit));
    if !wish.wants_any(ENGINE, &cases) {
        return Run::default();
    }
    let room = Room::of_login();
    let Some(login) = room.login() else { not_here("nobody who could log in") };
    // An ordinary user's programs may need modules that only root can load.
    room.run("modprobe", &["--all", "tun", "overlay", "bridge", "veth", "nf_tables", "nft_compat", "nf_nat"])
        .ok();
    docker::drive_daemon(ENGINE, Docker::rootless(room, subject, login), &cases, wish)
}
