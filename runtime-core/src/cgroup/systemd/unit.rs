//! What systemd is asked for: a unit, its end, other limits.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::bus::{Bus, Connection, Problem, Result as Answer};
use super::message::{self, Method, SYSTEMD, Writer};
use super::names;
use super::properties::{Property, Value, property};
use crate::error::{Error, Result};
use crate::sys::process::rest;

/// How long systemd may take for one thing.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long nothing may be heard of a job before it is asked for.
const SILENCE: Duration = Duration::from_millis(500);
/// Between two attempts to reach it while it, or its bus, is being restarted.
const PAUSE: Duration = Duration::from_millis(50);

/// The systemd that makes a container's cgroup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manager {
    /// Where it is reached.
    pub bus: Bus,
    /// Its version.
    pub version: u32,
    /// The cgroup below which it makes units, absolute.
    pub cgroup: PathBuf,
}

impl Manager {
    /// Asks systemd what a plan has to know of it.
    ///
    /// # Errors
    /// There is none, or it doesn't answer.
    pub fn reach(bus: Bus) -> Result<Self> {
        let told = ask(&bus, |connection, _| {
            let get = |connection: &mut Connection, name| {
                get(connection, "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", name)
            };
            Ok((get(connection, "Version")?, get(connection, "ControlGroup")?))
        });
        let (version, cgroup) = told.map_err(|problem| unreachable(&bus, &problem))?;
        Ok(Manager { version: number(&version), cgroup: Path::new("/").join(cgroup), bus })
    }

    /// Whether it is a user's own.
    pub fn is_user(&self) -> bool {
        self.bus.is_user()
    }
}

/// `257.13-1~deb13u1` and `v257` are 257.
fn number(version: &str) -> u32 {
    let start = version.find(|letter: char| letter.is_ascii_digit()).unwrap_or(version.len());
    let digits: String = version.chars().skip(start).take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(0)
}

fn unreachable(bus: &Bus, problem: &Problem) -> Error {
    Error::Cgroup(format!(
        "cannot reach systemd, which was asked to make the cgroup, at {}: {problem}; where it doesn't run, leave \
         --systemd-cgroup out",
        bus.addresses().replace(';', " or ")
    ))
}

/// A unit that holds a container's processes, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::cgroup) struct Unit {
    pub(in crate::cgroup) name: String,
    pub(in crate::cgroup) bus: Bus,
    /// Of systemd: which properties it knows.
    pub(in crate::cgroup) version: u32,
}

impl Unit {
    /// Starts it with these properties and this process, and waits until it is there. A slice can hold none at first.
    ///
    /// # Errors
    /// There is a unit of that name already, or systemd won't make it; then [`Refusal::made`] says whether something may
    /// be there all the same.
    pub(in crate::cgroup) fn start(&self, properties: &[Property], pid: u32) -> Result<(), Refusal> {
        let mut properties = properties.to_vec();
        if !self.name.ends_with(".slice") {
            properties.push(property("PIDs", Value::Pids(vec![pid])));
        }
        let started = ask(&self.bus, |connection, again| {
            if again && self.holds(pid) {
                return Ok("done".into());
            }
            self.listen(connection)?;
            let job = match self.begin(connection, &properties) {
                Err(Problem::Refused(name, _)) if name.ends_with(".UnitExists") => {
                    if again && self.holds(pid) {
                        return Ok("done".into());
                    }
                    // It may have failed before, and lie there dead.
                    _ = self.call(connection, "ResetFailedUnit", "s", Writer::default().text(&self.name));
                    self.begin(connection, &properties)
                }
                job => job,
            };
            self.end_of(connection, &job?)
        });
        match started {
            Ok(result) if result == "done" => Ok(()),
            Ok(result) => Err(self.refusal(true, &format!("the job to start it ended with {result:?}"))),
            Err(Problem::Refused(_, text)) => Err(self.refusal(false, &text)),
            Err(problem) => Err(self.refusal(true, &problem.to_string())),
        }
    }

    fn refusal(&self, made: bool, why: &str) -> Refusal {
        let error = Error::Cgroup(format!(
            "systemd can't make the unit {}: {}",
            self.name,
            why.trim_end_matches('.')
        ));
        Refusal { made, error }
    }

    fn begin(&self, connection: &mut Connection, properties: &[Property]) -> Answer<String> {
        let arguments = Writer::default().text(&self.name).text("fail").properties(properties).nothing(8);
        self.job(connection, "StartTransientUnit", "ssa(sv)a(sa(sv))", arguments)
    }

    /// Whether the process is in the unit's cgroup: the kernel knows when systemd can't be asked.
    fn holds(&self, pid: u32) -> bool {
        let text = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        text.lines().any(|line| line.ends_with(&format!("/{}", self.name)))
    }

    /// Stops it, and waits until it is stopped; that it isn't there is no error. Its processes should have ended: systemd
    /// gives them a lot of time.
    ///
    /// # Errors
    /// Systemd doesn't answer, or can't.
    pub(in crate::cgroup) fn stop(&self) -> Result<()> {
        let stopped = ask(&self.bus, |connection, _| {
            self.listen(connection)?;
            let arguments = Writer::default().text(&self.name).text("replace");
            let job = self.job(connection, "StopUnit", "ss", arguments)?;
            self.end_of(connection, &job)?;
            // A unit that failed would stay, and be in the way of the next one with its name.
            match self.call(connection, "ResetFailedUnit", "s", Writer::default().text(&self.name)) {
                Err(Problem::Refused(..)) => Ok(()),
                reset => reset.map(drop),
            }
        });
        match stopped {
            Ok(()) => Ok(()),
            Err(Problem::Refused(name, _)) if name.ends_with(".NoSuchUnit") => Ok(()),
            // Where there is no systemd, there is no unit.
            Err(Problem::Absent(_)) => Ok(()),
            Err(problem) => Err(self.failed("stop", &problem)),
        }
    }

    /// Sets properties of the unit as long as it is there, and waits until they hold.
    ///
    /// # Errors
    /// Systemd doesn't answer, or won't have them.
    pub(in crate::cgroup) fn set(&self, properties: &[Property]) -> Result<()> {
        if properties.is_empty() {
            return Ok(());
        }
        let set = ask(&self.bus, |connection, _| {
            let runtime = 1;
            let arguments = Writer::default().text(&self.name).number(runtime).properties(properties);
            self.call(connection, "SetUnitProperties", "sba(sv)", arguments)?;
            // It answers before it has written its files. Before it hears the next question, it has.
            let object = names::object(&self.name);
            get(connection, &object, "org.freedesktop.systemd1.Unit", "ActiveState").map(drop)
        });
        set.map_err(|problem| self.failed("set properties of", &problem))
    }

    /// Has systemd move a process into the unit: an ordinary user may move none from elsewhere.
    ///
    /// # Errors
    /// Systemd doesn't answer, or won't.
    pub(in crate::cgroup) fn attach(&self, pid: u32) -> Result<()> {
        let attached = ask(&self.bus, |connection, _| {
            let pids = Value::Pids(vec![pid]);
            let arguments = Writer::default().text(&self.name).text("").value_of(&pids);
            self.call(connection, "AttachProcessesToUnit", "ssau", arguments).map(drop)
        });
        attached.map_err(|problem| self.failed("put a process into", &problem))
    }

    fn failed(&self, what: &str, problem: &Problem) -> Error {
        Error::Cgroup(format!("cannot {what} the unit {}: {problem}", self.name))
    }

    /// Hears of the ends of this unit's jobs from now on.
    fn listen(&self, connection: &mut Connection) -> Answer<()> {
        // A backslash is itself between apostrophes, and no name has an apostrophe.
        connection.listen(&format!(
            "type='signal',sender='{SYSTEMD}',interface='{SYSTEMD}.Manager',member='JobRemoved',arg2='{}'",
            self.name
        ))?;
        match self.call(connection, "Subscribe", "", Writer::default()) {
            // Systemd itself tells everything to those who talk to it.
            Err(Problem::Refused(..)) => Ok(()),
            subscribed => subscribed.map(drop),
        }
    }

    /// Waits for the end of a job: its result. Systemd, while it is reloaded or its bus is restarted, may forget who
    /// wants to hear of it: where nothing is told, it is asked.
    fn end_of(&self, connection: &mut Connection, job: &str) -> Answer<String> {
        loop {
            if let Some(result) = connection.end_of(job, SILENCE)? {
                return Ok(result);
            }
            match get(connection, job, "org.freedesktop.systemd1.Job", "State") {
                // It ended meanwhile: what is told of that comes before this answer.
                Err(Problem::Refused(..)) => match connection.heard_of(job) {
                    Some(result) => return Ok(result),
                    None => return self.untold(connection),
                },
                still_there => drop(still_there?),
            }
        }
    }

    /// The result of a job that ended, from what the unit is now.
    fn untold(&self, connection: &mut Connection) -> Answer<String> {
        let object = names::object(&self.name);
        match get(connection, &object, "org.freedesktop.systemd1.Unit", "ActiveState") {
            Ok(state) if state == "active" => Ok("done".into()),
            Ok(state) => Ok(state),
            Err(Problem::Refused(..)) => Ok("inactive".into()),
            Err(problem) => Err(problem),
        }
    }

    fn job(
        &self,
        connection: &mut Connection,
        name: &str,
        signature: &str,
        arguments: Writer,
    ) -> Answer<String> {
        let answer = self.call(connection, name, signature, arguments)?;
        message::text(&answer).ok_or_else(|| Problem::Lost(format!("it gave no answer to {name}")))
    }

    fn call(
        &self,
        connection: &mut Connection,
        name: &str,
        signature: &str,
        arguments: Writer,
    ) -> Answer<Vec<u8>> {
        let method = Method {
            destination: SYSTEMD,
            path: "/org/freedesktop/systemd1",
            interface: "org.freedesktop.systemd1.Manager",
            name,
            signature,
        };
        connection.call(&method, arguments)
    }
}

/// Why a unit couldn't be started.
#[derive(Debug)]
pub(in crate::cgroup) struct Refusal {
    /// Whether a part of it may be there.
    pub(in crate::cgroup) made: bool,
    /// The sentence about it.
    pub(in crate::cgroup) error: Error,
}

fn get(connection: &mut Connection, path: &str, interface: &str, name: &str) -> Answer<String> {
    let method = Method {
        destination: SYSTEMD,
        path,
        interface: "org.freedesktop.DBus.Properties",
        name: "Get",
        signature: "ss",
    };
    let answer = connection.call(&method, Writer::default().text(interface).text(name))?;
    message::text_in_variant(&answer).ok_or_else(|| Problem::Lost(format!("it gave no answer about {name}")))
}

/// Connects and asks; once more where the connection breaks, at the next address, until time is up. `act` is told
/// whether it was begun before.
fn ask<T>(bus: &Bus, act: impl FnMut(&mut Connection, bool) -> Answer<T>) -> Answer<T> {
    ask_until(Instant::now() + PATIENCE, bus, act)
}

fn ask_until<T>(
    deadline: Instant,
    bus: &Bus,
    mut act: impl FnMut(&mut Connection, bool) -> Answer<T>,
) -> Answer<T> {
    let mut again = false;
    loop {
        let mut problem = None;
        for address in bus.addresses().split(';').filter(|address| !address.is_empty()) {
            let answer = match Connection::open(address, deadline) {
                Ok(mut connection) => act(&mut connection, std::mem::replace(&mut again, true)),
                Err(absent) => Err(absent),
            };
            match answer {
                Err(lost @ Problem::Lost(_)) => problem = Some(lost),
                // The first one is the one that ought to be there.
                Err(absent @ Problem::Absent(_)) => _ = problem.get_or_insert(absent),
                answer => return answer,
            }
        }
        match problem {
            Some(Problem::Lost(_)) if Instant::now() < deadline => rest(PAUSE),
            Some(Problem::Absent(_)) if again && Instant::now() < deadline => rest(PAUSE),
            problem => return Err(problem.unwrap_or_else(|| Problem::Absent("no address is given".into()))),
        }
    }
}

#[cfg(test)]
mod tests;
