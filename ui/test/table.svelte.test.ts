import { createRawSnippet, flushSync, mount, unmount } from 'svelte';
import { afterEach, describe, expect, it } from 'vitest';
import Table from '../src/kit/Table.svelte';

const names = (count: number) => Array.from({ length: count }, (_, i) => `service-${i}`);
const shown = () => [...document.querySelectorAll('tbody tr[data-key]')].map((row) => row.getAttribute('data-key'));

let table: object | undefined;
afterEach(async () => {
  if (table) await unmount(table);
  table = undefined;
  document.body.replaceChildren();
});

describe('a long table', () => {
  it('shows what a filter leaves, however far one had scrolled', () => {
    const props = $state({ rows: names(6000), columns: [{ id: 'name', title: 'Name', head: true, text: (row: string) => row }], key: (row: string) => row, label: 'Services' });
    table = mount(Table as never, { target: document.body, props: props as never });
    flushSync();
    expect(shown().length).toBeLessThan(120);
    expect(shown()[0]).toBe('service-0');
    const scroller = document.querySelector<HTMLElement>('.scroller')!;
    scroller.scrollTop = 200_000;
    scroller.dispatchEvent(new Event('scroll'));
    flushSync();
    expect(shown()).toContain('service-5000');
    props.rows = names(200);
    flushSync();
    expect(shown()).toContain('service-199');
    props.rows = names(3);
    flushSync();
    expect(shown()).toEqual(names(3));
  });

  it('is plain text while one leaps through it, and whole again at rest', async () => {
    const cell = createRawSnippet((row: () => string) => ({ render: () => `<b>${row()}</b>` }));
    const columns = [
      { id: 'name', title: 'Name', head: true, cell, text: (row: string) => row },
      { id: 'more', title: 'More', cell },
    ];
    table = mount(Table as never, { target: document.body, props: { rows: names(6000), columns, key: (row: string) => row, label: 'Services' } as never });
    flushSync();
    const scroller = document.querySelector<HTMLElement>('.scroller')!;
    const to = (top: number) => {
      scroller.scrollTop = top;
      scroller.dispatchEvent(new Event('scroll'));
      flushSync();
    };
    expect(document.querySelectorAll('b').length).toBe(2 * shown().length);
    to(200_000);
    expect(shown()).toContain('service-5000');
    expect(document.querySelectorAll('b').length).toBe(0);
    expect(document.querySelector('tr[data-key="service-5000"] th')?.textContent).toBe('service-5000');
    await expect.poll(() => document.querySelectorAll('b').length).toBe(2 * shown().length);
    expect(shown()).toContain('service-5000');
  });
});
