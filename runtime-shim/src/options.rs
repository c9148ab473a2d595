//! The runtime's options, as containerd hands them on: those that it has for runc.

use std::path::{Path, PathBuf};

use runtime_core::cgroup::{Bus, Driver};
use runtime_core::state::StateRoot;
use serde::{Deserialize, Serialize};

use crate::log;
use crate::protos::protobuf::Message;
use crate::protos::protobuf::well_known_types::any::Any;
use crate::protos::shim::oci;
use crate::refusal::{Doing, Refusal};

/// What containerd calls the message.
const RUNC_OPTIONS: &str = "containerd.runc.v1.Options";

/// Where the state directories of all namespaces are, if nothing else is said.
const ROOT: &str = "/run/containerd/runtime";

/// The file in a bundle that tells `delete` what it has to know.
const FILE: &str = "options.json";

/// How a container is made, apart from what its configuration says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Options {
    /// Where the state directories of all namespaces are.
    pub(crate) root: Option<PathBuf>,
    pub(crate) no_pivot: bool,
    pub(crate) no_new_keyring: bool,
    /// Whether systemd makes cgroups; `None` if nobody has said it.
    pub(crate) systemd: Option<bool>,
    /// Who owns the standard streams.
    pub(crate) stream_owner: Option<(u32, u32)>,
    /// The cgroup of the shim.
    pub(crate) shim_cgroup: Option<String>,
}

impl Options {
    /// Reads the message. One of another kind says nothing.
    ///
    /// # Errors
    /// It can't be understood.
    pub(crate) fn of(message: Option<&Any>) -> Result<Self, Refusal> {
        match message {
            Some(any) if kind(any) == RUNC_OPTIONS => Ok(oci::Options::parse_from_bytes(&any.value)?.into()),
            Some(any) if !any.type_url.is_empty() => {
                log::warn(format!("options of the kind {:?} are ignored", any.type_url));
                Ok(Options::default())
            }
            _ => Ok(Options::default()),
        }
    }

    /// The state directory of the containers of a namespace.
    ///
    /// # Errors
    /// It can't be used.
    pub(crate) fn state_root(&self, namespace: &str) -> Result<StateRoot, Refusal> {
        let root = self.root.as_deref().unwrap_or(Path::new(ROOT));
        Ok(StateRoot::open(&root.join(namespace))?)
    }

    /// Who makes the container's cgroup. Where nobody has said it, `SLICE:PREFIX:NAME` is how systemd is told.
    pub(crate) fn driver(&self, cgroups_path: Option<&Path>) -> Driver {
        let path = cgroups_path.map(Path::to_string_lossy).unwrap_or_default();
        let parts: Vec<&str> = path.split(':').collect();
        let is_unit = matches!(*parts.as_slice(), [slice, _, _] if slice.ends_with(".slice"));
        match self.systemd.unwrap_or(is_unit) {
            true => Driver::Systemd(Bus::System),
            false => Driver::Ourselves,
        }
    }

    /// Keeps them in the bundle, if there are any.
    ///
    /// # Errors
    /// They can't be written.
    pub(crate) fn save(&self, bundle: &Path) -> Result<(), Refusal> {
        if *self == Options::default() {
            return Ok(());
        }
        let path = bundle.join(FILE);
        let text = serde_json::to_vec(self).map_err(|error| Refusal::unknown(error.to_string()))?;
        std::fs::write(&path, text).doing(|| format!("cannot write {}", path.display()))
    }

    /// Those that were kept in the bundle; none if there are none.
    pub(crate) fn saved(bundle: &Path) -> Self {
        let text = std::fs::read(bundle.join(FILE)).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }
}

impl From<oci::Options> for Options {
    fn from(message: oci::Options) -> Self {
        if !message.binary_name.is_empty() {
            log::info(format!("BinaryName {:?} is ignored: no runtime is executed", message.binary_name));
        }
        let said = |text: String| Some(text).filter(|text| !text.is_empty());
        let owner = (message.io_uid, message.io_gid);
        Options {
            root: said(message.root).map(PathBuf::from),
            no_pivot: message.no_pivot_root,
            no_new_keyring: message.no_new_keyring,
            systemd: Some(message.systemd_cgroup),
            stream_owner: Some(owner).filter(|owner| *owner != (0, 0)),
            shim_cgroup: said(message.shim_cgroup),
        }
    }
}

/// The name of the message, without where it is defined.
pub(crate) fn kind(any: &Any) -> &str {
    any.type_url.rsplit('/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(name: &str, message: &oci::Options) -> Any {
        let mut any = Any::new();
        any.type_url = name.into();
        any.value = message.write_to_bytes().unwrap();
        any
    }

    #[test]
    fn runcs_options_are_ours() {
        let message = oci::Options {
            root: "/run/docker".into(),
            no_pivot_root: true,
            systemd_cgroup: true,
            io_uid: 1000,
            shim_cgroup: "/shims".into(),
            binary_name: "/usr/bin/crun".into(),
            ..oci::Options::default()
        };
        for name in ["containerd.runc.v1.Options", "type.googleapis.com/containerd.runc.v1.Options"] {
            let read = Options::of(Some(&packed(name, &message))).unwrap();
            assert_eq!(read.root.as_deref(), Some(Path::new("/run/docker")));
            assert!(read.no_pivot && !read.no_new_keyring);
            assert_eq!((read.stream_owner, read.systemd), (Some((1000, 0)), Some(true)));
            assert_eq!(read.shim_cgroup.as_deref(), Some("/shims"));
        }
    }

    #[test]
    fn others_say_nothing_and_damaged_ones_are_refused() {
        assert_eq!(Options::of(None).unwrap(), Options::default());
        let other = packed("runtimeoptions.v1.Options", &oci::Options::default());
        assert_eq!(Options::of(Some(&other)).unwrap(), Options::default());
        let damaged = Any { type_url: RUNC_OPTIONS.into(), value: vec![0xff], ..Any::default() };
        assert!(Options::of(Some(&damaged)).is_err());
    }

    #[test]
    fn systemd_is_recognised_where_nobody_says_who_makes_cgroups() {
        let unit = Some(Path::new("kubepods-pod1.slice:cri-containerd:abc"));
        let (said, unsaid) = (Options { systemd: Some(false), ..Options::default() }, Options::default());
        assert_eq!(unsaid.driver(unit), Driver::Systemd(Bus::System));
        assert_eq!(
            (said.driver(unit), unsaid.driver(Some(Path::new("/a/b")))),
            (Driver::Ourselves, Driver::Ourselves)
        );
        assert_eq!(unsaid.driver(None), Driver::Ourselves);
    }

    #[test]
    fn what_is_kept_comes_back() {
        let bundle = std::env::temp_dir().join(format!("shim-options-{}", std::process::id()));
        std::fs::create_dir_all(&bundle).unwrap();
        assert_eq!(Options::saved(&bundle), Options::default());
        let options = Options { root: Some("/r".into()), systemd: Some(true), ..Options::default() };
        options.save(&bundle).unwrap();
        assert_eq!(Options::saved(&bundle), options);
        std::fs::remove_dir_all(&bundle).unwrap();
    }
}
