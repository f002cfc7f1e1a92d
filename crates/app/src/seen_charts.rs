//! Charts' defaults that the app has read lately.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
};

use crate::contract::ChartDefaults;

/// How many texts are kept; each is at most a megabyte.
const MOST: usize = 64;

/// Context, flow and environment, application.
pub(crate) type Place = (String, String, String);

/// The defaults, by where they came from.
#[derive(Default)]
pub(crate) struct SeenCharts {
    charts: Mutex<HashMap<Place, (String, ChartDefaults)>>,
}

impl SeenCharts {
    /// Remembers an application's defaults, and from which reference they were read.
    pub(crate) fn saw(&self, place: Place, reference: &str, defaults: &ChartDefaults) {
        let mut charts = self.charts.lock().unwrap_or_else(PoisonError::into_inner);
        if charts.len() >= MOST {
            charts.clear();
        }
        charts.insert(place, (reference.to_owned(), defaults.clone()));
    }

    /// An application's defaults as last read, with the reference.
    pub(crate) fn get(&self, place: &Place) -> Option<(String, ChartDefaults)> {
        self.charts.lock().unwrap_or_else(PoisonError::into_inner).get(place).cloned()
    }
}
