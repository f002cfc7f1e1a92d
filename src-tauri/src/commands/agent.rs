//! The agent in the cluster.

use std::sync::Arc;

use pilothouse_app::{
    App, Result,
    contract::{AgentCharge, AgentForm, AgentPlan, AgentRemoval, AgentStatus, InstallAgent, UninstallAgent},
};
use tauri::State;

/// How the agent stands, and who looks after what.
#[tauri::command]
#[specta::specta]
pub async fn agent_status(app: State<'_, Arc<App>>) -> Result<AgentStatus> {
    app.agent_status().await
}

/// Who looks after a project, or after all of them and the triggers.
#[tauri::command]
#[specta::specta]
pub async fn agent_charges(app: State<'_, Arc<App>>, project: Option<String>) -> Result<Vec<AgentCharge>> {
    app.agent_charges(project).await
}

/// What installing it, or bringing it up to date, comes to.
#[tauri::command]
#[specta::specta]
pub async fn plan_agent(app: State<'_, Arc<App>>, form: Option<AgentForm>) -> Result<AgentPlan> {
    app.plan_agent(form).await
}

/// Installs it, or brings it up to date.
#[tauri::command]
#[specta::specta]
pub async fn install_agent(app: State<'_, Arc<App>>, request: InstallAgent, operation: String) -> Result<AgentStatus> {
    app.install_agent(request, operation).await
}

/// Ends its pods, or lets it go on.
#[tauri::command]
#[specta::specta]
pub async fn pause_agent(app: State<'_, Arc<App>>, paused: bool, confirm: Option<String>) -> Result<AgentStatus> {
    app.pause_agent(paused, confirm).await
}

/// Gives up what was begun about it and cut off.
#[tauri::command]
#[specta::specta]
pub async fn forget_agent_work(app: State<'_, Arc<App>>) -> Result<()> {
    app.forget_agent_work().await
}

/// What removing it comes to.
#[tauri::command]
#[specta::specta]
pub async fn plan_agent_removal(app: State<'_, Arc<App>>) -> Result<AgentRemoval> {
    app.plan_agent_removal().await
}

/// Removes it.
#[tauri::command]
#[specta::specta]
pub async fn uninstall_agent(
    app: State<'_, Arc<App>>,
    request: UninstallAgent,
    operation: String,
) -> Result<AgentStatus> {
    app.uninstall_agent(request, operation).await
}
