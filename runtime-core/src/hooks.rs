//! Hooks.

/// Hooks of one kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Hooks;
/// A failed hook.
#[derive(Debug, thiserror::Error)]
#[error("hook")]
pub struct HookError;
