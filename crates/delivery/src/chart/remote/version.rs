//! Which of a chart's versions is meant: one, or the newest of a range, as Argo CD and Helm read them.

use std::cmp::Ordering;

use semver::{Prerelease, Version};

/// What was asked for: a version, or a range of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// One version, by its text.
    One(String),
    /// The newest in a range.
    Range(Range),
}

/// Ranges of which one has to fit, each a list of bounds that all have to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Range(Vec<Vec<Bound>>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Bound {
    sign: Sign,
    version: Version,
    /// How many of the three numbers are written.
    parts: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sign {
    Equal,
    Differs,
    More,
    Less,
    AtLeast,
    AtMost,
    Tilde,
    Caret,
}

impl Wanted {
    /// Reads a `targetRevision`. Nothing means the newest.
    pub fn parse(text: &str) -> Self {
        let text = text.trim();
        if text.is_empty() {
            return Self::Range(Range(vec![vec![anything()]]));
        }
        let whole = lenient(text).is_some_and(|(_, parts)| parts == 3);
        match Range::parse(text) {
            Some(range) if !whole => Self::Range(range),
            _ => Self::One(text.to_owned()),
        }
    }

    /// Which of the versions it is: the newest in the range, or the very one.
    pub fn choose<'a>(&self, versions: impl Iterator<Item = &'a str>) -> Option<&'a str> {
        match self {
            Self::One(wanted) => {
                let all: Vec<&str> = versions.collect();
                let bare = |text: &str| text.strip_prefix('v').unwrap_or(text).to_owned();
                all.iter()
                    .find(|one| *one == wanted)
                    .or_else(|| all.iter().find(|one| bare(one) == bare(wanted)))
                    .copied()
            }
            Self::Range(range) => {
                let fitting = versions.filter_map(|text| {
                    let (version, _) = lenient(text)?;
                    range.holds(&version).then_some((version, text))
                });
                fitting.max_by(|(one, _), (other, _)| one.cmp_precedence(other)).map(|(_, text)| text)
            }
        }
    }
}

impl Range {
    fn parse(text: &str) -> Option<Self> {
        let all: Option<Vec<Vec<Bound>>> = text.split("||").map(bounds).collect();
        all.map(Self)
    }

    fn holds(&self, version: &Version) -> bool {
        self.0.iter().any(|bounds| {
            // A version before a release is meant only where the range speaks of one.
            let early = bounds.iter().any(|one| !one.version.pre.is_empty());
            (version.pre.is_empty() || early) && bounds.iter().all(|one| one.holds(version))
        })
    }
}

fn bounds(text: &str) -> Option<Vec<Bound>> {
    let text = text.trim();
    if let Some((from, to)) = text.split_once(" - ") {
        let (from, to) = (bound(from.trim())?, bound(to.trim())?);
        let plain = from.sign == Sign::Equal && to.sign == Sign::Equal;
        return plain.then(|| vec![Bound { sign: Sign::AtLeast, ..from }, Bound { sign: Sign::AtMost, ..to }]);
    }
    let mut out = Vec::new();
    let mut sign = String::new();
    for word in text.split([',', ' ']).filter(|word| !word.is_empty()) {
        // A sign may stand apart from its version.
        if word.chars().all(|c| "<>=!~^".contains(c)) {
            sign.push_str(word);
            continue;
        }
        out.push(bound(&format!("{sign}{word}"))?);
        sign.clear();
    }
    (!out.is_empty() && sign.is_empty()).then_some(out)
}

fn bound(text: &str) -> Option<Bound> {
    let at = text.find(|c: char| !"<>=!~^".contains(c))?;
    let (sign, version) = text.split_at(at);
    let sign = match sign {
        "" | "=" => Sign::Equal,
        "!=" => Sign::Differs,
        ">" => Sign::More,
        "<" => Sign::Less,
        ">=" | "=>" => Sign::AtLeast,
        "<=" | "=<" => Sign::AtMost,
        "~" | "~>" => Sign::Tilde,
        "^" => Sign::Caret,
        _ => return None,
    };
    let (version, parts) = lenient(version)?;
    Some(Bound { sign, version, parts })
}

fn anything() -> Bound {
    Bound { sign: Sign::Equal, version: Version::new(0, 0, 0), parts: 0 }
}

/// A version with how many of its numbers are written: `v1.2` is 1.2.0 of two, `1.x` is 1.0.0 of one, `*` of none.
fn lenient(text: &str) -> Option<(Version, usize)> {
    let text = text.strip_prefix('v').unwrap_or(text);
    if let Ok(version) = Version::parse(text) {
        return Some((version, 3));
    }
    let end = text.find(['-', '+']).unwrap_or(text.len());
    let (core, rest) = text.split_at(end);
    let mut numbers = [0; 3];
    let mut parts = 0;
    let mut open = false;
    for (place, word) in core.split('.').enumerate() {
        if matches!(word, "*" | "x" | "X") {
            open = true;
        } else if open {
            return None;
        } else {
            let digits = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
            *numbers.get_mut(place)? = if digits { word.parse().ok()? } else { return None };
            parts = place + 1;
        }
        if place > 2 {
            return None;
        }
    }
    let mut version = Version::new(numbers[0], numbers[1], numbers[2]);
    if let Some(pre) = rest.strip_prefix('-') {
        version.pre = Prerelease::new(pre.split('+').next().unwrap_or(pre)).ok()?;
    }
    Some((version, parts))
}

impl Bound {
    fn holds(&self, version: &Version) -> bool {
        let order = version.cmp_precedence(&self.version);
        let same = |parts: usize| {
            let own = [self.version.major, self.version.minor, self.version.patch];
            [version.major, version.minor, version.patch][..parts] == own[..parts]
        };
        let from = order != Ordering::Less;
        match self.sign {
            Sign::Equal if self.parts == 3 => order == Ordering::Equal,
            Sign::Equal => same(self.parts),
            Sign::Differs if self.parts == 3 => order != Ordering::Equal,
            Sign::Differs => !same(self.parts),
            // More than 1.2 is not 1.2.5.
            Sign::More if self.parts < 3 => from && !same(self.parts),
            Sign::More => order == Ordering::Greater,
            Sign::Less => order == Ordering::Less,
            Sign::AtLeast => from,
            Sign::AtMost => order != Ordering::Greater || (self.parts < 3 && same(self.parts)),
            Sign::Tilde => from && same(self.parts.min(2)),
            Sign::Caret => {
                // The first number that is not nought stays.
                let own = [self.version.major, self.version.minor, self.version.patch];
                let fixed = own.iter().position(|number| *number != 0).map_or(3, |place| place + 1);
                from && same(fixed.min(self.parts))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_ranges_are_read_as_helm_reads_them() {
        let all = [
            "0.2.3",
            "0.2.9",
            "0.3.0",
            "1.0.0",
            "1.2.0",
            "1.2.7",
            "1.10.0",
            "2.0.0-rc.1",
            "2.0.0",
            "v2.1.0",
            "2.2.0-beta",
            "odd",
        ];
        for (wanted, found) in [
            ("1.2.0", Some("1.2.0")),
            ("v1.2.0", Some("1.2.0")),
            ("2.1.0", Some("v2.1.0")),
            ("odd", Some("odd")),
            ("9.9.9", None),
            ("", Some("v2.1.0")),
            ("*", Some("v2.1.0")),
            ("1.x", Some("1.10.0")),
            ("1", Some("1.10.0")),
            ("1.2", Some("1.2.7")),
            ("1.2.*", Some("1.2.7")),
            ("~1.2.0", Some("1.2.7")),
            ("~1", Some("1.10.0")),
            ("^1.2.0", Some("1.10.0")),
            ("^0.2.3", Some("0.2.9")),
            ("^0.2", Some("0.2.9")),
            (">=1.0.0 <1.3.0", Some("1.2.7")),
            (">= 1.0.0, < 1.3.0", Some("1.2.7")),
            (">1.2", Some("v2.1.0")),
            ("<=1.2", Some("1.2.7")),
            ("1.0.0 - 1.2.0", Some("1.2.0")),
            ("<0.1.0 || ~0.2", Some("0.2.9")),
            ("!=2.1.0 >=2.0.0", Some("2.0.0")),
            (">=2.2.0-0", Some("2.2.0-beta")),
            ("2.0.0-rc.1", Some("2.0.0-rc.1")),
            (">9.0.0", None),
        ] {
            assert_eq!(Wanted::parse(wanted).choose(all.iter().copied()), found, "{wanted}");
        }
        for text in ["HEAD", "main", "1.2.3.4", ">>1", "=", "1 - ", "latest"] {
            assert!(matches!(Wanted::parse(text), Wanted::One(_)), "{text}");
        }
    }
}
