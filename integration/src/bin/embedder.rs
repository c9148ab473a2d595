//! A big engine that has the library inside: a large heap, threads that allocate all the time, and others that make
//! containers at once.
//!
//! It prints one line of JSON: the times of the creations in milliseconds, and what the creations changed about this
//! process (nothing, it is hoped). `--heap MB` and `--busy N` say how big it is, `--makers N` and `--rounds N` how
//! many threads make how many containers altogether, and `--users` gives every second maker a user namespace.

#![allow(clippy::disallowed_methods, reason = "a test program looks paths up; it guards nothing")]

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex};
use std::thread;
use std::time::Instant;

use integration::{bundle, world};
use runtime_core::container::{Container, CreateOptions};
use runtime_core::state::StateRoot;
use runtime_core::{Bundle, ContainerId};
use serde_json::json;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    match Engine::from_arguments().and_then(|engine| engine.work()) {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// How big the engine is and what it does.
#[derive(Debug, Clone, Copy)]
struct Engine {
    heap: usize,
    busy: usize,
    makers: usize,
    rounds: usize,
    users: bool,
}

impl Engine {
    fn from_arguments() -> Outcome<Self> {
        let mut engine = Engine { heap: 500, busy: 8, makers: 8, rounds: 200, users: false };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut number =
                || -> Outcome<usize> { Ok(arguments.next().ok_or("a number is missing")?.parse()?) };
            match argument.as_str() {
                "--small" => engine.heap = 0,
                "--heap" => engine.heap = number()?,
                "--busy" => engine.busy = number()?,
                "--makers" => engine.makers = number()?,
                "--rounds" => engine.rounds = number()?,
                "--users" => engine.users = true,
                other => return Err(format!("what is {other:?}?").into()),
            }
        }
        Ok(engine)
    }

    /// Makes and deletes all the containers.
    fn work(self) -> Outcome<String> {
        world::move_to_lone_cgroup2()?;
        let name = format!("embedder{}", std::process::id());
        let directory = bundle::base().join(&name);
        let workshops: Vec<Workshop> = (0..self.makers)
            .map(|number| Workshop::new(&directory, &name, number, self.users))
            .collect::<Outcome<_>>()?;
        // The first creation of a process makes what all later ones share.
        let first = workshops.first().ok_or("nobody makes containers")?;
        first.make("warm-up")?;
        let heap = touched(self.heap);
        // So does the first thread.
        thread::spawn(|| ()).join().map_err(|_| "a thread panicked")?;
        let before = Looks::now();
        let times = self.crowded(&workshops);
        let changed = before.changes(&Looks::now());
        black_box(&heap);
        drop(workshops);
        fs::remove_dir_all(&directory)?;
        let _ = fs::remove_dir(Path::new(world::CGROUPS).join(&name));
        let mut times = times?;
        times.sort_by(f64::total_cmp);
        let at = |part: usize| times.get(times.len() * part / 4).copied().unwrap_or_default();
        let report = json!({"median": at(2), "quarter": at(1), "minimum": at(0), "made": times.len(), "changed": changed});
        Ok(report.to_string())
    }

    /// All makers and all busy threads at once.
    fn crowded(self, workshops: &[Workshop]) -> Outcome<Vec<f64>> {
        let (done, next) = (AtomicBool::new(false), AtomicUsize::new(0));
        let times = Mutex::new(Vec::new());
        let start = Barrier::new(workshops.len());
        thread::scope(|scope| {
            for _ in 0..self.busy {
                scope.spawn(|| allocate_until(&done));
            }
            let makers: Vec<_> = workshops
                .iter()
                .map(|workshop| {
                    scope.spawn(|| {
                        start.wait();
                        let looks = Looks::of_this_thread();
                        while next.fetch_add(1, Ordering::Relaxed) < self.rounds {
                            let time = workshop.make(&format!("c{}", next.load(Ordering::Relaxed)))?;
                            times.lock().map_err(|_| "a maker panicked")?.push(time);
                        }
                        match looks.changes(&Looks::of_this_thread()).as_slice() {
                            [] => Ok(()),
                            changes => Err(format!("a maker's thread changed: {changes:?}").into()),
                        }
                    })
                })
                .collect();
            let outcomes: Outcome<Vec<()>> =
                makers.into_iter().map(|maker| maker.join().map_err(|_| "a maker panicked")?).collect();
            done.store(true, Ordering::Relaxed);
            outcomes
        })?;
        Ok(times.into_inner().map_err(|_| "a maker panicked")?)
    }
}

/// Memory of that many megabytes, all of it really there.
fn touched(megabytes: usize) -> Vec<Vec<u8>> {
    (0..megabytes).map(|number| vec![number as u8 | 1; 1 << 20]).collect()
}

/// Holds the allocator's locks most of the time, as a busy engine does.
fn allocate_until(done: &AtomicBool) {
    let mut kept: Vec<Vec<u8>> = (0..64).map(|_| Vec::new()).collect();
    let mut number = 1usize;
    while !done.load(Ordering::Relaxed) {
        number = number.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let place = (number >> 33) % kept.len();
        kept[place] = vec![1; (number >> 40) % 8192];
    }
    black_box(kept);
}

/// Where one maker works: a bundle and a cgroup that no other has.
struct Workshop {
    root: StateRoot,
    bundle: Bundle,
    prefix: String,
}

impl Workshop {
    fn new(directory: &Path, name: &str, number: usize, users: bool) -> Outcome<Self> {
        let path = directory.join(number.to_string());
        let made = bundle::Bundle::new(path, &format!("/{name}/{number}"), |config| {
            if users && number % 2 == 1 {
                bundle::namespace(config, "user", Some(json!({"type": "user"})));
                let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
                config["linux"]["uidMappings"] = map.clone();
                config["linux"]["gidMappings"] = map;
            }
        });
        Ok(Workshop {
            root: StateRoot::open(&directory.join("state"))?,
            bundle: Bundle::open(&made.path)?,
            prefix: format!("{name}-{number}"),
        })
    }

    /// Makes a container and deletes it; the answer is how long the making took, in milliseconds.
    fn make(&self, name: &str) -> Outcome<f64> {
        let id = ContainerId::new(format!("{}-{name}", self.prefix))?;
        let begun = Instant::now();
        let child = Container::create(&self.root, &id, &self.bundle, &CreateOptions::default())?;
        let time = begun.elapsed().as_secs_f64() * 1000.0;
        Container::delete(&self.root, &id, true)?;
        // `delete` reaps what it has killed, if nobody was faster.
        let _ = child.wait();
        Ok(time)
    }
}

/// What can be seen of this process that a creation must leave as it was.
#[derive(Debug)]
struct Looks(BTreeMap<String, String>);

impl Looks {
    fn now() -> Self {
        let Looks(mut all) = Looks::of_this_thread();
        let count = |directory| fs::read_dir(directory).into_iter().flatten().count().to_string();
        all.insert("descriptors".into(), count("/proc/self/fd"));
        all.insert("children".into(), children());
        all.insert("dumpable".into(), format!("{:?}", rustix::process::dumpable_behavior()));
        Looks(all)
    }

    fn of_this_thread() -> Self {
        let mut all = BTreeMap::new();
        let thread = PathBuf::from("/proc/thread-self");
        let text = |name: &str| fs::read_to_string(thread.join(name)).unwrap_or_default();
        let wanted = [
            "Umask",
            "Uid",
            "Gid",
            "Groups",
            "Sig",
            "Shd",
            "Cap",
            "NoNewPrivs",
            "Seccomp",
            "Cpus_allowed",
            "TracerPid",
        ];
        let status = text("status");
        for line in status.lines().filter(|line| wanted.iter().any(|name| line.starts_with(name))) {
            let (name, value) = line.split_once(':').unwrap_or_default();
            // Those that come and go by themselves.
            if !["SigPnd", "ShdPnd", "SigQ"].contains(&name) {
                all.insert(name.into(), value.trim().into());
            }
        }
        for name in ["limits", "cgroup", "oom_score_adj", "personality", "attr/current"] {
            all.insert(name.into(), text(name));
        }
        for link in ["cwd", "root", "exe"] {
            all.insert(link.into(), link_of(&thread.join(link)));
        }
        for entry in fs::read_dir(thread.join("ns")).into_iter().flatten().flatten() {
            all.insert(format!("ns/{}", entry.file_name().to_string_lossy()), link_of(&entry.path()));
        }
        all.insert("session".into(), session().to_string());
        all.insert("environment".into(), format!("{:?}", std::env::vars_os().collect::<Vec<_>>()));
        Looks(all)
    }

    /// What is different now, as sentences.
    fn changes(&self, now: &Looks) -> Vec<String> {
        let names = self.0.keys().chain(now.0.keys()).collect::<std::collections::BTreeSet<_>>();
        let differing = names.into_iter().filter(|name| self.0.get(*name) != now.0.get(*name));
        differing.map(|name| format!("{name}: {:?}, was {:?}", now.0.get(name), self.0.get(name))).collect()
    }
}

/// The session's id: 0 when its leader is outside this pid namespace, which rustix holds to be impossible.
fn session() -> i32 {
    // SAFETY: it takes no pointer and cannot fail for the caller itself.
    unsafe { libc::getsid(0) }
}

fn link_of(path: &Path) -> String {
    fs::read_link(path).map(|target| target.display().to_string()).unwrap_or_default()
}

/// The processes whose parent is a thread of ours.
fn children() -> String {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    threads.filter_map(|thread| fs::read_to_string(thread.path().join("children")).ok()).collect()
}
