import { call, commands, type WaitingCommits } from '$platform';
import { onChanged } from './changes';

/** How many commits wait to be pushed; asked again when the app says that something about the repository changed. */
class Outbox {
  value = $state.raw<WaitingCommits | undefined>();

  get count(): number {
    return this.value?.entries.length ?? 0;
  }

  async refresh(): Promise<void> {
    try {
      this.value = await call(commands.waitingCommits());
    } catch {
      // The panel shows the error; a mark in the rail has no room for it.
    }
  }

  follow(): () => void {
    void this.refresh();
    return onChanged((topic) => {
      if (topic === 'repository' || topic === 'session') void this.refresh();
    });
  }
}

export const outbox = new Outbox();
