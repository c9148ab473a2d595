//! The names of units: what `linux.cgroupsPath` asks for, and where systemd puts it. Pure.

use std::path::{Path, PathBuf};

use crate::error::ConfigError;
use crate::plan::Pointer;

pub(super) const CGROUPS_PATH: Pointer = Pointer::of("/linux/cgroupsPath");
const SLICE: &str = ".slice";
const SCOPE: &str = ".scope";

/// The unit that a container gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Its name.
    pub(super) unit: String,
    /// The slice that it lies in; for a slice that follows from its own name.
    pub(super) slice: String,
}

impl Wanted {
    /// Reads `slice:prefix:name`; without it, the name is the container's.
    ///
    /// An empty slice is the usual one. A name that ends in `.slice` is that slice itself, else the unit is
    /// `prefix-name.scope`, or `name.scope` if the prefix is empty.
    pub(super) fn parse(path: Option<&Path>, id: &str, user: bool) -> Result<Self, ConfigError> {
        let usual = if user { "user.slice" } else { "system.slice" };
        let path = path.filter(|path| !path.as_os_str().is_empty());
        let Some(path) = path else {
            // A container's name may have this letter, which a unit's name has to escape.
            let unit = format!("runtime-{}{SCOPE}", id.replace('+', "\\x2b"));
            return Ok(Wanted { unit: unit_name(unit)?, slice: usual.into() });
        };
        let text = path.to_string_lossy();
        let [slice, prefix, name] = text.split(':').collect::<Vec<_>>()[..] else {
            return refuse(format!(
                "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got {text:?} instead"
            ));
        };
        if name.is_empty() {
            return refuse(format!("{text:?} has no name after the last colon: the unit is called by it"));
        }
        if name.ends_with(SLICE) {
            return Self::slice(slice, name);
        }
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}-") };
        let slice = if slice.is_empty() { usual } else { slice };
        expand(slice)?;
        Ok(Wanted { unit: unit_name(format!("{prefix}{name}{SCOPE}"))?, slice: slice.into() })
    }

    fn slice(slice: &str, name: &str) -> Result<Self, ConfigError> {
        expand(name)?;
        let parent = parent(name);
        if !slice.is_empty() && slice != parent {
            return refuse(format!(
                "{name:?} can't lie in {slice:?}: by its name, its place is in {parent:?}; leave the slice empty"
            ));
        }
        if name == "-.slice" {
            return refuse(
                "-.slice is the root of all units and can't be a container's: name another slice".into(),
            );
        }
        Ok(Wanted { unit: unit_name(name.into())?, slice: parent })
    }

    pub(super) fn is_slice(&self) -> bool {
        self.unit.ends_with(SLICE)
    }

    /// Where its cgroup lies, below that of systemd.
    pub(super) fn path(&self) -> PathBuf {
        // The names were checked when they were read.
        match self.is_slice() {
            true => expand(&self.unit).unwrap_or_default(),
            false => expand(&self.slice).unwrap_or_default().join(&self.unit),
        }
    }
}

fn refuse<T>(problem: String) -> Result<T, ConfigError> {
    Err(ConfigError::new(CGROUPS_PATH, problem))
}

/// A name that systemd takes.
fn unit_name(name: String) -> Result<String, ConfigError> {
    const LONGEST: usize = 255;
    let fits = |letter: char| letter.is_ascii_alphanumeric() || ":-_.\\@".contains(letter);
    if name.len() > LONGEST {
        return refuse(format!("the unit {name:?} has a name of more than {LONGEST} letters"));
    }
    match name.chars().find(|letter| !fits(*letter)) {
        Some(odd) => refuse(format!(
            "the unit {name:?} has {odd:?} in its name: letters, digits and - _ . : \\ @ are allowed"
        )),
        None => Ok(name),
    }
}

/// Where a slice's cgroup lies: `a-b.slice` in `a.slice/a-b.slice`, and `-.slice` at the top.
fn expand(slice: &str) -> Result<PathBuf, ConfigError> {
    unit_name(slice.into())?;
    let Some(name) = slice.strip_suffix(SLICE).filter(|name| !name.is_empty()) else {
        return refuse(format!("{slice:?} is no slice: its name must end in {SLICE:?}"));
    };
    if name == "-" {
        return Ok(PathBuf::new());
    }
    if name.split('-').any(str::is_empty) {
        return refuse(format!("{slice:?} is no slice: each dash in its name stands between two names"));
    }
    let ends = name.match_indices('-').map(|(end, _)| end).chain([name.len()]);
    Ok(ends.filter_map(|end| name.get(..end)).map(|name| format!("{name}{SLICE}")).collect())
}

/// The slice that a slice lies in.
fn parent(slice: &str) -> String {
    let name = slice.strip_suffix(SLICE).unwrap_or(slice);
    format!("{}{SLICE}", name.rsplit_once('-').map_or("-", |(parent, _)| parent))
}

/// The object that stands for a unit.
pub(super) fn object(unit: &str) -> String {
    let escape = |byte: u8| match byte {
        b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => char::from(byte).to_string(),
        other => format!("_{other:02x}"),
    };
    let first_digit = unit.bytes().next().filter(u8::is_ascii_digit);
    let rest = unit.bytes().skip(first_digit.iter().len()).map(escape);
    let name: String = first_digit.map(|digit| format!("_{digit:02x}")).into_iter().chain(rest).collect();
    format!("/org/freedesktop/systemd1/unit/{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(path: &str) -> Result<(String, String, String), String> {
        let wanted = Wanted::parse(Some(Path::new(path)), "ID", false).map_err(|error| {
            assert_eq!(error.pointer, CGROUPS_PATH);
            error.problem
        })?;
        let path = wanted.path().display().to_string();
        Ok((wanted.unit, wanted.slice, path))
    }

    #[test]
    fn slice_prefix_and_name() {
        for (path, unit, slice, place) in [
            ("a.slice:p:n", "p-n.scope", "a.slice", "a.slice/p-n.scope"),
            (":p:n", "p-n.scope", "system.slice", "system.slice/p-n.scope"),
            ("::n", "n.scope", "system.slice", "system.slice/n.scope"),
            ("-.slice:p:n", "p-n.scope", "-.slice", "p-n.scope"),
            ("a-b-c.slice:p:n", "p-n.scope", "a-b-c.slice", "a.slice/a-b.slice/a-b-c.slice/p-n.scope"),
            ("a.slice::a-b.slice", "a-b.slice", "a.slice", "a.slice/a-b.slice"),
            (":p:b.slice", "b.slice", "-.slice", "b.slice"),
            ("-.slice:p:b.slice", "b.slice", "-.slice", "b.slice"),
            (":p:n.scope", "p-n.scope.scope", "system.slice", "system.slice/p-n.scope.scope"),
        ] {
            assert_eq!(parse(path), Ok((unit.into(), slice.into(), place.into())), "{path}");
        }
    }

    #[test]
    fn without_a_path_the_container_gives_the_name() {
        for (id, user, unit, slice) in [
            ("a.b_c-1", false, "runtime-a.b_c-1.scope", "system.slice"),
            ("a+b", true, "runtime-a\\x2bb.scope", "user.slice"),
        ] {
            let wanted = Wanted::parse(None, id, user).unwrap();
            assert_eq!((wanted.unit.as_str(), wanted.slice.as_str()), (unit, slice));
            assert_eq!(Wanted::parse(Some(Path::new("")), id, user).unwrap(), wanted);
        }
        assert!(Wanted::parse(None, &"a".repeat(250), false).is_err(), "with the rest it is too long");
    }

    #[test]
    fn other_paths_are_refused_and_the_sentence_says_why() {
        for (path, why) in [
            ("/a/b", "format \"slice:prefix:name\""),
            ("a:b", "format \"slice:prefix:name\""),
            ("a.slice:b:c:d", "format \"slice:prefix:name\""),
            ("a.slice:b:", "no name"),
            ("a:b:c", "must end in"),
            (".slice:b:c", "must end in"),
            ("a--b.slice:p:n", "each dash"),
            ("-a.slice:p:n", "each dash"),
            ("a-.slice:p:n", "each dash"),
            ("../x.slice:p:n", "letters, digits"),
            ("a.slice:p:../n", "letters, digits"),
            ("a.slice:p q:n", "letters, digits"),
            ("a.slice:p:b.slice", "by its name"),
            ("::-.slice", "root of all units"),
            ("::a--b.slice", "each dash"),
        ] {
            let problem = parse(path).unwrap_err();
            assert!(problem.contains(why), "{path}: {problem}");
        }
        assert!(parse(&format!("::{}", "n".repeat(250))).unwrap_err().contains("255 letters"));
    }

    #[test]
    fn objects_have_the_units_escaped_names() {
        for (unit, object_name) in [("a-b.scope", "a_2db_2escope"), ("1a1.scope", "_31a1_2escope")] {
            assert_eq!(object(unit), format!("/org/freedesktop/systemd1/unit/{object_name}"));
        }
    }
}
