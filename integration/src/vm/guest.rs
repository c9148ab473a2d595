//! One guest that does one job.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::kernels::Kernel;
use super::{Image, World, disks, qemu};
use crate::command::ends_within;

/// A virtual machine.
#[derive(Debug, Clone)]
pub struct Guest {
    /// How it lays out its cgroups.
    pub world: World,
    /// What it boots.
    pub kernel: Kernel,
    /// What is installed in it.
    pub image: Image,
    /// In MiB.
    pub memory: u32,
    /// Further words for the kernel's command line.
    pub append: Vec<String>,
}

/// What a guest is started for.
#[derive(Debug, Clone)]
pub struct Job {
    /// Run by `sh` as root.
    pub script: String,
    /// A disk that the guest sees at `/vm`, made by [`Files`](super::Files).
    pub files: PathBuf,
    /// How long all of it may take.
    pub time: Duration,
}

impl Guest {
    /// A guest of usual size.
    pub fn new(world: World, kernel: Kernel) -> Self {
        Self { world, kernel, image: Image::Plain, memory: 2048, append: Vec::new() }
    }

    /// Boots, does the job, and ends; what the job says goes to `said` as it comes.
    ///
    /// Returns the job's exit status.
    ///
    /// # Errors
    /// When the machine can't be started, or ended before the job did; with the end of what its kernel said. The kind is
    /// `TimedOut` if its clock stood still, which is no fault of the job.
    pub fn run(&self, job: &Job, mut said: impl Write + Send) -> io::Result<u8> {
        let place = Place::new()?;
        disks::text(&place.0.join("script"), &job.script)?;
        // Less than what tests take that are to be killed.
        disks::empty(&place.0.join("swap"), 128)?;
        disks::empty(&place.0.join("scratch"), 512)?;
        let mut machine = qemu::start(self, &job.files, &place.0)?;
        let output = machine.stdout.take();
        thread::scope(|scope| {
            scope.spawn(move || output.map(|mut output| io::copy(&mut output, &mut said)));
            if !ends(machine.id().cast_signed(), &place.0, job.time) {
                machine.kill()?;
            }
            machine.wait()
        })?;
        let status = fs::read_to_string(place.0.join("status")).unwrap_or_default();
        status.trim().parse().map_err(|_| self.lost(&place.0))
    }

    /// The error of a guest that ended without an answer.
    fn lost(&self, place: &Path) -> io::Error {
        let text =
            |name| String::from_utf8_lossy(&fs::read(place.join(name)).unwrap_or_default()).into_owned();
        let said = text("console") + &text("errors");
        let lines: Vec<_> = said.lines().collect();
        let last = lines.iter().skip(lines.len().saturating_sub(40)).copied().collect::<Vec<_>>().join("\n");
        let (world, kernel) = (self.world.name(), self.kernel.name());
        let kind = if has_lost_its_clock(place) { io::ErrorKind::TimedOut } else { io::ErrorKind::Other };
        let what = format!("the guest ({world}, {kernel}) ended, or was ended, before its job:\n{last}");
        io::Error::new(kind, what)
    }
}

/// Waits for a machine's end; false when its time is up, or time stands still in it.
fn ends(pid: i32, place: &Path, time: Duration) -> bool {
    const GLANCE: Duration = Duration::from_secs(2);
    let deadline = Instant::now() + time;
    while !ends_within(pid, GLANCE) {
        if Instant::now() > deadline || has_lost_its_clock(place) {
            return false;
        }
    }
    true
}

/// Whether the kernel says that a processor has no ticks any more, which happens to emulated ones now and then.
fn has_lost_its_clock(place: &Path) -> bool {
    let console = fs::read(place.join("console")).unwrap_or_default();
    String::from_utf8_lossy(&console).contains("Possible timer handling issue")
}

/// A directory that is removed with all that is in it.
#[derive(Debug)]
pub(super) struct Place(pub(super) PathBuf);

impl Place {
    pub(super) fn new() -> io::Result<Self> {
        static SERIAL: AtomicU32 = AtomicU32::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("vm-{}-{serial}", std::process::id()));
        fs::create_dir(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;
    use std::time::{Duration, Instant};

    use super::{Place, ends};

    #[test]
    fn a_machine_whose_clock_stands_still_is_not_waited_for() {
        let place = Place::new().unwrap();
        let console = "rcu: \tPossible timer handling issue on cpu=1 timer-softirq=10\n";
        fs::write(place.0.join("console"), console).unwrap();
        let mut machine = Command::new("sleep").arg("100").spawn().unwrap();
        let (pid, start) = (machine.id().cast_signed(), Instant::now());
        assert!(!ends(pid, &place.0, Duration::from_secs(90)));
        machine.kill().unwrap();
        machine.wait().unwrap();
        assert!(start.elapsed() < Duration::from_secs(30) && ends(pid, &place.0, Duration::from_secs(90)));
    }
}
