// The real window, driven through WebKitWebDriver. Screenshots come from X: with the DMABUF renderer
// off, the driver's own never return.
import { execFileSync, spawn } from 'node:child_process';
import { openSync } from 'node:fs';
import net from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import axe from 'axe-core';
import { remote } from 'webdriverio';

const freePort = () =>
  new Promise((resolve) => {
    const server = net.createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });

const answers = (port) =>
  new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.on('connect', () => (socket.destroy(), resolve(true)));
    socket.on('error', () => resolve(false));
  });

async function startDriver(env, log) {
  const port = await freePort();
  // Without this variable Tauri does not let itself be driven, and the session hangs.
  const process_ = spawn('WebKitWebDriver', [`--port=${port}`], {
    env: { ...env, TAURI_WEBVIEW_AUTOMATION: 'true' },
    // The app inherits these: what it logs is searched for secrets afterwards.
    stdio: ['ignore', log, log],
  });
  for (let i = 0; i < 500; i++) {
    if (await answers(port)) return { port, stop: () => process_.kill() };
    await sleep(20);
  }
  process_.kill();
  throw new Error('WebKitWebDriver does not answer');
}

export async function openWindow({ binary, shots, env = process.env }) {
  const driver = await startDriver(env, openSync(`${shots}/app.log`, 'a'));
  const browser = await remote({
    hostname: '127.0.0.1',
    port: driver.port,
    path: '/',
    logLevel: 'error',
    connectionRetryCount: 0,
    connectionRetryTimeout: 120_000,
    waitforInterval: 50,
    capabilities: { 'webkitgtk:browserOptions': { binary, args: [] }, 'wdio:enforceWebDriverClassic': true },
  });
  const find = (id) => browser.$(`[data-testid="${id}"]`);
  let shot = 0;
  return {
    kind: 'window',
    async waitFor(id, { timeout = 60_000, gone = false, text } = {}) {
      const element = await find(id);
      await element.waitForDisplayed({ timeout, reverse: gone, timeoutMsg: `${id} is ${gone ? 'still' : 'not'} there` });
      if (text !== undefined)
        await browser.waitUntil(async () => matches(await (await find(id)).getText(), text), {
          timeout,
          timeoutMsg: `${id} does not read ${text}; it reads: ${await element.getText()}`,
        });
    },
    async click(id, { timeout = 60_000 } = {}) {
      const element = await find(id);
      await element.waitForClickable({ timeout, timeoutMsg: `${id} cannot be clicked` });
      // A button that says why it does nothing can be clicked, and does nothing.
      await browser.waitUntil(async () => (await element.getAttribute('aria-disabled')) !== 'true', { timeout, timeoutMsg: `${id} does nothing` });
      await element.click();
    },
    async fill(id, value) {
      await this.click(id);
      const element = await find(id);
      await element.clearValue();
      await element.addValue(value);
    },
    async type(keys) {
      await browser.keys(keys);
    },
    text: async (id) => (await find(id)).getText(),
    value: async (id) => (await find(id)).getValue(),
    exists: async (id) => (await find(id)).isExisting(),
    ids: (prefix) =>
      browser.execute((p) => [...document.querySelectorAll(`[data-testid^="${p}"]`)].map((e) => e.dataset.testid), prefix),
    run: (script, ...args) => browser.execute(script, ...args),
    async screenshot(name) {
      await sleep(250);
      const file = `${shots}/${String(++shot).padStart(2, '0')}-${name}.png`;
      execFileSync('import', ['-window', 'root', file], { env });
      return file;
    },
    /** Serious and critical findings of axe on the page as it stands. */
    async accessibility() {
      await browser.execute(axe.source);
      const violations = await browser.executeAsync((done) => {
        // Half-way through a transition a colour is neither the old nor the new one; what spins for ever is not waited for.
        const moving = document.getAnimations().filter((one) => one.effect?.getTiming().iterations !== Infinity);
        Promise.allSettled(moving.map((one) => one.finished))
          .then(() => window.axe.run(document, { resultTypes: ['violations'] }))
          .then((result) => done(result.violations.map(({ id, impact, help, nodes }) => ({ id, impact, help, at: nodes.slice(0, 3).map((n) => n.target.join(' ')) }))))
          .catch((error) => done([{ id: 'axe', impact: 'critical', help: String(error), at: [] }]));
      });
      return violations
        .filter((v) => v.impact === 'serious' || v.impact === 'critical')
        .map((v) => `${v.id}: ${v.help} (${v.at.join('; ')})`);
    },
    async close() {
      await browser.deleteSession().catch(() => {});
      driver.stop();
    },
  };
}

function matches(text, wanted) {
  return wanted instanceof RegExp ? wanted.test(text) : text.includes(wanted);
}
