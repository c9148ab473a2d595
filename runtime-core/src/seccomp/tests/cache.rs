//! What is kept between runs, and what is done with damaged files.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use serde_json::json;

use super::super::cache;
use super::*;

/// A directory of the test's own, gone afterwards.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let name = format!("seccomp-{}-{}", std::process::id(), COUNTER.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Scratch(path)
    }

    fn cache(&self) -> PathBuf {
        self.0.join(".cache/seccomp")
    }

    fn only_file(&self) -> PathBuf {
        let files: Vec<_> = fs::read_dir(self.cache()).unwrap().collect();
        assert_eq!(files.len(), 1);
        files.into_iter().next().unwrap().unwrap().path()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn docker() -> Profile {
    Profile::plan(&docker_size(), true).unwrap()
}

/// Whether loading leaves the file alone, that is, takes its word.
fn is_hit(profile: &Profile, scratch: &Scratch, file: &Path) -> bool {
    let before = fs::symlink_metadata(file).unwrap().ino();
    assert_eq!(cache::load(profile, &scratch.cache()).unwrap(), profile.compile().unwrap());
    fs::symlink_metadata(file).unwrap().ino() == before
}

#[test]
fn a_second_load_is_a_hit() {
    let (scratch, profile) = (Scratch::new(), docker());
    cache::load(&profile, &scratch.cache()).unwrap();
    let file = scratch.only_file();
    assert!(is_hit(&profile, &scratch, &file));
    let mode = fs::metadata(&file).unwrap().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn damage_is_a_miss() {
    let (scratch, profile) = (Scratch::new(), docker());
    cache::load(&profile, &scratch.cache()).unwrap();
    let file = scratch.only_file();
    let sound = fs::read(&file).unwrap();
    let mut places: Vec<usize> = (0..32).collect();
    places.extend([sound.len() / 3, sound.len() - 9, sound.len() - 1]);
    for place in places {
        let mut damaged = sound.clone();
        damaged[place] ^= 0x10;
        fs::write(&file, damaged).unwrap();
        assert!(!is_hit(&profile, &scratch, &file), "byte {place}");
    }
    for length in [0, 1, 31, 32, sound.len() - 8, sound.len() - 1] {
        fs::write(&file, &sound[..length]).unwrap();
        assert!(!is_hit(&profile, &scratch, &file), "cut to {length}");
    }
    fs::write(&file, [&sound[..], &[0; 8]].concat()).unwrap();
    assert!(!is_hit(&profile, &scratch, &file), "with more at the end");
    assert_eq!(fs::read(&file).unwrap(), sound);
}

#[test]
fn what_others_may_write_is_a_miss() {
    let (scratch, profile) = (Scratch::new(), docker());
    cache::load(&profile, &scratch.cache()).unwrap();
    let file = scratch.only_file();
    for mode in [0o620, 0o602] {
        fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        assert!(!is_hit(&profile, &scratch, &file), "{mode:o}");
    }
    let elsewhere = scratch.0.join("elsewhere");
    fs::rename(&file, &elsewhere).unwrap();
    symlink(&elsewhere, &file).unwrap();
    assert!(!is_hit(&profile, &scratch, &file), "a symbolic link");
    if rustix::process::geteuid().is_root() {
        std::os::unix::fs::chown(&file, Some(1), None).unwrap();
        assert!(!is_hit(&profile, &scratch, &file), "somebody else's");
    }
    fs::remove_file(&file).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, &file, 0o600.into()).unwrap();
    assert!(!is_hit(&profile, &scratch, &file), "a pipe");
}

#[test]
fn another_profile_under_the_same_name_is_a_miss() {
    let (scratch, profile) = (Scratch::new(), docker());
    let other = self::profile(json!({"defaultAction": "SCMP_ACT_ALLOW"}));
    cache::load(&other, &scratch.cache()).unwrap();
    let others = scratch.only_file();
    cache::load(&profile, &scratch.cache()).unwrap();
    let files = fs::read_dir(scratch.cache()).unwrap().map(|entry| entry.unwrap().path());
    let file = files.into_iter().find(|file| *file != others).unwrap();
    fs::copy(&others, &file).unwrap();
    assert!(!is_hit(&profile, &scratch, &file));
}

#[test]
fn a_cache_that_cannot_be_written_is_no_error() {
    let (scratch, profile) = (Scratch::new(), docker());
    fs::write(scratch.0.join(".cache"), "in the way").unwrap();
    assert_eq!(cache::load(&profile, &scratch.cache()).unwrap(), profile.compile().unwrap());
}

#[test]
fn the_oldest_files_go() {
    let scratch = Scratch::new();
    fs::create_dir_all(scratch.cache()).unwrap();
    for index in 0..300 {
        let file = fs::File::create(scratch.cache().join(index.to_string())).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(index)).unwrap();
    }
    cache::load(&docker(), &scratch.cache()).unwrap();
    assert_eq!(fs::read_dir(scratch.cache()).unwrap().count(), 256);
    assert!(!scratch.cache().join("44").exists());
    assert!(scratch.cache().join("45").exists());
}

#[test]
fn threads_agree() {
    let (scratch, profile) = (Scratch::new(), docker());
    let expected = profile.compile().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(cache::load(&profile, &scratch.cache()).unwrap(), expected));
            scope.spawn(|| assert_eq!(profile.compile().unwrap(), expected));
        }
    });
    assert!(is_hit(&profile, &scratch, &scratch.only_file()));
}

/// Prints what planning, compiling and a hit cost: `cargo test --release -- --ignored --nocapture cost`.
#[test]
#[ignore = "a measurement"]
fn cost() {
    let (scratch, seccomp) = (Scratch::new(), docker_size());
    let profile = docker();
    cache::load(&profile, &scratch.cache()).unwrap();
    let median = |work: &mut dyn FnMut()| {
        let mut times: Vec<_> = (0..501)
            .map(|_| {
                let start = Instant::now();
                work();
                start.elapsed()
            })
            .collect();
        times.sort();
        times[250]
    };
    let plan = median(&mut || drop(Profile::plan(&seccomp, true)));
    let compile = median(&mut || drop(profile.compile()));
    let hit = median(&mut || drop(cache::load(&profile, &scratch.cache())));
    let length = profile.compile().unwrap().len() / 8;
    println!("plan {plan:?}, compile {compile:?}, hit {hit:?}, {length} instructions");
}
