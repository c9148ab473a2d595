//! What the README tells users to write into the files of their engines, taken from there, so that it is tested.

use std::fs;
use std::path::Path;

use crate::engines::Subject;

/// Where the README's readers have installed the runtime.
const INSTALLED: &str = "/usr/local/bin/runtime";

/// The fenced block of the README that follows the first line with this text, for this runtime.
///
/// # Panics
/// When there is none, or it does not name the runtime.
pub fn snippet(heading: &str, subject: &Subject) -> String {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let readme = fs::read_to_string(readme).expect("there is a README");
    let block = readme.split_once(heading).and_then(|(_, rest)| fenced(rest));
    let block = block.unwrap_or_else(|| panic!("README.md has no block for {heading}"));
    assert!(block.contains(INSTALLED), "{heading} does not name {INSTALLED}");
    block.replace(INSTALLED, subject.path())
}

fn fenced(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once("\n```")?;
    let (_, rest) = rest.split_once('\n')?;
    Some(rest.split_once("\n```")?.0)
}

#[cfg(test)]
mod tests {
    use super::fenced;

    #[test]
    fn the_block_is_what_stands_between_the_fences() {
        assert_eq!(fenced("x:\n\n```toml\na = 1\nb = 2\n```\n\n```\nc\n```"), Some("a = 1\nb = 2"));
        assert_eq!(fenced("none"), None);
    }
}
