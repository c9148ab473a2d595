//! How little memory a container may have and still start.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::{Value, json};

use crate::bundle::Bundle;
use crate::test::{Test, text};

/// Limits are looked for in steps of so many KiB.
pub const STEP: u64 = 16;

/// Gives a container so many KiB, and no swap to hide in.
pub fn limit(config: &mut Value, kibibytes: u64) {
    let bytes = kibibytes << 10;
    config["linux"]["resources"]["memory"] = json!({"limit": bytes, "swap": bytes});
}

/// The smallest limit, in KiB, under which a program that does nothing runs in all of so many tries.
pub fn smallest(test: &Test, tries: u32) -> u64 {
    let mut bundle = test.bundle(|_| ());
    least(|kibibytes| {
        bundle.edit(|config| limit(config, kibibytes));
        (0..tries).all(|_| runs(test, &bundle))
    })
}

/// Whether a container runs to its end; what a failed one has left is cleared away.
fn runs(test: &Test, bundle: &Bundle) -> bool {
    let id = test.fresh();
    let run = || test.runtime(&["run", "--bundle", &text(&bundle.path), &id]).succeeded();
    // A runtime whose container died may wait for it without end, which the harness ends with a panic.
    let done = catch_unwind(AssertUnwindSafe(run)).unwrap_or(false);
    if !done {
        let _ = test.runtime(&["delete", "--force", &id]);
    }
    done
}

/// The least number, a multiple of [`STEP`], that is enough, if every greater one is as well.
fn least(mut enough: impl FnMut(u64) -> bool) -> u64 {
    let mut great = STEP;
    while !enough(great) {
        great *= 2;
    }
    let mut little = great / 2;
    while great - little > STEP {
        let middle = (little + great) / 2;
        match enough(middle) {
            true => great = middle,
            false => little = middle,
        }
    }
    great
}

#[cfg(test)]
mod tests {
    use super::{STEP, least};

    #[test]
    fn the_least_is_found() {
        for wanted in [1, STEP, STEP + 1, 240, 256, 3440] {
            assert_eq!(least(|number| number >= wanted), wanted.next_multiple_of(STEP));
        }
    }
}
