// Every word the window shows. A translation is another file with the same keys.
import { activity } from './en/activity';
import { agent } from './en/agent';
import { argo } from './en/argo';
import { care } from './en/care';
import { centers } from './en/centers';
import { chaos } from './en/chaos';
import { environments } from './en/environments';
import { kit } from './en/kit';
import { outbox } from './en/outbox';
import { rendering } from './en/rendering';
import { repository } from './en/repository';
import { servers } from './en/servers';
import { shell } from './en/shell';
import { start } from './en/start';
import { triggerDesk } from './en/trigger-desk';
import { triggers } from './en/triggers';
import { values } from './en/values';

export const en = {
  ...kit,
  ...shell,
  ...start,
  ...activity,
  ...agent,
  ...repository,
  ...servers,
  ...care,
  ...environments,
  ...argo,
  ...values,
  ...rendering,
  ...chaos,
  ...centers,
  ...triggers,
  ...triggerDesk,
  ...outbox,
} as const;
