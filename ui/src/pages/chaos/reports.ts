import { call, commands, type ReportFormat, type ReportOf } from '$platform';
import { toasts } from '$state/toasts.svelte';
import { t } from '$text';

/** Saves a report where the user says; says where, or why not. */
export async function saveReport(of: ReportOf, format: ReportFormat): Promise<void> {
  try {
    const path = await call(commands.saveReport(of, format, t('report.dialog')));
    if (path) toasts.good(t('report.saved'), path);
  } catch (thrown) {
    toasts.failed(thrown);
  }
}
