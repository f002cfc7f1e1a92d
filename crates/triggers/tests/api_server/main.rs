//! Triggers against a real API server, with its own controllers rolling workloads out.

// Clippy takes only the functions marked as tests for tests, not what they share.
#![allow(clippy::unwrap_used)]

mod changes;
mod guards;
mod images;
mod litmus;
mod once;
mod place;
