//! A plan as text.

/// A plan's listing.
#[derive(Debug)]
pub struct Listing;
