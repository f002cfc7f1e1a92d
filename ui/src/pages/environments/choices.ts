import type { ApplicationView, DeployChoice } from '$platform';

/**
 * What the form starts with: the deployed tag while it is on offer, else the newest; the override as stored,
 * or, before the first deployment, on when the file is there.
 */
export function firstChoices(applications: ApplicationView[]): DeployChoice[] {
  return applications.map((app) => {
    const deployed = app.tags.find((tag) => tag.name === app.version);
    const newest = app.tags.find((tag) => tag.latest) ?? app.tags[0];
    return {
      application: app.name,
      tag: (deployed ?? newest)?.name ?? '',
      override: app.version === null ? app.valuesFile === 'present' : (app.override.stored ?? app.override.live),
    };
  });
}

/** Every application on its newest, or its last stable, tag; one without such a tag stays as it is. */
export function withAll(choices: DeployChoice[], applications: ApplicationView[], which: 'latest' | 'stable'): DeployChoice[] {
  return choices.map((choice) => {
    const tag = applications.find((app) => app.name === choice.application)?.tags.find((one) => one[which]);
    return tag ? { ...choice, tag: tag.name } : choice;
  });
}
