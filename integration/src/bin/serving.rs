//! A server that runs a container for each request: with the library, and with runtimes that are executed, in one run.
//!
//! `serving [REQUESTS]`: so many for each, 64 at a time, by `ab`. Peers are `crun` and `runc`, looked up in the directories
//! of the variable PEERS and then in PATH. Everything happens in a private mount namespace where `/sys/fs/cgroup` is
//! cgroup2. It writes `specs/serving.md`.

#![allow(clippy::disallowed_methods, reason = "a benchmark may look paths up; it guards nothing")]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program that speaks to people")]

use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::Duration;

use integration::bundle::{self, Bundle};
use integration::runtime::{binaries, find};
use integration::world::move_to_lone_cgroup2;

type Outcome<T> = Result<T, Box<dyn Error>>;

const AT_ONCE: &str = "64";
const WARMING_UP: &str = "256";
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../specs/serving.md");

fn main() -> ExitCode {
    match work() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("serving: {error}");
            ExitCode::FAILURE
        }
    }
}

fn work() -> Outcome<()> {
    let requests = std::env::args().nth(1).unwrap_or("5000".into());
    move_to_lone_cgroup2()?;
    let directory = bundle::base().join(format!("serving-{}", std::process::id()));
    let root = Bundle::new(directory.join("bundle"), "/serving", |_| ()).inside("/");
    fs::write(directory.join("body"), "a question\n")?;
    let peers = ["crun", "runc"].into_iter().filter_map(|name| Some((name, Some(peer(name)?))));
    let all: Vec<_> = std::iter::once(("runtime-core", None)).chain(peers).collect();
    let measured: Vec<Measured> = all
        .into_iter()
        .map(|(name, command)| measure(name, command.as_deref(), &root, &directory, &requests))
        .collect::<Outcome<_>>()?;
    let page = page(&measured, &requests);
    print!("{page}");
    fs::write(PAGE, page)?;
    fs::remove_dir_all(directory)?;
    Ok(())
}

fn peer(name: &str) -> Option<PathBuf> {
    let given = std::env::var_os("PEERS").unwrap_or_default();
    let found = std::env::split_paths(&given).map(|place| place.join(name)).find(|path| path.is_file());
    found.or_else(|| find(Path::new(name)))
}

/// What came of one server.
struct Measured {
    name: String,
    per_second: f64,
    /// In milliseconds, that of each of these hundredths.
    median: u32,
    slow: u32,
    failed: u32,
    /// The server's own, in KiB, warm and at the end.
    memory: [u64; 2],
    left: usize,
}

fn measure(
    name: &str,
    command: Option<&Path>,
    root: &Path,
    directory: &Path,
    requests: &str,
) -> Outcome<Measured> {
    let mut server = Server::new(command, root)?;
    let body = directory.join("body");
    server.load(WARMING_UP, &body)?;
    let before = server.memory();
    let said = server.load(requests, &body)?;
    // The last containers are removed after their answer.
    thread::sleep(Duration::from_secs(1));
    let memory = [before, server.memory()];
    let left = left_behind() + server.children();
    let number =
        |key: &str| said.lines().find_map(|line| line.trim().strip_prefix(key)?.split_whitespace().next());
    let count = |key: &str| number(key).and_then(|text| text.parse().ok()).unwrap_or_default();
    Ok(Measured {
        name: name.to_owned(),
        per_second: number("Requests per second:").ok_or("ab says nothing")?.parse()?,
        median: count("50%"),
        slow: count("99%"),
        failed: count("Failed requests:") + count("Non-2xx responses:"),
        memory,
        left,
    })
}

/// Cgroups of requests that are over.
fn left_behind() -> usize {
    let entries = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("request-")).count()
}

struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn new(command: Option<&Path>, root: &Path) -> Outcome<Self> {
        let mut server = Command::new(binaries().join("examples/server"));
        server.arg(root).args(["/bin/cat"]).env("LISTEN", "127.0.0.1:0").env("UNLIMITED", "1");
        server.envs(command.map(|path| ("RUNTIME", path)));
        let mut process = server.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(process.stdout.take().ok_or("no output")?).read_line(&mut line)?;
        Ok(Self { process, address: line.trim().trim_start_matches("listening on ").to_owned() })
    }

    /// What `ab` says.
    fn load(&mut self, requests: &str, body: &Path) -> Outcome<String> {
        let mut ab = Command::new("ab");
        ab.args(["-q", "-l", "-s", "60", "-c", AT_ONCE, "-n", requests, "-T", "text/plain", "-p"]).arg(body);
        let output = ab.arg(format!("{}/", self.address)).stdin(Stdio::null()).output()?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => Err(String::from_utf8_lossy(&output.stderr).into_owned().into()),
        }
    }

    fn memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
    }

    /// Processes of requests that are over.
    fn children(&self) -> usize {
        let own = self.process.id().cast_signed();
        let all = procfs::process::all_processes().into_iter().flatten().flatten();
        all.filter_map(|process| process.stat().ok()).filter(|stat| stat.ppid == own).count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn page(all: &[Measured], requests: &str) -> String {
    let mut page = format!(
        "# A server that runs a container for each request\n\n\
         Written by `make bench-server`. `runtime-core/examples/server.rs` answers {requests} requests by `ab`, {AT_ONCE} at a \
         time, each with what `cat` says in a container of its own: by the library in its own process, and by executing \
         `RUNTIME run`. One after the other on one machine, on cgroup2 without controllers.\n\n\
         | | requests per second | ours × | median (ms) | 99 % (ms) | failed | memory of the server, warm → end (KiB) | left behind |\n\
         |---|---|---|---|---|---|---|---|\n"
    );
    let ours = all.first().map_or(0.0, |first| first.per_second);
    for one in all {
        let Measured { name, per_second, median, slow, failed, memory: [warm, end], left } = one;
        let times = ours / per_second;
        _ = writeln!(
            page,
            "| {name} | {per_second:.0} | {times:.2} | {median} | {slow} | {failed} | {warm} → {end} | {left} |"
        );
    }
    page
}
