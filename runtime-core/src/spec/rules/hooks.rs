//! Hooks (config.md, "POSIX-platform Hooks").

use oci_spec::runtime as oci;

use super::{Check, check_absolute, check_env, list, wrong};
use crate::plan::Pointer;

pub(super) fn check(spec: &oci::Spec) -> Check {
    let Some(hooks) = spec.hooks() else { return Ok(()) };
    #[allow(deprecated)] // by the specification, but not by the programs that use it
    let prestart = hooks.prestart();
    check_list("prestart", prestart)?;
    check_list("createRuntime", hooks.create_runtime())?;
    check_list("createContainer", hooks.create_container())?;
    check_list("startContainer", hooks.start_container())?;
    check_list("poststart", hooks.poststart())?;
    check_list("poststop", hooks.poststop())
}

fn check_list(kind: &str, hooks: &Option<Vec<oci::Hook>>) -> Check {
    for (index, hook) in list(hooks).iter().enumerate() {
        let at = |field| Pointer::of("/hooks").child(kind).child(index).child(field);
        check_absolute(hook.path(), || at("path"))?;
        check_env(hook.env(), || at("env"))?;
        if hook.timeout().is_some_and(|seconds| seconds <= 0) {
            return wrong(at("timeout"), "the timeout has to be above 0; leave it out for none");
        }
    }
    Ok(())
}
