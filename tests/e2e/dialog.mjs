// The system's own file dialog, with the keyboard: WebDriver cannot see it.
import { execFileSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';

const tool = (...args) => execFileSync('xdotool', args, { encoding: 'utf8' }).trim();

function windows(title) {
  try {
    return tool('search', '--onlyvisible', '--name', title).split('\n').filter(Boolean);
  } catch {
    return []; // xdotool ends with 1 when there is none
  }
}

async function until(what, look) {
  for (let i = 0; i < 400; i++) {
    const found = look();
    if (found) return found;
    await sleep(50);
  }
  throw new Error(`${what} in vain`);
}

/** Types a path into the dialog with this title and takes it; with none, the dialog is cancelled. */
export async function pick(title, path, look = () => {}) {
  // In the C locale a character beyond ASCII is several for xdotool.
  const name = `^${title.replace(/[^\x20-\x7e].*$/, '').replace(/[.*+?^${}()|[\]\\]/g, '.')}`;
  const id = await until(`waiting for the dialog “${title}”`, () => windows(name).at(-1));
  // Without a window manager nothing gives a new window the keyboard.
  await until('giving the dialog the keyboard', () => {
    tool('windowfocus', id);
    return tool('getwindowfocus') === id;
  });
  if (path) {
    // A slash opens GTK's field for a path. What is typed while it opens may be lost, so the path is typed over it.
    tool('key', 'slash');
    for (let i = 0; i < 4 && windows(name).length; i++) {
      await sleep(500);
      tool('key', 'ctrl+a');
      tool('type', '--delay', '15', path);
      await sleep(300);
      if (i === 0) await look();
      tool('key', 'Return');
      for (let k = 0; k < 40 && windows(name).length; k++) await sleep(50);
    }
  } else {
    tool('key', 'Escape');
  }
  await until(`waiting for the dialog “${title}” to close`, () => windows(name).length === 0);
}
