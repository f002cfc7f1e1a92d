//! The desktop shell: the window, its plugins, and the one list of commands.

pub mod commands;
pub mod events;
mod shell;

pub use shell::{run, start_app};

use tauri_specta::{collect_commands, collect_events};

/// The single list of commands and events: the handler and `ui/src/bindings.ts` both come from it.
/// Generic over the runtime, so that tests answer from the same list without a window.
pub fn ipc<R: tauri::Runtime>() -> tauri_specta::Builder<R> {
    // The type argument of the desktop commands only names the function for the generator.
    tauri_specta::Builder::<R>::new()
        .commands(collect_commands![
            commands::settings::app_info,
            commands::settings::set_identity,
            commands::settings::preferences,
            commands::settings::set_preferences,
            commands::settings::cancel_operation,
            commands::contexts::list_contexts,
            commands::contexts::connect,
            commands::contexts::current_session,
            commands::contexts::disconnect,
            commands::contexts::select_platform,
            commands::contexts::install_pilothouse_crds,
            commands::repository::repository_overview,
            commands::repository::repository_preview,
            commands::repository::create_repository,
            commands::repository::register_repository,
            commands::repository::clone_repository,
            commands::credentials::generate_key,
            commands::credentials::test_remote,
            commands::credentials::accept_host_key,
            commands::credentials::save_repository_credential,
            commands::values::list_flows,
            commands::values::open_values,
            commands::values::check_values,
            commands::values::effective_values,
            commands::values::review_values,
            commands::values::commit_values,
            commands::environments::environment,
            commands::environments::preview_deploy,
            commands::environments::deploy,
            commands::chaos::chaos_overview,
            commands::chaos::test_project,
            commands::chaos::enable_project,
            commands::chaos::disable_project,
            commands::chaos::sync_project,
            commands::chaos::chaos_workflows,
            commands::chaos::open_workflow,
            commands::chaos::workflow_templates,
            commands::chaos::render_template,
            commands::chaos::check_workflow,
            commands::chaos::review_workflow,
            commands::chaos::save_workflow,
            commands::chaos::import_workflow_file,
            commands::chaos::set_run_policy,
            commands::chaos::resolve_workflow,
            commands::chaos::delete_workflow,
            commands::runs::preview_run,
            commands::runs::run_workflow,
            commands::runs::stop_run,
            commands::runs::list_runs,
            commands::runs::run,
            commands::triggers::list_triggers,
            commands::triggers::workloads,
            commands::triggers::preview_trigger,
            commands::triggers::save_trigger,
            commands::triggers::suspend_trigger,
            commands::triggers::delete_trigger,
            commands::activity::activity,
            commands::activity::doctor,
            commands::desktop::pick_file::<tauri::Wry>,
            commands::desktop::open_url::<tauri::Wry>,
            commands::desktop::window_ready,
        ])
        .events(collect_events![events::ChangedEvent, events::OperationProgressEvent, events::NoticeEvent])
        .disable_serde_phases()
}
            commands::chaos::workflow_reach,
            commands::chaos::workflow_sides,
