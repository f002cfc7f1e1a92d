import { asAppError, call, commands, type AppError, type ComponentKind, type ConnectTarget, type Session } from '$platform';
import { changed, onChanged } from './changes';

class Current {
  /** The connection, or undefined on the first screen. */
  value = $state.raw<Session | undefined>();
  /** The first question has been answered. */
  known = $state(false);
  error = $state.raw<AppError | undefined>();

  get connected(): boolean {
    return this.value !== undefined;
  }

  has(component: ComponentKind): boolean {
    return this.value?.components.some((one) => one.id === component && one.present) ?? false;
  }

  /** Argo CD alone deploys here: there is no platform of KubeRocketCI. */
  get argoAlone(): boolean {
    return this.value !== undefined && this.value.platform === null && this.has('argoCd');
  }

  async load(): Promise<void> {
    try {
      this.value = (await call(commands.currentSession())) ?? undefined;
      this.error = undefined;
    } catch (thrown) {
      this.error = asAppError(thrown);
    }
    this.known = true;
  }

  follow(): () => void {
    return onChanged((topic) => {
      if (topic === 'session') void this.load();
    });
  }

  async connect(target: ConnectTarget, operation: string): Promise<Session> {
    const session = await call(commands.connect(target, operation));
    this.value = session;
    changed('activity');
    return session;
  }

  async disconnect(): Promise<void> {
    await call(commands.disconnect());
    this.value = undefined;
  }

  async selectPlatform(namespace: string): Promise<void> {
    await call(commands.selectPlatform(namespace));
    await this.load();
    for (const topic of ['repository', 'environments', 'chaos', 'runs', 'triggers'] as const) changed(topic);
  }
}

export const session = new Current();
