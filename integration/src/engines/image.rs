//! An image from nothing but busybox: there is no registry here.

use std::path::Path;
use std::process::Command;

use serde_json::json;

use crate::engines::Room;

/// The name by which engines know the image.
pub const IMAGE: &str = "localhost/busybox:latest";

/// What the image does when nothing else is said; a pod's sandbox is kept by it.
const PROGRAM: [&str; 2] = ["/bin/sleep", "100000"];

/// Writes the root file system as a tar file, and gives its path in the room.
///
/// # Panics
/// When busybox-static is not installed.
pub fn rootfs(room: &Room) -> String {
    let root = room.directory("rootfs");
    for directory in ["bin", "etc", "tmp", "proc", "sys", "dev", "root"] {
        room.directory(&format!("rootfs/{directory}"));
    }
    room.write("rootfs/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/tmp:/bin/sh\n");
    room.write("rootfs/etc/group", "root:x:0:\nuser:x:1000:\nextra:x:2000:user\n");
    room.run("cp", &["/bin/busybox", &format!("{root}/bin/busybox")]).ok();
    room.run("chroot", &[&root, "/bin/busybox", "--install", "-s", "/bin"]).ok();
    room.run("chmod", &["1777", &format!("{root}/tmp")]).ok();
    let tar = room.path("rootfs.tar");
    room.run("tar", &["--create", "--numeric-owner", "--file", &tar, "--directory", &root, "."]).ok();
    tar
}

/// Writes the image in the layout of the OCI image specification, as a tar file, and gives its path in the room.
pub fn archive(room: &Room) -> String {
    let layer = blob(room, &std::fs::read(room.outside(&rootfs(room))).expect("the layer was written"));
    let config = json!({
        "architecture": "amd64", "os": "linux", "config": {"Cmd": PROGRAM, "Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [layer["digest"]]}
    });
    let config = blob(room, config.to_string().as_bytes());
    let manifest = json!({
        "schemaVersion": 2,
        "config": described(&config, "application/vnd.oci.image.config.v1+json"),
        "layers": [described(&layer, "application/vnd.oci.image.layer.v1.tar")]
    });
    let manifest = blob(room, manifest.to_string().as_bytes());
    let mut manifest = described(&manifest, "application/vnd.oci.image.manifest.v1+json");
    manifest["annotations"] = json!({"io.containerd.image.name": IMAGE});
    room.write("image/index.json", json!({"schemaVersion": 2, "manifests": [manifest]}).to_string());
    room.write("image/oci-layout", json!({"imageLayoutVersion": "1.0.0"}).to_string());
    let (tar, directory) = (room.path("image.tar"), room.path("image"));
    room.run("tar", &["--create", "--file", &tar, "--directory", &directory, "."]).ok();
    tar
}

/// Writes a blob under its digest.
fn blob(room: &Room, content: &[u8]) -> serde_json::Value {
    let path = room.write("blob", content);
    let digest = room.run("sha256sum", &[&path]).ok().stdout;
    let digest = digest.split(' ').next().unwrap_or_default();
    room.directory("image/blobs/sha256");
    room.run("mv", &[&path, &room.path(&format!("image/blobs/sha256/{digest}"))]).ok();
    json!({"digest": format!("sha256:{digest}"), "size": content.len()})
}

fn described(blob: &serde_json::Value, kind: &str) -> serde_json::Value {
    json!({"mediaType": kind, "digest": blob["digest"], "size": blob["size"]})
}

/// Whether a program is installed.
pub fn is_installed(program: &str) -> bool {
    let found = Command::new("sh").args(["-c", "command -v \"$0\"", program]).output();
    found.is_ok_and(|output| output.status.success()) || Path::new(program).is_file()
}
