//! The list of charts that a Helm repository publishes (`index.yaml`), read for one chart.

use std::fmt;

use pilothouse_cluster::Unfolding;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::super::release::printable;

/// The largest index, in bytes. The largest public ones have some twenty megabytes.
pub(super) const LARGEST_INDEX: usize = 40 * 1024 * 1024;
/// The most versions of one chart that are looked at.
const MOST_VERSIONS: usize = 20_000;

/// One version of a chart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Published {
    pub version: String,
    /// Where its archive is, perhaps relative to the repository.
    pub urls: Vec<String>,
    /// The archive's SHA-256 in hexadecimal, where the index says it.
    pub digest: Option<String>,
}

/// Why an index cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum IndexError {
    /// It is no text.
    #[error("it is not UTF-8 text")]
    Text,
    /// It unfolds to more than is read, or is no such list: the parser's words.
    #[error("{0}")]
    Shape(String),
}

/// The versions of a chart in an index; none when the index does not name the chart.
pub(super) fn versions(index: &str, chart: &str) -> Result<Vec<Published>, IndexError> {
    Unfolding::default().count(index).map_err(|error| IndexError::Shape(error.to_string()))?;
    let read = Top(chart).deserialize(serde_yaml::Deserializer::from_str(index));
    read.map_err(|error| IndexError::Shape(printable(&error.to_string(), 200)))
}

/// The top of the file, of which only `entries` counts.
struct Top<'a>(&'a str);
/// The charts, of which only one counts.
struct Charts<'a>(&'a str);
/// The versions of that chart.
struct Versions;

impl<'de> DeserializeSeed<'de> for Top<'_> {
    type Value = Vec<Published>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Top<'_> {
    type Value = Vec<Published>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the index of a chart repository")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<String>()? {
            if key == "entries" && found.is_none() {
                found = Some(map.next_value_seed(Charts(self.0))?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        found.ok_or_else(|| serde::de::Error::custom("it has no `entries`, so it is no index of a chart repository"))
    }
}

impl<'de> DeserializeSeed<'de> for Charts<'_> {
    type Value = Vec<Published>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Charts<'_> {
    type Value = Vec<Published>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("charts by their names")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = Vec::new();
        while let Some(key) = map.next_key::<String>()? {
            if key == self.0 {
                found = map.next_value_seed(Versions)?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(found)
    }
}

impl<'de> DeserializeSeed<'de> for Versions {
    type Value = Vec<Published>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Versions {
    type Value = Vec<Published>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of versions")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut found = Vec::new();
        // What one entry says wrongly is no reason to do without the others.
        while let Some(one) = list.next_element::<Value>()? {
            let text = |key: &str| one[key].as_str().map(str::to_owned).filter(|text| !text.is_empty());
            let urls = one["urls"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
            if let Some(version) = text("version").filter(|_| found.len() < MOST_VERSIONS) {
                found.push(Published { version, urls: urls.collect(), digest: text("digest") });
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_versions_of_one_chart_are_read() {
        let index = "apiVersion: v1\nentries:\n  other: 7\n  cart:\n  - version: 1.2.0\n    urls: [charts/cart-1.2.0.tgz]\n    \
                     digest: abc\n  - version: 1.1\n  - {version: 1.0.0, urls: 7}\n  nothing:\n";
        let found = versions(index, "cart").unwrap();
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(
            (found[0].urls.as_slice(), found[0].digest.as_deref()),
            (&["charts/cart-1.2.0.tgz".to_owned()][..], Some("abc"))
        );
        assert_eq!(found[1], Published { version: "1.0.0".into(), ..Published::default() });
        for chart in ["nothing", "unknown"] {
            assert_eq!(versions(index, chart).unwrap(), []);
        }
    }

    #[test]
    fn what_is_no_index_is_told() {
        for text in ["<html>login</html>", "", "a: 1\n", "entries: [", "[]"] {
            assert!(versions(text, "cart").is_err(), "{text}");
        }
        let bomb =
            format!("a: &a [{}]\nb: &b [{}]\nc: [{}]\n", "0,".repeat(10_000), "*a,".repeat(100), "*b,".repeat(10_000));
        assert!(versions(&bomb, "cart").is_err());
    }
}
