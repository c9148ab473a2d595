//! Processes that have ended: who is told, and in which order.

use std::os::fd::AsFd;
use std::time::SystemTime;

use rustix::process::Signal;

use super::look::ended;
use super::task::{Exit, Stage, Who};
use super::{Service, now};
use crate::event::timestamp;
use crate::protos::events::task::{TaskExit, TaskOOM};
use crate::reaper;
use crate::stdio::Held;

impl Service {
    /// A process may have ended.
    pub(crate) fn look_at(&mut self, who: &Who) {
        let Ok(process) = self.process_mut(who) else { return };
        let Some(status) = process.handle.as_ref().and_then(|handle| reaper::reap(handle.as_fd())) else {
            return;
        };
        self.exited(who, status);
    }

    /// Reaps what was adopted. A process of ours that ends just now is found here as well.
    pub(crate) fn reap_strangers(&mut self) {
        if !self.background.is_idle() {
            return;
        }
        while let Some((pid, status)) = reaper::reap_any() {
            if let Some(who) = self.of_pid(pid) {
                self.exited(&who, status);
            }
        }
    }

    fn of_pid(&self, pid: i32) -> Option<Who> {
        let pid = pid.unsigned_abs();
        let found =
            self.watched().find(|(who, _)| self.process(who).is_ok_and(|(_, process)| process.pid == pid));
        found.map(|(who, _)| who)
    }

    /// A process has ended, and was reaped.
    pub(super) fn exited(&mut self, who: &Who, status: u32) {
        let now = SystemTime::now();
        let Ok(process) = self.process_mut(who) else { return };
        process.handle = None;
        process.exit = Some(Exit { status, at: now });
        if who.is_first() {
            self.heed(&who.task);
            self.end_others(&who.task);
        } else {
            self.tell_exit(who);
        }
        self.tell_first_exit(&who.task, now);
    }

    /// Without a pid namespace of its own, a container's processes outlive its first one.
    fn end_others(&mut self, id: &str) {
        let Ok(task) = self.task(id) else { return };
        if !task.shares_pids {
            return;
        }
        let container = task.container.clone();
        self.aside(move || _ = container.kill(Signal::KILL.as_raw(), true));
    }

    /// Tells the end of a container, when those of its further processes were told.
    pub(super) fn tell_first_exit(&mut self, id: &str, at: SystemTime) {
        let Ok(task) = self.task_mut(id) else { return };
        let waits = task.execs.values().any(super::Process::is_alive);
        if waits || task.first.stage == Stage::Stopped || task.first.stage == Stage::Starting {
            return;
        }
        if let Some(exit) = &mut task.first.exit {
            // Ends are told in the order of their times.
            exit.at = exit.at.max(at);
            task.is_paused = false;
            self.tell_exit(&Who::new(id, ""));
        }
    }

    fn tell_exit(&mut self, who: &Who) {
        let Ok(process) = self.process_mut(who) else { return };
        let Some(exit) = process.exit else { return };
        process.stage = Stage::Stopped;
        process.held = Held::default();
        let (pid, waiters) = (process.pid, std::mem::take(&mut process.waiters));
        self.publish(&TaskExit {
            container_id: who.task.clone(),
            id: who.name().to_owned(),
            pid,
            exit_status: exit.status,
            exited_at: timestamp(exit.at),
            ..TaskExit::default()
        });
        for call in waiters {
            self.finish(call, now(&ended(exit)));
        }
    }

    /// A container may have run out of memory.
    pub(crate) fn heed(&mut self, id: &str) {
        let alarm = self.tasks.get_mut(id).and_then(|task| task.alarm.as_mut());
        if alarm.is_some_and(crate::oom::Alarm::rang) {
            self.publish(&TaskOOM { container_id: id.to_owned(), ..TaskOOM::default() });
        }
    }

    /// Lets terminals go from which nothing comes any more.
    pub(crate) fn copy(&mut self, console: u64) {
        let Some(terminal) = self.consoles.get_mut(&console) else { return };
        terminal.copy();
        if terminal.is_over() {
            self.consoles.remove(&console);
        }
    }
}
