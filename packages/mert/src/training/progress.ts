/** Where progress goes: a bar that redraws itself on a terminal, plain lines every few seconds elsewhere. */
export interface Progress {
  update(done: number, text: string): void;
  /** Prints a line of its own without breaking the bar. */
  line(text: string): void;
  end(): void;
}

export interface ProgressOptions {
  label: string;
  total: number;
  /** Steps that were done before this process began. */
  initial?: number;
  stream?: { isTTY?: boolean; columns?: number; write(text: string): unknown };
}

const SECONDS_BETWEEN_LINES = 10;
const BAR_WIDTH = 24;

export function formatDuration(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds));
  const minutes = Math.floor(whole / 60);
  if (minutes === 0) return `${whole} s`;
  if (minutes < 60) return `${minutes} min ${String(whole % 60).padStart(2, '0')} s`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} min`;
}

export function createProgress({ label, total, initial = 0, stream = process.stderr }: ProgressOptions): Progress {
  const start = performance.now();
  let lastLine = Number.NEGATIVE_INFINITY;
  let drawn = false;
  const clear = () => {
    if (drawn) stream.write('\r\x1b[K');
    drawn = false;
  };
  return {
    update(done, text) {
      const elapsed = (performance.now() - start) / 1000;
      const left = done > initial ? (elapsed / (done - initial)) * (total - done) : Number.NaN;
      const time = Number.isFinite(left) ? `${formatDuration(left)} left` : '';
      const counts = `${String(done).padStart(String(total).length)}/${total}`;
      if (stream.isTTY) {
        const filled = Math.round((BAR_WIDTH * done) / total);
        const bar = '█'.repeat(filled) + '░'.repeat(BAR_WIDTH - filled);
        const line = `${label} ${bar} ${counts}  ${text}  ${time}`;
        stream.write(`\r\x1b[K${line.slice(0, (stream.columns ?? 120) - 1)}`);
        drawn = true;
      } else if (elapsed - lastLine >= SECONDS_BETWEEN_LINES || done === total) {
        lastLine = elapsed;
        stream.write(`${label} ${counts}  ${text}  ${time}\n`);
      }
    },
    line(text) {
      clear();
      stream.write(`${text}\n`);
    },
    end() {
      if (drawn) stream.write('\n');
      drawn = false;
    },
  };
}
