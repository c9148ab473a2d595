//! The creation of a container, as a table of contents.

use super::draft::Draft;
use super::{
    Plan, Request, hooks, identity, labels, limits, mounts, namespaces, notify, old_mounts, program, rootfs,
};
use crate::error::ConfigError;
use crate::host::Host;
use crate::spec::Spec;

/// Plans a container.
///
/// # Errors
/// The configuration asks for something impossible on this host, or for something that is not supported yet.
pub fn create(spec: &Spec, host: &Host, request: &Request) -> Result<Plan, ConfigError> {
    let mut draft = Draft::default();
    let plan = &mut draft;
    let seccomp = identity::seccomp_profile(spec)?;
    labels::check(spec, host)?;

    // On the host. The cgroup comes first: the process is born in it, so that all it does is accounted. (Systemd makes
    // one only around a process: then that is born before, and enters it.) It executes init while the limits are set, and
    // waits: it does nothing before it gets its part of this list.
    let (cgroup, mut limits) = limits::make_cgroup(plan, spec, host, request)?;
    namespaces::start_process(plan, spec, host, limits::born_in_cgroup(host, &limits));
    limits::enter_cgroup(plan, host, &mut limits);
    limits::limit_resources(plan, &mut limits);

    // Inside, in the host's tree still. The cgroup namespace's root is the cgroup that init stands in by now.
    namespaces::enter(plan, spec, host, request)?;
    limits::limit_devices(plan, limits);
    rootfs::mount(plan, spec, host, request)?;
    mounts::make(plan, spec, host, &cgroup)?;
    notify::mount(plan, spec, request)?;
    rootfs::make_devices(plan, spec, host)?;
    // Hooks see the mounts, and the host's tree beside them: some add mounts of their own.
    hooks::before_pivot(plan, spec);
    // While something may be made in /dev.
    rootfs::open_terminal(plan, spec, request)?;
    // While the host's procfs is there, and after hooks, some of which load what is named here.
    labels::of_program(plan, spec)?;
    // Parameters are written while /proc/sys may be written.
    rootfs::write_sysctls(plan, spec)?;
    rootfs::hide(plan, spec)?;
    rootfs::make_readonly(plan, spec, host)?;
    rootfs::pivot(plan, spec, request)?;
    namespaces::name(plan, spec)?;
    identity::take_streams(plan, spec);

    // Inside, alone. From here on each step takes something away.
    limits::limit_myself(plan, spec);
    identity::shed(plan, spec, host, seccomp.is_some())?;
    program::find(plan, spec)?;

    // Whatever fails up to here leaves nothing behind; the container exists from its record on.
    program::hand_over(plan, spec, request)?;
    // The filter comes last, so that it need allow nothing but what the program itself does.
    identity::confine(plan, spec, host, seccomp.as_ref())?;
    program::execute(plan, spec, &program::handed_on(request))?;
    hooks::after_start(plan, spec);
    old_mounts::rewrite(plan, host)?;
    Ok(Plan { entries: draft.entries, filters: seccomp.into_iter().collect() })
}
