import { describe, expect, it } from 'vitest';
import type { ApplicationView } from '../src/bindings';
import { firstChoices, withAll } from '../src/pages/environments/choices';
import { TypedAddress } from '../src/pages/remote/address.svelte';
import { emptyDraft, missing, serverOf, splitAddress, startOver, takeSecret, toInput, transportOf, wipe } from '../src/pages/remote/credential';

const tags = [
  { name: '1.4', digest: null, created: null, latest: true, stable: false },
  { name: '1.3', digest: null, created: null, latest: false, stable: true },
];
const app = (over: Partial<ApplicationView>) =>
  ({ name: 'cart', version: '1.3', override: { live: false, stored: null }, valuesFile: 'present', tags, ...over }) as ApplicationView;

describe('what the deploy form starts with', () => {
  it('keeps the deployed tag', () => expect(firstChoices([app({})])[0]).toMatchObject({ tag: '1.3', override: false }));
  it('takes the newest when the deployed one is gone', () => expect(firstChoices([app({ version: '0.9' })])[0]?.tag).toBe('1.4'));
  it('takes none where none is built', () => expect(firstChoices([app({ tags: [] })])[0]?.tag).toBe(''));
  it('keeps the stored switch over the live one', () =>
    expect(firstChoices([app({ override: { live: true, stored: false } })])[0]?.override).toBe(false));
  it('switches on at the first deployment when the file is there', () => {
    expect(firstChoices([app({ version: null })])[0]?.override).toBe(true);
    expect(firstChoices([app({ version: null, valuesFile: 'absent' })])[0]?.override).toBe(false);
  });
  it('leaves an application without such a tag as it is', () => {
    const apps = [app({}), app({ name: 'old', tags: [] })];
    const chosen = withAll(firstChoices(apps), apps, 'latest');
    expect(chosen.map((choice) => choice.tag)).toEqual(['1.4', '']);
  });
});

describe('a credential', () => {
  it('is not sent before it is whole', () => {
    const draft = emptyDraft('token');
    expect(missing(draft)).toBeDefined();
    expect(toInput(draft)).toBeNull();
    draft.token = 's3cret';
    expect(missing(draft)).toBeUndefined();
    expect(toInput(draft)).toEqual({ kind: 'token', username: null, token: 's3cret' });
  });

  it('is over SSH for every kind of key', () => {
    const draft = { ...emptyDraft('ssh'), source: 'agent' as const };
    expect(transportOf(draft)).toBe('ssh');
    expect(toInput(draft)).toEqual({ kind: 'agent' });
  });

  it('holds no secret after it was handed over', () => {
    const draft = { ...emptyDraft('ssh'), token: 'a', text: 'b', passphrase: 'c' };
    wipe(draft);
    expect(JSON.stringify([draft.token, draft.text, draft.passphrase])).toBe('["","",""]');
  });

  it('holds nothing any more once it is for another server', () => {
    const draft = { ...emptyDraft('ssh'), username: 'u', token: 'a', text: 'b', path: 'p', passphrase: 'c', keyId: 'k', publicKey: 'q', fingerprint: 'f' };
    startOver(draft);
    expect(draft).toEqual(emptyDraft('ssh'));
  });
});

describe('an address with a token in it', () => {
  it('comes out clean, and the token goes to its field', () => {
    const draft = emptyDraft('none');
    expect(takeSecret('https://robin:s3cret%21@git.example/acme/gitops.git', draft)).toBe('https://git.example/acme/gitops.git');
    expect(draft).toMatchObject({ kind: 'token', username: 'robin', token: 's3cret!' });
  });

  it('belongs to one server, whatever follows its name', () => {
    expect(serverOf('https://git.example/a')).toBe(serverOf(' HTTPS://robin@git.example?x'));
    expect(serverOf('https://git.example:8443/a')).not.toBe(serverOf('https://git.example/a'));
    expect(serverOf('git@git.example:a/b')).toBe(serverOf('ssh://git@git.example/a'));
    expect(serverOf('ssh://git.example/a')).not.toBe(serverOf('https://git.example/a'));
    for (const none of ['', 'https://', 'git.example/a', 'git@git.example']) expect(serverOf(none)).toBe('');
  });

  it('keeps its token while the path is edited, and loses it with its server', () => {
    const draft = emptyDraft('token');
    const address = new TypedAddress(() => draft);
    for (const text of ['h', 'https://g', 'https://git.example']) address.type(text);
    address.type('https://robin:s3cret@git.example/acme');
    expect([address.url, address.moved, draft.token]).toEqual(['https://git.example/acme', true, 's3cret']);
    address.type('https://git.example/acme/gitops.git');
    expect([address.moved, draft.token]).toEqual([true, 's3cret']);
    address.type('https://git.exampl/acme/gitops.git');
    expect([address.moved, draft]).toEqual([false, emptyDraft('token')]);

    draft.token = 'typed into its own field';
    address.type('git@git.exampl:acme/gitops.git');
    expect(draft.token).toBe('');
    address.type('https://ghp_abcdef@github.com/acme/gitops');
    expect([address.url, draft.token]).toEqual(['https://github.com/acme/gitops', 'ghp_abcdef']);
    address.type('https://ghp_ghijkl@git.example/acme/gitops');
    expect([draft.token, draft.username]).toEqual(['ghp_ghijkl', '']);
  });

  it('is found where the token stands for the user', () => {
    expect(splitAddress('https://ghp_abc@github.com/a/b')).toEqual({ url: 'https://github.com/a/b', username: '', token: 'ghp_abc' });
    expect(splitAddress('https://:s3cret@git.example/a')).toMatchObject({ url: 'https://git.example/a', token: 's3cret' });
  });

  it('is left alone where there is none', () => {
    const draft = emptyDraft('ssh');
    for (const url of ['git@github.com:a/b.git', 'https://robin@git.example/a/b', 'https://git.example/a@b', 'https://', ''])
      expect(takeSecret(url, draft)).toBe(url);
    expect(draft).toEqual(emptyDraft('ssh'));
  });
});
