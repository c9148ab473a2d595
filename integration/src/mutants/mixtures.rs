//! Many mutants in few builds, and still it is known which of them a test has noticed.
//!
//! There are eight builds, and each mutant is in four of them, no two in the same four. A test that fails in exactly the
//! four builds with its mutant, and passes in the other four, beside all the others that are in those, has noticed that
//! mutant and no other one. Whatever looks otherwise is built alone.

use std::ops::Range;

/// The builds.
pub(super) const BUILDS: Range<u32> = 0..8;

/// How many mutants can be told apart.
pub(super) const MOST: usize = 70;

/// The builds that a mutant is in, by its place in the list: one bit each.
pub(super) fn code(place: usize) -> u8 {
    (0..=u8::MAX)
        .filter(|code| code.count_ones() == 4)
        .nth(place)
        .expect("there are no more than can be told apart")
}

/// Whether the mutant at a place is in a build.
pub(super) fn is_in(place: usize, build: u32) -> bool {
    code(place) & 1 << build != 0
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_are_in_the_same_builds_and_none_in_those_of_another_and_more() {
        let codes: BTreeSet<u8> = (0..MOST).map(code).collect();
        assert_eq!(codes.len(), MOST);
        let (all, halves) = (codes.iter(), codes.iter().all(|code| code.count_ones() == 4));
        assert!(
            halves && all.clone().all(|one| all.clone().all(|other| one == other || one & other != *one))
        );
    }

    #[test]
    fn every_build_has_some_and_lacks_some() {
        for build in BUILDS {
            let inside = (0..MOST).filter(|place| is_in(*place, build)).count();
            assert_eq!(inside, MOST / 2, "{build}");
        }
    }
}
