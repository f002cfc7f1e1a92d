//! Taking keys and list places out of a text.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::{Map, Value};

use crate::Result;
use crate::copying::Grown;
use crate::editing::Plan;
use crate::writing::{dash, line_start};

/// Works out the pieces for the entries that go away.
pub(crate) fn plan(plan: &mut Plan<'_>) -> Result<()> {
    let mut by_parent: BTreeMap<Option<usize>, Vec<usize>> = BTreeMap::new();
    let mut gone = std::mem::take(&mut plan.gone);
    gone.sort_unstable();
    gone.dedup();
    for index in gone {
        by_parent.entry(plan.outline.entries[index].parent).or_default().push(index);
    }
    for (parent, gone) in by_parent {
        let all: Vec<usize> = plan.outline.children(parent).collect();
        if gone.len() == all.len() {
            empty(plan, parent, &all)?;
            continue;
        }
        let first = plan.outline.entries[gone[0]].clone();
        if plan.in_flow(&first) {
            in_flow(plan, parent, &all, &gone)?;
        } else {
            in_block(plan, &all, &gone)?;
        }
    }
    Ok(())
}

/// Every entry goes: what held them stays, empty.
fn empty(plan: &mut Plan<'_>, parent: Option<usize>, all: &[usize]) -> Result<()> {
    if let Some(index) = parent {
        let list = plan.outline.entries[index].collection().is_some_and(|collection| collection.list);
        let nothing = if list { Value::Array(Vec::new()) } else { Value::Object(Map::new()) };
        return plan.replace(index, &Grown::Value(nothing, None));
    }
    match plan.outline.top.clone() {
        Some((collection, range)) if collection.flow => plan.piece(range, "{}".to_owned(), None),
        _ => {
            for index in all {
                lines(plan, *index)?;
            }
        }
    }
    Ok(())
}

/// The first byte of an entry: its key, or the dash in front of it.
fn start(plan: &Plan<'_>, index: usize) -> Result<usize> {
    let entry = &plan.outline.entries[index];
    if entry.key_style.is_some() || plan.in_flow(entry) {
        if entry.key_style.is_none() {
            return Ok(entry.lead_start);
        }
        let before = plan.text[..entry.key.start].trim_end_matches(' ');
        return Ok(if before.ends_with('?') { before.len() - 1 } else { entry.key.start });
    }
    dash(plan.text, entry.lead_start)
        .ok_or_else(|| plan.refused(&plan.outline.path(index), "a comment stands between the dash and the value"))
}

fn lines(plan: &mut Plan<'_>, index: usize) -> Result<()> {
    let start = start(plan, index)?;
    let end = plan.outline.entries[index].end;
    let from = line_start(plan.text, start);
    // A mark at the beginning of the file is no part of its first key.
    let from = if plan.text[from..start].starts_with('\u{feff}') { start } else { from };
    let range = plan.whole_lines(from, end);
    plan.piece(range, String::new(), Some(index));
    Ok(())
}

fn in_block(plan: &mut Plan<'_>, all: &[usize], gone: &[usize]) -> Result<()> {
    for index in gone {
        let from = start(plan, *index)?;
        let lead = &plan.text[line_start(plan.text, from)..from];
        if lead.trim_start_matches('\u{feff}').trim().is_empty() {
            lines(plan, *index)?;
            continue;
        }
        // It shares its line with the dash of what holds it: the next entry moves up to the dash.
        let place = all.binary_search(index).unwrap_or(0);
        let Some(next) = all.get(place + 1).copied().filter(|next| gone.binary_search(next).is_err()) else {
            return Err(plan.refused(&plan.outline.path(*index), "it shares its line with what holds it"));
        };
        let range = from..start(plan, next)?;
        without_comment(plan, *index, &range)?;
        plan.piece(range, String::new(), Some(*index));
    }
    Ok(())
}

fn in_flow(plan: &mut Plan<'_>, parent: Option<usize>, all: &[usize], gone: &[usize]) -> Result<()> {
    // From here on everything goes.
    let rest = all.iter().rposition(|one| gone.binary_search(one).is_err()).map_or(0, |last| last + 1);
    let mut kept = None;
    for (place, index) in all.iter().enumerate() {
        if gone.binary_search(index).is_err() {
            kept = Some(*index);
            continue;
        }
        let rest_goes = place >= rest;
        let range = match (rest_goes, kept, all.get(place + 1)) {
            (true, Some(kept), _) => {
                let last = all.last().copied().unwrap_or(*index);
                plan.outline.entries[kept].end..plan.outline.entries[last].end
            }
            (_, _, Some(next)) => start(plan, *index)?..start(plan, *next)?,
            (_, _, None) => return Err(plan.refused(&plan.outline.path(*index), "nothing stands beside it")),
        };
        without_comment(plan, *index, &range)?;
        plan.piece(range, String::new(), parent);
        if rest_goes {
            break;
        }
    }
    Ok(())
}

fn without_comment(plan: &Plan<'_>, index: usize, range: &Range<usize>) -> Result<()> {
    let inside = |comment: &Range<usize>| range.start <= comment.start && comment.end <= range.end;
    if plan.outline.comments.iter().any(inside) {
        return Err(plan.refused(&plan.outline.path(index), "a comment would be lost"));
    }
    Ok(())
}
