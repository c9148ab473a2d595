//! The present: carries out a plan. One birth, one dialogue, one walk over the list.

mod clone;
mod descriptors;
pub(crate) mod dialogue;
mod id_maps;
mod image;
mod loans;
mod process;
mod report;
mod subids;
mod terminal;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::MemfdFlags;
use rustix::io::Errno;
use rustix::thread::CpuSet;

use crate::cgroup::{Cgroup, Paths, Start};
use crate::error::{Context, Error, Result};
use crate::hooks::Hooks;
use crate::plan::{Action, Deed, Loan, Plan};
use crate::procfs;
use crate::seccomp::Agent;
use crate::step::{Namespace, Step};
use crate::sys::process::{set_affinity, set_io_priority, set_limit, set_scheduling};
use crate::wire::{Blob, SHORT_PLAN, put_message};

use clone::{Request, UserNamespace};
pub(crate) use descriptors::Descriptors;
use dialogue::{Dialogue, Heard};
use process::Born;
pub(crate) use process::Process;
pub(crate) use report::unexpected;
pub(crate) use terminal::send_message;

/// What a launch needs of whoever keeps the container: state, hooks, files outside.
pub(crate) trait Keeper {
    /// Runs hooks; the process is in the state that their kind prescribes.
    fn run_hooks(&mut self, hooks: &Hooks, process: &Process) -> Result<()>;
    /// Prepares what needs no more than the process, while init works.
    fn prepare(&mut self, process: &Process) -> Result<()>;
    /// Makes the container known to every command.
    fn record(&mut self, process: &Process) -> Result<()>;
    /// Tells an agent about the container, and hands it the descriptor of the process's filter.
    fn tell_agent(&self, agent: &Agent, listener: BorrowedFd<'_>, process: &Process) -> Result<()>;
    /// Writes the process id where the caller wants it.
    fn write_pid_file(&mut self, path: &Path, process: &Process) -> Result<()>;
    /// The socket on which init waits for `start`.
    fn start_socket(&mut self) -> Result<OwnedFd>;
    /// The container's first process, whose namespaces a further one enters.
    fn container(&self) -> Result<BorrowedFd<'_>>;
    /// The root directory that the caller has opened.
    fn root(&self) -> Result<BorrowedFd<'_>>;
    /// Where helpers that map ids are looked for.
    fn helper_directories(&self) -> &[PathBuf];
    /// Keeps the cgroup, which was just made, for the end.
    fn keep_cgroup(&mut self, cgroup: &Paths) -> Result<Cgroup>;
    /// Has systemd make the cgroup around the process, and keeps it for the end.
    fn start_unit(&mut self, start: &Start, process: &Process) -> Result<Cgroup>;
}

/// How far a walk went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reached {
    /// Init waits for `start`, and this dialogue is over.
    AwaitingStart,
    /// The user's program runs.
    Executed,
}

/// Carries out a plan, up to the point where init waits for `start` or has executed the program.
///
/// `cgroup` is where the process goes if the plan makes no cgroup. On error the process, if there was one, is dead; the
/// keeper undoes the rest.
pub(crate) fn launch(
    plan: &Plan,
    filters: &[Vec<u8>],
    descriptors: &Descriptors<'_>,
    cgroup: Option<Cgroup>,
    keeper: &mut dyn Keeper,
) -> Result<(Process, Reached)> {
    let creates = cgroup.is_none();
    let (born, handed, due) = (None, None, Due::Nothing);
    let mut walk = Walk { plan, filters, descriptors, keeper, creates, cgroup, born, handed, due };
    let reached = walk.through();
    match (reached, walk.born.take()) {
        (Ok(reached), Some(born)) => Ok((born.finished(), reached)),
        (Ok(_), None) => Err(no_process()),
        (Err(error), Some(born)) => Err(born.end(plan, error)),
        (Err(error), None) => Err(error),
    }
}

struct Walk<'a> {
    plan: &'a Plan,
    filters: &'a [Vec<u8>],
    descriptors: &'a Descriptors<'a>,
    keeper: &'a mut dyn Keeper,
    /// Whether a container is made, not entered: nobody may have paused it.
    creates: bool,
    cgroup: Option<Cgroup>,
    born: Option<Born>,
    /// What init has handed over, until the next entry of the list says where it goes.
    handed: Option<OwnedFd>,
    due: Due,
}

/// What init waits for. It gets it as late as possible: what stands between in the list is done before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Due {
    Nothing,
    Plan,
    Word,
}

impl Walk<'_> {
    fn through(&mut self) -> Result<Reached> {
        for (number, entry) in self.plan.numbered() {
            match &entry.deed {
                Deed::Host(action) => {
                    self.perform(action).map_err(|error| report::at_step(number, entry, error))?;
                }
                Deed::Init(Step::AwaitStart) => return Ok(Reached::AwaitingStart),
                Deed::Init(Step::Barrier { .. }) => self.meet_at(number)?,
                Deed::Init(Step::AwaitWord) => self.give_word()?,
                Deed::Init(Step::Emerge { .. }) => self.meet_newborn(number)?,
                Deed::Init(Step::OpenTerminal { .. }) => self.take_descriptor(number)?,
                Deed::Init(Step::InstallSeccompWithAgent { .. }) => {
                    self.take_descriptor(number)?;
                    self.due = Due::Word;
                }
                Deed::Init(Step::Execute { .. }) => self.hear_end()?,
                Deed::Init(_) => self.give_due()?,
            }
        }
        Ok(Reached::Executed)
    }

    fn perform(&mut self, action: &Action) -> Result<()> {
        match action {
            Action::CreateCgroup(paths) => self.cgroup = Some(self.keeper.keep_cgroup(paths)?),
            Action::StartUnit(start) => {
                self.cgroup = Some(on_process(&self.born, |process| self.keeper.start_unit(start, process))?);
            }
            Action::SetLimit(knob) => self.cgroup()?.apply(knob)?,
            Action::RestrictDevices(rules) => self.cgroup()?.restrict(rules)?,
            Action::Clone { new, join, into_cgroup } => {
                let join: Vec<OwnedFd> = join.iter().map(loans::open_joined).collect::<Result<_>>()?;
                self.give_birth(new, &join, *into_cgroup)?;
            }
            Action::LendContainer => {
                let container = self.container()?;
                self.lend(container)?;
            }
            Action::SetAffinity(cpus) => {
                let cpus = cpus.below(CpuSet::MAX_CPU);
                set_affinity(self.process()?.pid, cpus).doing(|| "sched_setaffinity".into())?;
            }
            Action::WriteIdMaps { uids, uids_by, gids, gids_by } => {
                let writer =
                    id_maps::Writer { pid: self.process()?.pid, helpers: self.keeper.helper_directories() };
                writer.write(uids, *uids_by, gids, *gids_by)?;
                self.born()?.dialogue.go().doing(lost)?;
            }
            Action::CheckIdMaps { uids, gids } => id_maps::check(self.process()?.pid, uids, gids)?,
            Action::EnterCgroup { born_inside } => self.cgroup()?.enter(self.process()?.pid, *born_inside)?,
            Action::LendNamespace(namespace) => self.lend(loans::open_joined(namespace)?)?,
            Action::LendRoot { propagation } => {
                let root = loans::open_root(self.keeper.root()?, *propagation)?;
                self.lend(root)?;
            }
            Action::LendMount(loan) => {
                let own = || procfs::namespace(self.process()?.pid, Namespace::User);
                let opened = match loans::open(loan, own) {
                    Err(error) if loans::is_up_to_root(&error) => self.open_there(loan)?,
                    opened => opened?,
                };
                self.lend(opened)?;
            }
            Action::LendStartSocket => {
                let socket = self.keeper.start_socket()?;
                self.lend(socket)?;
            }
            Action::SetRlimit { resource, soft, hard, .. } => {
                set_limit(self.process()?.pid, *resource, *soft, *hard).doing(|| "prlimit".into())?;
            }
            Action::SendTerminal(socket) => terminal::send(&self.handed()?, socket)?,
            Action::KeepTerminal => {
                let master = self.handed()?;
                terminal::leave_newlines(&master)?;
                self.born_mut()?.process.terminal = Some(master);
            }
            Action::SendPidfd { socket, word } => {
                terminal::send_descriptor(socket, word, self.process()?.pidfd.as_fd())?;
            }
            Action::TellAgent(agent) => {
                let listener = self.handed()?;
                self.keeper.tell_agent(agent, listener.as_fd(), self.process()?)?;
            }
            Action::SetScheduling(scheduling) => {
                set_scheduling(self.process()?.pid, &scheduling.attributes())
                    .map_err(report::not_scheduled)?;
            }
            Action::SetIoPriority { class, level } => {
                set_io_priority(self.process()?.pid, *class, *level).doing(|| "ioprio_set".into())?;
            }
            Action::SetOomScoreAdj(score) => procfs::write_oom_score_adj(self.process()?.pid, *score)?,
            Action::RunHooks(hooks) => {
                on_process(&self.born, |process| self.keeper.run_hooks(hooks, process))?
            }
            Action::Record => on_process(&self.born, |process| self.keeper.record(process))?,
            Action::WritePidFile(path) => {
                on_process(&self.born, |process| self.keeper.write_pid_file(path, process))?;
            }
        }
        Ok(())
    }

    /// Who has no privileges over the host's mounts has them over the container's.
    fn open_there(&mut self, loan: &Loan) -> Result<OwnedFd> {
        // As long as the process shares our memory, it is as well protected from visitors as we are.
        self.born_mut()?.memory.take();
        let born = self.born()?;
        let opened = loans::open_there(loan, born.process.pidfd.as_fd());
        opened.map_err(|error| report::before(self.plan, born, error))
    }

    /// A copy: what the keeper has can't be held on to while the walk goes on.
    fn container(&self) -> Result<OwnedFd> {
        let container = self.keeper.container()?;
        rustix::io::fcntl_dupfd_cloexec(container, 3).doing(|| "cannot prepare the init program".into())
    }

    fn give_birth(&mut self, new: &[Namespace], join: &[OwnedFd], into_cgroup: bool) -> Result<()> {
        let doing = || "cannot prepare the init program".to_string();
        let (dialogue, theirs) = Dialogue::pair().doing(doing)?;
        let theirs = self.descriptors.out_of_the_way(theirs).doing(doing)?;
        let (descriptors, _copies) = self.descriptors.moves().doing(doing)?;
        let (process, memory) = clone::birth(Request {
            namespaces: new.iter().map(|kind| clone_flag(*kind)).sum(),
            join,
            cgroup: self.cgroup.as_ref().filter(|_| into_cgroup).and_then(Cgroup::birthplace),
            image: if join.is_empty() { image::image()? } else { image::opaque_image()? },
            parent_end: dialogue.as_fd(),
            dialogue: theirs.as_fd(),
            dialogue_place: self.descriptors.end(),
            descriptors,
            user_namespace: UserNamespace::of(self.plan),
        })
        .map_err(report::not_born)?;
        self.born = Some(Born { dialogue, memory: Some(memory), process, former: None });
        self.due = Due::Plan;
        Ok(())
    }

    /// Init goes on, if it waits.
    fn give_due(&mut self) -> Result<()> {
        match std::mem::replace(&mut self.due, Due::Nothing) {
            Due::Nothing => Ok(()),
            Due::Word => self.born()?.dialogue.go().doing(lost),
            Due::Plan => {
                self.send_plan()?;
                on_process(&self.born, |process| self.keeper.prepare(process))
            }
        }
    }

    /// Sends init its part of the list.
    fn send_plan(&self) -> Result<()> {
        let mut message = Vec::with_capacity(8192);
        let filters: Vec<Blob<'_>> = self.filters.iter().map(|filter| Blob(filter)).collect();
        put_message(&filters, self.plan.steps().into_iter(), &mut message);
        if message.len() <= SHORT_PLAN {
            return self.born()?.dialogue.send_short_plan(&message).doing(lost);
        }
        let plan = image::file(c"runtime-plan", MemfdFlags::NOEXEC_SEAL, &message)?;
        self.born()?.dialogue.send_plan(plan.as_fd(), message.len()).doing(lost)
    }

    fn lend(&mut self, loan: OwnedFd) -> Result<()> {
        self.give_due()?;
        self.born()?.dialogue.lend(loan.as_fd()).doing(lost)
    }

    fn give_word(&mut self) -> Result<()> {
        self.give_due()?;
        self.born()?.dialogue.go().doing(lost)
    }

    /// Init was born once more: from here on it is that process.
    fn meet_newborn(&mut self, number: u32) -> Result<()> {
        self.give_due()?;
        match self.listen(|born| born.dialogue.hear_of_newborn(born.process.pidfd.as_fd()))? {
            (Heard::Born { step, pid }, Some(pidfd)) if step == number => {
                let born = self.born_mut()?;
                born.memory.take();
                let former = std::mem::replace(&mut born.process.pidfd, pidfd);
                born.process.pid = pid;
                born.former = Some(former);
                born.dialogue.go().doing(lost)
            }
            (heard, _) => Err(unexpected(self.plan, heard)),
        }
    }

    /// Init hands something over: the master of a terminal, or the descriptor of its filter.
    fn take_descriptor(&mut self, number: u32) -> Result<()> {
        self.give_due()?;
        match self.listen(|born| born.dialogue.hear_with_descriptor())? {
            (Heard::AtBarrier(step), Some(descriptor)) if step == number => {
                self.handed = Some(descriptor);
                Ok(())
            }
            (heard, _) => Err(unexpected(self.plan, heard)),
        }
    }

    /// What init has handed over.
    fn handed(&mut self) -> Result<OwnedFd> {
        let none = || Error::Died("the plan passes something on before init hands it over".into());
        self.handed.take().ok_or_else(none)
    }

    fn meet_at(&mut self, number: u32) -> Result<()> {
        self.give_due()?;
        match self.listen(|born| born.dialogue.hear())? {
            Heard::AtBarrier(step) if step == number => self.due = Due::Word,
            heard => return Err(unexpected(self.plan, heard)),
        }
        // It executes init, so it has left our memory.
        self.born.as_mut().map(|born| born.memory.take());
        Ok(())
    }

    /// After the last step there is nothing to hear: the dialogue closes when the program is executed.
    fn hear_end(&mut self) -> Result<()> {
        self.give_due()?;
        match self.listen(|born| born.dialogue.hear())? {
            Heard::End => Ok(()),
            heard => Err(unexpected(self.plan, heard)),
        }
    }

    /// Waits for what init says next: for as long as its step takes, unless it can't move at all.
    fn listen<T>(&self, hear: impl Fn(&Born) -> Result<T, Errno>) -> Result<T> {
        loop {
            match hear(self.born()?) {
                Err(Errno::TIMEDOUT) if self.creates => {
                    self.cgroup.iter().try_for_each(Cgroup::refuse_frozen)?
                }
                Err(Errno::TIMEDOUT) => {}
                heard => return heard.doing(lost),
            }
        }
    }

    fn cgroup(&self) -> Result<&Cgroup> {
        self.cgroup.as_ref().ok_or_else(|| Error::Died("the plan uses a cgroup before it makes one".into()))
    }

    fn born(&self) -> Result<&Born> {
        self.born.as_ref().ok_or_else(no_process)
    }

    fn born_mut(&mut self) -> Result<&mut Born> {
        self.born.as_mut().ok_or_else(no_process)
    }

    fn process(&self) -> Result<&Process> {
        self.born().map(|born| &born.process)
    }
}

fn on_process<T>(born: &Option<Born>, act: impl FnOnce(&Process) -> Result<T>) -> Result<T> {
    act(&born.as_ref().ok_or_else(no_process)?.process)
}

fn no_process() -> Error {
    Error::Died("the plan makes no process".into())
}

fn lost() -> String {
    "the init program does not answer".into()
}

impl UserNamespace {
    fn of(plan: &Plan) -> Self {
        plan.entries
            .iter()
            .find_map(|entry| match &entry.deed {
                Deed::Host(Action::WriteIdMaps { .. }) => Some(UserNamespace::New),
                Deed::Host(Action::Clone { join, .. })
                    if join.iter().any(|each| each.kind == Namespace::User) =>
                {
                    Some(UserNamespace::Joined)
                }
                _ => None,
            })
            .unwrap_or(UserNamespace::Same)
    }
}

fn clone_flag(kind: Namespace) -> u64 {
    (match kind {
        Namespace::User => libc::CLONE_NEWUSER,
        Namespace::Mount => libc::CLONE_NEWNS,
        Namespace::Pid => libc::CLONE_NEWPID,
        Namespace::Network => libc::CLONE_NEWNET,
        Namespace::Ipc => libc::CLONE_NEWIPC,
        Namespace::Uts => libc::CLONE_NEWUTS,
        Namespace::Cgroup => libc::CLONE_NEWCGROUP,
        Namespace::Time => libc::CLONE_NEWTIME,
    }) as u64
}
