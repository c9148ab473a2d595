//! What `docker run` can be asked for, as the container sees it.

use integration::engines::case::not_here;
use integration::engines::docker::{Docker, IMAGE};
use integration::engines::{Case, case};

use crate::docker::{knobs, soon};

pub(crate) const CASES: &[Case<Docker>] = &[
    case("run --init", init),
    case("run -p", port),
    case("run -m", memory),
    case("run --cpu-shares, --cpus", cpu),
    case("run --pids-limit", pids),
    case("run --cpuset-cpus", cpuset),
    case("run --read-only", read_only),
    case("run --cap-add, --cap-drop", capabilities),
    case("run --user, --group-add", user),
    case("run --privileged", privileged),
    case("run --device", device),
    case("run --device-cgroup-rule", device_rule),
    case("run --tmpfs", tmpfs),
    case("run -v, read-write and read-only", volumes),
    case("run -v with a named volume", named_volume),
    case("run -v with propagation into the container", propagation_in),
    case("run -v with propagation out of the container", propagation_out),
    case("run --security-opt seccomp=FILE", seccomp),
    case("run --security-opt seccomp=unconfined", unconfined),
    case("run --security-opt no-new-privileges", no_new_privileges),
    case("run --ulimit", ulimit),
    case("run --sysctl", sysctl),
    case("run --shm-size", shm_size),
    case("run --hostname, --env, --workdir", surroundings),
    case("run --network none, host, container", networks),
    case("run --pid host, container", pid_namespaces),
    case("run --ipc shareable, container", ipc_namespaces),
    case("run --uts host", uts),
    case("run --cgroupns private", cgroup_namespace),
    case("run --cgroup-parent", cgroup_parent),
    case("the default sandbox", sandbox),
];

fn init(docker: &Docker) {
    let seen = docker.run(&["--init"], &["cat", "/proc/1/comm"]).ok().stdout;
    assert_eq!(seen, "docker-init\n");
}

fn port(docker: &Docker) {
    docker.room.write("port/index.html", "page\n");
    let site = format!("{}:/site:ro", docker.room.path("port"));
    let server =
        docker.detached(&["-p", "8080:80", "-v", &site], &["httpd", "-f", "-p", "80", "-h", "/site"]);
    let fetch =
        || docker.room.run("curl", &["--silent", "http://127.0.0.1:8080/index.html"]).stdout == "page\n";
    assert!(soon(fetch), "the port does not answer");
    docker.remove(&server);
}

fn memory(docker: &Docker) {
    let look = knobs(&["memory.limit_in_bytes memory.max"]);
    let options = ["-m", "64m", "--memory-swap", "64m"];
    let seen = docker.run(&options, &["sh", "-c", &look]).ok().stdout;
    assert_eq!(seen, format!("{}\n", 64 << 20));
}

fn cpu(docker: &Docker) {
    let look = "cat /sys/fs/cgroup/cpu/cpu.shares /sys/fs/cgroup/cpu/cpu.cfs_quota_us 2>/dev/null || \
                cat /sys/fs/cgroup/cpu.weight /sys/fs/cgroup/cpu.max";
    let seen = docker.run(&["--cpu-shares", "512", "--cpus", "0.5"], &["sh", "-c", look]).ok().stdout;
    assert!(["512\n50000\n", "20\n50000 100000\n", "59\n50000 100000\n"].contains(&seen.as_str()), "{seen}");
}

fn pids(docker: &Docker) {
    let seen = docker.run(&["--pids-limit", "20"], &["sh", "-c", &knobs(&["pids.max pids.max"])]).ok().stdout;
    assert_eq!(seen, "20\n");
    let program = "i=0; while [ $i -lt 30 ]; do sleep 3 & i=$((i+1)); done";
    docker.run(&["--pids-limit", "20"], &["sh", "-c", program]).fails_with(&["can't fork"]);
}

fn cpuset(docker: &Docker) {
    let seen = docker.run(&["--cpuset-cpus", "0"], &["grep", "Cpus_allowed_list", "/proc/self/status"]).ok();
    assert_eq!(seen.stdout, "Cpus_allowed_list:\t0\n");
}

fn read_only(docker: &Docker) {
    let outcome = docker.run(&["--read-only"], &["sh", "-c", "echo > /dev/shm/file && touch /file"]);
    outcome.fails_with(&["read-only file system"]);
}

fn capabilities(docker: &Docker) {
    let options = ["--cap-drop", "ALL", "--cap-add", "NET_ADMIN", "--cap-add", "CHOWN"];
    let seen = docker.run(&options, &["grep", "Cap", "/proc/self/status"]).ok().stdout;
    let sets: Vec<_> = seen.lines().filter_map(|line| line.split_once('\t')).collect();
    let all = "0000000000001001";
    let expected = [("CapPrm:", all), ("CapEff:", all), ("CapBnd:", all), ("CapAmb:", "0000000000000000")];
    assert_eq!(sets.into_iter().filter(|(name, _)| *name != "CapInh:").collect::<Vec<_>>(), expected);
}

fn user(docker: &Docker) {
    let seen = docker.run(&["--user", "1000:2000", "--group-add", "7"], &["id"]).ok().stdout;
    assert_eq!(seen, "uid=1000(user) gid=2000(extra) groups=7,2000(extra)\n");
}

fn privileged(docker: &Docker) {
    let program = ["sh", "-c", "mount -t tmpfs none /tmp && ls /dev/kmsg && grep CapEff /proc/self/status"];
    let outcome = docker.run(&["--privileged"], &program);
    if outcome.stderr.contains("unable to apply caps: operation not permitted") {
        not_here("runc needs every capability that is asked for, and this machine lacks one");
    }
    assert!(outcome.ok().stdout.starts_with("/dev/kmsg\n"));
}

fn device(docker: &Docker) {
    let use_it = ["sh", "-c", "ls -l /dev/full /dev/mine; echo > /dev/mine"];
    let outcome = docker.run(&["--device", "/dev/full:/dev/mine:rw"], &use_it);
    outcome.fails_with(&["no space left"]);
    let outcome = docker.run(&["--device", "/dev/kmsg:/dev/mine:r"], &["sh", "-c", "echo > /dev/mine"]);
    outcome.fails_with(&["operation not permitted"]);
}

fn device_rule(docker: &Docker) {
    let program = ["sh", "-c", "mknod /tmp/kmsg c 1 11 && echo hello from a test > /tmp/kmsg"];
    docker.run(&["--device-cgroup-rule", "c 1:11 rwm"], &program).ok();
    docker.run(&[], &program).fails_with(&["operation not permitted"]);
}

fn tmpfs(docker: &Docker) {
    let seen = docker.run(&["--tmpfs", "/scratch:size=1m,mode=1777"], &["grep", "/scratch", "/proc/mounts"]);
    let seen = seen.ok().stdout;
    assert!(seen.contains("tmpfs /scratch tmpfs rw,nosuid,nodev,noexec,relatime,size=1024k"), "{seen}");
}

fn volumes(docker: &Docker) {
    let shared = docker.room.directory("volume");
    let (rw, ro) = (format!("{shared}:/rw"), format!("{shared}:/ro:ro"));
    let program = "echo mine > /rw/file && cat /ro/file && touch /ro/other";
    let outcome = docker.run(&["-v", &rw, "-v", &ro], &["sh", "-c", program]);
    assert_eq!(outcome.clone().fails_with(&["read-only file system"]).stdout, "mine\n");
    let file = docker.room.outside(&format!("{shared}/file"));
    assert_eq!(std::fs::read_to_string(file).expect("the container wrote it"), "mine\n");
}

fn named_volume(docker: &Docker) {
    docker.run(&["-v", "named:/data"], &["sh", "-c", "echo kept > /data/file"]).ok();
    assert_eq!(docker.run(&["-v", "named:/data"], &["cat", "/data/file"]).ok().stdout, "kept\n");
    docker.docker(&["volume", "rm", "named"]).ok();
}

fn propagation_in(docker: &Docker) {
    let shared = docker.room.directory("slave/inner");
    let outer = docker.room.path("slave");
    let name = docker.sleeper(&["-v", &format!("{outer}:/outer:rslave")]);
    docker.room.run("mount", &["-t", "tmpfs", "late", &shared]).ok();
    let seen = docker.docker(&["exec", &name, "grep", "/outer/inner", "/proc/mounts"]);
    docker.room.run("umount", &[&shared]).ok();
    assert!(seen.ok().stdout.starts_with("late /outer/inner tmpfs"));
    docker.remove(&name);
}

fn propagation_out(docker: &Docker) {
    let inner = docker.room.directory("shared/inner");
    let outer = docker.room.path("shared");
    let options = ["-v", &format!("{outer}:/outer:rshared"), "--cap-add", "SYS_ADMIN"];
    docker.run(&options, &["mount", "-t", "tmpfs", "out", "/outer/inner"]).ok();
    assert!(docker.room.mounts().contains(&inner), "the mount does not come out");
    docker.room.run("umount", &[&inner]).ok();
}

/// A profile that allows everything but one call.
const NO_MKDIR: &str = r#"{
    "defaultAction": "SCMP_ACT_ALLOW",
    "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}]
}"#;

fn seccomp(docker: &Docker) {
    let profile = docker.room.write("profile.json", NO_MKDIR);
    let outcome = docker.run(&["--security-opt", &format!("seccomp={profile}")], &["mkdir", "/tmp/new"]);
    outcome.fails_with(&["no space left"]);
}

fn unconfined(docker: &Docker) {
    let program = ["grep", "Seccomp:", "/proc/self/status"];
    assert_eq!(docker.run(&[], &program).ok().stdout, "Seccomp:\t2\n");
    let outcome = docker.run(&["--security-opt", "seccomp=unconfined"], &program).ok();
    assert_eq!(outcome.stdout, "Seccomp:\t0\n");
}

fn no_new_privileges(docker: &Docker) {
    let program = ["grep", "NoNewPrivs", "/proc/self/status"];
    let outcome = docker.run(&["--security-opt", "no-new-privileges"], &program).ok();
    assert_eq!(outcome.stdout, "NoNewPrivs:\t1\n");
}

fn ulimit(docker: &Docker) {
    let outcome = docker.run(&["--ulimit", "nofile=100:200"], &["sh", "-c", "ulimit -Sn; ulimit -Hn"]).ok();
    assert_eq!(outcome.stdout, "100\n200\n");
}

fn sysctl(docker: &Docker) {
    let outcome =
        docker.run(&["--sysctl", "net.ipv4.ip_forward=0"], &["cat", "/proc/sys/net/ipv4/ip_forward"]);
    assert_eq!(outcome.ok().stdout, "0\n");
}

fn shm_size(docker: &Docker) {
    let outcome = docker.run(&["--shm-size", "1m"], &["grep", "/dev/shm", "/proc/mounts"]).ok();
    assert!(outcome.stdout.contains("size=1024k"), "{outcome:#?}");
}

fn surroundings(docker: &Docker) {
    let options = ["--hostname", "somewhere", "--env", "A=b c", "--workdir", "/new/place"];
    let outcome = docker.run(&options, &["sh", "-c", "hostname; echo $A; pwd"]).ok();
    assert_eq!(outcome.stdout, "somewhere\nb c\n/new/place\n");
}

fn networks(docker: &Docker) {
    let links = ["ls", "/sys/class/net"];
    assert_eq!(docker.run(&["--network", "none"], &links).ok().stdout, "lo\n");
    let namespace = ["readlink", "/proc/self/ns/net"];
    let here = docker.room.run("readlink", &["/proc/self/ns/net"]).ok().stdout;
    assert_eq!(docker.run(&["--network", "host"], &namespace).ok().stdout, here);
    let other = docker.sleeper(&[]);
    let theirs = docker.docker(&[&["exec", other.as_str()], &namespace[..]].concat()).ok().stdout;
    let joined = docker.run(&["--network", &format!("container:{other}")], &namespace).ok().stdout;
    assert_eq!(joined, theirs);
    docker.remove(&other);
}

fn pid_namespaces(docker: &Docker) {
    let here = docker.room.run("readlink", &["/proc/self/ns/pid"]).ok().stdout;
    assert_eq!(docker.run(&["--pid", "host"], &["readlink", "/proc/self/ns/pid"]).ok().stdout, here);
    let other = docker.sleeper(&[]);
    let seen = docker.run(&["--pid", &format!("container:{other}")], &["cat", "/proc/1/cmdline"]).ok().stdout;
    assert_eq!(seen, "sleep\x001000\0");
    docker.remove(&other);
}

fn ipc_namespaces(docker: &Docker) {
    let other =
        docker.detached(&["--ipc", "shareable"], &["sh", "-c", "echo x > /dev/shm/x; exec sleep 1000"]);
    let join = ["--ipc", &format!("container:{other}")];
    assert!(soon(|| docker.run(&join, &["cat", "/dev/shm/x"]).stdout == "x\n"), "/dev/shm is not shared");
    docker.remove(&other);
}

fn uts(docker: &Docker) {
    let here = docker.room.run("hostname", &[]).ok().stdout;
    assert_eq!(docker.run(&["--uts", "host"], &["hostname"]).ok().stdout, here);
}

fn cgroup_namespace(docker: &Docker) {
    let outcome = docker.run(&["--cgroupns", "private"], &["cat", "/proc/self/cgroup"]).ok();
    let inside = outcome.stdout.lines().all(|line| line.ends_with(":/") || line.ends_with(":/.."));
    assert!(inside, "{}", outcome.stdout);
}

fn cgroup_parent(docker: &Docker) {
    let parent = format!("/{}/deeper", docker.room.mark);
    let outcome =
        docker.run(&["--cgroup-parent", &parent, "--cgroupns", "host"], &["cat", "/proc/self/cgroup"]);
    assert!(outcome.ok().stdout.contains(&format!(":{parent}/")));
    docker.room.remove_cgroups("deeper");
}

fn sandbox(docker: &Docker) {
    let name = docker.sleeper(&[]);
    let look = |program: &[&str]| docker.docker(&[&["exec", name.as_str()], program].concat()).ok().stdout;
    assert_eq!(look(&["sh", "-c", "cat /proc/kcore | wc -c"]), "0\n");
    assert!(look(&["cat", "/proc/mounts"]).contains("proc /proc/sys proc ro,"));
    let devices = look(&["ls", "/dev"]);
    let expected = "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero";
    // Not every kernel shows its memory.
    let devices = devices.split_whitespace().filter(|name| *name != "core");
    assert_eq!(devices.collect::<Vec<_>>().join(" "), expected);
    assert_eq!(docker.inspect(&name, "{{.Config.Image}}"), IMAGE);
    docker.remove(&name);
}
