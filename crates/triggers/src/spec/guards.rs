//! The guards of a trigger: what must hold before a run is started.

use crate::error::Reason;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, ToSpan};
use serde::{Deserialize, Serialize};

/// What must hold before a run is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Guards {
    /// Wait until the rollout of the change is complete.
    pub wait_for_rollout: bool,
    /// Seconds after which a change whose rollout is not complete is passed over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollout_timeout_seconds: Option<u32>,
    /// Seconds to wait after the rollout.
    pub soak_seconds: u32,
    /// Seconds after a run for a workload in which its changes are passed over.
    pub cooldown_seconds: u32,
    /// The most runs this trigger starts within 24 hours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_per_day: Option<u32>,
    /// When no run is started; changes wait until it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quiet_hours: Option<QuietHours>,
    /// Which other runs must have ended.
    #[serde(skip_serializing_if = "is_default")]
    pub exclusive: Exclusive,
    /// How many of the workload's replicas must be ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_ready_replicas: Option<u32>,
    /// Wait while a PodDisruptionBudget of the workload's pods allows none to go.
    #[serde(skip_serializing_if = "is_default")]
    pub respect_disruption_budget: bool,
    /// Wait for a person's word before each run.
    #[serde(skip_serializing_if = "is_default")]
    pub approval: bool,
    /// Only tell what would be run.
    #[serde(skip_serializing_if = "is_default")]
    pub dry_run: bool,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Default for Guards {
    fn default() -> Self {
        Self {
            wait_for_rollout: true,
            rollout_timeout_seconds: None,
            soak_seconds: 0,
            cooldown_seconds: 0,
            max_per_day: None,
            quiet_hours: None,
            exclusive: Exclusive::default(),
            min_ready_replicas: None,
            respect_disruption_budget: false,
            approval: false,
            dry_run: false,
        }
    }
}

/// Which runs that triggers started must have ended before the next one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Exclusive {
    /// Those for the same workload, of whichever trigger.
    #[default]
    Workload,
    /// Those of the same trigger too.
    Trigger,
    /// All.
    All,
}

/// Times of the week in which nothing is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QuietHours {
    /// The IANA name of the time zone, such as `Europe/Kyiv`.
    pub time_zone: String,
    /// The windows.
    pub windows: Vec<QuietWindow>,
}

/// One window of quiet hours.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct QuietWindow {
    /// The days on which it begins; empty means every day.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<Weekday>,
    /// When it begins, as `22:00`.
    pub from: String,
    /// When it ends, as `06:00`; not later than it begins means the day after.
    pub to: String,
}

/// A day of the week.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Weekday {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

impl Weekday {
    fn is(self, day: jiff::civil::Weekday) -> bool {
        self as i8 == day.to_monday_zero_offset()
    }
}

/// A time of the day, as `HH:MM`.
pub(crate) fn clock(text: &str) -> Option<Time> {
    let (hours, minutes) = text.split_once(':')?;
    let two = |text: &str| (text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok());
    Time::new(two(hours)??, two(minutes)??, 0, 0).ok()
}

impl QuietHours {
    /// The end of the quiet that a moment is in; none when it is not in any. Windows that touch are one.
    ///
    /// # Errors
    /// When the zone or a time of day is not known, in words.
    pub fn until(&self, now: Timestamp) -> Result<Option<Timestamp>, Reason> {
        let zone = self.zone()?;
        let mut until = None;
        // Each turn goes at least to the end of a window; a week of windows that touch has no end worth telling.
        for _ in 0..self.windows.len().saturating_mul(8).max(1) {
            let at = until.unwrap_or(now);
            let mut ends = Vec::new();
            for window in &self.windows {
                ends.extend(window.end(at, &zone)?);
            }
            match ends.into_iter().max() {
                Some(end) if until.is_none_or(|known| end > known) => until = Some(end),
                _ => break,
            }
        }
        Ok(until)
    }

    pub(crate) fn zone(&self) -> Result<TimeZone, Reason> {
        TimeZone::get(&self.time_zone)
            .map_err(|_| format!("the time zone {} is not known", self.time_zone))
            .map_err(Reason::from)
    }
}

impl QuietWindow {
    /// Its end, if a moment is in it.
    fn end(&self, now: Timestamp, zone: &TimeZone) -> Result<Option<Timestamp>, Reason> {
        let read = |text: &str| clock(text).ok_or_else(|| format!("{text} is no time of day"));
        let (from, to) = (read(&self.from)?, read(&self.to)?);
        let today = now.to_zoned(zone.clone()).date();
        let begins = |day: Date| self.days.is_empty() || self.days.iter().any(|one| one.is(day.weekday()));
        let at = |day: Date, time: Time| day.to_datetime(time).to_zoned(zone.clone()).map(|zoned| zoned.timestamp());
        let one: Span = 1.day();
        let yesterday = today.saturating_sub(one);
        for day in [yesterday, today] {
            let last = if to <= from { day.saturating_add(one) } else { day };
            let (Ok(start), Ok(end)) = (at(day, from), at(last, to)) else { continue };
            if begins(day) && start <= now && now < end {
                return Ok(Some(end));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn until(hours: &QuietHours, now: &str) -> Option<String> {
        hours.until(now.parse().unwrap()).unwrap().map(|end| end.to_string())
    }

    #[test]
    fn quiet_hours_follow_the_zone_over_midnight_and_over_the_change_of_clocks() {
        let window = |days: &[Weekday], from: &str, to: &str| QuietWindow {
            days: days.to_vec(),
            from: from.into(),
            to: to.into(),
        };
        let nights = QuietHours { time_zone: "Europe/Kyiv".into(), windows: vec![window(&[], "22:00", "06:00")] };
        // Winter: two hours ahead of UTC; summer: three.
        assert_eq!(until(&nights, "2026-01-10T19:59:59Z"), None);
        assert_eq!(until(&nights, "2026-01-10T20:00:00Z").as_deref(), Some("2026-01-11T04:00:00Z"));
        assert_eq!(until(&nights, "2026-01-11T03:59:59Z").as_deref(), Some("2026-01-11T04:00:00Z"));
        assert_eq!(until(&nights, "2026-01-11T04:00:00Z"), None);
        assert_eq!(until(&nights, "2026-07-10T19:30:00Z").as_deref(), Some("2026-07-11T03:00:00Z"));
        // The night in which clocks go forward: it ends by the new time.
        assert_eq!(until(&nights, "2026-03-28T21:00:00Z").as_deref(), Some("2026-03-29T03:00:00Z"));
        // From Friday evening to Monday morning, in windows that touch.
        let weekend = QuietHours {
            time_zone: "UTC".into(),
            windows: vec![
                window(&[Weekday::Fri], "18:00", "00:00"),
                window(&[Weekday::Sat, Weekday::Sun], "00:00", "00:00"),
            ],
        };
        assert_eq!(until(&weekend, "2026-11-20T17:59:00Z"), None);
        assert_eq!(until(&weekend, "2026-11-20T18:00:00Z").as_deref(), Some("2026-11-23T00:00:00Z"));
        assert_eq!(until(&weekend, "2026-11-23T00:00:00Z"), None);
        let unknown = QuietHours { time_zone: "Mars/Olympus".into(), windows: vec![] };
        assert!(unknown.until(Timestamp::UNIX_EPOCH).is_err());
        assert!(clock("24:00").is_none() && clock("9:00").is_none() && clock("+9:00").is_none());
    }
}
