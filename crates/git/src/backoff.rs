//! How long to wait before a branch that moved is tried again.

use std::time::Duration;

/// The shortest wait.
const FLOOR: Duration = Duration::from_millis(100);
/// The longest wait.
const CEILING: Duration = Duration::from_secs(10);

/// Waits that grow and scatter, so that writers who met once do not meet again.
#[derive(Debug)]
pub(crate) struct Backoff {
    last: Duration,
}

impl Backoff {
    pub(crate) fn new() -> Self {
        Self { last: Duration::ZERO }
    }

    /// The next wait. `round` is how long the lost attempt took: against a slow server the waits are longer, because
    /// what collides is whole attempts. `chance` lies between 0 and 1.
    pub(crate) fn next(&mut self, round: Duration, chance: f64) -> Duration {
        let floor = round.clamp(FLOOR, CEILING / 2);
        let top = (self.last.max(floor) * 3).min(CEILING);
        self.last = floor + top.saturating_sub(floor).mul_f64(chance);
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_stay_within_bounds() {
        let mut backoff = Backoff::new();
        assert_eq!(backoff.next(Duration::ZERO, 0.0), FLOOR);
        for _ in 0..20 {
            let wait = backoff.next(Duration::from_secs(60), 1.0);
            assert!((FLOOR..=CEILING).contains(&wait));
        }
        assert_eq!(backoff.next(Duration::from_secs(1), 1.0), CEILING);
    }

    /// Ten writers whose attempts last between half a second and two, in made-up time: an attempt wins when the
    /// branch did not move while it lasted.
    #[test]
    fn ten_writers_all_win_within_ten_attempts() {
        for seed in 0..500 {
            let mut chance = fastrand::Rng::with_seed(seed);
            let mut writers: Vec<_> = (0..10).map(|_| (0.0f64, 0u32, Backoff::new())).collect();
            let mut running: Vec<(f64, f64, usize)> = Vec::new();
            let mut moved = f64::MIN;
            for (writer, (start, ..)) in writers.iter().enumerate() {
                running.push((start + 0.5 + 1.5 * chance.f64(), *start, writer));
            }
            while !running.is_empty() {
                running.sort_by(|a, b| b.0.total_cmp(&a.0));
                let Some((end, start, writer)) = running.pop() else { break };
                let (_, attempts, backoff) = &mut writers[writer];
                *attempts += 1;
                if start >= moved {
                    moved = end;
                    continue;
                }
                assert!(*attempts < 10, "writer {writer} of round {seed}");
                let next = end + backoff.next(Duration::from_secs_f64(end - start), chance.f64()).as_secs_f64();
                running.push((next + 0.5 + 1.5 * chance.f64(), next, writer));
            }
        }
    }
}
