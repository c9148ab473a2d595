//! The same plan for a host without calls for mounts that are attached nowhere yet: what would be lent as such a mount is
//! bound by init, and changed afterwards.

use super::draft::Draft;
use super::{Action, Deed, Loan, LoanSource, Pointer};
use crate::error::ConfigError;
use crate::host::Host;
use crate::step::Step;

/// Rewrites what this host can't do.
///
/// # Errors
/// There is no older way for something that is asked for.
pub(super) fn rewrite(plan: &mut Draft, host: &Host) -> Result<(), ConfigError> {
    if host.has_mount_calls {
        return Ok(());
    }
    let mut lent: Option<Loan> = None;
    for entry in &mut plan.entries {
        match &mut entry.deed {
            Deed::Host(Action::LendMount(loan)) => {
                refuse_impossible(&entry.origin, loan)?;
                lent = Some(Loan::clone(loan));
                loan.attached = true;
            }
            Deed::Init(step) => {
                if let (Step::AttachMount { at }, Some(loan)) = (&*step, &mut lent) {
                    let changes = std::iter::once(loan.base).chain(loan.propagation.iter().copied());
                    *step = Step::BindMount {
                        recursive: loan.recursive,
                        set: loan.attributes.iter().fold(0, |bits, change| bits | change.set),
                        clear: loan.attributes.iter().fold(0, |bits, change| bits | change.clear),
                        propagation: changes.collect(),
                        at: at.clone(),
                    };
                    lent = None;
                }
            }
            Deed::Host(_) => {}
        }
    }
    Ok(())
}

fn refuse_impossible(origin: &Pointer, loan: &Loan) -> Result<(), ConfigError> {
    let problem = if loan.mapping.is_some() {
        "mapped ids need mount_setattr, which this kernel, or a filter around this process, doesn't offer"
    } else if loan.attributes.iter().any(|change| change.recursive) {
        "recursive mount options need mount_setattr, which this kernel, or a filter around this process, doesn't offer"
    } else if loan.source == LoanSource::Sysfs {
        "the host's sysfs alone needs open_tree, which this kernel, or a filter around this process, doesn't offer"
    } else {
        return Ok(());
    };
    Err(ConfigError::new(origin.clone(), problem))
}
