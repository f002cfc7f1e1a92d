//! Which projects are looked after here, by one task each.

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
};

use tokio::task::{AbortHandle, JoinSet};
use tokio_util::sync::CancellationToken;

/// A namespace and a project.
pub(crate) type Key = (String, String);

/// The projects that have somebody who looks after them.
#[derive(Default)]
pub(crate) struct Seats {
    taken: BTreeMap<Key, (CancellationToken, AbortHandle)>,
    tasks: JoinSet<()>,
}

impl Seats {
    /// Gives each wanted project a task, and tells those of the others to end. A task that ended although nobody told it
    /// to had a fault: its project gets another at this look, so that one fault does not leave it to nobody.
    pub(crate) fn tend<F>(
        &mut self,
        wanted: &BTreeSet<Key>,
        stop: &CancellationToken,
        look_after: impl Fn(Key, CancellationToken) -> F,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        while self.tasks.try_join_next().is_some() {}
        self.taken.retain(|key, (seat, task)| {
            if !wanted.contains(key) {
                seat.cancel();
                return false;
            }
            if task.is_finished() {
                tracing::warn!(namespace = %key.0, project = %key.1, "looking after a project ended by a fault; it begins anew");
            }
            !task.is_finished()
        });
        for key in wanted {
            if !self.taken.contains_key(key) {
                let seat = stop.child_token();
                let task = self.tasks.spawn(look_after(key.clone(), seat.clone()));
                self.taken.insert(key.clone(), (seat, task));
            }
        }
    }

    /// Waits until every task has ended.
    pub(crate) async fn end(mut self) {
        while self.tasks.join_next().await.is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    fn key(id: &str) -> Key {
        ("litmus".into(), id.into())
    }

    #[tokio::test]
    async fn a_fault_in_looking_after_a_project_leaves_it_to_nobody_only_until_the_next_look() {
        let (begun, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let stop = CancellationToken::new();
        let mut seats = Seats::default();
        let wanted = BTreeSet::from([key("shop"), key("cart")]);
        let work = |key: Key, seat: CancellationToken| {
            let (begun, ended) = (begun.clone(), ended.clone());
            async move {
                let turn = if key.1 == "shop" { begun.fetch_add(1, Ordering::SeqCst) } else { 9 };
                assert_ne!(turn, 0, "a fault");
                seat.cancelled().await;
                ended.fetch_add(1, Ordering::SeqCst);
            }
        };
        seats.tend(&wanted, &stop, work);
        while !seats.taken[&key("shop")].1.is_finished() {
            tokio::task::yield_now().await;
        }
        assert!(!seats.taken[&key("cart")].1.is_finished(), "the others go on");
        seats.tend(&wanted, &stop, work);
        seats.tend(&wanted, &stop, work);
        while begun.load(Ordering::SeqCst) < 2 {
            tokio::task::yield_now().await;
        }
        assert_eq!((begun.load(Ordering::SeqCst), seats.taken.len()), (2, 2), "once more, and only once");

        // Who is not wanted any more ends, and so does everybody at the end.
        seats.tend(&BTreeSet::from([key("cart")]), &stop, work);
        while ended.load(Ordering::SeqCst) < 1 {
            tokio::task::yield_now().await;
        }
        stop.cancel();
        seats.end().await;
        assert_eq!(ended.load(Ordering::SeqCst), 2);
    }
}
