/** What the user asked for. `system` follows the operating system. */
export type ThemeChoice = 'system' | 'light' | 'dark';

const KEY = 'pilothouse.theme';
const dark = window.matchMedia('(prefers-color-scheme: dark)');

function isChoice(value: unknown): value is ThemeChoice {
  return value === 'system' || value === 'light' || value === 'dark';
}

class Theme {
  choice = $state<ThemeChoice>('system');
  private systemDark = $state(dark.matches);
  readonly shown = $derived<'light' | 'dark'>(
    this.choice === 'system' ? (this.systemDark ? 'dark' : 'light') : this.choice,
  );

  constructor() {
    // Kept beside the preferences of the app so that the first frame already has the right colours.
    const stored = localStorage.getItem(KEY);
    if (isChoice(stored)) this.choice = stored;
    dark.addEventListener('change', (event) => {
      this.systemDark = event.matches;
      this.apply();
    });
    this.apply();
  }

  set(choice: string): void {
    if (!isChoice(choice)) return;
    this.choice = choice;
    localStorage.setItem(KEY, choice);
    this.apply();
  }

  private apply(): void {
    document.documentElement.dataset['theme'] = this.shown;
  }
}

export const theme = new Theme();
