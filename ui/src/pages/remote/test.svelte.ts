import { asAppError, call, commands, type AppError, type CredentialInput, type ErrorDetail, type RemoteCheck, type RemoteTarget } from '$platform';

export type ShownHostKey = Extract<ErrorDetail, { kind: 'hostKey' }>;

/**
 * Asks a remote whether a credential lets one in. A host nobody has spoken to yet stops the question: `hostKey` is
 * then shown, and `accept` or `refuse` answers it.
 */
export class RemoteTest {
  busy = $state(false);
  error = $state.raw<AppError | undefined>();
  result = $state.raw<RemoteCheck | undefined>();
  hostKey = $state.raw<ShownHostKey | undefined>();
  private answer: ((accepted: boolean) => void) | undefined;

  /** True when the remote answered and may be read. */
  async run(target: RemoteTarget, credential: CredentialInput | null): Promise<boolean> {
    return this.guard(async () => {
      this.result = await call(commands.testRemote(target, credential));
    });
  }

  /** Runs any question to a remote, with the host key dialog in between where it is needed. */
  async guard(ask: () => Promise<void>): Promise<boolean> {
    if (this.busy) return false;
    this.busy = true;
    this.error = undefined;
    this.result = undefined;
    try {
      for (;;) {
        try {
          await ask();
          return true;
        } catch (thrown) {
          const error = asAppError(thrown);
          if (error.code !== 'git.hostKeyUnknown' || error.detail?.kind !== 'hostKey') {
            this.error = error;
            return false;
          }
          if (!(await this.decide(error.detail))) {
            this.error = error;
            return false;
          }
        }
      }
    } finally {
      this.busy = false;
    }
  }

  respond(accepted: boolean): void {
    this.answer?.(accepted);
    this.answer = undefined;
    this.hostKey = undefined;
  }

  forget(): void {
    this.error = undefined;
    this.result = undefined;
  }

  private async decide(key: ShownHostKey): Promise<boolean> {
    const accepted = await new Promise<boolean>((resolve) => {
      this.answer = resolve;
      this.hostKey = key;
    });
    if (!accepted) return false;
    await call(commands.acceptHostKey({ host: key.host, port: key.port, fingerprint: key.fingerprint }));
    return true;
  }
}
