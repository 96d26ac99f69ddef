import type { RandomKey } from '@dawnchorus/tensor';

/** Who listens to the keys that sequences hand out: some take them down, some hand them out again. */
type Tap = { readonly keys: RandomKey[]; readonly replay: false } | { readonly keys: RandomKey[]; replay: true };

const taps: Tap[] = [];

function tapped<T>(tap: Tap, body: () => T): T {
  taps.push(tap);
  try {
    return body();
  } finally {
    taps.splice(taps.lastIndexOf(tap), 1);
  }
}

/** Appends the keys that any sequence hands out in `body`. */
export const recordKeys = <T>(keys: RandomKey[], body: () => T): T => tapped({ keys, replay: false }, body);

/** Makes every sequence hand out these keys in `body`, in order; the sequences themselves stay where they are. */
export const replayKeys = <T>(keys: readonly RandomKey[], body: () => T): T =>
  tapped({ keys: [...keys], replay: true }, body);

/** The next key: by `draw`, or a recorded one while a function is run again. */
export function drawKey(draw: () => RandomKey): RandomKey {
  const at = taps.findLastIndex((tap) => tap.replay);
  const key = at < 0 ? draw() : taps[at].keys.shift();
  if (!key) throw new Error('checkpoint: the function draws more random numbers than when it ran first');
  for (const tap of taps.slice(at + 1)) tap.keys.push(key);
  return key;
}
