//! Bundles that others made: the template, an unpacked image, and what engines really asked for.
//!
//! `tests/data` holds configurations as the engines wrote them, with paths made generic: `/bundle/sources` stands for a
//! directory with a file for each file that they bind.

use std::fs;
use std::path::Path;
use std::process::Command;

use integration::expected::{Expected, probe};
use integration::runtime::find;
use integration::test::text;
use integration::{Test, World, promise};
use serde_json::{Value, json};

/// The configurations of the engines, with their names.
const ENGINES: [(&str, &str); 3] = [
    ("podman", include_str!("data/podman-config.json")),
    ("docker", include_str!("data/docker-config.json")),
    ("umoci", include_str!("data/umoci-config.json")),
];

const SOURCES: &str = "/bundle/sources";

#[test]
fn the_template_runs() {
    let test = Test::new();
    let mut bundle = test.bundle(|_| ());
    fs::remove_file(bundle.path.join("config.json")).expect("there was one");
    test.runtime(&["spec", "--bundle", &text(&bundle.path)]).ok();
    bundle.config = read(&bundle.path.join("config.json"));
    bundle.edit(|config| {
        config["process"]["terminal"] = json!(false);
        config["process"]["args"] = json!(["sh", "-c", "echo $$ in $(cat /proc/sys/kernel/hostname)"]);
        config["linux"]["cgroupsPath"] = json!(format!("/{}/template", test.mark));
    });
    let name = bundle.config["hostname"].as_str().expect("the template names its host").to_owned();
    assert_eq!(test.run(&bundle).ok().stdout, format!("1 in {name}\n"));
}

#[test]
fn what_engines_ask_for_is_what_the_container_gets() {
    let Some(world) = World::with("memory") else { return };
    for (engine, config) in ENGINES {
        let test = Test::at(world);
        let sources = test.directory.join("sources");
        fs::create_dir(&sources).expect("a directory can be made");
        let (config, seen) = probe(&test, |ours| {
            let mut theirs = adapted(config, &sources);
            theirs["linux"]["cgroupsPath"] = ours["linux"]["cgroupsPath"].take();
            *ours = theirs;
        });
        let differences = Expected::of(&config).differences(&seen);
        promise(&format!("a container of {engine}"), || assert!(differences.is_empty(), "{differences:#?}"));
    }
}

/// An engine's configuration whose bind mounts have sources: directories for what are directories there, files for the
/// rest.
fn adapted(config: &str, sources: &Path) -> Value {
    let mut config: Value =
        serde_json::from_str(&config.replace(SOURCES, &text(sources))).expect("it is JSON");
    // Of a terminal, and of the engine's own programs, we have none.
    config["process"]["terminal"] = json!(false);
    for hook in config.pointer_mut("/hooks/prestart").and_then(Value::as_array_mut).into_iter().flatten() {
        hook["path"] = json!("/bin/true");
    }
    for mount in config["mounts"].as_array().into_iter().flatten() {
        let source = Path::new(mount["source"].as_str().unwrap_or_default());
        let made = match source.file_name().unwrap_or_default().to_str() {
            _ if !source.starts_with(sources) => Ok(()),
            Some("data" | "shm") => fs::create_dir_all(source),
            _ => fs::write(source, ""),
        };
        made.expect("a source can be made");
    }
    config
}

/// A tiny image, made and unpacked by the reference tool for images, where that is installed.
#[test]
fn an_unpacked_image_runs() {
    let Some(umoci) = find(Path::new("umoci")) else {
        eprintln!("umoci is not installed: images are not checked");
        return;
    };
    let test = Test::new();
    let rootfs = test.bundle(|_| ()).inside("/");
    let image = format!("{}:tiny", text(&test.directory.join("layout")));
    let unpacked = test.directory.join("unpacked");
    let layout = text(&test.directory.join("layout"));
    let entry =
        ["--config.entrypoint", "/bin/sh", "--config.cmd", "-c", "--config.cmd", "echo $COLOR in $PWD"];
    let settings = ["--config.env", "COLOR=blue", "--config.workingdir", "/tmp"];
    let commands: [&[&str]; 5] = [
        &["init", "--layout", &layout],
        &["new", "--image", &image],
        &["insert", "--image", &image, &text(&rootfs), "/"],
        &[&["config", "--image", &image], &entry[..], &settings].concat(),
        &["unpack", "--image", &image, &text(&unpacked)],
    ];
    for arguments in commands {
        let output = Command::new(&umoci).args(arguments).output().expect("umoci can be started");
        assert!(output.status.success(), "{arguments:?}: {output:?}");
    }
    let mut config = read(&unpacked.join("config.json"));
    config["process"]["terminal"] = json!(false);
    config["linux"]["cgroupsPath"] = json!(format!("/{}/image", test.mark));
    fs::write(unpacked.join("config.json"), config.to_string()).expect("it can be written");
    let outcome = test.runtime(&["run", "--bundle", &text(&unpacked), &test.fresh()]).ok();
    assert_eq!(outcome.stdout, "blue in /tmp\n");
}

fn read(path: &Path) -> Value {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).expect("a configuration is JSON")
}
