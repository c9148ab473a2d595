//! Words that choose a part of the matrix: `v2 6.12 limits`.

use std::io;

use super::matrix::ROWS;
use super::row::{Place, Row};
use super::{Kernel, World};
use crate::missing::told;

/// The words that fit places, a class to a line: of each class that is used, one word must fit.
pub const CLASSES: [&[&str]; 4] = [
    &["host", "guests"],
    &["v2", "v1", "hybrid", "systemd", "systemd-v1", "users"],
    &["6.1", "6.12", "newest"],
    &["ENOSYS", "EPERM"],
];

/// What every place always runs, and nothing else.
const USUAL: &str = "usual";

/// The rows that these words choose, with these programs of tests. Without words, all.
///
/// Words that are names of programs have just these run, wherever they belong. A world and a kernel that have no
/// row together get one.
///
/// # Errors
/// When a word fits nothing.
pub fn chosen(words: &[&str], suites: &[&str]) -> io::Result<Vec<Row>> {
    let (usual, words): (Vec<&str>, Vec<&str>) = words.iter().partition(|word| **word == USUAL);
    let (places, named): (Vec<&str>, Vec<&str>) = words.into_iter().partition(|word| is_of_place(word));
    if let Some(unknown) = named.iter().find(|word| !suites.contains(word)) {
        let (known, all) = (CLASSES.concat().join(", "), suites.join(", "));
        return Err(io::Error::other(format!("{unknown:?} is neither of {known}, nor a suite: {all}")));
    }
    let mut found: Vec<_> = ROWS.iter().map(|row| row.0).filter(|place| fits(*place, &places)).collect();
    if found.is_empty() {
        found.extend(further(&places));
    }
    let everything = usual.is_empty();
    let row = |place| match named.is_empty() {
        true => Row::of(place, suites, everything),
        false => Row { place, suites: named.iter().map(|&name| name.to_owned()).collect(), everything },
    };
    Ok(found.into_iter().map(row).filter(|row| !row.suites.is_empty()).collect())
}

fn is_of_place(word: &str) -> bool {
    CLASSES.iter().any(|class| class.contains(&word))
}

fn fits(place: Place, words: &[&str]) -> bool {
    let labels = labels(place);
    CLASSES.iter().all(|class| {
        let mut wanted = words.iter().filter(|word| class.contains(word)).peekable();
        wanted.peek().is_none() || wanted.any(|word| labels.contains(word))
    })
}

fn labels(place: Place) -> Vec<&'static str> {
    match place {
        Place::Host => vec!["host"],
        Place::WithoutAll(errno) | Place::WithoutEach(errno) => vec![told(errno)],
        Place::Guest(world, kernel) => vec!["guests", world.name(), kernel.name()],
        Place::Users(kernel) => vec!["guests", "users", kernel.name()],
    }
}

/// A guest that has no row.
fn further(words: &[&str]) -> Option<Place> {
    let world = words.iter().find_map(|word| World::named(word))?;
    Some(Place::Guest(world, words.iter().find_map(|word| Kernel::named(word))?))
}

#[cfg(test)]
mod tests {
    use super::{CLASSES, chosen, labels};
    use crate::vm::matrix::ROWS;
    use crate::vm::row::Row;

    const SUITES: &[&str] = &["felt", "harness", "hooks", "limits", "rootless", "sandbox", "systemd_user"];

    fn names(words: &[&str]) -> Vec<String> {
        let name = |row: Row| format!("{}: {}", row.place, row.suites.join(" "));
        chosen(words, SUITES).unwrap().into_iter().map(name).collect()
    }

    #[test]
    fn every_place_has_its_words() {
        for label in ROWS.iter().flat_map(|row| labels(row.0)) {
            assert_eq!(CLASSES.concat().iter().filter(|word| **word == label).count(), 1, "{label}");
        }
    }

    #[test]
    fn words_choose() {
        assert_eq!(names(&["systemd", "6.12", "hooks"]), ["systemd 6.12: hooks"]);
        assert_eq!(names(&["v1", "newest", "limits", "felt"]), ["v1 newest: limits felt"]);
        assert_eq!(names(&["host"]), [format!("host: {}", SUITES.join(" "))]);
        assert_eq!(names(&["users"]), ["v2 6.12, ordinary users: rootless"]);
        assert_eq!(names(&["EPERM", "hooks"]).len(), 2);
        assert_eq!(names(&["v1", "v2", "6.1"]).len(), 2);
        assert_eq!(names(&["systemd-v1"]), ["systemd-v1 6.1: felt limits sandbox systemd_user"]);
        assert_eq!(names(&["usual", "systemd"]), ["systemd 6.12: systemd_user"]);
        assert!(names(&["usual"]).len() < names(&[]).len());
        assert!(chosen(&["nonsense"], SUITES).unwrap_err().to_string().contains("nonsense"));
    }
}
