//! When a workflow is to run by its own schedule: the cron lines of a `CronWorkflow`, the times of a `ChaosSchedule`.
//!
//! Cron is read as robfig/cron v3 reads it, which is what Argo uses: five fields or a descriptor. Where clocks go
//! forward a time that does not exist is left out, and where they go back a time that comes twice counts once.

use crate::error::Reason;
use jiff::civil::{Date, Weekday};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use crate::document::{DocumentKind, WorkflowDocument};

/// How late a run may still start when its document does not say.
const GRACE: SignedDuration = SignedDuration::from_secs(60);
/// The latest that a document may ask for.
const MAX_GRACE: SignedDuration = SignedDuration::from_hours(24);
/// How far ahead a next time is looked for, in days; the rarest that cron can say is the 29th of February.
const HORIZON_DAYS: usize = 8 * 366;
/// How many missed times are counted one by one.
const COUNTED: u32 = 1000;

/// A schedule that can be followed.
#[derive(Debug, Clone)]
pub struct Schedule {
    rules: Vec<Rule>,
    zone: TimeZone,
    from: Option<Timestamp>,
    until: Option<Timestamp>,
    grace: SignedDuration,
    /// Whether a run may start while another of the same workflow goes on.
    pub overlaps: bool,
    /// Whether the document says that nothing is to be started for now.
    pub suspended: bool,
    words: String,
}

#[derive(Debug, Clone)]
enum Rule {
    Cron(Box<Cron>),
    Every(SignedDuration),
    Once(Timestamp),
}

/// What is to be done about a schedule now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// Nothing before this time; `None` when it is over.
    Wait(Option<Timestamp>),
    /// The time has come, and `missed` earlier ones went by.
    Run {
        /// The time that has come.
        tick: Timestamp,
        /// How many earlier ones nobody was there for.
        missed: u32,
    },
    /// Times went by while nobody was there, and it is too late for the last of them.
    Missed {
        /// The last of them.
        last: Timestamp,
        /// How many; [`COUNTED`] stands for that many or more.
        missed: u32,
    },
}

impl Schedule {
    /// The schedule of a document.
    ///
    /// # Errors
    /// Why there is none that can be followed, in words.
    pub fn of(document: &WorkflowDocument) -> std::result::Result<Self, Reason> {
        match document.kind {
            DocumentKind::CronWorkflow => cron_workflow(document),
            DocumentKind::ChaosSchedule => chaos_schedule(document),
            other => Err(format!(
                "a {} has no schedule; make it a CronWorkflow or a ChaosSchedule to let it run on one",
                other.as_str()
            )
            .into()),
        }
    }

    /// The whole schedule in words; two schedules with the same words ask for the same runs.
    pub fn words(&self) -> &str {
        &self.words
    }

    /// The first time after `after`.
    pub fn next_after(&self, after: Timestamp) -> Option<Timestamp> {
        // A time at the very beginning of the range counts.
        let after = match self.from {
            Some(from) if from > after => from - SignedDuration::from_secs(1),
            _ => after,
        };
        let next = self.rules.iter().filter_map(|rule| match rule {
            Rule::Cron(cron) => cron.next_after(after, &self.zone),
            Rule::Every(step) => after.checked_add(*step).ok(),
            Rule::Once(at) => Some(*at).filter(|at| *at > after),
        });
        next.min().filter(|next| self.until.is_none_or(|until| *next <= until))
    }

    /// A time about `to`, from which the same times follow as from `at`.
    fn skip(&self, at: Timestamp, to: Timestamp) -> Timestamp {
        let steps = self.rules.iter().filter_map(|rule| match rule {
            Rule::Every(step) => Some(step.as_secs()),
            _ => None,
        });
        // A step counted from the last time keeps its beat.
        match steps.min() {
            Some(step) => at + SignedDuration::from_secs((to.as_second() - at.as_second()) / step * step),
            None => to,
        }
    }

    /// What is to be done at `now`, when everything up to `settled` has been seen to.
    pub fn turn(&self, settled: Timestamp, now: Timestamp) -> Turn {
        if self.suspended {
            return Turn::Wait(None);
        }
        let (mut last, mut count, mut at) = (None, 0_u32, settled);
        while let Some(tick) = self.next_after(at).filter(|tick| *tick <= now) {
            (last, at) = (Some(tick), tick);
            count = (count + 1).min(COUNTED);
            let lately = now - self.grace - SignedDuration::from_hours(1);
            if count == COUNTED && at < lately {
                at = self.skip(at, lately);
            }
        }
        match last {
            // From the last time and not from now, or a step counted from it would be put off at every look.
            None => Turn::Wait(self.next_after(settled)),
            Some(tick) if now.duration_since(tick) <= self.grace => Turn::Run { tick, missed: count - 1 },
            Some(last) => Turn::Missed { last, missed: count },
        }
    }
}

/// A number of missed times, in words.
pub fn missed_words(missed: u32) -> String {
    match missed {
        1 => "1 time".to_owned(),
        COUNTED.. => format!("{COUNTED} times or more"),
        few => format!("{few} times"),
    }
}

fn cron_workflow(document: &WorkflowDocument) -> std::result::Result<Schedule, Reason> {
    let spec = document.value.get("spec").unwrap_or(&Value::Null);
    let text = |key: &str| spec.get(key).and_then(Value::as_str).filter(|text| !text.is_empty());
    if document.schedules.is_empty() {
        return Err("it has no spec.schedule".into());
    }
    for asked in ["when", "stopStrategy"] {
        if spec.get(asked).is_some_and(|value| !value.is_null()) {
            return Err(
                format!("spec.{asked} is for Argo's own controller and is not followed here; take it out").into()
            );
        }
    }
    let zone_name = text("timezone").unwrap_or("UTC");
    let zone = zone(zone_name)?;
    let grace = spec.get("startingDeadlineSeconds").and_then(Value::as_i64).filter(|seconds| *seconds > 0);
    let grace = grace.map_or(GRACE, SignedDuration::from_secs).min(MAX_GRACE);
    let rules = document.schedules.iter().map(|line| rule(line)).collect::<std::result::Result<Vec<_>, _>>()?;
    let overlaps = matches!(text("concurrencyPolicy"), None | Some("Allow"));
    let lines = document.schedules.iter().map(|line| line.trim()).collect::<Vec<_>>().join("\" and \"");
    let words = format!(
        "\"{lines}\" in {zone_name}, at most {} s late, {}",
        grace.as_secs(),
        if overlaps { "also while another run goes on" } else { "never while another run goes on" }
    );
    let suspended = spec.get("suspend").and_then(Value::as_bool).unwrap_or(false);
    Ok(Schedule { rules, zone, from: None, until: None, grace, overlaps, suspended, words })
}

fn chaos_schedule(document: &WorkflowDocument) -> std::result::Result<Schedule, Reason> {
    let spec = document.value.get("spec").unwrap_or(&Value::Null);
    let at = |pointer: &str| -> std::result::Result<Option<Timestamp>, Reason> {
        let Some(text) = spec.pointer(pointer).and_then(Value::as_str) else { return Ok(None) };
        text.parse()
            .map(Some)
            .map_err(|_| format!("spec{} {text:?} is no time", pointer.replace('/', ".")))
            .map_err(Reason::from)
    };
    let whole = |rule, words: String, from, until| Schedule {
        rules: vec![rule],
        zone: TimeZone::UTC,
        from,
        until,
        grace: GRACE,
        // Litmus' scheduler leaves a time out while the engine of the last one goes on.
        overlaps: false,
        suspended: spec.get("scheduleState").and_then(Value::as_str) == Some("halted"),
        words,
    };
    if let Some(time) = at("/schedule/once/executionTime")? {
        return Ok(whole(Rule::Once(time), format!("once at {time}"), None, None));
    }
    let Some(repeat) = spec.pointer("/schedule/repeat") else {
        return Err(
            "it says neither spec.schedule.once nor spec.schedule.repeat; what is to run now is run by hand".into()
        );
    };
    let interval = repeat.pointer("/properties/minChaosInterval").unwrap_or(&Value::Null);
    if repeat.pointer("/properties/random").and_then(Value::as_bool) == Some(true) {
        return Err("spec.schedule.repeat.properties.random is not followed here; take it out".into());
    }
    let number = |pointer: &str| interval.pointer(pointer).and_then(Value::as_u64);
    let text = |pointer: &str| repeat.pointer(pointer).and_then(Value::as_str).unwrap_or("*").trim().to_owned();
    let (hours, days) = (text("/workHours/includedHours"), text("/workDays/includedDays"));
    let line = match (number("/minute/everyNthMinute"), number("/hour/everyNthHour")) {
        (Some(minutes), _) => format!("*/{minutes} {hours} * * {days}"),
        (None, Some(every)) => {
            format!("{} {hours}/{every} * * {days}", number("/hour/minuteOfTheHour").unwrap_or(0))
        }
        (None, None) => return Err("spec.schedule.repeat says no interval".into()),
    };
    let (from, until) = (at("/schedule/repeat/timeRange/startTime")?, at("/schedule/repeat/timeRange/endTime")?);
    let mut words = format!("{line:?} in UTC, at most {} s late, never while another run goes on", GRACE.as_secs());
    if let Some(from) = from {
        words.push_str(&format!(", from {from}"));
    }
    if let Some(until) = until {
        words.push_str(&format!(", until {until}"));
    }
    Ok(whole(rule(&line)?, words, from, until))
}

fn zone(name: &str) -> std::result::Result<TimeZone, Reason> {
    // The machine's own zone would make one schedule mean different times on different machines.
    if name.eq_ignore_ascii_case("utc") {
        return Ok(TimeZone::UTC);
    }
    if name.eq_ignore_ascii_case("local") {
        return Err("the time zone \"Local\" is another one on each machine; name it, such as Europe/Berlin".into());
    }
    TimeZone::get(name)
        .map_err(|_| format!("the time zone {name:?} is not known; name it as in Europe/Berlin"))
        .map_err(Reason::from)
}

fn rule(line: &str) -> std::result::Result<Rule, Reason> {
    let line = line.trim();
    if let Some(step) = line.strip_prefix("@every ") {
        return every(step.trim())
            .map(Rule::Every)
            .ok_or_else(|| format!("{line:?}: say it as in \"@every 1h30m\""))
            .map_err(Reason::from);
    }
    let fields = match line {
        "@yearly" | "@annually" => "0 0 1 1 *",
        "@monthly" => "0 0 1 * *",
        "@weekly" => "0 0 * * 0",
        "@daily" | "@midnight" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        fields => fields,
    };
    Cron::parse(fields)
        .map(|cron| Rule::Cron(Box::new(cron)))
        .map_err(|why| format!("the schedule {line:?}: {why}"))
        .map_err(Reason::from)
}

/// A duration as Go writes it, of at least a second.
fn every(text: &str) -> Option<SignedDuration> {
    let (mut total, mut digits) = (0_i64, String::new());
    for c in text.chars() {
        if c.is_ascii_digit() {
            digits.push(c);
            continue;
        }
        let unit = match c {
            'h' => 3600,
            'm' => 60,
            's' => 1,
            _ => return None,
        };
        total = total.checked_add(digits.parse::<i64>().ok()?.checked_mul(unit)?)?;
        digits.clear();
    }
    (digits.is_empty() && total > 0).then(|| SignedDuration::from_secs(total))
}

/// Five fields of cron.
#[derive(Debug, Clone)]
struct Cron {
    minutes: Vec<i8>,
    hours: Vec<i8>,
    days: Vec<i8>,
    months: Vec<i8>,
    weekdays: Vec<i8>,
    /// Whether both the day of the month and the day of the week are narrowed; either then suffices.
    either_day: bool,
}

const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const WEEKDAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

impl Cron {
    fn parse(line: &str) -> std::result::Result<Self, Reason> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [minute, hour, day, month, weekday] = fields[..] else {
            return Err(format!("it has {} fields; cron takes five", fields.len()).into());
        };
        let (minutes, _) = field("minute", minute, 0, 59, &[])?;
        let (hours, _) = field("hour", hour, 0, 23, &[])?;
        let (days, any_day) = field("day of the month", day, 1, 31, &[])?;
        let (months, _) = field("month", month, 1, 12, &MONTHS)?;
        let (weekdays, any_weekday) = field("day of the week", weekday, 0, 6, &WEEKDAYS)?;
        Ok(Self { minutes, hours, days, months, weekdays, either_day: !any_day && !any_weekday })
    }

    fn on(&self, date: Date) -> bool {
        if !self.months.contains(&date.month()) {
            return false;
        }
        let day = self.days.contains(&date.day());
        let weekday = self.weekdays.contains(&weekday(date.weekday()));
        if self.either_day { day || weekday } else { day && weekday }
    }

    fn next_after(&self, after: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let mut date = zone.to_datetime(after).date();
        for _ in 0..HORIZON_DAYS {
            if self.on(date) {
                for (hour, minute) in self.hours.iter().flat_map(|h| self.minutes.iter().map(move |m| (*h, *m))) {
                    let there = zone.to_ambiguous_timestamp(date.at(hour, minute, 0, 0));
                    let time = match there.offset() {
                        AmbiguousOffset::Gap { .. } => continue,
                        _ => there.earlier().ok()?,
                    };
                    if time > after {
                        return Some(time);
                    }
                }
            }
            date = date.tomorrow().ok()?;
        }
        None
    }
}

fn weekday(day: Weekday) -> i8 {
    day.to_sunday_zero_offset()
}

/// The values of a field, and whether it is a plain star.
fn field(what: &str, text: &str, least: i8, most: i8, names: &[&str]) -> std::result::Result<(Vec<i8>, bool), Reason> {
    let first = if names.len() == 12 { 1 } else { 0 };
    let number = |text: &str| -> std::result::Result<i8, Reason> {
        let named = names.iter().position(|name| name.eq_ignore_ascii_case(text));
        let value = named.and_then(|at| i8::try_from(at).ok()).map(|at| at + first).or_else(|| text.parse().ok());
        value
            .filter(|value| (least..=most).contains(value))
            .ok_or_else(|| format!("the {what} {text:?} is not between {least} and {most}"))
            .map_err(Reason::from)
    };
    let (mut values, mut star) = (Vec::new(), false);
    for part in text.split(',') {
        let (range, step) = match part.split_once('/') {
            Some((range, step)) => {
                let step: i8 = step
                    .parse()
                    .ok()
                    .filter(|step| *step > 0)
                    .ok_or_else(|| format!("the {what} steps by {step:?}"))?;
                (range, Some(step))
            }
            None => (part, None),
        };
        let any = matches!(range, "*" | "?");
        let (low, high) = match range.split_once('-') {
            _ if any => (least, most),
            Some((low, high)) => (number(low)?, number(high)?),
            // A single value with a step goes on to the end.
            None if step.is_some() => (number(range)?, most),
            None => (number(range)?, number(range)?),
        };
        if low > high {
            return Err(format!("the {what} {part:?} begins after it ends").into());
        }
        let step = step.unwrap_or(1);
        star |= any && step == 1;
        values.extend((low..=high).step_by(usize::try_from(step).unwrap_or(1)));
    }
    values.sort_unstable();
    values.dedup();
    Ok((values, star))
}

#[cfg(test)]
#[path = "schedule_tests.rs"]
mod tests;
