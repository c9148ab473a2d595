//! Control groups: one list of knobs, two back ends (version 1 and version 2).

/// The hierarchies that this host mounts.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Hierarchies;
/// Where a container's cgroup is.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct Paths;
/// One limit.
#[derive(Debug, Clone, PartialEq)]
pub struct Knob;
/// Device rules.
#[derive(Debug, Clone, PartialEq)]
pub struct DeviceRules;
