/** A phase as ChaosCenter writes it, in words: `Completed_With_Probe_Failure`. */
export function phase(written: string): string {
  const words = written.replaceAll('_', ' ');
  return words.charAt(0) + words.slice(1).toLowerCase();
}
