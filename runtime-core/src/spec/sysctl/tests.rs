//! Which kernel parameters a container may have.

use serde_json::json;

use super::*;

#[test]
fn the_first_separator_decides() {
    for (key, path) in [
        ("net.ipv4.ip_forward", "net/ipv4/ip_forward"),
        ("net/ipv4/ip_forward", "net/ipv4/ip_forward"),
        ("net.ipv4.conf.eth0/1.forwarding", "net/ipv4/conf/eth0.1/forwarding"),
        ("net/ipv4/conf/eth0.1/forwarding", "net/ipv4/conf/eth0.1/forwarding"),
        ("kernel", "kernel"),
    ] {
        assert_eq!(sysctl_path(key).unwrap(), path);
    }
}

#[test]
fn no_part_is_empty_or_leads_elsewhere() {
    for key in [
        "",
        ".",
        "/",
        "net.",
        ".net",
        "net..x",
        "/net/x",
        "net//x",
        "net/../kernel/x",
        "net/./x",
        "net/x/",
        "net.//.x",
        "a\0",
    ] {
        let error = sysctl_path(key).unwrap_err();
        assert!(error.problem.contains("is not a valid name"), "{error}");
    }
}

fn spec(namespaces: &[&str], keys: &[&str]) -> Result<Spec, ConfigError> {
    let document = json!({
        "ociVersion": "1.0.0",
        "root": { "path": "rootfs" },
        "process": { "cwd": "/", "args": ["x"] },
        "linux": {
            "namespaces": namespaces.iter().map(|kind| json!({ "type": kind, "path": format!("/ns/{kind}") })).collect::<Vec<_>>(),
            "sysctl": keys.iter().map(|key| ((*key).to_owned(), json!("1"))).collect::<serde_json::Map<_, _>>(),
        },
    });
    Spec::parse(document.to_string().into_bytes())
}

#[test]
fn a_parameter_needs_its_namespace() {
    for (namespace, keys, words) in [
        (
            "ipc",
            &[
                "kernel.msgmax",
                "kernel.msgmnb",
                "kernel.msgmni",
                "kernel.sem",
                "kernel.shmall",
                "kernel.shmmax",
                "kernel.shmmni",
                "kernel.shm_rmid_forced",
                "fs.mqueue.msg_max",
                "kernel/sem",
            ][..],
            "is not allowed in the hosts ipc namespace",
        ),
        ("network", &["net.core.somaxconn", "net/x"], "is not allowed in host network namespace"),
        ("uts", &["kernel.domainname"], "is not in a separate kernel namespace"),
        ("user", &["user.max_user_namespaces"], "is not in a separate kernel namespace"),
    ] {
        for key in keys {
            spec(&[namespace], &[key]).unwrap();
            let error = spec(&["pid"], &[key]).unwrap_err();
            assert!(error.problem.starts_with(&format!("sysctl {key:?} {words}")), "{error}");
            assert_eq!(error.pointer, Pointer::of("/linux/sysctl").child(key));
        }
    }
}

#[test]
fn no_other_parameter_is_let_through() {
    let all = ["ipc", "network", "uts", "user", "pid", "mount"];
    for key in [
        "kernel.core_pattern",
        "vm.swappiness",
        "fs.mqueue",
        "net",
        "kernel",
        "kernel.shmmax2",
        "netx.y",
        "fs.file-max",
    ] {
        let error = spec(&all, &[key]).unwrap_err();
        assert!(error.problem.contains("is not in a separate kernel namespace"), "{error}");
    }
    let error = spec(&all, &["kernel.hostname"]).unwrap_err();
    assert!(error.problem.contains("/hostname sets it"), "{error}");
}

#[test]
fn a_parameter_has_one_value() {
    let error = spec(&["network"], &["net.core.somaxconn", "net/core/somaxconn"]).unwrap_err();
    assert!(error.problem.contains("twice"), "{error}");
}

#[test]
fn the_first_mistake_by_name_is_reported() {
    for _ in 0..20 {
        let error = spec(&[], &["vm.b", "vm.a", "vm.c"]).unwrap_err();
        assert_eq!(error.pointer.as_str(), "/linux/sysctl/vm.a");
    }
}

#[test]
fn a_parameter_concerns_the_namespace_that_it_belongs_to() {
    let spec = spec(&["network", "ipc"], &["net.core.somaxconn"]).unwrap();
    assert!(concern(&spec, Kind::Network));
    assert!(!concern(&spec, Kind::Ipc));
}
