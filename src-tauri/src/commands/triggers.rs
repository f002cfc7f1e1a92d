//! Triggers.

use std::sync::Arc;

use pilothouse_app::{
    App, Result,
    contract::{
        Backtest, ExperimentChoice, FieldProblem, HaltView, LitmusExport, LitmusImport, LitmusPolicies, LitmusWritten,
        OpenedTrigger, ReleaseAsked, ReleaseVerdict, TriggerForm, TriggerMatches, TriggerPreview, TriggerTarget,
        TriggerTest, TriggersOverview, VerdictRequirement, WorkloadEntry, WriteLitmus,
    },
};
use tauri::State;

/// The triggers, what they decided, and who is in charge of them.
#[tauri::command]
#[specta::specta]
pub async fn list_triggers(app: State<'_, Arc<App>>) -> Result<TriggersOverview> {
    app.list_triggers().await
}

/// The workloads of a namespace or of all that a trigger can watch.
#[tauri::command]
#[specta::specta]
pub async fn workloads(app: State<'_, Arc<App>>, namespace: Option<String>) -> Result<Vec<WorkloadEntry>> {
    app.workloads(namespace).await
}

/// The exact object and what it matches now.
#[tauri::command]
#[specta::specta]
pub async fn preview_trigger(app: State<'_, Arc<App>>, form: TriggerForm) -> Result<TriggerPreview> {
    app.preview_trigger(form).await
}

/// Creates a trigger.
#[tauri::command]
#[specta::specta]
pub async fn save_trigger(app: State<'_, Arc<App>>, form: TriggerForm) -> Result<()> {
    app.save_trigger(form).await
}

/// Switches a trigger off or on.
#[tauri::command]
#[specta::specta]
pub async fn suspend_trigger(app: State<'_, Arc<App>>, namespace: String, name: String, suspended: bool) -> Result<()> {
    app.suspend_trigger(namespace, name, suspended).await
}

/// Deletes a trigger.
#[tauri::command]
#[specta::specta]
pub async fn delete_trigger(app: State<'_, Arc<App>>, namespace: String, name: String) -> Result<()> {
    app.delete_trigger(namespace, name).await
}

/// Answers for a run that a trigger asks about or offers.
#[tauri::command]
#[specta::specta]
pub async fn answer_trigger(
    app: State<'_, Arc<App>>,
    namespace: String,
    name: String,
    run: String,
    yes: bool,
) -> Result<()> {
    app.answer_trigger(namespace, name, run, yes).await
}

/// Halts every trigger of a namespace and stops their runs; with no reason, lifts the halt.
#[tauri::command]
#[specta::specta]
pub async fn halt_triggers(app: State<'_, Arc<App>>, namespace: String, reason: Option<String>) -> Result<()> {
    app.halt_triggers(namespace, reason).await
}

/// What a trigger would have done over the revisions of a workload that the cluster still holds.
#[tauri::command]
#[specta::specta]
pub async fn backtest_trigger(app: State<'_, Arc<App>>, form: TriggerForm, workload: String) -> Result<Backtest> {
    app.backtest_trigger(form, workload).await
}

/// A trigger as Litmus' own tracker would have it, and what that tracker does not honour.
#[tauri::command]
#[specta::specta]
pub async fn export_trigger(
    app: State<'_, Arc<App>>,
    form: TriggerForm,
    namespace: String,
    experiment: Option<String>,
) -> Result<LitmusExport> {
    app.export_trigger(form, namespace, experiment).await
}

/// The workloads that a target takes now.
#[tauri::command]
#[specta::specta]
pub async fn match_workloads(app: State<'_, Arc<App>>, target: TriggerTarget) -> Result<TriggerMatches> {
    app.match_workloads(target).await
}

/// What is wrong with a form, field by field.
#[tauri::command]
#[specta::specta]
pub async fn check_trigger(app: State<'_, Arc<App>>, form: TriggerForm) -> Result<Vec<FieldProblem>> {
    app.check_trigger(form).await
}

/// A trigger as it is in the cluster.
#[tauri::command]
#[specta::specta]
pub async fn open_trigger(app: State<'_, Arc<App>>, namespace: String, name: String) -> Result<OpenedTrigger> {
    app.open_trigger(namespace, name).await
}

/// Changes a trigger, if what it asks for is still what was opened.
#[tauri::command]
#[specta::specta]
pub async fn change_trigger(
    app: State<'_, Arc<App>>,
    namespace: String,
    form: TriggerForm,
    version: String,
) -> Result<()> {
    app.change_trigger(namespace, form, version).await
}

/// What would be decided about a workload now. Nothing is written, and nothing is run.
#[tauri::command]
#[specta::specta]
pub async fn test_trigger(app: State<'_, Arc<App>>, form: TriggerForm, workload: String) -> Result<TriggerTest> {
    app.test_trigger(form, workload).await
}

/// The namespaces in which triggers are halted.
#[tauri::command]
#[specta::specta]
pub async fn trigger_halts(app: State<'_, Arc<App>>) -> Result<Vec<HaltView>> {
    app.trigger_halts().await
}

/// Litmus' policies in the cluster.
#[tauri::command]
#[specta::specta]
pub async fn litmus_policies(app: State<'_, Arc<App>>) -> Result<LitmusPolicies> {
    app.litmus_policies().await
}

/// What one of Litmus' policies becomes.
#[tauri::command]
#[specta::specta]
pub async fn import_litmus_policy(
    app: State<'_, Arc<App>>,
    namespace: String,
    name: String,
    chosen: Vec<ExperimentChoice>,
) -> Result<LitmusImport> {
    app.import_litmus_policy(namespace, name, chosen).await
}

/// Writes a trigger's policy, and its annotations, for Litmus' own tracker.
#[tauri::command]
#[specta::specta]
pub async fn write_litmus(app: State<'_, Arc<App>>, request: WriteLitmus) -> Result<LitmusWritten> {
    app.write_litmus(request).await
}

/// The newest verdict about each release that is asked for.
#[tauri::command]
#[specta::specta]
pub async fn release_verdicts(
    app: State<'_, Arc<App>>,
    flow: String,
    env: String,
    releases: Vec<ReleaseAsked>,
) -> Result<Vec<ReleaseVerdict>> {
    app.release_verdicts(flow, env, releases).await
}

/// Whether an environment takes only releases that passed.
#[tauri::command]
#[specta::specta]
pub async fn verdict_requirement(app: State<'_, Arc<App>>, flow: String, env: String) -> Result<VerdictRequirement> {
    app.verdict_requirement(flow, env).await
}

/// Lets an environment take only releases that passed, or any again.
#[tauri::command]
#[specta::specta]
pub async fn require_verdict(app: State<'_, Arc<App>>, flow: String, env: String, required: bool) -> Result<()> {
    app.require_verdict(flow, env, required).await
}
