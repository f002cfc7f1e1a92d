import type { PromotionRow } from '$platform';

/** What is chosen before anybody chooses: what changed in the source since; for a file that is to be made, all of it. */
export function firstChosen(rows: PromotionRow[], targetExists: boolean): Set<string> {
  return new Set(rows.filter((row) => row.changedIn === 'source' || !targetExists).map((row) => row.path));
}

/** The environment before another one in the flow, from which one usually promotes; else another. */
export function usualPair(environments: { name: string; exists: boolean }[], source?: string): { from: string; to: string } {
  const from = environments.findIndex((env) => (source === undefined ? env.exists : env.name === source));
  const first = Math.max(0, from);
  const next = environments[first + 1] ?? environments.find((_, i) => i !== first);
  return { from: environments[first]?.name ?? '', to: next?.name ?? '' };
}
