import assert from 'node:assert/strict';
import test from 'node:test';
import { play } from './play.mjs';

/** The steps that end with a dialog open. */
const DIALOGS = ['values-review', 'run-preview'];

test('the main job in Chromium, with no serious accessibility problem on any page and nothing told over a dialog’s buttons', async () => {
  const findings = [];
  await play({
    driver: 'chromium',
    on: 'practice',
    each: async (d, name) => {
      const found = await d.accessibility();
      if (DIALOGS.includes(name)) found.push(...(await d.tellBesideDialog()));
      findings.push(...found.map((finding) => `${name}: ${finding}`));
    },
    after: async (d) => assert.deepEqual(d.problems, [], 'the pages log no error'),
  });
  assert.deepEqual([...new Set(findings)], []);
});
