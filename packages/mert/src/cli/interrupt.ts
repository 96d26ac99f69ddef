const signals = ['SIGINT', 'SIGTERM'] as const;

/** Ctrl-C asks to stop, and says what it stops after (and `beside`); a second one ends at once. */
export function untilInterrupted(what: string, beside = ''): { stopped(): boolean; dispose(): void } {
  let interrupted = false;
  const interrupt = () => {
    if (interrupted) process.exit(130);
    interrupted = true;
    console.error(`\nstopping after ${what} (Ctrl-C again to end at once${beside})`);
  };
  for (const signal of signals) process.on(signal, interrupt);
  return {
    stopped: () => interrupted,
    dispose() {
      for (const signal of signals) process.off(signal, interrupt);
    },
  };
}
