//! Texts the app has read lately: what an editor started from, and charts' defaults.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use crate::contract::ChartDefaults;

/// How many texts of each sort are kept; each is at most a megabyte.
const MOST: usize = 64;

/// The texts, by where they came from.
#[derive(Default)]
pub(crate) struct SeenTexts {
    blobs: Mutex<HashMap<String, String>>,
    charts: Mutex<HashMap<(String, String, String), (String, ChartDefaults)>>,
}

impl SeenTexts {
    /// Remembers a file's text under its content id.
    pub(crate) fn saw(&self, blob: &str, text: &str) {
        let mut blobs = self.blobs.lock().unwrap_or_else(PoisonError::into_inner);
        if blobs.len() >= MOST {
            blobs.clear();
        }
        blobs.insert(blob.to_owned(), text.to_owned());
    }

    /// The text under a content id.
    pub(crate) fn text(&self, blob: &str) -> Option<String> {
        self.blobs.lock().unwrap_or_else(PoisonError::into_inner).get(blob).cloned()
    }

    /// Remembers an application's defaults, and from which reference they were read.
    pub(crate) fn saw_chart(&self, place: (String, String, String), reference: &str, defaults: &ChartDefaults) {
        let mut charts = self.charts.lock().unwrap_or_else(PoisonError::into_inner);
        if charts.len() >= MOST {
            charts.clear();
        }
        charts.insert(place, (reference.to_owned(), defaults.clone()));
    }

    /// An application's defaults as last read, with the reference.
    pub(crate) fn chart(&self, place: &(String, String, String)) -> Option<(String, ChartDefaults)> {
        self.charts.lock().unwrap_or_else(PoisonError::into_inner).get(place).cloned()
    }
}
