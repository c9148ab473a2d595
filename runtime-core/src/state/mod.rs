//! The past: what later commands read.
