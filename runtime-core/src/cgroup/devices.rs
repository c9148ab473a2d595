//! Which devices a container may make and open. Pure.

use std::fmt;

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};

use crate::error::ConfigError;
use crate::plan::Pointer;

/// Making a node, reading, writing; the numbers are the kernel's.
pub(super) const MAKE: u8 = 1;
/// See [`MAKE`].
pub(super) const READ: u8 = 2;
/// See [`MAKE`].
pub(super) const WRITE: u8 = 4;
/// All of them.
pub(super) const ANY: u8 = MAKE | READ | WRITE;

/// Which devices a container may make and open.
///
/// Each of making, reading and writing is decided by the last rule that names it and fits the device. What no rule
/// decides is denied.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceRules {
    rules: Vec<Rule>,
}

/// One rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) allow: bool,
    /// `None` for both kinds.
    pub(super) kind: Option<Kind>,
    /// `None` for any.
    pub(super) major: Option<u32>,
    /// `None` for any.
    pub(super) minor: Option<u32>,
    /// [`MAKE`], [`READ`], [`WRITE`].
    pub(super) access: u8,
}

/// A kind of device; the numbers are the kernel's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Block = 1,
    Character = 2,
}

/// What every container may do, whatever the rules before say: make nodes, which gives no access to the devices, and
/// use the devices that are in each `/dev`. The last one is the TUN device, which VPN clients in containers rely on.
#[rustfmt::skip]
const DEFAULTS: [Rule; 11] = [
    device(Kind::Character, None, None, MAKE),
    device(Kind::Block, None, None, MAKE),
    device(Kind::Character, Some(1), Some(3), ANY), // null
    device(Kind::Character, Some(1), Some(5), ANY), // zero
    device(Kind::Character, Some(1), Some(7), ANY), // full
    device(Kind::Character, Some(1), Some(8), ANY), // random
    device(Kind::Character, Some(1), Some(9), ANY), // urandom
    device(Kind::Character, Some(5), Some(0), ANY), // tty
    device(Kind::Character, Some(5), Some(2), ANY), // ptmx
    device(Kind::Character, Some(136), None, ANY), // pts/*
    device(Kind::Character, Some(10), Some(200), ANY), // net/tun
];

const fn device(kind: Kind, major: Option<u32>, minor: Option<u32>, access: u8) -> Rule {
    Rule { allow: true, kind: Some(kind), major, minor, access }
}

impl DeviceRules {
    /// The rules of config.json and then those for the devices that every container has. `at` points to the list.
    pub(super) fn new(wanted: &[LinuxDeviceCgroup], at: &Pointer) -> Result<Self, ConfigError> {
        let numbered = wanted.iter().enumerate();
        let wanted = numbered.map(|(number, rule)| Rule::new(rule, &at.child(number)));
        let rules = wanted.chain(DEFAULTS.into_iter().map(Ok)).collect::<Result<Vec<_>, _>>()?;
        Ok(DeviceRules::from_rules(rules))
    }

    /// Drops what a later rule about everything makes moot.
    pub(super) fn from_rules(mut rules: Vec<Rule>) -> Self {
        let moot = rules.iter().rposition(Rule::is_about_everything).unwrap_or(0);
        DeviceRules { rules: rules.split_off(moot) }
    }

    pub(super) fn rules(&self) -> &[Rule] {
        &self.rules
    }

    /// Whether nothing is denied, so that there is nothing to enforce.
    pub fn allow_everything(&self) -> bool {
        self.rules.first().is_some_and(Rule::is_about_everything) && self.rules.iter().all(|rule| rule.allow)
    }
}

impl Rule {
    fn new(wanted: &LinuxDeviceCgroup, at: &Pointer) -> Result<Self, ConfigError> {
        let kind = match wanted.typ().unwrap_or(LinuxDeviceType::A) {
            LinuxDeviceType::A => None,
            LinuxDeviceType::B => Some(Kind::Block),
            LinuxDeviceType::C | LinuxDeviceType::U => Some(Kind::Character),
            LinuxDeviceType::P => {
                return Err(ConfigError::new(at.child("type"), "a fifo is no device: use a, b or c"));
            }
        };
        Ok(Rule {
            allow: wanted.allow(),
            kind,
            major: number(wanted.major(), &at.child("major"))?,
            minor: number(wanted.minor(), &at.child("minor"))?,
            access: access(wanted.access().as_deref(), &at.child("access"))?,
        })
    }

    pub(super) fn is_about_everything(&self) -> bool {
        self.kind.is_none() && self.major.is_none() && self.minor.is_none() && self.access == ANY
    }

    /// Whether this one is about every device that `other` is about.
    pub(super) fn covers(&self, other: &Rule) -> bool {
        (self.kind.is_none() || self.kind == other.kind)
            && (self.major.is_none() || self.major == other.major)
            && (self.minor.is_none() || self.minor == other.minor)
    }

    /// Whether some device is concerned by both.
    pub(super) fn meets(&self, other: &Rule) -> bool {
        fn meet<T: PartialEq>(one: Option<T>, other: Option<T>) -> bool {
            one.is_none() || other.is_none() || one == other
        }
        meet(self.kind, other.kind) && meet(self.major, other.major) && meet(self.minor, other.minor)
    }
}

/// Numbers fit a signed 32-bit operand of eBPF; the kernel's own have 12 and 20 bits.
fn number(wanted: Option<i64>, at: &Pointer) -> Result<Option<u32>, ConfigError> {
    match wanted {
        None | Some(-1) => Ok(None),
        Some(number) => match i32::try_from(number).ok().and_then(|number| u32::try_from(number).ok()) {
            Some(number) => Ok(Some(number)),
            None => Err(ConfigError::new(
                at.clone(),
                format!("{number} is no device number: leave it out, or use -1, for any"),
            )),
        },
    }
}

fn access(wanted: Option<&str>, at: &Pointer) -> Result<u8, ConfigError> {
    let letters = wanted.filter(|letters| !letters.is_empty()).unwrap_or("rwm");
    letters.chars().try_fold(0, |access, letter| match letter {
        'm' => Ok(access | MAKE),
        'r' => Ok(access | READ),
        'w' => Ok(access | WRITE),
        _ => Err(ConfigError::new(at.clone(), format!("{letters:?} has other letters than r, w and m"))),
    })
}

impl fmt::Display for Rule {
    /// As version 1 writes it: `c 1:3 rwm`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            None => 'a',
            Some(Kind::Block) => 'b',
            Some(Kind::Character) => 'c',
        };
        let number = |number: Option<u32>| number.map_or("*".into(), |number| number.to_string());
        write!(f, "{kind} {}:{} ", number(self.major), number(self.minor))?;
        let letters = [(READ, "r"), (WRITE, "w"), (MAKE, "m")];
        letters
            .iter()
            .filter(|(bit, _)| self.access & bit != 0)
            .try_for_each(|(_, letter)| f.write_str(letter))
    }
}

impl fmt::Display for DeviceRules {
    /// `deny all; allow c 1:3 rwm; …`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.rules.first().filter(|rule| rule.is_about_everything());
        f.write_str(if first.is_some_and(|rule| rule.allow) { "allow all" } else { "deny all" })?;
        for rule in self.rules.iter().skip(first.iter().len()) {
            write!(f, "; {} {rule}", if rule.allow { "allow" } else { "deny" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod reference {
    use super::*;

    /// A plain reading of the rules, to compare programs with.
    pub(in super::super) fn allowed(rules: &[Rule], kind: Kind, major: u32, minor: u32, access: u8) -> bool {
        let device = Rule { allow: true, kind: Some(kind), major: Some(major), minor: Some(minor), access };
        [MAKE, READ, WRITE].into_iter().filter(|bit| access & bit != 0).all(|bit| {
            let mut last = rules.iter().rev();
            last.find(|rule| rule.access & bit != 0 && rule.covers(&device)).is_some_and(|rule| rule.allow)
        })
    }

    /// Small numbers that are the same on every run, from a linear congruence.
    pub(in super::super) struct Dice(pub(in super::super) u64);

    impl Dice {
        pub(in super::super) fn roll(&mut self, sides: u64) -> u64 {
            self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 33) % sides
        }

        pub(in super::super) fn kind(&mut self) -> Kind {
            if self.roll(2) == 0 { Kind::Block } else { Kind::Character }
        }

        fn number(&mut self) -> Option<u32> {
            (self.roll(3) > 0).then(|| self.roll(3) as u32)
        }

        pub(in super::super) fn rules(&mut self) -> Vec<Rule> {
            let count = self.roll(9);
            let mut rule = || Rule {
                allow: self.roll(2) == 0,
                kind: (self.roll(4) > 0).then(|| self.kind()),
                major: self.number(),
                minor: self.number(),
                access: self.roll(7) as u8 + 1,
            };
            (0..count).map(|_| rule()).collect()
        }

        /// A kind, major, minor and access.
        pub(in super::super) fn request(&mut self) -> (Kind, u32, u32, u8) {
            (self.kind(), self.roll(3) as u32, self.roll(3) as u32, self.roll(7) as u8 + 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::reference::*;
    use super::*;

    fn rules(json: &str) -> Result<DeviceRules, ConfigError> {
        DeviceRules::new(&serde_json::from_str::<Vec<_>>(json).unwrap(), &Pointer::of("/d"))
    }

    #[test]
    fn defaults_survive_a_leading_denial() {
        let rules = rules(r#"[{"allow":false,"access":"rwm"}]"#).unwrap();
        assert_eq!(
            rules.to_string(),
            "deny all; allow c *:* m; allow b *:* m; allow c 1:3 rwm; allow c 1:5 rwm; allow c 1:7 rwm; \
             allow c 1:8 rwm; allow c 1:9 rwm; allow c 5:0 rwm; allow c 5:2 rwm; allow c 136:* rwm; \
             allow c 10:200 rwm"
        );
        assert_eq!(rules.rules().len(), 12);
    }

    #[test]
    fn without_rules_all_but_the_defaults_is_denied() {
        let rules = rules("[]").unwrap();
        assert!(rules.to_string().starts_with("deny all; allow c *:* m; "));
        assert!(!rules.allow_everything());
    }

    #[test]
    fn rules_are_read() {
        for (json, text) in [
            (r#"{"allow":true,"type":"c","major":4,"access":"w"}"#, "deny all; allow c 4:* w; "),
            (r#"{"allow":true,"type":"u","major":-1,"minor":4}"#, "deny all; allow c *:4 rwm; "),
            (r#"{"allow":false,"type":"b","major":8,"minor":0,"access":"mr"}"#, "deny all; deny b 8:0 rm; "),
            (r#"{"allow":true,"type":"a"}"#, "allow all; "),
            (r#"{"allow":true,"type":"a","major":4,"access":""}"#, "deny all; allow a 4:* rwm; "),
        ] {
            let rules = rules(&format!("[{json}]")).unwrap().to_string();
            assert!(rules.starts_with(text), "{json} {rules}");
        }
    }

    #[test]
    fn odd_rules_are_refused() {
        for (json, pointer) in [
            (r#"{"allow":true,"type":"p"}"#, "/d/0/type"),
            (r#"{"allow":true,"major":-2}"#, "/d/0/major"),
            (r#"{"allow":true,"minor":2147483648}"#, "/d/0/minor"),
            (r#"{"allow":true,"access":"rx"}"#, "/d/0/access"),
        ] {
            assert_eq!(rules(&format!("[{json}]")).unwrap_err().pointer.as_str(), pointer);
        }
    }

    #[test]
    fn allowing_everything() {
        for (json, everything) in [
            (r#"[{"allow":false},{"allow":true}]"#, true),
            (r#"[{"allow":true},{"allow":false}]"#, false),
            (r#"[{"allow":true},{"allow":false,"type":"b","major":8}]"#, false),
            (r#"[{"allow":true,"access":"rw"}]"#, false),
        ] {
            assert_eq!(rules(json).unwrap().allow_everything(), everything, "{json}");
        }
    }

    #[test]
    fn dropping_moot_rules_changes_nothing() {
        let mut dice = Dice(1);
        for _ in 0..2000 {
            let mut rules = dice.rules();
            rules.insert(
                dice.roll(rules.len() as u64 + 1) as usize,
                Rule { allow: dice.roll(2) == 0, kind: None, major: None, minor: None, access: ANY },
            );
            let kept = DeviceRules::from_rules(rules.clone());
            for _ in 0..20 {
                let (kind, major, minor, access) = dice.request();
                assert_eq!(
                    allowed(&rules, kind, major, minor, access),
                    allowed(kept.rules(), kind, major, minor, access)
                );
            }
        }
    }
}
