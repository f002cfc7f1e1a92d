// Files that a person picks in the system's dialog: a private key that the SSH server lets in, and a workflow.
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { pick } from './dialog.mjs';
import { play } from './play.mjs';

test('a key and a workflow from files, through the real dialog', async () => {
  let driver;
  const picked = (title, path) => pick(title, path, () => driver.screenshot('dialog'));
  await play({
    driver: 'window',
    on: 'ssh',
    upTo: 'chaos-enabled',
    add: { pick: picked },
    through: (d) => (driver = d),
    async after(d, stage) {
      const file = join(stage.folder, 'from disk.yaml');
      writeFileSync(file, WORKFLOW);
      await d.click('workflow-new');
      await d.click('new-source-file');
      await d.click('new-pick');
      await pick('Choose a file…', undefined);
      assert.equal(await d.exists('workflow-editor'), false, 'a dialog that is cancelled changes nothing');
      await d.click('new-pick');
      await picked('Choose a file…', file);
      await d.click('new-view-yaml');
      await d.waitFor('workflow-editor', { text: 'name: from-disk' });
      await d.screenshot('workflow-from-file');
    },
  });
});

const WORKFLOW = `apiVersion: argoproj.io/v1alpha1
kind: Workflow
metadata:
  name: from-disk
spec:
  entrypoint: main
  templates:
    - name: main
      container: { image: busybox }
`;
