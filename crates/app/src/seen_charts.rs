//! Charts' defaults that the app has read lately.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use pilothouse_values::Chart;

use crate::contract::ChartDefaults;

/// How many charts are kept; each text is at most a megabyte.
const MOST: usize = 64;

/// Context, flow and environment, application.
pub(crate) type Place = (String, String, String);

/// A chart as it was read.
#[derive(Clone)]
pub(crate) struct SeenChart {
    /// The tag or branch.
    pub(crate) reference: String,
    pub(crate) defaults: ChartDefaults,
    /// What its defaults and its schema say of each key.
    pub(crate) knowledge: Arc<Chart>,
}

/// The charts, by who uses them.
#[derive(Default)]
pub(crate) struct SeenCharts {
    charts: Mutex<HashMap<Place, SeenChart>>,
}

impl SeenCharts {
    /// Remembers an application's chart.
    pub(crate) fn saw(&self, place: Place, chart: SeenChart) {
        let mut charts = self.charts.lock().unwrap_or_else(PoisonError::into_inner);
        if charts.len() >= MOST {
            charts.clear();
        }
        charts.insert(place, chart);
    }

    /// An application's chart as last read.
    pub(crate) fn get(&self, place: &Place) -> Option<SeenChart> {
        self.charts.lock().unwrap_or_else(PoisonError::into_inner).get(place).cloned()
    }
}
