//! When hooks run (config.md, "POSIX-platform Hooks"). How they run is `crate::hooks`' business.

use super::draft::Draft;
use super::{Action, Pointer};
use crate::hooks::{Kind, planned};
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
