//! One table of cases that the practice cluster's API and a real API server must answer alike.
//!
//! Each case asks an API through plain requests, says what it saw, and what both must show. It runs twice:
//! `practice::<case>` and `real::<case>`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a case that cannot go on fails")]

#[path = "conformance/creation.rs"]
mod creation;
#[path = "conformance/definitions.rs"]
mod definitions;
#[path = "conformance/deletion.rs"]
mod deletion;
#[path = "conformance/patches.rs"]
mod patches;
#[path = "conformance/reads.rs"]
mod reads;
#[path = "conformance/updates.rs"]
mod updates;
#[path = "conformance/watches.rs"]
mod watches;
#[path = "conformance/world.rs"]
mod world;

use world::{Verdict, World};

async fn check<F: Future<Output = Verdict>>(world: World, case: impl FnOnce(World) -> F) {
    let last = world.clone();
    let verdict = case(world).await;
    last.leave().await;
    let (seen, expected) = (verdict.seen, verdict.expected);
    assert!(seen == expected, "this API showed\n  {seen}\nboth must show\n  {expected}");
}

macro_rules! cases {
    ($($room:ident { $($case:ident),* $(,)? })*) => {
        mod practice {
            $($(
                #[tokio::test]
                async fn $case() {
                    super::check(super::World::practice().await, super::$room::$case).await;
                }
            )*)*
        }

        mod real {
            $($(
                #[tokio::test]
                async fn $case() {
                    super::check(super::World::real().await, super::$room::$case).await;
                }
            )*)*
        }
    };
}

cases! {
    reads {
        version_and_discovery,
        client_discovery,
        get_shows_what_was_created,
        get_of_the_absent,
        label_selectors,
        malformed_selectors,
        field_selectors,
        pages_show_one_moment,
        pages_end,
        expired_pages,
        malformed_continue_token,
        lists_of_all_namespaces,
        list_items_of_built_in_and_custom_kinds,
        metadata_alone,
        unknown_paths,
        wrong_methods,
        future_versions,
        access_reviews,
    }
    creation {
        the_server_owns_identity,
        absent_namespace,
        name_taken,
        generated_names,
        name_missing,
        malformed_metadata,
        malformed_owners,
        version_given,
        wrong_place,
        wrong_types,
        wrong_media_type,
        dry_run_keeps_nothing,
        deployment_defaults,
        deployment_rules,
        secret_texts,
        malformed_config_keys,
        lease_times,
        lease_rules,
        events_about_objects,
        other_built_in_kinds,
    }
    updates {
        put_replaces,
        put_of_the_same_changes_nothing,
        stale_put,
        put_without_version,
        put_of_another_uid,
        put_elsewhere,
        put_of_the_absent,
        selector_is_immutable,
        created_is_immutable,
        generation_counts_the_spec,
        status_through_its_subresource,
        status_patches,
        stale_status,
        no_status_subresource,
        one_lease_holder,
        dry_run_update,
    }
    patches {
        merge,
        json,
        json_that_does_not_fit,
        strategic,
        strategic_directives,
        strategic_on_custom,
        unknown_patch_type,
        stale_patch,
        patch_of_the_absent,
        patch_to_invalid,
        patch_of_identity,
        apply_creates_and_updates,
        apply_conflicts,
        apply_shares_equal_values,
        apply_drops_what_is_left_out,
        apply_keeps_what_others_own,
        apply_merges_keyed_lists,
        apply_merges_sets,
        apply_merges_pods,
        apply_replaces_atomic_lists,
        apply_after_update_conflicts,
        apply_needs_a_manager,
        apply_of_status,
        force_is_for_apply,
        dry_run_apply,
    }
    deletion {
        delete_removes,
        delete_of_the_absent,
        preconditions,
        finalizers_hold,
        no_finalizers_added_while_leaving,
        spec_changes_while_leaving,
        collections,
        owners_take_dependants_along,
        dependants_of_two_owners,
        orphans_stay,
        foreground_goes_last,
        dependants_with_finalizers,
        absent_owner,
        namespaces_take_content_along,
        leaving_namespace_takes_nothing_new,
        dry_run_delete,
    }
    watches {
        from_a_version,
        from_the_start,
        resumed,
        selectors_move_objects_in_and_out,
        one_object,
        too_old,
        times_out,
        finalized_objects,
        bookmarks,
        ends_with_its_kind,
        client_watcher,
    }
    definitions {
        registration,
        malformed_definitions,
        removal,
        valid_objects,
        invalid_objects,
        pruning,
        defaulting,
        nulls,
        two_versions,
        changed_schema,
    }
}
