//! `features`: what this program can do, as the specification wants it told.

use std::collections::BTreeMap;

use super::Verb;
use crate::{output, version};

pub(super) const VERB: Verb = Verb {
    name: "features",
    about: "Print what this program can do as JSON",
    arguments: |table| table,
    run: |_, _| {
        let mut features = runtime_core::features::features();
        features.annotations = annotations();
        output::print_pretty(&features).map(|()| 0)
    },
};

/// RUNC-COMPAT: CRI-O and others look here for checkpoints.
fn annotations() -> BTreeMap<String, String> {
    let annotations = [
        ("org.opencontainers.runc.checkpoint.enabled", "false"),
        ("runtime.version", version::VERSION),
        ("runtime.commit", version::COMMIT),
    ];
    annotations.map(|(name, value)| (name.into(), value.into())).into()
}
