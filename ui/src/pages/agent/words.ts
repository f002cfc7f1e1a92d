import type { AgentCharge, AgentChange, AgentState } from '$platform';
import type { Tone } from '$kit';
import { t } from '$text';

export const toneOf: Record<AgentState, Tone> = {
  absent: 'idle',
  halfway: 'warn',
  starting: 'busy',
  running: 'good',
  paused: 'idle',
  failing: 'bad',
  leaving: 'busy',
};

/** Who is in charge: the holder's own name says more than its sort. */
export function holderOf(charge: AgentCharge): string {
  const sort = t(`agent.by.${charge.by}`);
  return charge.holder ? `${sort} (${charge.holder})` : sort;
}

export const isChange = (change: AgentChange): boolean => change === 'create' || change === 'update' || change === 'remove';
