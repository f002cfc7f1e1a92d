//! Lists that become others, entry by entry: what stays keeps its lines, with the comments at them.

use serde_json::Value;

use crate::Result;
use crate::copying::Grown;
use crate::editing::Plan;
use crate::key_path::KeyPath;
use crate::writing::{column, dash, line_stop};

/// The most pairs of entries that are compared to find those that stay.
const MOST_PAIRS: usize = 250_000;

/// Works out the pieces for a list by indentation that becomes another; neither is empty.
pub(crate) fn plan(
    plan: &mut Plan<'_>,
    (index, path): (usize, &KeyPath),
    (old, new): (&[Value], &[Value]),
    from: Option<&KeyPath>,
    before: &Value,
) -> Result<()> {
    let entries: Vec<usize> = plan.outline.children(Some(index)).collect();
    let first = entries.first().and_then(|first| dash(plan.text, plan.outline.entries[*first].lead_start));
    let Some(at) = first.filter(|_| entries.len() == old.len()) else {
        return Err(plan.refused(path, "its entries do not stand on lines of their own"));
    };
    let at = column(plan.text, at);
    let (mut done_old, mut done_new) = (0, 0);
    for (stays_old, stays_new) in stays(old, new).into_iter().chain([(old.len(), new.len())]) {
        let both = (stays_old - done_old).min(stays_new - done_new);
        for step in 0..both {
            let (here, there) = (done_old + step, done_new + step);
            plan.set(&path.index(here), &new[there], from.map(|from| from.index(there)).as_ref(), before)?;
        }
        plan.gone.extend(&entries[done_old + both..stays_old]);
        if done_new + both < stays_new {
            let added = (done_new + both..stays_new)
                .map(|there| Grown::Value(new[there].clone(), from.map(|from| from.index(there))));
            let behind = (done_old + both).checked_sub(1).map(|before| entries[before]);
            add(plan, (index, path), behind, at, &added.collect::<Vec<_>>())?;
        }
        (done_old, done_new) = (stays_old + 1, stays_new + 1);
    }
    Ok(())
}

/// Adds entries behind another one, or as the first.
fn add(
    plan: &mut Plan<'_>,
    (index, path): (usize, &KeyPath),
    behind: Option<usize>,
    at: usize,
    added: &[Grown],
) -> Result<()> {
    let texts: Vec<String> = added.iter().map(|one| format!("- {}", plan.pen.block(one, at + 2))).collect();
    let list = &plan.outline.entries[index];
    let end = match behind {
        Some(entry) => plan.outline.entries[entry].end,
        None if list.key_style.is_some() => list.lead_end,
        None => return Err(plan.refused(path, "its first entry shares a line with what holds it")),
    };
    let mut out = String::new();
    // Behind a text that keeps its line ends a new line has begun already.
    if behind.is_some() && plan.text[..end].ends_with('\n') {
        for text in &texts {
            out.extend(std::iter::repeat_n(' ', at));
            out.push_str(text);
            plan.pen.layout.next_line(0, &mut out);
        }
        plan.piece(end..end, out, Some(index));
        return Ok(());
    }
    for text in &texts {
        plan.pen.layout.next_line(at, &mut out);
        out.push_str(text);
    }
    let stop = line_stop(plan.text, end);
    plan.piece(stop..stop, out, Some(index));
    Ok(())
}

/// The entries that are in both lists, in the same order: as many as possible, of lists that are not too long.
fn stays(old: &[Value], new: &[Value]) -> Vec<(usize, usize)> {
    let start = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    let (old_rest, new_rest) = (&old[start..], &new[start..]);
    let end = old_rest.iter().rev().zip(new_rest.iter().rev()).take_while(|(old, new)| old == new).count();
    let (middle_old, middle_new) = (&old_rest[..old_rest.len() - end], &new_rest[..new_rest.len() - end]);
    let mut found: Vec<(usize, usize)> = (0..start).map(|place| (place, place)).collect();
    if middle_old.len().saturating_mul(middle_new.len()) <= MOST_PAIRS {
        let wide = middle_new.len() + 1;
        let mut common = vec![0u32; (middle_old.len() + 1) * wide];
        for here in (0..middle_old.len()).rev() {
            for there in (0..middle_new.len()).rev() {
                common[here * wide + there] = if middle_old[here] == middle_new[there] {
                    common[(here + 1) * wide + there + 1] + 1
                } else {
                    common[(here + 1) * wide + there].max(common[here * wide + there + 1])
                };
            }
        }
        let (mut here, mut there) = (0, 0);
        while here < middle_old.len() && there < middle_new.len() {
            if middle_old[here] == middle_new[there] {
                found.push((start + here, start + there));
                (here, there) = (here + 1, there + 1);
            } else if common[(here + 1) * wide + there] >= common[here * wide + there + 1] {
                here += 1;
            } else {
                there += 1;
            }
        }
    }
    found.extend((0..end).rev().map(|back| (old.len() - 1 - back, new.len() - 1 - back)));
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_stays_is_found() {
        let list = |text: &str| text.chars().map(|one| json!(one.to_string())).collect::<Vec<_>>();
        for (old, new, same) in
            [("abc", "abc", 3), ("abc", "axc", 2), ("abc", "c", 1), ("abcd", "xbydz", 2), ("a", "b", 0)]
        {
            let found = stays(&list(old), &list(new));
            assert_eq!(found.len(), same, "{old} {new}");
            assert!(found.windows(2).all(|two| two[0].0 < two[1].0 && two[0].1 < two[1].1));
            assert!(found.iter().all(|(here, there)| list(old)[*here] == list(new)[*there]));
        }
    }
}
