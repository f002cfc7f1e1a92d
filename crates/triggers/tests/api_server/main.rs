//! Triggers against a real API server, with its own controllers rolling workloads out.

// Clippy takes only the functions marked as tests for tests, not what they share.
#![allow(clippy::unwrap_used)]

mod backtests;
mod budgets;
mod changes;
mod defects;
mod guards;
mod images;
mod leaders;
mod litmus;
mod once;
mod place;
mod process;
mod storm;
mod unruly;
mod watched;
mod watches;
mod workloads;
