// Sets a stage, opens a driver, walks the main job, and looks for secrets in what was left behind.
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { openChromium } from './chromium.mjs';
import { mainJob, secretsOf } from './journey.mjs';
import { openWindow } from './window.mjs';

export const { PILOTHOUSE_APP, PILOTHOUSE_BRIDGE, PILOTHOUSE_STAGE, PILOTHOUSE_NOTIFICATIONS } = process.env;
export const shots = process.env.PILOTHOUSE_SHOTS ?? 'shots';
mkdirSync(shots, { recursive: true });

/** A program that prints one line when it is ready and lives until its input ends. */
export async function leashed(program, args, env) {
  const child = spawn(program, args, { env, stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface(child.stdout);
  const line = await new Promise((resolve, reject) => {
    lines.once('line', resolve);
    child.once('exit', (code) => reject(new Error(`${program} ended with ${code}`)));
  });
  return {
    line,
    /** Calls back with each further line. */
    each: (tell) => lines.on('line', tell),
    stop: () =>
      new Promise((resolve) => {
        child.once('exit', resolve);
        child.stdin.end();
      }),
  };
}

/**
 * Walks the whole job, or the steps `upTo` one; `through` may change the driver's hands, `after` gets the driver at its
 * end and a way to close the app and open it anew, and `add` adds to the stage.
 */
export async function play({ driver, on, upTo, add = {}, through = (d) => d, after = async () => {}, each = async () => {} }) {
  const folder = mkdtempSync(join(tmpdir(), 'pilothouse-play-'));
  const data = join(folder, 'data');
  const env = { ...process.env, PILOTHOUSE_DATA: data, PILOTHOUSE_LOG: 'debug' };
  let stage = { practice: true, folder, repositories: join(data, 'practice', 'repositories') };
  let held;
  let bridge;
  let d;
  try {
    if (on !== 'practice') {
      console.log(`# setting the stage: a real API server and Git over ${on}`);
      held = await leashed(PILOTHOUSE_STAGE, [on, folder], env);
      stage = { folder, ...JSON.parse(held.line) };
      env.KUBECONFIG = stage.kubeconfig;
      if (on === 'https') env.SSL_CERT_FILE = stage.trust;
    } else {
      env.KUBECONFIG = join(folder, 'no-kubeconfig');
    }
    Object.assign(stage, add);
    const open = async () => {
      if (driver === 'chromium') {
        bridge = await leashed(PILOTHOUSE_BRIDGE, [], env);
        return openChromium({ url: bridge.line, shots });
      }
      return openWindow({ binary: PILOTHOUSE_APP, shots, env });
    };
    const reopen = async (meanwhile = async () => {}) => {
      await d.close();
      await bridge?.stop();
      [d, bridge] = [];
      await meanwhile();
      return (d = await open());
    };
    d = await open();
    try {
      stage.shared = await mainJob(through(d), stage, async (name, ms) => {
        const file = await d.screenshot(name);
        console.log(`# ${name} (${(ms / 1000).toFixed(1)} s): ${file}`);
        await each(d, name);
      }, upTo);
      await after(d, stage, reopen);
    } catch (error) {
      console.log(`# it stopped here: ${await d?.screenshot('stopped').catch(() => 'no screenshot')}`);
      throw error;
    }
  } finally {
    await d?.close();
    await bridge?.stop();
    await held?.stop();
    const leaks = [data, shots].flatMap((left) => leaked(left, secretsOf(stage)));
    rmSync(folder, { recursive: true, force: true });
    if (leaks.length) throw new Error(`a secret was left in: ${leaks.join(', ')}`);
  }
}

/** The files below a folder that hold one of the texts, plain or in base64. */
function leaked(folder, secrets) {
  const wanted = secrets.flatMap((s) => [s, Buffer.from(s).toString('base64').replace(/=+$/, '')]).filter((s) => s.length > 8);
  const found = [];
  const walk = (path) => {
    for (const name of readdirSync(path)) {
      const file = join(path, name);
      if (statSync(file).isDirectory()) walk(file);
      else if (wanted.some((s) => readFileSync(file).includes(s))) found.push(file);
    }
  };
  if (wanted.length) walk(folder);
  return found;
}
