//! When hooks run (config.md, "POSIX-platform Hooks"), and how one gets into the container. How they are watched is
//! `crate::hooks`' business.

use super::affinity::Affinity;
use super::draft::{Draft, path, text};
use super::{Action, Plan, Pointer, Request, identity, inside, labels};
use crate::error::ConfigError;
use crate::hooks::{Hook, Kind, planned};
use crate::host::Host;
use crate::spec::Spec;
use crate::step::{Point, Step};

/// The hooks that see the container's mounts and the host's tree.
pub(super) fn before_pivot(plan: &mut Draft, spec: &Spec) {
    let kinds = [Kind::Prestart, Kind::CreateRuntime, Kind::CreateContainer];
    if kinds.iter().any(|kind| planned(spec.oci(), *kind).is_some()) {
        plan.init(Pointer::of("/hooks"), Step::Barrier { point: Point::Hooks });
        kinds.into_iter().for_each(|kind| run(plan, spec, kind));
    }
}

/// The hooks of the program's start.
pub(super) fn before_start(plan: &mut Draft, spec: &Spec) {
    run(plan, spec, Kind::StartContainer);
}

/// The hooks that run when the program does.
pub(super) fn after_start(plan: &mut Draft, spec: &Spec) {
    run(plan, spec, Kind::Poststart);
}

fn run(plan: &mut Draft, spec: &Spec, kind: Kind) {
    if let Some(hooks) = planned(spec.oci(), kind) {
        plan.host(kind.pointer(), Action::RunHooks(hooks));
    }
}

/// Plans one hook that runs inside: in the container's namespaces, before or after the root was changed.
///
/// A hook of the start is looked up in the container, so it may be a program of the image: it gets no more than the
/// container's own program.
pub(crate) fn hook(
    spec: &Spec,
    host: &Host,
    request: &Request,
    kind: Kind,
    hook: &Hook,
) -> Result<Plan, ConfigError> {
    const STREAMS: u32 = 3;
    let mut draft = Draft::default();
    let plan = &mut draft;
    let origin = kind.pointer();
    inside::start_process(plan, host, request, Affinity::default());
    inside::isolate(plan, host, STREAMS, false);
    inside::conceal(plan);
    let seccomp = if kind == Kind::StartContainer {
        labels::check(spec, host)?;
        labels::of_program(plan, spec)?;
        identity::seccomp_profile(spec)?
    } else {
        None
    };
    inside::enter(plan, spec);
    if kind == Kind::StartContainer {
        inside::change_root(plan, spec, request)?;
        identity::shed(plan, spec, host, seccomp.is_some())?;
        inside::emerge(plan, spec, false);
        identity::confine(plan, spec, host, seccomp.as_ref())?;
    } else {
        plan.init(origin.clone(), identity::root_in(path(&origin, &request.rootfs)?));
        inside::emerge(plan, spec, false);
    }
    let argv = hook.argv().unwrap_or_default();
    plan.init(
        origin.clone(),
        Step::Execute {
            candidates: vec![path(&origin, &hook.path)?],
            arguments: argv,
            environment: hook.env.iter().map(|each| text(&origin, each)).collect::<Result<_, _>>()?,
        },
    );
    Ok(Plan { entries: draft.entries, filters: seccomp.into_iter().collect() })
}
