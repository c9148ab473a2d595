//! The machine around a guest.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rustix::process::{Signal, set_parent_process_death_signal};

use super::Guest;
use super::debian::TOOLS;

/// What every machine has: no hardware that a guest would have to wait for. `nr` makes a port's name in the guest.
const MACHINE: &str = "-M q35 -accel tcg,thread=multi -cpu max -smp 2 -nodefaults -display none -no-reboot \
     -device virtio-rng-pci -device virtio-serial-pci \
     -chardev file,id=said,path=/proc/self/fd/1 -device virtserialport,chardev=said,nr=1";

/// Starts a machine; what the job says is its standard output.
pub(super) fn start(guest: &Guest, files: &Path, place: &Path) -> io::Result<Child> {
    let mut qemu = program();
    qemu.args(MACHINE.split_whitespace()).arg("-m").arg(format!("{}M", guest.memory));
    qemu.arg("-kernel").arg(guest.kernel.image()?).arg("-initrd").arg(guest.kernel.initrd());
    qemu.arg("-append").arg(command_line(guest));
    qemu.arg("-serial").arg(valued("file:", &place.join("console"), ""));
    qemu.arg("-chardev").arg(valued("file,id=status,path=", &place.join("status"), ""));
    qemu.args(["-device", "virtserialport,chardev=status,nr=2"]);
    disk(&mut qemu, "root", &guest.image.root(), "snapshot=on,cache=unsafe");
    disk(&mut qemu, "files", files, "readonly=on");
    disk(&mut qemu, "script", &place.join("script"), "readonly=on");
    disk(&mut qemu, "swap", &place.join("swap"), "cache=unsafe");
    disk(&mut qemu, "scratch", &place.join("scratch"), "cache=unsafe");
    qemu.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(place.join("errors"))?);
    // SAFETY: one system call, nothing is allocated and no lock is taken between fork and exec.
    unsafe { qemu.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?)) };
    qemu.spawn()
}

/// QEMU out of its tree, with the libraries of that tree.
fn program() -> Command {
    let tree = TOOLS.path();
    let libraries = tree.join("usr/lib/x86_64-linux-gnu");
    let mut loader = Command::new(libraries.join("ld-linux-x86-64.so.2"));
    loader.arg("--library-path").arg(&libraries).arg(tree.join("usr/bin/qemu-system-x86_64"));
    for firmware in ["usr/share/qemu", "usr/share/seabios"] {
        loader.arg("-L").arg(tree.join(firmware));
    }
    loader
}

fn command_line(guest: &Guest) -> String {
    // A busy host makes the kernel doubt its timer, and give up; or a single alarm is lost, and with it all that follow.
    let usual = "console=ttyS0 quiet panic=-1 no_timer_check nohz=off highres=off mitigations=off hugepages=16 \
                 systemd.show_status=0 systemd.mask=apparmor.service systemd.default_timeout_start_sec=900";
    format!("{usual} world={} {} {}", guest.world.name(), guest.world.words(), guest.append.join(" "))
}

fn disk(qemu: &mut Command, name: &str, file: &Path, options: &str) {
    qemu.arg("-drive").arg(valued("file=", file, &format!(",id={name},if=none,format=raw,{options}")));
    qemu.arg("-device").arg(format!("virtio-blk-pci,drive={name},serial={name}"));
}

/// A path among the options of QEMU, where a comma is written twice.
fn valued(before: &str, path: &Path, after: &str) -> OsString {
    format!("{before}{}{after}", path.display().to_string().replace(',', ",,")).into()
}
