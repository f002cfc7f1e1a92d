//! Tests that cannot run on a machine: libtest cannot skip at run time, so each says why and is counted as skipped.

use std::fmt::Display;
use std::io::Write as _;

/// Says that a test could not run here and why: to the reader, and to the task that counts the tests.
pub fn skipped(test: &str, why: &dyn Display) {
    let line = format!("{test}: {why}\n");
    let mut stdout = std::io::stdout();
    let _ = write!(stdout, "skipped: {line}");
    if let Some(list) = std::env::var_os("PILOTHOUSE_SKIPPED") {
        let file = std::fs::File::options().append(true).create(true).open(list);
        let _ = file.and_then(|mut list| list.write_all(line.as_bytes()));
    }
}
