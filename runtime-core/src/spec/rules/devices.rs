//! Device nodes (config-linux.md, "Devices").

use oci_spec::runtime::{self as oci, LinuxDeviceType as Kind};

use super::{Check, check_absolute, check_id, list, wrong};
use crate::plan::Pointer;

const DEVICES: Pointer = Pointer::of("/linux/devices");

pub(super) fn check(spec: &oci::Spec) -> Check {
    let Some(linux) = spec.linux() else { return Ok(()) };
    for (index, device) in list(linux.devices()).iter().enumerate() {
        check_device(device, &|field| DEVICES.child(index).child(field))?;
    }
    Ok(())
}

fn check_device(device: &oci::LinuxDevice, at: &dyn Fn(&str) -> Pointer) -> Check {
    check_absolute(device.path(), || at("path"))?;
    match device.typ() {
        Kind::A => return wrong(at("type"), "a device has to be of type c, b, u or p"),
        Kind::P => {}
        Kind::B | Kind::C | Kind::U => check_numbers(device, at)?,
    }
    check_mode(device, at)?;
    check_id(device.uid().unwrap_or_default(), || at("uid"))?;
    check_id(device.gid().unwrap_or_default(), || at("gid"))
}

fn check_numbers(device: &oci::LinuxDevice, at: &dyn Fn(&str) -> Pointer) -> Check {
    // The kernel keeps 12 and 20 bits of them.
    for (field, number, last) in [("major", device.major(), 0xfff), ("minor", device.minor(), 0xf_ffff)] {
        if !(0..=last).contains(&number) {
            return wrong(at(field), format!("{number} is out of range: 0 to {last} are allowed"));
        }
    }
    Ok(())
}

fn check_mode(device: &oci::LinuxDevice, at: &dyn Fn(&str) -> Pointer) -> Check {
    // Engines hand over what stat said, the type of the file included: it is left out later.
    const FILE_TYPE: u32 = 0o170_000;
    match device.file_mode() {
        Some(mode) if mode & !FILE_TYPE > 0o7777 => {
            wrong(at("fileMode"), format!("{mode} is out of range: 0 to 4095 (octal 7777) are allowed"))
        }
        _ => Ok(()),
    }
}
