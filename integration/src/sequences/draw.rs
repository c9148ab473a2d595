//! A sequence, as a seed determines it.

use std::time::Duration;

use crate::model::Verb;

/// The most commands at once.
const MOST: u64 = 32;

/// What is run: first some commands one after the other, which bring the container somewhere, then others at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequence {
    /// The container.
    pub bundle: Kind,
    /// Commands of which each begins when the one before has ended.
    pub prelude: Vec<Verb>,
    /// Commands with the times of their begins, from the end of the prelude on.
    pub commands: Vec<(Duration, Verb)>,
}

/// What the container is like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// As little as there can be, so that a creation is quick.
    Lean,
    /// The same with a program that ends by itself.
    Brief,
    /// What engines ask for.
    Usual,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 3] = [Kind::Lean, Kind::Brief, Kind::Usual];

    /// Whether its program ends by itself.
    pub fn is_brief(self) -> bool {
        self == Kind::Brief
    }
}

/// How often each command is drawn.
const COMMANDS: [(Verb, u64); 12] = [
    (Verb::Create, 3),
    (Verb::Start, 4),
    (Verb::State, 2),
    (Verb::List, 1),
    (Verb::Ps, 1),
    (Verb::Exec, 2),
    (Verb::Kill, 2),
    (Verb::Pause, 3),
    (Verb::Resume, 3),
    (Verb::Update, 1),
    (Verb::Delete, 3),
    (Verb::DeleteByForce, 2),
];

/// The lives with which a sequence may begin.
const PRELUDES: [&[Verb]; 6] = [
    &[],
    &[Verb::Create],
    &[Verb::Create, Verb::Start],
    &[Verb::Create, Verb::Start, Verb::Pause],
    &[Verb::Create, Verb::Pause],
    &[Verb::Create, Verb::Start, Verb::Kill],
];

/// The sequence of a seed.
pub fn sequence(seed: u64) -> Sequence {
    let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0xD1B5_4A32_D192_ED03);
    let bundle = dice.one_of(&[(Kind::Lean, 7), (Kind::Brief, 2), (Kind::Usual, 1)]);
    let prelude = dice.one_of(&[(0, 3), (1, 4), (2, 4), (3, 2), (4, 1), (5, 1)]);
    let count = match dice.below(10) {
        0..6 => 2 + dice.below(5),
        6..9 => 7 + dice.below(8),
        _ => 15 + dice.below(MOST - 14),
    };
    // All at the same moment, or spread over as long as a creation takes, or a few times that.
    let spread = [1, 1_500, 6_000, 20_000][dice.below(4) as usize];
    let mut commands: Vec<_> =
        (0..count).map(|_| (Duration::from_micros(dice.below(spread)), dice.one_of(&COMMANDS))).collect();
    commands.sort_by_key(|(begin, _)| *begin);
    Sequence { bundle, prelude: PRELUDES[prelude].to_vec(), commands }
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_of<T: Copy>(&mut self, all: &[(T, u64)]) -> T {
        let mut place = self.below(all.iter().map(|(_, weight)| weight).sum());
        for (one, weight) in all {
            if place < *weight {
                return *one;
            }
            place -= weight;
        }
        unreachable!("the place is below the sum of all weights")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_always_the_same_sequence() {
        assert_eq!(sequence(7), sequence(7));
        assert_ne!(sequence(7), sequence(8));
    }

    #[test]
    fn all_commands_and_all_sizes_are_drawn() {
        let all: Vec<_> = (0..2_000).map(sequence).collect();
        let verb =
            |one: &Verb| all.iter().flat_map(|sequence| &sequence.commands).any(|(_, verb)| verb == one);
        assert!(COMMANDS.iter().all(|(one, _)| verb(one)));
        let sizes = |size| all.iter().any(|sequence| sequence.commands.len() == size);
        assert!((2..=MOST as usize).all(sizes));
        assert!(Kind::ALL.iter().all(|kind| all.iter().any(|sequence| sequence.bundle == *kind)));
    }
}
