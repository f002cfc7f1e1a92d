// Every word the window shows. A translation is another file with the same keys.
import { activity } from './en/activity';
import { chaos } from './en/chaos';
import { environments } from './en/environments';
import { kit } from './en/kit';
import { repository } from './en/repository';
import { shell } from './en/shell';
import { start } from './en/start';
import { triggers } from './en/triggers';
import { values } from './en/values';

export const en = {
  ...kit,
  ...shell,
  ...start,
  ...activity,
  ...repository,
  ...environments,
  ...values,
  ...chaos,
  ...triggers,
} as const;
