use proptest::prelude::*;

use super::*;

const WORKFLOW: &str = "  workflowSpec:\n    entrypoint: a\n    templates: [{name: a}]\n";

fn cron(spec: &str) -> std::result::Result<Schedule, Reason> {
    let text =
        format!("apiVersion: argoproj.io/v1alpha1\nkind: CronWorkflow\nmetadata: {{name: w}}\nspec:\n{spec}{WORKFLOW}");
    Schedule::of(&WorkflowDocument::parse(&text).unwrap())
}

fn line(schedule: &str, zone: &str) -> Schedule {
    cron(&format!("  schedule: '{schedule}'\n  timezone: {zone}\n")).unwrap()
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap()
}

#[test]
fn the_next_time_in_its_zone() {
    for (schedule, zone, after, next) in [
        ("0 3 * * *", "UTC", "2026-03-01T03:00:00Z", "2026-03-02T03:00:00Z"),
        ("0 3 * * *", "Asia/Seoul", "2026-03-01T03:00:00Z", "2026-03-01T18:00:00Z"),
        ("*/15 9-17 * * mon-fri", "UTC", "2026-03-06T17:45:00Z", "2026-03-09T09:00:00Z"),
        // Either day suffices where both are narrowed; a star with a step narrows.
        ("0 0 13 * 5", "UTC", "2026-03-01T00:00:00Z", "2026-03-06T00:00:00Z"),
        ("0 0 13 * ?", "UTC", "2026-03-01T00:00:00Z", "2026-03-13T00:00:00Z"),
        ("0 0 */2 * mon", "UTC", "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z"),
        ("5/20 * * * *", "UTC", "2026-03-01T00:06:00Z", "2026-03-01T00:25:00Z"),
        ("0 0 29 2 *", "UTC", "2026-03-01T00:00:00Z", "2028-02-29T00:00:00Z"),
        ("@weekly", "UTC", "2026-03-04T00:00:00Z", "2026-03-08T00:00:00Z"),
        ("@every 1h30m", "UTC", "2026-03-04T00:00:07Z", "2026-03-04T01:30:07Z"),
        // Clocks go forward over 02:30, and back over it.
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-30T00:30:00Z"),
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z"),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"),
    ] {
        let found = line(schedule, zone).next_after(time(after));
        assert_eq!(found, Some(time(next)), "{schedule} {zone} {after}");
    }
    assert_eq!(line("0 0 31 2 *", "UTC").next_after(time("2026-03-01T00:00:00Z")), None);
}

#[test]
fn what_cannot_be_followed_says_so() {
    for (spec, why) in [
        ("  schedule: '0 3 * * 7'\n", "between 0 and 6"),
        ("  schedule: '61 3 * * *'\n", "between 0 and 59"),
        ("  schedule: '0 9-5 * * *'\n", "begins after it ends"),
        ("  schedule: '*/0 * * * *'\n", "steps by"),
        ("  schedule: '0 3 * *'\n", "five"),
        ("  schedule: '@every soon'\n", "@every 1h30m"),
        ("  schedule: '0 3 * * *'\n  timezone: Mars/Base\n", "Mars/Base"),
        ("  schedule: '0 3 * * *'\n  timezone: Local\n", "each machine"),
        ("  schedule: '0 3 * * *'\n  when: 'x == 1'\n", "spec.when"),
    ] {
        let found = cron(spec).unwrap_err();
        assert!(found.contains(why), "{spec}: {found}");
    }
    let plain = "apiVersion: argoproj.io/v1alpha1\nkind: Workflow\nmetadata: {name: w}\nspec: {}\n";
    assert!(Schedule::of(&WorkflowDocument::parse(plain).unwrap()).unwrap_err().contains("has no schedule"));
}

#[test]
fn a_time_that_is_missed_is_told_and_not_run() {
    let hourly = line("0 * * * *", "UTC");
    let settled = time("2026-03-01T00:00:00Z");
    let turn = |now: &str| hourly.turn(settled, time(now));
    assert_eq!(turn("2026-03-01T00:59:59Z"), Turn::Wait(Some(time("2026-03-01T01:00:00Z"))));
    assert_eq!(turn("2026-03-01T01:00:00Z"), Turn::Run { tick: time("2026-03-01T01:00:00Z"), missed: 0 });
    assert_eq!(turn("2026-03-01T01:01:00Z"), Turn::Run { tick: time("2026-03-01T01:00:00Z"), missed: 0 });
    assert_eq!(turn("2026-03-01T01:01:01Z"), Turn::Missed { last: time("2026-03-01T01:00:00Z"), missed: 1 });
    assert_eq!(turn("2026-03-01T04:00:30Z"), Turn::Run { tick: time("2026-03-01T04:00:00Z"), missed: 3 });
    // Years of minutes are not counted one by one.
    let minutes = line("* * * * *", "UTC");
    let much = minutes.turn(time("2020-01-01T00:00:00Z"), time("2026-03-01T00:00:30Z"));
    assert_eq!(much, Turn::Run { tick: time("2026-03-01T00:00:00Z"), missed: COUNTED - 1 });
    let suspended = cron("  schedule: '* * * * *'\n  suspend: true\n").unwrap();
    assert_eq!(suspended.turn(settled, time("2026-03-02T00:00:00Z")), Turn::Wait(None));
}

#[test]
fn a_step_is_counted_from_the_last_time_at_every_look() {
    let hours = line("@every 1h", "UTC");
    let settled = time("2026-03-01T00:00:07Z");
    let turn = |now: &str| hours.turn(settled, time(now));
    for now in ["2026-03-01T00:00:07Z", "2026-03-01T00:20:00Z", "2026-03-01T01:00:06Z"] {
        assert_eq!(turn(now), Turn::Wait(Some(time("2026-03-01T01:00:07Z"))), "{now}");
    }
    assert_eq!(turn("2026-03-01T01:00:40Z"), Turn::Run { tick: time("2026-03-01T01:00:07Z"), missed: 0 });
    // However many were missed, everybody who looks comes upon the same times.
    let odd = line("@every 7s", "UTC");
    let Turn::Run { tick, .. } = odd.turn(settled, time("2026-04-01T00:00:00Z")) else { panic!("it is time") };
    assert_eq!(tick.duration_since(settled).as_secs() % 7, 0);
    assert!(matches!(odd.turn(settled, tick), Turn::Run { tick: same, .. } if same == tick));
}

#[test]
fn a_chaos_schedule_repeats_or_comes_once() {
    let of = |schedule: &str| {
        let text = format!(
            "apiVersion: litmuschaos.io/v1alpha1\nkind: ChaosSchedule\nmetadata: {{name: w}}\nspec:\n  schedule:\n{schedule}\n  engineTemplateSpec: {{experiments: [{{name: pod-delete}}]}}\n"
        );
        Schedule::of(&WorkflowDocument::parse(&text).unwrap())
    };
    let once = of("    once: {executionTime: '2026-05-01T10:00:00Z'}").unwrap();
    assert_eq!(once.next_after(time("2026-03-01T00:00:00Z")), Some(time("2026-05-01T10:00:00Z")));
    assert_eq!(once.next_after(time("2026-05-01T10:00:00Z")), None);
    let repeat = of(
        "    repeat:\n      timeRange: {startTime: '2026-05-04T00:00:00Z', endTime: '2026-05-05T23:00:00Z'}\n      properties: {minChaosInterval: {hour: {everyNthHour: 2, minuteOfTheHour: 10}}}\n      workHours: {includedHours: 8-12}\n      workDays: {includedDays: 'Mon,Tue'}",
    )
    .unwrap();
    let mut at = time("2026-03-01T00:00:00Z");
    let mut found = Vec::new();
    while let Some(next) = repeat.next_after(at) {
        found.push(next.to_string());
        at = next;
    }
    assert_eq!(found.len(), 6, "{found:?}");
    assert_eq!((found[0].as_str(), found[5].as_str()), ("2026-05-04T08:10:00Z", "2026-05-05T12:10:00Z"));
    assert!(of("    now: true").unwrap_err().contains("by hand"));
    assert!(of("    repeat: {properties: {random: true, minChaosInterval: {minute: {everyNthMinute: 5}}}}").is_err());
}

proptest! {
    #[test]
    fn a_next_time_is_later_and_none_lies_between(
        minute in "(\\*|\\*/7|0|5,35|10-20)", hour in "(\\*|3|\\*/5)", day in "(\\*|1,15)", weekday in "(\\*|1-5)",
        zone in prop::sample::select(vec!["UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata"]),
        after in 1_700_000_000_i64..1_900_000_000,
    ) {
        let schedule = line(&format!("{minute} {hour} {day} * {weekday}"), zone);
        let after = Timestamp::from_second(after).unwrap();
        let next = schedule.next_after(after).unwrap();
        prop_assert!(next > after);
        // From anywhere between, the same time is the next one.
        let middle = after + (next - after).total(jiff::Unit::Second).map(|s| SignedDuration::from_secs((s / 2.0) as i64)).unwrap();
        if middle < next {
            prop_assert_eq!(schedule.next_after(middle), Some(next));
        }
        // A restart at any moment after it decides the same.
        prop_assert_eq!(schedule.turn(after, next), Turn::Run { tick: next, missed: 0 });
    }
}
