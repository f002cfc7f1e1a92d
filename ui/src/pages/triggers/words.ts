// A trigger in plain words.
import type { ConditionTest, EngineView, TriggerCondition, TriggerGuards, TriggerTarget, WhileAway } from '$platform';
import { t } from '$text';
import { inUnit, unitOf } from './form';

function testWords(test: ConditionTest): string {
  const values = test.values.join(', ');
  switch (test.operator) {
    case 'changed':
    case 'exists':
    case 'absent':
      return t(`operator.${test.operator}`);
    default:
      return t(`operator.${test.operator}`, { values });
  }
}

function imageWords(when: Extract<TriggerCondition, { kind: 'imageChanged' }>): string {
  const containers = when.containers.join(', ');
  const part = when.part === 'digestOnly' ? 'digest' : when.part === 'nameOrTag' ? 'name' : 'image';
  let words = containers ? t(`condition.${part}Of`, { containers }) : t(`condition.${part}`);
  if (when.except.length > 0) words = t('condition.except', { condition: words, containers: when.except.join(', ') });
  if (when.among === 'initContainers') words = t('condition.init', { condition: words });
  if (when.among === 'containers') words = t('condition.running', { condition: words });
  return words;
}

/** A condition as part of a sentence. */
export function conditionWords(when: TriggerCondition, inner = false): string {
  const about = (what: string, test: ConditionTest): string => t('condition.test', { what, test: testWords(test) });
  const joined = (all: TriggerCondition[], by: 'and' | 'or'): string => {
    const conditions = all.map((one) => conditionWords(one, true)).join(t(`condition.${by}`));
    return inner && all.length > 1 ? t('condition.group', { conditions }) : conditions;
  };
  switch (when.kind) {
    case 'imageChanged':
      return imageWords(when);
    case 'replicas':
      return about(t('condition.replicas'), when.test);
    case 'label':
      return about(t('condition.label', { key: when.key }), when.test);
    case 'annotation':
      return about(t('condition.annotation', { key: when.key }), when.test);
    case 'env':
      return about(when.container === null ? t('condition.env', { name: when.name }) : t('condition.envOf', { name: when.name, container: when.container }), when.test);
    case 'field':
      return about(when.path, when.test);
    case 'jmespath':
      return about(when.key, when.test);
    case 'cel':
      return t('condition.cel', { expression: when.expression });
    case 'all':
      return joined(when.conditions, 'and');
    case 'any':
      return joined(when.conditions, 'or');
  }
}

/** A span in the unit in which it is a whole number. */
function spanWords(seconds: number): string {
  const unit = unitOf(seconds);
  return `${inUnit(seconds, unit)} ${unit === 'm' ? 'min' : unit}`;
}

/** The guards of a trigger, each as a part of a sentence. */
export function guardWords({ guards, whileAway }: { guards: TriggerGuards; whileAway: WhileAway }): string[] {
  return [
    guards.waitForRollout ? t('triggers.rollout') : '',
    guards.rolloutTimeoutSeconds ? t('triggers.rolloutWithin', { span: spanWords(guards.rolloutTimeoutSeconds) }) : '',
    guards.soakSeconds ? t('triggers.soak', { span: spanWords(guards.soakSeconds) }) : '',
    guards.minReadyReplicas ? t('triggers.minReady', { count: guards.minReadyReplicas }) : '',
    guards.respectDisruptionBudget ? t('triggers.budget') : '',
    guards.quietHours ? t('triggers.quiet', { zone: guards.quietHours.timeZone }) : '',
    guards.cooldownSeconds ? t('triggers.cooldown', { span: spanWords(guards.cooldownSeconds) }) : '',
    guards.maxPerDay ? t('triggers.perDay', { count: guards.maxPerDay }) : '',
    guards.exclusive === 'trigger' ? t('triggers.exclusiveTrigger') : '',
    guards.exclusive === 'all' ? t('triggers.exclusiveAll') : '',
    guards.approval ? t('triggers.approvalGuard') : '',
    guards.dryRun ? t('triggers.dryRunGuard') : '',
    whileAway === 'run' ? t('triggers.whileAway') : '',
  ].filter(Boolean);
}

/** What a trigger watches, as part of a sentence. */
export function targetWords(target: TriggerTarget): string {
  const which = target.names.join(', ') || [...target.labels, ...target.annotations].map((one) => `${one.key}=${one.value}`).join(', ') || '*';
  return `${target.kind} ${target.namespace}/${which}`;
}

/** Who is in charge of a namespace's triggers. */
export function chargeWords(engine: EngineView): string {
  if (engine.here) return t('trigger.chargeHere');
  if (engine.holder === null) return t('trigger.chargeNobody');
  // Agents stand under the name of their pod.
  const agent = engine.holder.startsWith('pilothouse-agent');
  return t(agent ? 'trigger.chargeAgent' : 'trigger.chargeColleague', { holder: engine.holder });
}

/** `cart=registry/space/cart:1.4@sha256:…` as `cart:1.4`; what is cut stays in the title. */
export function shortImages(images: string[]): string {
  return images.map((image) => image.replace(/@sha256:\w+$/, '').replace(/^[^=]*=.*\//, '')).join(', ') || '–';
}
