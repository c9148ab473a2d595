//! Lists of processors, as `0-3,7` (config.md, `execCPUAffinity`).

use std::fmt;
use std::ops::RangeInclusive;

use super::Pointer;
use crate::error::ConfigError;
use crate::spec::Spec;

/// A list of processors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cpus {
    text: String,
    ranges: Vec<RangeInclusive<usize>>,
}

impl Cpus {
    /// Reads a list.
    ///
    /// # Errors
    /// It isn't one.
    pub(super) fn parse(origin: &Pointer, text: &str) -> Result<Self, ConfigError> {
        let ranges = ranges(text).ok_or_else(|| {
            ConfigError::new(origin.clone(), format!("{text:?} is no list of processors such as 0-3,7"))
        })?;
        Ok(Cpus { text: text.to_owned(), ranges })
    }

    /// The processors, as far as the kernel's sets reach that are below `end`.
    pub(crate) fn below(&self, end: usize) -> impl Iterator<Item = usize> {
        self.ranges.iter().flat_map(move |range| *range.start()..(*range.end()).saturating_add(1).min(end))
    }
}

/// Where a further process of a container runs, with the fields that say so.
#[derive(Debug, Default)]
pub(super) struct Affinity {
    /// Before it is in the container's cgroup.
    pub(super) initial: Option<(Pointer, Cpus)>,
    /// From then on.
    pub(super) last: Option<(Pointer, Cpus)>,
}

impl Affinity {
    /// Whether any processors are named.
    pub(super) fn is_chosen(&self) -> bool {
        self.initial.is_some() || self.last.is_some()
    }

    pub(super) fn of(spec: &Spec) -> Result<Self, ConfigError> {
        let process = spec.oci().process().as_ref();
        let Some(wanted) = process.and_then(|process| process.exec_cpu_affinity().as_ref()) else {
            return Ok(Affinity::default());
        };
        let cpus = |name: &str, text: &Option<String>| {
            let origin = Pointer::of("/process/execCPUAffinity").child(name);
            text.as_ref().map(|text| Ok((origin.clone(), Cpus::parse(&origin, text)?))).transpose()
        };
        Ok(Affinity {
            initial: cpus("initial", wanted.initial())?,
            last: cpus("final", wanted.cpu_affinity_final())?,
        })
    }
}

/// A list such as `0-3,7`.
pub(super) fn ranges(text: &str) -> Option<Vec<RangeInclusive<usize>>> {
    text.split(',').map(range).collect()
}

fn range(text: &str) -> Option<RangeInclusive<usize>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first <= last).then_some(first..=last)
}

impl fmt::Display for Cpus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read() {
        let cpus = |text| Cpus::parse(&Pointer::NONE, text).map(|cpus| cpus.below(64).collect::<Vec<_>>());
        assert_eq!(cpus("0-2,7").unwrap(), [0, 1, 2, 7]);
        assert_eq!(cpus("5").unwrap(), [5]);
        assert_eq!(cpus("62-18446744073709551615").unwrap(), [62, 63]);
        for bad in ["", "3-1", "a", "1,", "-1"] {
            assert!(cpus(bad).is_err(), "{bad}");
        }
    }
}
