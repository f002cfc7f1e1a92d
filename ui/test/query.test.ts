import { flushSync } from 'svelte';
import { describe, expect, it, vi } from 'vitest';

vi.mock('../src/bindings', () => ({
  commands: {},
  events: { changed: { listen: () => Promise.resolve(() => undefined) } },
}));

import { changed } from '../src/state/changes';
import { drive } from './drive.svelte';

/** Lets promises that are settled run their continuations. */
const settle = () => new Promise((resolve) => setTimeout(resolve));

describe('a query', () => {
  it('drops an answer that was overtaken', async () => {
    const answers: Record<string, (text: string) => void> = {};
    const held = drive((key) => new Promise<string>((resolve) => (answers[key] = resolve)));
    held.setKey('second');
    flushSync();
    answers['second']!('new');
    await settle();
    answers['first']!('old');
    await settle();
    expect(held.query.data).toBe('new');
    held.stop();
  });

  it('does not show one object as another', async () => {
    const held = drive((key) => (key === 'first' ? Promise.resolve('one') : new Promise<string>(() => undefined)));
    await settle();
    expect(held.query.data).toBe('one');
    held.setKey('second');
    flushSync();
    expect(held.query.data).toBeUndefined();
    expect(held.query.loading).toBe(true);
    held.stop();
  });

  it('keeps the last good answer when a newer one fails', async () => {
    let fail = false;
    const held = drive(() => (fail ? Promise.reject(new Error('gone')) : Promise.resolve('good')));
    await settle();
    fail = true;
    changed('runs');
    await settle();
    expect(held.query.data).toBe('good');
    expect(held.query.error?.message).toBe('gone');
    expect(held.query.stale).toBe(true);
    held.stop();
  });

  it('asks again for its own topics only, and not after it ended', async () => {
    let asked = 0;
    const held = drive(() => Promise.resolve(String(++asked)));
    await settle();
    changed('chaos');
    await settle();
    expect(asked).toBe(1);
    changed('runs');
    await settle();
    expect(asked).toBe(2);
    held.stop();
    changed('runs');
    await settle();
    expect(asked).toBe(2);
  });

  it('asks about what is typed when typing pauses, and one question at a time', async () => {
    vi.useFakeTimers();
    const asked: string[] = [];
    const answers: ((text: string) => void)[] = [];
    const held = drive(
      (key) => {
        asked.push(key);
        return new Promise<string>((resolve) => answers.push(resolve));
      },
      { keep: true, pause: 400 },
    );
    const type = (text: string) => {
      held.setKey(text);
      flushSync();
    };
    try {
      expect(asked).toEqual(['first']);
      type('firsts');
      await vi.advanceTimersByTimeAsync(399);
      type('firsts!');
      await vi.advanceTimersByTimeAsync(400);
      // Typing has paused, and the first question has no answer yet.
      expect(asked).toEqual(['first']);
      answers[0]!('about the first');
      await vi.advanceTimersByTimeAsync(0);
      expect(asked).toEqual(['first', 'firsts!']);
      // That answer is about a key which is gone.
      expect(held.query.data).toBeUndefined();
      answers[1]!('about the last');
      await vi.advanceTimersByTimeAsync(0);
      expect([held.query.data, held.query.stale]).toEqual(['about the last', false]);
      // Typing that goes on makes what is shown old; ending the page ends the pause.
      type('more');
      expect(held.query.stale).toBe(true);
      held.stop();
      await vi.advanceTimersByTimeAsync(1000);
      expect(asked).toHaveLength(2);
    } finally {
      held.stop();
      vi.useRealTimers();
    }
  });
});
