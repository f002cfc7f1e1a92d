//! Values files: where they lie in the GitOps repository, what is wrong with them, what they come to
//! together with a chart's defaults, and edits that leave everything else as it was written.
//!
//! Everything here is pure: text in, text or findings out. Nothing reads a clock, a disk or a cluster.

mod assist;
mod brackets;
mod chart;
mod comments;
mod copying;
mod cursor;
mod diagnostics;
mod difference;
mod editing;
mod effective;
mod error;
mod key_path;
mod lists;
mod matrix;
mod outline;
mod place;
mod places;
mod promotion;
mod reading;
mod removal;
mod scalar;
mod schema;
mod secrets;
mod starter;
mod unused;
mod writing;

pub use assist::{Completion, Hover, completions, hover, key_at};
pub use chart::{Chart, Knowledge, check, validate};
pub use diagnostics::{Diagnostic, Severity, diagnose};
pub use difference::{DiffLine, Hunk, LineKind, TextDiff, diff, diff_within};
pub use editing::{remove_path, set_path};
pub use effective::{EffectiveLine, Parameter, Source, effective, merged};
pub use error::{Error, Result};
pub use key_path::{KeyPath, Segment};
pub use matrix::{Cell, EnvironmentValues, Matrix, MatrixRow, matrix};
pub use place::values_path;
pub use promotion::{Change, LostComment, PromotionRow, Side, apply_promotion, comments_lost, promote};
pub use reading::{LIMIT, read};
pub use scalar::inline;
pub use schema::{SCHEMA_LIMIT, Schema};
pub use starter::create_from_defaults;
pub use unused::keys_without_effect;
