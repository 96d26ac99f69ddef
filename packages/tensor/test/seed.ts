import fc from 'fast-check';

/** Of what properties are tried on: the same cases in every run, so that a failure is of this commit and not of this day. */
export const seed = Number(process.env.FAST_CHECK_SEED ?? 20_241);

fc.configureGlobal({ seed });
