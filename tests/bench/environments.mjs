// The page of an environment with thousands of applications in the real window: first paint, and frames while it is
// scrolled. The floor is a page of as many plain rows in the same window. Prints what `environment-pass` prints, then a
// line for each figure: its name, ours, and the floor's.
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { openWindow } from '../e2e/window.mjs';

const { PILOTHOUSE_APP, PILOTHOUSE_PASS } = process.env;
const number = (name, usual) => Number(process.argv[process.argv.indexOf(name) + 1] || usual);
const count = process.argv.includes('--applications') ? number('--applications') : 6000;
const rounds = process.argv.includes('--rounds') ? number('--rounds') : 5;
const PAGE = '#/environments/storefront/dev';

const stage = spawn(PILOTHOUSE_PASS, ['--applications', String(count), '--rounds', String(rounds), '--hold'], {
  stdio: ['pipe', 'pipe', 'inherit'],
});
const kubeconfig = await new Promise((resolve, reject) => {
  createInterface({ input: stage.stdout }).on('line', (line) =>
    line.startsWith('stage ') ? resolve(line.slice(6)) : console.log(line),
  );
  stage.on('exit', (code) => reject(new Error(`environment-pass ended with ${code}`)));
});
const folder = mkdtempSync(join(tmpdir(), 'pilothouse-bench-'));
const d = await openWindow({
  binary: PILOTHOUSE_APP,
  shots: folder,
  env: { ...process.env, KUBECONFIG: kubeconfig, PILOTHOUSE_DATA: join(folder, 'data') },
});
try {
  await d.click('connect-rig', { timeout: 60_000 });
  await d.waitFor('nav-repository', { timeout: 60_000 });
  const ours = { paint: [], frame: [], worst: [], slow: [] };
  const floor = { paint: [], frame: [], worst: [], slow: [] };
  for (let round = 0; round < rounds; round++) {
    await d.run(away);
    await sleep(500);
    note(ours, await measured(paintPage, PAGE), await measured(leap, '.scroller.long'), await measured(glide, '.scroller.long'));
    note(floor, await measured(paintPlain, count), await measured(leap, '#plain'), await measured(glide, '#plain'));
    await d.run(() => document.querySelector('#plain').remove());
  }
  for (const [name, key] of [['paint-ms', 'paint'], ['frame-ms', 'frame'], ['worst-frame-ms', 'worst'], ['glide-ms', 'slow']])
    console.log(`${name} ${median(ours[key]).toFixed(1)} ${median(floor[key]).toFixed(1)}`);
} finally {
  await d.close();
  stage.removeAllListeners('exit');
  stage.stdin.end();
  rmSync(folder, { recursive: true, force: true });
}

function note(to, paint, leaping, gliding) {
  to.paint.push(paint);
  to.frame.push(median(leaping));
  to.worst.push(Math.max(...leaping));
  to.slow.push(median(gliding));
}

function median(values) {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
}

/** What a script in the page leaves in `window.measured`. */
async function measured(script, argument) {
  await d.run(() => void (window.measured = undefined));
  await d.run(script, argument);
  for (let i = 0; i < 1200; i++) {
    const found = await d.run(() => window.measured);
    if (found !== undefined && found !== null) return found;
    await sleep(50);
  }
  throw new Error(`${script.name} did not end`);
}

// What follows runs in the page.

function away() {
  location.hash = '#/settings';
}

/** From the click on a link to the frame that shows the first rows. */
function paintPage(page) {
  const begin = performance.now();
  location.hash = page;
  const look = () => {
    if (!document.querySelector('[data-testid^="version-"]')) return requestAnimationFrame(look);
    requestAnimationFrame(() => setTimeout(() => (window.measured = performance.now() - begin)));
  };
  requestAnimationFrame(look);
}

/** From nothing to the frame that shows as many rows of plain text. */
function paintPlain(count) {
  const begin = performance.now();
  const list = document.createElement('div');
  list.id = 'plain';
  list.style.cssText = 'position:fixed;inset:0;overflow:auto;background:white;z-index:99999';
  const rows = [];
  for (let i = 0; i < count; i++) rows.push(`<div style="height:40px">service-${i}</div>`);
  list.innerHTML = rows.join('');
  document.body.append(list);
  requestAnimationFrame(() => setTimeout(() => (window.measured = performance.now() - begin)));
}

/** The times between frames while the list is scrolled from its beginning to its end: many pages a second. */
function leap(selector) {
  const list = document.querySelector(selector);
  const frames = [];
  let last;
  let left = 120;
  const step = (now) => {
    if (last !== undefined) frames.push(now - last);
    last = now;
    if (left-- === 0) return void (window.measured = frames);
    list.scrollTop += (list.scrollHeight - list.clientHeight) / 120;
    requestAnimationFrame(step);
  };
  list.scrollTop = 0;
  requestAnimationFrame(step);
}

/** The same while it is scrolled as a wheel does it, about two rows a frame. */
function glide(selector) {
  const list = document.querySelector(selector);
  const frames = [];
  let last;
  let left = 120;
  const step = (now) => {
    if (last !== undefined) frames.push(now - last);
    last = now;
    if (left-- === 0) return void (window.measured = frames);
    list.scrollTop += 104;
    requestAnimationFrame(step);
  };
  list.scrollTop = 20_000;
  setTimeout(() => requestAnimationFrame(step), 500);
}
