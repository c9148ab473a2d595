//! `--version`, in the lines that engines look for.

/// The version of this program.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit that it was built from.
pub(crate) const COMMIT: &str = env!("RUNTIME_COMMIT");

// What podman and others look for in the last line.
const FEATURES: &str = "+CAP +SECCOMP +EBPF";

/// Docker and go-runc read the first line as three words and look for `commit: `.
pub(crate) fn text() -> String {
    format!("runtime version {VERSION}\ncommit: {COMMIT}\nspec: 1.3.0\n{FEATURES}\n")
}
