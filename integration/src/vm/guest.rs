//! One guest that does one job.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

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
    /// When the machine can't be started, or ended before the job did; with the end of what its kernel said.
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
            if !ends_within(machine.id().cast_signed(), job.time) {
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
        io::Error::other(format!(
            "the guest ({world}, {kernel}) ended, or was ended, before its job:\n{last}"
        ))
    }
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
