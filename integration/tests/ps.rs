//! The list of a container's processes.

use std::fs;
use std::path::PathBuf;

use integration::bundle::shell;
use integration::{Container, Test, World};

fn busy(test: &Test) -> Container<'_> {
    let container = test.start(&test.bundle(|config| {
        shell(config, "sleep 1000 & sleep 1000 & echo ready; wait");
    }));
    container.has_said("ready");
    container
}

fn pids(test: &Test, container: &Container<'_>) -> Vec<i32> {
    let said = test.runtime(&["ps", "--format", "json", &container.id]).ok();
    assert_eq!((said.stdout.lines().count(), said.stderr.as_str()), (1, ""), "{said:?}");
    serde_json::from_str(&said.stdout).expect("a list of numbers")
}

/// Its children, as the kernel tells.
fn children(pid: i32) -> Vec<i32> {
    let listed = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).expect("the process lives");
    listed.split_whitespace().map(|pid| pid.parse().expect("a number")).collect()
}

#[test]
fn all_processes_are_listed_in_every_world() {
    for world in World::all() {
        let test = Test::at(world);
        let container = busy(&test);
        let mut listed = pids(&test, &container);
        listed.sort_unstable();
        let mut wanted = [vec![container.pid], children(container.pid)].concat();
        wanted.sort_unstable();
        assert_eq!(listed, wanted, "{world:?}");
        assert_eq!(listed.len(), 3);
    }
}

#[test]
fn processes_in_cgroups_below_are_listed_too() {
    let test = Test::at(World::Unified);
    let container = busy(&test);
    let below: PathBuf = container.cgroup2().expect("this world has cgroup2").join("a");
    fs::create_dir_all(below.join("b")).expect("cgroups can be made below");
    let moved = children(container.pid).remove(0);
    fs::write(below.join("b/cgroup.procs"), moved.to_string()).expect("the process can be moved");
    assert!(pids(&test, &container).contains(&moved));
    assert_eq!(pids(&test, &container).len(), 3);
}

#[test]
fn the_table_is_that_of_the_host() {
    let test = Test::new();
    let container = busy(&test);
    let table = test.runtime(&["ps", &container.id]).ok().stdout;
    let (head, rows) = table.split_once('\n').expect("a head and rows");
    assert!(head.contains("PPID") && head.contains("CMD"), "{table}");
    assert_eq!(rows.lines().count(), 3, "{table}");
    assert!(rows.contains(&container.pid.to_string()), "{table}");

    let table = test.runtime(&["ps", &container.id, "-e", "-o", "pid,comm"]).ok().stdout;
    let fields = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let rows: Vec<_> = table.lines().map(fields).collect();
    assert_eq!(rows.first(), Some(&vec!["PID".to_owned(), "COMMAND".to_owned()]), "{table}");
    assert!(rows.contains(&vec![container.pid.to_string(), "sh".to_owned()]), "{table}");
}

#[test]
fn a_table_without_pids_is_refused() {
    let test = Test::new();
    let container = busy(&test);
    test.runtime(&["ps", &container.id, "-e", "-o", "comm"]).fails_with(&["PID"]);
    test.runtime(&["ps", "nobody"]).fails_with(&["does not exist"]);
}

#[test]
fn a_stopped_container_has_no_processes() {
    let test = Test::new();
    let container = busy(&test);
    container.kill("KILL").ok();
    container.wait();
    let listed = test.runtime(&["ps", "-f", "json", &container.id]).ok().stdout;
    assert!(matches!(listed.trim(), "[]" | "null"), "{listed}");
}
