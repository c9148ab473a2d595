//! Device rules as version 1 has them: one answer for all devices, and exceptions from it. Pure.

use super::devices::{ANY, DeviceRules, Kind, Rule};

/// What is written to the files of the devices controller, in order: the file and the line.
///
/// # Errors
/// A sentence about the rule that can't be expressed: version 1 can't make an exception from an exception.
pub(super) fn writes(rules: &DeviceRules) -> Result<Vec<(&'static str, String)>, String> {
    let state = State::after(rules)?;
    let (all, exception) = if state.allow { (ALLOW, DENY) } else { (DENY, ALLOW) };
    let lines = state.exceptions.iter().map(|each| (exception, each.to_string()));
    Ok(std::iter::once((all, "a".into())).chain(lines).collect())
}

/// What is allowed where everything else is denied. `None` if it is the other way round, or can't be said like that.
pub(super) fn exceptions(rules: &DeviceRules) -> Option<Vec<Rule>> {
    State::after(rules).ok().filter(|state| !state.allow).map(|state| state.exceptions)
}

const ALLOW: &str = "devices.allow";
const DENY: &str = "devices.deny";

struct State {
    allow: bool,
    exceptions: Vec<Rule>,
}

impl State {
    fn after(rules: &DeviceRules) -> Result<Self, String> {
        let mut state = State { allow: false, exceptions: Vec::new() };
        rules.rules().iter().flat_map(State::kinds).try_for_each(|rule| state.apply(rule))?;
        Ok(state)
    }

    /// The kernel takes `a` for everything, whatever follows it.
    fn kinds(rule: &Rule) -> Vec<Rule> {
        match rule.kind {
            None if !rule.is_about_everything() => {
                [Kind::Block, Kind::Character].map(|kind| Rule { kind: Some(kind), ..*rule }).into()
            }
            _ => vec![*rule],
        }
    }

    fn apply(&mut self, rule: Rule) -> Result<(), String> {
        if rule.is_about_everything() {
            *self = State { allow: rule.allow, exceptions: Vec::new() };
        } else if rule.allow == self.allow {
            self.take_back(rule)?;
        } else {
            self.except(rule);
        }
        Ok(())
    }

    /// One exception must grant a whole request, and so each includes what wider ones grant.
    fn except(&mut self, mut rule: Rule) {
        for each in &mut self.exceptions {
            if rule.covers(each) {
                each.access |= rule.access;
            } else if each.covers(&rule) {
                rule.access |= each.access;
            }
        }
        match self.exceptions.iter_mut().find(|each| each.covers(&rule) && rule.covers(each)) {
            Some(same) => same.access |= rule.access,
            None => self.exceptions.push(rule),
        }
    }

    fn take_back(&mut self, rule: Rule) -> Result<(), String> {
        for each in &mut self.exceptions {
            if rule.covers(each) {
                each.access &= !rule.access;
            } else if rule.meets(each) && rule.access & each.access != 0 {
                return Err(format!(
                    "{} {rule} is an exception from {each}, which cgroup version 1 can't express: \
                     name the devices one by one, or use a host with cgroup version 2",
                    if rule.allow { "allow" } else { "deny" }
                ));
            }
        }
        self.exceptions.retain(|each| each.access & ANY != 0);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::devices::reference::*;
    use super::super::devices::{MAKE, READ, WRITE};
    use super::*;

    /// The kernel's reading of the files.
    fn kernel(writes: &[(&str, String)], kind: Kind, major: u32, minor: u32, access: u8) -> bool {
        let denies = writes[0] == (ALLOW, "a".to_owned());
        let exceptions = writes[1..].iter().map(|(_, line)| parse(line));
        let device = Rule { allow: true, kind: Some(kind), major: Some(major), minor: Some(minor), access };
        let mut fitting = exceptions.filter(|rule| rule.covers(&device));
        if denies {
            !fitting.any(|rule| rule.access & access != 0)
        } else {
            fitting.any(|rule| access & !rule.access == 0)
        }
    }

    fn parse(line: &str) -> Rule {
        let fields: Vec<&str> = line.split([' ', ':']).collect();
        let number = |text: &str| text.parse().ok();
        let bit = |letter, bit| if fields[3].contains(letter) { bit } else { 0 };
        Rule {
            allow: true,
            kind: Some(if fields[0] == "b" { Kind::Block } else { Kind::Character }),
            major: number(fields[1]),
            minor: number(fields[2]),
            access: bit('r', READ) | bit('w', WRITE) | bit('m', MAKE),
        }
    }

    #[test]
    fn expressible_rules_are_never_weakened_and_single_accesses_are_exact() {
        let mut dice = Dice(7);
        let mut expressible = 0;
        for _ in 0..5000 {
            let rules = DeviceRules::from_rules(dice.rules());
            let Ok(writes) = writes(&rules) else { continue };
            expressible += 1;
            for _ in 0..20 {
                let (kind, major, minor, access) = dice.request();
                let right = allowed(rules.rules(), kind, major, minor, access);
                let kernel = kernel(&writes, kind, major, minor, access);
                assert!(
                    right || !kernel,
                    "{rules} lets {kind:?} {major}:{minor} {access} through: {writes:?}"
                );
                if access.count_ones() == 1 {
                    assert_eq!(right, kernel, "{rules}: {kind:?} {major}:{minor} {access}: {writes:?}");
                }
            }
        }
        assert!(expressible > 1000, "{expressible}");
    }

    fn rule(allow: bool, kind: Option<Kind>, major: Option<u32>, access: u8) -> Rule {
        Rule { allow, kind, major, minor: None, access }
    }

    #[test]
    fn the_usual_rules() {
        let all = rule(false, None, None, ANY);
        let rules = vec![all, rule(true, Some(Kind::Character), None, MAKE), rule(true, None, Some(4), READ)];
        let lines = [(DENY, "a"), (ALLOW, "c *:* m"), (ALLOW, "b 4:* r"), (ALLOW, "c 4:* rm")];
        let lines = lines.map(|(file, line)| (file, line.to_owned()));
        assert_eq!(writes(&DeviceRules::from_rules(rules)).unwrap(), lines);
    }

    #[test]
    fn a_hole_in_a_wildcard_is_refused() {
        let character = Some(Kind::Character);
        let hole = vec![rule(true, character, None, ANY), rule(false, character, Some(4), WRITE)];
        let problem = writes(&DeviceRules::from_rules(hole)).unwrap_err();
        assert!(problem.starts_with("deny c 4:* w is an exception from c *:* rwm"), "{problem}");
        let everything = rule(true, None, None, ANY);
        let from_all = vec![everything, rule(false, character, Some(4), WRITE)];
        assert_eq!(writes(&DeviceRules::from_rules(from_all)).unwrap()[1], (DENY, "c 4:* w".to_owned()));
    }
}
