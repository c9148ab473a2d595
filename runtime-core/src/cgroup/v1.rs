//! The files of version 1.

use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory};

use super::convert;
use super::knobs::{Hierarchy, Knob, Knobs, Result, set};
use crate::error::ConfigError;
use crate::plan::Pointer;

fn knob(controller: &'static str, file: &str, value: impl ToString) -> Knob {
    Knob::new(Hierarchy::V1(controller), file, value)
}

/// The kernel wants the memory limit never to exceed the one of memory and swap together: in a fresh cgroup the former
/// comes first, and when both are raised it comes after.
pub(super) fn memory(knobs: &mut Knobs, memory: &LinuxMemory, at: &Pointer) -> Result<()> {
    let limit = set(memory.limit());
    let both = convert::memory_and_swap(limit, set(memory.swap()))
        .map_err(|problem| ConfigError::new(at.child("swap"), problem))?;
    let both = both.map(|both| {
        let knob = knob("memory", "memory.memsw.limit_in_bytes", both);
        // A kernel that doesn't account swap has no such file, and doesn't limit it either.
        if both == -1 { knob.may_be_missing() } else { knob }
    });
    if let Some(limit) = limit {
        let limit = knob("memory", "memory.limit_in_bytes", limit.max(-1)).after(both.as_ref());
        knobs.push((at.child("limit"), limit));
    }
    knobs.extend(both.map(|both| (at.child("swap"), both)));
    let mut push = |field: &str, file: &str, value: Option<String>| {
        knobs.extend(value.map(|value| (at.child(field), knob("memory", file, value))));
    };
    let text = |value: Option<i64>| value.map(|value| value.to_string());
    push("reservation", "memory.soft_limit_in_bytes", text(set(memory.reservation())));
    push("kernelTCP", "memory.kmem.tcp.limit_in_bytes", text(set(memory.kernel_tcp())));
    push("swappiness", "memory.swappiness", swappiness(memory.swappiness(), at)?);
    push(
        "disableOOMKiller",
        "memory.oom_control",
        memory.disable_oom_killer().filter(|off| *off).map(|_| "1".into()),
    );
    Ok(())
}

fn swappiness(value: Option<u64>, at: &Pointer) -> Result<Option<String>> {
    match value {
        Some(value) if value > 100 => {
            Err(ConfigError::new(at.child("swappiness"), format!("{value} is no percentage: use 0 to 100")))
        }
        value => Ok(value.map(|value| value.to_string())),
    }
}

/// Whether a period or its quota has to come first depends on what is there, and so each may follow the other.
pub(super) fn cpu(knobs: &mut Knobs, cpu: &LinuxCpu, at: &Pointer) -> Result<()> {
    let file =
        |name: &str, value: Option<String>| value.map(|value| knob("cpu", &format!("cpu.{name}"), value));
    let text = |value: Option<u64>| value.map(|value| value.to_string());
    let signed = |value: Option<i64>| value.map(|value| value.to_string());
    let rt_period = file("rt_period_us", text(set(cpu.realtime_period())));
    let rt_runtime = file("rt_runtime_us", signed(set(cpu.realtime_runtime())));
    let period = file("cfs_period_us", text(set(cpu.period())));
    let burst = file("cfs_burst_us", text(cpu.burst())).map(Knob::zero_may_be_missing);
    let quota = file("cfs_quota_us", signed(set(cpu.quota())));
    let idle = file("idle", signed(cpu.idle())).map(Knob::zero_may_be_missing);
    let shares = file("shares", text(set(cpu.shares()).filter(|_| cpu.idle() != Some(1))));
    let period = period.map(|period| period.after(quota.as_ref()));
    let quota = quota.map(|quota| quota.after(burst.as_ref()));
    let rt_period = rt_period.map(|period| period.after(rt_runtime.as_ref()));
    for (field, knob) in [
        ("shares", shares),
        ("idle", idle),
        ("realtimePeriod", rt_period),
        ("realtimeRuntime", rt_runtime),
        ("period", period),
        ("quota", quota),
        ("burst", burst),
    ] {
        knobs.extend(knob.map(|knob| (at.child(field), knob)));
    }
    Ok(())
}

/// BFQ, where it is the scheduler, brings files of its own for the weights.
pub(super) fn block_io(knobs: &mut Knobs, block_io: &LinuxBlockIo, at: &Pointer) -> Result<()> {
    if let Some(weight) = set(block_io.weight()) {
        let knob = knob("blkio", "blkio.weight", weight).instead("blkio.bfq.weight", weight);
        knobs.push((at.child("weight"), knob));
    }
    if let Some(weight) = set(block_io.leaf_weight()) {
        knobs.push((at.child("leafWeight"), knob("blkio", "blkio.leaf_weight", weight)));
    }
    for (number, device) in block_io.weight_device().iter().flatten().enumerate() {
        let at = at.child("weightDevice").child(number);
        let line = |weight: u16| format!("{}:{} {weight}", device.major(), device.minor());
        if let Some(line) = set(device.weight()).map(line) {
            let knob = knob("blkio", "blkio.weight_device", &line).instead("blkio.bfq.weight_device", &line);
            knobs.push((at.child("weight"), knob));
        }
        if let Some(line) = set(device.leaf_weight()).map(line) {
            knobs.push((at.child("leafWeight"), knob("blkio", "blkio.leaf_weight_device", line)));
        }
    }
    for (field, file, devices) in [
        ("throttleReadBpsDevice", "read_bps", block_io.throttle_read_bps_device()),
        ("throttleWriteBpsDevice", "write_bps", block_io.throttle_write_bps_device()),
        ("throttleReadIOPSDevice", "read_iops", block_io.throttle_read_iops_device()),
        ("throttleWriteIOPSDevice", "write_iops", block_io.throttle_write_iops_device()),
    ] {
        for (number, device) in devices.iter().flatten().enumerate() {
            let line = format!("{}:{} {}", device.major(), device.minor(), device.rate());
            let knob = knob("blkio", &format!("blkio.throttle.{file}_device"), line);
            knobs.push((at.child(field).child(number), knob));
        }
    }
    Ok(())
}
