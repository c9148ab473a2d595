//! Who a process is: user strings, the image's files of users, groups.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;
use std::time::{Duration, Instant};

use integration::attack::Sentinel;
use integration::bundle::shell;
use integration::{Bundle, Test};
use rustix::fs::{CWD, mkfifoat};
use serde_json::json;

use crate::room::{clear, exec, says, sleeping};

const IDS: &str = "echo $(id -u):$(id -g)";

/// An image whose users are named like numbers.
const NUMBERS: &str = "root:x:0:0::/:/bin/sh\n1000:x:0:0::/:/bin/sh\n+1:x:0:0::/:/bin/sh\n 1:x:0:0::/:/bin/sh\n\
    4294967295:x:0:0::/:/bin/sh\n4294967296:x:0:0::/:/bin/sh\n-1:x:0:0::/:/bin/sh\n";

#[test]
fn cve_2016_3697_a_number_is_never_a_name() {
    let test = Test::new();
    let container = sleeping(&test, |_| {});
    let bundle =
        Path::new(&container.state()["bundle"].as_str().unwrap_or_default().to_owned()).join("rootfs");
    fs::write(bundle.join("etc/passwd"), NUMBERS).expect("the root is ours");
    assert_eq!(says(&test, &container, &["--user", "1000"], "id -u"), "1000\n");
    assert_eq!(says(&test, &container, &["--user", "1000:1000"], IDS), "1000:1000\n");
    for odd in ["+1", " 1", "4294967295", "4294967296", "-1"] {
        let outcome = exec(&test, &container, &[&format!("--user={odd}")], &["/bin/sh", "-c", IDS]);
        assert!(!outcome.succeeded() && outcome.stdout.is_empty(), "{odd:?}: {outcome:?}");
    }
}

#[test]
fn cve_2026_30892_a_user_is_the_one_that_was_asked_for() {
    let test = Test::new();
    let container = sleeping(&test, |_| {});
    for (user, ids) in
        [("0", "0:0\n"), ("1", "1:0\n"), ("65534", "65534:0\n"), ("1:2", "1:2\n"), ("0:7", "0:7\n")]
    {
        assert_eq!(says(&test, &container, &["-u", user], IDS), ids, "{user}");
    }
    for odd in ["1:", ":1", "1 ", "1x", "x", "1:2:3", "0x1", "1:x"] {
        let outcome = exec(&test, &container, &["-u", odd], &["/bin/sh", "-c", IDS]);
        assert!(!outcome.succeeded() && outcome.stdout.is_empty(), "{odd:?}: {outcome:?}");
    }
}

#[test]
fn cve_2024_40635_cve_2026_46680_ids_do_not_wrap() {
    let test = Test::new();
    let ids = |uid: serde_json::Value| {
        test.run_with(|config| {
            config["process"]["user"] = json!({"uid": uid, "gid": 7});
            shell(config, IDS);
        })
    };
    for uid in [2_147_483_647_u32, 2_147_483_648, 4_294_967_294] {
        assert_eq!(ids(json!(uid)).ok().stdout, format!("{uid}:7\n"));
    }
    for uid in [json!(4_294_967_295_u64), json!(4_294_967_296_u64), json!(-1), json!(1.5), json!("1000")] {
        let outcome = ids(uid.clone());
        assert!(!outcome.succeeded() && outcome.stdout.is_empty(), "{uid}: {outcome:?}");
    }
    let container = sleeping(&test, |_| {});
    assert_eq!(says(&test, &container, &["-u", "2147483648:4294967294"], IDS), "2147483648:4294967294\n");
}

/// A file that everybody may read but its group must be kept from those in that group.
#[test]
fn cve_2022_2989_cve_2022_36109_cve_2023_25173_groups_are_neither_lost_nor_won() {
    let test = Test::new();
    let script = "id -G; cat /kept >/dev/null 2>&1 && echo read";
    let bundle = test.bundle(|config| {
        config["process"]["user"] = json!({"uid": 1000, "gid": 1001, "additionalGids": [5, 7]});
        config["process"]["args"] = json!(["/bin/sleep", "1000"]);
    });
    let kept = bundle.inside("kept");
    fs::write(&kept, "kept\n").expect("the root is ours");
    fs::set_permissions(&kept, PermissionsExt::from_mode(0o604)).expect("the root is ours");
    let container = test.start(&bundle);
    for (group, said) in [(1001, "1001 5 7\n"), (7, "1001 5 7\n"), (8, "1001 5 7\nread\n")] {
        chown(&kept, Some(0), Some(group)).expect("the root is ours");
        assert_eq!(says(&test, &container, &[], script), said, "group {group}, exec");
        let mut bundle: Bundle = bundle.clone();
        bundle.config["linux"]["cgroupsPath"] = json!(format!("/{}/{}", test.mark, test.fresh()));
        bundle.edit(|config| shell(config, &format!("{script}; true")));
        assert_eq!(test.run(&bundle).ok().stdout, said, "group {group}, run");
    }
    chown(&kept, Some(0), Some(9)).expect("the root is ours");
    assert_eq!(says(&test, &container, &["-u", "3:9", "-g", "6"], script), "9 5 6 7\n");
}

/// Makes a file at a path.
type Make<'a> = Box<dyn Fn(&Path) + 'a>;

/// What an image may have for its files of users.
fn odd_files(sentinel: &Sentinel) -> [(&'static str, Make<'_>); 5] {
    [
        ("a pipe", Box::new(|path| mkfifoat(CWD, path, 0o666.into()).expect("a pipe can be made"))),
        ("a directory", Box::new(|path| fs::create_dir(path).expect("a directory can be made"))),
        ("endless", Box::new(|path| symlink("/dev/zero", path).expect("a link can be made"))),
        (
            "two gigabytes",
            Box::new(|path| {
                let file = fs::File::create(path).expect("the root is ours");
                file.set_len(2 << 30).expect("a file may have holes");
            }),
        ),
        ("the host's", Box::new(|path| symlink(sentinel.join("passwd"), path).expect("a link can be made"))),
    ]
}

#[test]
fn cve_2024_9676_cve_2026_47262_odd_files_of_users_keep_nobody_waiting() {
    let test = Test::new();
    let sentinel = Sentinel::new(&test);
    for (what, make) in odd_files(&sentinel) {
        let bundle = test.bundle(|config| {
            config["process"]["user"] = json!({"uid": 1000, "gid": 1000});
            shell(config, "echo $HOME; sleep 1000");
        });
        for name in ["etc/passwd", "etc/group"] {
            clear(&bundle, name);
            make(&bundle.inside(name));
        }
        let start = Instant::now();
        let container = test.start(&bundle);
        container.has_said("/");
        assert_eq!(says(&test, &container, &["-u", "1000"], "echo $HOME"), "/\n", "{what}");
        assert!(start.elapsed() < Duration::from_secs(10), "{what}: {:?}", start.elapsed());
        sentinel.is_untouched();
    }
}
