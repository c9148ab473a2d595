//! Damaged configurations: each is refused in one clear sentence, or makes a container; neither leaves anything.
//!
//! Some hundreds of them are tried, or with `MUTANTS=all` all.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Write, stderr};
use std::path::PathBuf;

use integration::bundle::{mount, namespace};
use integration::test::text;
use integration::{Bundle, Exit, Kind, Outcome, Test, World, leaks, runtime};
use mutants::Mutant;
use serde_json::{Value, json};

#[path = "../../runtime-core/tests/mutants/mod.rs"]
mod mutants;

/// How many are tried in the usual run, in all worlds together.
const SAMPLE: usize = 600;

#[test]
fn damaged_configurations_do_no_harm_on_the_host() {
    damaged(World::Host);
}

#[test]
fn damaged_configurations_do_no_harm_with_one_hierarchy() {
    damaged(World::Unified);
}

fn damaged(world: World) {
    // What the peers make of them is theirs to tell.
    if runtime().kind != Kind::Ours || !World::all().contains(&world) {
        return;
    }
    let mut trial = Trial::new(world);
    trial.goes_well();
    let mine = (0..).zip(sample(all(world))).filter(|(number, _)| number % 2 == world as usize);
    mine.for_each(|(_, mutant)| trial.with(&mutant));
    let Trial { refused, accepted, wrong, .. } = trial;
    let (tried, bad) = (refused + accepted, wrong.len());
    // Told even when the test succeeds.
    let _ = writeln!(
        stderr(),
        "malformed: {tried} in {world:?}: {refused} refused, {accepted} ran, {bad} of them wrong, 0 leaks otherwise"
    );
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(refused > 10 && accepted > 10);
}

fn all(world: World) -> Vec<Mutant> {
    let mappings = |mutant: &Mutant| mutant.name.contains("Mappings") || mutant.name.contains("/namespaces");
    let mut all = mutants::mutants(&rich(world));
    all.extend(mutants::mutants(&mapped(world)).into_iter().filter(mappings));
    all
}

/// Evenly spread, and the same every time.
fn sample(all: Vec<Mutant>) -> Vec<Mutant> {
    let stride = match std::env::var("MUTANTS").as_deref() {
        Ok("all") => 1,
        _ => (all.len() / SAMPLE).max(1) | 1,
    };
    all.into_iter().step_by(stride).collect()
}

/// A valid configuration that says something about nearly everything.
fn rich(world: World) -> Value {
    let mut config = integration::bundle::default_config("/");
    config["process"]["user"] = json!({"uid": 0, "gid": 0, "umask": 18, "additionalGids": [5, 6]});
    config["process"]["oomScoreAdj"] = json!(100);
    config["process"]["capabilities"]["inheritable"] = json!(["CAP_KILL"]);
    config["process"]["capabilities"]["ambient"] = json!(["CAP_KILL"]);
    config["annotations"] = json!({"org.example.key": "value"});
    config["domainname"] = json!("example.org");
    config["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": "1"});
    config["linux"]["rootfsPropagation"] = json!("rslave");
    config["linux"]["personality"] = json!({"domain": "LINUX"});
    config["linux"]["devices"] = json!([
        {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229, "fileMode": 438, "uid": 0, "gid": 0}
    ]);
    config["linux"]["timeOffsets"] = json!({"boottime": {"secs": 100, "nanosecs": 5}});
    namespace(&mut config, "time", Some(json!({"type": "time"})));
    config["linux"]["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{
            "names": ["ptrace", "personality"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38,
            "args": [{"index": 0, "value": 77, "valueTwo": 0, "op": "SCMP_CMP_EQ"}]
        }]
    });
    limits(&mut config, world);
    mount(&mut config, "/tmp/etc", "bind", "/etc", &["rbind", "ro", "nosuid", "rprivate"]);
    hooks(&mut config);
    config
}

fn limits(config: &mut Value, world: World) {
    let resources = &mut config["linux"]["resources"];
    resources["devices"] = json!([
        {"allow": false, "access": "rwm"},
        {"allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw"}
    ]);
    if world.hierarchy("pids").is_some() {
        resources["pids"] = json!({"limit": 100});
    }
    if world.hierarchy("memory").is_some() {
        resources["memory"] = json!({"limit": 100_000_000, "reservation": 50_000_000});
    }
    if world.hierarchy("cpu").is_some() {
        resources["cpu"] = json!({"shares": 512, "quota": 50_000, "period": 100_000});
    }
}

fn hooks(config: &mut Value) {
    let hook = json!([{
        "path": text(&integration::bundle::busybox()), "args": ["true"], "env": ["KEY=value"], "timeout": 5
    }]);
    for kind in ["prestart", "createRuntime", "createContainer", "poststart", "poststop"] {
        config["hooks"][kind] = hook.clone();
    }
    config["hooks"]["startContainer"] = json!([{"path": "/bin/true"}]);
}

/// A valid configuration with a user namespace.
fn mapped(_: World) -> Value {
    let mut config = integration::bundle::default_config("/");
    namespace(&mut config, "user", Some(json!({"type": "user"})));
    config["linux"]["uidMappings"] = json!([
        {"containerID": 0, "hostID": 100_000, "size": 1000}, {"containerID": 1000, "hostID": 300_000, "size": 10}
    ]);
    config["linux"]["gidMappings"] = json!([{"containerID": 0, "hostID": 100_000, "size": 65_536}]);
    config
}

struct Trial {
    world: World,
    test: Test,
    bundle: Bundle,
    refused: u32,
    accepted: u32,
    wrong: Vec<String>,
}

impl Trial {
    fn new(world: World) -> Self {
        let test = Test::at(world);
        let bundle = test.bundle(|_| {});
        Self { world, test, bundle, refused: 0, accepted: 0, wrong: Vec::new() }
    }

    /// What is not damaged runs, or the damage would not matter.
    fn goes_well(&mut self) {
        for config in [rich(self.world), mapped(self.world)] {
            let mutant = Mutant { name: "not damaged".into(), text: config.to_string().into_bytes() };
            self.with(&mutant);
        }
        assert!(self.accepted == 2 && self.wrong.is_empty(), "{:#?}", self.wrong);
        self.accepted = 0;
    }

    fn with(&mut self, mutant: &Mutant) {
        let wrong = self.wrong_with(mutant);
        if !wrong.is_empty() {
            self.wrong.push(format!("{}: {wrong:#?}", mutant.name));
            leaks::clean(&self.test);
            self.test = Test::at(self.world);
            self.bundle = self.test.bundle(|_| {});
        }
    }

    fn wrong_with(&mut self, mutant: &Mutant) -> Vec<String> {
        let id = self.test.fresh();
        fs::write(self.bundle.path.join("config.json"), self.own(&mutant.text))
            .expect("a bundle can be written");
        let created = self.test.runtime(&["create", "--bundle", &text(&self.bundle.path), &id]);
        let mut wrong: Vec<_> = unclear(&created).into_iter().collect();
        let mut cgroups = BTreeSet::new();
        match created.succeeded() {
            true => {
                self.accepted += 1;
                cgroups = self.cgroups(&id);
                wrong.extend(unclear(&self.test.runtime(&["start", &id])));
            }
            false => self.refused += 1,
        }
        let deleted = self.test.runtime(&["delete", "--force", &id]);
        wrong.extend((!deleted.succeeded()).then(|| format!("{deleted:?}")));
        wrong.extend(leaks::settled(&self.test));
        let left = cgroups.into_iter().filter(|path| path.exists());
        wrong.extend(left.map(|path| format!("cgroup {}", path.display())));
        wrong
    }

    /// The container's cgroup is below the test's, unless that is what is damaged.
    fn own(&self, config: &[u8]) -> Vec<u8> {
        let ours = format!("\"cgroupsPath\":\"/{}/{}\"", self.test.mark, self.test.fresh());
        match std::str::from_utf8(config) {
            Ok(text) => text.replacen("\"cgroupsPath\":\"/\"", &ours, 1).into_bytes(),
            Err(_) => config.to_owned(),
        }
    }

    /// Where the container is, whatever its configuration says, unless others are there too.
    fn cgroups(&self, id: &str) -> BTreeSet<PathBuf> {
        let state: Value =
            serde_json::from_str(&self.test.runtime(&["state", id]).stdout).unwrap_or_default();
        let table = |pid: &str| fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        let (theirs, ours) = (table(&state["pid"].to_string()), table("self"));
        let lines = theirs.lines().filter(|line| !ours.lines().any(|one| one == *line));
        let paths = lines.filter_map(|line| {
            let (name, path) = line.split_once(':')?.1.split_once(':')?;
            let hierarchies = self.world.hierarchies().into_iter();
            let root = hierarchies.into_iter().find(|hierarchy| hierarchy.name == name)?.root;
            Some(root.join(path.trim_start_matches('/')))
        });
        paths.collect()
    }
}

/// What is wrong with how a command told of its failure, if it failed.
fn unclear(outcome: &Outcome) -> Option<String> {
    let said = outcome.stderr.trim_end_matches('\n');
    let clear = !said.is_empty()
        && said.len() < 4000
        && !said.contains("panicked")
        && !said.contains(|one: char| one.is_control());
    let failed_well = outcome.exit == Exit::Code(1) && clear;
    (!outcome.succeeded() && !failed_well).then(|| format!("{outcome:?}").chars().take(2000).collect())
}
