// The same pages in Chromium: Tauri's mock runtime answers the same commands over HTTP on loopback.
import { chromium } from 'playwright-core';
import axe from 'axe-core';

const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
];

export async function openChromium({ url, shots, executable = '/usr/bin/chromium', width = 1280, height = 800, scheme = 'light' }) {
  const browser = await chromium.launch({ executablePath: executable, args: FLAGS });
  const page = await browser.newPage({ viewport: { width, height }, colorScheme: scheme });
  const problems = [];
  page.on('pageerror', (error) => problems.push(error.message));
  page.on('console', (message) => message.type() === 'error' && problems.push(message.text()));
  await page.addInitScript(bridge);
  await page.goto(url);
  const find = (id) => page.locator(`[data-testid="${id}"]`).first();
  let shot = 0;
  return {
    kind: 'chromium',
    page,
    problems,
    async waitFor(id, { timeout = 60_000, gone = false, text } = {}) {
      await find(id).waitFor({ state: gone ? 'hidden' : 'visible', timeout });
      if (text !== undefined) {
        const wanted = text instanceof RegExp ? text : new RegExp(text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
        await page.locator(`[data-testid="${id}"]`).filter({ hasText: wanted }).first().waitFor({ timeout });
      }
    },
    click: (id, { timeout = 60_000 } = {}) => find(id).click({ timeout }),
    fill: (id, value) => find(id).fill(value),
    async type(keys) {
      for (const key of Array.isArray(keys) ? [keys.join('+')] : [keys])
        if (/^(Control|Meta|Alt|Shift|Escape|Enter|Tab|Arrow|End|Home|Delete|Backspace)/.test(key)) await page.keyboard.press(key);
        else await page.keyboard.type(key);
    },
    text: (id) => find(id).innerText(),
    value: (id) => find(id).inputValue(),
    exists: async (id) => (await page.locator(`[data-testid="${id}"]`).count()) > 0,
    ids: (prefix) => page.$$eval(`[data-testid^="${prefix}"]`, (all) => all.map((e) => e.dataset.testid)),
    run: (script, ...args) => page.evaluate(([s, a]) => new Function(`return (${s})`)()(...a), [String(script), args]),
    async screenshot(name) {
      await page.waitForTimeout(250);
      const file = `${shots}/${String(++shot).padStart(2, '0')}-${name}.png`;
      await page.screenshot({ path: file });
      return file;
    },
    /** Serious and critical findings of axe on the page as it stands. */
    async accessibility() {
      // Half-way through a transition a colour is neither the old nor the new one; what spins for ever is not waited for.
      await page.evaluate(() => Promise.allSettled(document.getAnimations()
        .filter((one) => one.effect?.getTiming().iterations !== Infinity).map((one) => one.finished)));
      await page.evaluate(axe.source);
      const result = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
      return result.violations
        .filter((v) => v.impact === 'serious' || v.impact === 'critical')
        .map((v) => `${v.id}: ${v.help} (${v.nodes.slice(0, 3).map((n) => n.target.join(' ')).join('; ')})`);
    },
    /** Tells something while a dialog is open: the dialog's buttons that it covers, and whether it can be put away alone. */
    async tellBesideDialog() {
      const title = 'Something else failed';
      await page.evaluate((words) => window.__TELL__('notice', { level: 'bad', title: words, body: 'It was told while a dialog was open.', path: null }), title);
      const told = page.locator('[data-testid="toast"]').filter({ hasText: title });
      await told.waitFor();
      const wrong = await page.evaluate(() => {
        const boxes = [...document.querySelectorAll('[data-testid="toast"]')].map((one) => one.getBoundingClientRect());
        const buttons = [...document.querySelectorAll('.ph-dialog-foot button, .ph-dialog-foot a, .ph-dialog-close button')];
        if (!buttons.length) return ['no dialog is open'];
        const under = (a) => boxes.some((b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom);
        return buttons.filter((one) => under(one.getBoundingClientRect())).map((one) => `${one.innerText || one.ariaLabel} is covered`);
      });
      const file = `${shots}/${String(++shot).padStart(2, '0')}-beside-dialog.png`;
      await page.waitForTimeout(250);
      await page.screenshot({ path: file });
      await told.getByRole('button').click();
      await told.waitFor({ state: 'hidden' });
      if (!(await page.locator('.ph-dialog').count())) wrong.push('the dialog closed with it');
      return wrong;
    },
    close: () => browser.close(),
  };
}

/** What `@tauri-apps/api` calls in a window, carried over HTTP: commands by POST, events by a stream. */
function bridge() {
  const callbacks = new Map();
  const listeners = new Map();
  let next = 1;
  const source = new EventSource('/events');
  source.onmessage = (message) => {
    const { event, payload } = JSON.parse(message.data);
    tell(event, payload);
  };
  const tell = (event, payload) => {
    for (const [id, listener] of listeners) if (listener.event === event) callbacks.get(listener.handler)?.({ event, id, payload });
  };
  window.__TELL__ = tell;
  window.__TAURI_EVENT_PLUGIN_INTERNALS__ = { unregisterListener: (_event, id) => listeners.delete(id) };
  window.__TAURI_INTERNALS__ = {
    metadata: { currentWindow: { label: 'main' }, currentWebview: { windowLabel: 'main', label: 'main' } },
    transformCallback(callback) {
      const id = next++;
      callbacks.set(id, callback);
      return id;
    },
    unregisterCallback: (id) => callbacks.delete(id),
    async invoke(command, args) {
      if (command === 'plugin:event|listen') {
        const id = next++;
        listeners.set(id, { event: args.event, handler: args.handler });
        return id;
      }
      if (command === 'plugin:event|unlisten') return void listeners.delete(args.eventId);
      const answer = await fetch(`/ipc/${encodeURIComponent(command)}`, { method: 'POST', body: JSON.stringify(args ?? {}) });
      const value = await answer.json();
      if (answer.ok) return value;
      throw value;
    },
  };
}
