//! The five sets after the execution, by the kernel's rules (capabilities(7)).

use serde_json::{Value, json};

use super::{Case, Wishes};
use crate::expected::CAPABILITIES;

/// The sets that the process has when its program has been executed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sets {
    pub(super) effective: u64,
    bounding: u64,
    permitted: u64,
    inheritable: u64,
    ambient: u64,
}

impl Sets {
    pub(super) fn of(case: &Case<'_>) -> Self {
        let asked = |set: &str| -> u64 {
            let names = case.texts(&format!("/process/capabilities/{set}"));
            names.filter_map(number).fold(0, |all, number| all | 1 << number)
        };
        // In a user namespace all are there again.
        let possible = match case.in_user_namespace() {
            true => (1 << CAPABILITIES.len()) - 1,
            false => case.caller.at("/capabilities/bounding").as_u64().unwrap_or_default(),
        };
        let (bounding, before) = (asked("bounding") & possible, asked("permitted") & possible);
        let inheritable = asked("inheritable") & possible;
        let ambient = asked("ambient") & before & inheritable;
        let gained = bounding | inheritable | ambient;
        let permitted = match case.user() {
            0 if case.flag("/process/noNewPrivileges") => gained & before,
            0 => gained,
            _ => ambient,
        };
        Self { effective: permitted, bounding, permitted, inheritable, ambient }
    }
}

/// The number of a capability.
pub(super) fn number(name: &str) -> Option<usize> {
    CAPABILITIES.iter().position(|one| name.strip_prefix("CAP_") == Some(one))
}

pub(super) fn foretell(case: &Case<'_>, wishes: &mut Wishes) {
    let Sets { effective, bounding, permitted, inheritable, ambient } = Sets::of(case);
    wishes.is(
        "/capabilities",
        &json!({
            "effective": effective, "permitted": permitted, "inheritable": inheritable, "bounding": bounding,
            "ambient": ambient
        }),
    );
    wishes.is("/securebits", &json!(0));
    wishes.is("/noNewPrivileges", &json!(case.flag("/process/noNewPrivileges")));
    let filtered = case.asked("/linux/seccomp").is_some_and(Value::is_object);
    wishes.is("/seccomp", &json!(if filtered { "2" } else { "0" }));
}
