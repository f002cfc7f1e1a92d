import assert from 'node:assert/strict';
import test from 'node:test';
import { play } from './play.mjs';

test('the main job in Chromium, with no serious accessibility problem on any page', async () => {
  const findings = [];
  await play({
    driver: 'chromium',
    on: 'practice',
    each: async (d, name) => findings.push(...(await d.accessibility()).map((finding) => `${name}: ${finding}`)),
    after: async (d) => assert.deepEqual(d.problems, [], 'the pages log no error'),
  });
  assert.deepEqual([...new Set(findings)], []);
});
