//! What has to be so of every plan, and of every refusal.

use runtime_core::Plan;
use runtime_core::error::ConfigError;
use runtime_core::step::Step;
use runtime_core::wire::{Blob, Borrowed, Message, put_message};

/// A plan can be listed, and init reads as many steps as were written.
pub(crate) fn check_plan(plan: &Plan) {
    assert_eq!(plan.to_json().as_array().map(Vec::len), Some(plan.entries.len()));
    assert!(!plan.to_string().is_empty());
    let steps = plan.steps();
    let mut bytes = Vec::new();
    put_message(&[Blob(b"filter")], steps.iter().copied(), &mut bytes);
    let message = Message::open(&bytes).expect("what was written is a message");
    assert_eq!(message.blob(0), Some(&b"filter"[..]));
    let read: Vec<u32> = message
        .steps::<Step<Borrowed<'_>>>()
        .map(|(number, step)| {
            read_lists(&step.expect("what was written is a step"));
            number
        })
        .collect();
    assert_eq!(read, steps.iter().map(|(number, _)| *number).collect::<Vec<_>>());
}

/// A refusal is one sentence about one place.
pub(crate) fn check_refusal(error: &ConfigError) {
    let text = error.to_string();
    assert!(
        text.chars().count() <= 801 && !text.contains(char::is_control) && !text.ends_with('.'),
        "{text:?}"
    );
    assert!(!error.problem.is_empty());
}

/// Looks at every item of a step's lists.
pub(crate) fn read_lists(step: &Step<Borrowed<'_>>) {
    match step {
        Step::MakeNodes { nodes, links, .. } => _ = (nodes.iter().count(), links.iter().count()),
        Step::ProtectPaths { paths }
        | Step::MaskPaths { paths, .. }
        | Step::FindProgram { candidates: paths } => _ = paths.iter().count(),
        Step::Mount { propagation, .. } => _ = propagation.iter().count(),
        Step::BecomeUser { groups, .. } => _ = groups.iter().count(),
        Step::EnterContainer { kinds } => _ = kinds.iter().count(),
        Step::Execute { candidates, arguments, environment, .. } => {
            _ = [candidates, arguments, environment].map(|list| list.iter().count());
        }
        _ => {}
    }
}
