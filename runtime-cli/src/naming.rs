//! Names of containers that the user did not name.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::iter;
use std::path::Path;

use crate::failure::Failure;
use runtime_core::ContainerId;

// Longer names would be too long as names of cgroups with something around them.
const LONGEST: usize = 64;
const ATTEMPTS: usize = 16;

/// Whether a positional argument is the path of a bundle: it has a `/`, or can't be an id for another reason.
pub(crate) fn is_path(argument: &str) -> bool {
    argument.contains('/') || argument == "." || argument == ".."
}

/// Ids for a container of the bundle at the absolute path `bundle`, to be tried until one is free: the directory's
/// name, then that with something random.
///
/// # Errors
/// The library refuses such an id.
pub(crate) fn candidates(bundle: &Path) -> Result<Vec<ContainerId>, Failure> {
    let base = base(bundle);
    let random =
        iter::repeat_with(|| format!("{base}-{:06x}", RandomState::new().build_hasher().finish() >> 40));
    let ids = iter::once(base.clone()).chain(random).take(ATTEMPTS);
    Ok(ids.map(|id| ContainerId::new(&id)).collect::<Result<_, _>>()?)
}

/// The directory's name in the alphabet of ids; no dash at the front, where it would look like an option.
pub(crate) fn base(bundle: &Path) -> String {
    let name = bundle.file_name().unwrap_or_default().to_string_lossy();
    let allowed = |c: char| if c.is_ascii_alphanumeric() || "_+.-".contains(c) { c } else { '-' };
    let id: String = name.chars().map(allowed).collect::<String>().trim_matches('-').into();
    let id: String = id.chars().take(LONGEST).collect();
    if id.is_empty() || id == "." || id == ".." { "container".into() } else { id }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn the_name_of_the_directory_becomes_an_id() {
        let cases = [
            ("/srv/web", "web"),
            ("/srv/web/", "web"),
            ("/srv/my web+2.0_x", "my-web+2.0_x"),
            ("/srv/-rf", "rf"),
            ("/srv/übung", "bung"),
            ("/", "container"),
            ("/srv/..", "container"),
            ("/srv/ ", "container"),
        ];
        for (path, id) in cases {
            assert_eq!(base(Path::new(path)), id, "{path}");
        }
        assert_eq!(base(&Path::new("/").join("x".repeat(200))).len(), LONGEST);
    }

    #[test]
    fn candidates_differ_and_begin_with_the_plain_name() {
        let ids = candidates(Path::new("/srv/web")).unwrap();
        assert_eq!(ids[0].as_str(), "web");
        let different: HashSet<_> = ids.iter().map(ContainerId::as_str).collect();
        assert!(different.len() > ATTEMPTS / 2, "{different:?}");
        assert!(ids[1..].iter().all(|id| id.as_str().starts_with("web-") && id.as_str().len() == 10));
    }

    #[test]
    fn what_cannot_be_an_id_is_a_path() {
        assert!(["bundle/", "./b", "/b", ".", ".."].into_iter().all(is_path));
        assert!(!["bundle", "a.b", "..."].into_iter().any(is_path));
    }
}
