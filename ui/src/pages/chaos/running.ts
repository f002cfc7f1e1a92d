import type { WorkflowState } from '$platform';
import { t, type TextKey } from '$text';

/** The states in which the core starts no run: what would run is the cluster's, and nobody has said that it is to be. */
const UNSETTLED: Partial<Record<WorkflowState, Extract<TextKey, `workflow.noRun.${string}`>>> = {
  conflict: 'workflow.noRun.conflict',
  deletedInGit: 'workflow.noRun.deletedInGit',
  invalid: 'workflow.noRun.invalid',
};

/** Why a workflow cannot be run now. */
export function whyNoRun(state: WorkflowState | undefined, changed: boolean): string | undefined {
  const unsettled = state && UNSETTLED[state];
  if (unsettled) return t(unsettled);
  return changed ? t('workflow.noRun.changed') : undefined;
}
