import { flushSync, mount, unmount } from 'svelte';
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
});
