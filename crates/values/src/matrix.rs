//! One application's effective values across its environments, where they differ.

use std::collections::HashMap;

use serde_json::{Map, Value};

use crate::effective::{Parameter, Passed, Source, merged};
use crate::key_path::KeyPath;

/// What one environment's release is made of.
#[derive(Debug, Clone, Copy)]
pub struct EnvironmentValues<'a> {
    /// The environment.
    pub name: &'a str,
    /// The chart's defaults at the revision deployed there.
    pub defaults: &'a Value,
    /// The values file; null when the environment has none.
    pub file: &'a Value,
    /// The parameters of the deploy.
    pub parameters: &'a [Parameter],
}

/// One environment's value of a key.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cell {
    /// A scalar, a list, or an empty mapping.
    pub value: Value,
    /// Where it comes from.
    pub source: Source,
}

/// A key path whose value is not the same in all environments.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MatrixRow {
    /// The key path.
    pub path: String,
    /// One cell for each environment, in the order of [`Matrix::environments`]; `None` where the key does not exist.
    pub cells: Vec<Option<Cell>>,
}

/// The differences between environments.
#[derive(Debug, Clone, PartialEq, Default, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Matrix {
    /// The environments, in the order given.
    pub environments: Vec<String>,
    /// The key paths that differ, in the order in which they are first met.
    pub rows: Vec<MatrixRow>,
    /// The number of key paths that are the same everywhere.
    pub same: usize,
}

/// Merges each environment's values as Helm does and keeps the key paths that differ. A list is one value.
pub fn matrix(environments: &[EnvironmentValues<'_>]) -> Matrix {
    let mut order: Vec<KeyPath> = Vec::new();
    let mut cells: HashMap<KeyPath, Vec<Option<Cell>>> = HashMap::new();
    for (place, one) in environments.iter().enumerate() {
        let nothing = Value::Object(Map::new());
        let file = if one.file.is_object() { one.file } else { &nothing };
        let passed = Passed::new(one.parameters);
        let inside = Passed::above(one.parameters);
        leaves(&merged(one.defaults, file, one.parameters), &KeyPath::root(), &mut |path, value| {
            let source = if passed.decide(path) || inside.contains(path) {
                Source::Parameter
            } else if crate::effective::comes_from(path, file) {
                Source::File
            } else {
                Source::Default
            };
            let row = cells.entry(path.clone()).or_insert_with(|| {
                order.push(path.clone());
                vec![None; environments.len()]
            });
            row[place] = Some(Cell { value: value.clone(), source });
        });
    }
    let mut out =
        Matrix { environments: environments.iter().map(|one| one.name.to_owned()).collect(), ..Matrix::default() };
    for path in order {
        let Some(cells) = cells.remove(&path) else { continue };
        let first = cells.first().and_then(|cell| cell.as_ref().map(|cell| &cell.value));
        if cells.iter().all(|cell| cell.as_ref().map(|cell| &cell.value) == first) {
            out.same += 1;
        } else {
            out.rows.push(MatrixRow { path: path.to_string(), cells });
        }
    }
    out
}

fn leaves(value: &Value, path: &KeyPath, emit: &mut impl FnMut(&KeyPath, &Value)) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, value) in map {
                leaves(value, &path.key(key), emit);
            }
        }
        _ if path.segments().is_empty() => {}
        leaf => emit(path, leaf),
    }
}
