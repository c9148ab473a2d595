//! One trial: a command meets a fault, and whatever is left of it is taken away.

use std::fs;
use std::io::{self, Error};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use serde_json::Value;

use super::fault::{Fault, Point};
use super::follow::{Aim, Role, Trace, Wish};
use super::judge::{self, Reference};
use super::keeper::{Done, Keeper};
use super::operation::Operation;

/// A process that notices its parent's death may need a moment to follow.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a command does when nothing goes wrong.
#[derive(Debug)]
pub struct Usual {
    /// The calls of its processes, in the order of birth.
    pub traces: Vec<Trace>,
    report: Option<Reference>,
}

/// What came of a trial.
#[derive(Debug)]
pub struct Verdict {
    /// `killed`, `failed`, `succeeded`, `hung`.
    pub end: &'static str,
    /// Whether the point was reached.
    pub struck: bool,
    /// Whether the way to the point was the usual one.
    pub drifted: bool,
    /// What is wrong, in sentences.
    pub wrong: Vec<String>,
    /// Whether these namespaces can't be used any more.
    pub spoilt: bool,
    /// Programs that must not be there for long.
    pub programs: Vec<u32>,
}

impl Usual {
    /// What the process is at this call, and the call.
    pub fn at(&self, point: Point) -> Option<(Role, u64)> {
        self.traces.get(point.process)?.calls.get(point.ordinal.checked_sub(1)?).copied()
    }

    /// The points of all processes.
    pub fn points(&self) -> impl Iterator<Item = (Point, Role, u64)> {
        self.traces.iter().enumerate().flat_map(|(process, trace)| {
            let point = move |at: usize| Point { process, ordinal: at + 1 };
            trace.calls.iter().enumerate().map(move |(at, &(role, call))| (point(at), role, call))
        })
    }

    /// Whether the process can't live without this call, nor say so: it asks for memory, or `main` has not begun.
    fn is_vital(&self, point: Point, call: u64) -> bool {
        let memory = [libc::SYS_mmap, libc::SYS_brk, libc::SYS_mremap, libc::SYS_munmap, libc::SYS_mprotect];
        let is_memory = |call: u64| memory.iter().any(|&number| number as u64 == call);
        let begun = self.traces.first().and_then(|trace| {
            trace.calls.iter().position(|&(_, call)| !is_memory(call) && !precedes_main(call))
        });
        is_memory(call) || point.process == 0 && point.ordinal <= begun.unwrap_or(0)
    }
}

/// Calls by which the C library and Rust's runtime make themselves at home.
fn precedes_main(call: u64) -> bool {
    let all = [
        libc::SYS_arch_prctl,
        libc::SYS_set_tid_address,
        libc::SYS_set_robust_list,
        libc::SYS_rseq,
        libc::SYS_prlimit64,
        libc::SYS_readlinkat,
        libc::SYS_readlink,
        libc::SYS_getrandom,
        libc::SYS_poll,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_sigaltstack,
        libc::SYS_sched_getaffinity,
        libc::SYS_gettid,
    ];
    all.iter().any(|&number| number as u64 == call)
}

/// Calls that find what has a name.
fn looks_up(call: u64) -> bool {
    let all = [
        libc::SYS_open,
        libc::SYS_openat,
        libc::SYS_openat2,
        libc::SYS_access,
        libc::SYS_faccessat,
        libc::SYS_faccessat2,
        libc::SYS_newfstatat,
        libc::SYS_statx,
        libc::SYS_readlink,
        libc::SYS_readlinkat,
    ];
    all.iter().any(|&number| number as u64 == call)
}

impl Keeper {
    /// Runs the command without a fault, three times: first it makes what stays for all.
    ///
    /// # Errors
    /// When it does not succeed.
    pub fn usual(&mut self, whom: &Wish) -> io::Result<Usual> {
        self.once(whom)?;
        let (_, first) = self.once(whom)?;
        let (traces, second) = self.once(whom)?;
        let report = first.zip(second).map(|(first, second)| Reference::of(&first, &second));
        if self.operation.is_probed() && report.is_none() {
            return Err(Error::other("the prober has not reported"));
        }
        Ok(Usual { traces, report })
    }

    fn once(&mut self, whom: &Wish) -> io::Result<(Vec<Trace>, Option<Value>)> {
        let id = self.fresh();
        self.prepare(&id)?;
        let done = self.run(&self.line(self.operation, &id), Some(whom.clone()))?;
        self.children.relax();
        let traces = self.children.traces();
        let (wrong, report) = self.effect(&id, &done, None)?;
        let deleted = self.run(&self.line(Operation::DeleteForce, &id), None)?;
        self.drop_terminals();
        let left = self.left();
        match done.succeeded() && deleted.succeeded() && wrong.is_empty() && left.is_empty() {
            true => Ok((traces, report)),
            false => Err(Error::other(format!("{done:?} {wrong:?} {deleted:?} {left:?}"))),
        }
    }

    /// Brings a container to where the command begins.
    fn prepare(&mut self, id: &str) -> io::Result<()> {
        for line in self.setup(id) {
            let done = self.run(&line, None)?;
            if !done.succeeded() {
                return Err(Error::other(format!("{line:?}: {done:?}")));
            }
        }
        if self.operation == Operation::Delete && !self.program_ends() {
            return Err(Error::other("a killed container goes on"));
        }
        self.keep_terminals();
        Ok(())
    }

    /// Lets the command meet a fault.
    ///
    /// # Errors
    /// When it can't be brought about: that is nobody's fault but the harness's.
    pub fn trial(&mut self, usual: &Usual, point: Point, fault: Fault) -> io::Result<Verdict> {
        let id = self.fresh();
        self.prepare(&id)?;
        let reference = usual.traces.get(point.process).cloned().unwrap_or_default();
        let aim = Wish::Aim(Aim { point, fault, reference });
        let done = self.run(&self.line(self.operation, &id), Some(aim))?;
        let (struck, drifted) = (self.children.struck(), self.children.drifted());
        self.children.relax();
        let programs = self.baseline.programs(&self.place);
        let mut wrong = judge::never(&done);
        wrong.extend(self.examine(&id, usual, point, fault, &done)?);
        let deleted = self.run(&self.line(Operation::DeleteForce, &id), None)?;
        self.drop_terminals();
        if !deleted.succeeded() {
            wrong.push(format!("delete --force: {:?} {}", deleted.status, deleted.stderr.trim()));
        }
        let left = self.left();
        let spoilt = !left.is_empty() || done.status.is_none() || deleted.status.is_none();
        wrong.extend(left);
        let _ = fs::remove_file(self.place.run.join("pid/file"));
        Ok(Verdict { end: end(&done), struck, drifted, wrong, spoilt, programs })
    }

    /// Looks at the end of the command, except for its being killed.
    fn examine(
        &mut self,
        id: &str,
        usual: &Usual,
        point: Point,
        fault: Fault,
        done: &Done,
    ) -> io::Result<Vec<String>> {
        let killed = matches!(fault, Fault::Kill | Fault::KillAfter);
        let call = usual.at(point).map_or(u64::MAX, |(_, call)| call);
        // Whoever is told that a file isn't there may do without it, if it is one that may be missing.
        let is_believed = matches!(fault, Fault::Error(Errno::NOENT, _)) && looks_up(call);
        if done.status.is_none() || killed && point.process == 0 {
            return Ok(Vec::new());
        }
        if done.succeeded() {
            // The container was made, and then nothing worked for init any more, which is as good as death.
            let lasts = self.operation == Operation::Create && point.process > 0 && fault.kind() == "lasting";
            let died = killed || lasts && self.is_not(id, "stopped")?.is_none();
            return Ok(match died {
                true => Vec::new(),
                false => self.effect(id, done, usual.report.as_ref().filter(|_| !is_believed))?.0,
            });
        }
        // Nobody can tell the end of the program from the end of init just before.
        let is_told = matches!(self.operation, Operation::Run | Operation::Exec)
            && killed
            && done.status.and_then(|status| status.code()) == Some(137);
        let may_die = usual.is_vital(point, call) || is_told;
        let mut wrong = judge::failure(done, may_die);
        if matches!(fault, Fault::Short | Fault::Storm | Fault::Stop) {
            wrong.push(format!("fails for nothing: {}", done.stderr.trim()));
        }
        let died = done
            .status
            .is_some_and(|status| std::os::unix::process::ExitStatusExt::signal(&status).is_some());
        // Where nothing works any more, nothing can be removed either; and what the program has begun is another matter.
        let must_be_clean = self.operation.makes() && fault.kind() != "lasting" && !died;
        if must_be_clean && judge::report(&done.stdout, id).is_none() {
            wrong.extend(self.left().into_iter().map(|one| format!("a failure leaves {one}")));
        }
        Ok(wrong)
    }

    /// Whether a command that succeeded has done what it is there for; and what the prober reports.
    fn effect(
        &mut self,
        id: &str,
        done: &Done,
        reference: Option<&Reference>,
    ) -> io::Result<(Vec<String>, Option<Value>)> {
        let mut wrong = Vec::new();
        match self.operation {
            Operation::Create => {
                let started = self.run(&self.line(Operation::Start, id), None)?;
                if !started.succeeded() {
                    wrong.push(format!("what was created can't be started: {}", started.stderr.trim()));
                }
            }
            Operation::Kill => {
                let goes_on = !self.program_ends();
                wrong.extend(goes_on.then(|| "a killed container goes on".to_owned()));
            }
            Operation::Pause => wrong.extend(self.is_not(id, "paused")?),
            Operation::Resume => wrong.extend(self.is_not(id, "running")?),
            Operation::Update => wrong.extend(self.is_not_updated()),
            Operation::Delete | Operation::DeleteForce => {
                wrong.extend(self.left().into_iter().map(|one| format!("a success leaves {one}")));
            }
            _ => {}
        }
        if !self.operation.is_probed() || !wrong.is_empty() {
            return Ok((wrong, None));
        }
        let said = self.probed(done);
        let report = judge::report(&said, id);
        match (&report, reference) {
            (None, _) => wrong.push(format!("the prober has not reported: {said:?}")),
            (Some(report), Some(reference)) => wrong.extend(reference.differences(report)),
            _ => {}
        }
        Ok((wrong, report))
    }

    fn probed(&mut self, done: &Done) -> String {
        let in_foreground = match self.operation {
            Operation::Run => true,
            Operation::Exec => self.shape != super::shape::Shape::Terminal,
            _ => false,
        };
        if in_foreground {
            return done.stdout.clone();
        }
        self.program_ends();
        self.said()
    }

    fn is_not(&mut self, id: &str, status: &str) -> io::Result<Option<String>> {
        let state = self.run(&["state".into(), id.into()], None)?;
        let is = state.stdout.contains(&format!("\"{status}\""));
        Ok((!is).then(|| format!("is not {status}: {} {}", state.stdout.trim(), state.stderr.trim())))
    }

    /// What the update sets, where the controller is there.
    fn is_not_updated(&self) -> Option<String> {
        let files = self.baseline.cgroups(&self.place).into_iter().map(|path| path.join("pids.max"));
        let mut values = files.filter_map(|file| fs::read_to_string(file).ok());
        values.find(|value| value.trim() != "77").map(|value| format!("pids.max is {}", value.trim()))
    }

    /// What is left, after a moment in which it may go.
    pub fn left(&mut self) -> Vec<String> {
        let begun = Instant::now();
        loop {
            self.children.serve_all();
            let left = self.baseline.left(&self.place);
            if left.is_empty() || begun.elapsed() > PATIENCE {
                return left;
            }
            sleep(Duration::from_millis(2));
        }
    }
}

fn end(done: &Done) -> &'static str {
    use std::os::unix::process::ExitStatusExt;
    match done.status {
        None => "hung",
        Some(status) if status.success() => "succeeded",
        Some(status) if status.signal().is_some() => "killed",
        Some(_) => "failed",
    }
}
