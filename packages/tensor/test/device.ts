import { openDevice } from '../src/index.ts';

/** One device a test process, opened without a word. */
export const device = await openDevice({ log: () => {} });
