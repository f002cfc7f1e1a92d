// A driver that has no mouse: everything is reached by Tab, arrows and typing, as a person without one does it.
const GROUPS = '[role="radiogroup"], [role="tablist"]';

export function withoutMouse(d) {
  const { page } = d;
  const press = (key) => page.keyboard.press(key);
  const at = (id) => page.locator(`[data-testid="${id}"]`).first();

  /** Where the focus is, seen from the element with a test id. */
  const place = (id) =>
    page.evaluate(
      ([wanted, groups]) => {
        const element = document.querySelector(`[data-testid="${CSS.escape(wanted)}"]`);
        const active = document.activeElement;
        if (!element) return 'missing';
        if (active === element || (element.contains(active) && active !== document.body)) return 'there';
        const group = element.closest(groups);
        if (group && group !== element && group.contains(active)) return 'group';
        return 'elsewhere';
      },
      [id, GROUPS],
    );

  async function reach(id, timeout = 20_000) {
    await at(id).waitFor({ state: 'visible', timeout });
    if (await highlighted(id)) return 'option';
    for (let i = 0; i < 250; i++) {
      const now = await place(id);
      if (now === 'there') return 'control';
      if (now === 'group') await press('ArrowRight');
      else if (await page.evaluate(() => !!document.activeElement?.closest('.cm-editor'))) {
        // An editor keeps Tab for itself until Escape.
        await press('Escape');
        await press('Tab');
      } else await press('Tab');
    }
    throw new Error(`${id} cannot be reached by keyboard`);
  }

  /** An entry of an open list: the arrows go there without moving the focus. */
  async function highlighted(id) {
    if (!(await at(id).evaluate((element) => element.matches('[role="option"]')))) return false;
    for (let i = 0; i < 60; i++) {
      if (await at(id).evaluate((element) => element.hasAttribute('data-highlighted'))) return true;
      // A list that opens at its chosen entry has others above it.
      await press(i < 20 ? 'ArrowDown' : 'ArrowUp');
    }
    throw new Error(`the arrows do not reach ${id}`);
  }

  return {
    ...d,
    async click(id, { timeout } = {}) {
      const kind = await reach(id, timeout);
      const role = await at(id).evaluate((element) => element.getAttribute('role') ?? element.tagName.toLowerCase());
      if (kind === 'option') return press('Enter');
      if (role === 'combobox' || (await at(id).evaluate((element) => element.matches('input, textarea')))) return press('ArrowDown');
      if (role === 'section' || role === 'div') return undefined;
      return press(role === 'a' || role === 'button' ? 'Enter' : 'Space');
    },
    async fill(id, value) {
      await reach(id);
      await press('Control+a');
      if (value.includes('\n')) await page.keyboard.insertText(value);
      else await page.keyboard.type(value);
    },
  };
}
