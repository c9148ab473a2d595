//! Mount options (config.md, "Linux mount options"), as what they do.

use oci_spec::runtime::Mount;

use super::rootfs::propagation;
use super::{AttributeChange, Pointer};
use crate::error::ConfigError;
use crate::step::Propagation;

/// The options of one mount.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Options {
    /// `bind` or `rbind`, and whether it is the latter.
    pub(super) bind: Option<bool>,
    /// `remount`: change what is mounted there.
    pub(super) remount: bool,
    /// Attributes of the mount itself.
    pub(super) flat: Attributes,
    /// Attributes of the mount and of all below.
    pub(super) deep: Attributes,
    /// Propagation changes, in order.
    pub(super) propagation: Vec<Propagation>,
    /// `tmpcopyup`.
    pub(super) copy_up: bool,
    /// `idmap` or `ridmap`, and whether it is the latter.
    pub(super) mapped: Option<bool>,
    /// `MS_*` flags of the file system instance: `sync`, `dirsync`, `mand`, `lazytime`.
    pub(super) instance: u64,
    /// What is left for the file system, with the place of each.
    pub(super) data: Vec<(Pointer, String)>,
}

/// Attribute bits to set and to clear; the later of two contradicting options wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Attributes {
    pub(super) set: u64,
    pub(super) clear: u64,
}

impl Attributes {
    fn put(&mut self, bits: u64) {
        self.set |= bits;
        self.clear &= !bits;
    }

    fn take(&mut self, bits: u64) {
        self.clear |= bits;
        self.set &= !bits;
    }

    /// Access times are one field of several bits: it is cleared first.
    fn put_access_time(&mut self, kind: u64) {
        self.take(libc::MOUNT_ATTR__ATIME);
        self.set |= kind;
    }

    /// The change that this makes, if any.
    pub(super) fn change(self, recursive: bool) -> Option<AttributeChange> {
        let Attributes { set, clear } = self;
        (set | clear != 0).then_some(AttributeChange { set, clear, recursive })
    }
}

/// Options that set or clear attribute bits; with `r` in front they go down the tree.
const ATTRIBUTES: [(&str, &str, u64); 6] = [
    ("ro", "rw", libc::MOUNT_ATTR_RDONLY),
    ("nosuid", "suid", libc::MOUNT_ATTR_NOSUID),
    ("nodev", "dev", libc::MOUNT_ATTR_NODEV),
    ("noexec", "exec", libc::MOUNT_ATTR_NOEXEC),
    ("nodiratime", "diratime", libc::MOUNT_ATTR_NODIRATIME),
    ("nosymfollow", "symfollow", libc::MOUNT_ATTR_NOSYMFOLLOW),
];

/// Options about access times, and what they make of the field. Without any, the kernel's own default is `relatime`.
const ACCESS_TIMES: [(&str, u64); 6] = [
    ("noatime", libc::MOUNT_ATTR_NOATIME),
    ("atime", libc::MOUNT_ATTR_RELATIME),
    ("relatime", libc::MOUNT_ATTR_RELATIME),
    ("norelatime", libc::MOUNT_ATTR_RELATIME),
    ("strictatime", libc::MOUNT_ATTR_STRICTATIME),
    ("nostrictatime", libc::MOUNT_ATTR_RELATIME),
];

/// Options of the file system instance, with their opposites.
const INSTANCE: [(&str, &str, u64); 5] = [
    ("sync", "async", libc::MS_SYNCHRONOUS),
    ("dirsync", "nodirsync", libc::MS_DIRSYNC),
    ("mand", "nomand", libc::MS_MANDLOCK),
    ("lazytime", "nolazytime", MS_LAZYTIME),
    ("iversion", "noiversion", libc::MS_I_VERSION),
];

/// `libc` lacks these two.
const MS_LAZYTIME: u64 = 1 << 25;
const MS_NOSYMFOLLOW: u64 = 1 << 8;

/// Attributes of a mount as `MS_*` flags.
pub(super) fn mount_flags(attributes: u64) -> u64 {
    let flags = [
        (libc::MOUNT_ATTR_RDONLY, libc::MS_RDONLY),
        (libc::MOUNT_ATTR_NOSUID, libc::MS_NOSUID),
        (libc::MOUNT_ATTR_NODEV, libc::MS_NODEV),
        (libc::MOUNT_ATTR_NOEXEC, libc::MS_NOEXEC),
        (libc::MOUNT_ATTR_NODIRATIME, libc::MS_NODIRATIME),
        (libc::MOUNT_ATTR_NOSYMFOLLOW, MS_NOSYMFOLLOW),
        (libc::MOUNT_ATTR_NOATIME, libc::MS_NOATIME),
        (libc::MOUNT_ATTR_STRICTATIME, libc::MS_STRICTATIME),
    ];
    flags
        .into_iter()
        .filter(|(attribute, _)| attributes & attribute != 0)
        .fold(0, |all, (_, flag)| all | flag)
}

/// Options that ask for what happens anyway.
const DEFAULTS: [&str; 3] = ["defaults", "silent", "loud"];

/// Options that stand for themselves.
const SPECIAL: [&str; 6] = ["bind", "rbind", "remount", "tmpcopyup", "idmap", "ridmap"];

/// All words that are options of mounts, and not of file systems, sorted.
pub(crate) fn names() -> Vec<String> {
    let attributes = ATTRIBUTES.iter().flat_map(|(on, off, _)| [*on, *off]);
    let flat: Vec<_> = attributes.chain(ACCESS_TIMES.iter().map(|(name, _)| *name)).collect();
    let deep = flat.iter().map(|name| format!("r{name}"));
    let instance = INSTANCE.iter().flat_map(|(on, off, _)| [*on, *off]);
    let propagation = (1..).map_while(Propagation::from_code).map(Propagation::word);
    let single = SPECIAL.into_iter().chain(DEFAULTS).chain(instance).chain(propagation);
    let mut names: Vec<String> = single.chain(flat.iter().copied()).map(str::to_owned).chain(deep).collect();
    names.sort_unstable();
    names
}

impl Options {
    /// Reads the options of a mount.
    pub(super) fn of(mount: &Mount, origin: &Pointer) -> Result<Self, ConfigError> {
        let mut options = Options::default();
        let origin = origin.child("options");
        for (index, word) in mount.options().iter().flatten().enumerate() {
            if !options.take(word) {
                options.data.push((origin.child(index), word.clone()));
            }
        }
        if mount.typ().as_deref() == Some("bind") && options.bind.is_none() {
            options.bind = Some(false);
        }
        match (options.bind, options.data.first()) {
            (Some(_), Some((place, word))) => Err(ConfigError::new(
                place.clone(),
                format!(
                    "bind mounts cannot have any filesystem-specific options applied: {word:?} is not a mount option"
                ),
            )),
            _ => Ok(options),
        }
    }

    /// Whether the word is an option of mounts; then it is done.
    fn take(&mut self, word: &str) -> bool {
        match word {
            "bind" => self.bind = Some(self.bind.unwrap_or(false)),
            "rbind" => self.bind = Some(true),
            "remount" => self.remount = true,
            "tmpcopyup" => self.copy_up = true,
            "idmap" => self.mapped = Some(false),
            "ridmap" => self.mapped = Some(true),
            word if DEFAULTS.contains(&word) => {}
            word => {
                return self.take_propagation(word) || self.take_instance(word) || self.take_attribute(word);
            }
        }
        true
    }

    fn take_propagation(&mut self, word: &str) -> bool {
        let change = propagation(word);
        self.propagation.extend(change);
        change.is_some()
    }

    fn take_instance(&mut self, word: &str) -> bool {
        let Some((on, _, flag)) = INSTANCE.iter().find(|(on, off, _)| word == *on || word == *off) else {
            return false;
        };
        if word == *on {
            self.instance |= flag
        } else {
            self.instance &= !flag
        }
        true
    }

    /// The file system's parameters, as it reads them.
    pub(super) fn data(&self) -> String {
        let words: Vec<&str> = self.data.iter().map(|(_, word)| word.as_str()).collect();
        words.join(",")
    }

    fn take_attribute(&mut self, word: &str) -> bool {
        apply(&mut self.flat, word) || word.strip_prefix('r').is_some_and(|word| apply(&mut self.deep, word))
    }
}

fn apply(attributes: &mut Attributes, word: &str) -> bool {
    if let Some((_, kind)) = ACCESS_TIMES.iter().find(|(name, _)| *name == word) {
        attributes.put_access_time(*kind);
        return true;
    }
    let Some((on, _, bits)) = ATTRIBUTES.iter().find(|(on, off, _)| word == *on || word == *off) else {
        return false;
    };
    if word == *on {
        attributes.put(*bits)
    } else {
        attributes.take(*bits)
    }
    true
}

#[cfg(test)]
mod tests {
    use oci_spec::runtime::MountBuilder;

    use super::*;

    fn parse(words: &[&str]) -> Result<Options, ConfigError> {
        let words: Vec<String> = words.iter().map(ToString::to_string).collect();
        let mount = MountBuilder::default().destination("/x").typ("tmpfs").options(words).build().unwrap();
        Options::of(&mount, &Pointer::of("/mounts/0"))
    }

    #[test]
    fn the_later_of_two_contradicting_options_wins() {
        let rw = parse(&["ro", "rw"]).unwrap().flat;
        assert_eq!((rw.set, rw.clear), (0, libc::MOUNT_ATTR_RDONLY));
        let ro = parse(&["rw", "ro"]).unwrap().flat;
        assert_eq!((ro.set, ro.clear), (libc::MOUNT_ATTR_RDONLY, 0));
    }

    #[test]
    fn every_option_of_the_specification_is_known() {
        let words = "async atime bind defaults dev diratime dirsync exec iversion lazytime loud mand noatime nodev \
            nodiratime noexec noiversion nolazytime nomand norelatime nostrictatime nosuid nosymfollow private ratime \
            rbind rdev rdiratime relatime remount rexec rnoatime rnodev rnodiratime rnoexec rnorelatime \
            rnostrictatime rnosuid rnosymfollow ro rprivate rrelatime rro rrw rshared rslave rstrictatime rsuid \
            rsymfollow runbindable rw shared silent slave strictatime suid symfollow sync tmpcopyup unbindable idmap \
            ridmap";
        for word in words.split_whitespace() {
            assert_eq!(parse(&[word]).unwrap().data, [], "{word}");
        }
    }

    #[test]
    fn the_names_are_those_that_are_known() {
        let names = names();
        for name in &names {
            assert_eq!(parse(&[name]).unwrap().data, [], "{name}");
        }
        let words = "async atime bind defaults dev diratime dirsync exec iversion lazytime loud mand noatime nodev \
            nosymfollow private ratime rbind rro rrw rshared silent suid sync tmpcopyup unbindable idmap ridmap";
        for word in words.split_whitespace() {
            assert!(names.iter().any(|name| name == word), "{word}");
        }
        assert!(names.is_sorted_by(|one, next| one < next), "each once: {names:?}");
    }

    #[test]
    fn recursive_options_stay_apart_from_flat_ones() {
        let options = parse(&["rro", "nosuid", "rnoatime"]).unwrap();
        assert_eq!(options.flat.set, libc::MOUNT_ATTR_NOSUID);
        assert_eq!(options.deep.set, libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOATIME);
        assert_eq!(options.deep.clear, libc::MOUNT_ATTR__ATIME);
    }

    #[test]
    fn access_times_are_one_field() {
        let options = parse(&["noatime", "strictatime"]).unwrap();
        assert_eq!(options.flat.set, libc::MOUNT_ATTR_STRICTATIME);
    }

    #[test]
    fn a_bind_mount_takes_no_data_and_says_which() {
        let error = parse(&["bind", "size=1m"]).unwrap_err();
        assert_eq!(error.pointer.as_str(), "/mounts/0/options/1");
    }

    #[test]
    fn what_is_not_an_option_of_mounts_goes_to_the_file_system() {
        assert_eq!(parse(&["mode=755", "newinstance"]).unwrap().data.len(), 2);
    }
}
