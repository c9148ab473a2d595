//! The files of version 2.

use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory};

use super::convert;
use super::knobs::{Hierarchy, Knob, Knobs, Result, set};
use crate::error::ConfigError;
use crate::plan::Pointer;

fn knob(file: &str, value: impl ToString) -> Knob {
    Knob::new(Hierarchy::V2, file, value)
}

pub(super) fn memory(knobs: &mut Knobs, memory: &LinuxMemory, at: &Pointer) -> Result<()> {
    let limit = set(memory.limit());
    let both = convert::memory_and_swap(limit, set(memory.swap()))
        .map_err(|problem| ConfigError::new(at.child("swap"), problem))?;
    if let Some(both) = both {
        let knob = knob("memory.swap.max", convert::swap_max(limit, both));
        // A kernel without swap has no such file: nothing and anything are what it offers.
        let holds_anyway = matches!(knob.value.as_str(), "max" | "0");
        knobs.push((at.child("swap"), if holds_anyway { knob.may_be_missing() } else { knob }));
    }
    if let Some(limit) = limit {
        knobs.push((at.child("limit"), knob("memory.max", convert::or_max(limit))));
    }
    if let Some(reservation) = set(memory.reservation()) {
        knobs.push((at.child("reservation"), knob("memory.low", convert::or_max(reservation))));
    }
    Ok(())
}

/// An idle cgroup has no weight of its own. The quota must cover the burst at all times.
pub(super) fn cpu(knobs: &mut Knobs, cpu: &LinuxCpu, at: &Pointer) -> Result<()> {
    if let Some(idle) = cpu.idle() {
        knobs.push((at.child("idle"), knob("cpu.idle", idle).zero_may_be_missing()));
    }
    if let Some(shares) = set(cpu.shares()).filter(|_| cpu.idle() != Some(1)) {
        knobs.push((at.child("shares"), knob("cpu.weight", convert::weight_of_shares(shares))));
    }
    let burst = cpu.burst().map(|burst| knob("cpu.max.burst", burst).zero_may_be_missing());
    let quota = set(cpu.quota());
    if let Some(max) = convert::cpu_max(quota, set(cpu.period())) {
        let field = if quota.is_some() { "quota" } else { "period" };
        knobs.push((at.child(field), knob("cpu.max", max).after(burst.as_ref())));
    }
    knobs.extend(burst.map(|burst| (at.child("burst"), burst)));
    Ok(())
}

/// Weights go to BFQ where that is the scheduler, else to the kernel's own cost model, which has another scale.
pub(super) fn block_io(knobs: &mut Knobs, block_io: &LinuxBlockIo, at: &Pointer) -> Result<()> {
    if let Some(weight) = set(block_io.weight()) {
        let knob = knob("io.bfq.weight", weight).instead("io.weight", convert::io_weight(weight));
        knobs.push((at.child("weight"), knob));
    }
    for (number, device) in block_io.weight_device().iter().flatten().enumerate() {
        let Some(weight) = set(device.weight()) else { continue };
        let device = format!("{}:{}", device.major(), device.minor());
        let other = format!("{device} {}", convert::io_weight(weight));
        let knob = knob("io.bfq.weight", format!("{device} {weight}")).instead("io.weight", other);
        knobs.push((at.child("weightDevice").child(number).child("weight"), knob));
    }
    for (field, key, devices) in [
        ("throttleReadBpsDevice", "rbps", block_io.throttle_read_bps_device()),
        ("throttleWriteBpsDevice", "wbps", block_io.throttle_write_bps_device()),
        ("throttleReadIOPSDevice", "riops", block_io.throttle_read_iops_device()),
        ("throttleWriteIOPSDevice", "wiops", block_io.throttle_write_iops_device()),
    ] {
        for (number, device) in devices.iter().flatten().enumerate() {
            // Version 1 takes zero for no limit.
            let rate = if device.rate() == 0 { "max".into() } else { device.rate().to_string() };
            let line = format!("{}:{} {key}={rate}", device.major(), device.minor());
            knobs.push((at.child(field).child(number), knob("io.max", line)));
        }
    }
    Ok(())
}
